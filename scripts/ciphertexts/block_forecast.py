"""The noise of the block as polyact has it in src/ckks: how large errors are, and where they are added."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.polynomial.chebyshev import chebval

from .block import CHANNELS, TAPS
from .plain import step

SIGMA = 3.19
INPUTS = 65


@dataclass
class Noise:
    """Of OpenFHE: fresh encryptions are not divided, the secret is uniform and ternary."""

    ring: int
    bits: int

    def _slot(self, variance):
        return math.sqrt(self.ring / 2 * variance) / 2**self.bits

    def fresh(self):
        return self._slot(SIGMA**2 * (4 * self.ring / 3 + 1) + 1 / 12)

    def rescaling(self):
        return self._slot((1 + 2 * self.ring / 3) / 12)


class Tape:
    """Operations on vectors of inputs: values, and slopes by operands."""

    def __init__(self, x):
        self.steps = [(x, [], False)]

    def add(self, value, slopes, rescaled):
        self.steps.append((value, slopes, rescaled))
        return len(self.steps) - 1

    def sum(self, terms, constant, rescaled):
        value = sum((factor * self.steps[of][0] for of, factor in terms), np.zeros_like(self.steps[0][0])) + constant
        return self.add(value, terms, rescaled)

    def product(self, a, b):
        x, y = self.steps[a][0], self.steps[b][0]
        return self.add(x * y, [(a, y), (b, x)], True)

    def amplified(self):
        """The standard deviation that errors of 1 behind all rescalings make, at each input."""
        slopes = [0.0] * len(self.steps)
        slopes[-1] = np.ones_like(self.steps[0][0])
        for at in reversed(range(len(self.steps))):
            for of, slope in self.steps[at][1]:
                slopes[of] = slopes[of] + slopes[at] * slope
        return np.sqrt(sum(slope**2 for slope, (_, _, rescaled) in zip(slopes, self.steps) if rescaled))


class Basis:
    """As src/ckks/amplification.rs evaluates a series."""

    def __init__(self, tape, of):
        self.tape, self.known = tape, {1: of}

    def power(self, k):
        if k not in self.known:
            a = (k + 1) // 2
            product = self.tape.product(self.power(a), self.power(k - a))
            less = [(self.power(1), -1.0)] if k % 2 else []
            self.known[k] = self.tape.sum([(product, 2.0), *less], 0.0 if k % 2 else -1.0, False)
        return self.known[k]

    def series(self, c):
        return self._split(list(c), max(2, 1 << math.ceil(math.log2(math.sqrt(len(c))))))

    def _split(self, c, small):
        if len(c) <= small:
            return self.tape.sum([(self.power(k), c[k]) for k in range(1, len(c)) if c[k]], c[0], True)
        g = 1 << (len(c) - 1).bit_length() - 1
        rest, quotient = c[:g], c[g:]
        for j in range(1, len(quotient)):
            rest[g - j] -= quotient[j]
            quotient[j] *= 2
        high, low = self._split(quotient, small), self._split(rest, small)
        return self.tape.sum([(self.tape.product(high, self.power(g)), 1.0), (low, 1.0)], 0.0, False)


def amplification(site, x):
    """Of the rescalings inside a site of block.py, a root mean square over these inputs."""
    tape = Tape(x)
    at = 0
    for stage in site.stages or [site.polynomials[0].chebyshev]:
        at = Basis(tape, at).series(stage)
    if site.stages:
        tape.product(0, tape.sum([(at, 0.5)], 0.5, False))
    return math.sqrt((tape.amplified() ** 2).mean())


class Network:
    """The block on plain numbers with errors where they are added, in the units of block.py but for the images, which have their own."""

    def __init__(self, block, noise, seed=0):
        self.block, self.noise = block, noise
        self.random = np.random.default_rng(seed)
        self.amplifications = [amplification(site, np.linspace(-1, 1, INPUTS)) for site in block.sites]

    def run(self, image, exact=False):
        size = 0.0 if exact else 1.0
        block, (first, second, last) = self.block, self.block.scales
        rescaling = switching = self.noise.rescaling() * size
        images = math.hypot(self.noise.fresh() * size, switching)
        found = {}
        x = self._drawn(image[None], images)
        found["relu in"] = x = self._before(0, _convolution(x, block.weights[0], block.biases[0]), rescaling)
        found["relu out"] = shortcut = self._site(0, x, rescaling, switching)
        x = _convolution(shortcut * first.bound, block.weights[1], block.biases[1])
        found["relu1 in"] = x = self._before(1, x, rescaling)
        found["relu1 out"] = x = self._site(1, x, rescaling, switching)
        x = _convolution(x * second.bound, block.weights[2], block.biases[2]) + shortcut * first.bound
        found["relu2 in"] = x = self._before(2, x, rescaling)
        found["relu2 out"] = x = self._site(2, x, rescaling, switching)
        found["logits"] = self._logits(x.mean((1, 2)), rescaling, switching)
        return found

    def _logits(self, pooled, rescaling, switching):
        pool = math.hypot(rescaling, switching)
        return self._drawn(self.block.weights[3] @ self._drawn(pooled, pool), rescaling)

    def _drawn(self, x, error):
        return x + error * self.random.standard_normal(x.shape) if error else x

    def _before(self, at, x, error):
        """In units of the bound, as polyact has it, then in those of the block."""
        scale = self.block.scales[at]
        return (self._drawn(x / scale.bound, error) * scale.bound - scale.middle) / scale.half

    def _site(self, at, x, rescaling, switching):
        site = self.block.sites[at]
        if site.stages:
            t = x
            for stage in step(site.stages):
                t = chebval(t, stage)
            value = x * t
        else:
            value = chebval(x, site.polynomials[0].chebyshev)
        return self._drawn(value, math.hypot(self.amplifications[at] * rescaling, switching))


def _convolution(x, weight, bias):
    """3x3 with zeros around."""
    padded = np.pad(x, ((0, 0), (1, 1), (1, 1)))
    side = x.shape[1]
    taps = [np.einsum("oc,cij->oij", weight[:, :, i + 1, j + 1], padded[:, i + 1 : i + 1 + side, j + 1 : j + 1 + side]) for i, j in TAPS]
    return sum(taps) + bias[:, None, None]

