"""The sites on ciphertexts of OpenFHE: the calls of the header that `polyact export --format openfhe` writes, in Python.

`context` is OpenFHE's CryptoContext, or a `StandIn` of stand_in.py that has the same methods and computes on plain numbers.
"""

from .plain import step
from .series import Series


class Evaluator:
    """Evaluates sites, and counts the products of two ciphertexts: its own, and by degree the series that it leaves to the library,
    which with `library` are all that are the same in every slot."""

    def __init__(self, context, library=False):
        self.context = context
        self.library = library
        self.products = 0
        self.series_degrees = []

    def site(self, site, x, channels=None):
        """What stands in for the function; of a tournament, `x` are the ciphertexts of its values."""
        if site.kind == "max":
            return self._tournament(site, x)
        return self._function(site, x, channels)

    def _function(self, site, x, channels=None):
        if len(site.polynomials) > 1:
            return self._by_channel(x, site.polynomials, channels)
        if site.polynomials:
            (polynomial,) = site.polynomials
            return self.series(x, polynomial.chebyshev, polynomial.low, polynomial.high)
        value = self._composition(x, site.stages, site.bound)
        if site.kind != "relu6":
            return value
        second = self._composition(self.context.EvalSub(x, 6.0), site.stages, site.bound + 6)
        return self.context.EvalSub(value, second)

    def product(self, a, b):
        """Two ciphertexts, relinearised; the library rescales by itself."""
        self.products += 1
        return self.context.EvalMult(a, b)

    def series(self, x, chebyshev, low, high):
        """By EvalChebyshevSeries, which halves the first coefficient, so twice c_0 is handed over; or as the header has it."""
        if self.library:
            self.series_degrees.append(len(chebyshev) - 1)
            return self.context.EvalChebyshevSeries(x, [2 * chebyshev[0], *chebyshev[1:]], low, high)
        t = x
        if (low, high) != (-1, 1):
            t = self.context.EvalMult(x, 2 / (high - low))
            if low != -high:
                t = self.context.EvalAdd(t, -(low + high) / (high - low))
        return Series([[c] for c in chebyshev]).value(Arithmetic(self), t)

    def _by_channel(self, x, polynomials, channels):
        arithmetic = Arithmetic(self, channels)
        t = arithmetic.times(x, [2 / (p.high - p.low) for p in polynomials])
        t = arithmetic.add_numbers(t, [-(p.low + p.high) / (p.high - p.low) for p in polynomials])
        length = max(len(p.chebyshev) for p in polynomials)
        coefficient = lambda p, k: p.chebyshev[k] if k < len(p.chebyshev) else 0.0
        return Series([[coefficient(p, k) for p in polynomials] for k in range(length)]).value(arithmetic, t)

    def _composition(self, x, stages, bound):
        """x*step(x/bound): the half of (x + x*sign(x/bound))/2 is in the last stage, and no product with the bound is left."""
        t = x if bound == 1 else self.context.EvalMult(x, 1 / bound)
        for stage in step(stages):
            t = self.series(t, stage, -1.0, 1.0)
        return self.product(x, t)

    def _tournament(self, site, values):
        while len(values) > 1:
            pairs = zip(values[::2], values[1::2])
            values = [
                self.context.EvalAdd(b, self._function(site, self.context.EvalSub(a, b))) for a, b in pairs
            ]
        return values[0]


class Arithmetic:
    """What a series is computed with; numbers are one for all slots, or one for each channel, of which `channels` says where they lie."""

    def __init__(self, evaluator, channels=None):
        self.product = evaluator.product
        self.context, self.channels = evaluator.context, channels

    def _plain(self, numbers):
        if len(numbers) == 1:
            return float(numbers[0])
        return self.context.MakeCKKSPackedPlaintext([float(numbers[channel]) for channel in self.channels])

    def times(self, a, numbers):
        return self.context.EvalMult(a, self._plain(numbers))

    def add(self, a, b):
        return self.context.EvalAdd(a, b)

    def subtract(self, a, b):
        return self.context.EvalSub(a, b)

    def add_numbers(self, a, numbers):
        return self.context.EvalAdd(a, self._plain(numbers))
