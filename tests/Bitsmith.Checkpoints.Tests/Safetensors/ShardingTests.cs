using System.Text;
using System.Text.Json.Nodes;
using Bitsmith.Checkpoints.Safetensors;
using Bitsmith.Checkpoints.Tests.Support;
using FsCheck.Fluent;

namespace Bitsmith.Checkpoints.Tests.Safetensors;

public sealed class ShardingTests
{
    [Fact]
    public void Shards_keep_the_order_stay_under_the_limit_and_are_as_full_as_order_allows() =>
        Law.Holds(
            (from sizes in Gen.Choose(0, 120).Select(size => (long)size).ArrayOf()
             from limit in Gen.Choose(1, 100)
             select (sizes, limit)).ToArbitrary(),
            given =>
            {
                IReadOnlyList<Shard<long>> shards = Sharding.Split(given.sizes, size => size, given.limit);
                Assert.Equal(given.sizes, shards.SelectMany(shard => shard.Units));
                for (int i = 0; i < shards.Count; i++)
                {
                    long sum = shards[i].Units.Sum();
                    Assert.NotEmpty(shards[i].Units);
                    Assert.True(sum <= given.limit || shards[i].Units.Count(size => size > 0) == 1, $"shard {i} holds {sum}");
                    Assert.True(i + 1 == shards.Count || sum + shards[i + 1].Units[0] > given.limit, $"the first unit of shard {i + 1} fits into shard {i}");
                }
            },
            runs: 500);

    [Fact]
    public void A_unit_over_the_limit_has_a_file_of_its_own()
    {
        IReadOnlyList<Shard<int>> shards = Sharding.Split([3, 50, 3, 4], size => (long)size, 10);
        Assert.Equal([[3], [50], [3, 4]], shards.Select(shard => shard.Units));
    }

    [Fact]
    public void A_unit_that_fills_a_file_exactly_stays_in_it() =>
        Assert.Equal([[4, 6], [1]], Sharding.Split([4, 6, 1], size => (long)size, 10).Select(shard => shard.Units));

    [Fact]
    public void One_file_is_called_model_safetensors() =>
        Assert.Equal("model.safetensors", Assert.Single(Sharding.Split([1, 2], size => (long)size, 10)).FileName);

    [Fact]
    public void Several_files_are_numbered_from_one_in_five_digits() =>
        Assert.Equal(
            ["model-00001-of-00003.safetensors", "model-00002-of-00003.safetensors", "model-00003-of-00003.safetensors"],
            Sharding.Split([9, 9, 9], size => (long)size, 10).Select(shard => shard.FileName));

    [Theory]
    [InlineData(0)]
    [InlineData(-1)]
    public void A_limit_that_nothing_fits_into_is_refused(long limit) =>
        Assert.Throws<ArgumentOutOfRangeException>(() => Sharding.Split([1], size => (long)size, limit));

    [Fact]
    public void The_index_lists_the_file_of_each_tensor_by_name_and_the_total_size()
    {
        byte[] index = Sharding.WriteIndex([("model.b", "two"), ("model.a", "one"), ("model.B", "two"), ("model.é", "one")], 12_345_678_901);
        Assert.Equal(
            """
            {
              "metadata": {
                "total_size": 12345678901
              },
              "weight_map": {
                "model.B": "two",
                "model.a": "one",
                "model.b": "two",
                "model.é": "one"
              }
            }

            """.ReplaceLineEndings("\n"),
            Encoding.UTF8.GetString(index));
        Assert.Equal(12_345_678_901, (long)JsonNode.Parse(index)!["metadata"]!["total_size"]!);
    }
}
