#!/usr/bin/env python3
"""Memory of long runs: resident memory over time, as docs/images/memory.svg and as a table.

    .venv/bin/python scripts/memory_curve.py [--out docs/images/memory.svg]

One process evaluates 20,000 JPEGs of ImageNet's shape, one 20,000 images of IDX files, one sweeps 500 configurations. Memory
is read from /proc ten times a second. Fails if one of them holds more in the last tenth of its run than an eighth above
what it held at a third.
"""

import argparse
import gzip
import os
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch
from torch import nn

ROOT = Path(__file__).resolve().parent.parent
PROGRAM = ROOT / "target/release/polyact"
IMAGES = 20_000
COLOURS = ("#0072b2", "#d55e00", "#009e73")


def small_model(path: Path) -> None:
    """A classifier of 20 classes that costs little beside decoding."""
    model = nn.Sequential(nn.Conv2d(3, 8, 7, 8), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 20))
    torch.jit.trace(model.eval(), torch.zeros(1, 3, 224, 224)).save(str(path))


def jpegs(folder: Path) -> Path:
    """Class folders of 20,000 images: forty files, again and again."""
    script = [sys.executable, ROOT / "scripts/make_image_set.py", folder, "--images", "40", "--classes", "20"]
    subprocess.run(script, check=True, stdout=subprocess.DEVNULL)
    files = sorted(folder.glob("val/*/*"))
    for number in range(IMAGES):
        place = folder / f"many/{number % 20:02}"
        place.mkdir(parents=True, exist_ok=True)
        os.link(files[number % len(files)].resolve(), place / f"{number:05}.jpg")
    return folder / "many"


def idx(folder: Path) -> Path:
    """The bundled images twice."""
    folder.mkdir()
    for name, sizes in (("images-idx3", (IMAGES, 28, 28)), ("labels-idx1", (IMAGES,))):
        packed = ROOT / f"datasets/fashion-mnist/t10k-{name}-ubyte.gz"
        content = gzip.decompress(packed.read_bytes())[4 + 4 * len(sizes) :]
        header = bytes([0, 0, 8, len(sizes)]) + struct.pack(f">{len(sizes)}I", *sizes)
        (folder / f"x-{name}-ubyte").write_bytes(header + 2 * content)
    return folder


def curve(arguments: list) -> list:
    """Seconds and MiB of a run of polyact, ten times a second."""
    child = subprocess.Popen([PROGRAM, *map(str, arguments)], stdout=subprocess.DEVNULL)
    start, points = time.monotonic(), []
    while child.poll() is None:
        status = Path(f"/proc/{child.pid}/status").read_text()
        held = [int(line.split()[1]) / 1024 for line in status.splitlines() if line.startswith("VmRSS")]
        points += [(time.monotonic() - start, mebibytes) for mebibytes in held]
        time.sleep(0.1)
    if child.returncode != 0:
        sys.exit(f"{arguments} failed")
    return points


def held(points: list, begin: float, end: float) -> float:
    """The median of the memory between two shares of the run."""
    part = sorted(memory for _, memory in points[int(begin * len(points)) : max(1, int(end * len(points)))])
    return part[len(part) // 2]


def svg(curves: dict) -> str:
    """The curves over the share of each run that is done."""
    width, height, left, top, bottom = 640, 360, 60, 20, 90
    most = 200 * (1 + int(max(memory for points in curves.values() for _, memory in points) // 200))
    across, down = width - left - 20, height - top - bottom

    def place(share: float, memory: float) -> str:
        return f"{left + share * across:.1f},{top + (1 - memory / most) * down:.1f}"

    lines = []
    for memory in range(0, most + 1, 200):
        y = top + (1 - memory / most) * down
        lines.append(f'<path d="M{left},{y:.1f}H{width - 20}" stroke="#ddd"/>')
        lines.append(f'<text x="{left - 8}" y="{y + 4:.1f}" text-anchor="end">{memory}</text>')
    for percent in range(0, 101, 25):
        x = left + percent / 100 * across
        lines.append(f'<text x="{x:.1f}" y="{top + down + 18}" text-anchor="middle">{percent} %</text>')
    lines.append(f'<text x="{left}" y="{top - 6}">resident memory, MiB, over the share of the run</text>')
    for number, ((name, points), colour) in enumerate(zip(curves.items(), COLOURS)):
        drawn = " ".join(place(seconds / points[-1][0], memory) for seconds, memory in points)
        lines.append(f'<polyline points="{drawn}" fill="none" stroke="{colour}" stroke-width="1.5"/>')
        y = top + down + 38 + 16 * number
        text = f"{name}, {points[-1][0]:.0f} seconds"
        lines.append(f'<path d="M{left},{y - 4}h24" stroke="{colour}" stroke-width="2"/><text x="{left + 32}" y="{y}">{text}</text>')
    body = "\n".join(lines)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}" '
        f'font-family="sans-serif" font-size="12">\n<rect width="{width}" height="{height}" fill="#fff"/>\n{body}\n</svg>\n'
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=ROOT / "docs/images/memory.svg")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        small_model(folder / "small.pt")
        fashion = ["--model", ROOT / "weights/vgg-fashion.pt", "--quiet"]
        small = ["--model", folder / "small.pt", "--quiet", "--relu-range", "9"]
        ranges = [f"{8 + number / 4}" for number in range(125)]
        grid = ["--relu", "paper:4", "paper:7", "paper:9", "square", "--maxpool", "exact", "--relu-range", *ranges]
        curves = {
            "eval, 20,000 JPEGs": curve(["eval", *small, "--dataset", jpegs(folder / "jpegs")]),
            "eval, 20,000 images of IDX files": curve(["eval", *fashion, "--relu-range", "16", "--dataset", idx(folder / "idx")]),
            "sweep, 500 configurations": curve(
                ["sweep", *fashion, *grid, "--limit", "128", "--batch", "16", "--out", folder / "rows.csv"]
            ),
        }
        rows = len((folder / "rows.csv").read_text().splitlines()) - 1
    arguments.out.write_text(svg(curves))
    print(f"{rows} rows of the sweep\n{'run':34}{'seconds':>8}{'a third':>9}{'end':>6}{'most':>6} MiB")
    growing = []
    for name, points in curves.items():
        third, end = held(points, 0.3, 0.4), held(points, 0.9, 1)
        print(f"{name:34}{points[-1][0]:8.0f}{third:9.0f}{end:6.0f}{max(memory for _, memory in points):6.0f}")
        growing += [name] if end > third * 1.125 else []
    if growing:
        sys.exit(f"memory grows: {', '.join(growing)}")


if __name__ == "__main__":
    main()
