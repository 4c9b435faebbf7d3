#!/usr/bin/env python3
"""llama-quantize on a GGUF file.

  quantize_gguf.py types FILE.gguf JOBS.json          the types that each job would give the tensors, by --dry-run, as a JSON array of {tensor: type} with upper-case types;
                                                      null where llama-quantize refuses. A job is {"type": NAME, "imatrix": true|false, "options": [...]}
"""
import argparse, json, re, subprocess, sys, tempfile
import gguf
import numpy

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


def types(file, jobs):
    results = []
    with tempfile.TemporaryDirectory() as work:
        imatrix = f"{work}/imatrix.gguf"
        any_imatrix(imatrix)
        for job in jobs:
            command = ["llama-quantize", "--dry-run", *job.get("options", []), *(["--imatrix", imatrix] if job.get("imatrix") else []), file, job["type"]]
            run = subprocess.run(command, capture_output=True, text=True)
            found = {}
            for line in (run.stdout + run.stderr).splitlines():
                match = LINE.match(line.strip())
                if match:
                    found[match[1]] = (match[3] or match[2]).upper()
            results.append(found if run.returncode == 0 and found else None)
    print(json.dumps(results))
    return 0


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("task", choices=["types"])
    parser.add_argument("file")
    parser.add_argument("jobs")
    a = parser.parse_args()
    with open(a.jobs, encoding="utf-8") as jobs:
        return types(a.file, json.load(jobs))


if __name__ == "__main__":
    sys.exit(main())
