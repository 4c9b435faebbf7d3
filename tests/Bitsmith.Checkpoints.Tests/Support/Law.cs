using FsCheck;
using FsCheck.Fluent;

namespace Bitsmith.Checkpoints.Tests.Support;

/// <summary>Runs a law on generated values; a failure names the seed and the smallest value found.</summary>
internal static class Law
{
    public static void Holds<T>(Arbitrary<T> values, Action<T> body, int runs) =>
        Prop.ForAll(values, body).Check(Config.QuickThrowOnFailure.WithQuietOnSuccess(true).WithMaxTest(runs));
}
