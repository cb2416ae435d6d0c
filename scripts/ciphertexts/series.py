"""Chebyshev series on [-1, 1] at the least depth, ceil(log2(degree + 1)), in the fewest known products of two ciphertexts: what the class
Series of the header that `polyact export --format openfhe` writes computes, in Python.

p = q*T_g + r recursively, g a power of two. A part of degree 3 that is due at level 2 has c*T_3: with c in x, 2 (c x) T_2 - c x = c*T_3 is
ready there, and stands for T_3 everywhere; T_5, T_7 and so on are computed with the factor c as well, and their coefficients divided by
it.
"""

# The most that a coefficient of an odd T_k may be of the factor: it multiplies noise. Beyond, T_3 is computed without one.
LARGEST_RATIO = 20.0


def ceil_log2(n):
    return (n - 1).bit_length()


def degree(c):
    return max((k for k, numbers in enumerate(c) if any(numbers)), default=0)


def split(c, g):
    """q and r of c = q*T_g + r, by c_(g+j) T_(g+j) = 2 c_(g+j) T_g T_j - c_(g+j) T_|g-j|."""
    n, rest = degree(c), list(c)
    quotient = [[]] * (n - g + 1)
    for k in range(n, g - 1, -1):
        j = k - g
        quotient[j] = [2 * a if j else a for a in rest[k]]
        if j:
            rest[abs(g - j)] = [a - b for a, b in zip(rest[abs(g - j)], rest[k])]
    return quotient, rest[:g]


class Series:
    """A series of which each coefficient is a list: one number for all slots, or one for each channel."""

    def __init__(self, coefficients):
        self.coefficients = coefficients
        self.degree = degree(coefficients)
        self.depth = max(1, ceil_log2(self.degree + 1))
        most = range(1, max(2, self.depth))
        walks = [self._walk(babies, giants, folds) for folds in (False, True) for babies in most for giants in most]
        self.best = min((walk for walk in walks if walk.possible), key=lambda walk: walk.products)
        self.products = self.best.products

    def _walk(self, babies, giants, folds):
        walk = _Walk(_Count(), babies, giants, folds)
        walk.powers[1] = None
        walk.value(self.coefficients, self.depth)
        walk.close()
        return walk

    def value(self, arithmetic, t):
        """The series of the ciphertext t."""
        best = self.best
        walk = _Walk(arithmetic, best.babies, best.giants, best.folds)
        walk.powers[1], walk.factor = t, best.factor
        return walk.value(self.coefficients, self.depth)


class _Count:
    """In the place of arithmetic: the number of products, without ciphertexts."""

    def __init__(self):
        self.products = 0

    def product(self, a, b):
        self.products += 1

    def times(self, a, numbers):
        pass

    add = subtract = add_numbers = times


class _Walk:
    """Through a series with the T_k for k below 2^babies, and with giants g up to 2^giants."""

    def __init__(self, arithmetic, babies, giants, folds):
        self.arithmetic = arithmetic
        self.babies, self.giants, self.folds = babies, giants, folds
        self.powers = {}
        # What the odd T_3, T_5 and so on have for a factor, and the coefficients that they have.
        self.factor, self.odd = None, []
        self.folded = False
        self.possible = True

    def close(self):
        self.products = self.arithmetic.products
        if self.factor:
            self.possible &= all(abs(a) <= LARGEST_RATIO * abs(s) for odd in self.odd for a, s in zip(odd, self.factor))

    def power(self, k):
        """T_k = 2 T_h T_(k-h) - T_|k-2h| for the largest power of two h below k, which is the least depth."""
        if k not in self.powers:
            h = 1 << ceil_log2(k) - 1
            odd = k % 2 == 1
            product = self.arithmetic.product(self.power(h), self._with_factor(k - h) if odd else self.power(k - h))
            twice = self.arithmetic.add(product, product)
            rest = abs(k - 2 * h)
            if rest == 0:
                self.powers[k] = self.arithmetic.add_numbers(twice, [-1.0])
            else:
                self.powers[k] = self.arithmetic.subtract(twice, self._with_factor(rest) if odd else self.power(rest))
        return self.powers[k]

    def _with_factor(self, k):
        """An odd T_k with the factor."""
        if k > 1 or not self.factor:
            return self.power(k)
        if 0 not in self.powers:
            self.powers[0] = self.arithmetic.times(self.powers[1], self.factor)
        return self.powers[0]

    def _term(self, k, numbers):
        if k % 2 == 1 and k > 1:
            self.odd.append(numbers)
            if self.factor:
                numbers = [a / s if s else 0.0 for a, s in zip(numbers, self.factor)]
        return self.arithmetic.times(self.power(k), numbers)

    def _sum(self, terms, numbers):
        total = terms[0]
        for term in terms[1:]:
            total = self.arithmetic.add(total, term)
        return self.arithmetic.add_numbers(total, numbers) if any(numbers) else total

    def value(self, c, level):
        """The series of these coefficients, ready at this level."""
        n = degree(c)
        used = [k for k in range(1, n + 1) if any(c[k])]
        if n == 0:
            return self.arithmetic.add_numbers(self.arithmetic.times(self.powers[1], [0.0] * len(c[0])), c[0])
        if n < 1 << self.babies and ceil_log2(n) < level:
            return self._sum([self._term(k, c[k]) for k in used], c[0])
        if n == 3 and level == 2 and self.folds:
            # One factor for all.
            self.possible &= not self.folded
            self.folded, self.factor = True, c[3]
            return self._sum([self.power(3), *(self._term(k, c[k]) for k in used[:-1])], c[0])
        g = 1 << min(n.bit_length() - 1, self.giants)
        if g < 2 or ceil_log2(g) >= level:
            self.possible = False
            return None
        quotient, rest = split(c, g)
        if degree(quotient) == 0:
            product = self.arithmetic.times(self.power(g), quotient[0])
        else:
            product = self.arithmetic.product(self.power(g), self.value(quotient, level - 1))
        if degree(rest) > 0:
            return self.arithmetic.add(product, self.value(rest, level))
        return self.arithmetic.add_numbers(product, rest[0]) if any(rest[0]) else product
