"""Class folders of pictures whose red value is the position of their class, and a network that reads it off.

    red_classes.py FOLDER KIND IMAGES NAME...

Writes FOLDER/val/NAME/*.png, IMAGES each, and FOLDER/model.pt. KIND says what its preprocess.json has: `colour` or `grey`,
all that such an input needs, or one key alone (`classes-only`, `mean-only`, `crop-only`). In grey, the value is the
brightness, of pictures that are stored in colour.
"""

import json
import sys
from pathlib import Path

import torch
from PIL import Image
from torch import nn

SIDE = 12


class Reader(nn.Module):
    def __init__(self, classes: int):
        super().__init__()
        self.register_buffer("values", torch.arange(classes).float())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        level = torch.relu(x[:, 0].mean((1, 2)) * 255)
        return -((level.unsqueeze(1) - self.values) ** 2)


def main() -> None:
    folder, kind, images, *names = sys.argv[1:]
    for value, name in enumerate(names):
        place = Path(folder) / "val" / name
        place.mkdir(parents=True)
        colour = (value, value, value) if kind == "grey" else (value, 0, 0)
        for number in range(1, int(images) + 1):
            Image.new("RGB", (SIDE, SIDE), colour).save(place / f"{number}.png")
    channels = 1 if kind == "grey" else 3
    whole = {"input_size": [channels, SIDE, SIDE], "mean": [0.0], "std": [1.0]}
    parts = {"classes-only": {"classes": len(names)}, "mean-only": {"mean": [0.0]}, "crop-only": {"crop": 10}}
    archive = torch.jit.script(Reader(len(names)).eval())
    extra = {"preprocess.json": json.dumps(parts.get(kind, whole))}
    torch.jit.save(archive, str(Path(folder) / "model.pt"), _extra_files=extra)


main()
