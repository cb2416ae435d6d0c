"""OpenFHE's methods on plain numbers, with the levels that OpenFHE takes and without noise.

The programs ask it how many levels an evaluation will need before they make keys; a test compares what it computes with numpy.
"""

from bisect import bisect_left

import numpy as np
from numpy.polynomial.chebyshev import chebval

# The largest degree of each number of levels that EvalChebyshevSeries takes on [-1, 1], from two on: measured with OpenFHE 1.6.1 up to
# degree 63, and beyond it the table of src/pke/examples/FUNCTION_EVALUATION.md less one.
LARGEST_DEGREES = [2, 5, 13, 27, 59, 119, 247]
# Products of two ciphertexts in EvalChebyshevSeries for degrees 2, 3, ..., the same for odd polynomials: relinearisations counted in
# OpenFHE 1.6.1.
PRODUCTS = dict(enumerate([1, 2, 3, 4, 5, 5, 5, 6, 6, 6, 8, 8, 7, 8, 8, 8, 9, 9, 9, *[10] * 7, *[11] * 6], start=2))


def series_levels(degree):
    """Levels of EvalChebyshevSeries on [-1, 1]."""
    return 2 + bisect_left(LARGEST_DEGREES, degree)


def products_of(evaluator):
    """Products of two ciphertexts in what was evaluated; None where a degree was never counted in the library."""
    inside = [PRODUCTS.get(degree) for degree in evaluator.series_degrees]
    return None if None in inside else evaluator.products + sum(inside)


class Number:
    """Stands in for a ciphertext."""

    def __init__(self, values, level=0):
        self.values, self.level = np.asarray(values, dtype=float), level

    def GetLevel(self):
        return self.level

    def GetNoiseScaleDeg(self):
        return 1


def _parts(operand):
    return (operand.values, operand.level) if isinstance(operand, Number) else (np.asarray(operand, dtype=float), 0)


class StandIn:
    """Stands in for a context."""

    def MakeCKKSPackedPlaintext(self, numbers):
        return np.array(numbers)

    def EvalAdd(self, a, b):
        (x, i), (y, j) = _parts(a), _parts(b)
        return Number(x + y, max(i, j))

    def EvalSub(self, a, b):
        (x, i), (y, j) = _parts(a), _parts(b)
        return Number(x - y, max(i, j))

    def EvalMult(self, a, b):
        (x, i), (y, j) = _parts(a), _parts(b)
        return Number(x * y, max(i, j) + 1)

    def EvalChebyshevSeries(self, x, coefficients, low, high):
        t = (2 * x.values - low - high) / (high - low)
        value = chebval(t, [coefficients[0] / 2, *coefficients[1:]])
        scaling = 0 if (low, high) == (-1, 1) else 1
        return Number(value, x.level + scaling + series_levels(len(coefficients) - 1))


def levels_used(ciphertext):
    """Levels gone since encryption; a product that is not rescaled yet counts as if it were."""
    return ciphertext.GetLevel() + ciphertext.GetNoiseScaleDeg() - 1
