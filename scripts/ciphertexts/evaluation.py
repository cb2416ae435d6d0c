"""The sites on ciphertexts of OpenFHE: the calls of the header that `polyact export --format openfhe` writes, in Python.

`context` is OpenFHE's CryptoContext, or a `StandIn` of stand_in.py that has the same methods and computes on plain numbers.
"""

from .plain import step


class Evaluator:
    """Evaluates sites, and counts the products of two ciphertexts: its own, and by degree the series that it leaves to the library."""

    def __init__(self, context):
        self.context = context
        self.products = 0
        self.series_degrees = []

    def site(self, site, x, channels=None):
        """What stands in for the function; of a tournament, `x` are the ciphertexts of its values."""
        if site.kind == "max":
            return self._tournament(site, x)
        return self._function(site, x, channels)

    def _function(self, site, x, channels=None):
        if len(site.polynomials) > 1:
            return ByChannel(self, x, site.polynomials, channels).value()
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
        """OpenFHE halves the first coefficient, so twice c_0 is handed over."""
        self.series_degrees.append(len(chebyshev) - 1)
        return self.context.EvalChebyshevSeries(x, [2 * chebyshev[0], *chebyshev[1:]], low, high)

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


class ByChannel:
    """Polynomials of channels, evaluated together: coefficients are vectors over the slots, and p = q*T_g + r recursively, with T_g
    for powers of two g from the number of baby steps on."""

    def __init__(self, evaluator, x, polynomials, channels):
        self.evaluator, self.context = evaluator, evaluator.context
        used = [polynomials[channel] for channel in channels]
        length = max(2, max(len(p.chebyshev) for p in polynomials))
        coefficient = lambda p, k: p.chebyshev[k] if k < len(p.chebyshev) else 0.0
        self.coefficients = [[coefficient(p, k) for p in used] for k in range(length)]
        self.babies = 2
        while self.babies**2 * 2 < length:
            self.babies *= 2
        scale = self._plain([2 / (p.high - p.low) for p in used])
        offset = self._plain([-(p.low + p.high) / (p.high - p.low) for p in used])
        self.powers = {1: self.context.EvalAdd(self.context.EvalMult(x, scale), offset)}

    def value(self):
        return self._value(self.coefficients)

    def _plain(self, numbers):
        return self.context.MakeCKKSPackedPlaintext(numbers)

    def _power(self, k):
        """T_k = 2 T_h T_(k-h) - T_|k-2h| for the largest power of two h below k, which is the least depth."""
        if k not in self.powers:
            h = 1
            while 2 * h < k:
                h *= 2
            product = self.evaluator.product(self._power(h), self._power(k - h))
            twice = self.context.EvalAdd(product, product)
            rest = abs(k - 2 * h)
            self.powers[k] = self.context.EvalSub(twice, self._power(rest) if rest else 1.0)
        return self.powers[k]

    def _value(self, c):
        if len(c) <= self.babies:
            total = None
            for k in range(1, len(c)):
                term = self.context.EvalMult(self._power(k), self._plain(c[k]))
                total = term if total is None else self.context.EvalAdd(total, term)
            return self.context.EvalAdd(total, self._plain(c[0]))
        g = self.babies
        while 2 * g < len(c):
            g *= 2
        # c_(g+j) T_(g+j) = 2 c_(g+j) T_g T_j - c_(g+j) T_(g-j).
        rest, quotient = [list(row) for row in c[:g]], [list(row) for row in c[g:]]
        for j in range(1, len(quotient)):
            rest[g - j] = [a - b for a, b in zip(rest[g - j], quotient[j])]
            quotient[j] = [2 * a for a in quotient[j]]
        if len(quotient) == 1:
            product = self.context.EvalMult(self._power(g), self._plain(quotient[0]))
        else:
            product = self.evaluator.product(self._power(g), self._value(quotient))
        return self.context.EvalAdd(product, self._value(rest))
