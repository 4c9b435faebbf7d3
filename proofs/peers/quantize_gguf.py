#!/usr/bin/env python3
"""llama-quantize on a GGUF file.

  quantize_gguf.py types FILE.gguf JOBS.json          the types that each job would give the tensors, by --dry-run, as a JSON array of {tensor: type} with upper-case types;
                                                      null where llama-quantize refuses. A job is {"type": NAME, "imatrix": true|false, "options": [...]}
  quantize_gguf.py planned FILE.gguf TYPE OURS.gguf    how many tensors of OURS have another type than llama-quantize would give them, by --dry-run
  quantize_gguf.py values FILES.json OUT.json         for each file of a JSON array, SHA-256 of every tensor's values in binary32 as the gguf package decodes them; null for types
                                                      that it does not know
  quantize_gguf.py load FILES.json -                  llama.cpp loads each file of a JSON array and computes a token
  quantize_gguf.py quantize FILE.gguf JOBS.json       llama-quantize with the arguments of each job, {"out": FILE, "type": NAME, "options": [...]}, paths as they are inside
  quantize_gguf.py errors FILE.gguf TYPE OURS.gguf [THEIRS.gguf|-] [--imatrix F.gguf]
                                                      of the tensors of a type in OURS: bytes and weighted squared error in both files against FILE, and the worst ratio of one
                                                      tensor's errors, as one line: tensors, weights, bytes, signal, our error, their error, worst ratio
"""
import argparse, hashlib, json, re, subprocess, sys, tempfile
import gguf
import numpy
from gguf.quants import dequantize

LINE = re.compile(r"^\[ *\d+/ *\d+\] +(\S+) +- \[.*\], type = +(\S+), size = .*?(?:-> +\S+ MiB \((\S+)\))?$")


def any_imatrix(path):
    """An importance matrix as llama-quantize reads it, of one tensor: for a dry run it matters only that there is one."""
    writer = gguf.GGUFWriter(path, "imatrix")
    writer.add_type("imatrix")
    writer.add_array("imatrix.datasets", ["none"])
    writer.add_uint32("imatrix.chunk_count", 1)
    writer.add_uint32("imatrix.chunk_size", 512)
    writer.add_tensor("blk.0.attn_q.weight.in_sum2", numpy.ones((1, 256), numpy.float32))
    writer.add_tensor("blk.0.attn_q.weight.counts", numpy.ones((1, 1), numpy.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def planned_types(file, kind, options=()):
    """{tensor: type}, or None where llama-quantize refuses."""
    run = subprocess.run(["llama-quantize", "--dry-run", *options, file, kind], capture_output=True, text=True)
    matches = [match for line in (run.stdout + run.stderr).splitlines() if (match := LINE.match(line.strip()))]
    return {match[1]: (match[3] or match[2]).upper() for match in matches} if run.returncode == 0 and matches else None


def types(file, jobs):
    with tempfile.TemporaryDirectory() as work:
        imatrix = f"{work}/imatrix.gguf"
        any_imatrix(imatrix)
        print(json.dumps([planned_types(file, job["type"], [*job.get("options", []), *(["--imatrix", imatrix] if job.get("imatrix") else [])]) for job in jobs]))
    return 0


def planned(file, kind, ours):
    expected, found = planned_types(file, kind), {tensor.name: tensor.tensor_type.name for tensor in gguf.GGUFReader(ours).tensors}
    different = [name for name in sorted(expected.keys() | found.keys()) if expected.get(name) != found.get(name)]
    for name in different[:10]:
        print(f"{name}: {found.get(name)}, llama-quantize {expected.get(name)}")
    print(f"{len(different)} of {len(expected)} tensors differ")
    return 0


def decoded(tensor):
    """The values of a tensor, rows by columns; None where nothing here knows the type."""
    name = tensor.tensor_type.name
    if name == "F32":
        return tensor.data.reshape(-1, int(tensor.shape[0]))
    if name in ("Q1_0", "Q2_0"):  # a scale in binary16, then signs, or levels from -1, least significant bits first
        block, bits = (18, 1) if name == "Q1_0" else (18, 2)
        blocks = tensor.data.reshape(-1, block)
        scales = blocks[:, :2].copy().view(numpy.float16).astype(numpy.float32)
        codes = numpy.unpackbits(blocks[:, 2:], axis=1, bitorder="little").astype(numpy.float32)
        values = codes * 2 - 1 if bits == 1 else codes[:, 0::2] + 2 * codes[:, 1::2] - 1
        return (values * scales).reshape(-1, int(tensor.shape[0]))
    try:
        return dequantize(tensor.data, tensor.tensor_type).reshape(-1, int(tensor.shape[0]))
    except NotImplementedError:
        return None


def values(files, out):
    found = []
    for file in files:
        tensors = [(tensor.name, decoded(tensor)) for tensor in gguf.GGUFReader(file).tensors]
        found.append({name: None if data is None else hashlib.sha256(numpy.ascontiguousarray(data, numpy.float32).tobytes()).hexdigest() for name, data in tensors})
    with open(out, "w", encoding="utf-8") as target:
        json.dump(found, target)
    return 0


def load(files):
    for file in files:
        run = subprocess.run(["llama-completion", "-m", file, "-p", "A", "-n", "1", "-c", "64", "-t", "2", "-no-cnv", "--no-warmup"], capture_output=True, text=True, stdin=subprocess.DEVNULL)
        if run.returncode != 0:
            print(file, run.stderr[-2000:])
            return 1
    return 0


def quantize(file, jobs):
    for job in jobs:
        run = subprocess.run(["llama-quantize", *job.get("options", []), file, job["out"], job["type"]], capture_output=True, text=True)
        if run.returncode != 0:
            print(job, (run.stdout + run.stderr)[-2000:])
            return 1
    return 0


def importance_of(imatrix, name, tensor):
    if imatrix is None or f"{name}.in_sum2" not in imatrix:
        return 1.0
    squares, counts = imatrix[f"{name}.in_sum2"], imatrix[f"{name}.counts"]
    columns = int(tensor.shape[0])
    means = squares.reshape(counts.size, columns) / numpy.maximum(counts.reshape(-1, 1), 1)
    means[counts.reshape(-1) == 0] = 1
    return numpy.repeat(means, tensor.n_elements // columns // counts.size, axis=0).astype(numpy.float64)


def errors(file, kind, ours, theirs, imatrix):
    original = {tensor.name: tensor for tensor in gguf.GGUFReader(file).tensors}
    other = {} if theirs in (None, "-") else {tensor.name: tensor for tensor in gguf.GGUFReader(theirs).tensors}
    statistics = None if imatrix is None else {tensor.name: tensor.data for tensor in gguf.GGUFReader(imatrix).tensors}
    count, weights, size, signal, own, their, worst = 0, 0, 0, 0.0, 0.0, 0.0, 0.0
    for tensor in gguf.GGUFReader(ours).tensors:
        if tensor.tensor_type.name != kind or original[tensor.name].tensor_type.name == kind:
            continue
        before = decoded(original[tensor.name]).astype(numpy.float64)
        factors = importance_of(statistics, tensor.name, tensor)
        error = float((factors * (before - decoded(tensor)) ** 2).sum())
        if other:
            assert other[tensor.name].tensor_type.name == kind, f"{tensor.name} is {other[tensor.name].tensor_type.name} in {theirs}"
            assert other[tensor.name].n_bytes == tensor.n_bytes
            compared = float((factors * (before - decoded(other[tensor.name])) ** 2).sum())
            their += compared
            worst = max(worst, error / compared if compared > 0 else float(error > 0))
        count, weights, size, signal, own = count + 1, weights + int(tensor.n_elements), size + int(tensor.n_bytes), signal + float((factors * before ** 2).sum()), own + error
    print(count, weights, size, signal, own, their if other else "-", worst if other else "-")
    return 0 if count else 1


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("task", choices=["types", "planned", "values", "errors", "load", "quantize"])
    parser.add_argument("file")
    parser.add_argument("jobs")
    parser.add_argument("ours", nargs="?")
    parser.add_argument("theirs", nargs="?")
    parser.add_argument("--imatrix")
    a = parser.parse_args()
    if a.task == "planned":
        return planned(a.file, a.jobs, a.ours)
    if a.task == "errors":
        return errors(a.file, a.jobs, a.ours, a.theirs, a.imatrix)
    if a.task in ("load", "values"):
        with open(a.file, encoding="utf-8") as files:
            return load(json.load(files)) if a.task == "load" else values(json.load(files), a.jobs)
    with open(a.jobs, encoding="utf-8") as jobs:
        return (types if a.task == "types" else quantize)(a.file, json.load(jobs))


if __name__ == "__main__":
    sys.exit(main())
