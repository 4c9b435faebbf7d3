using Bitsmith.Checkpoints.Gguf;
using Bitsmith.Checkpoints.Tests.Support;

namespace Bitsmith.Checkpoints.Tests.Gguf;

public sealed class GgufFuzzTests
{
    [Fact]
    public void A_damaged_file_opens_with_tensors_inside_it_or_is_refused()
    {
        int seed = Random.Shared.Next(), opened = 0;
        Random random = new(seed);
        using TemporaryFolder folder = new();
        byte[] valid = GgufFiles.Small();
        int structure = (int)Parse(folder, valid).Min(tensor => tensor.Offset);
        const int Runs = 4000;
        for (int run = 0; run < Runs; run++)
        {
            byte[] damaged = random.Next(3) > 0 ? Numbers(valid, structure, random) : Mutation.Damage(valid, structure, random);
            opened += Try(folder, damaged, $"seed {seed}, run {run}");
        }

        Assert.InRange(opened, 1, Runs - 1);
    }

    [Fact]
    public void A_file_cut_off_anywhere_in_its_header_or_data_is_refused()
    {
        using TemporaryFolder folder = new();
        byte[] valid = GgufFiles.Small();
        long end = Parse(folder, valid).Max(tensor => tensor.Offset + tensor.Bytes);
        for (int length = 0; length < valid.Length; length++)
        {
            Assert.Equal(length < end ? 0 : 1, Try(folder, valid[..length], $"{length} bytes"));
        }
    }

    [Fact]
    public void Every_single_flipped_bit_is_survived()
    {
        using TemporaryFolder folder = new();
        byte[] valid = GgufFiles.Small();
        int structure = (int)Parse(folder, valid).Min(tensor => tensor.Offset);
        for (int bit = 0; bit < structure * 8; bit++)
        {
            byte[] damaged = [.. valid];
            damaged[bit / 8] ^= (byte)(1 << (bit % 8));
            Try(folder, damaged, $"bit {bit}");
        }
    }

    // Counts, lengths and offsets near what a reader must not trust.
    private static byte[] Numbers(byte[] valid, int structure, Random random)
    {
        byte[] damaged = [.. valid];
        ulong[] hostile = [0, 1, 2, 31, 33, 63, 64, 65, int.MaxValue, uint.MaxValue, long.MaxValue, 1ul << 63, ulong.MaxValue, 1ul << 61, 1ul << 32, (ulong)valid.Length];
        for (int change = random.Next(1, 4); change > 0; change--)
        {
            BitConverter.TryWriteBytes(damaged.AsSpan(random.Next(structure - 8)), hostile[random.Next(hostile.Length)]);
        }

        return damaged;
    }

    private static int Try(TemporaryFolder folder, byte[] bytes, string about)
    {
        string path = folder.Write("f.gguf", bytes);
        long before = GC.GetAllocatedBytesForCurrentThread();
        int opened = 0;
        try
        {
            using GgufFile file = GgufFile.Open(path);
            long position = 0;
            foreach (GgufTensor tensor in file.Header.Tensors)
            {
                Assert.True(tensor.Offset >= position && tensor.Offset % file.Header.Alignment == 0, $"{about}: {tensor}");
                position = tensor.Offset + file.View(tensor).Length;
            }

            Assert.True(position <= bytes.Length, about);
            opened = 1;
        }
        catch (CheckpointException refusal)
        {
            Assert.True(refusal.Path == path && refusal.Message.StartsWith(path, StringComparison.Ordinal), $"{about}: {refusal.Message}");
        }
        catch (Exception other) when (other is not Xunit.Sdk.IAssertionException)
        {
            Assert.Fail($"{about}: {other}");
        }

        Assert.True(GC.GetAllocatedBytesForCurrentThread() - before < 1_000_000, $"{about}: allocated too much");
        return opened;
    }

    private static IReadOnlyList<GgufTensor> Parse(TemporaryFolder folder, byte[] bytes)
    {
        using GgufFile file = GgufFile.Open(folder.Write("valid.gguf", bytes));
        return file.Header.Tensors;
    }
}
