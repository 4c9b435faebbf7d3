namespace Bitsmith.Models.Images.Preprocessing;

/// <summary>
/// Bicubic scaling with antialias on 8-bit samples, as torchvision does it: first along rows, then along columns, each pass rounded to bytes, with
/// 16-bit fixed-point weights whose precision depends on the largest weight of the pass. The bytes equal torchvision's.
/// </summary>
public static class BicubicResize
{
    private const double A = -0.5;
    private const double Support = 2;
    private const int MostPrecision = 22;

    /// <summary>Scales a picture; returns it as it is when it already has the size.</summary>
    /// <param name="image">The picture.</param>
    /// <param name="width">New width, at least 1.</param>
    /// <param name="height">New height, at least 1.</param>
    public static RgbImage Resize(RgbImage image, int width, int height)
    {
        ArgumentNullException.ThrowIfNull(image);
        ArgumentOutOfRangeException.ThrowIfLessThan(width, 1);
        ArgumentOutOfRangeException.ThrowIfLessThan(height, 1);
        if (width != image.Width)
        {
            image = AlongRows(image, new Weights(image.Width, width));
        }

        return height == image.Height ? image : AlongColumns(image, new Weights(image.Height, height));
    }

    private static RgbImage AlongRows(RgbImage image, Weights weights)
    {
        byte[] pixels = new byte[checked(weights.Count * image.Height * 3)];
        int target = 0;
        for (int y = 0; y < image.Height; y++)
        {
            ReadOnlySpan<byte> row = image.Row(y);
            for (int x = 0; x < weights.Count; x++, target += 3)
            {
                ReadOnlySpan<short> factors = weights.Of(x, out int first);
                ReadOnlySpan<byte> source = row.Slice(first * 3, factors.Length * 3);
                int red = weights.Half, green = weights.Half, blue = weights.Half;
                for (int i = 0, from = 0; i < factors.Length; i++, from += 3)
                {
                    int factor = factors[i];
                    red += factor * source[from];
                    green += factor * source[from + 1];
                    blue += factor * source[from + 2];
                }

                pixels[target] = weights.Round(red);
                pixels[target + 1] = weights.Round(green);
                pixels[target + 2] = weights.Round(blue);
            }
        }

        return new RgbImage(weights.Count, image.Height, pixels, image.Source);
    }

    private static RgbImage AlongColumns(RgbImage image, Weights weights)
    {
        int rowBytes = image.Width * 3;
        byte[] pixels = new byte[checked(weights.Count * rowBytes)];
        int[] sums = new int[rowBytes];
        for (int y = 0; y < weights.Count; y++)
        {
            ReadOnlySpan<short> factors = weights.Of(y, out int first);
            sums.AsSpan().Fill(weights.Half);
            for (int i = 0; i < factors.Length; i++)
            {
                int factor = factors[i];
                ReadOnlySpan<byte> row = image.Row(first + i);
                for (int x = 0; x < row.Length; x++)
                {
                    sums[x] += factor * row[x];
                }
            }

            Span<byte> target = pixels.AsSpan(y * rowBytes, rowBytes);
            for (int x = 0; x < target.Length; x++)
            {
                target[x] = weights.Round(sums[x]);
            }
        }

        return new RgbImage(image.Width, weights.Count, pixels, image.Source);
    }

    /// <summary>The cubic convolution kernel of Keys (1981) with a = -0.5.</summary>
    private static double Cubic(double x)
    {
        x = Math.Abs(x);
        return x < 1 ? ((((A + 2) * x) - (A + 3)) * x * x) + 1
            : x < 2 ? (((((A * x) - (5 * A)) * x) + (8 * A)) * x) - (4 * A)
            : 0;
    }

    /// <summary>For each new sample: which old samples it takes, and with which fixed-point weights.</summary>
    private sealed class Weights
    {
        private readonly int[] first;
        private readonly int[] length;
        private readonly short[] factors;
        private readonly int stride;
        private readonly int precision;

        public Weights(int from, int to)
        {
            double scale = (double)from / to;
            double support = Support * Math.Max(scale, 1), inverse = scale >= 1 ? 1 / scale : 1;
            stride = Math.Min(((int)Math.Ceiling(support) * 2) + 1, from);
            first = new int[to];
            length = new int[to];
            double[] exact = new double[checked(to * stride)];
            double largest = 0;
            for (int i = 0; i < to; i++)
            {
                double center = scale * (i + 0.5);
                first[i] = Math.Max((int)(center - support + 0.5), 0);
                length[i] = Math.Clamp(Math.Min((int)(center + support + 0.5), from) - first[i], 0, stride);
                Span<double> row = exact.AsSpan(i * stride, length[i]);
                double total = 0;
                for (int j = 0; j < row.Length; j++)
                {
                    row[j] = Cubic((j + first[i] - center + 0.5) * inverse);
                    total += row[j];
                }

                for (int j = 0; j < row.Length; j++)
                {
                    row[j] /= total;
                    largest = Math.Max(largest, row[j]);
                }
            }

            // As many fraction bits as leave the largest weight within 16 bits.
            while (precision < MostPrecision && (int)(0.5 + (largest * (1 << (precision + 1)))) < 1 << 15)
            {
                precision++;
            }

            factors = new short[exact.Length];
            for (int i = 0; i < exact.Length; i++)
            {
                factors[i] = (short)Math.Round(exact[i] * (1 << precision), MidpointRounding.AwayFromZero);
            }
        }

        public int Count => first.Length;

        public int Half => precision == 0 ? 0 : 1 << (precision - 1);

        public ReadOnlySpan<short> Of(int index, out int start)
        {
            start = first[index];
            return factors.AsSpan(index * stride, length[index]);
        }

        public byte Round(int sum) => (byte)Math.Clamp(sum >> precision, 0, 255);
    }
}
