"""The sites of a network as it runs in PyTorch, exact or as composite polynomials in float64.

Written from the formulas (docs/mathematics.md) and not from polyact's code: a mode of PyTorch's dispatcher sees every
operator that the network calls, whatever its Python looks like, and computes those that are sites.
"""

import json
import math
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

aten = torch.ops.aten

RECTIFIERS = {f"{name}{end}" for name in ("relu", "clamp", "clamp_min", "hardtanh", "threshold") for end in ("", "_")}


class Composition:
    """A composite sign, as `polyact design --alpha ALPHA --format json` writes it."""

    def __init__(self, design: str, alpha: int):
        stages = json.loads(Path(design).read_text())["stages"]
        # c_1, c_3, c_5 and so on.
        self.stages = [[c["f64"] for c in stage["coefficients"]] for stage in stages]
        self.bound = 2.0**-alpha

    def sign(self, x: Tensor) -> Tensor:
        for stage in self.stages:
            square, total = x * x, torch.zeros_like(x)
            for coefficient in reversed(stage):
                total = total * square + coefficient
            x = total * x
        return x

    def relu(self, x: Tensor, bound: float) -> Tensor:
        y = x / bound
        return bound * (y + y * self.sign(y)) / 2

    def relu6(self, x: Tensor, bound: float) -> Tensor:
        return self.relu(x, bound) - self.relu(x - 6, bound + 6)

    def maximum(self, a: Tensor, b: Tensor) -> Tensor:
        return ((a + b) + (a - b) * self.sign(a - b)) / 2

    def max_pool(self, x: Tensor, bound: float, window: "Window", padding: float) -> Tensor:
        rounds = math.ceil(math.log2(math.prod(window.kernel)))
        scale = (1 - 2 * max(rounds - 1, 0) * self.bound) / (2 * bound)
        players = [scale * player + 0.5 for player in window.players(x, padding)]
        while len(players) > 1:
            late = [players.pop()] if len(players) % 2 else []
            players = [self.maximum(a, b) for a, b in zip(players[::2], players[1::2])] + late
        return (players[0] - 0.5) / scale


@dataclass
class Window:
    """The geometry of a max-pool, [height, width] each."""

    kernel: list[int]
    stride: list[int]
    padding: list[int]
    dilation: list[int]
    ceil_mode: bool

    @staticmethod
    def of(kernel, stride=(), padding=(0,), dilation=(1,), ceil_mode=False) -> "Window":
        pair = lambda values: [values[0], values[-1]]
        return Window(pair(kernel), pair(stride or kernel), pair(padding), pair(dilation), ceil_mode)

    def may_pad(self) -> bool:
        """Whether a window can reach over the edge of some input."""
        return self.ceil_mode or any(self.padding)

    def players(self, x: Tensor, padding: float) -> list[Tensor]:
        """Of every window its first value, its second, and so on, row by row."""
        geometry = (self.kernel, self.stride, self.padding, self.dilation, self.ceil_mode)
        outputs = F.max_pool2d(x, *geometry).shape[-2:]
        ends = [(n - 1) * s + d * (k - 1) + 1 for n, s, d, k in zip(outputs, self.stride, self.dilation, self.kernel)]
        below, right = (end - size - p for end, size, p in zip(ends, x.shape[-2:], self.padding))
        x = F.pad(x, [self.padding[1], right, self.padding[0], below], value=padding)
        rows, columns = (
            [slice(i * d, i * d + (n - 1) * s + 1, s) for i in range(k)]
            for n, s, d, k in zip(outputs, self.stride, self.dilation, self.kernel)
        )
        return [x[..., row, column] for row in rows for column in columns]


@dataclass
class Call:
    """What one site was given."""

    kind: str
    smallest: float
    largest: float
    # Whether it is a max-pool whose padding counts.
    may_pad: bool = False
    # How many inputs are outside the range, and how many more are so close to its end that rounding decides.
    outside: int = 0
    undecided: int = 0


@dataclass
class Swap:
    """What the sites compute: polynomials on these ranges, of clipped inputs if `clip` says so."""

    composition: Composition
    ranges: dict[str, float]
    # Whether the padding is zero, of each max-pool that may pad in the order of the calls.
    zero_padded: list[bool]
    clip: bool = False

    def range_of(self, kind: str) -> float:
        return self.ranges["maxpool" if kind == "maxpool" else "relu"]

    def padding(self, calls: list[Call]) -> float:
        """What stands beyond the edge in the last of `calls`, a max-pool."""
        if not calls[-1].may_pad:
            return 0.0
        zero = self.zero_padded[sum(call.may_pad for call in calls) - 1]
        return 0.0 if zero else -self.range_of("maxpool")


class IndexedPools(TorchFunctionMode):
    """Tells whether a max-pool that returns its indices is running: such a one is no site."""

    running = False

    def __torch_function__(self, function, types, args=(), kwargs=None):
        before = self.running
        self.running |= getattr(function, "__name__", "") == "max_pool2d_with_indices"
        try:
            return function(*args, **(kwargs or {}))
        finally:
            self.running = before


@dataclass
class Sites(TorchDispatchMode):
    """Computes and notes all sites; exact ones without `swap`."""

    swap: Swap | None = None
    calls: list[Call] = field(default_factory=list)

    def __post_init__(self):
        super().__init__()
        self.indexed = IndexedPools()

    def __enter__(self):
        self.indexed.__enter__()
        return super().__enter__()

    def __exit__(self, *error):
        super().__exit__(*error)
        self.indexed.__exit__(*error)

    def __torch_dispatch__(self, operator, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        kind, in_place = self.site(operator, args)
        if kind is None:
            return operator(*args, **kwargs)
        x = args[0]
        window = Window.of(*args[1:]) if kind == "maxpool" else None
        # Of what a rectifier in place was given nothing is left afterwards.
        self.note(kind, x, window is not None and window.may_pad())
        exact = x if in_place and self.swap else operator(*args, **kwargs)
        if self.swap is None:
            return exact
        bound, composition = self.swap.range_of(kind), self.swap.composition
        given = x.double().clamp(-bound, bound) if self.swap.clip else x.double()
        if window is None:
            # As the operator lays it out.
            return exact.copy_(getattr(composition, kind)(given, bound))
        y = composition.max_pool(given, bound, window, self.swap.padding(self.calls))
        return exact[0].copy_(y), exact[1]

    def site(self, operator, args) -> tuple[str | None, bool]:
        """Which kind of site the call is, if it is one, and whether it works in place."""
        name = operator.overloadpacket.__name__
        if name == "max_pool2d_with_indices" and not self.indexed.running:
            return "maxpool", False
        if name not in RECTIFIERS or not args[0].is_floating_point():
            return None, False
        in_place, name = name.endswith("_"), name.rstrip("_")
        low, high = [*args[1:], None, None][:2]
        if name == "relu" or (name == "clamp_min" and low == 0) or (name == "threshold" and low == 0 and high == 0):
            return "relu", in_place
        if name in ("clamp", "hardtanh") and low == 0 and high in (None, 6):
            return ("relu" if high is None else "relu6"), in_place
        return None, False

    def note(self, kind: str, x: Tensor, may_pad: bool) -> None:
        call = Call(kind, x.min().item(), x.max().item(), may_pad)
        if self.swap:
            bound = self.swap.range_of(kind)
            size = x.abs().double()
            call.outside = int((size > bound).sum())
            call.undecided = int(((size - bound).abs() < 1e-4 * bound).sum())
        self.calls.append(call)
