"""Many networks in PyTorch and in polyact, compared as comparison.py does.

    differential.py random|random-as-found FIRST_SEED RUNS FOLDER DESIGN.json ALPHA
    differential.py published SEED FOLDER DESIGN.json ALPHA
    differential.py corpus NETWORKS FOLDER DESIGN.json ALPHA

tests/differential.rs runs this. It writes archives into FOLDER and asks, a line of JSON each, what polyact makes of
them; what comes back is compared with PyTorch here. What fails gets smaller as long as it fails, but for
random-as-found, and is told as {"failure": …}. The last line is {"done": …}.
"""

import collections
import functools
import itertools
import json
import re
import signal
import sys
import warnings
from pathlib import Path

import torch
from torch import Tensor, nn

# These register what is drawn.
import random_operators  # noqa: F401
import random_structure  # noqa: F401
from comparison import PATIENCE, Comparison, Discarded, Network, Problem, first_line
from published_networks import NETWORKS
from random_networks import IMAGES, Builder, Program, build, with_weights


def random_network(program: Program) -> Network:
    """Raises `Discarded` where a smaller program misses something."""
    source = program.source()
    flat = not any(line.startswith(("for", "while", "if")) for step in program.steps for line in step.lines)
    try:
        module = build(source, f"network{program.seed}")
    except NameError as error:
        raise Discarded(first_line(error)) from error
    return Network(f"seed {program.seed}", module, program.scripted, program.images(), source, flat)


def outcome(comparison: Comparison, program: Program) -> list[Problem]:
    try:
        return comparison.problems(random_network(program))
    except Discarded as error:
        comparison.left_out[str(error)] += 1
        return []


def smallest(comparison: Comparison, program: Program, kind: str) -> Program:
    """The smallest program found that fails in the same way."""
    tries = 400
    progress = kind != "sites"
    while progress and tries > 0:
        progress = False
        for candidate in program.smaller():
            tries -= 1
            if (
                tries > 0
                and candidate.observed
                and any(problem.kind == kind for problem in outcome(comparison, candidate))
            ):
                program, progress = candidate, True
                break
    return program


def report(comparison: Comparison, program: Program, problem: Problem, shrinks: bool) -> None:
    """Tells a failure, as small as it gets, unless PyTorch does not agree with itself."""
    left_out = comparison.left_out.copy()
    if shrinks:
        program = smallest(comparison, program, problem.kind)
        problem = next((left for left in outcome(comparison, program) if left.kind == problem.kind), problem)
    comparison.left_out = left_out
    network = random_network(program)
    if comparison.agrees_with_its_archive(network):
        how = "scripted" if program.scripted else "traced"
        tell(problem, f"{network.name}, {how}, input {program.shape}", program.source())
    else:
        comparison.left_out["an archive that PyTorch runs otherwise than the module"] += 1


def compare_random(comparison: Comparison, first: str, runs: str, shrinks: bool) -> dict:
    operators, compared = collections.Counter(), 0
    reported = collections.Counter()
    for seed in range(int(first), int(first) + int(runs)):
        try:
            program = Builder(seed).build()
        except (RuntimeError, IndexError) as error:
            comparison.left_out[f"drawing: {error}"] += 1
            continue
        problems = outcome(comparison, program)
        compared += 1
        operators.update({step.operator for step in program.steps})
        if not problems:
            continue
        # An error is told once.
        what = (
            problems[0].kind,
            re.sub(r"[\d\[\]., -]+", " ", problems[0].detail) if "error" in problems[0].kind else seed,
        )
        reported[what] += 1
        if reported[what] > 1:
            comparison.left_out[f"failed as one before: {what[1]}"[:110]] += 1
        else:
            report(comparison, program, problems[0], shrinks)
    return {"networks": compared, "operators": operators, "left_out": comparison.left_out}


def compare_published(comparison: Comparison, seed: str) -> dict:
    images = torch.randn(IMAGES, 3, 32, 32, generator=torch.Generator().manual_seed(int(seed)))
    return compare_both_ways(comparison, {name: with_weights(kind()).eval() for name, kind in NETWORKS.items()}, images)


def compare_corpus(comparison: Comparison, folder: str) -> dict:
    """The texts in a folder, whose networks take [N, 3, 12, 12]."""
    texts = {path.stem: path.read_text() for path in sorted(Path(folder).glob("*.py"))}
    images = torch.randn(IMAGES, 3, 12, 12, generator=torch.Generator().manual_seed(1))
    return compare_both_ways(comparison, {name: build(text, name) for name, text in texts.items()}, images)


def compare_both_ways(comparison: Comparison, modules: dict[str, nn.Module], images: Tensor) -> dict:
    """Modules, each scripted and traced."""
    for (name, module), scripted in itertools.product(modules.items(), (True, False)):
        try:
            # A loop may run a site several times.
            problems = comparison.problems(Network(name, module, scripted, images, flat=not scripted))
        except Discarded as error:
            problems = [Problem("not compared", str(error))]
        for problem in problems:
            tell(problem, f"{name}, {'scripted' if scripted else 'traced'}", "")
    return {"networks": 2 * len(modules), "operators": {}, "left_out": comparison.left_out}


def tell(problem: Problem, network: str, source: str) -> None:
    failure = {"kind": problem.kind, "detail": problem.detail, "network": network, "source": source}
    print(json.dumps({"failure": failure}), flush=True)


def too_late(*_) -> None:
    raise SystemExit(f"no answer for {PATIENCE} s")


def main() -> None:
    warnings.filterwarnings("ignore")
    torch.set_num_threads(1)
    signal.signal(signal.SIGALRM, too_late)
    what, *given, folder, design, alpha = sys.argv[1:]
    compare = {
        "random": functools.partial(compare_random, shrinks=True),
        "random-as-found": functools.partial(compare_random, shrinks=False),
        "published": compare_published,
        "corpus": compare_corpus,
    }
    done = compare[what](Comparison(folder, design, int(alpha)), *given)
    print(json.dumps({"done": done}), flush=True)


if __name__ == "__main__":
    main()
