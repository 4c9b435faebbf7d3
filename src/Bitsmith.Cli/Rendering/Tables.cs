using System.Text.Encodings.Web;
using System.Text.Json;
using Bitsmith.Checkpoints.Inspection;
using Bitsmith.Evaluation.Answers;
using Bitsmith.Quantization.Jobs;
using Bitsmith.Quantization.Manifests;
using Bitsmith.Quantization.Packaging;
using Bitsmith.Quantization.Planning;
using Bitsmith.Quantization.Verification;
using Spectre.Console;

namespace Bitsmith.Cli.Rendering;

/// <summary>Shared look of tables.</summary>
internal static class Tables
{
    public static Table Create(params ReadOnlySpan<string> columns)
    {
        Table table = new() { Border = TableBorder.Simple };
        foreach (string column in columns)
        {
            // A leading '>' aligns to the right.
            TableColumn header = new(Markup.Escape(column.TrimStart('>')));
            table.AddColumn(column.StartsWith('>') ? header.RightAligned() : header);
        }

        return table;
    }

    public static void Row(this Table table, params string[] cells) => table.AddRow([.. cells.Select(cell => new Text(cell))]);

    public static void AddTo(this Table table, Terminal terminal) => terminal.Results.Write(table);
}

/// <summary>A plan for people.</summary>
internal static class PlanTable
{
    public static void Write(Terminal terminal, QuantizationJob job, bool everyTensor)
    {
        QuantizationPlan plan = job.Plan;
        Rows(terminal, everyTensor, plan.Rows.Select(row => (row.Source.Name, row.IsEncoded ? "encode" : "keep", row.Rule, row.Source.Bytes, row.BytesAfter)));
        terminal.Out.WriteLine($"{plan.EncodedModules} Linears encoded, {plan.Rows.Count - plan.EncodedModules} tensors kept: {Total(plan.BytesBefore, plan.BytesAfter)}, {job.Estimate.Shards} weight file(s)");
        End(terminal, job.Estimate, plan.Warnings);
    }

    public static void Write(Terminal terminal, GgufQuantizationJob job, bool everyTensor)
    {
        GgufPlan plan = job.Plan;
        Rows(terminal, everyTensor, plan.Rows.Select(row => (row.Output.Name, row.IsEncoded ? row.Output.Type.Name : $"keep {row.Output.Type.Name}", row.Rule, row.Source.Bytes, row.Output.Bytes)));
        terminal.Out.WriteLine(
            $"{plan.Mix.Name} ({plan.Architecture}): {plan.EncodedTensors} tensors encoded, {plan.Rows.Count - plan.EncodedTensors} kept: {Total(plan.BytesBefore, plan.BytesAfter)}, {plan.BitsPerWeight:0.000} bits per weight, {job.Estimate.Shards} file(s)");
        End(terminal, job.Estimate, plan.Warnings);
    }

    private static void Rows(Terminal terminal, bool everyTensor, IEnumerable<(string Name, string Decision, string Rule, long Before, long After)> rows)
    {
        Table table = Tables.Create("tensors", ">count", "decision", "rule", ">before", ">after");
        foreach (var group in rows.GroupBy(row => (everyTensor ? row.Name : Generic(row.Name), row.Decision, row.Rule)))
        {
            (string name, string decision, string rule) = group.Key;
            table.Row(name, group.Count().ToString(), decision, rule, Units.Bytes(group.Sum(row => row.Before)), Units.Bytes(group.Sum(row => row.After)));
        }

        table.AddTo(terminal);
    }

    private static string Total(long before, long after) => $"{before} -> {after} bytes ({Units.Bytes(before)} -> {Units.Bytes(after)})";

    private static void End(Terminal terminal, ResourceEstimate estimate, IReadOnlyList<string> warnings)
    {
        terminal.Out.WriteLine($"predicted: {Units.Needs(estimate)}");
        foreach (string warning in warnings)
        {
            terminal.Out.WriteLine($"warning: {warning}");
        }
    }

    // Layers, blocks and experts under one row.
    private static string Generic(string name) =>
        string.Join('.', name.Split('.').Select(part => int.TryParse(part, out _) ? "*" : part));
}

/// <summary>A finished job for people.</summary>
internal static class ResultTable
{
    private const int Worst = 5;

    public static void Write(Terminal terminal, Manifest manifest, string output)
    {
        ManifestTotals totals = manifest.Totals;
        Table table = Tables.Create("weights that lost most", ">relative RMSE", ">max error", ">SNR dB", ">gain dB");
        foreach (TensorReport tensor in manifest.Tensors.OrderByDescending(tensor => tensor.RelativeRmse).Take(Worst))
        {
            table.Row(tensor.Name, Number(tensor.RelativeRmse, "0.00000"), Number(tensor.MaxAbsError, "0.000000"), Number(tensor.SnrDb, "0.00"), Number(tensor.GainDb, "0.000"));
        }

        table.Row($"all {totals.EncodedLinears} encoded weights", Number(totals.RelativeRmse, "0.00000"), string.Empty, Number(totals.SnrDb, "0.00"), Number(totals.GainDb, "0.000"));
        table.AddTo(terminal);
        CalibrationLines.Write(terminal, manifest);
        CheckTable.Write(terminal, manifest.Checks);
        terminal.Out.WriteLine($"{output}: {Units.Bytes(totals.BytesBefore)} -> {Units.Bytes(totals.BytesAfter)} of tensors in {manifest.Output.Count} files; lineage in {Manifest.FileName}");
    }

    private static string Number(double? value, string format) => value?.ToString(format) ?? "-";
}

/// <summary>A finished job that wrote GGUF for people.</summary>
internal static class GgufResultTable
{
    public static void Write(Terminal terminal, GgufManifest manifest, string output)
    {
        Table table = Tables.Create("type", ">tensors", ">bytes", "lost most", ">relative RMSE", ">SNR dB");
        TensorErrorRows.Add(table, manifest.Tensors);
        GgufTotals totals = manifest.Totals;
        table.Row("all", totals.EncodedTensors.ToString(), Units.Bytes(manifest.Tensors.Sum(tensor => tensor.Bytes)), string.Empty, Number(totals.RelativeRmse, "0.00000"), Number(totals.SnrDb, "0.00"));
        table.AddTo(terminal);
        terminal.Out.WriteLine($"{output}: {manifest.Recipe.Scheme}, {Units.Bytes(totals.BytesBefore)} -> {Units.Bytes(totals.BytesAfter)} of tensors in {manifest.Output.Count} file(s), {totals.BitsPerWeight:0.000} bits per weight; lineage in {GgufManifest.PathFor(output)}");
    }

    private static string Number(double? value, string format) => value?.ToString(format) ?? "-";
}

/// <summary>What tensors lost, one row for each type.</summary>
internal static class TensorErrorRows
{
    public static void Add(Table table, IEnumerable<TensorReport> tensors)
    {
        foreach (IGrouping<string, TensorReport> type in tensors.GroupBy(tensor => tensor.Format))
        {
            TensorReport worst = type.MaxBy(tensor => tensor.RelativeRmse)!;
            table.Row(type.Key, type.Count().ToString(), Units.Bytes(type.Sum(tensor => tensor.Bytes)), worst.Name, worst.RelativeRmse?.ToString("0.00000") ?? "-", worst.SnrDb?.ToString("0.00") ?? "-");
        }
    }
}

/// <summary>Packaging checks for people.</summary>
internal static class CheckTable
{
    public static void Write(Terminal terminal, IReadOnlyList<CheckResult> checks)
    {
        Table table = Tables.Create("check", "verdict", "evidence");
        foreach (CheckResult check in checks)
        {
            string repair = check.Repair is null ? string.Empty : $" | {(check.Verdict == Verdict.Fixed ? "repaired" : "repair")}: {check.Repair}";
            table.Row(check.Name, check.Verdict.ToString().ToLowerInvariant(), check.Evidence + repair);
        }

        table.AddTo(terminal);
    }
}

/// <summary>A verification for people.</summary>
internal static class VerificationTable
{
    private const int Most = 50, AnswerShown = 80;

    public static void Write(Terminal terminal, VerificationReport report)
    {
        CheckTable.Write(terminal, report.Checks);
        if (report.Answers is { } answers)
        {
            Table table = Tables.Create("asked", "verdict", ">tokens", "answer");
            foreach (AnswerCheck answer in answers)
            {
                string asked = answer.Picture is null ? answer.Question : $"{answer.Picture}: {answer.Question}";
                table.Row(asked, answer.Problem is null ? "pass" : "fail", answer.CutOff ? $"{answer.Tokens}, cut off" : $"{answer.Tokens}", Beginning(answer.Answer));
            }

            table.AddTo(terminal);
        }

        if (report.Tensors is { Count: > 0 } compared)
        {
            Table table = Tables.Create("type", ">tensors", ">bytes", "lies farthest from the base model", ">relative RMSE", ">SNR dB");
            TensorErrorRows.Add(table, compared);
            table.AddTo(terminal);
        }

        foreach (Finding finding in report.Findings.Take(Most))
        {
            terminal.Out.WriteLine($"WRONG  {finding.Place}: {finding.Problem}");
        }

        if (report.Findings.Count > Most)
        {
            terminal.Out.WriteLine($"… and {report.Findings.Count - Most} more (--json lists all)");
        }

        terminal.Out.WriteLine(report.IsSound
            ? $"sound: {report.FilesHashed} files have their recorded hash, {report.TensorsCompared} tensors {(report.Tensors is null ? "agree with" : "were compared with")} the base model{(report.Answers is null ? string.Empty : $", {report.Answers.Count} answers are as expected")}"
            : $"{report.Findings.Count} finding(s)");
        if (report.FilesHashed == 0)
        {
            terminal.Out.WriteLine($"without a readable {(report.Tensors is null ? Manifest.FileName : $"NAME{GgufManifest.Suffix}")} no hashes were compared");
        }
    }

    private static string Beginning(string answer)
    {
        string line = answer.Trim().ReplaceLineEndings(" ");
        return line.Length > AnswerShown ? line[..AnswerShown] + "…" : line;
    }
}

/// <summary>An inspection for people.</summary>
internal static class InspectTable
{
    private const int ValueShown = 90;

    private static readonly JsonSerializerOptions Readable = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    public static void Write(Terminal terminal, CheckpointSummary summary, bool tensors)
    {
        if (summary.ModelType is not null)
        {
            terminal.Out.WriteLine($"{summary.Path}: {summary.ModelType}{(summary.Architectures.Count > 0 ? $" ({string.Join(", ", summary.Architectures)})" : string.Empty)}");
        }

        terminal.Out.WriteLine($"{summary.Tensors.Count} tensors, {summary.Parameters} parameters, {summary.TensorBytes} bytes ({Units.Bytes(summary.TensorBytes)}), {summary.BitsPerWeight:0.000} bits per weight");
        terminal.Out.WriteLine(summary.Quantization.Count == 0 ? "not quantized" : $"quantized: {string.Join("; ", summary.Quantization)}");
        Table types = Tables.Create("type", ">tensors", ">elements", ">bytes");
        foreach (TypeSummary type in summary.Types)
        {
            types.Row(type.Type, type.Tensors.ToString(), type.Elements.ToString(), type.Bytes.ToString());
        }

        types.AddTo(terminal);
        Table files = Tables.Create("file", ">tensors", ">bytes", "metadata");
        foreach (FileSummary file in summary.Files)
        {
            files.Row(file.File, file.Tensors.ToString(), file.Bytes.ToString(), string.Join(", ", file.Metadata.Select(entry => $"{entry.Key}={entry.Value}")));
        }

        files.AddTo(terminal);
        if (summary.Metadata.Count > 0)
        {
            Table metadata = Tables.Create("key", "type", "value");
            foreach (MetadataSummary pair in summary.Metadata)
            {
                string value = pair.Value.ToJsonString(Readable);
                metadata.Row(pair.Key, pair.Type, value.Length > ValueShown ? value[..ValueShown] + "…" : value);
            }

            metadata.AddTo(terminal);
        }

        if (summary.SideFiles.Count > 0)
        {
            terminal.Out.WriteLine($"side files: {string.Join(", ", summary.SideFiles)}");
        }

        if (tensors)
        {
            Table all = Tables.Create("tensor", "type", "shape", ">bytes", "file");
            foreach (TensorSummary tensor in summary.Tensors)
            {
                all.Row(tensor.Name, tensor.Type, $"[{string.Join(", ", tensor.Shape)}]", tensor.Bytes.ToString(), tensor.File);
            }

            all.AddTo(terminal);
        }
    }
}
