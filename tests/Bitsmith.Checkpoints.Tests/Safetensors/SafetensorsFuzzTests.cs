using Bitsmith.Checkpoints.Safetensors;
using Bitsmith.Checkpoints.Tests.Support;
using Bitsmith.Tensors.ElementTypes;

namespace Bitsmith.Checkpoints.Tests.Safetensors;

public sealed class SafetensorsFuzzTests
{
    private const int Runs = 3000;

    [Fact]
    public void A_damaged_file_opens_with_tensors_that_tile_it_or_is_refused()
    {
        int seed = Random.Shared.Next();
        Random random = new(seed);
        using TemporaryFolder folder = new();
        byte[] valid = Weights.File(
            new TensorInfo("model.embed", ElementType.BF16, [4, 3]), new TensorInfo("é\"\\", ElementType.F32, []),
            new TensorInfo("empty", ElementType.I8, [0, 9]), new TensorInfo("w", ElementType.F8E4M3, [5, 7]));
        int opened = 0;
        for (int run = 0; run < Runs; run++)
        {
            byte[] damaged = Mutation.Damage(valid, structure: valid.Length - 63, random);
            if (random.Next(3) > 0 && damaged.Length >= 8)
            {
                // A length prefix that fits lets the damage through to the JSON.
                int header = Math.Clamp(damaged.Length - 63 + random.Next(-1, 2), 8, damaged.Length) - 8;
                BitConverter.TryWriteBytes(damaged, (long)header);
            }

            string path = folder.Write("f.safetensors", damaged);
            long before = GC.GetAllocatedBytesForCurrentThread();
            try
            {
                using SafetensorsFile file = SafetensorsFile.Open(path);
                long position = file.Header.Bytes;
                foreach (StoredTensor tensor in file.Header.Tensors)
                {
                    Assert.True(position == tensor.Offset, $"seed {seed}, run {run}: {tensor}");
                    position += file.View(tensor).Length;
                }

                Assert.True(position == damaged.Length, $"seed {seed}, run {run}");
                opened++;
            }
            catch (CheckpointException refusal)
            {
                Assert.True(refusal.Path == path && refusal.Message.StartsWith(path, StringComparison.Ordinal), $"seed {seed}, run {run}: {refusal.Message}");
            }
            catch (Exception other) when (other is not Xunit.Sdk.IAssertionException)
            {
                Assert.Fail($"seed {seed}, run {run}: {other}");
            }

            Assert.True(GC.GetAllocatedBytesForCurrentThread() - before < 2_000_000, $"seed {seed}, run {run}: allocated too much");
        }

        Assert.InRange(opened, 1, Runs - 1);
    }
}
