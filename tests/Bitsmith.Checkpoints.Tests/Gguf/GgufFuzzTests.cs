using Bitsmith.Checkpoints.Gguf;
using Bitsmith.Checkpoints.Tests.Support;

namespace Bitsmith.Checkpoints.Tests.Gguf;

public sealed class GgufFuzzTests
{
    [Fact]
    public void A_damaged_file_opens_with_tensors_inside_it_or_is_refused()
    {
        using TemporaryFolder folder = new();
        Damage(folder, "GGUF, every kind of metadata", GgufFiles.Small(), 4000);
    }

    [Theory]
    [InlineData("tiny-glm4-f16.gguf")]
    [InlineData("tiny-glm4moe-f16.gguf")]
    public void A_damaged_model_opens_within_its_own_size_or_is_refused(string model)
    {
        using TemporaryFolder folder = new();
        Damage(folder, $"GGUF, {model}", File.ReadAllBytes(Path.Combine(AppContext.BaseDirectory, "Fixtures", "gguf", model)), 200);
    }

    [Fact]
    public void A_file_cut_off_anywhere_in_its_header_or_data_is_refused()
    {
        using TemporaryFolder folder = new();
        byte[] valid = GgufFiles.Small();
        long end = Parse(folder, valid).Max(tensor => tensor.Offset + tensor.Bytes);
        for (int length = 0; length < valid.Length; length++)
        {
            Assert.Equal(length < end ? 0 : 1, Try(folder, valid[..length], $"{length} bytes"));
        }
    }

    [Fact]
    public void Every_single_flipped_bit_is_survived()
    {
        using TemporaryFolder folder = new();
        byte[] valid = GgufFiles.Small();
        int structure = (int)Parse(folder, valid).Min(tensor => tensor.Offset);
        for (int bit = 0; bit < structure * 8; bit++)
        {
            byte[] damaged = [.. valid];
            damaged[bit / 8] ^= (byte)(1 << (bit % 8));
            Try(folder, damaged, $"bit {bit}");
        }
    }

    // Counts, lengths and offsets near what a reader must not trust.
    private static byte[] Numbers(byte[] valid, int structure, Random random)
    {
        byte[] damaged = [.. valid];
        ulong[] hostile = [0, 1, 2, 31, 33, 63, 64, 65, int.MaxValue, uint.MaxValue, long.MaxValue, 1ul << 63, ulong.MaxValue, 1ul << 61, 1ul << 32, (ulong)valid.Length];
        for (int change = random.Next(1, 4); change > 0; change--)
        {
            BitConverter.TryWriteBytes(damaged.AsSpan(random.Next(structure - 8)), hostile[random.Next(hostile.Length)]);
        }

        return damaged;
    }

    private static void Damage(TemporaryFolder folder, string subject, byte[] valid, int runs)
    {
        int structure = (int)Parse(folder, valid).Min(tensor => tensor.Offset);
        string path = folder.Write("f.gguf", valid);
        new FuzzRuns(subject, runs).All(
            path, (random, _) => random.Next(3) > 0 ? Numbers(valid, structure, random) : Mutation.Damage(valid, structure, random), () => Read(path));
    }

    private static void Read(string path)
    {
        using GgufFile file = GgufFile.Open(path);
        long position = 0;
        foreach (GgufTensor tensor in file.Header.Tensors)
        {
            Assert.True(tensor.Offset >= position && tensor.Offset % file.Header.Alignment == 0, $"{tensor}");
            position = tensor.Offset + file.View(tensor).Length;
        }

        Assert.True(position <= new FileInfo(path).Length);
    }

    private static int Try(TemporaryFolder folder, byte[] bytes, string about)
    {
        string path = folder.Write("f.gguf", bytes);
        try
        {
            Read(path);
            return 1;
        }
        catch (CheckpointException refusal)
        {
            Assert.True(refusal.Path == path && refusal.Message.StartsWith(path, StringComparison.Ordinal), $"{about}: {refusal.Message}");
            return 0;
        }
    }

    private static IReadOnlyList<GgufTensor> Parse(TemporaryFolder folder, byte[] bytes)
    {
        using GgufFile file = GgufFile.Open(folder.Write("valid.gguf", bytes));
        return file.Header.Tensors;
    }
}
