using Bitsmith.Tensors.InstructionSets;

namespace Bitsmith.Tensors.Formats;

/// <summary>How a scheme quantizes the inputs of a Linear at run time.</summary>
public abstract record InputQuantization
{
    /// <summary>FP8 in groups of so many features, scales from the values at hand; see <see cref="Fp8Activations"/>.</summary>
    public sealed record Fp8(int GroupSize) : InputQuantization
    {
        /// <inheritdoc/>
        public override void RoundTrip(ReadOnlySpan<float> input, Span<float> output, bool isBFloat16, InstructionSet instructionSet) =>
            Fp8Activations.RoundTrip(input, GroupSize, output, instructionSet);

        /// <inheritdoc/>
        public override string ToString() => $"fp8 in groups of {GroupSize}";
    }

    /// <summary>NVFP4 with a global scale from calibration; see <see cref="NvFp4Activations"/>.</summary>
    public sealed record NvFp4(float GlobalScale) : InputQuantization
    {
        /// <inheritdoc/>
        public override void RoundTrip(ReadOnlySpan<float> input, Span<float> output, bool isBFloat16, InstructionSet instructionSet) =>
            NvFp4Activations.RoundTrip(input, GlobalScale, output, isBFloat16, instructionSet);

        /// <inheritdoc/>
        public override string ToString() => $"nvfp4 in groups of {NvFp4Group.Columns}";
    }

    /// <summary>Quantizes and decodes.</summary>
    /// <param name="input">A token's features; whole groups.</param>
    /// <param name="output">Receives the decoded values; may be the input.</param>
    /// <param name="isBFloat16">The input holds BF16 values; the output may need to be rounded to them again.</param>
    /// <param name="instructionSet">The kernels to use; all give the same bits.</param>
    /// <exception cref="ArgumentException">The lengths differ or are no whole groups.</exception>
    public abstract void RoundTrip(ReadOnlySpan<float> input, Span<float> output, bool isBFloat16, InstructionSet instructionSet);
}
