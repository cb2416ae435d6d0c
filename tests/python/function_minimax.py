"""Slow Remez for one function on a union of intervals, in mpmath, written from the definition.

    function_minimax.py FUNCTION DEGREE LOW,HIGH ...

Each exchange solves the linear system for the coefficients of 1, x, x², … and the levelled error on degree + 2 points,
samples the error densely, refines its extrema by golden section, and keeps alternating ones. The first points are not
symmetric, since for symmetric functions these may say nothing. Prints JSON: the error and the coefficients as decimal
strings, and the least-squares coefficients of T_0, T_1, … under Chebyshev's weight where there is one interval.
"""

import json
import sys

from mpmath import cos, erf, exp, lu_solve, matrix, mp, mpf, pi, quad, sign, sqrt, tanh

mp.prec = 200

FUNCTIONS = {
    "relu": lambda x: max(x, mpf(0)),
    "abs": abs,
    "step": lambda x: (1 + sign(x)) / 2,
    "sign": sign,
    "sigmoid": lambda x: 1 / (1 + exp(-x)),
    "silu": lambda x: x / (1 + exp(-x)),
    "gelu": lambda x: x * (1 + erf(x / sqrt(2))) / 2,
    "tanh": tanh,
    "exp": exp,
    "1/x": lambda x: 1 / x,
}
SAMPLES = 60


def solve(f, points):
    n = len(points) - 2
    system = matrix(n + 2, n + 2)
    for row, x in enumerate(points):
        for power in range(n + 1):
            system[row, power] = x**power
        system[row, n + 1] = (-1) ** row
    return list(lu_solve(system, matrix([f(x) for x in points])))[:-1]


def golden(g, left, right):
    ratio = (sqrt(5) - 1) / 2
    for _ in range(90):
        a, b = right - ratio * (right - left), left + ratio * (right - left)
        left, right = (a, right) if g(a) < g(b) else (left, b)
    return (left + right) / 2


def first_points(intervals, count):
    """Points along the intervals laid end to end, denser on the left, with all ends of the hull."""
    total = sum(high - low for low, high in intervals)
    points = []
    for i in range(count):
        rest = total * ((1 - cos(pi * i / (count - 1))) / 2) ** mpf("1.1")
        for low, high in intervals:
            if rest <= high - low:
                break
            rest -= high - low
        points.append(min(low + rest, high))
    return points


def extrema(error, pieces, points):
    found = []
    for low, high in pieces:
        knots = [low] + [x for x in points if low < x < high] + [high]
        grid = [a + (b - a) * i / SAMPLES for a, b in zip(knots, knots[1:]) for i in range(SAMPLES)] + [high]
        values = [error(x) for x in grid]
        for i, value in enumerate(values):
            side = 1 if value > 0 else -1
            left, right = max(i - 1, 0), min(i + 1, len(grid) - 1)
            if side * value >= side * values[left] and side * value >= side * values[right]:
                x = golden(lambda x: side * error(x), grid[left], grid[right])
                found.append(max((grid[i], x, grid[left], grid[right]), key=lambda x: side * error(x)))
    return sorted(found)


def alternating(error, found, count):
    chosen = []
    for x in found:
        if chosen and (error(chosen[-1]) > 0) == (error(x) > 0):
            if abs(error(x)) > abs(error(chosen[-1])):
                chosen[-1] = x
        else:
            chosen.append(x)
    while len(chosen) > count:
        least = min(range(len(chosen)), key=lambda i: abs(error(chosen[i])))
        if len(chosen) == count + 1 or least in (0, len(chosen) - 1):
            chosen.pop(0 if abs(error(chosen[0])) < abs(error(chosen[-1])) else -1)
        else:
            beside = least - 1 if abs(error(chosen[least - 1])) < abs(error(chosen[least + 1])) else least
            del chosen[beside : beside + 2]
    return chosen


def minimax(f, degree, intervals):
    pieces = []
    for low, high in intervals:
        pieces += [(low, mpf(0)), (mpf(0), high)] if low < 0 < high else [(low, high)]
    points = first_points(intervals, degree + 2)
    for _ in range(60):
        coefficients = solve(f, points)
        error = lambda x: f(x) - sum(c * x**power for power, c in enumerate(coefficients))
        points = alternating(error, extrema(error, pieces, points), degree + 2)
        sizes = [abs(error(x)) for x in points]
        if (max(sizes) - min(sizes)) / max(sizes) < mpf(10) ** -20:
            return coefficients, max(sizes)
    raise ValueError(f"degree {degree} on {intervals} did not settle")


def expansion(f, degree, low, high):
    angles = [mpf(0), mp.acos((-low - high) / (high - low)), pi] if low < 0 < high else [mpf(0), pi]
    along = lambda angle: (low + high) / 2 + (high - low) / 2 * cos(angle)
    coefficient = lambda k: (2 if k else 1) / pi * quad(lambda angle: f(along(angle)) * cos(k * angle), angles)
    return [coefficient(k) for k in range(degree + 1)]


def main() -> None:
    f, degree = FUNCTIONS[sys.argv[1]], int(sys.argv[2])
    intervals = [tuple(mpf(end) for end in text.split(",")) for text in sys.argv[3:]]
    coefficients, error = minimax(f, degree, intervals)
    least_squares = expansion(f, degree, *intervals[0]) if len(intervals) == 1 else None
    text = lambda values: values and [mp.nstr(value, 30) for value in values]
    print(json.dumps({"error": mp.nstr(error, 30), "monomial": text(coefficients), "leastsq": text(least_squares)}))


if __name__ == "__main__":
    main()
