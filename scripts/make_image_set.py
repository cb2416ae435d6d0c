#!/usr/bin/env python3
"""Make a set of JPEGs of ImageNet's shape, in the three layouts that ImageNet is found in.

    .venv/bin/python scripts/make_image_set.py FOLDER [--images 2000] [--classes 1000] [--photos FOLDER] [--random-sizes]

Writes FOLDER/val/CLASS/NAME.JPEG (class folders), FOLDER/flat/NAME.JPEG, FOLDER/val.tar, FOLDER/synsets.txt (a WordNet id
a line in the order of the names) and FOLDER/labels.txt (a class index a line). Pictures are cut from the photographs of
--photos, or made of smooth noise. The same arguments make the same bytes.
"""

import argparse
import io
import os
import random
import tarfile
from pathlib import Path

import numpy as np
from PIL import Image


def noise(generator: np.random.Generator, width: int, height: int) -> Image.Image:
    """Smooth noise at four scales, with some grain: about as many bytes as a photograph of the size."""
    total = np.zeros((height, width, 3), np.float32)
    for cells, weight in ((3, 60), (12, 30), (48, 14), (160, 8)):
        coarse = generator.integers(0, 256, (cells, cells, 3), dtype=np.uint8)
        smooth = Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)
        total += (np.asarray(smooth, np.float32) - 128) / 128 * weight
    total += generator.normal(0, 4, total.shape)
    return Image.fromarray((total + 128).clip(0, 255).astype(np.uint8))


def cut(generator: random.Random, photos: list[Path], width: int, height: int) -> Image.Image:
    """A part of a photograph, enlarged or shrunk to the size."""
    photo = Image.open(generator.choice(photos)).convert("RGB")
    share = generator.uniform(0.5, 1.0)
    w, h = int(photo.width * share), int(photo.height * share)
    left, top = generator.randint(0, photo.width - w), generator.randint(0, photo.height - h)
    return photo.crop((left, top, left + w, top + h)).resize((width, height), Image.Resampling.LANCZOS)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--images", type=int, default=2000)
    parser.add_argument("--classes", type=int, default=1000)
    parser.add_argument("--photos", type=Path)
    parser.add_argument("--random-sizes", action="store_true", help="sides of 200 to 800 instead of ImageNet's common 500x375")
    args = parser.parse_args()

    photos = sorted(p for p in args.photos.rglob("*") if p.suffix.lower() in (".jpg", ".jpeg", ".png")) if args.photos else []
    synsets = [f"n{1000000 + 1009 * index:08}" for index in range(args.classes)]
    chooser = random.Random(0)
    order = [index % args.classes for index in range(args.images)]
    chooser.shuffle(order)
    for name in ("val", "flat"):
        (args.folder / name).mkdir(parents=True, exist_ok=True)
    for synset in synsets:
        (args.folder / "val" / synset).mkdir(exist_ok=True)
    with tarfile.open(args.folder / "val.tar", "w") as archive:
        for index, label in enumerate(order):
            width, height = chooser.choice(((500, 375), (375, 500), (500, 333), (400, 300)))
            if args.random_sizes:
                width, height = chooser.randint(200, 800), chooser.randint(200, 800)
            if photos:
                picture = cut(random.Random(index), photos, width, height)
            else:
                picture = noise(np.random.default_rng(index), width, height)
            encoded = io.BytesIO()
            picture.save(encoded, "JPEG", quality=90 if index % 3 else 96, subsampling=2 if index % 4 else 0)
            name = f"ILSVRC2012_val_{index + 1:08}.JPEG"
            (args.folder / "flat" / name).write_bytes(encoded.getvalue())
            place = args.folder / "val" / synsets[label] / name
            place.unlink(missing_ok=True)
            os.link(args.folder / "flat" / name, place)
            entry = tarfile.TarInfo(name)
            entry.size = len(encoded.getvalue())
            archive.addfile(entry, io.BytesIO(encoded.getvalue()))
    (args.folder / "synsets.txt").write_text("".join(f"{synsets[label]}\n" for label in order))
    (args.folder / "labels.txt").write_text("".join(f"{label}\n" for label in order))
    print(f"{args.images} images of {args.classes} classes in {args.folder}")


if __name__ == "__main__":
    main()
