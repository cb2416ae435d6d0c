"""Time of whole networks: polyact, exact and approximate, against PyTorch, in one run on one machine.

    scripts/bench [--networks resnet18,resnet152,vgg16_bn] [--runs 9] [--batch 8] [--threads 2] [--compile-limit 900]
    scripts/bench --quick

Every contestant is a process of its own that loads the network (torchvision, random weights) and waits for its turn; in
each round each computes one batch. Approximate means paper:14 at every ReLU and max-pool. Prints the table, and writes it
as results/bench.md, the medians as results/bench.csv and a chart as results/bench.svg.

--quick takes one network, fewer rounds, and leaves out what is written by hand in PyTorch: less than three minutes on two
cores once the program is built. It writes results/bench-quick.md and so on. Other flags still count.

Interrupted (Ctrl-C, SIGTERM), it ends all that it started, writes the networks that are done, if any, and exits with 130.
"""

import argparse
import contextlib
import csv
import io
import json
import os
import resource
import select
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests/python"))
RANGE = 256.0
WARM_UP = 3

# Name, title, what it computes.
CONTESTANTS = [
    ("polyact-approximate", "polyact, approximate"),
    ("polyact-exact", "polyact, exact"),
    ("eager", "PyTorch eager, exact"),
    ("eager-channels-last", "PyTorch eager, channels-last, exact"),
    ("optimized", "torch.jit.optimize_for_inference, exact"),
    ("horner", "PyTorch eager, Horner, approximate"),
    ("compiled", "torch.compile, Horner, approximate"),
]
# Pairs whose ratio is told.
COMPARED = [
    ("polyact-approximate", "eager"),
    ("polyact-approximate", "polyact-exact"),
    ("polyact-approximate", "optimized"),
    ("polyact-exact", "optimized"),
    ("polyact-approximate", "compiled"),
    ("horner", "polyact-approximate"),
]


def horner(folder: Path):
    """The modules that stand in for ReLU and max-pool, written as one does by hand."""
    import torch

    design = json.loads((folder / "design.json").read_text())
    stages = [[c["f64"] for c in stage["coefficients"]] for stage in design["stages"]]

    def sign(y):
        for stage in stages:
            u = y * y
            total = torch.full_like(u, stage[-1])
            for coefficient in reversed(stage[:-1]):
                total = total * u + coefficient
            y = y * total
        return y

    class Relu(torch.nn.Module):
        def forward(self, x):
            wide = x.double()
            return (0.5 * (wide + wide * sign(wide / RANGE))).float()

    class MaxPool(torch.nn.Module):
        def __init__(self, pool):
            super().__init__()
            self.kernel, self.stride, self.padding = pool.kernel_size, pool.stride, pool.padding

        def forward(self, x):
            wide = torch.nn.functional.pad(x.double(), [self.padding] * 4) / (2 * RANGE) + 0.5
            rows, columns = (n - self.kernel + 1 for n in wide.shape[2:])
            players = [
                wide[:, :, i : i + rows : self.stride, j : j + columns : self.stride]
                for i in range(self.kernel)
                for j in range(self.kernel)
            ]
            while len(players) > 1:
                pairs = [players[i : i + 2] for i in range(0, len(players), 2)]
                players = [p[0] if len(p) == 1 else 0.5 * (p[0] + p[1] + (p[0] - p[1]) * sign(p[0] - p[1])) for p in pairs]
            return ((players[0] - 0.5) * (2 * RANGE)).float()

    def swap(module):
        for name, child in module.named_children():
            if isinstance(child, torch.nn.ReLU):
                setattr(module, name, Relu())
            elif isinstance(child, torch.nn.MaxPool2d):
                setattr(module, name, MaxPool(child))
            else:
                swap(child)
        return module

    return swap


def contestant(kind: str, network: str, folder: Path, batch: int, threads: int) -> None:
    """A process that computes a batch for each line of standard input and prints the seconds."""
    import torch
    import torchvision_archive

    torch.set_num_threads(threads)
    model, side = torchvision_archive.build(network)
    images = torch.randn(batch, 3, side, side)
    with torch.inference_mode(kind != "optimized"), torch.no_grad():
        if kind == "eager-channels-last":
            model, images = model.to(memory_format=torch.channels_last), images.to(memory_format=torch.channels_last)
        elif kind == "optimized":
            model = torch.jit.optimize_for_inference(torch.jit.trace(model, images))
        elif kind in ("horner", "compiled"):
            model = horner(folder)(model)
        if kind == "compiled":
            model = torch.compile(model)
        for _ in range(WARM_UP):
            model(images)
        print("ready", flush=True)
        for word in sys.stdin:
            if word.strip() == "memory":
                print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, flush=True)
                continue
            started = time.perf_counter()
            model(images)
            print(time.perf_counter() - started, flush=True)


class Interrupted(Exception):
    """By Ctrl-C or SIGTERM."""


class Children:
    """The processes that run, each the leader of a group with all that it starts. The first interruption raises `Interrupted`."""

    SIGNALS = (signal.SIGINT, signal.SIGTERM)

    def __init__(self):
        self.running = []
        self.is_interrupted = self.is_starting = False
        for number in self.SIGNALS:
            signal.signal(number, self.interrupt)

    def interrupt(self, *_) -> None:
        self.is_interrupted = True
        self.ignore_signals()
        if not self.is_starting:
            raise Interrupted

    def start(self, command: list, **options) -> subprocess.Popen:
        # No process may be there that is not in the list.
        self.is_starting = True
        child = subprocess.Popen([str(part) for part in command], text=True, start_new_session=True, **options)
        self.running.append(child)
        self.is_starting = False
        if self.is_interrupted:
            raise Interrupted
        return child

    def run(self, command: list, **options) -> str:
        """What the command prints; it must succeed."""
        child = self.start(command, stdout=subprocess.PIPE, **options)
        printed = child.communicate()[0]
        self.running.remove(child)
        if child.returncode:
            sys.exit(f"bench: {' '.join(child.args)} failed, exit code {child.returncode}")
        return printed

    def ignore_signals(self) -> None:
        for number in self.SIGNALS:
            signal.signal(number, signal.SIG_IGN)

    def end(self) -> None:
        """End all that run."""
        for child in self.running:
            # The group is there until its leader is waited for, which may have been the last thing done.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)
            child.wait()
        self.running = []


class Process:
    """A contestant; what became of it, and the seconds until then."""

    def __init__(self, children: Children, command: list, threads: int, limit: float):
        environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}
        self.children = children
        self.child = children.start(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment)
        started = time.perf_counter()
        self.state = self.wait(limit)
        self.warm_up = time.perf_counter() - started

    def wait(self, limit: float) -> str:
        if not select.select([self.child.stdout], [], [], limit)[0]:
            os.killpg(self.child.pid, signal.SIGKILL)
            return "not ready after"
        return "ready" if self.child.stdout.readline() else "failed after"

    def ask(self, word: str) -> float:
        self.child.stdin.write(word + "\n")
        self.child.stdin.flush()
        return float(self.child.stdout.readline())

    def end(self) -> None:
        if self.state == "ready":
            self.child.stdin.close()
            self.child.wait()
            self.children.running.remove(self.child)


def program(children: Children) -> str:
    """The path of the built benchmark."""
    command = ["cargo", "bench", "--quiet", "--bench", "network", "--no-run", "--message-format", "json"]
    lines = children.run(command, cwd=ROOT).splitlines()
    built = [json.loads(line) for line in lines if line.startswith("{")]
    return next(b["executable"] for b in built if b.get("executable") and b["target"]["name"] == "network")


def measure(network: str, args, benchmark: str, folder: Path, children: Children) -> dict:
    """Medians of seconds an image, and of the ratio to PyTorch eager in the same round; peak MiB; remarks."""
    archive = ROOT / "tests/python/torchvision_archive.py"
    children.run([sys.executable, "-W", "ignore", archive, network, "traced", folder])
    mine = [benchmark, folder / "model.pt", args.batch, 224, RANGE]
    turns = {}
    for kind in args.only.split(","):
        print(f"bench: {network}: {kind}", file=sys.stderr)
        theirs = [sys.executable, "-W", "ignore", __file__, "--contestant", kind, "--networks", network, "--folder", folder]
        theirs += ["--batch", args.batch, "--threads", args.threads]
        limit = args.compile_limit if kind == "compiled" else 600
        turns[kind] = Process(children, mine if kind.startswith("polyact") else theirs, args.threads, limit)
    rounds = {kind: [] for kind, process in turns.items() if process.state == "ready"}
    for turn in range(args.runs + 1):
        for kind, seconds in rounds.items():
            word = kind.removeprefix("polyact-") if kind.startswith("polyact") else "run"
            taken = turns[kind].ask(word) / args.batch
            # The first round warms up.
            if turn:
                seconds.append(taken)
            # Let the threads of the last contestant go to sleep.
            time.sleep(0.2)
    result = {}
    for kind, process in turns.items():
        seconds = rounds.get(kind)
        result[kind] = {
            "seconds": statistics.median(seconds) if seconds else None,
            "ratio": median_ratio(rounds, kind, "eager"),
            "to": {other: median_ratio(rounds, kind, other) for other in rounds},
            "memory": process.ask("memory") if seconds else None,
            "state": process.state,
            "warm_up": process.warm_up,
        }
        process.end()
    return result


def median_ratio(rounds: dict, kind: str, to: str):
    """The median of the ratios of the rounds."""
    if not rounds.get(kind) or not rounds.get(to):
        return None
    return statistics.median(a / b for a, b in zip(rounds[kind], rounds[to]))


def markdown(results: dict, args) -> str:
    quick = ["Quick: fewer rounds than figures to be quoted need.", ""] if args.quick else []
    lines = quick + [
        f"Medians of {args.runs} rounds in which all take turns; batch {args.batch}, {args.threads} threads, 224×224; approximate is",
        "paper:14 at every ReLU and max-pool. The ratio is the median of the rounds' ratios to PyTorch eager.",
        "",
        "| network | | ms an image | ratio | peak MiB |",
        "|---|---|--:|--:|--:|",
    ]
    for network, result in results.items():
        for kind, title in CONTESTANTS:
            row = result.get(kind)
            if row and row["seconds"]:
                remark = f" (ready in {row['warm_up']:.0f} s)" if kind == "compiled" else ""
                lines.append(f"| {network} | {title}{remark} | {row['seconds'] * 1e3:.1f} | {row['ratio']:.2f} | {row['memory']:.0f} |")
            elif row:
                lines.append(f"| {network} | {title}: {row['state']} {row['warm_up']:.0f} s | | | |")
    lines += ["", "| network | " + " | ".join(f"{a} / {b}" for a, b in COMPARED) + " |", "|---|" + "--:|" * len(COMPARED)]
    for network, result in results.items():
        ratios = [result.get(a, {}).get("to", {}).get(b) for a, b in COMPARED]
        lines.append(f"| {network} | " + " | ".join(f"{ratio:.3f}" if ratio else "" for ratio in ratios) + " |")
    return "\n".join(lines) + "\n"


def chart(results: dict) -> str:
    """Bars of the ratios to PyTorch eager, cut at four times it."""
    bar, gap, left, scale, longest = 18, 30, 250, 130, 4.0
    parts, y = [], 30
    for network, result in results.items():
        parts.append(f'<text x="10" y="{y}" font-weight="bold">{network}</text>')
        y += 10
        for kind, title in CONTESTANTS:
            row = result.get(kind)
            if not row or not row["seconds"]:
                continue
            width = min(row["ratio"], longest) * scale
            colour = "#1b6ca8" if kind.startswith("polyact") else "#b0b7bf"
            parts.append(f'<text x="{left - 8}" y="{y + 13}" text-anchor="end">{title}</text>')
            parts.append(f'<rect x="{left}" y="{y}" width="{width:.1f}" height="{bar - 4}" fill="{colour}"/>')
            cut = " →" if row["ratio"] > longest else ""
            halo = 'stroke="white" stroke-width="4" paint-order="stroke"'
            parts.append(f'<text x="{left + width + 6:.1f}" y="{y + 12}" {halo}>{row["ratio"]:.2f}{cut}</text>')
            y += bar
        y += gap
    line = left + scale
    parts.insert(0, f'<line x1="{line}" x2="{line}" y1="20" y2="{y - gap}" stroke="#444" stroke-dasharray="3 3"/>')
    parts.append(f'<text x="{left}" y="{y - 8}">time as a ratio to PyTorch eager, exact (dashed: 1)</text>')
    body = "\n".join(parts)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="860" height="{y + 6}" font-family="sans-serif" font-size="12">\n'
        f'<rect width="100%" height="100%" fill="white"/>\n{body}\n</svg>\n'
    )


def write(results: dict, args) -> Path:
    """Write table, chart and CSV, each whole or not at all; the path of the CSV."""
    stem = ROOT / "results" / ("bench-quick" if args.quick else "bench")

    def replace(ending: str, text: str) -> Path:
        path, new = stem.with_suffix(ending), stem.with_suffix(ending + ".new")
        new.write_text(text)
        return new.rename(path)

    header = ["network", "contestant", "batch", "threads", "seconds_an_image", "ratio_to_eager", "peak_mib", "warm_up_seconds"]
    rows = io.StringIO(newline="")
    table = csv.writer(rows)
    table.writerow(header)
    for network, result in results.items():
        for kind, row in result.items():
            table.writerow([network, kind, args.batch, args.threads, row["seconds"], row["ratio"], row["memory"], row["warm_up"]])
    replace(".md", markdown(results, args))
    replace(".svg", chart(results))
    return replace(".csv", rows.getvalue())


def compare(args, children: Children, results: dict) -> None:
    """Measure the networks, one after another."""
    benchmark = program(children)
    for network in args.networks.split(","):
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            try:
                children.run([ROOT / "target/release/polyact", "design", "--alpha", "14", "--format", "json", "--out", folder / "design.json"])
                results[network] = measure(network, args, benchmark, folder, children)
            finally:
                # Before the folder that they use.
                children.end()


# What --quick takes instead of the defaults: none of the contestants that need minutes.
QUICK = {"networks": "resnet18", "runs": 5, "only": ",".join(kind for kind, _ in CONTESTANTS if kind not in ("horner", "compiled"))}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a first look: " + ", ".join(f"--{flag} {value}" for flag, value in QUICK.items()))
    parser.add_argument("--networks", default="resnet18,resnet152,vgg16_bn", help="of torchvision, separated by commas")
    parser.add_argument("--runs", type=int, default=9)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    everyone = ",".join(kind for kind, _ in CONTESTANTS)
    parser.add_argument("--only", default=everyone, help=f"contestants, of {everyone}; eager always with them")
    parser.add_argument("--compile-limit", type=float, default=900, help="seconds that torch.compile may take to be ready")
    parser.add_argument("--contestant", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    if parser.parse_args().quick:
        parser.set_defaults(**QUICK)
    args = parser.parse_args()
    if args.contestant:
        contestant(args.contestant, args.networks, args.folder, args.batch, args.threads)
        return

    children, results = Children(), {}
    try:
        compare(args, children, results)
    except Interrupted:
        kept = f"{write(results, args).relative_to(ROOT)} has {', '.join(results)}" if results else "nothing was written"
        print(f"bench: interrupted; {kept}", file=sys.stderr)
        sys.exit(130)
    finally:
        children.end()
    children.ignore_signals()
    print(markdown(results, args))
    write(results, args)


if __name__ == "__main__":
    main()
