using System.Runtime.InteropServices;
using Bitsmith.Checkpoints.Files;
using Bitsmith.Checkpoints.Tests.Support;
using FsCheck.Fluent;

namespace Bitsmith.Checkpoints.Tests.Files;

public sealed class DirectFileTests
{
    [Fact]
    public void Pieces_of_any_length_at_any_place_leave_the_bytes_of_an_ordinary_file() =>
        Law.Holds(
            (from pieces in (from place in Gen.Choose(0, 20)
                             from beside in Gen.Elements(0, 0, 1, 511, 4095)
                             from units in Gen.Choose(0, 5)
                             from rest in Gen.Elements(0, 0, 7, 512, 4095)
                             select (Offset: (place * DirectFile.Unit) + beside, Length: (units * DirectFile.Unit) + rest)).ArrayOf()
             from skipped in Gen.Elements(0, 0, 64)
             from reopened in Gen.Choose(0, 8)
             from seed in Gen.Choose(0, int.MaxValue)
             select (pieces, skipped, reopened, seed)).ToArbitrary(),
            given =>
            {
                using TemporaryFolder folder = new();
                string path = folder.File("file");
                byte[] expected = new byte[(30 * DirectFile.Unit) + 100];
                Random random = new(given.seed);
                Memory<byte> memory = DirectFile.Buffer(6 * DirectFile.Unit)[given.skipped..];
                DirectFile file = DirectFile.Create(path, expected.Length);
                for (int i = 0; i < given.pieces.Length; i++)
                {
                    if (i == given.reopened)
                    {
                        file.Dispose();
                        file = DirectFile.Open(path);
                    }

                    (int offset, int length) = given.pieces[i];
                    Span<byte> piece = memory.Span[..Math.Min(length, memory.Length)];
                    random.NextBytes(piece);
                    piece.CopyTo(expected.AsSpan(offset));
                    file.Write(piece, offset);
                }

                file.Flush();
                file.Dispose();
                Assert.Equal(expected, File.ReadAllBytes(path));
            },
            runs: 60);

    [Theory]
    [InlineData(1)]
    [InlineData(1 << 20)]
    public void A_buffer_begins_with_a_unit_of_memory(int bytes)
    {
        Memory<byte> buffer = DirectFile.Buffer(bytes);
        Assert.Equal(bytes, buffer.Length);
        Assert.True(MemoryMarshal.TryGetArray(buffer, out ArraySegment<byte> segment));
        Assert.Equal(0, Marshal.UnsafeAddrOfPinnedArrayElement(segment.Array!, segment.Offset) % DirectFile.Unit);
    }

    [Fact]
    public void A_file_system_that_keeps_files_in_memory_takes_the_same_bytes()
    {
        Assert.SkipUnless(Directory.Exists("/dev/shm"), "there is no /dev/shm");
        string path = Path.Combine("/dev/shm", Path.GetRandomFileName());
        byte[] expected = new byte[(2 * DirectFile.Unit) + 5];
        new Random(3).NextBytes(expected);
        Memory<byte> buffer = DirectFile.Buffer(expected.Length);
        expected.CopyTo(buffer);
        try
        {
            using (DirectFile file = DirectFile.Create(path, expected.Length))
            {
                file.Write(buffer.Span, 0);
                file.Flush();
            }

            Assert.Equal(expected, File.ReadAllBytes(path));
        }
        finally
        {
            File.Delete(path);
        }
    }
}
