using Bitsmith.Checkpoints.Datasets;
using Bitsmith.Checkpoints.Tests.Support;

namespace Bitsmith.Checkpoints.Tests.Datasets;

public sealed class DatasetCacheTests : IDisposable
{
    private readonly TemporaryFolder folder = new();

    public void Dispose() => folder.Dispose();

    [Theory]
    [InlineData("org/set:train_sft", "data/train_sft-00000-of-00002.parquet|data/train_sft-00001-of-00002.parquet")]
    [InlineData("org/set:test_sft", "data/test_sft-00000-of-00001.parquet")]
    [InlineData("org/long", "long.jsonl")]
    [InlineData("org/long:train", "long.jsonl")]
    [InlineData("org/folders/b:test", "b/test/rows.json")]
    public void A_split_is_found_by_the_names_of_its_files(string name, string files)
    {
        Snapshot("org--set", "README.md", "data/train_sft-00000-of-00002.parquet", "data/train_sft-00001-of-00002.parquet", "data/test_sft-00000-of-00001.parquet");
        Snapshot("org--long", "README.md", "long.jsonl");
        Snapshot("org--folders", "a/test/rows.json", "b/test/rows.json", "b/train.json");
        Assert.Equal(files.Split('|'), new DatasetCache(folder.Path).Find(name).Select(file => Path.GetRelativePath(folder.Path, file).Split("abc123" + Path.DirectorySeparatorChar)[1].Replace('\\', '/')));
    }

    [Theory]
    [InlineData("org/none:train", "is not in the Hugging Face cache. Download it with 'hf download --repo-type dataset org/none'")]
    [InlineData("org/set", "'org/set' needs a split, as in org/set:train; it has 'test', 'train'")]
    [InlineData("org/set:val", "has no split 'val'; it has 'test', 'train'")]
    [InlineData("org/parts:train", "has 1 of the 2 files of 'train'. The download is not complete")]
    [InlineData("org/folders:test", "lies in several folders: a, b. Name one, as in org/folders/a:test")]
    [InlineData("org/arrow:train", "no file there is JSON Lines, JSON, CSV or Parquet")]
    public void What_is_missing_or_unclear_is_said(string name, string finding)
    {
        Snapshot("org--set", "train.jsonl", "test.jsonl");
        Snapshot("org--parts", "train-00000-of-00002.parquet");
        Snapshot("org--folders", "a/test.json", "b/test.json");
        Snapshot("org--arrow", "train.arrow");
        Assert.Contains(finding, Assert.Throws<CheckpointException>(() => new DatasetCache(folder.Path).Find(name)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Of_several_snapshots_the_one_that_main_names_is_taken()
    {
        Snapshot("org--set", "train.jsonl");
        folder.Write("datasets--org--set/snapshots/def456/train.jsonl", "{}\n{}");
        Assert.Contains("def456", Assert.Single(new DatasetCache(folder.Path).Find("org/set:train").Select(path => Main("def456", path))), StringComparison.Ordinal);

        string Main(string hash, string _)
        {
            folder.Write("datasets--org--set/refs/main", hash + "\n");
            return new DatasetCache(folder.Path).Find("org/set:train")[0];
        }
    }

    [Theory]
    [InlineData("", "/home/u/.cache/huggingface/hub")]
    [InlineData("XDG_CACHE_HOME=/x", "/x/huggingface/hub")]
    [InlineData("XDG_CACHE_HOME=/x HF_HOME=/h", "/h/hub")]
    [InlineData("HF_HOME=/h HF_HUB_CACHE=/c", "/c")]
    [InlineData("HF_HOME=/h HF_HUB_CACHE=", "/h/hub")]
    public void The_cache_is_where_the_environment_says(string variables, string hub)
    {
        Dictionary<string, string> set = variables.Split(' ', StringSplitOptions.RemoveEmptyEntries).Select(pair => pair.Split('=')).ToDictionary(pair => pair[0], pair => pair[1]);
        Assert.Equal(hub, DatasetCache.Of(set.GetValueOrDefault, "/home/u").Hub.Replace('\\', '/'));
    }

    private void Snapshot(string repository, params string[] files)
    {
        folder.Write($"datasets--{repository}/refs/main", "abc123");
        foreach (string file in files)
        {
            folder.Write($"datasets--{repository}/snapshots/abc123/{file}", "{}");
        }
    }
}
