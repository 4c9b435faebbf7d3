using Bitsmith.Checkpoints;
using Bitsmith.Checkpoints.HuggingFace;
using Bitsmith.Checkpoints.Safetensors;
using Bitsmith.Quantization.Calibration.Statistics;
using Bitsmith.Quantization.Calibration.Weights;
using Bitsmith.Quantization.Formats;
using Bitsmith.Quantization.Jobs;
using Bitsmith.Quantization.Planning;
using Bitsmith.Quantization.Recipes;
using Bitsmith.Tensors.ElementTypes;
using Bitsmith.Tensors.Formats;
using Bitsmith.Tensors.Formats.Ggml;

namespace Bitsmith.Quantization.Tests.Calibration.Weights;

public sealed class CalibratedWeightsTests : IDisposable
{
    private const string Query = "model.layers.0.self_attn.q_proj.weight", Output = "model.layers.0.self_attn.o_proj.weight", Norm = "model.layers.0.input_layernorm.weight";

    private readonly TestCheckpoint checkpoint = TestCheckpoint.Dense(shards: 2);
    private readonly CheckpointFolder source;

    public CalibratedWeightsTests() => source = CheckpointFolder.Open(checkpoint.Model);

    private string Layer(int number) => Path.Combine(checkpoint.Root, $"layer-{number:0000}.bin");

    public void Dispose()
    {
        source.Dispose();
        checkpoint.Dispose();
    }

    [Fact]
    public void What_was_written_is_read_in_any_part_with_losses_and_tokens_of_experts()
    {
        byte[] odd = [1, 2, 3], scale = BitConverter.GetBytes(0.5f);
        OutputLoss loss = new(1e-3, 2e-3, 5);
        ExpertTokens tokens = new(1, [4, 0], [9, 9], [1]);
        Write(0, [(new TensorInfo("a", ElementType.U8, [3]), odd), (new TensorInfo("b", ElementType.F32, [1]), scale)], new() { ["w"] = loss });
        Write(1, [(new TensorInfo("c", ElementType.U8, [0, 4]), ReadOnlyMemory<byte>.Empty)], [], tokens);

        using CalibratedWeights weights = Open(2);

        byte[] end = new byte[2], all = new byte[4];
        weights.Read("a", 1, end);
        weights.Read("b", 0, all);
        Assert.Equal([2, 3], end);
        Assert.Equal(scale, all);
        Assert.Equal((true, true, false), (weights.Has("b"), weights.Has("c"), weights.Has("w")));
        Assert.Equal(loss, weights.LossOf("w"));
        Assert.Null(weights.LossOf("a"));
        ExpertTokens found = Assert.Single(weights.Experts);
        Assert.Equal(tokens.Routed, found.Routed);
        Assert.Equal(tokens.FallenBack, found.FallenBack);
        Assert.Throws<ArgumentOutOfRangeException>(() => weights.Read("a", 2, new byte[2]));
        Assert.Throws<ArgumentOutOfRangeException>(() => weights.Read("a", -1, new byte[2]));
    }

    [Fact]
    public void Relative_error_and_gain_are_those_of_the_sums()
    {
        OutputLoss loss = new(4, 40, 100);
        Assert.Equal((0.2, 10.0), (loss.RelativeError!.Value, loss.GainDb!.Value));
        Assert.Equal((0.0, null), (new OutputLoss(0, 1, 0).RelativeError!.Value, new OutputLoss(0, 1, 0).GainDb));
        Assert.Null(new OutputLoss(1, 0, 0).RelativeError);
    }

    [Fact]
    public void What_is_no_tensor_or_no_loss_is_not_written()
    {
        Assert.Throws<ArgumentException>(() => Write(0, [(new TensorInfo("a", ElementType.U8, [3]), new byte[2])], []));
        foreach (double bad in (double[])[-1, double.NaN, double.PositiveInfinity])
        {
            Assert.Throws<ArgumentException>(() => Write(0, [], new() { ["w"] = new OutputLoss(bad, 1, 1) }));
        }
    }

    [Fact]
    public void A_file_with_any_byte_changed_or_cut_off_is_an_error_that_names_it()
    {
        Write(0, [(new TensorInfo("a", ElementType.U8, [64]), new byte[64])], new() { ["w"] = new OutputLoss(1, 2, 3) }, new ExpertTokens(0, [1], [1], []));
        byte[] whole = File.ReadAllBytes(Layer(0));
        for (int place = 0; place < whole.Length; place++)
        {
            byte[] changed = [.. whole];
            changed[place] ^= 0x15;
            File.WriteAllBytes(Layer(0), changed);
            Assert.Equal(Layer(0), Assert.Throws<CheckpointException>(() => Open(1)).Path);
        }

        foreach (int length in (int[])[0, 7, whole.Length / 2, whole.Length - 1])
        {
            File.WriteAllBytes(Layer(0), whole[..length]);
            Assert.Equal(Layer(0), Assert.Throws<CheckpointException>(() => Open(1)).Path);
        }
    }

    [Fact]
    public void The_digest_is_of_the_content_and_not_of_the_place()
    {
        Write(0, [(new TensorInfo("a", ElementType.U8, [1]), new byte[1])], []);
        using CalibratedWeights first = Open(1);
        File.Move(Layer(0), Layer(7));
        using CalibratedWeights moved = CalibratedWeights.Open([Layer(7)], cancellationToken: TestContext.Current.CancellationToken);
        Write(0, [(new TensorInfo("a", ElementType.U8, [1]), new byte[] { 1 })], []);
        using CalibratedWeights other = Open(1);
        Assert.Equal(first.Digest, moved.Digest);
        Assert.NotEqual(first.Digest, other.Digest);
    }

    [Theory]
    [InlineData("strange", "no such tensor")]
    [InlineData("shape", "expected BF16 [256]")]
    [InlineData("encoded", "no such tensor")]
    [InlineData("partial", "_scale', which belongs to it")]
    [InlineData("fused", "k_proj.weight_packed', which belongs to it")]
    public void Files_that_do_not_fit_the_plan_are_refused(string what, string problem)
    {
        QuantizationPlan plan = Plan("nvfp4a16");
        PlanRow row = plan.Rows.Single(row => row.Source.Name == (what == "fused" ? Query : Output));
        Write(0, what switch
        {
            "strange" => [(new TensorInfo("model.layers.0.other", ElementType.U8, [1]), new byte[1])],
            "shape" => [(new TensorInfo(Norm, ElementType.BF16, [255]), new byte[510])],
            "encoded" => [(row.Source, new byte[row.Source.Bytes])],
            "partial" => Made(row, 1)[..1],
            _ => Made(row, 1),
        }, []);
        using CalibratedWeights weights = Open(1);
        CheckpointException refusal = Assert.Throws<CheckpointException>(() => weights.Check(plan));
        Assert.Equal(Layer(0), refusal.Path);
        Assert.Contains(problem, refusal.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void The_same_tensor_in_two_files_is_refused()
    {
        Write(0, [(new TensorInfo("a", ElementType.U8, [1]), new byte[1])], []);
        File.Copy(Layer(0), Layer(1));
        Assert.Contains("layer-0000.bin too", Assert.Throws<CheckpointException>(() => Open(2)).Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("nvfp4a16", 1)]
    [InlineData("nvfp4a16", 3)]
    [InlineData("w4a16", 2)]
    [InlineData("w4a16-asym", 2)]
    [InlineData("fp8-block-32", 2)]
    public void The_pipeline_writes_them_in_the_place_of_what_it_would_encode_or_keep(string scheme, int threads)
    {
        QuantizationPlan plan = Plan(scheme);
        Dictionary<string, PlanRow> rows = plan.Rows.ToDictionary(row => row.Source.Name);
        byte[] norm = [.. Enumerable.Range(0, 512).Select(i => (byte)i)];
        Write(0, [(rows[Norm].Source, norm), .. Made(rows[Output], 2)], []);
        using CalibratedWeights weights = Open(1);
        weights.Check(plan);
        string output = Directory.CreateDirectory(checkpoint.Output).FullName;
        IReadOnlyList<Shard<PlanRow>> shards = plan.Shards(100_000);
        using Journal journal = Journal.Open(Path.Combine(checkpoint.Root, "journal"));
        WeightRanges ranges = WeightRanges.Measure(source.Files, plan.Rows.Where(row => !weights.Holds(row)), 1, TestContext.Current.CancellationToken);
        new TensorPipeline(new ReadSchedule(source.Files, shards, 0, new HashSet<string>()), output, WeightEncoder.Best, ranges, weights, journal, null).Run(threads, TestContext.Current.CancellationToken);

        Dictionary<string, byte[]> found = shards.SelectMany(shard => Contents(Path.Combine(output, shard.FileName))).ToDictionary();
        Assert.Equal(norm, found[Norm]);
        Assert.All(Made(rows[Output], 2), tensor => Assert.Equal(tensor.Content.ToArray(), found[tensor.Tensor.Name]));

        // The rest is as without calibration.
        PlanRow other = rows["model.layers.1.self_attn.o_proj.weight"];
        Assert.Equal(Made(other, 1)[0].Content.ToArray(), found[other.Outputs[0].Name]);

        // Twice the weights: the error is as large as they are.
        TensorLoss loss = journal.Shards.SelectMany(shard => shard.Tensors).Single(loss => loss.Name == Output);
        Assert.InRange(loss.Error.RelativeRmse, 0.9, 1.1);
        Assert.Null(loss.Library);
    }

    /// <summary>The outputs of a weight whose values are multiplied first.</summary>
    private List<(TensorInfo Tensor, ReadOnlyMemory<byte> Content)> Made(PlanRow row, float factor)
    {
        SafetensorsFile file = source.Files.Single(file => file.Header.Tensors.Any(tensor => tensor.Name == row.Source.Name));
        byte[] bytes = file.View(file.Header.Tensors.Single(tensor => tensor.Name == row.Source.Name)).ToArray();
        float[] values = new float[row.Source.Elements];
        ElementConversion.ToSingle(row.Source.Type, bytes, values);
        ElementConversion.FromSingle(row.Source.Type, [.. values.Select(value => factor * value)], bytes);
        (int rows, int columns) = ((int)row.Source.Shape[0], (int)row.Source.Shape[1]);
        int grid = row.Group!.Block.GridOf(rows, 1).Rows;
        float global = NvFp4Group.LibraryGlobalScale(row.Source.Type, factor * values.Max(MathF.Abs));
        byte[][] parts = row.Group.Storage.Allocate(row.Outputs, rows);
        byte[] constants = row.Group.Storage.Constants(row.Source, new(global, 1));
        row.Group.Storage.Encode(
            WeightEncoder.Best, row.Source.Type, bytes, rows, ColumnWeights.Of([], columns), global, EncodedRows.Of(parts), new QuantizationError[grid], new QuantizationError[grid]);
        List<(TensorInfo, ReadOnlyMemory<byte>)> made = [.. parts.Select((part, i) => (row.Outputs[i], (ReadOnlyMemory<byte>)part))];
        if (row.Outputs.Count > parts.Length)
        {
            made.Add((row.Outputs[parts.Length], constants));
        }

        return made;
    }

    private QuantizationPlan Plan(string scheme) => Planner.Create(
        checkpoint.Modules(), source.Tensors, scheme.StartsWith("w4a16", StringComparison.Ordinal) ? Presets.WithGroupSize(Presets.Get(scheme), 32) : Presets.Get(scheme), new PlanOptions(), checkpoint.Model);

    private void Write(int layer, IReadOnlyList<(TensorInfo Tensor, ReadOnlyMemory<byte> Content)> tensors, Dictionary<string, OutputLoss> losses, ExpertTokens? experts = null)
    {
        using FileStream stream = File.Create(Layer(layer));
        CalibratedWeights.Write(stream, [new LayerResults(tensors, losses)], experts);
    }

    private CalibratedWeights Open(int layers) => CalibratedWeights.Open(Enumerable.Range(0, layers).Select(Layer), cancellationToken: TestContext.Current.CancellationToken);

    private static Dictionary<string, byte[]> Contents(string path)
    {
        using SafetensorsFile file = SafetensorsFile.Open(path);
        return file.Header.Tensors.ToDictionary(tensor => tensor.Name, tensor => file.View(tensor).ToArray());
    }
}
