"""Small classifiers as the architectures are written, after their papers; each takes [N, 3, 32, 32]."""

import functools

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from published_residuals import BLOCKS, CLASSES, ResNet, ResNetOfCifar, conv_norm_relu


class LeNet5(nn.Module):
    """As PyTorch's tutorials write it."""

    def __init__(self):
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(3, 6, 5), nn.Conv2d(6, 16, 5)
        self.fc1, self.fc2, self.fc3 = nn.Linear(400, 60), nn.Linear(60, 40), nn.Linear(40, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        x = F.max_pool2d(F.relu(self.conv1(x)), (2, 2))
        x = F.max_pool2d(F.relu(self.conv2(x)), 2)
        x = x.view(-1, self.num_flat_features(x))
        x = F.relu(self.fc1(x))
        x = F.relu(self.fc2(x))
        return self.fc3(x)

    def num_flat_features(self, x: Tensor) -> int:
        features = 1
        for size in x.size()[1:]:
            features *= size
        return features


class AlexNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(3, 8, 5, 2, 2), nn.ReLU(inplace=True), nn.MaxPool2d(3, 2), nn.Conv2d(8, 12, 5, padding=2),
            nn.ReLU(inplace=True), nn.MaxPool2d(3, 2),
            nn.Conv2d(12, 16, 3, padding=1), nn.ReLU(inplace=True), nn.Conv2d(16, 8, 3, padding=1),
            nn.ReLU(inplace=True),
        )  # fmt: skip
        self.classifier = nn.Sequential(
            nn.Dropout(), nn.Linear(72, 24), nn.ReLU(inplace=True), nn.Dropout(), nn.Linear(24, CLASSES)
        )

    def forward(self, x: Tensor) -> Tensor:
        x = self.features(x)
        x = x.view(x.size(0), 8 * 3 * 3)
        return self.classifier(x)


class VggOfOld(nn.Module):
    def __init__(self):
        super().__init__()
        layers, inputs = [], 3
        for outputs in (8, "M", 12, 12, "M", 16, "M"):
            layers += (
                [nn.MaxPool2d(2, 2)]
                if outputs == "M"
                else [nn.Conv2d(inputs, outputs, 3, padding=1), nn.ReLU(inplace=True)]
            )
            inputs = inputs if outputs == "M" else outputs
        self.features, self.classifier = nn.Sequential(*layers), nn.Linear(256, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        x = self.features(x)
        x = x.view(x.size(0), -1)
        return self.classifier(x)


class VggOfNow(nn.Module):
    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(conv_norm_relu(3, 8), nn.MaxPool2d(2), conv_norm_relu(8, 12), nn.MaxPool2d(2, 2))
        self.avgpool = nn.AdaptiveAvgPool2d((3, 3))
        self.classifier = nn.Sequential(nn.Linear(108, 20), nn.ReLU(True), nn.Dropout(), nn.Linear(20, CLASSES))

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(torch.flatten(self.avgpool(self.features(x)), 1))


class DenseLayer(nn.Module):
    def __init__(self, inputs: int):
        super().__init__()
        self.norm1, self.conv1 = nn.BatchNorm2d(inputs), nn.Conv2d(inputs, 12, 1, bias=False)
        self.norm2, self.conv2 = nn.BatchNorm2d(12), nn.Conv2d(12, 4, 3, padding=1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        out = self.conv1(F.relu(self.norm1(x)))
        out = self.conv2(F.relu(self.norm2(out)))
        return torch.cat([x, out], 1)


class DenseNet(nn.Module):
    """Rectified before the convolutions, everything joined."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(3, 8, 7, 2, 3, bias=False), nn.BatchNorm2d(8), nn.ReLU(inplace=True), nn.MaxPool2d(3, 2, 1)
        )
        self.block1, self.block2 = (nn.Sequential(DenseLayer(8), DenseLayer(12), DenseLayer(16)) for _ in range(2))
        self.transition = nn.Sequential(
            nn.BatchNorm2d(20), nn.ReLU(inplace=True), nn.Conv2d(20, 8, 1, bias=False), nn.AvgPool2d(2, 2)
        )
        self.norm, self.fc = nn.BatchNorm2d(20), nn.Linear(20, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        features = self.norm(self.block2(self.transition(self.block1(self.stem(x)))))
        out = F.relu(features, inplace=True)
        out = F.adaptive_avg_pool2d(out, (1, 1)).view(features.size(0), -1)
        return self.fc(out)


class ShuffleUnit(nn.Module):
    def __init__(self, channels: int):
        super().__init__()
        half = channels // 2
        self.branch = nn.Sequential(
            conv_norm_relu(half, half, 1),
            nn.Conv2d(half, half, 3, padding=1, groups=half, bias=False),
            nn.BatchNorm2d(half),
            conv_norm_relu(half, half, 1),
        )

    def forward(self, x: Tensor) -> Tensor:
        x1, x2 = x.chunk(2, dim=1)
        out = torch.cat((x1, self.branch(x2)), dim=1)
        n, c, height, width = out.size()
        out = out.view(n, 2, c // 2, height, width)
        out = torch.transpose(out, 1, 2).contiguous()
        return out.view(n, c, height, width)


class ShuffleNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(conv_norm_relu(3, 8, 3, 2), nn.MaxPool2d(3, 2, 1))
        self.units, self.fc = nn.Sequential(ShuffleUnit(8), ShuffleUnit(8), ShuffleUnit(8)), nn.Linear(8, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.units(self.stem(x)).mean([2, 3]))


class Mixer(nn.Module):
    """MLP-Mixer with ReLU."""

    def __init__(self):
        super().__init__()
        self.patches, self.fc = nn.Conv2d(3, 12, 8, 8), nn.Linear(12, CLASSES)
        self.tokens = nn.Sequential(nn.Linear(16, 20), nn.ReLU(), nn.Linear(20, 16))
        self.channels = nn.Sequential(nn.Linear(12, 20), nn.ReLU(inplace=True), nn.Linear(20, 12))

    def forward(self, x: Tensor) -> Tensor:
        x = self.patches(x).flatten(2).transpose(1, 2)
        for _ in range(2):
            x = x + self.tokens(x.transpose(1, 2)).transpose(1, 2)
            x = x + self.channels(x)
        return self.fc(x.mean(dim=1))


class Transformer(nn.Module):
    """A ViT of one block with a class token, whose MLP is rectified."""

    def __init__(self):
        super().__init__()
        self.patches, self.qkv, self.proj = nn.Conv2d(3, 12, 8, 8), nn.Linear(12, 36), nn.Linear(12, 12)
        self.token, self.positions = nn.Parameter(torch.zeros(1, 1, 12)), nn.Parameter(torch.zeros(1, 17, 12))
        self.norm1, self.norm2, self.fc = nn.LayerNorm(12), nn.LayerNorm(12), nn.Linear(12, CLASSES)
        self.mlp = nn.Sequential(nn.Linear(12, 24), nn.ReLU(), nn.Linear(24, 12))

    def forward(self, x: Tensor) -> Tensor:
        x = self.patches(x).flatten(2).transpose(1, 2)
        x = torch.cat((self.token.expand(x.shape[0], -1, -1), x), dim=1) + self.positions
        n, length, width = x.shape
        qkv = self.qkv(self.norm1(x)).reshape(n, length, 3, 3, 4).permute(2, 0, 3, 1, 4)
        q, k, v = qkv.unbind(0)
        attention = ((q @ k.transpose(-2, -1)) * 0.5).softmax(dim=-1)
        x = x + self.proj((attention @ v).transpose(1, 2).reshape(n, length, width))
        x = x + self.mlp(self.norm2(x))
        return self.fc(x[:, 0])


class Capsules(nn.Module):
    """Capsules of convolutions, squashed and routed by agreement."""

    def __init__(self):
        super().__init__()
        self.conv, self.primary = nn.Conv2d(3, 8, 9, 2), nn.ModuleList(nn.Conv2d(8, 4, 5, 2) for _ in range(4))
        self.weights = nn.Parameter(torch.zeros(64, CLASSES, 6, 4))

    def squash(self, x: Tensor) -> Tensor:
        square = (x**2).sum(-1, keepdim=True)
        return square * x / ((1.0 + square) * torch.sqrt(square + 1e-6))

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.conv(x), inplace=True)
        u = torch.stack([capsule(x) for capsule in self.primary], dim=1)
        u = self.squash(u.view(x.size(0), 4, -1).transpose(1, 2))
        u_hat = torch.matmul(self.weights, u[:, :, None, :, None]).squeeze(-1)
        b = torch.zeros(x.size(0), 64, u_hat.size(2), 1)
        v = u_hat.mean(1)
        for _ in range(2):
            v = self.squash((torch.softmax(b, dim=2) * u_hat).sum(dim=1))
            b = b + (u_hat * v.unsqueeze(1)).sum(-1, keepdim=True)
        return 10 * torch.sqrt((v**2).sum(-1))


class UNet(nn.Module):
    """Down, up again with what was passed on the way, and a head of classes."""

    def __init__(self):
        super().__init__()
        self.down1, self.down2, self.middle = conv_norm_relu(3, 6), conv_norm_relu(6, 8), conv_norm_relu(8, 8)
        self.up1, self.up2 = nn.ConvTranspose2d(8, 8, 2, stride=2), nn.Upsample(scale_factor=2, mode="nearest")
        self.merge1, self.merge2, self.out = conv_norm_relu(16, 8), conv_norm_relu(14, 6), nn.Conv2d(6, CLASSES, 1)

    def forward(self, x: Tensor) -> Tensor:
        one = self.down1(x)
        two = self.down2(F.max_pool2d(one, 2))
        x = self.middle(F.max_pool2d(two, 2))
        x = self.merge1(torch.cat([two, self.up1(x)], dim=1))
        x = self.merge2(torch.cat([one, self.up2(x)], dim=1))
        return self.out(x).mean((2, 3))


class NetworkInNetwork(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(3, 12, 5, padding=2), nn.ReLU(inplace=True), nn.Conv2d(12, 8, 1), nn.ReLU(inplace=True),
            nn.MaxPool2d(3, stride=2, ceil_mode=True), nn.Dropout(inplace=True),
            nn.Conv2d(8, 12, 3, padding=1), nn.ReLU(inplace=True), nn.AvgPool2d(3, 2, ceil_mode=True),
            nn.Conv2d(12, CLASSES, 1), nn.ReLU(inplace=True), nn.AvgPool2d(8, 1, 0),
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        x = self.layers(x)
        return x.view(x.size(0), x.size(1))


class Fire(nn.Module):
    def __init__(self, inputs: int, squeezed: int, expanded: int):
        super().__init__()
        self.squeeze, self.expand1, self.expand3 = (
            nn.Conv2d(inputs, squeezed, 1),
            nn.Conv2d(squeezed, expanded, 1),
            nn.Conv2d(squeezed, expanded, 3, padding=1),
        )
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        x = self.relu(self.squeeze(x))
        return torch.cat([self.relu(self.expand1(x)), self.relu(self.expand3(x))], 1)


class SqueezeNet(nn.Module):
    def __init__(self):
        super().__init__()
        pool = lambda: nn.MaxPool2d(kernel_size=3, stride=2, ceil_mode=True)
        self.features = nn.Sequential(
            nn.Conv2d(3, 8, 3, stride=2),
            nn.ReLU(inplace=True),
            pool(),
            Fire(8, 4, 6),
            Fire(12, 4, 6),
            pool(),
            Fire(12, 4, 8),
        )
        self.classifier = nn.Sequential(
            nn.Dropout(p=0.5), nn.Conv2d(16, CLASSES, 1), nn.ReLU(inplace=True), nn.AdaptiveAvgPool2d((1, 1))
        )

    def forward(self, x: Tensor) -> Tensor:
        return torch.flatten(self.classifier(self.features(x)), 1)


class Inception(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(conv_norm_relu(3, 8, 3, 2), nn.MaxPool2d(3, stride=2, ceil_mode=True))
        self.one, self.three = conv_norm_relu(8, 4, 1), nn.Sequential(conv_norm_relu(8, 4, 1), conv_norm_relu(4, 6))
        self.five = nn.Sequential(conv_norm_relu(8, 4, 1), conv_norm_relu(4, 4, 5))
        self.pooled = nn.Sequential(nn.MaxPool2d(3, 1, 1, ceil_mode=True), conv_norm_relu(8, 4, 1))
        self.average, self.fc = conv_norm_relu(8, 4, 1), nn.Linear(22, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        average = self.average(F.avg_pool2d(x, kernel_size=3, stride=1, padding=1))
        x = torch.cat([self.one(x), self.three(x), self.five(x), self.pooled(x), average], 1)
        x = F.adaptive_avg_pool2d(F.max_pool2d(x, 3, 2), (1, 1))
        return self.fc(torch.flatten(x, 1))


class InvertedResidual(nn.Module):
    def __init__(self, inputs: int, outputs: int, stride: int):
        super().__init__()
        hidden = 2 * inputs
        self.use_shortcut = stride == 1 and inputs == outputs
        self.conv = nn.Sequential(
            nn.Conv2d(inputs, hidden, 1, bias=False), nn.BatchNorm2d(hidden), nn.ReLU6(inplace=True),
            nn.Conv2d(hidden, hidden, 3, stride, 1, groups=hidden, bias=False),
            nn.BatchNorm2d(hidden), nn.ReLU6(inplace=True), nn.Conv2d(hidden, outputs, 1, bias=False),
            nn.BatchNorm2d(outputs),
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv(x) if self.use_shortcut else self.conv(x)


class MobileNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(
            conv_norm_relu(3, 8, 3, 2),
            InvertedResidual(8, 8, 1),
            InvertedResidual(8, 12, 2),
            InvertedResidual(12, 12, 1),
        )
        self.classifier = nn.Sequential(nn.Dropout(0.2), nn.Linear(12, CLASSES))

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(self.features(x).mean([2, 3]))


class Sequence(nn.Module):
    """Rows of the image as a sequence."""

    def __init__(self):
        super().__init__()
        self.conv1, self.conv2, self.pool, self.fc = (
            nn.Conv1d(96, 12, 3, padding=1),
            nn.Conv1d(12, 8, 3, padding=2, dilation=2),
            nn.AvgPool1d(4),
            nn.Linear(64, CLASSES),
        )

    def forward(self, x: Tensor) -> Tensor:
        x = x.permute(0, 1, 3, 2).reshape(x.size(0), 96, 32)
        x = F.relu(self.conv1(x))
        x = self.pool(F.relu(self.conv2(x), inplace=True))
        return self.fc(x.view(x.size(0), -1))


class VectorQuantised(nn.Module):
    """The residual stack of VQ-VAE: the shortcut's value is rectified in place by the first layer."""

    def __init__(self):
        super().__init__()
        self.conv, self.fc = nn.Conv2d(3, 8, 4, 4), nn.Linear(512, CLASSES)
        self.blocks = nn.ModuleList(
            nn.Sequential(
                nn.ReLU(inplace=True), nn.Conv2d(8, 6, 3, padding=1), nn.ReLU(inplace=True), nn.Conv2d(6, 8, 1)
            )
            for _ in range(2)
        )

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(x)
        for block in self.blocks:
            out = block(x)
            out += x
            x = out
        flat = x.permute(0, 2, 3, 1).contiguous()
        return self.fc(F.relu(flat.view(flat.size(0), -1)))


class Pyramid(nn.Module):
    """Concatenated rectification, and a pyramid of pools of several sizes."""

    def __init__(self):
        super().__init__()
        self.conv, self.fc = nn.Conv2d(3, 4, 3, 2, 1), nn.Linear(8 * 21, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(x)
        x = F.relu(torch.cat([x, -x], 1))
        x = F.max_pool2d(x, 2)
        levels = []
        for side in [4, 2, 1]:
            levels.append(F.adaptive_avg_pool2d(F.max_pool2d(x, 3, 1, 1), side).view(x.size(0), -1))
        return self.fc(torch.cat(levels, 1))


NETWORKS = {
    network.__name__: network
    for network in (
        LeNet5, AlexNet, VggOfOld, VggOfNow, DenseNet, ResNet, ResNetOfCifar, ShuffleNet, Mixer, Transformer, Capsules,
        UNet, NetworkInNetwork, SqueezeNet, Inception, MobileNet, Sequence, VectorQuantised, Pyramid,
    )
} | {f"ResNet of {block.__name__}": functools.partial(ResNet, block) for block in BLOCKS}  # fmt: skip
