"""What is to be evaluated on ciphertexts, read from the files that polyact wrote. Standard library only.

Three forms are taken: `sites.json` of `polyact export` or `--fits`, and what `polyact design --format json` writes of a composition
and of one polynomial for `--function`.
"""

import json
from dataclasses import dataclass, field
from pathlib import Path


class Failure(Exception):
    """What went wrong, in one line."""


@dataclass
class Polynomial:
    """c_0 + c_1 T_1(t) + ..., t = (2x - low - high)/(high - low)."""

    low: float
    high: float
    chebyshev: list[float]


@dataclass
class Site:
    """A function with what stands in for it: the stages of a composition, or one polynomial for all channels or for each."""

    name: str
    # relu, relu6, a function of `design`, or max: the largest of values by tournament, max(a, b) = b + r(a - b).
    kind: str
    # The ends of the inputs; several where the polynomial is for a union of intervals.
    ranges: list[tuple[float, float]]
    # What polyact says of one evaluation.
    worst: float
    depth: int
    products: int
    # Of a composition: x*step(x/bound) is evaluated, stages of sign each from [-1, 1] into [-1, 1].
    bound: float = 1.0
    stages: list[list[float]] = field(default_factory=list)
    polynomials: list[Polynomial] = field(default_factory=list)
    # Rounds of a tournament.
    rounds: int = 1


# The largest of four, as in a pool of 2x2.
POOL_ROUNDS = 2


def read(path):
    """The sites of a file, without those that stay exact."""
    if Path(path).is_dir():
        path = Path(path) / "sites.json"
    try:
        written = json.loads(Path(path).read_text())
    except OSError as error:
        raise Failure(f"{path}: cannot be read ({error.strerror}); give a file that polyact wrote") from None
    except ValueError:
        raise Failure(f"{path}: is not JSON; give what `polyact design --format json` or `polyact export` wrote") from None
    try:
        if "sites" in written:
            return [_site(one) for one in written["sites"] if one["activation"] != "exact"]
        if "stages" in written:
            return _design(written)
        return [_function(written)]
    except (KeyError, TypeError, IndexError, ValueError) as error:
        raise Failure(
            f"{path}: has no {error} as polyact writes it; give what `polyact design --format json` or `polyact export` wrote"
        ) from None


def chosen(paths, names):
    """The sites of all files, or those of these names."""
    sites = [site for path in paths for site in read(path)]
    known = [site.name for site in sites]
    for name in names:
        if name not in known:
            raise Failure(f"--sites {name}: no such site; there are {', '.join(known)}")
    found = [site for site in sites if not names or site.name in names]
    if not found:
        raise Failure(f"{paths[0]}: every site stays exact; there is nothing to evaluate")
    return found


def _site(one):
    polynomials = [Polynomial(*p["interval"], p["chebyshev"]) for p in one["polynomials"]]
    composition = one["composition"]
    pool = one["kind"] == "maxpool"
    site = Site(
        name=one["site"],
        kind="max" if pool else one["kind"],
        ranges=[(p.low, p.high) for p in polynomials] or [tuple(one["range"])],
        worst=one["worst"],
        depth=one["depth"],
        products=one["mults"],
        polynomials=polynomials,
    )
    if composition:
        site.bound, site.stages = composition["bound"], composition["stages"]
    if pool:
        site.rounds = POOL_ROUNDS
        site.ranges = [_differences_fit(tuple(one["range"]), site)]
    return site


def _design(written):
    """ReLU by a composition, and the larger of two values."""
    scales = [float(stage["scale"]) for stage in written["stages"]]
    after = [*scales[1:], 1.0]
    stages = [_odd(stage["chebyshev"], scale) for stage, scale in zip(written["stages"], after)]
    name = ",".join(str(degree) for degree in written["degrees"])
    worst = float(written["relu_error"])
    common = dict(worst=worst, depth=written["depth"], products=written["mults"], stages=stages)
    relu = Site(name=name, kind="relu", ranges=[(-1.0, 1.0)], **common)
    larger = Site(name=f"{name} max", kind="max", ranges=[], **common)
    larger.ranges = [_differences_fit((-0.5, 0.5), larger)]
    return [relu, larger]


def _function(written):
    intervals = [tuple(interval) for interval in written["intervals"]]
    ends = [end for interval in intervals for end in interval]
    series = [0.0] * (1 + max(term["index"] for term in written["chebyshev"]))
    for term in written["chebyshev"]:
        series[term["index"]] = term["f64"]
    return Site(
        name=f"{written['function']}:{written['degree']}",
        kind=written["function"],
        ranges=intervals,
        worst=float(written["error"]),
        depth=written["depth"],
        products=written["mults"],
        polynomials=[Polynomial(min(ends), max(ends), series)],
    )


def _odd(terms, divided_by):
    """c_0, c_1, ... of an odd series, divided by the bound of the next stage."""
    series = [0.0] * (1 + max(term["order"] for term in terms))
    for term in terms:
        series[term["order"]] = term["f64"] / divided_by
    return series


def _differences_fit(ends, site):
    """The ends of a tournament's values, drawn in where the errors of its rounds would carry differences out of the range."""
    low, high = ends
    reach = site.polynomials[0].high if site.polynomials else site.bound
    excess = max(0.0, high - low - (reach - 2 * site.worst))
    return low + excess / 2, high - excess / 2
