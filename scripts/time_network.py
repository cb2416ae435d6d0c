#!/usr/bin/env python3
"""Time of approximate against exact inference of a torchvision network with random weights, in one process.

    .venv/bin/python scripts/time_network.py resnet152 [--images 32] [--batch 8] [--runs 3] [--relu paper:14]

Makes the archive and a dataset of random images in a temporary folder, and prints the figures of `polyact eval` for each
run and their median. The range holds every input; the run says so.
"""

import argparse
import json
import statistics
import struct
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests/python"))
import torchvision_archive  # noqa: E402

MEAN, STD = 0.45, 0.23  # about those of ImageNet


def write_idx(path: Path, values: np.ndarray) -> None:
    header = bytes([0, 0, 8, values.ndim]) + struct.pack(f">{values.ndim}I", *values.shape)
    path.write_bytes(header + values.astype(np.uint8).tobytes())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("network")
    parser.add_argument("--images", type=int, default=32)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--relu", default="paper:14")
    parser.add_argument("--range", default="64")
    args = parser.parse_args()

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        script = ROOT / "tests/python/torchvision_archive.py"
        subprocess.run([sys.executable, "-W", "ignore", script, args.network, "traced", folder], check=True, stdout=subprocess.DEVNULL)
        side = 299 if args.network == "inception_v3" else 224
        pixels = (torchvision_archive.images(args.images, side) * STD + MEAN).clamp(0, 1) * 255
        write_idx(folder / "random-images-idx3-ubyte", pixels.round().numpy())
        write_idx(folder / "random-labels-idx1-ubyte", np.zeros(args.images))
        rows = []
        for run in range(args.runs):
            command = [ROOT / "target/release/polyact", "eval", "--json", "--quiet", "--model", folder / "model.pt"]
            command += ["--dataset", folder, "--mean", str(MEAN), "--std", str(STD), "--relu", args.relu]
            command += ["--relu-range", args.range, "--batch", str(args.batch)]
            row = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
            rows.append([float(row[key]) / args.images for key in ("seconds_exact", "seconds")])
            ratio = rows[-1][1] / rows[-1][0]
            print(f"run {run + 1}: exact {rows[-1][0]:.4f} s, approximate {rows[-1][1]:.4f} s an image, ratio {ratio:.3f}, ", end="")
            print(f"{row['overflow_values']} values out of range")
        print(f"median ratio {statistics.median(b / a for a, b in rows):.3f}")


if __name__ == "__main__":
    main()
