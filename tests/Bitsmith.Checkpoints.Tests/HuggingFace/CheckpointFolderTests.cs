using Bitsmith.Checkpoints.HuggingFace;
using Bitsmith.Checkpoints.Tests.Support;

namespace Bitsmith.Checkpoints.Tests.HuggingFace;

public sealed class CheckpointFolderTests
{
    private const string Index = "model.safetensors.index.json", First = "model-00001-of-00002.safetensors", Second = "model-00002-of-00002.safetensors";

    [Theory]
    [InlineData("model.safetensors")]
    [InlineData("weights.safetensors")]
    public void A_single_file_needs_no_index(string name)
    {
        using ModelFolder model = ModelFolder.Single(name);
        using CheckpointFolder folder = CheckpointFolder.Open(model.Path);
        Assert.Equal(name, Path.GetFileName(Assert.Single(folder.Files).Path));
        Assert.Equal(["a", "b"], folder.Tensors.Select(tensor => tensor.Name));
        Assert.Equal("glm4", folder.Config.ModelType);
        Assert.Equal(model.Path, folder.Path);
    }

    [Fact]
    public void Shards_are_read_in_the_order_of_their_names()
    {
        using ModelFolder model = ModelFolder.Sharded();
        using CheckpointFolder folder = CheckpointFolder.Open(model.Path);
        Assert.Equal([First, Second], folder.Files.Select(file => Path.GetFileName(file.Path)));
        Assert.Equal(["a", "b", "c"], folder.Tensors.Select(tensor => tensor.Name));
    }

    [Fact]
    public void Safetensors_that_the_index_does_not_name_are_no_part_of_the_model()
    {
        using ModelFolder model = ModelFolder.Sharded();
        model.Write("adapter.safetensors", "not even safetensors");
        using CheckpointFolder folder = CheckpointFolder.Open(model.Path);
        Assert.Equal(2, folder.Files.Count);
    }

    [Fact]
    public void Without_an_index_model_safetensors_is_the_model_whatever_lies_beside_it()
    {
        using ModelFolder model = ModelFolder.Single();
        model.Write("adapter.safetensors", Weights.Named("x"));
        using CheckpointFolder folder = CheckpointFolder.Open(model.Path);
        Assert.Equal("model.safetensors", Path.GetFileName(Assert.Single(folder.Files).Path));
    }

    [Fact]
    public void Several_files_without_index_and_without_model_safetensors_are_refused()
    {
        using ModelFolder model = ModelFolder.Sharded();
        model.Delete(Index);
        model.Refused(model.Path, "2 .safetensors files", Index);
    }

    [Fact]
    public void A_missing_shard_is_refused_by_name()
    {
        using ModelFolder model = ModelFolder.Sharded();
        model.Delete(Second);
        model.Refused(Index, Second, "1 file(s)");
    }

    [Theory]
    [InlineData("../outside.safetensors")]
    [InlineData("sub/inside.safetensors")]
    [InlineData("/etc/x.safetensors")]
    [InlineData("..\\x.safetensors")]
    [InlineData("x\0.safetensors")]
    [InlineData("x.bin")]
    [InlineData("config.json")]
    [InlineData("")]
    public void An_index_that_names_anything_but_a_safetensors_file_of_the_folder_is_refused(string file)
    {
        using ModelFolder model = ModelFolder.Sharded();
        model.Write("sub/inside.safetensors", Weights.Named("c"));
        model.WriteIndex(("a", First), ("b", First), ("c", file));
        model.Refused(Index, "'c'", "in the same folder");
    }

    [Theory]
    [InlineData("""{"weight_map":{"a":1}}""", "'a'")]
    [InlineData("""{"weight_map":{"a":null}}""", "'a'")]
    [InlineData("""{"weight_map":{"a":["model-00001-of-00002.safetensors"]}}""", "'a'")]
    [InlineData("""{"weight_map":[]}""", "weight_map")]
    [InlineData("""{"weight_map":null}""", "weight_map")]
    [InlineData("""{}""", "weight_map")]
    [InlineData("""[]""", "object")]
    [InlineData("""{"weight_map":{"a":"x.safetensors","a":"y.safetensors"}}""", "JSON")]
    [InlineData("""{"weight_map":{"a":"\ud800.safetensors"}}""", "JSON")]
    [InlineData("""{"weight_map":{"a":""", "JSON")]
    public void A_broken_index_is_refused(string index, string finding)
    {
        using ModelFolder model = ModelFolder.Sharded();
        model.Write(Index, index);
        model.Refused(Index, finding);
    }

    [Fact]
    public void An_empty_index_is_refused()
    {
        using ModelFolder model = ModelFolder.Sharded();
        model.WriteIndex();
        model.Refused(model.Path, "no tensor");
    }

    [Fact]
    public void A_tensor_in_two_files_is_refused_with_both()
    {
        using ModelFolder model = ModelFolder.Sharded();
        model.Write(Second, Weights.Named("c", "a"));
        model.Refused(Second, "'a'", First);
    }

    [Fact]
    public void A_tensor_that_the_index_does_not_list_is_refused()
    {
        using ModelFolder model = ModelFolder.Sharded();
        model.Write(Second, Weights.Named("c", "d"));
        model.Refused(Second, "'d'", "does not list");
    }

    [Fact]
    public void A_tensor_that_the_index_places_elsewhere_is_refused()
    {
        using ModelFolder model = ModelFolder.Sharded();
        model.WriteIndex(("a", First), ("b", Second), ("c", Second));
        model.Refused(First, "'b'", $"places in {Second}");
    }

    [Fact]
    public void A_tensor_that_the_index_lists_and_no_file_holds_is_refused()
    {
        using ModelFolder model = ModelFolder.Sharded();
        model.WriteIndex(("a", First), ("b", First), ("c", Second), ("d", Second));
        model.Refused(Index, "'d'", Second);
    }

    [Fact]
    public void A_model_safetensors_beside_an_index_that_does_not_name_it_is_refused()
    {
        using ModelFolder model = ModelFolder.Sharded();
        model.Write("model.safetensors", Weights.Named("a", "b", "c"));
        model.Refused(model.Path, "model.safetensors", "which of them");
    }

    [Fact]
    public void A_broken_shard_is_refused_by_name_and_none_of_the_others_stays_open()
    {
        using ModelFolder model = ModelFolder.Sharded();
        model.Write(Second, Weights.Raw("[]"));
        model.Refused(Second, "header");
        using FileStream exclusive = new(Path.Combine(model.Path, First), FileMode.Open, FileAccess.ReadWrite, FileShare.None);
        Assert.NotEqual(0, exclusive.Length);
    }

    [Fact]
    public void A_folder_without_weights_is_refused()
    {
        using ModelFolder model = new();
        model.Write("pytorch_model.bin", "weights");
        model.Refused(model.Path, "no .safetensors file");
    }

    [Fact]
    public void Weight_files_that_hold_no_tensor_are_refused()
    {
        using ModelFolder model = new();
        model.Write("model.safetensors", Weights.Named());
        model.Refused(model.Path, "no tensor");
    }

    [Fact]
    public void A_missing_folder_and_a_file_in_its_place_are_refused()
    {
        using ModelFolder model = ModelFolder.Single();
        string missing = Path.Combine(model.Path, "missing"), file = Path.Combine(model.Path, "model.safetensors");
        Assert.Contains("no such folder", Assert.Throws<CheckpointException>(() => CheckpointFolder.Open(missing)).Message, StringComparison.Ordinal);
        Assert.Contains("is a file", Assert.Throws<CheckpointException>(() => CheckpointFolder.Open(file)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_missing_config_is_refused_by_name()
    {
        using ModelFolder model = new(config: false);
        model.Write("model.safetensors", Weights.Named("a"));
        model.Refused("config.json", "missing");
    }

    [Theory]
    [InlineData("", "JSON")]
    [InlineData("{", "JSON")]
    [InlineData("[]", "Array")]
    [InlineData("{}", "model_type")]
    [InlineData("""{"model_type":null}""", "model_type")]
    [InlineData("""{"model_type":7}""", "model_type")]
    [InlineData("""{"model_type":"\ud800"}""", "JSON")]
    public void A_config_that_is_broken_or_names_no_model_type_is_refused(string config, string finding)
    {
        using ModelFolder model = ModelFolder.Single();
        model.Write("config.json", config);
        model.Refused("config.json", finding);
    }
}
