using System.Buffers;
using System.Globalization;
using Bitsmith.Checkpoints.CompressedTensors;
using Bitsmith.Quantization.Calibration.Weights;
using YamlDotNet.Core;
using YamlDotNet.RepresentationModel;

namespace Bitsmith.Quantization.Recipes;

/// <summary>
/// Reads recipes in llm-compressor's YAML form: stages (<c>*_stage</c>) that hold modifiers (<c>*_modifiers</c>), of which Bitsmith knows
/// <c>QuantizationModifier</c>, <c>GPTQModifier</c> and <c>AWQModifier</c>; they may also stand at the top. Every key that is not understood is an error.
/// </summary>
public static class RecipeYaml
{
    private const string Quantization = "QuantizationModifier", Gptq = "GPTQModifier", Awq = "AWQModifier", NvFp4Scales = "torch.float8_e4m3fn";

    private static readonly SearchValues<char> NameCharacters = SearchValues.Create("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_");

    private static readonly string[] Modifiers = [Quantization, Gptq, Awq];

    // By the last part of their names: what scales are folded into, and what reads its output.
    private static readonly Dictionary<string, string[]> GlmMappings = new()
    {
        ["input_layernorm"] = ["q_proj", "k_proj", "v_proj"],
        ["v_proj"] = ["o_proj"],
        ["post_attention_layernorm"] = ["gate_proj", "up_proj", "gate_up_proj", "gate"],
        ["up_proj"] = ["down_proj"],
        ["gate_up_proj"] = ["down_proj"],
    };

    /// <summary>Reads a file.</summary>
    /// <exception cref="RecipeException">The file is missing or says something that Bitsmith does not do.</exception>
    public static Recipe Load(string path)
    {
        try
        {
            return Parse(File.ReadAllText(path), path);
        }
        catch (Exception problem) when (problem is IOException or UnauthorizedAccessException)
        {
            throw new RecipeException($"{path}: cannot be read: {problem.Message}", problem);
        }
    }

    /// <summary>Reads a recipe's text.</summary>
    /// <param name="yaml">The text.</param>
    /// <param name="source">Names the recipe in messages.</param>
    /// <exception cref="RecipeException">The text is no recipe, or says something that Bitsmith does not do.</exception>
    public static Recipe Parse(string yaml, string source)
    {
        YamlStream stream = new();
        try
        {
            stream.Load(new StringReader(yaml));
        }
        catch (YamlException problem)
        {
            throw new RecipeException($"{source}: line {problem.Start.Line}, column {problem.Start.Column}: {problem.Message}", problem);
        }

        Reader reader = new(source);
        YamlNode root = stream.Documents is [YamlDocument only]
            ? only.RootNode
            : throw new RecipeException($"{source}: holds {stream.Documents.Count} YAML documents, expected one.");
        return reader.Read(root);
    }

    private sealed class Reader(string source)
    {
        /// <summary>The recipe: one modifier that quantizes, and before it perhaps one that folds scales.</summary>
        public Recipe Read(YamlNode root)
        {
            List<(string Name, YamlMappingNode Node)> modifiers = FindModifiers(root);
            int[] quantizing = [.. Enumerable.Range(0, modifiers.Count).Where(i => modifiers[i].Name != Awq || HasScheme(modifiers[i].Node))];
            Require(quantizing.Length > 0, root, $"holds no modifier that quantizes: {Quantization}, {Gptq}, or {Awq} with a scheme");
            Require(quantizing.Length == 1, modifiers[quantizing[^1]].Node, $"holds {quantizing.Length} modifiers that quantize; Bitsmith runs one: put all groups under its config_groups");
            (string name, YamlMappingNode node) = modifiers[quantizing[0]];
            Recipe recipe = ReadModifier(name, node);
            for (int i = 0; i < modifiers.Count; i++)
            {
                if (i != quantizing[0])
                {
                    Require(i < quantizing[0] && modifiers.Count == 2 && name != Awq, modifiers[i].Node, $"{Awq}: at most one is possible, in front of the modifier that quantizes");
                    ReadFolding(modifiers[i].Node, recipe);
                }
            }

            bool folds = modifiers.Exists(modifier => modifier.Name == Awq);
            return recipe with { Method = name == Gptq ? folds ? CalibrationMethod.AwqGptq : CalibrationMethod.Gptq : folds ? CalibrationMethod.Awq : null };
        }

        private bool HasScheme(YamlMappingNode modifier) => Entries(modifier, Awq).Any(entry => entry.Key is "scheme" or "config_groups" && !IsNull(entry.Value));

        private List<(string Name, YamlMappingNode Node)> FindModifiers(YamlNode root)
        {
            List<(string, YamlMappingNode)> found = [];
            foreach ((string key, YamlNode value) in Entries(root, "the recipe"))
            {
                if (Modifiers.Contains(key))
                {
                    found.Add((key, Mapping(value, key)));
                }
                else if (key.EndsWith("_stage", StringComparison.Ordinal))
                {
                    foreach ((string inner, YamlNode modifiers) in Entries(value, key))
                    {
                        Require(inner.EndsWith("_modifiers", StringComparison.Ordinal), modifiers, $"{key}.{inner}: expected a name that ends in _modifiers");
                        foreach ((string name, YamlNode modifier) in Entries(modifiers, inner))
                        {
                            Require(Modifiers.Contains(name), modifier, $"{inner}.{name}: this modifier is not available; {string.Join(", ", Modifiers)} are");
                            found.Add((name, Mapping(modifier, name)));
                        }
                    }
                }
                else
                {
                    throw Error(value, $"'{key}' is not understood; expected a stage (…_stage) or one of {string.Join(", ", Modifiers)}");
                }
            }

            return found;
        }

        private Recipe ReadModifier(string modifier, YamlMappingNode node)
        {
            List<RecipeGroup> groups = [];
            List<string>? targets = null;
            List<string> ignore = [];
            YamlNode? scheme = null;
            foreach ((string key, YamlNode value) in Entries(node, modifier))
            {
                switch (key)
                {
                    case "targets":
                        targets = Strings(value, key);
                        break;
                    case "ignore":
                        ignore = Strings(value, key);
                        break;
                    case "scheme":
                        scheme = IsNull(value) ? null : value;
                        break;
                    case "config_groups":
                        groups.AddRange(IsNull(value) ? [] : Entries(value, key).Select(entry => ReadGroup(entry.Value, $"{source}: config_groups.{entry.Key}", modifier == Gptq)));
                        break;
                    case "kv_cache_scheme":
                        Require(IsNull(value), value, "kv_cache_scheme: quantized KV caches are not available; leave it out");
                        break;
                    default:
                        CheckTuning(modifier, key, value);
                        break;
                }
            }

            Require(scheme is null != (groups.Count == 0), node, $"{modifier} needs either scheme or config_groups");
            switch (scheme)
            {
                case null:
                    Require(targets is null or ["Linear"], node, $"{modifier}: with config_groups, targets stand in each group");
                    break;
                case YamlScalarNode name:
                    groups.Add(Presets.ByLibraryName(name.Value ?? string.Empty, $"{source}: scheme") with { Targets = targets ?? ["Linear"] });
                    break;
                default:
                    Require(targets is null, node, $"{modifier}: with a scheme that maps presets to targets, targets must not stand beside it");
                    groups.AddRange(Entries(scheme, "scheme").Select(entry =>
                        Presets.ByLibraryName(entry.Key, $"{source}: scheme") with { Targets = Strings(entry.Value, entry.Key) }));
                    break;
            }

            for (int i = 0; i < groups.Count; i++)
            {
                groups[i].Validate($"{source}: group {i}");
            }

            return new Recipe(source, groups, ignore);
        }

        /// <summary>AWQ in front of the modifier that quantizes says nothing of its own but what it ignores, which must be the same.</summary>
        private void ReadFolding(YamlMappingNode node, Recipe recipe)
        {
            foreach ((string key, YamlNode value) in Entries(node, Awq))
            {
                if (key == "ignore")
                {
                    Require(Strings(value, key).SequenceEqual(recipe.Ignore), value, $"{Awq}.ignore differs from that of the modifier that quantizes; write it there");
                }
                else if (!(key is "scheme" or "config_groups" or "kv_cache_scheme" && IsNull(value)) && !(key == "targets" && Strings(value, key) is ["Linear"]))
                {
                    CheckTuning(Awq, key, value);
                }
            }
        }

        /// <summary>Settings of llm-compressor's own methods: those that it has where nothing is said mean what Bitsmith does. Where it keeps its numbers changes no result.</summary>
        private void CheckTuning(string modifier, string key, YamlNode value)
        {
            string[]? permitted = (modifier, key) switch
            {
                (Awq, "duo_scaling") => ["true", "True"],
                (Awq, "n_grid") => ["20"],
                (Awq, "offload_device") or (Gptq, "offload_hessians") => [],
                (Gptq, "block_size") => ["128"],
                (Gptq, "dampening_frac") => ["0.01"],
                (Gptq, "actorder") => ["static", "weight"],
                (_, "bypass_divisibility_checks") => ["false", "False"],
                (_, "sequential_targets" or "weight_observer" or "input_observer" or "output_observer" or "observer") => ["null"],
                (Awq, "mappings") => null,
                _ => throw Error(value, $"{modifier}.{key} is not understood; known are targets, ignore, scheme, config_groups, kv_cache_scheme{(modifier == Awq ? ", mappings, duo_scaling, n_grid, offload_device" : modifier == Gptq ? ", block_size, dampening_frac, actorder, offload_hessians" : string.Empty)}"),
            };
            if (permitted is null)
            {
                CheckMappings(value);
            }
            else
            {
                Require(IsNull(value) || permitted.Length == 0 || permitted.Contains(Text(value, key)), value, $"{modifier}.{key}: Bitsmith does what {permitted.FirstOrDefault()} means, and nothing else; leave it out");
            }
        }

        /// <summary>Mappings may restate those of GLM models, which Bitsmith knows in full, layer by layer.</summary>
        private void CheckMappings(YamlNode node)
        {
            HashSet<string> smoothed = [];
            foreach (YamlNode mapping in IsNull(node) ? [] : Sequence(node, $"{Awq}.mappings"))
            {
                Dictionary<string, YamlNode> values = Entries(mapping, $"{Awq}.mappings").ToDictionary(entry => entry.Key, entry => entry.Value);
                string? other = values.Keys.FirstOrDefault(key => key is not ("smooth_layer" or "balance_layers") && !IsNull(values[key]));
                Require(other is null, mapping, $"{Awq}.mappings.{other} is not understood; known are smooth_layer, balance_layers");
                string smooth = LastName(Text(Part("smooth_layer"), "smooth_layer"));
                string[] balance = [.. Strings(Part("balance_layers"), "balance_layers").Select(LastName)];
                Require(GlmMappings.TryGetValue(smooth, out string[]? known) && balance.All(name => known.Contains(name)), mapping, $"{Awq}.mappings: '{smooth}' to {string.Join(", ", balance)} is none of a GLM model's; leave mappings out, Bitsmith knows them");
                smoothed.Add(smooth);

                YamlNode Part(string key) => values.TryGetValue(key, out YamlNode? part) ? part : throw Error(mapping, $"{Awq}.mappings: '{key}' is missing");
            }

            string[] wanted = smoothed.Count == 0 ? [] : ["input_layernorm", "post_attention_layernorm", smoothed.Contains("gate_up_proj") ? "gate_up_proj" : "up_proj"];
            string? left = Array.Find(wanted, name => !smoothed.Contains(name));
            Require(left is null, node, $"{Awq}.mappings leaves out '{left}', which Bitsmith folds scales into too; leave mappings out, or restate all of them");

            static string LastName(string pattern)
            {
                string name = pattern.TrimEnd('$');
                return name[(name.AsSpan().LastIndexOfAnyExcept(NameCharacters) + 1)..];
            }
        }

        private RecipeGroup ReadGroup(YamlNode node, string place, bool ordersColumns)
        {
            List<string> targets = [];
            QuantizationArgs? weights = null, inputs = null;
            string? format = null;
            foreach ((string key, YamlNode value) in Entries(node, place))
            {
                switch (key)
                {
                    case "targets":
                        targets = Strings(value, $"{place}.targets");
                        break;
                    case "weights":
                        weights = ReadArgs(value, $"{place}.weights", "memoryless_minmax", ordersColumns);
                        break;
                    case "input_activations":
                        inputs = IsNull(value) ? null : ReadArgs(value, $"{place}.input_activations", null, ordersColumns: false);
                        break;
                    case "output_activations":
                        Require(IsNull(value), value, $"{place}.output_activations: quantized outputs are not available; leave it out");
                        break;
                    case "format":
                        format = IsNull(value) ? null : Text(value, key);
                        break;
                    default:
                        throw Error(value, $"{place}.{key} is not understood; known are targets, weights, input_activations");
                }
            }

            RecipeGroup group = new(targets, weights ?? throw Error(node, $"{place}: 'weights' is missing"), inputs);
            if (format is not null)
            {
                group.Validate(place);
                Require(format == group.Format, node, $"{place}.format: '{format}' does not fit the weights, which are stored as {group.Format}; leave it out");
            }

            return group;
        }

        private QuantizationArgs ReadArgs(YamlNode node, string place, string? defaultObserver, bool ordersColumns)
        {
            Dictionary<string, YamlNode> values = Entries(node, place).ToDictionary(entry => entry.Key, entry => entry.Value);
            string[] known =
                ["num_bits", "type", "symmetric", "strategy", "group_size", "block_structure", "dynamic", "actorder", "scale_dtype", "zp_dtype", "observer", "observer_kwargs"];
            foreach ((string key, YamlNode value) in values)
            {
                Require(known.Contains(key), value, $"{place}.{key} is not understood; known are {string.Join(", ", known)}");
                // The order in which GPTQ goes through the columns leaves no trace in the format, unless it is that of groups.
                Require(key != "actorder" || IsNull(value) || (ordersColumns && Text(value, key) is "static" or "weight"), value, $"{place}.{key} is not available; leave it out");
                Require(key != "zp_dtype" || IsNull(value) || Text(value, key) == RecipeGroup.ZeroPointType, value, $"{place}.zp_dtype: zero points are {RecipeGroup.ZeroPointType}; leave it out");
                Require(key != "scale_dtype" || IsNull(value) || Text(value, key) == NvFp4Scales, value, $"{place}.scale_dtype: scales have the weights' type, those of NVFP4 {NvFp4Scales}; leave it out");
                Require(key != "observer_kwargs" || IsNull(value) || value is YamlMappingNode { Children.Count: 0 }, value, $"{place}.observer_kwargs is not available; leave it out");
            }

            bool isNvFp4 = values.TryGetValue("strategy", out YamlNode? named) && Text(named, place).Equals("tensor_group", StringComparison.OrdinalIgnoreCase);
            Require(isNvFp4 || !values.TryGetValue("scale_dtype", out YamlNode? scaleType) || IsNull(scaleType), node, $"{place}.scale_dtype has a meaning for NVFP4 only; leave it out");
            string? observer = values.TryGetValue("observer", out YamlNode? name) && !IsNull(name) ? Text(name, place) : defaultObserver;
            bool isLocal = values.TryGetValue("dynamic", out YamlNode? range) && Text(range, place).Equals("local", StringComparison.OrdinalIgnoreCase);
            Require(observer is null or "memoryless_minmax" or "minmax" || (isLocal && observer == "static_minmax"), node, $"{place}.observer: '{observer}' is not available; memoryless_minmax is");
            bool isSymmetric = !values.TryGetValue("symmetric", out YamlNode? symmetric) || Boolean(symmetric, $"{place}.symmetric");
            Require(!isSymmetric || !values.TryGetValue("zp_dtype", out YamlNode? zeroType) || IsNull(zeroType), node, $"{place}.zp_dtype has a meaning with symmetric false only; leave it out");
            return new QuantizationArgs
            {
                NumBits = values.TryGetValue("num_bits", out YamlNode? bits) ? Integer(bits, $"{place}.num_bits") : 8,
                Type = values.TryGetValue("type", out YamlNode? type) ? Text(type, place).ToLowerInvariant() : "int",
                Symmetric = isSymmetric,
                ZeroPointDtype = isSymmetric ? null : RecipeGroup.ZeroPointType,
                Strategy = values.TryGetValue("strategy", out YamlNode? strategy) ? Text(strategy, place).ToLowerInvariant() : throw Error(node, $"{place}: 'strategy' is missing"),
                GroupSize = values.TryGetValue("group_size", out YamlNode? size) && !IsNull(size) ? Integer(size, $"{place}.group_size") : null,
                BlockStructure = values.TryGetValue("block_structure", out YamlNode? block) && !IsNull(block) ? ReadBlock(block, place) : null,
                Dynamic = values.TryGetValue("dynamic", out YamlNode? dynamic) ? Text(dynamic, place).ToLowerInvariant() : "false",
                ScaleDtype = isNvFp4 ? NvFp4Scales : null,
                Observer = isLocal ? "static_minmax" : observer is null ? null : "memoryless_minmax",
            };
        }

        // A list, or the older spelling "128x128".
        private List<int> ReadBlock(YamlNode node, string place) => node is YamlScalarNode scalar
            ? [.. (scalar.Value ?? string.Empty).Split('x').Select(side => int.TryParse(side, CultureInfo.InvariantCulture, out int size) ? size : throw Error(node, $"{place}.block_structure: '{scalar.Value}' is not like 128x128"))]
            : [.. Sequence(node, $"{place}.block_structure").Select(side => Integer(side, $"{place}.block_structure"))];

        private IEnumerable<(string Key, YamlNode Value)> Entries(YamlNode node, string place) =>
            Mapping(node, place).Children.Select(entry => (Text(entry.Key, place), entry.Value));

        private YamlMappingNode Mapping(YamlNode node, string place) =>
            node as YamlMappingNode ?? throw Error(node, $"{place}: expected keys with values");

        private IEnumerable<YamlNode> Sequence(YamlNode node, string place) =>
            (node as YamlSequenceNode)?.Children ?? throw Error(node, $"{place}: expected a list");

        private List<string> Strings(YamlNode node, string place) => node is YamlScalarNode scalar
            ? [scalar.Value ?? string.Empty]
            : [.. Sequence(node, place).Select(item => Text(item, place))];

        private string Text(YamlNode node, string place) =>
            (node as YamlScalarNode)?.Value ?? throw Error(node, $"{place}: expected a text");

        private int Integer(YamlNode node, string place) =>
            int.TryParse(Text(node, place), CultureInfo.InvariantCulture, out int number) ? number : throw Error(node, $"{place}: expected a whole number");

        private bool Boolean(YamlNode node, string place) =>
            bool.TryParse(Text(node, place), out bool value) ? value : throw Error(node, $"{place}: expected true or false");

        private static bool IsNull(YamlNode node) => node is YamlScalarNode { Value: null or "" or "~" or "null" };

        private void Require(bool condition, YamlNode node, string problem)
        {
            if (!condition)
            {
                throw Error(node, problem);
            }
        }

        private RecipeException Error(YamlNode node, string problem)
        {
            string text = problem.StartsWith(source, StringComparison.Ordinal) ? problem[(source.Length + 2)..] : problem;
            return new RecipeException($"{source}: line {node.Start.Line}: {text}.");
        }
    }
}
