#!/usr/bin/env python3
"""Time of decoding and preparing images: polyact against torchvision's ImageFolder and DataLoader, in one run.

    .venv/bin/python scripts/time_loading.py [--images 500] [--runs 5]

On JPEGs of ImageNet's shape that it makes in a temporary folder, with as many workers as there are cores; resize 256, crop
224, normalise, batches of 64. The two take turns; the workers of DataLoader live on between its runs, so that starting
them does not count. Then the peak memory of polyact for the set and for forty times as many images.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch
from torchvision import datasets, transforms

ROOT = Path(__file__).resolve().parent.parent


def program() -> str:
    """The path of the built benchmark."""
    command = ["cargo", "bench", "--bench", "loading", "--no-run", "--message-format", "json"]
    lines = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout.splitlines()
    built = [json.loads(line) for line in lines if line.startswith("{")]
    return next(b["executable"] for b in built if b.get("executable") and b["target"]["name"] == "loading")


def peak_memory(command: list) -> float:
    """MiB at most of one run of the command."""
    child = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(child.pid, 0)
    if status != 0:
        sys.exit(f"{command} failed")
    return usage.ru_maxrss / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=500)
    parser.add_argument("--runs", type=int, default=5)
    args = parser.parse_args()

    loading = program()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        script = [sys.executable, ROOT / "scripts/make_image_set.py", folder, "--images", str(args.images), "--classes", "50"]
        subprocess.run(script, check=True, capture_output=True)
        mean, std = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
        steps = [transforms.Resize(256), transforms.CenterCrop(224), transforms.ToTensor(), transforms.Normalize(mean, std)]
        images = datasets.ImageFolder(folder / "val", transforms.Compose(steps))
        workers = os.cpu_count()
        loader = torch.utils.data.DataLoader(images, 64, num_workers=workers, persistent_workers=True)
        ours, theirs = [], []
        for run in range(args.runs + 1):
            start = time.perf_counter()
            for _ in loader:
                pass
            theirs.append(time.perf_counter() - start)
            output = subprocess.run([loading, folder / "val", "1"], check=True, capture_output=True, text=True).stdout
            ours += json.loads(output)
        # The first run warms up the workers and the file cache.
        ours, theirs = ours[1:], theirs[1:]
        rate = lambda seconds: args.images / statistics.median(seconds)
        print(f"polyact {rate(ours):.0f}, DataLoader with {workers} workers {rate(theirs):.0f} images a second (medians)")
        print(f"median ratio {statistics.median(t / o for o, t in zip(ours, theirs)):.2f}")

        del loader
        flat = folder / "many"
        for index in range(40 * args.images):
            place = flat / f"c{index % 50:02}" / f"{index:06}.jpg"
            place.parent.mkdir(parents=True, exist_ok=True)
            source = folder / "flat" / f"ILSVRC2012_val_{index % args.images + 1:08}.JPEG"
            os.link(source, place)
        small = peak_memory([loading, folder / "val", "1"])
        large = peak_memory([loading, flat, "1"])
        print(f"peak memory {small:.0f} MiB for {args.images} images, {large:.0f} MiB for {40 * args.images}")


if __name__ == "__main__":
    main()
