using System.Text.Json;
using Bitsmith.Checkpoints.Gguf;
using Bitsmith.Checkpoints.HuggingFace;
using Bitsmith.Checkpoints.Safetensors;
using Bitsmith.Tensors.ElementTypes;

namespace Bitsmith.Cli.Tests;

public sealed class ConvertCommandTests
{
    [Fact]
    public void A_split_result_is_named_in_json_and_not_replaced_unasked()
    {
        using Shell shell = new();
        string[] command = ["convert", shell.Sample, "-o", shell.PathOf("m.gguf"), "--type", "f16", "--split-max-size", "4MB", "--json"];

        Assert.Equal(ExitCode.Done, shell.Run(command));
        JsonElement result = JsonDocument.Parse(shell.Output).RootElement;
        Assert.Equal(("glm4", "F16", 81), (result.GetProperty("architecture").GetString(), result.GetProperty("type").GetString(), result.GetProperty("tensors").GetInt32()));
        string[] files = [.. result.GetProperty("files").EnumerateArray().Select(file => file.GetString()!)];
        Assert.Equal(shell.PathOf($"m-00001-of-0000{files.Length}.gguf"), files[0]);
        Assert.Equal(files.Sum(file => new FileInfo(file).Length), result.GetProperty("bytes").GetInt64());
        Assert.Contains("note: 34 tensors are left out", shell.Error, StringComparison.Ordinal);

        Assert.Equal(ExitCode.Done, shell.Run("inspect", files[^1]));
        Assert.Contains("81 tensors", shell.Output, StringComparison.Ordinal);

        Assert.Equal(ExitCode.WrongRequest, shell.Run(command));
        Assert.Contains("--force", shell.Error, StringComparison.Ordinal);
        Assert.Equal(ExitCode.Done, shell.Run([.. command, "--force"]));
    }

    [Fact]
    public void Fp8_blocks_are_decoded_and_query_rows_move_as_llama_cpp_pairs_them()
    {
        using Shell shell = new();
        Assert.Equal(ExitCode.Done, shell.Run("quantize", shell.Sample, "-o", shell.PathOf("fp8"), "--scheme", "fp8-block"));

        Assert.Equal(ExitCode.Done, shell.Run("convert", shell.PathOf("fp8"), "-o", shell.PathOf("fp8.gguf"), "--type", "f32"));

        using CheckpointFolder folder = CheckpointFolder.Open(shell.PathOf("fp8"));
        using GgufModel model = GgufModel.Open(shell.PathOf("fp8.gguf"));
        Assert.Equal(Decoded(folder, "model.language_model.layers.3.mlp.gate_up_proj"), Values(model, "blk.3.ffn_up.weight"));

        // Heads of 64 channels, 32 of which turn: even ones to the first half, odd ones to the second.
        float[] query = Decoded(folder, "model.language_model.layers.3.self_attn.q_proj"), rows = Values(model, "blk.3.attn_q.weight");
        for (int row = 0; row < 256; row++)
        {
            int channel = row % 64;
            int from = row - channel + (channel >= 32 ? channel : channel < 16 ? 2 * channel : (2 * (channel - 16)) + 1);
            Assert.Equal(query.AsSpan(from * 256, 256).ToArray(), rows.AsSpan(row * 256, 256).ToArray());
        }
    }

    [Theory]
    [InlineData(ExitCode.WrongRequest, "q4_k", "f32")]
    [InlineData(ExitCode.WrongRequest, "fp8", "bf16")]
    public void Types_that_conversion_does_not_write_are_refused(int code, string type, string word)
    {
        using Shell shell = new();
        Assert.Equal(code, shell.Run("convert", shell.Sample, "-o", shell.PathOf("m.gguf"), "--type", type));
        Assert.Contains(word, shell.Error, StringComparison.Ordinal);
    }

    [Fact]
    public void The_vision_tower_has_a_file_of_its_own_whose_kernel_is_cut_into_frames()
    {
        using Shell shell = new();
        Assert.Equal(ExitCode.Done, shell.Run("convert", shell.Sample, "-o", shell.PathOf("mmproj.gguf"), "--type", "f32", "--mmproj"));

        using GgufModel model = GgufModel.Open(shell.PathOf("mmproj.gguf"));
        using CheckpointFolder folder = CheckpointFolder.Open(shell.Sample);
        Assert.Equal(("clip", "glm4v"), (model.Metadata.Text("general.architecture"), model.Metadata.Text("clip.projector_type")));
        (SafetensorsFile file, StoredTensor kernel) = folder.Files
            .SelectMany(file => file.Header.Tensors.Select(tensor => (file, tensor))).Single(place => place.tensor.Name == "model.visual.patch_embed.proj.weight");
        float[] whole = new float[kernel.Elements];
        ElementConversion.ToSingle(kernel.Type, file.View(kernel), whole);
        float[][] frames = [Values(model, "v.patch_embd.weight"), Values(model, "v.patch_embd.weight.1")];

        // [128, 3, 2, 14, 14] against two of [128, 3, 14, 14].
        for (int i = 0; i < whole.Length; i++)
        {
            (int pixel, int frame, int channel) = (i % 196, i / 196 % 2, i / 392);
            Assert.Equal(whole[i], frames[frame][(channel * 196) + pixel]);
        }
    }

    [Fact]
    public void A_folder_that_is_no_model_is_broken_input()
    {
        using Shell shell = new();
        Assert.Equal(ExitCode.BrokenInput, shell.Run("convert", "nowhere", "-o", shell.PathOf("m.gguf")));
        Assert.Contains("no such folder", shell.Error, StringComparison.Ordinal);
    }

    // Codes times scales of blocks of 128 x 128, in the scales' type: what compressed-tensors decompresses to.
    private static float[] Decoded(CheckpointFolder folder, string module)
    {
        (SafetensorsFile codeFile, StoredTensor codes) = Find($"{module}.weight");
        (SafetensorsFile scaleFile, StoredTensor scales) = Find($"{module}.weight_scale");
        (int columns, int gridColumns) = ((int)codes.Shape[1], (int)scales.Shape[1]);
        float[] values = new float[codes.Elements], factors = new float[scales.Elements];
        ElementConversion.ToSingle(scales.Type, scaleFile.View(scales), factors);
        ReadOnlySpan<byte> bytes = codeFile.View(codes);
        for (int i = 0; i < values.Length; i++)
        {
            values[i] = BFloat16.Round(new Float8E4M3(bytes[i]).ToSingle() * factors[(i / columns / 128 * gridColumns) + (i % columns / 128)]);
        }

        return values;

        (SafetensorsFile File, StoredTensor Tensor) Find(string name) =>
            folder.Files.SelectMany(file => file.Header.Tensors.Select(tensor => (file, tensor))).Single(place => place.tensor.Name == name);
    }

    private static float[] Values(GgufModel model, string name)
    {
        (GgufFile file, GgufTensor tensor) = model.Find(name)!.Value;
        float[] values = new float[tensor.Elements];
        ElementConversion.ToSingle(ElementType.F32, file.View(tensor), values);
        return values;
    }
}
