using System.Runtime.InteropServices;
using Bitsmith.Tensors.Formats;
using Bitsmith.Tensors.InstructionSets;
using Bitsmith.Tensors.Tests.Support;

namespace Bitsmith.Tensors.Tests.Formats;

public sealed class Fp8BlockInstructionSetTests
{
    [Theory]
    [InlineData(WeightEncoder.Library, 150)]
    [InlineData(WeightEncoder.Best, 40)]
    public void Every_instruction_set_writes_the_same_bytes_and_measures_the_same_loss(WeightEncoder encoder, int runs) =>
        Law.Holds(
            Matrix.Any(mostRows: 300, mostColumns: encoder == WeightEncoder.Best ? 150 : 300, largestSide: 160),
            matrix =>
            {
                byte[] weights = matrix.Bytes();
                Encoded scalar = Encoded.From(matrix, weights, encoder, InstructionSet.Scalar);
                foreach (InstructionSet set in Sets.All)
                {
                    Encoded encoded = Encoded.From(matrix, weights, encoder, set);
                    Assert.True(scalar.Scales.AsSpan().SequenceEqual(encoded.Scales), $"{set}: scales");
                    Assert.True(scalar.Codes.AsSpan().SequenceEqual(encoded.Codes), $"{set}: codes");
                    Assert.True(Bits(scalar.Errors).SequenceEqual(Bits(encoded.Errors)), $"{set}: loss");
                    Assert.True(Bits(scalar.LibraryErrors).SequenceEqual(Bits(encoded.LibraryErrors)), $"{set}: the library's loss");
                }
            },
            runs);

    [Fact]
    public void Every_instruction_set_decodes_to_the_same_bits() =>
        Law.Holds(
            Matrix.Any(mostRows: 200, mostColumns: 300, largestSide: 160),
            matrix =>
            {
                Encoded encoded = Encoded.From(matrix, matrix.Bytes(), WeightEncoder.Library);
                uint[] scalar = Decode(matrix, encoded, InstructionSet.Scalar);
                foreach (InstructionSet set in Sets.All)
                {
                    Assert.True(scalar.AsSpan().SequenceEqual(Decode(matrix, encoded, set)), $"{set}");
                }
            },
            runs: 100);

    [Theory]
    [InlineData(WeightEncoder.Library, 100)]
    [InlineData(WeightEncoder.Best, 25)]
    public void Encoding_chunks_of_whole_block_rows_gives_the_bytes_and_losses_of_the_whole(WeightEncoder encoder, int runs) =>
        Law.Holds(
            Matrix.Any(mostRows: 300, mostColumns: 100, largestSide: 60),
            matrix =>
            {
                byte[] weights = matrix.Bytes();
                Encoded whole = Encoded.From(matrix, weights, encoder);
                Random random = new(matrix.Seed);
                for (int first = 0; first < matrix.Grid.Rows;)
                {
                    int count = random.Next(1, matrix.Grid.Rows - first + 1);
                    int row = first * matrix.Block.Rows, end = Math.Min(matrix.Rows, (first + count) * matrix.Block.Rows);
                    Encoded part = Encoded.From(
                        matrix with { Rows = end - row }, weights[(row * matrix.RowBytes)..(end * matrix.RowBytes)], encoder);
                    Assert.True(part.Codes.AsSpan().SequenceEqual(whole.Codes.AsSpan()[(row * matrix.Columns)..(end * matrix.Columns)]), $"codes from block row {first} on");
                    Assert.True(
                        part.Scales.AsSpan().SequenceEqual(whole.Scales.AsSpan()[(first * matrix.ScaleRowBytes)..((first + count) * matrix.ScaleRowBytes)]),
                        $"scales from block row {first} on");
                    Assert.Equal(whole.Errors[first..(first + count)], part.Errors);
                    first += count;
                }
            },
            runs);

    [Fact]
    public void Decoding_a_chunk_of_whole_block_rows_gives_what_decoding_everything_gives() =>
        Law.Holds(
            Matrix.Any(mostRows: 120, mostColumns: 100, largestSide: 30),
            matrix =>
            {
                Encoded whole = Encoded.From(matrix, matrix.Bytes(), WeightEncoder.Library);
                uint[] decoded = Decode(matrix, whole, null);
                int first = matrix.Grid.Rows / 2, row = first * matrix.Block.Rows;
                if (row < matrix.Rows)
                {
                    Encoded lower = whole with { Codes = whole.Codes[(row * matrix.Columns)..], Scales = whole.Scales[(first * matrix.ScaleRowBytes)..] };
                    Assert.Equal(decoded[(row * matrix.Columns)..], Decode(matrix with { Rows = matrix.Rows - row }, lower, null));
                }
            },
            runs: 50);

    private static ReadOnlySpan<byte> Bits(QuantizationError[] errors) => MemoryMarshal.AsBytes(errors.AsSpan());

    private static uint[] Decode(Matrix matrix, Encoded encoded, InstructionSet? set)
    {
        float[] values = new float[encoded.Codes.Length];
        Fp8Block.Decode(matrix.Type, encoded.Codes, encoded.Scales, matrix.Rows, matrix.Columns, matrix.Block, values, set);
        return MemoryMarshal.Cast<float, uint>(values).ToArray();
    }
}
