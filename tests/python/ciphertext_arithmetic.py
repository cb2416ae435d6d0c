"""The arithmetic of scripts/verify_openfhe on plain numbers, against numpy on the files themselves; prints the largest difference.

    ciphertext_arithmetic.py DESIGN FOLDER..    the JSON of a design, and folders with a sites.json
"""

import json
import pathlib
import sys

import numpy as np
from numpy.polynomial.chebyshev import chebval

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent.parent / "scripts"))

from ciphertexts import environment, files, plain, table
from ciphertexts.evaluation import Evaluator
from ciphertexts.stand_in import Number, StandIn, levels_used, products_of

SLOTS = 512


def evaluate(site, x, channels=None, library=False):
    """What the stand-in gives, with the levels and products that it took."""
    evaluator = Evaluator(StandIn(), library)
    given = [Number(values) for values in x] if site.kind == "max" else Number(x)
    result = evaluator.site(site, given, None if channels is None else channels.tolist())
    return result.values, levels_used(result), products_of(evaluator)


def relu(composition, x, more=0.0):
    t = x / (composition["bound"] + more)
    for stage in composition["stages"]:
        t = chebval(t, stage)
    return (x + x * t) / 2


def r(site, x, channels):
    """What stands in for ReLU by the JSON of a site."""
    if site["composition"]:
        six = relu(site["composition"], x - 6, 6.0) if site["kind"] == "relu6" else 0.0
        return relu(site["composition"], x) - six
    value = np.empty_like(x)
    for slot, v in enumerate(x):
        polynomial = site["polynomials"][channels[slot] if channels is not None else 0]
        low, high = polynomial["interval"]
        value[slot] = chebval((2 * v - low - high) / (high - low), polynomial["chebyshev"])
    return value


def largest_of_four(site, x):
    a, b, c, d = x
    left, right = b + r(site, a - b, None), d + r(site, c - d, None)
    return right + r(site, left - right, None)


def difference_of(written, site):
    channels = plain.channels_of(site, SLOTS)
    x = plain.points(site, SLOTS, channels)
    expected = largest_of_four(written, x) if site.kind == "max" else r(written, x, channels)
    found, levels, products = evaluate(site, x, channels)
    # x takes a level to be scaled, where it is not in [-1, 1] already.
    assert levels in (site.rounds * site.depth, site.rounds * (site.depth + 1)), (site.name, levels)
    assert 0 < products <= site.products * (2**site.rounds - 1), (site.name, products)
    by_library, levels, products = evaluate(site, x, channels, library=True)
    assert levels >= site.depth and (products is None or products > 0), site.name
    np.testing.assert_allclose(by_library, found, atol=1e-9)
    np.testing.assert_allclose(plain.evaluated(site, x, channels), expected, atol=1e-9)
    return np.abs(found - expected).max()


def sites_differ(folder):
    written = [one for one in json.loads((folder / "sites.json").read_text())["sites"] if one["activation"] != "exact"]
    sites = files.read(folder)
    assert [site.name for site in sites] == [one["site"] for one in written]
    return max(difference_of(one, site) for one, site in zip(written, sites))


def design_differs(path):
    """Both rows of a design, by its powers instead of its series; its error is the one that it states."""
    written = json.loads(path.read_text())
    by_power = [np.zeros(stage["degree"] + 1) for stage in written["stages"]]
    for stage, powers in zip(written["stages"], by_power):
        for term in stage["coefficients"]:
            powers[term["power"]] = term["f64"]

    def by_powers(x):
        t = x
        for powers in by_power:
            t = np.polynomial.polynomial.polyval(t, powers)
        return (x + x * t) / 2

    one, larger = files.read(path)
    x = plain.points(one, SLOTS)
    values, _, products = evaluate(one, x)
    row = table.row(one, 0, values, plain.exact(one, x), values, levels=0, library=0, products=products)
    assert row.kept and abs(row.worst / float(written["relu_error"]) - 1) < 1e-3, row
    worst = np.abs(values - by_powers(x)).max()
    a, b = plain.points(larger, SLOTS)
    return max(worst, np.abs(evaluate(larger, [a, b])[0] - (b + by_powers(a - b))).max())


def a_wrong_coefficient_is_seen(folder):
    site = files.read(folder)[0]
    written = next(one for one in json.loads((folder / "sites.json").read_text())["sites"] if one["activation"] != "exact")
    series = site.stages[-1] if site.stages else site.polynomials[0].chebyshev
    series[1] += 1e-6
    try:
        difference = difference_of(written, site)
    except AssertionError:
        return
    assert difference > 1e-8, difference


def schedule_of_channels():
    """Degree 15 in 3 + 1 + 3 products, and four levels with one more for the scaling of x; where the leading coefficient of a channel is
    too small beside others, one product more."""
    for last, expected in [(1.0 / 16, 7), (1e-4, 8)]:
        polynomials = [files.Polynomial(-1.0, 2.0, [1.0 / (k + c) for k in range(15)] + [last]) for c in (1, 2)]
        site = files.Site("two", "relu", [(-1.0, 2.0)] * 2, 1.0, 4, 8, polynomials=polynomials)
        channels = plain.channels_of(site, SLOTS)
        x = plain.points(site, SLOTS, channels)
        found, levels, products = evaluate(site, x, channels)
        assert (levels, products) == (5, expected), (levels, products)
        np.testing.assert_allclose(found, plain.evaluated(site, x, channels), atol=1e-11)


def series_of_all_degrees():
    """Depth and products of series of any degree: the least depth, and for odd ones the fewest products known up to degree 31."""
    fewest = dict(zip(range(3, 32, 2), [2, 3, 4, 5, 5, 7, 7, 8, 8, 9, 9, 10, 10, 11, 11]))
    random, x = np.random.default_rng(0), np.linspace(-1, 1, 101)
    for n in range(1, 128):
        for every in (1, 2) if n % 2 else (1,):
            c = np.zeros(n + 1)
            c[n % 2 if every == 2 else 0 :: every] = random.uniform(0.5, 1, len(c[n % 2 if every == 2 else 0 :: every]))
            context = StandIn()
            evaluator = Evaluator(context)
            result = evaluator.series(Number(x), list(c), -1, 1)
            assert result.level == max(1, int(np.ceil(np.log2(n + 1)))), n
            assert every == 1 or evaluator.products == fewest.get(n, evaluator.products), (n, evaluator.products)
            np.testing.assert_allclose(result.values, chebval(x, c), atol=1e-10)


def where_nothing_fits_one_line_says_so():
    library = environment.Library("nothing", "nothing", {"9.9": ["nothing"]}, "it is for Python 9.9")
    assert environment.interpreters(library.requirements) == []
    try:
        environment._make(library)
    except environment.NoFit as told:
        assert str(told) == "no Python here fits nothing: it is for Python 9.9"
    else:
        raise AssertionError("an environment was made")


def main():
    design, *folders = map(pathlib.Path, sys.argv[1:])
    worst = max(design_differs(design), *map(sites_differ, folders))
    assert worst < 1e-9, worst
    for folder in folders:
        a_wrong_coefficient_is_seen(folder)
    schedule_of_channels()
    series_of_all_degrees()
    where_nothing_fits_one_line_says_so()
    print(worst)


main()
