using Bitsmith.Checkpoints.Safetensors;

namespace Bitsmith.Quantization.Calibration.Weights;

/// <summary>What the tensors of a layer became.</summary>
/// <param name="Tensors">The tensors with their whole content.</param>
/// <param name="Losses">What the outputs of Linears lost, by the names of their weights in the source.</param>
internal sealed record LayerResults(IReadOnlyList<(TensorInfo Tensor, ReadOnlyMemory<byte> Content)> Tensors, IReadOnlyDictionary<string, OutputLoss> Losses);
