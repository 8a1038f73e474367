#!/usr/bin/env python3
"""Measures everything on whatever device there is, and writes the tables into docs/benchmarks.md.

    bench/report.py build/default                   # every kernel, on the CPU and the first GPU
    bench/report.py build/default --pytorch torch/bin/python --runs quick,standard,paper

The first runs the benchmark programs of a build made with -DORRERY_BENCH=ON; the second also sets the
reconstruction's and the training's step beside PyTorch's, both programs taking turns, and has `reconstruct`
run those presets to their end. What one device gave replaces what it gave before, between two marks in the
page; other devices' tables, and all that is written by hand, stay. Medians of repeated runs; shares are of
the best matrix product and of the fastest copy that the same run measured. Run it on an idle machine: it
says how busy it found it.

Needs Python and nothing else, but for PyTorch in the environment that is named.
"""

import argparse
import datetime
import json
import os
import pathlib
import platform
import re
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[1]
BACKENDS = ("cpu", "cuda")


def run(command, optional=False):
    """Standard output of a command; its failure ends the report, or is said, if it is optional."""
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True)
    if done.returncode == 0:
        return done.stdout
    failure = f"{command[0]}: {done.stderr.strip() or 'failed'}"
    if not optional:
        sys.exit(failure)
    print(failure, file=sys.stderr)
    return None


def benchmarks(programs, repetitions, only):
    """Every benchmark's median: rows of {name, backend, shape, seconds, flop, bytes}, and the context."""
    rows, context = [], {}
    for program in programs:
        command = [
            program,
            "--benchmark_format=json",
            f"--benchmark_repetitions={repetitions}",
            "--benchmark_report_aggregates_only=true",
        ]
        # That of cuDNN starts only where there is a cuDNN.
        cudnn = program.name == "cudnn_bench"
        output = run(command + ([f"--benchmark_filter={only}"] if only else []), optional=cudnn)
        if not output:
            continue
        found = json.loads(output)
        context |= found["context"]
        for entry in found["benchmarks"]:
            if entry.get("aggregate_name") != "median":
                continue
            parts = entry["run_name"].removesuffix("/real_time").split("/")
            backend = parts[1] if len(parts) > 1 and parts[1] in BACKENDS else "cpu"
            shape = ", ".join(part.replace(":", " ") for part in parts if ":" in part)
            unit = {"ns": 1e-9, "us": 1e-6, "ms": 1e-3, "s": 1.0}[entry["time_unit"]]
            rows.append(
                {
                    "name": parts[0],
                    "backend": backend,
                    "shape": shape,
                    "seconds": entry["real_time"] * unit,
                    "flop": entry.get("flop", 0.0),
                    "bytes": entry.get("bytes", 0.0),
                }
            )
    return rows, context


def peaks(rows):
    """The highest rates that this run saw: of a matrix product, and of memory."""
    return {
        "flop": max((row["flop"] for row in rows if row["name"] == "gemm"), default=0.0),
        "bytes": max((row["bytes"] for row in rows if row["name"] == "memory_copy"), default=0.0),
    }


def share(rate, peak):
    return f"{100 * rate / peak:.0f} %" if peak and rate else ""


def kernel_table(rows):
    """Every kernel, and beside it the libraries' own calls for the same arithmetic, if there are any."""
    best = peaks(rows)
    library = {(row["name"], row["shape"]): row["seconds"] for row in rows}
    lines = [
        f"The fastest product of matrices reached {best['flop'] / 1e9:.0f} GFLOP/s"
        + (f", the fastest copy {best['bytes'] / 1e9:.0f} GB/s." if best["bytes"] else "."),
        "",
        "| kernel | shape | milliseconds | the library's | GFLOP/s | of the product's | GB/s | of the copy's |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        if row["name"].startswith("library_"):
            continue
        rung = library.get(("library_" + row["name"], row["shape"]))
        lines.append(
            f"| `{row['name']}` | {row['shape']} | {1e3 * row['seconds']:.3g} "
            f"| {f'{1e3 * rung:.3g}' if rung else ''} "
            f"| {row['flop'] / 1e9:.3g} | {share(row['flop'], best['flop'])} "
            f"| {row['bytes'] / 1e9:.3g} | {share(row['bytes'], best['bytes'])} |"
        )
    return lines


def pytorch_table(build, python, threads, device):
    """Steps beside PyTorch's: each script takes turns with our program and prints JSON."""
    scripts = ROOT / "bench/pytorch"
    reconstruct, mra = build / "bin/reconstruct", build / "bin/mra"
    # At 63 voxels the activations of every slice's every point fit into no memory: they go by chunks.
    paper = "--paper --steps 1 --rounds 1 --orrery-steps 5".split()
    best = ["--reduced", "--compile", "--tf32"]
    cases = [
        ("the demo's step, plain", "reconstruct_step.py", reconstruct, ["--rounds", "2"]),
        ("the demo's step, reduced", "reconstruct_step.py", reconstruct, ["--reduced"]),
        ("the paper's step, plain", "reconstruct_step.py", reconstruct, [*paper, "--chunk", "262144"]),
        ("the paper's step, reduced", "reconstruct_step.py", reconstruct, [*paper, "--reduced"]),
        ("the paper's step, reduced, compiled, TF32", "reconstruct_step.py", reconstruct, paper + best),
        ("training on moments", "mra_train.py", mra, []),
    ]
    if device == "cpu":  # PyTorch has no TF32 there, and compiling needs a compiler of its own
        cases = [case for case in cases if "--compile" not in case[3]]
    lines = [
        "| step | PyTorch, seconds | Orrery, seconds | ratio |",
        "|---|---|---|---|",
    ]
    for name, script, program, options in cases:
        shared = ["--threads", threads, "--device", device, "--orrery", program]
        output = run([python, scripts / script, *shared, *options], optional=True)
        if not output:
            lines.append(f"| {name} | failed | | |")
            continue
        result = json.loads(output)
        lines.append(
            f"| {name} | {result['pytorch_seconds_per_step']:.3g} "
            f"| {result['orrery_seconds_per_step']:.3g} | {result['ratio']:.1f} |"
        )
    return lines


def runs_table(build, presets, threads, device):
    """Whole reconstructions of the phantom, the paper's preset at the paper's 63 voxels."""
    lines = [
        "| preset | precision | seconds | M1 error | M2 error | resolution | peak memory |",
        "|---|---|---|---|---|---|---|",
    ]
    for preset in presets:
        for precision in ("tf32", "fp32"):
            with tempfile.TemporaryDirectory() as folder:
                output = pathlib.Path(folder) / "run"
                command = [build / "bin/reconstruct", "--quiet", "--preset", preset, "-o", output]
                command += ["--device", device, "--threads", threads, "--precision", precision]
                if run(command + (["--box", "63"] if preset == "paper" else []), optional=True) is None:
                    lines.append(f"| `{preset}` | {precision} | failed | | | | |")
                    continue
                found = json.loads((output / "summary.json").read_text())
            lines.append(
                f"| `{preset}` | {precision} | {found['seconds']:.0f} | {found['first_moment_error']:.4f} "
                f"| {found['second_moment_error']:.4f} | {found['resolution_angstrom']:.2f} A "
                f"| {found['peak_memory_bytes'] / 1e9:.2f} GB |"
            )
    return lines


def section(device, lines):
    """Heading and body of one device's part of the page, between marks that find it again."""
    mark = re.sub(r"[^a-z0-9]+", "-", device.lower()).strip("-")
    begin, end = f"<!-- report {mark} -->", f"<!-- end {mark} -->"
    return begin, end, "\n".join([begin, *lines, end])


def insert(page, device, lines):
    begin, end, text = section(device, lines)
    if begin in page:
        before, rest = page.split(begin, 1)
        return before + text + rest.split(end, 1)[1]
    return page.rstrip() + "\n\n" + text + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("build", type=pathlib.Path, help="build folder, or an unpacked bundle")
    parser.add_argument("--pytorch", metavar="PYTHON", help="Python of an environment with PyTorch")
    parser.add_argument("--runs", default="", help="presets to run whole: quick,standard,paper")
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="of the steps' programs")
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--only", default="", help="benchmarks that match, as a regular expression")
    parser.add_argument("--page", type=pathlib.Path, default=ROOT / "docs/benchmarks.md")
    options = parser.parse_args()

    programs = sorted(options.build.glob("bin/*_bench"))
    if not programs:
        sys.exit(f"{options.build}: no benchmarks in bin; configure with -DORRERY_BENCH=ON and build")
    busy = os.getloadavg()[0]
    version = run([options.build / "bin/reconstruct", "--version"]).splitlines()[0]
    rows, context = benchmarks(programs, options.repetitions, options.only)

    page = options.page.read_text()
    for backend in BACKENDS:
        mine = [row for row in rows if row["backend"] == backend]
        if not mine:
            continue
        device = context.get(backend, backend)
        lines = [
            f"## Measured on {device}",
            "",
            f"{datetime.date.today()}, {version}, {context.get('BLAS', 'BLAS unknown')}, "
            f"{platform.system()}, load {busy:.1f} at the start, medians of {options.repetitions} runs.",
            "",
            *kernel_table(mine),
        ]
        if options.pytorch:
            lines += ["", *pytorch_table(options.build, options.pytorch, options.threads, backend)]
        if options.runs:
            presets = options.runs.split(",")
            lines += ["", *runs_table(options.build, presets, options.threads, backend)]
        page = insert(page, device, lines)
    options.page.write_text(page)
    print(f"{options.page}: {len(rows)} benchmarks written")


if __name__ == "__main__":
    main()
