"""The weights of the block, batch norm folded in, and the block as a classifier in TorchScript; run with the project's torch."""

import json
import sys

import numpy as np
import torch
from torch import nn

from .block import CHANNELS, side_of
from .environment import ROOT

ARCHIVE = ROOT / "weights" / "resnet20-fashion.pt"


class Classifier(nn.Module):
    """First convolution, first block, average pool, linear layer."""

    def __init__(self, layers):
        super().__init__()
        inner = nn.Module()
        self.conv1, inner.conv1, inner.conv2 = (_convolution(*layer) for layer in layers)
        self.relu, inner.relu1, inner.relu2 = (nn.ReLU() for _ in range(3))
        self.layer1 = nn.ModuleList([inner])
        self.fc = nn.Linear(CHANNELS, 10)

    def forward(self, x):
        (block,) = self.layer1
        x = self.relu(self.conv1(x))
        x = block.relu2(block.conv2(block.relu1(block.conv1(x))) + x)
        return self.fc(x.mean((2, 3)))


def _convolution(weight, bias):
    layer = nn.Conv2d(weight.shape[1], weight.shape[0], 3, padding=1)
    layer.weight.data, layer.bias.data = torch.tensor(weight), torch.tensor(bias)
    return layer


def _folded(state, convolution, norm):
    get = lambda name: state[f"{norm}.{name}"].numpy()
    factor = get("weight") / np.sqrt(get("running_var") + 1e-5)
    return state[f"{convolution}.weight"].numpy() * factor[:, None, None, None], get("bias") - get("running_mean") * factor


def main(path, ring, classifier):
    extra = {"preprocess.json": ""}
    state = torch.jit.load(str(ARCHIVE), _extra_files=extra).state_dict()
    names = [("conv1", "bn1"), ("layer1.0.conv1", "layer1.0.bn1"), ("layer1.0.conv2", "layer1.0.bn2")]
    layers = [_folded(state, *pair) for pair in names]
    linear = state["fc.weight"].numpy()[:, :CHANNELS], state["fc.bias"].numpy()
    preprocess = json.loads(extra["preprocess.json"])
    if classifier:
        model = Classifier(layers)
        model.fc.weight.data, model.fc.bias.data = map(torch.tensor, linear)
        side = side_of(ring // 2)
        preprocess["input_size"] = [1, side, side]
        traced = torch.jit.trace(model.eval(), torch.zeros(1, 1, side, side))
        torch.jit.save(traced, classifier, _extra_files={"preprocess.json": json.dumps(preprocess)})
        return
    arrays = {f"{kind}{at}": array for at, layer in enumerate([*layers, linear]) for kind, array in zip(("weight", "bias"), layer)}
    np.savez(path, mean=preprocess["mean"], std=preprocess["std"], **arrays)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), sys.argv[3])
