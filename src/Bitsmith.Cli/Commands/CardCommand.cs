using System.CommandLine;
using Bitsmith.Publishing.Cards;
using Bitsmith.Quantization.Jobs;

namespace Bitsmith.Cli.Commands;

/// <summary><c>bitsmith card</c>.</summary>
internal static class CardCommand
{
    public static Command Create(Terminal terminal)
    {
        Argument<string> output = new("OUT") { Description = "What the card is for: a quantized folder, a GGUF file, or a folder of GGUF files." };
        Option<string?> report = new("--report", "-r") { Description = "The folder or report.json of 'bitsmith compare', which measured OUT. Without it the card holds no measurements." };
        Option<string?> name = new("--name") { Description = "The repository on the hub, organization/name. Default: the name of OUT." };
        Option<string?> baseModel = new("--base-model") { Description = "The base model on the hub, organization/name." };
        Option<string?> baseFolder = new("--base") { Description = "The base model's folder, whose README.md says licence and languages. Default: the one that the report names." };
        Option<string?> license = new("--license") { Description = "The licence, an identifier of the hub (mit, apache-2.0, other), where the base model's card does not say it." };
        Option<string?> licenseName = new("--license-name") { Description = "The licence's name, where it is 'other'." };
        Option<string?> licenseLink = new("--license-link") { Description = "Where its text is: an address, or a file of the repository." };
        Option<string?> target = new("--output", "-o") { Description = "Write the card here, or to standard output with '-'. Default: README.md in OUT, or beside it." };
        Option<bool> force = new("--force") { Description = "Replace a README.md that is not the base model's and not a card of Bitsmith." };
        Command command = new("card", "Write the model card (README.md) of a result: front matter for the hub, what was quantized, what was measured, how it was made and is run, caveats, licence. Nothing is in it that was not measured.\n\n  bitsmith card ./GLM-4.6V-Flash-FP8 --report report --base-model zai-org/GLM-4.6V-Flash --name me/GLM-4.6V-Flash-FP8\n  bitsmith card ./ggufs --report report --base-model zai-org/GLM-4.6V-Flash --license mit");
        command.Arguments.Add(output);
        foreach (Option option in (Option[])[report, name, baseModel, baseFolder, license, licenseName, licenseLink, target, force])
        {
            command.Options.Add(option);
        }

        command.SetAction((parsed, _) =>
        {
            CardRequest request = new(parsed.GetRequiredValue(output))
            {
                Name = parsed.GetValue(name),
                BaseModel = parsed.GetValue(baseModel),
                BaseFolder = parsed.GetValue(baseFolder),
                Report = parsed.GetValue(report),
                License = parsed.GetValue(license),
                LicenseName = parsed.GetValue(licenseName),
                LicenseLink = parsed.GetValue(licenseLink),
            };
            string? path = parsed.GetValue(target);
            string place = ModelCard.PathFor(request, path == "-" ? null : path);
            if (path != "-" && !parsed.GetValue(force) && !ModelCard.MayReplace(request, place))
            {
                throw new RequestException($"{place} exists and is neither the base model's card nor one of Bitsmith. Move it away, choose another name with -o, or replace it with --force.");
            }

            string card = ModelCard.Create(request);
            if (path == "-")
            {
                terminal.Out.Write(card);
            }
            else
            {
                ModelCard.Save(request, card, place);
                terminal.Error.WriteLine($"wrote {place}");
            }

            return Task.FromResult(ExitCode.Done);
        });
        return command;
    }
}
