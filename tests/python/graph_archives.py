"""Small networks that are easily changed by laying values out differently, by working in place, or by moving operators.

    graph_archives.py FOLDER

Writes for each network and each of script and trace that takes it NAME.HOW.pt, and beside them NAME.in.bin and NAME.out.bin
(f32): an input [3, 3, 12, 12] and PyTorch's output for it. A network that PyTorch refuses to run has NAME.refused with its
message instead of an output. Members.names has the names of that network's activations and pools, a line each. Infinite.pt
is a network whose values f32 does not hold.
"""

import sys
from pathlib import Path
from typing import List

import torch
from torch import Tensor, nn
from torch.nn import functional as F

CLASSES = 7


class Classifier(nn.Module):
    """Two convolutions, what the subclass does, and a linear layer."""

    def __init__(self):
        super().__init__()
        self.conv, self.conv2 = nn.Conv2d(3, 6, 3, padding=1), nn.Conv2d(6, 6, 3, padding=1)
        self.fc = nn.Linear(6, CLASSES)

    def head(self, x: Tensor) -> Tensor:
        return self.fc(x.mean((2, 3)))


# What PyTorch runs must give PyTorch's result.


class ViewAfterPool(Classifier):
    """The last lines of LeNet-like networks."""

    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(54, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        x = F.max_pool2d(F.relu(self.conv(x)), 2)
        x = F.max_pool2d(F.relu(self.conv2(x)), 2)
        return self.fc(x.view(x.size(0), -1))


class CopyInPlace(Classifier):
    """contiguous() copies; what is done to the copy must not reach the shortcut."""

    def __init__(self):
        super().__init__()
        self.mlp, self.relu = nn.Linear(6, 6), nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv(x)
        z = y.permute(0, 2, 3, 1).contiguous()
        z = self.mlp(self.relu(z))
        return self.head(y + z.permute(0, 3, 1, 2))


class ViewInPlace(Classifier):
    """reshape() is a view; what is done to it must reach the shortcut."""

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv(x)
        z = y.reshape(y.size(0), -1)
        z.relu_()
        return self.head(self.conv2(y) + y)


class ChannelsLastByHand(Classifier):
    """A view that only values laid out channels last allow."""

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv(x.to(memory_format=torch.channels_last))
        rows = y.permute(0, 2, 3, 1).view(-1, 6)
        rows.clamp_(min=0)
        return self.head(y)


class StridesSeen(Classifier):
    """Strides decide what is computed."""

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv2(F.relu(self.conv(x)))
        if y.stride(1) == 1:
            y = y * 2
        return self.head(F.relu(y) + y.as_strided([3, 6, 12, 12], [864, 144, 12, 1]))


class ShortcutInPlace(Classifier):
    """The shortcut is rectified before it is added."""

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv(x)
        z = F.relu(y, inplace=True)
        z = self.conv2(z)
        z += y
        return self.head(F.relu(z))


class InputInPlace(Classifier):
    """The images themselves are normalised in place."""

    def forward(self, x: Tensor) -> Tensor:
        x.sub_(0.5).mul_(2.0)
        return self.head(F.relu(self.conv(x)))


class Expanded(Classifier):
    """Several elements of one place in memory, rectified out of place."""

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv(x)
        means = y.mean((2, 3), keepdim=True).expand(-1, -1, 12, 12)
        return self.head(F.relu(means) * y)


class LessThanZero(Classifier):
    """A ReLU's result that is lowered in place has values below zero, which the pool's padding must not replace."""

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.conv(x))
        y.sub_(2.0)
        return self.head(F.max_pool2d(y, 3, 2, 1))


class LessThanZeroThroughView(Classifier):
    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.conv(x))
        y.view(y.size(0), -1)[:, ::2].sub_(2.0)
        return self.head(F.max_pool2d(y, 3, 2, 1))


class Doubled(Classifier):
    """Sixty sums, each of one value with itself."""

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.conv(x)) * 1e-18
        for _ in range(60):
            y = y + y
        return self.head(F.max_pool2d(y, 3, 2, 1))


class Written(Classifier):
    """A piece of a value is overwritten, and the whole read again."""

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv(x)
        y[:, 1:3, ::2] = F.relu(y[:, 3:5, ::2])
        return self.head(self.conv2(y))


class WrittenLater(Classifier):
    """The images, a value and a view of it are written to and read behind activations that came later."""

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv(x)
        rows = y.view(y.size(0), 6, 144)
        z = F.relu(self.conv2(y))
        rows[:, 1:3].mul_(0.5)
        z = F.relu(self.conv2(y) + z)
        y.relu_()
        x.mul_(0.5)
        z = F.relu(self.conv2(z))
        rows.add_(0.1)
        return self.head(F.relu(y * z) + rows.view(y.size())) + x.mean()


class Gathered(Classifier):
    """A list grows behind an activation, and what it holds is written to behind another."""

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.conv(x))
        seen = [y]
        z = F.relu(self.conv2(y))
        seen.append(z)
        z = F.relu(self.conv2(z))
        seen[len(seen) - 2].mul_(0.5)
        z = F.relu(self.conv2(z) + y)
        seen.append(z)
        return self.head(torch.stack(seen).sum(0))


class Looped(Classifier):
    """Values go round in a loop and change their layout there."""

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv(x)
        for i in range(x.size(0)):
            y = F.relu(self.conv2(y))
            if i == 1:
                y = y.permute(0, 2, 3, 1).contiguous().permute(0, 3, 1, 2)
        return self.head(y.view(y.size(0), 6, 12, 12) if y.is_contiguous() else y.flip(1))


class Forked(Classifier):
    """Sites in tasks, one inside another and in a list."""

    def inner(self, x: Tensor) -> Tensor:
        return F.relu(x) - 0.5

    def branch(self, x: Tensor, scale: float) -> Tensor:
        task = torch.jit.fork(self.inner, x * scale)
        return F.relu(self.conv2(x)) + torch.jit.wait(task)

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv(x)
        tasks: List[torch.jit.Future[Tensor]] = []
        for scale in [0.5, -1.0]:
            tasks.append(torch.jit.fork(self.branch, y, scale))
        total = F.relu(y)
        for task in tasks:
            total = total + torch.jit.wait(task)
        return self.head(total)


class OfWeights(Classifier):
    """A ReLU of a parameter is computed before any image comes."""

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.randn(6, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        return self.head(F.relu(self.conv(x)) * F.relu(self.scale))


class Positions(Classifier):
    """Whole numbers times a number, which a trace writes down as a tensor."""

    def forward(self, x: Tensor) -> Tensor:
        values, positions = F.max_pool2d_with_indices(F.relu(self.conv(x)), 2)
        first, second = (self.conv2(values) + 0.01 * positions).chunk(2, 1)
        return self.head(F.relu(torch.cat([second, first], 1)))


class Gate(Classifier):
    """A site of one number without an axis."""

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv(x)
        return self.head(F.relu(y)) * F.relu(y.mean() + 1.5)


# Where the images lie at the ReLU.


class Rows(Classifier):
    def forward(self, x: Tensor) -> Tensor:
        y = self.conv(x).permute(0, 2, 3, 1)
        y = F.relu(y.reshape(-1, 6)).view(x.size(0), -1, 6)
        return self.fc(y.mean(1))


class SecondAxis(Classifier):
    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.conv(x).flatten(2).permute(2, 0, 1))
        return self.fc(y.mean(0))


class Mixed(Classifier):
    """Rows of pixels, in each of which stand all images."""

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv(x).permute(1, 2, 0, 3)
        y = F.relu(y.reshape(6 * 12, -1)).view(6, 12, x.size(0), 12)
        return self.fc(y.mean((1, 3)).t())


# What is polynomial.


class Floored(Classifier):
    def forward(self, x: Tensor) -> Tensor:
        return self.head(torch.div(F.relu(self.conv(x)), 0.5, rounding_mode="floor") * 0.5)


class BatchStatistics(Classifier):
    def __init__(self):
        super().__init__()
        self.bn = nn.BatchNorm2d(6, track_running_stats=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(F.relu(self.bn(self.conv(x))))


class Chosen(Classifier):
    """What is computed depends on the images."""

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv(x)
        if bool(y.mean() > 100.0):
            y = y * 2
        return self.head(F.relu(y))


class Unreached(Classifier):
    """A site in a branch that no image takes."""

    def __init__(self):
        super().__init__()
        self.rare, self.usual = nn.ReLU(), nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv(x)
        if y.size(0) > 1000:
            y = self.rare(y)
        return self.head(self.usual(y))


class Same(Classifier):
    def __init__(self):
        super().__init__()
        self.conv3 = nn.Conv2d(6, 6, 3, padding="same")

    def forward(self, x: Tensor) -> Tensor:
        return self.head(F.relu(self.conv3(self.conv(x))))


class Shuffled(Classifier):
    """Channels shuffled by arithmetic of shapes, as ShuffleNet does."""

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.conv(x))
        batch, channels, height, width = y.size()
        y = y.view(batch, 2, channels // 2, height, width).transpose(1, 2).contiguous().view(batch, -1, height, width)
        if y.is_nested or y.requires_grad:
            y = y * 2
        return self.head(self.conv2(y))


class Infinite(Classifier):
    """Values beyond what f32 holds."""

    def forward(self, x: Tensor) -> Tensor:
        y = 1e20 * self.conv(x)
        return self.head(F.relu(y * y))


# Geometry, sensible and not.


class Pool(Classifier):
    kernel: List[int]
    stride: List[int]
    padding: List[int]
    dilation: List[int]

    def __init__(self, kernel, stride, padding, dilation, ceil=False):
        super().__init__()
        self.kernel, self.stride, self.padding, self.dilation, self.ceil = kernel, stride, padding, dilation, ceil

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.conv(x))
        return self.head(torch.max_pool2d(y, self.kernel, self.stride, self.padding, self.dilation, self.ceil))


class Convolution(Classifier):
    stride: List[int]
    padding: List[int]
    dilation: List[int]

    def __init__(self, stride, padding, dilation, groups=1):
        super().__init__()
        self.stride, self.padding, self.dilation, self.groups = stride, padding, dilation, groups

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv(x)
        weight, bias = self.conv2.weight, self.conv2.bias
        z = torch.conv2d(y, weight, bias, self.stride, self.padding, self.dilation, self.groups)
        if z.size(2) == y.size(2):
            z = z + y
        return self.head(F.relu(z))


@torch.jit.interface
class Activation(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        pass


class Shifted(nn.Module):
    def __init__(self, shift: float):
        super().__init__()
        self.act, self.shift = nn.ReLU(), shift

    def forward(self, x: Tensor) -> Tensor:
        return self.act(x - self.shift)


class Block(nn.Module):
    """Two lists of members of the same classes, called in turn."""

    def __init__(self):
        super().__init__()
        self.first = nn.ModuleList([nn.ReLU(), Shifted(0.1), nn.Sequential(nn.Conv2d(6, 6, 1), nn.ReLU())])
        self.second = nn.ModuleList([nn.ReLU(), Shifted(0.2), nn.Sequential(nn.Conv2d(6, 6, 1), nn.ReLU())])

    def forward(self, x: Tensor) -> Tensor:
        for first, second in zip(self.first, self.second):
            x = second(first(x) - 0.3) - 0.1
        return x


class Members(Classifier):
    """Modules that are called as members of members, as interfaces, and twice."""

    act: Activation

    def __init__(self):
        super().__init__()
        self.blocks = nn.ModuleList([Block(), nn.ModuleList([Block()])])
        self.named = nn.ModuleDict({"a": nn.ReLU(), "b": nn.MaxPool2d(2)})
        self.act, self.same = Shifted(0.3), nn.Sequential(nn.ReLU())

    def forward(self, x: Tensor) -> Tensor:
        x = self.blocks[1][0](self.blocks[0](self.conv(x)))
        x = self.act(self.same[0](x) - 0.1)
        for name, member in self.named.items():
            x = member(x) - 0.2
        return self.head(self.same(x))


def called(model: nn.Module, x: Tensor) -> List[str]:
    """The names of the activations and pools in the order in which they run, `NAME#2` for the second time."""
    names: List[str] = []

    def note(name: str):
        def hook(*_) -> None:
            again = sum(known.split("#")[0] == name for known in names)
            names.append(f"{name}#{again + 1}" if again else name)

        return hook

    kinds = (nn.ReLU, nn.MaxPool2d)
    hooks = [module.register_forward_hook(note(name)) for name, module in model.named_modules() if isinstance(module, kinds)]
    model(x)
    for hook in hooks:
        hook.remove()
    return names


GEOMETRY = {
    "PoolStride0": (Pool, [2, 2], [0, 0], [0, 0], [1, 1]),
    "PoolPaddingBelow0": (Pool, [2, 2], [2, 2], [-1, -1], [1, 1]),
    "PoolKernel0": (Pool, [0, 0], [2, 2], [0, 0], [1, 1]),
    "PoolKernelBelow0": (Pool, [-2, 2], [2, 2], [0, 0], [1, 1]),
    "PoolPaddingBeyondHalf": (Pool, [2, 2], [2, 2], [3, 3], [1, 1]),
    "PoolDilationBelow0": (Pool, [2, 2], [2, 2], [0, 0], [-1, -1]),
    "PoolDilation0": (Pool, [2, 2], [2, 2], [0, 0], [0, 0]),
    "PoolStrideBelow0": (Pool, [2, 2], [-1, 2], [0, 0], [1, 1]),
    "PoolTooLarge": (Pool, [13, 13], [1, 1], [0, 0], [1, 1]),
    "PoolHuge": (Pool, [2**40, 2**40], [1, 1], [0, 0], [1, 1]),
    "PoolBeyondInput": (Pool, [2, 2], [2, 2], [0, 0], [12, 12], True),
    "PoolUneven": (Pool, [3, 2], [1, 2], [1, 0], [1, 2], True),
    "PoolOfOneNumber": (Pool, [2], [], [1], [1]),
    "PoolOfThreeNumbers": (Pool, [2, 2, 2], [2, 2], [0, 0], [1, 1]),
    "PoolWithoutStride": (Pool, [3, 2], [], [0, 0], [1, 1]),
    "ConvolutionStride0": (Convolution, [0, 0], [1, 1], [1, 1]),
    "ConvolutionStrideBelow0": (Convolution, [-1, 1], [1, 1], [1, 1]),
    "ConvolutionPaddingBelow0": (Convolution, [1, 1], [-1, -1], [1, 1]),
    "ConvolutionDilation0": (Convolution, [1, 1], [1, 1], [0, 0]),
    "ConvolutionDilationBelow0": (Convolution, [1, 1], [1, 1], [-1, -1]),
    "ConvolutionGroups0": (Convolution, [1, 1], [1, 1], [1, 1], 0),
    "ConvolutionGroupsOfOthers": (Convolution, [1, 1], [1, 1], [1, 1], 4),
    "ConvolutionTooLarge": (Convolution, [1, 1], [0, 0], [9, 9]),
    "ConvolutionOfOneNumber": (Convolution, [1], [1], [1]),
    "ConvolutionUneven": (Convolution, [1, 2], [1, 0], [2, 1]),
}

NETWORKS = {
    kind.__name__: (kind,)
    for kind in [
        ViewAfterPool, CopyInPlace, ViewInPlace, ChannelsLastByHand, StridesSeen, ShortcutInPlace, InputInPlace, Expanded,
        LessThanZero, LessThanZeroThroughView, Doubled, Written, WrittenLater, Gathered, Looped, Forked, OfWeights, Positions, Gate,
        Rows, SecondAxis, Mixed, Floored, BatchStatistics, Chosen, Unreached, Same, Shuffled, Members,
    ]
}  # fmt: skip


def main() -> None:
    folder = Path(sys.argv[1])
    torch.set_grad_enabled(False)
    torch.jit.script(Infinite().eval()).save(str(folder / "Infinite.pt"))
    for name, (kind, *arguments) in {**NETWORKS, **GEOMETRY}.items():
        torch.manual_seed(1)
        x = torch.randn(3, 3, 12, 12)
        x.numpy().tofile(folder / f"{name}.in.bin")
        model = kind(*arguments).eval()
        torch.jit.script(model).save(str(folder / f"{name}.script.pt"))
        try:
            # An archive's own result: for what depends on strides, script and PyTorch's eager mode agree.
            output = model(x.clone())
        except (RuntimeError, ValueError) as error:
            (folder / f"{name}.refused").write_text(str(error))
            continue
        if kind is Members:
            (folder / "Members.names").write_text("\n".join(called(model, x.clone())))
        output.contiguous().numpy().tofile(folder / f"{name}.out.bin")
        torch.jit.trace(model, x.clone(), check_trace=False).save(str(folder / f"{name}.trace.pt"))


if __name__ == "__main__":
    main()
