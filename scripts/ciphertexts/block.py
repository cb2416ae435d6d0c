"""A first convolution, a residual block, an average pool and a linear layer in the slots of a ciphertext.

Channel c has the slots from c*share on, its pixels row by row. `context` is as in evaluation.py, with EvalRotate. Numbers at the input
of a site are in units of half its range and without its middle, so that a series is one on [-1, 1]; behind it in units of the bound.
"""

import gzip
from dataclasses import dataclass, replace

import numpy as np

from .environment import ROOT
from .evaluation import Evaluator
from .stand_in import Number, StandIn

IMAGES = ROOT / "datasets" / "fashion-mnist" / "t10k-images-idx3-ubyte.gz"
CHANNELS = 16
TAPS = [(i, j) for i in (-1, 0, 1) for j in (-1, 0, 1)]


def side_of(slots):
    """The side of the largest image that fits."""
    return min(28, int((slots // CHANNELS) ** 0.5))


def images_of(count, side, weights):
    """The middle of the first test images, as the network is given them."""
    pixels = np.frombuffer(gzip.decompress(IMAGES.read_bytes()), np.uint8, offset=16).reshape(-1, 28, 28)[:count] / 255
    edge = (28 - side) // 2
    return (pixels[:, edge : edge + side, edge : edge + side] - weights["mean"]) / weights["std"]


class Rotating(StandIn):
    """The stand-in, with plaintexts of any level and rotations."""

    def MakeCKKSPackedPlaintext(self, numbers, degree=1, level=0):
        return np.asarray(numbers, dtype=float)

    def EvalRotate(self, a, by):
        return Number(np.roll(a.values, -by), a.level)


@dataclass
class Scale:
    """How a site takes its inputs and gives its results."""

    middle: float
    half: float
    bound: float

    @staticmethod
    def of(site):
        if site.stages:
            return Scale(0.0, site.bound, site.bound)
        low, high = site.ranges[0]
        return Scale((low + high) / 2, (high - low) / 2, max(-low, high))


def scaled(site):
    """The same site for inputs and results in those units."""
    if site.stages:
        return replace(site, bound=1.0)
    bound = Scale.of(site).bound
    (polynomial,) = site.polynomials
    return replace(site, polynomials=[replace(polynomial, low=-1.0, high=1.0, chebyshev=[c / bound for c in polynomial.chebyshev])])


class Block:
    def __init__(self, weights, sites, slots):
        self.slots, self.share, self.side = slots, slots // CHANNELS, side_of(slots)
        self.weights = [weights[f"weight{at}"].astype(float) for at in range(4)]
        self.biases = [weights[f"bias{at}"].astype(float) for at in range(4)]
        self.sites, self.scales = [scaled(site) for site in sites], [Scale.of(site) for site in sites]
        pixels = np.arange(self.share)
        self.inside = pixels < self.side**2
        rows, columns = pixels // self.side, pixels % self.side
        there = lambda at: (0 <= at) & (at < self.side)
        self.masks = {(i, j): self.inside & there(rows + i) & there(columns + j) for i, j in TAPS}

    def rotations(self):
        within = [i * self.side + j for i, j in TAPS if (i, j) != (0, 0)]
        sums = [1 << k for k in range(self.share.bit_length() - 1)]
        return sorted({*within, *sums, *(d * self.share for d in range(1, CHANNELS))})

    def packed(self, image):
        """The image once for each channel."""
        one = np.zeros(self.share)
        one[self.inside] = image.ravel()
        return np.tile(one, CHANNELS)

    def values(self):
        """The slots that hold values, those of the logits, and those whose noise is that of logits."""
        return np.tile(self.inside, CHANNELS), np.arange(10) * self.share, np.arange(10 * self.share)

    def evaluate(self, context, x):
        """What is at the inputs and the results of the sites, and the logits, by name."""
        run = _Run(self, context)
        first, second, last = self.scales
        found = {}
        found["relu in"] = run.spread(x, self.weights[0] / first.half, self._offset(0, first))
        shortcut = found["relu out"] = run.site(0, found["relu in"])
        found["relu1 in"] = run.convolution(shortcut, self.weights[1] * first.bound / second.half, self._offset(1, second))
        found["relu1 out"] = run.site(1, found["relu1 in"])
        y = run.convolution(found["relu1 out"], self.weights[2] * second.bound / last.half, self._offset(2, last))
        found["relu2 in"] = context.EvalAdd(y, run.times(shortcut, np.full(self.slots, first.bound / last.half)))
        found["relu2 out"] = run.site(2, found["relu2 in"])
        pooled = run.times(found["relu2 out"], np.tile(self.inside / self.side**2, CHANNELS))
        for by in (1 << k for k in range(self.share.bit_length() - 1)):
            pooled = context.EvalAdd(pooled, context.EvalRotate(pooled, by))
        found["logits"] = run.linear(pooled, self.weights[3])
        return found

    def rescaled(self, context, x):
        """What the next product is given: FLEXIBLEAUTO rescales there, and not behind the last one."""
        return _Run(self, context).times(x, np.ones(self.slots))

    def _offset(self, layer, scale):
        return (self.biases[layer] - scale.middle) / scale.half


class _Run:
    def __init__(self, block, context):
        self.block, self.context, self.evaluator = block, context, Evaluator(context, library=True)

    def site(self, at, x):
        return self.evaluator.site(self.block.sites[at], x)

    def _plain(self, numbers, x, behind_product=False):
        level, degree = x.GetLevel(), x.GetNoiseScaleDeg()
        if not behind_product:
            level, degree = level + degree - 1, 1
        return self.context.MakeCKKSPackedPlaintext([float(n) for n in numbers], degree, level)

    def times(self, x, numbers):
        return self.context.EvalMult(x, self._plain(numbers, x))

    def _rotated(self, x, by):
        return self.context.EvalRotate(x, by) if by else x

    def _sum(self, terms):
        total = None
        for term in terms:
            total = term if total is None else self.context.EvalAdd(total, term)
        return total

    def _shifted(self, x):
        return {(i, j): self._rotated(x, i * self.block.side + j) for i, j in TAPS}

    def _biased(self, x, offset):
        return self.context.EvalAdd(x, self._plain(np.repeat(offset, self.block.share), x, behind_product=True))

    def spread(self, x, weight, offset):
        """A convolution of one channel that every channel holds."""
        shifted = self._shifted(x)
        numbers = lambda i, j: np.concatenate([weight[c, 0, i + 1, j + 1] * self.block.masks[i, j] for c in range(CHANNELS)])
        return self._biased(self._sum(self.times(shifted[tap], numbers(*tap)) for tap in TAPS), offset)

    def convolution(self, x, weight, offset):
        """The inputs rotated by each tap, their products summed for each difference of channels, and those sums rotated."""
        shifted = self._shifted(x)

        def numbers(d, i, j):
            return np.concatenate([weight[c - d, c, i + 1, j + 1] * self.block.masks[i, j] for c in range(CHANNELS)])

        parts = (self._sum(self.times(shifted[tap], numbers(d, *tap)) for tap in TAPS) for d in range(CHANNELS))
        return self._biased(self._sum(self._rotated(part, d * self.block.share) for d, part in enumerate(parts)), offset)

    def linear(self, x, weight):
        """Of the first slot of each channel, and of the others, which hold sums across two channels, with the same weights. The bias,
        which has no noise, is left out."""
        block = self.block

        def numbers(d):
            row = np.zeros(block.slots)
            for output in range(len(weight)):
                row[output * block.share : (output + 1) * block.share] = weight[output, (output + d) % CHANNELS]
            return row

        return self._sum(self.times(self._rotated(x, d * block.share), numbers(d)) for d in range(CHANNELS))
