namespace Bitsmith.Models.Layers;

/// <summary>The second half of a decoder layer: dense or a mixture of experts.</summary>
internal interface IMlp
{
    /// <summary>The Linears, in the order in which they are applied.</summary>
    IEnumerable<Linear> Linears { get; }

    /// <summary>Biases, and the router's matrix.</summary>
    IEnumerable<LayerVector> Vectors { get; }

    /// <summary>output = mlp(input), for [tokens × D].</summary>
    void Forward(ReadOnlyMemory<float> input, int tokens, Memory<float> output, ForwardPass pass);
}

/// <summary>down(silu(gate x) · (up x)), with gate and up in one matrix (rows 0..F-1 gate, F..2F-1 up).</summary>
internal sealed record FusedMlp(Linear GateUp, Linear Down) : IMlp
{
    public IEnumerable<Linear> Linears => [GateUp, Down];

    public IEnumerable<LayerVector> Vectors => Linears.SelectMany(linear => linear.Vectors);

    public void Forward(ReadOnlyMemory<float> input, int tokens, Memory<float> output, ForwardPass pass)
    {
        int width = Down.Weight.Columns;
        Memory<float> both = pass.Buffer(PassBuffer.Gate, tokens * 2 * width), inner = pass.Buffer(PassBuffer.Up, tokens * width);
        GateUp.Forward(input, tokens, both, pass);
        RowWork.Gate(both, both[width..], 2 * width, inner, tokens, width, pass.Compute);
        Down.Forward(inner, tokens, output, pass);
    }
}

/// <summary>down(silu(gate x) · (up x)).</summary>
internal sealed record GatedMlp(Linear Gate, Linear Up, Linear Down) : IMlp
{
    public IEnumerable<Linear> Linears => [Gate, Up, Down];

    public IEnumerable<LayerVector> Vectors => Linears.SelectMany(linear => linear.Vectors);

    public void Forward(ReadOnlyMemory<float> input, int tokens, Memory<float> output, ForwardPass pass)
    {
        int width = Down.Weight.Columns;
        Memory<float> gate = pass.Buffer(PassBuffer.Gate, tokens * width), up = pass.Buffer(PassBuffer.Up, tokens * width);
        pass.Inputs.Set(input, tokens);
        Gate.Forward(pass.Inputs, gate, pass);
        Up.Forward(pass.Inputs, up, pass);
        RowWork.Gate(gate, up, width, gate, tokens, width, pass.Compute);
        Down.Forward(gate, tokens, output, pass);
    }
}
