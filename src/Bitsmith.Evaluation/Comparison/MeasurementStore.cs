using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using System.Text.Json.Serialization.Metadata;
using Bitsmith.Checkpoints.Files;

namespace Bitsmith.Evaluation.Comparison;

/// <summary>
/// The folder of a comparison's measurements, one file for each model and metric, named after both and a digest of all that the result depends on. A measurement whose file is there is not made again.
/// </summary>
/// <param name="folder">The folder; made when the first file is.</param>
internal sealed class MeasurementStore(string folder)
{
    private const int DigestCharacters = 16;

    /// <summary>The file of a measurement.</summary>
    /// <param name="model">The model's name in the report.</param>
    /// <param name="metric">What is measured.</param>
    /// <param name="dependencies">Everything that the result depends on.</param>
    /// <param name="extension">Of the file.</param>
    public string PathOf(string model, string metric, IEnumerable<string> dependencies, string extension = "json")
    {
        string digest = Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(string.Join('\n', dependencies))))[..DigestCharacters];
        return Path.Combine(folder, $"{string.Concat(model.Select(letter => char.IsAsciiLetterOrDigit(letter) || letter is '.' or '-' ? letter : '_'))}.{metric}.{digest}.{extension}");
    }

    /// <summary>Makes the folder.</summary>
    public void Create() => Directory.CreateDirectory(folder);

    /// <summary>A measurement that was made before; null where it is to be made, or its file is damaged.</summary>
    public static T? Find<T>(string path, JsonTypeInfo<T> type)
        where T : class
    {
        if (!File.Exists(path))
        {
            return null;
        }

        try
        {
            return JsonSerializer.Deserialize(File.ReadAllBytes(path), type);
        }
        catch (JsonException)
        {
            return null; // measured again, and written over
        }
    }

    /// <summary>Keeps a measurement.</summary>
    /// <exception cref="IOException">The system refused.</exception>
    public static void Keep<T>(string path, T measurement, JsonTypeInfo<T> type) => AtomicFile.Write(path, JsonSerializer.SerializeToUtf8Bytes(measurement, type));
}
