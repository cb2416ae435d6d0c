"""What `polyact export` writes for a library, against numpy on its sites.json; prints the largest difference at any site.

    exported_sites.py openfhe DIR    the header and its program, compiled against tests/cpp/openfhe.h; levels and products too
    exported_sites.py heir DIR       the functions, operation by operation
"""

import json
import pathlib
import re
import subprocess
import sys

import numpy as np
from numpy.polynomial.chebyshev import chebval

library, folder = sys.argv[1], pathlib.Path(sys.argv[2])
sites = [site for site in json.loads((folder / "sites.json").read_text())["sites"] if site["activation"] != "exact"]


def series(coefficients, interval, x):
    low, high = interval
    return chebval((2 * x - low - high) / (high - low), coefficients)


def relu(composition, x, more=0.0):
    t = x / (composition["bound"] + more)
    for stage in composition["stages"]:
        t = chebval(t, stage)
    return (x + x * t) / 2


def expected(site, channels, x):
    """r at each value; of a pool, max(x, 0)."""
    composition, polynomials = site["composition"], site["polynomials"]
    if composition:
        six = relu(composition, x - 6, 6.0) if site["kind"] == "relu6" else 0.0
        return relu(composition, x) - six
    if len(polynomials) == 1:
        channels = np.zeros_like(channels)
    return np.array([series(polynomials[c]["chebyshev"], polynomials[c]["interval"], v) for c, v in zip(channels, x)])


def inputs(site):
    """Values over the ranges of all channels."""
    polynomials = site["polynomials"]
    ends = [p["interval"] for p in polynomials] or [site["range"]]
    points = [np.linspace(low, high, 23) for low, high in ends]
    return np.repeat(np.arange(len(ends)), 23), np.concatenate(points)


def scaled(site, channels, x):
    """Into [-1, 1] where `x` is in range."""
    if site["composition"]:
        return x / site["composition"]["bound"]
    ends = [site["polynomials"][c]["interval"] for c in channels]
    return np.array([(2 * v - low - high) / (high - low) for v, (low, high) in zip(x, ends)])


def compiled(source):
    here = pathlib.Path(__file__).parent.parent / "cpp"
    program = folder / source.stem
    flags = ["-std=c++17", "-Wall", "-Wextra", "-Werror", f"-I{here}", f"-I{folder}"]
    subprocess.run(["c++", *flags, source, "-o", program], check=True)
    return program


def openfhe():
    lines = []
    for site in sites:
        channels, x = inputs(site)
        t = scaled(site, channels, x)
        lines.append(" ".join([str(len(x)), *(f"{c} {v!r} {w!r}" for c, v, w in zip(channels.tolist(), x.tolist(), t.tolist()))]))
    program = compiled(pathlib.Path(__file__).parent.parent / "cpp" / "exported_sites.cpp")
    output = subprocess.run([program], input="\n".join(lines), capture_output=True, text=True, check=True).stdout
    found = [np.array(line.split(), dtype=float) for line in output.splitlines()]
    assert len(found) == 2 * len(sites)
    for site, (levels, products, *values), (scaled_levels, scaled_products, *scaled_values) in zip(sites, found[::2], found[1::2]):
        again = 1 if site["kind"] == "relu6" and site["composition"] else 0
        assert (levels, scaled_levels) == (site["depth"] + 1, site["depth"] + again), (site["site"], levels, scaled_levels)
        assert products == scaled_products <= site["mults"], (site["site"], products, site["mults"])
        known = [FEWEST.get(len(stage) - 1, 0) for stage in (site["composition"] or {"stages": []})["stages"]]
        assert products >= sum(known)
        if site["composition"] and 0 not in known and site["kind"] != "relu6":
            assert products == sum(known) + 1, (site["site"], products)
        difference = np.abs(np.array(values) - np.array(scaled_values)).max()
        assert difference < 1e-9, (site["site"], difference)
    the_program_says_that_every_forecast_is_kept()
    return [np.array(line[2:]) for line in found[::2]]


# Products of two ciphertexts for the degrees of the stages that are exported in tests/libraries.rs, all at the least depth.
FEWEST = {3: 2, 5: 3, 7: 4, 13: 7, 15: 7, 27: 10}


def the_program_says_that_every_forecast_is_kept():
    program = compiled(folder / "main.cpp")
    output = subprocess.run([program, "45", "8192"], capture_output=True, text=True, check=True).stdout
    rows = [line.split() for line in output.splitlines()[3:]]
    assert [(row[0], row[-1]) for row in rows] == [(site["site"], "yes") for site in sites], output
    for row, site in zip(rows, sites):
        assert int(row[1]) == site["depth"] + 1, row
        assert 0.5 * site["worst"] < float(row[2]) <= 1.05 * site["worst"], row
    assert subprocess.run([program, "70"], capture_output=True).returncode == 2


def mlir(function, x):
    """The value of a function in MLIR for each of `x`; the second parameter is 0."""
    values = {"%x": x, "%a": x, "%b": np.zeros_like(x)}
    for line in function.splitlines():
        line = line.strip()
        if line.startswith("return "):
            return values[line.split()[1]]
        name, operation = line.split(" = ", 1)
        kind = operation.split()[0]
        operands = re.findall(r"%\w+", operation)
        if kind == "arith.constant":
            values[name] = float(operation.split()[1])
        elif kind == "polynomial.eval":
            numbers = re.search(r"<\[(.*)\]>", operation).group(1)
            coefficients = [float(number.removesuffix(" : f64")) for number in numbers.split(", ")]
            bounds = [float(re.search(rf"{bound} = (\S+)", operation).group(1)) for bound in ("domain_lower", "domain_upper")]
            values[name] = series(coefficients, bounds, values[operands[0]])
        else:
            a, b = (values[operand] for operand in operands)
            values[name] = {"arith.mulf": a * b, "arith.addf": a + b, "arith.subf": a - b}[kind]
    raise AssertionError("no return")


def heir():
    functions = re.findall(r"func\.func @(\w+)\(.*?\) -> f64 \{\n(.*?)\n\}", (folder / "activations.mlir").read_text(), re.S)
    assert [name for name, _ in functions] == [re.sub(r"\W", "_", site["site"]) for site in sites]
    return [mlir(body, inputs(site)[1]) for (_, body), site in zip(functions, sites)]


found = {"openfhe": openfhe, "heir": heir}[library]()
assert len(found) == len(sites)
worst = 0.0
for site, values in zip(sites, found):
    difference = np.abs(values - expected(site, *inputs(site))).max()
    assert difference < 1e-9, (site["site"], difference)
    worst = max(worst, difference)
print(worst)
