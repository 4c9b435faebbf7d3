using Bitsmith.Models;
using Bitsmith.Quantization.Calibration.Data;
using Bitsmith.Quantization.Tests.Conversion;
using Bitsmith.Tensors.Matrices;

namespace Bitsmith.Interop.Tests;

public sealed class CalibrationInteropTests
{
    [Theory]
    [InlineData(48)]
    [InlineData(2048)]
    public void Conversations_become_the_tokens_that_transformers_makes_of_them(int maxLength)
    {
        using Peers peers = new();
        TinyModel.Copy(TinyModel.Sample, peers.Here("model"));
        string chats = Path.Combine(AppContext.BaseDirectory, "samples", "text", "chats.jsonl");
        File.Copy(chats, peers.Here("chats.jsonl"));
        (int code, string output) = peers.Run("chat_tokens.py", "@model", "@chats.jsonl", $"{maxLength}", "@tokens.jsonl");
        Assert.True(code == 0, output);

        using GlmModel model = GlmModel.Open(peers.Here("model"));
        CalibrationOptions options = new() { Sources = [new(chats)], Samples = 600, MaxLength = maxLength, Seed = null };
        CalibrationData own = CalibrationData.Load(options, model, ComputeOptions.Default, TestContext.Current.CancellationToken);
        CalibrationData peer = CalibrationData.Load(options with { Sources = [new(peers.Here("tokens.jsonl"))] }, model, ComputeOptions.Default, TestContext.Current.CancellationToken);
        Assert.Equal(peer.Samples.Select(sample => sample.Tokens), own.Samples.Select(sample => sample.Tokens));
        Assert.Equal(peer.Digest, own.Digest);
        Assert.Equal(maxLength == 48, own.Samples.All(sample => sample.Tokens.Length <= 48) && own.Samples.Any(sample => sample.Tokens.Length == 48));
    }
}
