using Bitsmith.Checkpoints.HuggingFace;
using Bitsmith.Checkpoints.Tests.Support;

namespace Bitsmith.Checkpoints.Tests.HuggingFace;

public sealed class SideFilesTests
{
    [Fact]
    public void Tokenizer_templates_processors_licence_and_card_are_carried_subfolders_included()
    {
        string[] names =
        [
            "LICENSE", "README.md", "chat_template.jinja", "generation_config.json", "merges.txt", "preprocessor_config.json", "sub/deep/notes.txt", "tokenizer.json",
            "tokenizer.model", "video_preprocessor_config.json", ".gitattributes", "assets/figure.png", "modeling_glm.py",
        ];
        Lists(names, ["config.json", .. names], []);
    }

    [Fact]
    public void Weights_in_other_formats_and_other_safetensors_are_left_out()
    {
        string[] names =
        [
            "pytorch_model.bin", "model.pt", "x.pth", "x.ckpt", "model-q4.gguf", "onnx/model.onnx", "tf_model.h5", "flax_model.msgpack", "rust_model.ot", "x.tflite",
            "adapter.safetensors", "sub/model.safetensors",
        ];
        Lists(names, ["config.json"], names);
    }

    [Fact]
    public void Repositories_and_download_caches_are_not_mentioned_at_all() =>
        Lists([".git/config", ".git/lfs/objects/x.safetensors", ".cache/huggingface/download/a.metadata"], ["config.json"], []);

    [Fact]
    public void Only_folders_at_the_top_are_caches() =>
        Lists(["sub/.git/config", "git/x.txt"], ["config.json", "git/x.txt", "sub/.git/config"], []);

    [Fact]
    public void The_index_and_its_shards_are_weights()
    {
        using ModelFolder model = ModelFolder.Sharded();
        model.Write("other.index.json", "{}");
        using CheckpointFolder folder = CheckpointFolder.Open(model.Path);
        (IReadOnlyList<string> carried, IReadOnlyList<string> leftOut) = SideFiles.List(folder);
        Assert.Equal(["config.json", "other.index.json"], carried);
        Assert.Empty(leftOut);
    }

    private static void Lists(string[] names, string[] carried, string[] leftOut)
    {
        using ModelFolder model = ModelFolder.Single();
        foreach (string name in names)
        {
            model.Write(name, "content");
        }

        using CheckpointFolder folder = CheckpointFolder.Open(model.Path);
        (IReadOnlyList<string> isCarried, IReadOnlyList<string> isLeftOut) = SideFiles.List(folder);
        Assert.Equal(carried.Order(StringComparer.Ordinal), isCarried);
        Assert.Equal(leftOut.Order(StringComparer.Ordinal), isLeftOut);
    }
}
