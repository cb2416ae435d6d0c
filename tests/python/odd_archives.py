"""Archives that are no classifiers as they are, and those that look as if they were none.

    odd_archives.py FOLDER

Writes NAME.pt for each. Of those that run, NAME.in.bin and NAME.out.bin (f32): an input [3, 3, 12, 12] and PyTorch's logits.
"""

import sys
import warnings
from pathlib import Path
from typing import Dict, List, Optional, Tuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

CLASSES = 7


class Classifier(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.fc, self.relu = nn.Conv2d(3, 6, 3, padding=1), nn.Linear(6, CLASSES), nn.ReLU()

    def features(self, x: Tensor) -> Tensor:
        return self.relu(self.conv(x))

    def head(self, x: Tensor) -> Tensor:
        return self.fc(x.mean((2, 3)))


# Those that run: the logits are found, or named by --output.


class OptionalMask(Classifier):
    def forward(self, x: Tensor, mask: Optional[Tensor] = None, scale: float = 2.0) -> Tensor:
        y = self.features(x) * scale
        return self.head(y if mask is None else y * mask)


class Pixels(Classifier):
    """Logits of shape [images, classes, 1, 1]."""

    def __init__(self):
        super().__init__()
        self.last = nn.Conv2d(6, CLASSES, 1)

    def forward(self, x: Tensor) -> Tensor:
        return F.adaptive_avg_pool2d(self.last(self.features(x)), 1)


class Beside(Classifier):
    """Logits beside a map of features, which cannot be logits."""

    def forward(self, x: Tensor) -> Tuple[Tensor, Tensor]:
        y = self.features(x)
        return y, self.head(y)


class TwoTensors(Classifier):
    """Features that look like logits before the logits."""

    def __init__(self):
        super().__init__()
        self.embed = nn.Linear(6, 64)

    def forward(self, x: Tensor) -> Tuple[Tensor, Tensor]:
        y = self.features(x)
        return self.embed(y.mean((2, 3))), self.head(y)


class Named(Classifier):
    def forward(self, x: Tensor) -> Dict[str, Tensor]:
        y = self.features(x)
        return {"embedding": y.mean((2, 3)), "scores": self.head(y)}


class Evaluated(Classifier):
    """Dropout and randomised ReLU in evaluation mode, where they are not random."""

    def __init__(self):
        super().__init__()
        self.drop, self.rrelu = nn.Dropout(0.5, inplace=True), nn.RReLU()

    def forward(self, x: Tensor) -> Tensor:
        return self.head(F.feature_alpha_dropout(self.drop(self.features(self.rrelu(x))), 0.5, self.training))


class Deep(Classifier):
    def forward(self, x: Tensor) -> Tuple[Tensor, List[Tensor]]:
        y = self.features(x)
        return y.mean((2, 3)), [y.mean((2, 3)), self.head(y)]


# Those that are refused.


class Dropped(Classifier):
    def __init__(self):
        super().__init__()
        self.drop = nn.Dropout(0.5)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.drop(self.features(x)))


class Normalised(Classifier):
    def __init__(self):
        super().__init__()
        self.bn = nn.BatchNorm2d(6)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.relu(self.bn(self.conv(x))))


class InstanceNormalised(Classifier):
    def __init__(self):
        super().__init__()
        self.norm = nn.InstanceNorm2d(6, track_running_stats=True)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.relu(self.norm(self.conv(x))))


class Attending(Classifier):
    def forward(self, x: Tensor) -> Tensor:
        y = self.features(x).flatten(2)
        return self.fc(F.scaled_dot_product_attention(y, y, y, dropout_p=0.1).mean(2))


class Recurrent(Classifier):
    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(6, 6, 2, batch_first=True, dropout=0.3)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.lstm(self.features(x).flatten(2).transpose(1, 2))[0].mean(1))


class Noisy(Classifier):
    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.features(x + torch.rand_like(x)))


class NoisyInPlace(Classifier):
    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.features(x + torch.empty_like(x).normal_()))


class Counting(Classifier):
    def __init__(self):
        super().__init__()
        self.seen = 0

    def forward(self, x: Tensor) -> Tensor:
        self.seen += 1
        return self.head(self.features(x)) * self.seen


class Averaging(Classifier):
    def __init__(self):
        super().__init__()
        self.register_buffer("average", torch.zeros(1))

    def forward(self, x: Tensor) -> Tensor:
        self.average.mul_(0.9).add_(x.mean())
        return self.head(self.features(x - self.average))


class OnCuda(Classifier):
    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.features(x)) + torch.zeros(7, device="cuda:0")


class OneImage(Classifier):
    def forward(self, x: Tensor) -> Tensor:
        return self.fc(F.adaptive_avg_pool2d(self.features(x), 1).view(1, -1))


class Required(Classifier):
    def forward(self, x: Tensor, mask: Tensor, scale: float = 1.0) -> Tensor:
        return self.head(self.features(x) * mask * scale)


class Methods(Classifier):
    """Methods of its own, called twice; fails on images of another number of channels."""

    def block(self, x: Tensor) -> Tensor:
        return F.relu(self.conv(x))[:, :3]

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.features(self.block(self.block(x))))


def quantised() -> torch.jit.ScriptModule:
    import torch.ao.quantization as q

    class Quantised(Classifier):
        def __init__(self):
            super().__init__()
            self.into, self.out = q.QuantStub(), q.DeQuantStub()

        def forward(self, x: Tensor) -> Tensor:
            return self.head(self.out(self.features(self.into(x))))

    model = Quantised().eval()
    model.qconfig, model.fc.qconfig = q.get_default_qconfig("fbgemm"), None
    prepared = q.prepare(model)
    prepared(torch.randn(2, 3, 12, 12))
    return torch.jit.script(q.convert(prepared))


def main() -> None:
    folder = Path(sys.argv[1])
    warnings.filterwarnings("ignore")
    torch.set_grad_enabled(False)
    torch.manual_seed(3)
    x = torch.randn(3, 3, 12, 12)
    for kind, logits in [
        (OptionalMask, lambda out: out),
        (Pixels, lambda out: out.flatten(1)),
        (Beside, lambda out: out[1]),
        (TwoTensors, lambda out: out[1]),
        (Named, lambda out: out["scores"]),
        (Evaluated, lambda out: out),
        (Deep, lambda out: out[1][1]),
        (Methods, lambda out: out),
    ]:
        model = kind().eval()
        torch.jit.script(model).save(str(folder / f"{kind.__name__}.pt"))
        x.numpy().tofile(folder / f"{kind.__name__}.in.bin")
        logits(model(x)).contiguous().numpy().tofile(folder / f"{kind.__name__}.out.bin")
    for kind in [Noisy, NoisyInPlace, Counting, Averaging, OnCuda, Required]:
        torch.jit.script(kind().eval()).save(str(folder / f"{kind.__name__}.pt"))
    for kind in [Dropped, Normalised, InstanceNormalised, Attending, Recurrent]:
        torch.jit.trace(kind().train(), x, check_trace=False).save(str(folder / f"{kind.__name__}.pt"))
    torch.jit.trace(OneImage().eval(), x[:1]).save(str(folder / "OneImage.pt"))
    # Enough of each to be told by its beginning or its name.
    (folder / "weights.safetensors").write_bytes((20).to_bytes(8, "little") + b'{"__metadata__":{}}  ')
    (folder / "network.onnx").write_bytes(b"\x08\x08\x12\x07pytorch")
    quantised().save(str(folder / "Quantised.pt"))
    plain = Methods().eval()
    torch.jit.optimize_for_inference(torch.jit.script(plain)).save(str(folder / "Optimised.pt"))
    torch.export.save(torch.export.export(plain, (x,)), str(folder / "exported.pt2"))


if __name__ == "__main__":
    main()
