"""Residual networks, and the blocks that later papers put into them; each takes [N, 3, 32, 32]."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

CLASSES = 5


def conv_norm_relu(inputs: int, outputs: int, kernel: int = 3, stride: int = 1, groups: int = 1) -> nn.Sequential:
    convolution = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(outputs), nn.ReLU(inplace=True))


class BasicBlock(nn.Module):
    def __init__(self, inputs: int, outputs: int, stride: int = 1):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False), nn.BatchNorm2d(outputs)
        self.conv2, self.bn2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False), nn.BatchNorm2d(outputs)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = None
        if stride > 1 or inputs != outputs:
            self.downsample = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))

    def attended(self, x: Tensor) -> Tensor:
        return x

    def forward(self, x: Tensor) -> Tensor:
        identity = x
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.attended(self.bn2(self.conv2(out)))
        if self.downsample is not None:
            identity = self.downsample(x)
        out += identity
        return self.relu(out)


class ResNet(nn.Module):
    def __init__(self, block=BasicBlock):
        super().__init__()
        self.stem, self.maxpool = conv_norm_relu(3, 8, 7, 2), nn.MaxPool2d(kernel_size=3, stride=2, padding=1)
        self.layer1, self.layer2 = (
            nn.Sequential(block(8, 8), block(8, 8)),
            nn.Sequential(block(8, 12, 2), block(12, 12)),
        )
        self.fc = nn.Linear(12, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        x = self.layer2(self.layer1(self.maxpool(self.stem(x))))
        return self.fc(x.mean([2, 3]))


class ResNetOfCifar(nn.Module):
    """Shortcuts of He et al.'s option A: subsampled, and channels of zeros."""

    def __init__(self):
        super().__init__()
        self.conv, self.one, self.two, self.fc = (
            nn.Conv2d(3, 8, 3, padding=1),
            BasicBlock(8, 8),
            nn.Conv2d(8, 16, 3, 2, 1),
            nn.Linear(16, CLASSES),
        )

    def forward(self, x: Tensor) -> Tensor:
        x = self.one(F.relu(self.conv(x)))
        out = self.two(x)
        out += F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, 4, 4), "constant", 0.0)
        out = F.relu(out)
        out = F.avg_pool2d(out, out.size()[3])
        return self.fc(out.view(out.size(0), -1))


class PreActivation(BasicBlock):
    """Rectified in place before the shortcut leaves, which therefore is rectified too."""

    def __init__(self, inputs: int, outputs: int, stride: int = 1):
        super().__init__(inputs, outputs, stride)
        self.bn1 = nn.BatchNorm2d(inputs)

    def forward(self, x: Tensor) -> Tensor:
        out = self.relu(self.bn1(x))
        shortcut = self.downsample(out) if self.downsample is not None else x
        out = self.conv2(self.relu(self.bn2(self.conv1(out))))
        out += shortcut
        return out


class SqueezeExcitation(BasicBlock):
    def __init__(self, inputs: int, outputs: int, stride: int = 1):
        super().__init__(inputs, outputs, stride)
        self.fc = nn.Sequential(
            nn.Linear(outputs, 4, bias=False), nn.ReLU(inplace=True), nn.Linear(4, outputs, bias=False), nn.Sigmoid()
        )

    def attended(self, x: Tensor) -> Tensor:
        b, c, _, _ = x.size()
        y = F.adaptive_avg_pool2d(x, 1).view(b, c)
        y = self.fc(y).view(b, c, 1, 1)
        return x * y.expand_as(x)


class BlockAttention(BasicBlock):
    """CBAM: of channels by means and maxima, then of places."""

    def __init__(self, inputs: int, outputs: int, stride: int = 1):
        super().__init__(inputs, outputs, stride)
        self.mlp = nn.Sequential(nn.Flatten(), nn.Linear(outputs, 4), nn.ReLU(), nn.Linear(4, outputs))
        self.spatial = nn.Conv2d(2, 1, 7, padding=3)

    def attended(self, x: Tensor) -> Tensor:
        means = self.mlp(F.avg_pool2d(x, (x.size(2), x.size(3)), stride=(x.size(2), x.size(3))))
        maxima = self.mlp(F.adaptive_max_pool2d(x, 1))
        x = x * torch.sigmoid(means + maxima).unsqueeze(2).unsqueeze(3).expand_as(x)
        compressed = torch.cat((torch.max(x, 1)[0].unsqueeze(1), torch.mean(x, 1).unsqueeze(1)), dim=1)
        return x * torch.sigmoid(self.spatial(compressed))


class Res2(BasicBlock):
    """Res2Net: parts of the channels, each of which takes the one before."""

    def __init__(self, inputs: int, outputs: int, stride: int = 1):
        super().__init__(inputs, outputs, stride)
        self.parts = nn.ModuleList(conv_norm_relu(outputs // 4, outputs // 4) for _ in range(3))

    def attended(self, x: Tensor) -> Tensor:
        parts = torch.split(x, x.size(1) // 4, 1)
        part, out = parts[0], parts[0]
        for i, convolution in enumerate(self.parts):
            part = part if i == 0 else part + parts[i]
            part = convolution(part)
            out = part if i == 0 else torch.cat((out, part), 1)
        return torch.cat((out, parts[3]), 1)


class Cardinal(BasicBlock):
    """ResNeXt: grouped convolutions."""

    def __init__(self, inputs: int, outputs: int, stride: int = 1):
        super().__init__(inputs, outputs, stride)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, groups=4, bias=False)


class Reversible(BasicBlock):
    """RevNet: each half is changed in place by the other."""

    def __init__(self, inputs: int, outputs: int, stride: int = 1):
        super().__init__(inputs, outputs, stride)
        self.f, self.g = conv_norm_relu(outputs // 2, outputs // 2), conv_norm_relu(outputs // 2, outputs // 2)

    def attended(self, x: Tensor) -> Tensor:
        a, b = torch.chunk(x, 2, dim=1)
        a += self.f(b)
        b += self.g(a)
        return x


class Ghost(BasicBlock):
    """GhostNet: cheap maps beside the true ones, and a slice of both."""

    def __init__(self, inputs: int, outputs: int, stride: int = 1):
        super().__init__(inputs, outputs, stride)
        self.outputs, self.primary = outputs, conv_norm_relu(outputs, (outputs + 2) // 2, 1)
        self.cheap = conv_norm_relu((outputs + 2) // 2, (outputs + 2) // 2, 3, 1, (outputs + 2) // 2)

    def attended(self, x: Tensor) -> Tensor:
        x1 = self.primary(x)
        x2 = self.cheap(x1)
        out = torch.cat([x1, x2], dim=1)
        return out[:, : self.outputs, :, :]


BLOCKS = (PreActivation, SqueezeExcitation, BlockAttention, Res2, Cardinal, Reversible, Ghost)
