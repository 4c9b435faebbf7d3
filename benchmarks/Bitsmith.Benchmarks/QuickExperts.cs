using System.Globalization;
using Bitsmith.Models;
using Bitsmith.Models.Layers;
using Bitsmith.Tensors.Matrices;

namespace Bitsmith.Benchmarks;

/// <summary>What quantized folders make of the outputs of a mixture's experts: the squared error on the tokens of a text that the original router gives to each, over the squares of the original's outputs.</summary>
internal static class QuickExperts
{
    private const int ChunkTokens = 512, Chunks = 40;

    /// <summary>Prints a line for each layer's third of the experts with the fewest tokens and for the others, and the means over the layers.</summary>
    /// <param name="original">The original model.</param>
    /// <param name="candidates">Quantized folders of it.</param>
    /// <param name="text">A text.</param>
    public static void Run(string original, IReadOnlyList<string> candidates, string text)
    {
        ComputeOptions compute = ComputeOptions.Default;
        using GlmModel model = GlmModel.Open(original, compute);
        GlmModel[] others = [.. candidates.Select(folder => GlmModel.Open(folder, compute))];
        using Observer observer = new([model.Language, .. others.Select(other => other.Language)], compute);
        int[] tokens = model.Tokenizer.Encode(File.ReadAllText(text), false);
        using ForwardPass pass = model.Language.NewPass(observer);
        for (int chunk = 0; chunk < Math.Min(Chunks, tokens.Length / ChunkTokens); chunk++)
        {
            using KvCache cache = model.Language.NewCache(ChunkTokens);
            float[] hidden = model.Language.Embed(tokens.AsSpan(chunk * ChunkTokens, ChunkTokens));
            model.Language.Begin(pass, new SequenceRun(cache, ChunkTokens));
            model.Language.RunLayers(hidden, pass, 0, model.Language.Layers.Count);
        }

        Array.ForEach(others, other => other.Dispose());
        observer.Report(candidates);
    }

    /// <summary>Runs what reaches an expert of the original through the same expert of all models.</summary>
    private sealed class Observer(IReadOnlyList<LanguageModel> models, ComputeOptions compute) : IForwardObserver, IDisposable
    {
        private readonly Dictionary<string, Linear>[] linears = [.. models.Select(model => model.Layers.SelectMany(layer => layer.Linears).ToDictionary(linear => linear.Name, StringComparer.Ordinal))];
        private readonly SortedDictionary<string, Expert> experts = new(StringComparer.Ordinal);
        private readonly MatrixInput input = new();

        public void OnLinearInput(Linear linear, ReadOnlyMemory<float> rows, int tokens)
        {
            const string Gate = ".gate_proj";
            if (tokens == 0 || !linear.Name.Contains(".experts.", StringComparison.Ordinal) || !linear.Name.EndsWith(Gate, StringComparison.Ordinal))
            {
                return;
            }

            string name = linear.Name[..^Gate.Length];
            if (!experts.TryGetValue(name, out Expert? expert))
            {
                experts.Add(name, expert = new Expert(models.Count - 1));
            }

            float[][] outputs = [.. linears.Select(known => Apply(known, name, rows, tokens))];
            expert.Tokens += tokens;
            for (int i = 0; i < outputs[0].Length; i++)
            {
                expert.Signal += (double)outputs[0][i] * outputs[0][i];
                for (int other = 1; other < outputs.Length; other++)
                {
                    double difference = (double)outputs[other][i] - outputs[0][i];
                    expert.Errors[other - 1] += difference * difference;
                }
            }
        }

        public void OnLayerOutput(int layer, ReadOnlyMemory<float> hidden)
        {
        }

        public void OnRouted(int layer, int token, ReadOnlySpan<int> experts, ReadOnlySpan<float> weights)
        {
        }

        public void Dispose() => input.Dispose();

        public void Report(IReadOnlyList<string> candidates)
        {
            double[,] means = new double[2, candidates.Count];
            var layers = experts.GroupBy(pair => pair.Key[..pair.Key.IndexOf(".mlp.", StringComparison.Ordinal)], pair => pair.Value).ToArray();
            foreach (var layer in layers)
            {
                Expert[] sorted = [.. layer.OrderBy(expert => expert.Tokens)];
                int third = Math.Max(1, sorted.Length / 3);
                foreach ((int kind, Expert[] part) in ((int, Expert[])[])[(0, sorted[..third]), (1, sorted[third..])])
                {
                    double[] errors = [.. Enumerable.Range(0, candidates.Count).Select(candidate => part.Average(expert => expert.Errors[candidate] / expert.Signal))];
                    for (int candidate = 0; candidate < errors.Length; candidate++)
                    {
                        means[kind, candidate] += errors[candidate] / layers.Length;
                    }

                    Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{layer.Key}, {part.Length} experts with {(kind == 0 ? "fewest" : "most")} tokens ({part.Min(expert => expert.Tokens)} to {part.Max(expert => expert.Tokens)}): {string.Join(", ", errors.Select(error => error.ToString("0.000000", CultureInfo.InvariantCulture)))}"));
                }
            }

            foreach ((int kind, string name) in ((int, string)[])[(0, "rare"), (1, "common")])
            {
                Console.WriteLine($"{name} {string.Join(' ', Enumerable.Range(0, candidates.Count).Select(candidate => means[kind, candidate].ToString("0.000000", CultureInfo.InvariantCulture)))}");
            }
        }

        private float[] Apply(Dictionary<string, Linear> known, string name, ReadOnlyMemory<float> rows, int tokens)
        {
            float[] gate = Multiply(known[name + ".gate_proj"], rows, tokens), up = Multiply(known[name + ".up_proj"], rows, tokens);
            for (int i = 0; i < gate.Length; i++)
            {
                gate[i] = gate[i] / (1 + MathF.Exp(-gate[i])) * up[i];
            }

            return Multiply(known[name + ".down_proj"], gate, tokens);
        }

        private float[] Multiply(Linear linear, ReadOnlyMemory<float> rows, int tokens)
        {
            float[] outputs = new float[tokens * linear.Weight.Rows];
            input.Set(rows, tokens);
            linear.Weight.Multiply(input, linear.Bias, outputs, compute);
            return outputs;
        }
    }

    private sealed class Expert(int candidates)
    {
        public long Tokens { get; set; }

        public double Signal { get; set; }

        public double[] Errors { get; } = new double[candidates];
    }
}
