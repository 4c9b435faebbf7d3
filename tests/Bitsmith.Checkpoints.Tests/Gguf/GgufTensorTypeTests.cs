using Bitsmith.Checkpoints.Gguf;
using Bitsmith.Tensors.Formats.Ggml;

namespace Bitsmith.Checkpoints.Tests.Gguf;

public sealed class GgufTensorTypeTests
{
    [Fact]
    public void Every_block_type_that_can_be_decoded_is_read_from_files_with_the_same_name_and_sizes()
    {
        foreach (GgmlFormat format in GgmlFormats.All.Where(format => format.Type != GgmlType.Q8_K)) // for activations: never in files
        {
            Assert.Equal(new GgufTensorType((int)format.Type, format.Name, format.BlockValues, format.BlockBytes), GgufTensorType.Find((int)format.Type));
        }

        Assert.Null(GgufTensorType.Find((int)GgmlType.Q8_K));
    }
}
