"""The same sites without encryption: points, the function itself, and what stands in for it, in f64 by numpy."""

import math

import numpy as np
from numpy.polynomial.chebyshev import chebval

# Points of the grid on which the largest error is looked for.
GRID = 100_001
# Of the seed of the values in tournaments.
SEED = 0

FUNCTIONS = {
    "relu": lambda x: np.maximum(x, 0),
    "relu6": lambda x: np.clip(x, 0, 6),
    "max": lambda x: np.maximum(x, 0),
    "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
    "silu": lambda x: x / (1 + np.exp(-x)),
    "gelu": lambda x: x * np.vectorize(lambda v: 1 + math.erf(v / math.sqrt(2)))(x) / 2,
    "tanh": np.tanh,
    "exp": np.exp,
    "1/x": lambda x: 1 / x,
    "step": lambda x: (x > 0).astype(float),
    "sign": np.sign,
    "abs": np.abs,
}


def step(stages):
    """The stages of sign with the last one as those of a step from 0 to 1: (1 + p)/2."""
    *first, last = stages
    return [*first, [(1 + c) / 2 if k == 0 else c / 2 for k, c in enumerate(last)]]


def _series(polynomial, x):
    low, high = polynomial.low, polynomial.high
    return chebval((2 * x - low - high) / (high - low), polynomial.chebyshev)


def _composition(site, x, bound):
    t = x / bound
    for stage in step(site.stages):
        t = chebval(t, stage)
    return x * t


def approximation(site, x, channels=None):
    """What stands in for ReLU or the function at each value; of a tournament, its r."""
    if site.stages:
        value = _composition(site, x, site.bound)
        return value - _composition(site, x - 6, site.bound + 6) if site.kind == "relu6" else value
    if len(site.polynomials) == 1:
        return _series(site.polynomials[0], x)
    value = np.empty_like(x)
    for channel, polynomial in enumerate(site.polynomials):
        here = channels == channel
        value[here] = _series(polynomial, x[here])
    return value


def tournament(r, values):
    """The largest of values, pair by pair: max(a, b) = b + r(a - b)."""
    while len(values) > 1:
        values = [b + r(a - b) for a, b in zip(values[::2], values[1::2])]
    return values[0]


def channels_of(site, slots):
    """Which channel lies in which slot; None where there is one polynomial."""
    return np.arange(slots) * len(site.polynomials) // slots if len(site.polynomials) > 1 else None


def points(site, slots, channels=None):
    """Values for all slots, the ends and the point of the largest error among them; of a tournament, as many vectors as values."""
    if site.kind == "max":
        random = np.random.default_rng(SEED)
        (low, high) = site.ranges[0]
        values = random.uniform(low, high, (2**site.rounds, slots))
        values[:, 0], values[0, 1], values[1:, 1] = high, high, low
        return list(values)
    if channels is None:
        return _spread(site, site.ranges, slots)
    x = np.empty(slots)
    for channel, ends in enumerate(site.ranges):
        here = channels == channel
        x[here] = _spread(site, [ends], int(here.sum()), channel)
    return x


def _spread(site, ranges, count, channel=None):
    shares = [count // len(ranges)] * (len(ranges) - 1)
    shares.append(count - sum(shares))
    parts = [np.linspace(low, high, share) for (low, high), share in zip(ranges, shares)]
    grid = np.concatenate([np.linspace(low, high, GRID if channel is None else GRID // 50) for low, high in ranges])
    where = None if channel is None else np.full(grid.shape, channel)
    error = np.abs(approximation(site, grid, where) - FUNCTIONS[site.kind](grid))
    x = np.concatenate(parts)
    x[count // 2] = grid[error.argmax()]
    return x


def exact(site, x):
    """The function at each value; of a tournament, the largest."""
    return np.max(x, axis=0) if site.kind == "max" else FUNCTIONS[site.kind](x)


def evaluated(site, x, channels=None):
    """What a perfect scheme would give."""
    if site.kind == "max":
        return tournament(lambda d: approximation(site, d), x)
    return approximation(site, x, channels)
