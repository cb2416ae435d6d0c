"""Archives of scripts/export_torchscript.py, the logits of the networks they come from, and its errors.

    export_check.py archives FOLDER
    export_check.py errors FOLDER

The first exports networks of every kind into FOLDER, each as NAME.pt with NAME.in.bin (f32, a batch of 2) and
NAME.out.bin (f32, [2, classes]). The weights are those of networks defined here, in the layouts of the repositories they
are named after, so that the exporter's own definitions are checked too. The second prints exit code and stderr of
commands that must fail, by name, as JSON.
"""

import argparse
import contextlib
import importlib
import io
import json
import os
import sys
from collections import OrderedDict
from pathlib import Path

import torch
import torchvision
from torch import nn
from torch.nn import functional as F

sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent / "scripts"))
import export_torchscript  # noqa: E402


class Block(nn.Module):
    def __init__(self, inputs: int, outputs: int, shortcut: str | None):
        super().__init__()
        self.stride = outputs // inputs
        self.conv1 = nn.Conv2d(inputs, outputs, 3, self.stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.name = shortcut if self.stride == 2 else None
        if self.name:
            setattr(self, shortcut, nn.Sequential(nn.Conv2d(inputs, outputs, 1, 2, bias=False), nn.BatchNorm2d(outputs)))

    def forward(self, x):
        y = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        if self.name:
            return F.relu(y + getattr(self, self.name)(x))
        if self.stride == 2:
            half = x[:, :, ::2, ::2]
            zeros = torch.zeros_like(half[:, : half.shape[1] // 2])
            x = torch.cat((zeros, half, zeros), 1)
        return F.relu(y + x)


class CifarResNet(nn.Module):
    def __init__(self, head: str, shortcut: str | None, classes: int):
        super().__init__()
        self.head = head
        self.conv1 = nn.Conv2d(3, 16, 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        for stage, width in enumerate((16, 32, 64)):
            widths = [max(16, width // 2), width, width, width]
            blocks = [Block(a, b, shortcut) for a, b in zip(widths, widths[1:])]
            setattr(self, f"layer{stage + 1}", nn.Sequential(*blocks))
        setattr(self, head, nn.Linear(64, classes))

    def forward(self, x):
        x = self.layer3(self.layer2(self.layer1(F.relu(self.bn1(self.conv1(x))))))
        return getattr(self, self.head)(F.avg_pool2d(x, 8).flatten(1))


class CifarVgg11(nn.Module):
    """The features as all write them; `classifier` is a layer, or the kinds of layers in sequence: D, L and R."""

    def __init__(self, classifier: str, classes: int, bias: bool = True):
        super().__init__()
        layers, channels = [], 3
        for width in (64, "M", 128, "M", 256, 256, "M", 512, 512, "M", 512, 512, "M"):
            if width == "M":
                layers.append(nn.MaxPool2d(2, 2))
            else:
                layers += [nn.Conv2d(channels, width, 3, padding=1, bias=bias), nn.BatchNorm2d(width), nn.ReLU()]
                channels = width
        self.features = nn.Sequential(*layers)
        if classifier == "L":
            self.classifier = nn.Linear(512, classes)
        else:
            widths = iter((512, 512, classes))
            kinds = {"D": nn.Dropout, "R": nn.ReLU, "L": lambda: nn.Linear(512, next(widths))}
            self.classifier = nn.Sequential(*(kinds[kind]() for kind in classifier))

    def forward(self, x):
        return self.classifier(self.features(x).flatten(1))


OWN = """
import torch
from torch import nn
import neighbour

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.MaxPool2d(2))
        self.module = nn.Linear(4, neighbour.CLASSES)

    def forward(self, x):
        return self.module(self.body(x).mean((2, 3)))

class Branching(Net):
    # A trace keeps the branch of its one image.
    def forward(self, x):
        y = self.module(self.body(x).mean((2, 3)))
        if x.shape[0] > 1:
            y = y + 1
        return y

build = Net
not_a_module = dict
number = 3
def broken():
    raise ValueError("no such\\nthing")
"""


OWN_OPTIONS = ("--input-size", "1x12x12", "--mean=-0.5", "--std", "2")


def own_module(folder: Path):
    """The module of OWN, which then lies in `folder` as own.py."""
    (folder / "own.py").write_text(OWN)
    (folder / "neighbour.py").write_text("CLASSES = 5\n")
    sys.path.insert(0, str(folder))
    return importlib.import_module("own")


def save(folder: Path, name: str, state) -> Path:
    torch.save(state, folder / name)
    return folder / name


def randomised(module: nn.Module) -> nn.Module:
    """`module` in eval mode, with batch norms that are no identity."""
    for part in module.modules():
        if isinstance(part, nn.BatchNorm2d):
            for tensor in (part.weight, part.running_var):
                nn.init.uniform_(tensor, 0.5, 1.5)
            for tensor in (part.bias, part.running_mean):
                nn.init.normal_(tensor, 0, 0.2)
    return module.eval()


def run(*arguments) -> tuple[int, str]:
    """Exit code and stderr of the exporter."""
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()) as errors:
        code = export_torchscript.main([str(argument) for argument in arguments])
    return code, errors.getvalue()


def archives(folder: Path) -> None:
    def succeeds(name: str, module: nn.Module, shape: tuple[int, ...], *arguments) -> None:
        """Export as NAME.pt, and write what `module` makes of two images of `shape`."""
        code, error = run(*arguments, "-o", folder / f"{name}.pt")
        if code:
            raise SystemExit(f"{name}: {error}")
        x = torch.randn(2, *shape)
        with torch.no_grad():
            module(x).numpy().tofile(folder / f"{name}.out.bin")
        x.numpy().tofile(folder / f"{name}.in.bin")

    # Torchvision: a state_dict, a DataParallel checkpoint of other classes, auxiliary heads, old names.
    resnet = randomised(torchvision.models.resnet18())
    resnet_file = save(folder, "resnet18.pth", resnet.state_dict())
    succeeds("resnet18", resnet, (3, 224, 224), "resnet18", "--weights", resnet_file)
    small = randomised(torchvision.models.resnet18(num_classes=7))
    checkpoint = {"epoch": 3, "args": argparse.Namespace(lr=0.1), "state_dict": nn.DataParallel(small).state_dict()}
    options = ("--input-size", "3x64x64", "--resize", "72", "--interpolation", "bicubic", "--mean", "0.5", "--std", "0.25,0.5,1")
    succeeds("finetuned", small, (3, 64, 64), "resnet18", "--weights", save(folder, "parallel.pth", checkpoint), "--script", *options)
    googlenet = randomised(torchvision.models.googlenet(aux_logits=True, transform_input=True, init_weights=False))
    file = save(folder, "googlenet.pth", googlenet.state_dict())
    succeeds("googlenet", googlenet, (3, 64, 64), "googlenet", "--weights", file, "--crop", 64)
    densenet = randomised(torchvision.models.densenet121())
    dotted = OrderedDict()
    for key, value in densenet.state_dict().items():
        parts = key.split(".")
        if "denselayer" in key and parts[-2][-1] in "12" and parts[-2][:-1] in ("norm", "conv"):
            parts[-2] = f"{parts[-2][:-1]}.{parts[-2][-1]}"
        if parts[-1] != "num_batches_tracked":
            dotted[".".join(parts)] = value
    file = save(folder, "densenet.pth", dotted)
    succeeds("densenet121", densenet, (3, 64, 64), "densenet121", "--weights", file, "--crop", 64)

    # Weights by name, from torch's cache in the place of the network.
    os.environ["TORCH_HOME"] = str(folder)
    cache = folder / "hub/checkpoints"
    cache.mkdir(parents=True)
    inception = randomised(torchvision.models.inception_v3(transform_input=True, init_weights=False))
    weights = torchvision.models.Inception_V3_Weights.IMAGENET1K_V1
    save(cache, Path(weights.url).name, inception.state_dict())
    succeeds("inception_v3", inception, (3, 299, 299), "inception_v3", "--weights", weights.name)
    resnet = randomised(torchvision.models.resnet50())
    weights = torchvision.models.ResNet50_Weights.IMAGENET1K_V2
    save(cache, Path(weights.url).name, resnet.state_dict())
    succeeds("resnet50", resnet, (3, 224, 224), "resnet50", "--weights", weights.name)

    # The CIFAR networks in three layouts each.
    layouts = {"akamaster": ("linear", None, 10), "chenyaofo": ("fc", "downsample", 100), "kuangliu": ("linear", "shortcut", 10)}
    for name, (head, shortcut, classes) in layouts.items():
        module = randomised(CifarResNet(head, shortcut, classes))
        state = module.state_dict()
        if name == "akamaster":
            state = {"state_dict": {f"module.{key}": value for key, value in state.items()}, "best_prec1": 91.7}
        elif name == "kuangliu":
            state = {"net": {f"module.{key}": value for key, value in state.items()}, "acc": 95.0, "epoch": 199}
        file = save(folder, f"resnet20-{name}.th", state)
        succeeds(f"resnet20-{name}", module, (3, 32, 32), "cifar_resnet20", "--weights", file)
    classifiers = {"chengyangfu": ("DLRDLRL", 10, True), "chenyaofo": ("LRDLRDL", 100, True), "kuangliu": ("L", 10, False)}
    for name, (classifier, classes, bias) in classifiers.items():
        module = randomised(CifarVgg11(classifier, classes, bias))
        state = module.state_dict()
        if name == "chengyangfu":
            state = {"state_dict": {key.replace("features.", "features.module."): value for key, value in state.items()}}
        file = save(folder, f"vgg11-{name}.pth", state)
        succeeds(f"vgg11-{name}", module, (3, 32, 32), "cifar_vgg11_bn", "--weights", file)

    # A module of the user's, whose own keys have `module` in them.
    own = own_module(folder)
    net = own.Net().eval()
    file = save(folder, "own.pth", {"model": nn.DataParallel(net).state_dict()})
    succeeds("own", net, (1, 12, 12), f"{folder}/own.py:build", "--weights", file, *OWN_OPTIONS)
    branching = own.Branching().eval()
    file = save(folder, "branching.pth", branching.state_dict())
    succeeds("branching", branching, (1, 12, 12), f"{folder}/own.py:Branching", "--weights", file, *OWN_OPTIONS)

    # Random weights: the same for the same seed.
    run("resnet18", "--random", "--seed", 3, "--classes", 9, "-o", folder / "random-again.pt")
    again = torch.jit.load(str(folder / "random-again.pt"))
    succeeds("random", again, (3, 224, 224), "resnet18", "--random", "--seed", 3, "--classes", 9)


def errors(folder: Path) -> None:
    said = {}

    def fails(name: str, *arguments) -> None:
        said[name] = run(*arguments, "-o", folder / "unwanted.pt")
        if (folder / "unwanted.pt").exists():
            raise SystemExit(f"{name} wrote an archive")

    own_module(folder)
    fails("a name with a slip", "resnet81", "--random")
    fails("a CIFAR name with a slip", "cifar_resnet21", "--random")
    fails("no weights", "resnet18")
    fails("weights of another name", "resnet18", "--weights", "IMAGENET1K_V7")
    # Nothing listens on this port.
    os.environ.update(TORCH_HOME=str(folder), https_proxy="http://127.0.0.1:9", no_proxy="")
    fails("no network", "resnet18", "--weights", "IMAGENET1K_V1")
    fails("no such file", "resnet18", "--weights", folder / "nowhere.pth")
    fails("no such script", f"{folder}/nowhere.py:build")
    fails("no such callable", f"{folder}/own.py:built")
    fails("no module", f"{folder}/own.py:not_a_module")
    fails("an error in the script", f"{folder}/own.py:broken")
    resnet = torchvision.models.resnet18()
    lacking = OrderedDict(resnet.state_dict())
    del lacking["layer1.0.conv1.weight"], lacking["bn1.bias"]
    lacking["head.weight"] = lacking["conv1.weight"]
    lacking["conv1.weight"] = torch.zeros(64, 3, 5, 5)
    fails("keys that do not fit", "resnet18", "--weights", save(folder, "lacking.pth", lacking))
    lacking = CifarResNet("fc", "downsample", 10).state_dict()
    del lacking["layer2.0.downsample.0.weight"], lacking["fc.bias"]
    fails("keys in the words of the file", "cifar_resnet20", "--weights", save(folder, "lacking20.pth", lacking))
    fails("another network", "resnet50", "--weights", save(folder, "resnet18.pth", resnet.state_dict()))
    torch.jit.script(nn.ReLU()).save(str(folder / "archive.pt"))
    fails("an archive as weights", "resnet18", "--weights", folder / "archive.pt")
    (folder / "text.pth").write_text("no weights\n")
    fails("text as weights", "resnet18", "--weights", folder / "text.pth")
    fails("a whole module as weights", "resnet18", "--weights", save(folder, "whole.pth", resnet))
    fails("no state_dict", "resnet18", "--weights", save(folder, "other.pth", {"epoch": 3}))
    fails("trace of a branch", f"{folder}/own.py:Branching", "--trace", *OWN_OPTIONS)
    fails("another number of classes", f"{folder}/own.py:build", "--classes", 4, *OWN_OPTIONS)
    fails("a crop beside the size", "resnet18", "--random", "--crop", 192, "--input-size", "3x224x224")
    fails("a crop that is too large", "resnet18", "--random", "--crop", 288)
    fails("two means", "resnet18", "--random", "--mean", "0.5,0.4")
    fails("an input of no network", "cifar_resnet20", "--random", "--input-size", "4x32x32", "--mean", "0", "--std", "1")
    fails("CIFAR of no normalisation", "cifar_resnet20", "--random", "--classes", 20)
    fails("an unknown option", "resnet18", "--randon")
    said["no such folder"] = run("resnet18", "--random", "-o", folder / "nowhere/a.pt")
    print(json.dumps(said))


def main() -> None:
    torch.manual_seed(7)
    {"archives": archives, "errors": errors}[sys.argv[1]](Path(sys.argv[2]))


if __name__ == "__main__":
    main()
