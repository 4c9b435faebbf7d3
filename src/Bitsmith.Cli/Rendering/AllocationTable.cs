using Bitsmith.Quantization.Allocation;
using Spectre.Console;

namespace Bitsmith.Cli.Rendering;

/// <summary>An allocation for people.</summary>
internal static class AllocationTable
{
    public static void Write(Terminal terminal, AllocationPlan plan)
    {
        Table table = Tables.Create("tensor", "type", ">bytes", ">loss", "why");
        foreach (AllocatedTensor tensor in plan.Tensors)
        {
            table.Row(tensor.Name, tensor.Type, Units.Bytes(tensor.Bytes), tensor.Cost?.ToString("G3") ?? "-", tensor.Reason);
        }

        table.AddTo(terminal);
        string bound = plan.Cost == plan.LowerBound ? "no other types within the target lose less" : $"no other types within the target lose less than {plan.LowerBound:G6}";
        terminal.Out.WriteLine($"{plan.Target}: {plan.BitsPerWeight:0.0000} bits per weight, {plan.TensorBytes} bytes of tensors, about {plan.Scheme}; loss {plan.Cost:G6} by {AllocationMethods.NameOf(plan.Method)}, {bound}");
    }
}
