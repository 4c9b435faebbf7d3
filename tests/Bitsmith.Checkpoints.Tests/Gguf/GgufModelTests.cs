using Bitsmith.Checkpoints.Gguf;
using Bitsmith.Checkpoints.Tests.Support;

namespace Bitsmith.Checkpoints.Tests.Gguf;

public sealed class GgufModelTests
{
    [Fact]
    public void A_split_model_opens_by_any_of_its_files()
    {
        using TemporaryFolder folder = new();
        Write(folder, "m", 3);
        for (int i = 0; i < 3; i++)
        {
            using GgufModel model = GgufModel.Open(folder.File($"m-0000{i + 1}-of-00003.gguf"));
            Assert.Equal(["t0", "t1", "t2"], model.Tensors.Select(tensor => tensor.Name));
            Assert.Equal("glm4", model.Metadata.Text("general.architecture"));
            Assert.Null(model.Find("t3"));
        }
    }

    [Fact]
    public void A_missing_file_is_named()
    {
        using TemporaryFolder folder = new();
        Write(folder, "m", 3);
        File.Delete(folder.File("m-00002-of-00003.gguf"));
        Refused(folder.File("m-00001-of-00003.gguf"), "m-00002-of-00003.gguf", "cannot be read");
    }

    [Fact]
    public void A_file_under_another_name_is_refused()
    {
        using TemporaryFolder folder = new();
        Write(folder, "m", 2);
        File.Copy(folder.File("m-00001-of-00002.gguf"), folder.File("other.gguf"));
        Refused(folder.File("other.gguf"), "one of 2", "-00001-of-00002.gguf");
    }

    [Fact]
    public void Files_that_have_changed_places_are_refused()
    {
        using TemporaryFolder folder = new();
        Write(folder, "m", 2);
        File.Copy(folder.File("m-00001-of-00002.gguf"), folder.File("m-00002-of-00002.gguf"), overwrite: true);
        Refused(folder.File("m-00001-of-00002.gguf"), "m-00002-of-00002.gguf", "file 0 (from 0) of 2", "file 1 of 2");
    }

    [Fact]
    public void A_tensor_in_two_files_is_refused()
    {
        using TemporaryFolder folder = new();
        Write(folder, "m", 2, name: _ => "t");
        Refused(folder.File("m-00001-of-00002.gguf"), "tensor 't' is also in m-00001-of-00002.gguf");
    }

    [Fact]
    public void Files_with_too_few_tensors_are_refused()
    {
        using TemporaryFolder folder = new();
        Write(folder, "m", 2, total: 3);
        Refused(folder.File("m-00001-of-00002.gguf"), "is 3", "hold 2 tensors");
    }

    private static void Write(TemporaryFolder folder, string model, int count, Func<int, string>? name = null, int? total = null)
    {
        for (int i = 0; i < count; i++)
        {
            GgufMetadata metadata = new("memory");
            if (i == 0)
            {
                metadata.Add("general.architecture", "glm4");
            }

            metadata.Add("split.no", (ushort)i);
            metadata.Add("split.count", (ushort)count);
            metadata.Add("split.tensors.count", total ?? count);
            folder.Write($"{model}-{i + 1:D5}-of-{count:D5}.gguf", GgufFiles.File(metadata, new GgufTensorInfo(name?.Invoke(i) ?? $"t{i}", GgufTensorType.F32, [3])));
        }
    }

    private static void Refused(string path, params string[] findings)
    {
        CheckpointException refusal = Assert.Throws<CheckpointException>(() => GgufModel.Open(path).Dispose());
        Assert.All(findings, finding => Assert.Contains(finding, refusal.Message, StringComparison.Ordinal));
    }
}
