namespace Bitsmith.Models.Layers;

/// <summary>A tensor of a layer that is no Linear's weight: a norm's weight, a bias, the router's matrix.</summary>
/// <param name="Name">Its name in the checkpoint.</param>
/// <param name="Values">Its values, widened to binary32.</param>
public sealed record LayerVector(string Name, float[] Values);
