"""Logits of a torchvision network whose ReLUs and max-pools are composite polynomials, evaluated in float64.

    swapped_logits.py NAME FOLDER DESIGN.json BOUND

Written from the formulas (Lee et al., arXiv 2105.10879, sections 3 and 4) and not from polyact's code. DESIGN.json is what
`polyact design --format json` writes; BOUND is the error bound of max that the pools' scale makes room for. Writes
model.pt, input.bin and logits.bin (f32) into FOLDER; prints side, range of the ReLUs, range of the max-pools.
"""

import json
import math
import sys
from pathlib import Path

import torch
from torch import nn
from torchvision_archive import build, images


class Sign:
    def __init__(self, design: dict):
        self.stages = [[(c["power"], c["f64"]) for c in stage["coefficients"]] for stage in design["stages"]]

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        for stage in self.stages:
            total = torch.zeros_like(x)
            for power, coefficient in reversed(stage):
                total = total + coefficient * x**power
            x = total
        return x


class PolynomialRelu(nn.Module):
    def __init__(self, sign: Sign, bound: float):
        super().__init__()
        self.sign, self.bound = sign, bound

    def forward(self, x):
        y = x / self.bound
        return self.bound * (y + y * self.sign(y)) / 2


class PolynomialMaxPool(nn.Module):
    """After a ReLU: padding is zero."""

    def __init__(self, sign: Sign, bound: float, error: float, pool: nn.MaxPool2d):
        super().__init__()
        self.sign, self.bound, self.pool = sign, bound, pool
        rounds = math.ceil(math.log2(pool.kernel_size**2))
        self.scale = (1 - 2 * (rounds - 1) * error) / (2 * bound)

    def forward(self, x):
        pool = self.pool
        x = nn.functional.pad(x, [pool.padding] * 4)
        windows = x.unfold(2, pool.kernel_size, pool.stride).unfold(3, pool.kernel_size, pool.stride)
        players = list((self.scale * windows + 0.5).flatten(4).unbind(4))
        while len(players) > 1:
            late = [players.pop()] if len(players) % 2 else []
            players = [self.maximum(a, b) for a, b in zip(players[::2], players[1::2])] + late
        return (players[0] - 0.5) / self.scale

    def maximum(self, a, b):
        return ((a + b) + (a - b) * self.sign(a - b)) / 2


def largest_inputs(model: nn.Module, x: torch.Tensor) -> tuple[float, float]:
    """The largest absolute input of any ReLU, and of any max-pool."""
    largest = {nn.ReLU: 0.0, nn.MaxPool2d: 0.0}

    def look(module, inputs):
        kind = type(module)
        largest[kind] = max(largest[kind], inputs[0].abs().max().item())

    hooks = [m.register_forward_pre_hook(look) for m in model.modules() if type(m) in largest]
    model(x)
    for hook in hooks:
        hook.remove()
    return largest[nn.ReLU], largest[nn.MaxPool2d]


def swap(module: nn.Module, sign: Sign, relu_bound: float, pool_bound: float, error: float) -> None:
    for name, child in module.named_children():
        if isinstance(child, nn.ReLU):
            setattr(module, name, PolynomialRelu(sign, relu_bound))
        elif isinstance(child, nn.MaxPool2d):
            setattr(module, name, PolynomialMaxPool(sign, pool_bound, error, child))
        else:
            swap(child, sign, relu_bound, pool_bound, error)


def main() -> None:
    name, folder, design, error = sys.argv[1], Path(sys.argv[2]), sys.argv[3], float(sys.argv[4])
    model, side = build(name)
    x = images(2, side)
    with torch.no_grad():
        torch.jit.trace(model, x[:1]).save(str(folder / "model.pt"))
        relu_bound, pool_bound = (math.ceil(1.1 * bound) for bound in largest_inputs(model, x))
        swap(model, Sign(json.loads(Path(design).read_text())), relu_bound, pool_bound, error)
        expected = model.double()(x.double())
    x.numpy().tofile(folder / "input.bin")
    expected.float().numpy().tofile(folder / "logits.bin")
    print(side, relu_bound, pool_bound)


if __name__ == "__main__":
    main()
