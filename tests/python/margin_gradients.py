"""A network with ReLU, ReLU6 and a max-pool, written by PyTorch, and the gradients of its margins by autograd.

usage: margin_gradients.py FOLDER

Writes model.pt, input.bin, and gradients.json: for each activation of each channel how many values there are and the sum of the
squared gradients at what it gives; of the pool the sum over all.
"""

import json
import sys
from pathlib import Path

import numpy as np
import torch
from torch import nn

folder = Path(sys.argv[1])
torch.manual_seed(5)


class Network(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = nn.Conv2d(3, 5, 3, padding=1)
        self.relu = nn.ReLU(inplace=True)
        self.pool = nn.MaxPool2d(2)
        self.second = nn.Conv2d(5, 5, 3, padding=1)
        self.six = nn.ReLU6()
        self.last = nn.Linear(5, 4)

    def forward(self, x):
        x = self.pool(self.relu(self.first(x)))
        x = x + self.six(3 * self.second(x) + 2)
        return self.last(x.mean((2, 3)))


network = Network().eval()
images = torch.randn(7, 3, 8, 8)
torch.jit.trace(network, images).save(str(folder / "model.pt"))
images.numpy().astype(np.float32).tofile(folder / "input.bin")

given = {}


def keep(name):
    def hook(module, inputs, output):
        output.retain_grad()
        given[name] = output

    return hook


for name in ["relu", "pool", "six"]:
    module = getattr(network, name)
    if name == "relu":
        module.inplace = False
    module.register_forward_hook(keep(name))
best = network(images).topk(2, 1).values
(best[:, 0] - best[:, 1]).sum().backward()
sums = {name: (output.grad**2).sum((0, 2, 3)).tolist() for name, output in given.items()}
counts = {name: output[:, 0].numel() for name, output in given.items()}
(folder / "gradients.json").write_text(json.dumps({"sums": sums, "counts": counts}))
