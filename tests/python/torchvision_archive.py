"""A torchvision classifier with random weights as TorchScript, and PyTorch's own logits for it.

    torchvision_archive.py NAME traced|scripted FOLDER [IMAGES]

Writes model.pt, input.bin (f32, [IMAGES, 3, side, side]) and logits.bin (f32, [IMAGES, 1000]) into FOLDER and prints the
side. Batch norms get the statistics of one batch, so that activations stay of order one through any depth, and residual
branches are damped as training leaves them: at random weights PyTorch's own ResNet-152 is 2e-4 from its float64 logits.
"""

import sys
from pathlib import Path

import torch
import torchvision


def build(name: str) -> tuple[torch.nn.Module, int]:
    """The network in eval mode, and the side of its input."""
    torch.manual_seed(0)
    extra = {"init_weights": False} if name in ("googlenet", "inception_v3") else {}
    model = torchvision.models.get_model(name, weights=None, **extra)
    side = 299 if name == "inception_v3" else 224
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = 1.0
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
        if isinstance(module, torchvision.models.resnet.Bottleneck):
            torch.nn.init.constant_(module.bn3.weight, 0.2)
    model.train()
    with torch.no_grad():
        model(images(4, side, seed=1))
    return model.eval(), side


def images(count: int, side: int, seed: int = 2) -> torch.Tensor:
    """Smooth random images, normalised: noise at three scales."""
    generator = torch.Generator().manual_seed(seed)
    total = torch.zeros(count, 3, side, side)
    for cells in (4, 16, 64):
        noise = torch.randn(count, 3, cells, cells, generator=generator)
        total += torch.nn.functional.interpolate(noise, size=(side, side), mode="bilinear")
    return total / 1.5


def logits(output) -> torch.Tensor:
    """The logits of a plain or a tuple output."""
    return output if isinstance(output, torch.Tensor) else output[0]


def main() -> None:
    name, way, folder = sys.argv[1], sys.argv[2], Path(sys.argv[3])
    model, side = build(name)
    count = int(sys.argv[4]) if len(sys.argv) > 4 else 2
    x = images(count, side)
    with torch.no_grad():
        expected = logits(model(x))
        archive = torch.jit.trace(model, x[:1]) if way == "traced" else torch.jit.script(model)
    archive.save(str(folder / "model.pt"))
    x.numpy().tofile(folder / "input.bin")
    expected.numpy().tofile(folder / "logits.bin")
    print(side)


if __name__ == "__main__":
    main()
