using Bitsmith.Models.Images;

namespace Bitsmith.Models.Tests.Images;

public sealed class DecoderTests
{
    public static TheoryData<string> Readable => [.. PictureFixtures.All.Values.Where(fixture => fixture.Rgb is not null).Select(fixture => fixture.Name)];

    public static TheoryData<string> Oriented => [.. PictureFixtures.All.Values.Where(fixture => fixture.Upright is not null).Select(fixture => fixture.Name)];

    public static TheoryData<string> Refused => [.. PictureFixtures.All.Values.Where(fixture => fixture.Rgb is null).Select(fixture => fixture.Name)];

    [Theory]
    [MemberData(nameof(Readable))]
    public void Pixels_equal_those_of_Pillow(string name)
    {
        PictureFixture fixture = PictureFixtures.All[name];
        RgbImage image = ImageDecoder.Decode(fixture.File, name, applyExifOrientation: false);
        Assert.Equal((fixture.Width, fixture.Height), (image.Width, image.Height));
        AssertSame(fixture.Rgb!, image);
    }

    [Theory]
    [MemberData(nameof(Oriented))]
    public void Turned_pictures_equal_those_of_exif_transpose(string name)
    {
        PictureFixture fixture = PictureFixtures.All[name];
        RgbImage image = ImageDecoder.Decode(fixture.File, name);
        Assert.Equal((fixture.UprightWidth, fixture.UprightHeight), (image.Width, image.Height));
        AssertSame(fixture.Upright!, image);
    }

    [Theory]
    [MemberData(nameof(Refused))]
    public void What_Pillow_cannot_read_is_refused(string name) =>
        Assert.Equal(ImageProblem.NotSupported, Assert.Throws<ImageException>(() => ImageDecoder.Decode(PictureFixtures.All[name].File, name)).Problem);

    private static void AssertSame(byte[] expected, RgbImage image)
    {
        ReadOnlySpan<byte> actual = image.Pixels;
        int wrong = 0, largest = 0, first = -1;
        for (int i = 0; i < expected.Length; i++)
        {
            int difference = Math.Abs(expected[i] - actual[i]);
            if (difference > 0)
            {
                wrong++;
                largest = Math.Max(largest, difference);
                first = first < 0 ? i : first;
            }
        }

        Assert.True(wrong == 0, $"{wrong} of {expected.Length} bytes differ, by up to {largest}; the first at row {first / 3 / image.Width}, column {first / 3 % image.Width}, channel {first % 3}.");
    }
}
