using System.Globalization;
using Bitsmith.Checkpoints.CompressedTensors;
using YamlDotNet.Core;
using YamlDotNet.RepresentationModel;

namespace Bitsmith.Quantization.Recipes;

/// <summary>
/// Reads recipes in llm-compressor's YAML form: stages (<c>*_stage</c>) that hold modifiers (<c>*_modifiers</c>), of which Bitsmith knows
/// <c>QuantizationModifier</c>; the modifier may also stand alone at the top. Every key that is not understood is an error.
/// </summary>
public static class RecipeYaml
{
    private const string Modifier = "QuantizationModifier", NvFp4Scales = "torch.float8_e4m3fn";

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
        YamlMappingNode modifier = reader.FindModifier(root);
        return reader.ReadModifier(modifier);
    }

    private sealed class Reader(string source)
    {
        public YamlMappingNode FindModifier(YamlNode root)
        {
            List<YamlMappingNode> found = [];
            foreach ((string key, YamlNode value) in Entries(root, "the recipe"))
            {
                if (key == Modifier)
                {
                    found.Add(Mapping(value, key));
                }
                else if (key.EndsWith("_stage", StringComparison.Ordinal))
                {
                    foreach ((string inner, YamlNode modifiers) in Entries(value, key))
                    {
                        Require(inner.EndsWith("_modifiers", StringComparison.Ordinal), modifiers, $"{key}.{inner}: expected a name that ends in _modifiers");
                        foreach ((string name, YamlNode modifier) in Entries(modifiers, inner))
                        {
                            Require(name == Modifier, modifier, $"{inner}.{name}: this modifier is not available; {Modifier} is");
                            found.Add(Mapping(modifier, name));
                        }
                    }
                }
                else
                {
                    throw Error(value, $"'{key}' is not understood; expected a stage (…_stage) or {Modifier}");
                }
            }

            return found switch
            {
                [YamlMappingNode only] => only,
                [] => throw Error(root, $"holds no {Modifier}"),
                _ => throw Error(found[1], $"holds {found.Count} {Modifier}s; Bitsmith runs one: put all groups under its config_groups"),
            };
        }

        public Recipe ReadModifier(YamlMappingNode modifier)
        {
            List<RecipeGroup> groups = [];
            List<string>? targets = null;
            List<string> ignore = [];
            YamlNode? scheme = null;
            foreach ((string key, YamlNode value) in Entries(modifier, Modifier))
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
                        scheme = value;
                        break;
                    case "config_groups":
                        groups.AddRange(Entries(value, key).Select(entry => ReadGroup(entry.Value, $"{source}: config_groups.{entry.Key}")));
                        break;
                    case "kv_cache_scheme":
                        Require(IsNull(value), value, "kv_cache_scheme: quantized KV caches are not available; leave it out");
                        break;
                    default:
                        throw Error(value, $"{Modifier}.{key} is not understood; known are targets, ignore, scheme, config_groups, kv_cache_scheme");
                }
            }

            Require(scheme is null != (groups.Count == 0), modifier, $"{Modifier} needs either scheme or config_groups");
            switch (scheme)
            {
                case null:
                    Require(targets is null, modifier, $"{Modifier}: with config_groups, targets stand in each group");
                    break;
                case YamlScalarNode name:
                    groups.Add(Presets.ByLibraryName(name.Value ?? string.Empty, $"{source}: scheme") with { Targets = targets ?? ["Linear"] });
                    break;
                default:
                    Require(targets is null, modifier, $"{Modifier}: with a scheme that maps presets to targets, targets must not stand beside it");
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

        private RecipeGroup ReadGroup(YamlNode node, string place)
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
                        weights = ReadArgs(value, $"{place}.weights", "memoryless_minmax");
                        break;
                    case "input_activations":
                        inputs = IsNull(value) ? null : ReadArgs(value, $"{place}.input_activations", null);
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

        private QuantizationArgs ReadArgs(YamlNode node, string place, string? defaultObserver)
        {
            Dictionary<string, YamlNode> values = Entries(node, place).ToDictionary(entry => entry.Key, entry => entry.Value);
            string[] known =
                ["num_bits", "type", "symmetric", "strategy", "group_size", "block_structure", "dynamic", "actorder", "scale_dtype", "zp_dtype", "observer", "observer_kwargs"];
            foreach ((string key, YamlNode value) in values)
            {
                Require(known.Contains(key), value, $"{place}.{key} is not understood; known are {string.Join(", ", known)}");
                Require(key is not ("actorder" or "zp_dtype") || IsNull(value), value, $"{place}.{key} is not available; leave it out");
                Require(key != "scale_dtype" || IsNull(value) || Text(value, key) == NvFp4Scales, value, $"{place}.scale_dtype: scales have the weights' type, those of NVFP4 {NvFp4Scales}; leave it out");
                Require(key != "observer_kwargs" || IsNull(value) || value is YamlMappingNode { Children.Count: 0 }, value, $"{place}.observer_kwargs is not available; leave it out");
            }

            bool isNvFp4 = values.TryGetValue("strategy", out YamlNode? named) && Text(named, place).Equals("tensor_group", StringComparison.OrdinalIgnoreCase);
            Require(isNvFp4 || !values.TryGetValue("scale_dtype", out YamlNode? scaleType) || IsNull(scaleType), node, $"{place}.scale_dtype has a meaning for NVFP4 only; leave it out");
            string? observer = values.TryGetValue("observer", out YamlNode? name) && !IsNull(name) ? Text(name, place) : defaultObserver;
            bool isLocal = values.TryGetValue("dynamic", out YamlNode? range) && Text(range, place).Equals("local", StringComparison.OrdinalIgnoreCase);
            Require(observer is null or "memoryless_minmax" or "minmax" || (isLocal && observer == "static_minmax"), node, $"{place}.observer: '{observer}' is not available; memoryless_minmax is");
            return new QuantizationArgs
            {
                NumBits = values.TryGetValue("num_bits", out YamlNode? bits) ? Integer(bits, $"{place}.num_bits") : 8,
                Type = values.TryGetValue("type", out YamlNode? type) ? Text(type, place).ToLowerInvariant() : "int",
                Symmetric = !values.TryGetValue("symmetric", out YamlNode? symmetric) || Boolean(symmetric, $"{place}.symmetric"),
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
