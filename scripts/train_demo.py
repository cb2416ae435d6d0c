#!/usr/bin/env python3
"""Train the two bundled classifiers on Fashion-MNIST and export them as TorchScript.

    apt-get install dataset-fashion-mnist
    .venv/bin/python scripts/train_demo.py                 # both models
    .venv/bin/python scripts/train_demo.py resnet20        # one of them

Writes weights/resnet20-fashion.pt (traced) and weights/vgg-fashion.pt (scripted). Each archive carries the
extra file `preprocess.json`: input shape, number of classes, mean and standard deviation of the input.
The 60,000 training images alone decide the weights; the 10,000 test images are read once, at the end.
"""

import argparse
import gzip
import json
import time
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

MEAN, STD = 0.2860, 0.3530  # of the 60,000 training images, pixels in [0, 1]
CLASSES = 10


class BasicBlock(nn.Module):
    """Two 3x3 convolutions and the parameter-free shortcut of He et al. (arXiv 1512.03385, section 4.2, option A)."""

    def __init__(self, inputs: int, outputs: int, stride: int):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.relu1 = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.relu2 = nn.ReLU(inplace=True)
        self.stride = stride
        self.extra = (outputs - inputs) // 2

    def forward(self, x):
        y = self.bn2(self.conv2(self.relu1(self.bn1(self.conv1(x)))))
        if self.stride != 1:
            x = F.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, self.extra, self.extra))
        return self.relu2(y + x)


class ResNet20(nn.Module):
    """The CIFAR ResNet-20 of He et al. (arXiv 1512.03385, section 4.2) for one input channel."""

    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(1, 16, 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        self.relu = nn.ReLU(inplace=True)
        self.layer1 = nn.Sequential(BasicBlock(16, 16, 1), BasicBlock(16, 16, 1), BasicBlock(16, 16, 1))
        self.layer2 = nn.Sequential(BasicBlock(16, 32, 2), BasicBlock(32, 32, 1), BasicBlock(32, 32, 1))
        self.layer3 = nn.Sequential(BasicBlock(32, 64, 2), BasicBlock(64, 64, 1), BasicBlock(64, 64, 1))
        self.fc = nn.Linear(64, CLASSES)

    def forward(self, x):
        x = self.relu(self.bn1(self.conv1(x)))
        x = self.layer3(self.layer2(self.layer1(x)))
        return self.fc(x.mean((2, 3)))


class NarrowVgg(nn.Module):
    """VGG with batch norm, 24 to 128 channels, and four max-pools: 28, 14, 7, 3, 1."""

    def __init__(self):
        super().__init__()
        layers, channels = [], 1
        for width in (24, 24, "M", 48, 48, "M", 96, 96, "M", 128, "M"):
            if width == "M":
                layers.append(nn.MaxPool2d(2, 2))
            else:
                layers += [nn.Conv2d(channels, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU(True)]
                channels = width
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Linear(channels, CLASSES)

    def forward(self, x):
        return self.classifier(torch.flatten(self.features(x), 1))


MODELS = {"resnet20": (ResNet20, "resnet20-fashion.pt", True), "vgg": (NarrowVgg, "vgg-fashion.pt", False)}


def idx(path: Path) -> torch.Tensor:
    """The unsigned bytes of a gzipped IDX file, with its own shape."""
    data = gzip.decompress(path.read_bytes())
    shape = np.frombuffer(data, ">u4", data[3], 4).astype(int)
    return torch.from_numpy(np.frombuffer(data, np.uint8, offset=4 + 4 * data[3]).reshape(shape).copy())


def load(folder: Path, part: str) -> tuple[torch.Tensor, torch.Tensor]:
    """Normalised images [N, 1, 28, 28] and labels [N]."""
    images = idx(folder / f"{part}-images-idx3-ubyte.gz").unsqueeze(1).float().div(255).sub(MEAN).div(STD)
    return images, idx(folder / f"{part}-labels-idx1-ubyte.gz").long()


def augment(images: torch.Tensor) -> torch.Tensor:
    """Each image mirrored with probability one half and shifted by up to two pixels each way."""
    mirrored = torch.where(torch.rand(len(images), 1, 1, 1) < 0.5, images.flip(3), images)
    padded = F.pad(mirrored, (2, 2, 2, 2), value=-MEAN / STD)
    rows = torch.randint(0, 5, (len(images), 1)) + torch.arange(28)
    columns = torch.randint(0, 5, (len(images), 1)) + torch.arange(28)
    return padded[torch.arange(len(images))[:, None, None], 0, rows[:, :, None], columns[:, None, :]].unsqueeze(1)


def train(model: nn.Module, images: torch.Tensor, labels: torch.Tensor, epochs: int, batch: int) -> None:
    model.train()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, weight_decay=5e-4, nesterov=True)
    steps = len(images) // batch
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.2, epochs * steps, pct_start=0.25)
    start = time.time()
    for epoch in range(epochs):
        order, total = torch.randperm(len(images)), 0.0
        for step in range(steps):
            chosen = order[step * batch : (step + 1) * batch]
            loss = F.cross_entropy(model(augment(images[chosen])), labels[chosen], label_smoothing=0.05)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            schedule.step()
            total += loss.item()
        print(f"epoch {epoch + 1}/{epochs}: loss {total / steps:.4f}, {time.time() - start:.0f} s", flush=True)


def accuracy(model: nn.Module, images: torch.Tensor, labels: torch.Tensor) -> float:
    model.eval()
    with torch.inference_mode():
        right = sum((model(x).argmax(1) == y).sum().item() for x, y in zip(images.split(500), labels.split(500)))
    return 100.0 * right / len(labels)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="MODEL", help=f"which of {', '.join(MODELS)} (default: all)")
    parser.add_argument("--data", type=Path, default=Path("/usr/share/datasets/fashion-mnist"), help="folder of the IDX files")
    parser.add_argument("--out", type=Path, default=Path("weights"), help="folder for the archives")
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    args = parser.parse_args()
    for name in args.names:
        if name not in MODELS:
            parser.error(f"no model named {name}: choose from {', '.join(MODELS)}")

    torch.set_num_threads(args.threads)
    images, labels = load(args.data, "train")
    for name in args.names or MODELS:
        build, file, traced = MODELS[name]
        torch.manual_seed(20210510)
        model = build()
        train(model, images, labels, args.epochs, args.batch)
        print(f"{name}: top-1 {accuracy(model, *load(args.data, 't10k')):.2f} % on the test images")
        script = torch.jit.trace(model, images[:1]) if traced else torch.jit.script(model)
        preprocess = {"input_size": [1, 28, 28], "classes": CLASSES, "mean": [MEAN], "std": [STD]}
        torch.jit.save(script, str(args.out / file), _extra_files={"preprocess.json": json.dumps(preprocess)})
        print(f"{name}: wrote {args.out / file}")


if __name__ == "__main__":
    main()
