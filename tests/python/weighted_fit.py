"""Whether polynomials are what numpy's weighted least squares makes of the same values.

usage: weighted_fit.py VALUES.bin SITES.json SHARE

VALUES.bin has float32 values; SITES.json one site with one polynomial for max(x, 0) that was fitted to them. Prints the root of the
mean square error of that polynomial and of numpy's, which has the values themselves where polyact has a histogram.
"""

import json
import sys

import numpy as np
from numpy.polynomial import chebyshev

values = np.fromfile(sys.argv[1], np.float32).astype(float)
polynomial = json.load(open(sys.argv[2]))["sites"][0]["polynomials"][0]
share = float(sys.argv[3])
low, high = polynomial["interval"]
found = np.array(polynomial["chebyshev"])


def scaled(x):
    return (2 * x - low - high) / (high - low)


# Points of equal weight under Chebyshev's measure.
t = np.cos(np.pi * (np.arange(20000) + 0.5) / 20000)
whole = (low + high) / 2 + (high - low) / 2 * t
x = np.concatenate([values, whole])
weights = np.concatenate([np.full(len(values), (1 - share) / len(values)), np.full(len(whole), share / len(whole))])
root = np.sqrt(weights)
matrix = chebyshev.chebvander(scaled(x), len(found) - 1) * root[:, None]
best = np.linalg.lstsq(matrix, np.maximum(x, 0) * root, rcond=None)[0]


def rms(coefficients):
    return np.sqrt(np.mean((chebyshev.chebval(scaled(values), coefficients) - np.maximum(values, 0)) ** 2))


print(rms(found), rms(best))
