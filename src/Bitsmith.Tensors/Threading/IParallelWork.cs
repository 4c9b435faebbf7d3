namespace Bitsmith.Tensors.Threading;

/// <summary>Work in independent parts; a struct, so that handing it to threads allocates nothing.</summary>
public interface IParallelWork
{
    /// <summary>Does one part.</summary>
    /// <param name="task">Its index.</param>
    void Run(int task);
}
