"""What `polyact export` writes for a library, against numpy on its sites.json; prints the largest difference at any site.

    exported_sites.py openfhe DIR    the header, compiled against tests/cpp/openfhe.h
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


def openfhe():
    here = pathlib.Path(__file__).parent.parent / "cpp"
    program = folder / "exported_sites"
    flags = ["-std=c++17", "-Wall", "-Wextra", "-Werror", f"-I{here}", f"-I{folder}"]
    subprocess.run(["c++", *flags, here / "exported_sites.cpp", "-o", program], check=True)
    lines = []
    for site in sites:
        channels, x = inputs(site)
        lines.append(" ".join([str(len(x)), *(f"{c} {v!r}" for c, v in zip(channels.tolist(), x.tolist()))]))
    output = subprocess.run([program], input="\n".join(lines), capture_output=True, text=True, check=True).stdout
    return [np.array(line.split()[1:], dtype=float) for line in output.splitlines()]


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
