namespace Bitsmith.Models.Tests;

/// <summary>Files of the repository that are not copied beside the tests.</summary>
internal static class Repository
{
    /// <summary>The path of a file or folder, given from the repository's root.</summary>
    public static string PathOf(params string[] parts)
    {
        string place = Path.Combine(parts);
        for (DirectoryInfo? folder = new(AppContext.BaseDirectory); folder is not null; folder = folder.Parent)
        {
            string found = Path.Combine(folder.FullName, place);
            if (Path.Exists(found))
            {
                return found;
            }
        }

        throw new FileNotFoundException($"{place} is in no folder above {AppContext.BaseDirectory}.");
    }
}
