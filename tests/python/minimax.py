"""Slow Remez for a composition of minimax polynomials, in mpmath, written from the definition.

    minimax.py DEGREES EPSILON

Each exchange solves the linear system for odd coefficients and levelled error, then looks for the extrema of the error
by golden section between its sign changes. Prints JSON: for each stage the error and the coefficients as decimal strings.
"""

import json
import sys

from mpmath import cos, lu_solve, matrix, mp, mpf, pi

mp.prec = 300


def solve(points, n):
    """Coefficients of 1, 3, …, 2n−1 and the error that alternates on the n+1 points."""
    system = matrix(n + 1, n + 1)
    for row, x in enumerate(points):
        for j in range(n):
            system[row, j] = x ** (2 * j + 1)
        system[row, n] = (-1) ** row
    solution = lu_solve(system, matrix([1] * (n + 1)))
    return list(solution[:n]), solution[n]


def value(coefficients, x):
    return sum(c * x ** (2 * j + 1) for j, c in enumerate(coefficients))


def golden(f, left, right):
    """Where f is largest in [left, right], if it has one maximum there."""
    ratio = (mp.sqrt(5) - 1) / 2
    a, b = right - ratio * (right - left), left + ratio * (right - left)
    fa, fb = f(a), f(b)
    for _ in range(140):
        if fa < fb:
            left, a, fa = a, b, fb
            b = left + ratio * (right - left)
            fb = f(b)
        else:
            right, b, fb = b, a, fa
            a = right - ratio * (right - left)
            fa = f(a)
    return (left + right) / 2


def root(f, left, right):
    sign = f(left) > 0
    for _ in range(60):
        middle = (left + right) / 2
        if (f(middle) > 0) == sign:
            left = middle
        else:
            right = middle
    return left


def minimax(degree, low, high):
    n = (degree + 1) // 2
    points = [(low + high) / 2 - (high - low) / 2 * cos(pi * i / n) for i in range(n + 1)]
    for _ in range(40):
        coefficients, _ = solve(points, n)
        error = lambda x: 1 - value(coefficients, x)
        edges = [low] + [root(error, a, b) for a, b in zip(points, points[1:])] + [high]
        points = [low]
        for a, b in zip(edges[1:-1], edges[2:-1]):
            sign = 1 if error((a + b) / 2) > 0 else -1
            points.append(golden(lambda x: sign * error(x), a, b))
        points.append(high)
        sizes = [abs(error(x)) for x in points]
        if (max(sizes) - min(sizes)) / max(sizes) < mpf(10) ** -25:
            return coefficients, max(sizes)
    raise ValueError(f"degree {degree} on [{low}, {high}] did not settle")


def main() -> None:
    low, high = mpf(sys.argv[2]), mpf(1)
    stages = []
    for degree in map(int, sys.argv[1].split(",")):
        coefficients, error = minimax(degree, low, high)
        stages.append({"error": mp.nstr(error, 40), "coefficients": [mp.nstr(c, 40) for c in coefficients]})
        low, high = 1 - error, 1 + error
    print(json.dumps(stages))


if __name__ == "__main__":
    main()
