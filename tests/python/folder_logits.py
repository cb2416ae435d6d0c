"""Logits of a classifier for a folder of class folders, through torchvision's own ImageFolder and transforms.

    folder_logits.py NAME IMAGEFOLDER OUT

NAME is a torchvision network with random weights, or `tiny`: a small network with as many outputs as there are folders.
Writes model.pt with preprocess.json (resize 256, crop 224, ImageNet's mean and standard deviation) and logits.bin
(f32, image after image in ImageFolder's order) into OUT; prints how many classes and images there are.
"""

import json
import sys
from pathlib import Path

import torch
from torch import nn
from torchvision import datasets, transforms
from torchvision_archive import build, logits

MEAN, STD = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]


def tiny(classes: int) -> nn.Module:
    torch.manual_seed(3)
    layers = [nn.Conv2d(3, 8, 7, 4), nn.ReLU(), nn.MaxPool2d(3, 2, 1), nn.Conv2d(8, 16, 3, 2), nn.ReLU()]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(64, classes)).eval()


def main() -> None:
    name, folder, out = sys.argv[1], sys.argv[2], Path(sys.argv[3])
    resize, crop = (342, 299) if name == "inception_v3" else (256, 224)
    steps = [transforms.Resize(resize), transforms.CenterCrop(crop), transforms.ToTensor(), transforms.Normalize(MEAN, STD)]
    images = datasets.ImageFolder(folder, transforms.Compose(steps))
    model = tiny(len(images.classes)) if name == "tiny" else build(name)[0]
    preprocess = {"input_size": [3, crop, crop], "mean": MEAN, "std": STD, "resize": resize, "crop": crop}
    with torch.no_grad():
        output = [logits(model(batch)) for batch, _ in torch.utils.data.DataLoader(images, 16)]
        traced = torch.jit.trace(model, torch.rand(1, 3, crop, crop))
    torch.jit.save(traced, str(out / "model.pt"), _extra_files={"preprocess.json": json.dumps(preprocess)})
    torch.cat(output).numpy().tofile(out / "logits.bin")
    print(len(images.classes), len(images))


if __name__ == "__main__":
    main()
