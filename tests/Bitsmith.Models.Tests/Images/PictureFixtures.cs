using System.IO.Compression;
using System.Text.Json;

namespace Bitsmith.Models.Tests.Images;

/// <summary>A picture file and what Pillow reads from it; <see cref="Rgb"/> is null where Pillow refuses it.</summary>
internal sealed record PictureFixture(string Name, byte[] File, int Width, int Height, byte[]? Rgb, int UprightWidth, int UprightHeight, byte[]? Upright);

/// <summary>The files of Fixtures/pictures.json, which make_pictures.py beside it wrote.</summary>
internal static class PictureFixtures
{
    public static IReadOnlyDictionary<string, PictureFixture> All { get; } = Read();

    /// <summary>A file of the linked goldens.</summary>
    public static string Golden(params string[] parts) => Path.Combine([AppContext.BaseDirectory, "goldens", .. parts]);

    private static Dictionary<string, PictureFixture> Read()
    {
        string file = Repository.PathOf("tests", "Bitsmith.Models.Tests", "Images", "Fixtures", "pictures.json");
        using var json = JsonDocument.Parse(File.ReadAllBytes(file));
        return json.RootElement.EnumerateArray().Select(One).ToDictionary(fixture => fixture.Name);
    }

    private static PictureFixture One(JsonElement entry) => new(
        entry.GetProperty("name").GetString()!,
        entry.GetProperty("file").GetBytesFromBase64(),
        Number(entry, "width"),
        Number(entry, "height"),
        Pixels(entry, "rgb"),
        Number(entry, "uprightWidth"),
        Number(entry, "uprightHeight"),
        Pixels(entry, "upright"));

    private static int Number(JsonElement entry, string name) => entry.TryGetProperty(name, out JsonElement value) ? value.GetInt32() : 0;

    private static byte[]? Pixels(JsonElement entry, string name)
    {
        if (!entry.TryGetProperty(name, out JsonElement value))
        {
            return null;
        }

        using ZLibStream inflated = new(new MemoryStream(value.GetBytesFromBase64()), CompressionMode.Decompress);
        using MemoryStream pixels = new();
        inflated.CopyTo(pixels);
        return pixels.ToArray();
    }
}
