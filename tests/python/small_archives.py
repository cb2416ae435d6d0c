"""Small networks that spell their activations and their outputs in every way a site can be met.

    small_archives.py FOLDER

Writes NAME.pt for each, and NAME.in.bin and NAME.out.bin (f32): an input [2, 3, 12, 12] and PyTorch's output for it.
"""

import sys
import zipfile
from pathlib import Path
from typing import Dict, Tuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

CLASSES = 7


class Classifier(nn.Module):
    """A convolution, what the subclass does, and a linear layer."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 6, 3, padding=1)
        self.fc = nn.Linear(6, CLASSES)

    def head(self, x: Tensor) -> Tensor:
        return self.fc(x.mean((2, 3)))


class Spellings(Classifier):
    """Each of the nine is a ReLU or a ReLU6."""

    def __init__(self):
        super().__init__()
        self.relu, self.relu6, self.hardtanh = nn.ReLU(), nn.ReLU6(), nn.Hardtanh(0.0, 6.0)

    def forward(self, x: Tensor) -> Tensor:
        x = 9 * self.conv(x)
        y = self.relu(x) + F.relu(x - 1) + torch.relu(x + 1) + x.clamp(min=0) + x.clamp_min(0.0)
        y = y + self.relu6(x) + self.hardtanh(x - 2) + torch.clamp(x - 1, 0, 6) + F.relu6(x - 3)
        return self.head(y + F.threshold(x, 0.0, 0.0) + self.relu(x - 4))


class InPlace(Classifier):
    """What was rectified in place is read again under its old name."""

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(x)
        y = F.relu(x, inplace=True)
        z = x - 0.5
        z.clamp_(0, 6)
        return self.head(x + y + z)


class Pools(Classifier):
    """Pools of inputs that may be negative, with padding, dilation, ceil mode, and uneven windows."""

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(x) - 2
        y = F.max_pool2d(x, 3, 2, 1) + F.max_pool2d(x, 2, 2, ceil_mode=True)
        y = y + F.max_pool2d(x, (2, 3), (2, 2), (0, 1)) + F.max_pool2d(x, 3, 2, 1, dilation=1, ceil_mode=False)
        z, _ = F.max_pool2d_with_indices(x, 3, 1, 1, 2)
        return self.head(y) + self.head(z)


class ChannelsLast(Classifier):
    """Values that are not contiguous at the site."""

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(x.contiguous(memory_format=torch.channels_last))
        return self.head(F.relu(x.transpose(2, 3)) + F.relu(x).transpose(2, 3) + F.relu(x[:, :, ::2, ::2]).mean())


class Foreign(Classifier):
    """Operators that are no polynomials, in the middle and at the end."""

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.conv(x))
        x = x * torch.sigmoid(x) + F.hardswish(x)
        x = x / (1 + x * x)
        return self.head(x).softmax(1)


class TupleOutput(Classifier):
    def forward(self, x: Tensor) -> Tuple[Tensor, Tensor]:
        x = F.relu(self.conv(x))
        return self.head(x), x


class Branches(Classifier):
    """Control flow that stays in a scripted graph."""

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(x)
        if bool(x.sum() > 1e9):
            x = F.relu(x) + 1
        else:
            x = F.relu(x)
        return self.head(x)


class NoSite(Classifier):
    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(x)
        return self.head(x * x)


class ConvolutionalOutput(Classifier):
    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.conv(x))


class Kinds(Classifier):
    """Numbers of other kinds than f32 at the site."""

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(x)
        return self.head(F.relu(x.double()).float() + F.relu(x.to(torch.bfloat16)).float())


class TwoInputs(Classifier):
    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        return self.head(F.relu(self.conv(x + y)))


class HugeWindow(Classifier):
    def forward(self, x: Tensor) -> Tensor:
        return self.head(F.max_pool2d(F.relu(self.conv(x)), 7))


class GlobalMax(Classifier):
    """A maximum that is no max_pool2d."""

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(F.adaptive_max_pool2d(F.relu(self.conv(x)), 1).flatten(1))


class NotANumber(Classifier):
    """One weight that is no number, as training that went wrong leaves it."""

    def __init__(self):
        super().__init__()
        with torch.no_grad():
            self.conv.weight[0, 0, 0, 0] = float("nan")

    def forward(self, x: Tensor) -> Tensor:
        return self.head(F.relu(self.conv(x)))


class Detector(Classifier):
    """Boxes and scores by name, as torchvision's detectors give them."""

    def forward(self, x: Tensor) -> Dict[str, Tensor]:
        x = F.relu(self.conv(x))
        return {"boxes": x.mean((2, 3)), "scores": self.head(x)}


class NoTensor(Classifier):
    def forward(self, x: Tensor) -> int:
        return F.relu(self.conv(x)).size(0)


class Scalar(Classifier):
    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.conv(x)).mean()


class OneRow(Classifier):
    """The mean of the batch instead of a row an image."""

    def forward(self, x: Tensor) -> Tensor:
        return self.head(F.relu(self.conv(x))).mean(0, keepdim=True)


class NoClass(Classifier):
    def forward(self, x: Tensor) -> Tensor:
        return self.head(F.relu(self.conv(x)))[:, :0]


class Raises(Classifier):
    """An error of the model's own, of two lines."""

    def forward(self, x: Tensor) -> Tensor:
        if x.size(0) > 0:
            raise RuntimeError("the first line\nthe second line")
        return self.head(F.relu(self.conv(x)))


class NoInput(Classifier):
    def forward(self) -> Tensor:
        return F.relu(self.conv.weight)


class NoForward(nn.Module):
    @torch.jit.export
    def other(self, x: Tensor) -> Tensor:
        return F.relu(x)


REFUSED = [Detector, NoTensor, Scalar, OneRow, NoClass, Raises, NoInput, NoForward, TwoInputs]
TRACED = [Spellings, InPlace, Pools, ChannelsLast, Foreign, TupleOutput, NoSite, ConvolutionalOutput, HugeWindow, GlobalMax, Kinds]
SCRIPTED = [Branches]


# Of archives, what they say of their inputs and should not.
PREPROCESS = {
    "bad": '{"input_size": [3, 12], "clases": 7}',
    "no": "not JSON",
    "huge": '{"input_size": [3, 1000000000, 1000000000], "resize": 1000000000, "crop": 1000000000}',
    "zero": '{"input_size": [3, 0, 12], "resize": 0, "crop": 0}',
    "std": '{"std": [0.5, 0.0, 0.5]}',
    "mean": '{"mean": [0.5, 0.5]}',
    "deep": '{"input_size": ' + "[" * 100000,
}


def main() -> None:
    folder = Path(sys.argv[1])
    torch.manual_seed(1)
    x = torch.randn(2, 3, 12, 12)
    for kinds, convert in ((TRACED, lambda model: torch.jit.trace(model, x)), (SCRIPTED, torch.jit.script)):
        for kind in kinds:
            model = kind().eval()
            with torch.no_grad():
                output = model(x.clone())
                convert(model).save(str(folder / f"{kind.__name__}.pt"))
            output = output[0] if isinstance(output, tuple) else output
            x.numpy().tofile(folder / f"{kind.__name__}.in.bin")
            output.contiguous().numpy().tofile(folder / f"{kind.__name__}.out.bin")
    for kind in REFUSED:
        torch.jit.script(kind().eval()).save(str(folder / f"{kind.__name__}.pt"))
    torch.jit.trace(NotANumber().eval(), x).save(str(folder / "NotANumber.pt"))
    torch.jit.script(NoClass().eval().half()).save(str(folder / "half.pt"))

    # What is no TorchScript.
    torch.save(NoSite().state_dict(), folder / "state_dict.pt")
    torch.save(NoSite().state_dict(), folder / "old_state_dict.pt", _use_new_zipfile_serialization=False)
    whole = (folder / "Spellings.pt").read_bytes()
    for name, length in (("truncated", len(whole) // 2), ("truncated_magic", 3), ("truncated_end", len(whole) - 10)):
        (folder / f"{name}.pt").write_bytes(whole[:length])
    damaged = bytearray(whole)
    damaged[len(whole) // 3 : 2 * len(whole) // 3] = bytes(len(range(len(whole) // 3, 2 * len(whole) // 3)))
    (folder / "damaged.pt").write_bytes(damaged)
    (folder / "empty.pt").write_bytes(b"")
    (folder / "text.pt").write_text("not a model\n")
    with zipfile.ZipFile(folder / "zip.pt", "w") as archive:
        archive.writestr("readme.txt", "not a model\n")
    for name, preprocess in PREPROCESS.items():
        files = {"preprocess.json": preprocess}
        torch.jit.save(torch.jit.script(Branches().eval()), str(folder / f"{name}_preprocess.pt"), _extra_files=files)


if __name__ == "__main__":
    main()
