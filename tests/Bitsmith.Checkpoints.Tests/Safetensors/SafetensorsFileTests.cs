using Bitsmith.Checkpoints.Safetensors;
using Bitsmith.Checkpoints.Tests.Support;
using Bitsmith.Tensors.ElementTypes;

namespace Bitsmith.Checkpoints.Tests.Safetensors;

public sealed class SafetensorsFileTests
{
    private static readonly TensorInfo[] Tensors =
        [new("a", ElementType.BF16, [30, 7]), new("none", ElementType.F32, [0]), new("b", ElementType.U8, [501]), new("c", ElementType.F32, [])];

    [Fact]
    public void Read_and_view_give_the_bytes_of_the_file()
    {
        using TemporaryFolder folder = new();
        byte[] content = Weights.File(Tensors);
        using SafetensorsFile file = SafetensorsFile.Open(folder.Write("w.safetensors", content));
        Assert.Equal(content.Length, file.Length);
        foreach (StoredTensor tensor in file.Header.Tensors)
        {
            byte[] read = new byte[tensor.Bytes];
            file.Read(tensor.Offset, read);
            Assert.Equal(content[(int)tensor.Offset..(int)(tensor.Offset + tensor.Bytes)], read);
            Assert.Equal(read, file.View(tensor).ToArray());
        }
    }

    [Fact]
    public void Every_part_of_a_tensor_can_be_viewed()
    {
        using TemporaryFolder folder = new();
        using SafetensorsFile file = SafetensorsFile.Open(folder.Write("w.safetensors", Weights.File(Tensors)));
        StoredTensor tensor = file.Header.Tensors.Single(tensor => tensor.Name == "b");
        byte[] all = file.View(tensor).ToArray();
        Assert.Equal(all[100..], file.View(tensor, 100).ToArray());
        Assert.Equal(all[100..140], file.View(tensor, 100, 40).ToArray());
        Assert.Equal(0, file.View(tensor, 501).Length);
        Assert.Equal(0, file.View(tensor, 501, 0).Length);
        Assert.Equal(501, file.View(tensor, 0, 501).Length);
    }

    [Theory]
    [InlineData(-1, null)]
    [InlineData(-1, 5)]
    [InlineData(0, -1)]
    [InlineData(0, 502)]
    [InlineData(501, 1)]
    [InlineData(502, null)]
    [InlineData(502, 0)]
    [InlineData(500, int.MaxValue)]
    [InlineData(long.MaxValue, 1)]
    [InlineData(long.MaxValue, int.MaxValue)]
    [InlineData(long.MaxValue - 10, null)]
    [InlineData(long.MinValue, null)]
    [InlineData(long.MinValue, 1)]
    public void A_part_outside_the_tensor_is_refused(long first, int? length)
    {
        using TemporaryFolder folder = new();
        using SafetensorsFile file = SafetensorsFile.Open(folder.Write("w.safetensors", Weights.File(Tensors)));
        StoredTensor tensor = file.Header.Tensors.Single(tensor => tensor.Name == "b");
        Assert.ThrowsAny<ArgumentOutOfRangeException>(() => file.View(tensor, first, length).Length);
    }

    [Fact]
    public void A_tensor_of_another_longer_file_is_refused()
    {
        using TemporaryFolder folder = new();
        using SafetensorsFile file = SafetensorsFile.Open(folder.Write("w.safetensors", Weights.File(Tensors)));
        Assert.Throws<ArgumentOutOfRangeException>(() => file.View(new StoredTensor("far", ElementType.U8, [10], file.Length - 9), 0, 1).Length);
    }

    [Fact]
    public void A_file_that_is_cut_off_after_opening_is_reported_when_it_is_read()
    {
        using TemporaryFolder folder = new();
        string path = folder.Write("w.safetensors", Weights.File(Tensors));
        using SafetensorsFile file = SafetensorsFile.Open(path);
        StoredTensor tensor = file.Header.Tensors.Single(tensor => tensor.Name == "b");
        using (FileStream stream = new(path, FileMode.Open, FileAccess.Write, FileShare.ReadWrite))
        {
            stream.SetLength(tensor.Offset + 100);
        }

        byte[] target = new byte[tensor.Bytes];
        CheckpointException problem = Assert.Throws<CheckpointException>(() => file.Read(tensor.Offset, target));
        Assert.StartsWith(path, problem.Message, StringComparison.Ordinal);
        Assert.Contains($"ends at byte {tensor.Offset + 100}, 401 bytes earlier", problem.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_file_that_is_missing_or_a_folder_is_refused_by_name()
    {
        using TemporaryFolder folder = new();
        string missing = folder.File("missing.safetensors");
        Assert.StartsWith(missing, Assert.Throws<CheckpointException>(() => SafetensorsFile.Open(missing)).Message, StringComparison.Ordinal);
        Assert.StartsWith(folder.Path, Assert.Throws<CheckpointException>(() => SafetensorsFile.Open(folder.Path)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_refused_file_is_not_kept_open()
    {
        using TemporaryFolder folder = new();
        string path = folder.Write("bad.safetensors", Weights.Raw("[]"));
        Assert.Throws<CheckpointException>(() => SafetensorsFile.Open(path));
        using FileStream exclusive = new(path, FileMode.Open, FileAccess.ReadWrite, FileShare.None);
        Assert.Equal(10, exclusive.Length);
    }

    [Fact]
    public async Task Many_threads_can_take_the_first_view_at_once()
    {
        using TemporaryFolder folder = new();
        byte[] content = Weights.File(Tensors);
        using SafetensorsFile file = SafetensorsFile.Open(folder.Write("w.safetensors", content));
        StoredTensor tensor = file.Header.Tensors[0];
        byte[][] views = await Task.WhenAll(Enumerable.Range(0, 8).Select(_ => Task.Run(() => file.View(tensor).ToArray(), TestContext.Current.CancellationToken)));
        Assert.All(views, view => Assert.Equal(content[(int)tensor.Offset..(int)(tensor.Offset + tensor.Bytes)], view));
    }
}
