"""The CIFAR networks of arXiv 2105.10879: ResNet-20 to -110, and VGG-11 to -19 with batch norm, for 32x32 images.

A state_dict says by its keys and shapes which of the usual variants it belongs to; `build` makes the network for it.
"""

import re
from dataclasses import dataclass, field

import torch
from torch import nn
from torch.nn import functional as F

# The number of blocks in each of the three stages.
RESNETS = {f"cifar_resnet{6 * blocks + 2}": blocks for blocks in (3, 5, 7, 9, 18)}
# The number of convolutions before each max-pool.
VGGS = {
    "cifar_vgg11_bn": (1, 1, 2, 2, 2),
    "cifar_vgg13_bn": (2, 2, 2, 2, 2),
    "cifar_vgg16_bn": (2, 2, 3, 3, 3),
    "cifar_vgg19_bn": (2, 2, 4, 4, 4),
}
NAMES = [*RESNETS, *VGGS]

# Mean and standard deviation of the training images by number of classes, pixels in [0, 1].
NORMALISATION = {
    10: ((0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010)),
    100: ((0.5071, 0.4867, 0.4408), (0.2675, 0.2565, 0.2761)),
}
OF_IMAGENET = "normalised as ImageNet: if this is one of them, add --mean 0.485,0.456,0.406 --std 0.229,0.224,0.225"


@dataclass
class Layout:
    """How a state_dict names and shapes the parts of a network."""

    name: str
    # The file's word for a part of a key of ours.
    words: dict[str, str] = field(default_factory=dict)
    # What to tell the user of weights in this layout.
    note: str | None = None

    def key(self, own: str) -> str:
        """The file's key for a key of ours."""
        return ".".join(self.words.get(part, part) for part in own.split("."))


class PaddedShortcut(nn.Module):
    """The shortcut without parameters: every other pixel, and zeros for the new channels (arXiv 1512.03385, option A)."""

    def __init__(self, extra: int):
        super().__init__()
        self.extra = extra

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.pad(x[:, :, ::2, ::2], [0, 0, 0, 0, self.extra, self.extra])


class BasicBlock(nn.Module):
    """Two 3x3 convolutions, and a shortcut that is `projected` by a 1x1 convolution where the shape changes, or padded."""

    def __init__(self, inputs: int, outputs: int, projected: bool):
        super().__init__()
        stride = 1 if inputs == outputs else 2
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.relu1 = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.relu2 = nn.ReLU(inplace=True)
        if stride == 1:
            self.shortcut = nn.Sequential()
        elif projected:
            self.shortcut = nn.Sequential(nn.Conv2d(inputs, outputs, 1, 2, bias=False), nn.BatchNorm2d(outputs))
        else:
            self.shortcut = PaddedShortcut((outputs - inputs) // 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.bn2(self.conv2(self.relu1(self.bn1(self.conv1(x)))))
        return self.relu2(y + self.shortcut(x))


class ResNet(nn.Module):
    """The ResNet of 6·`blocks`+2 layers (arXiv 1512.03385, section 4.2)."""

    def __init__(self, blocks: int, classes: int, projected: bool):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 16, 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        self.relu = nn.ReLU(inplace=True)
        self.layer1 = self.stage(16, 16, blocks, projected)
        self.layer2 = self.stage(16, 32, blocks, projected)
        self.layer3 = self.stage(32, 64, blocks, projected)
        self.linear = nn.Linear(64, classes)

    @staticmethod
    def stage(inputs: int, outputs: int, blocks: int, projected: bool) -> nn.Sequential:
        rest = [BasicBlock(outputs, outputs, projected) for _ in range(blocks - 1)]
        return nn.Sequential(BasicBlock(inputs, outputs, projected), *rest)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.relu(self.bn1(self.conv1(x)))
        x = self.layer3(self.layer2(self.layer1(x)))
        return self.linear(x.mean((2, 3)))


class Vgg(nn.Module):
    """VGG with batch norm (arXiv 1409.1556): `convolutions` before each of five max-pools, then `classifier`."""

    def __init__(self, convolutions: tuple[int, ...], bias: bool, classifier: nn.Module):
        super().__init__()
        layers, channels = [], 3
        for count, width in zip(convolutions, (64, 128, 256, 512, 512)):
            for _ in range(count):
                layers += [nn.Conv2d(channels, width, 3, padding=1, bias=bias), nn.BatchNorm2d(width), nn.ReLU(True)]
                channels = width
            layers.append(nn.MaxPool2d(2, 2))
        self.features = nn.Sequential(*layers)
        self.classifier = classifier

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.classifier(torch.flatten(self.features(x), 1))


def build(name: str, state: dict[str, torch.Tensor], classes: int = 10) -> tuple[nn.Module, Layout]:
    """The network `name` in the variant of `state`, which may be empty, and how `state` names its parts.

    The weights stay random. The number of classes is that of the last layer in `state`, else `classes`.

    Raises ValueError for a classifier of unknown form.
    """
    if name in RESNETS:
        return resnet(RESNETS[name], state, classes)
    return vgg(VGGS[name], state, classes)


def outputs(state: dict[str, torch.Tensor], key: str, otherwise: int) -> int:
    return state[key].shape[0] if key in state and state[key].ndim == 2 else otherwise


def resnet(blocks: int, state: dict[str, torch.Tensor], classes: int) -> tuple[nn.Module, Layout]:
    parts = {part for key in state for part in key.split(".")}
    head = "fc" if "fc" in parts else "linear"
    shortcut = "downsample" if "downsample" in parts else "shortcut"
    projected = shortcut in parts
    kind = f"{shortcut} convolutions" if projected else "shortcuts without parameters"
    layout = Layout(f"last layer {head}, {kind}", {"linear": head, "shortcut": shortcut})
    if head == "linear" and not projected:
        layout.note = f"the weights that akamaster/pytorch_resnet_cifar10 publishes in this layout want images {OF_IMAGENET}"
    return ResNet(blocks, outputs(state, f"{head}.weight", classes), projected), layout


def vgg(convolutions: tuple[int, ...], state: dict[str, torch.Tensor], classes: int) -> tuple[nn.Module, Layout]:
    matches = [re.fullmatch(r"classifier\.(\d+)\.weight", key) for key in state]
    linear = sorted(int(match[1]) for match in matches if match)
    last = outputs(state, f"classifier.{linear[-1]}.weight" if linear else "classifier.weight", classes)
    layout = Layout(f"{len(linear) or 1} layer(s) in the classifier")
    if not linear:
        classifier = nn.Linear(512, last)
    elif linear == [0, 3, 6]:
        classifier = nn.Sequential(
            nn.Linear(512, 512), nn.ReLU(True), nn.Dropout(), nn.Linear(512, 512), nn.ReLU(True), nn.Dropout(), nn.Linear(512, last)
        )
    elif linear == [1, 4, 6]:
        classifier = nn.Sequential(
            nn.Dropout(), nn.Linear(512, 512), nn.ReLU(True), nn.Dropout(), nn.Linear(512, 512), nn.ReLU(True), nn.Linear(512, last)
        )
        layout.note = f"the weights that chengyangfu/pytorch-vgg-cifar10 publishes in this layout want images {OF_IMAGENET}"
    else:
        known = "one layer, or three named classifier.0, .3, .6 or classifier.1, .4, .6"
        raise ValueError(f"has a classifier of layers {', '.join(map(str, linear))}; known are {known}")
    bias = not state or "features.0.bias" in state
    return Vgg(convolutions, bias, classifier), layout
