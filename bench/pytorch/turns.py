"""What the yardsticks share: their options, timed steps, and the turns they take with our program."""

import argparse
import json
import pathlib
import statistics
import subprocess
import tempfile
import time

import torch

SHAPES = pathlib.Path(__file__).resolve().parents[1] / "shapes.json"


def options_of(doc, program, steps, rounds, orrery_steps):
    """A parser with the options that both scripts have."""
    parser = argparse.ArgumentParser(description=doc.splitlines()[0])
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--device", default="cpu", help="cpu or cuda, for both programs")
    parser.add_argument("--steps", type=int, default=steps, help="timed steps a round")
    parser.add_argument("--rounds", type=int, default=rounds, help="the programs taking turns")
    parser.add_argument("--compile", action="store_true", help="torch.compile the networks")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--shapes", type=pathlib.Path, default=SHAPES)
    parser.add_argument("--orrery", metavar="PATH", help=f"the program `{program}` to compare with")
    parser.add_argument(
        "--orrery-steps", type=int, default=orrery_steps, help="steps of its run a round"
    )
    parser.add_argument("--orrery-options", default="", help="more of its, in quotes")
    return parser


def time_steps(step, count, device):
    """Seconds a step over `count` steps, and the last step's errors."""

    def wait():
        if torch.device(device).type == "cuda":
            torch.cuda.synchronize()

    wait()
    began = time.perf_counter()
    for _ in range(count):
        errors = step()
    wait()
    return (time.perf_counter() - began) / count, [float(error) for error in errors]


def run_orrery(options, command, choices):
    """Our program with these choices. Returns its summary.json."""
    choices = choices | {
        "device": options.device,
        "threads": options.threads,
        "steps": options.orrery_steps,
    }
    with tempfile.TemporaryDirectory() as folder:
        output = pathlib.Path(folder) / "run"
        words = [options.orrery, *command, "--quiet", "-o", str(output)]
        for name, value in choices.items():
            words += [f"--{name}", str(value)]
        subprocess.run([*words, *options.orrery_options.split()], check=True)
        return json.loads((output / "summary.json").read_text())


def take_turns(options, step, command, choices):
    """Rounds of timed steps, each followed by a run of our program where one is named. Returns what is
    known afterwards, under the names of the printed result, and that program's last summary."""
    ours, theirs, summary = [], [], None
    for _ in range(options.rounds):
        seconds, errors = time_steps(step, options.steps, options.device)
        theirs.append(seconds)
        if options.orrery:
            summary = run_orrery(options, command, choices)
            ours.append(summary["seconds_per_step"])
    result = {
        "device": options.device,
        "threads": options.threads,
        "torch": torch.__version__,
        "compiled": options.compile,
        "pytorch_seconds_per_step": statistics.median(theirs),
        "pytorch_errors_at_end": errors,
    }
    if options.orrery:
        result["orrery_seconds_per_step"] = statistics.median(ours)
        result["ratio"] = result["pytorch_seconds_per_step"] / result["orrery_seconds_per_step"]
    return result, summary
