"""Sites on ciphertexts of Lattigo by Orion; started by scripts/verify_orion in an environment that has it.

A process evaluates one site at one scale: a second network in a process finds the keys of the first.
"""

import contextlib
import importlib.util
import json
import math
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np

from . import plain, program, table
from .files import Failure, chosen
from .orion_command import PARSER

# Values in a ciphertext.
POINTS = 512
# Processes at a time.
TOGETHER = 2
# Bits of the first modulus, of which the scale and the largest value have to leave one.
FIRST_MODULUS = 60
# Products of two ciphertexts by degree: relinearisations counted in Lattigo 6.2.
PRODUCTS = {3: 2, 5: 4, 7: 5, 9: 6, 11: 6, 13: 7, 15: 8, 17: 10, 19: 10, 21: 10, 23: 10, 25: 11, 27: 11, 29: 12, 31: 13}


def as_orion_has_it(site):
    """The site with its bound rounded up, and its error as much larger; of a pool its r over all differences."""
    if site.kind == "max":
        reach = site.polynomials[0].high if site.polynomials else site.bound
        site = replace(site, kind="relu", rounds=1, ranges=[(-reach, reach)])
    if not site.stages:
        return site
    bound = math.ceil(site.bound)
    return replace(site, bound=bound, worst=site.worst * bound / site.bound)


def levels(site):
    """Levels by degrees and scaling: a layer before a polynomial scales it, x/B of a composition takes one."""
    if not site.stages:
        return _depth(site.polynomials[0].chebyshev)
    return sum(map(_depth, site.stages)) + 1 + (1 if site.bound != 1 else 0)


def _depth(series):
    return math.ceil(math.log2(len(series)))


def _products(site):
    inside = [PRODUCTS.get(len(p) - 1) for p in site.stages or [site.polynomials[0].chebyshev]]
    return None if None in inside else sum(inside) + (1 if site.stages else 0)


def _module(folder, name):
    """The module of the exported file for a site."""
    path = Path(folder) / "activations.py"
    specification = importlib.util.spec_from_file_location("activations", path)
    activations = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(activations)
    return activations.module(name)


def _network(folder, name):
    """The module between two layers that change nothing, as Orion wants it."""
    import orion.nn
    import torch

    class Between(orion.nn.Module):
        def __init__(self):
            super().__init__()
            self.before = orion.nn.Linear(POINTS, POINTS, bias=False)
            self.activation = _module(folder, name)
            self.after = orion.nn.Linear(POINTS, POINTS, bias=False)
            with torch.no_grad():
                self.before.weight.copy_(torch.eye(POINTS))
                self.after.weight.copy_(torch.eye(POINTS))

        def forward(self, x):
            return self.after(self.activation(self.before(x)))

    network = Between()
    network.eval()
    return network


def _note_levels(module):
    """The levels that a module is given and leaves, once it ran."""
    forward, noted = module.forward, []

    def watched(x):
        noted.append(x.level())
        y = forward(x)
        noted.append(y.level())
        return y

    module.forward = watched
    return noted


def _encrypted(folder, site, bits, ring, x):
    """What comes out for `x`, and the levels that it took."""
    import orion
    import torch

    moduli = [FIRST_MODULUS] + [bits] * (levels(site) + 2)
    ckks = {"LogN": ring.bit_length() - 1, "LogQ": moduli, "LogP": [61, 61], "LogScale": bits, "H": 192, "RingType": "standard"}
    own = {"margin": 2, "embedding_method": "hybrid", "backend": "lattigo", "fuse_modules": True, "debug": False, "io_mode": "none"}
    orion.init_scheme({"ckks_params": ckks, "orion": own})
    network = _network(folder, site.name)
    values = torch.tensor(x).reshape(1, POINTS)
    orion.fit(network, values)
    level = orion.compile(network)
    network.he()
    noted = _note_levels(network.activation)
    result = network(orion.encrypt(orion.encode(values, level)))
    decoded = result.decrypt().decode().flatten()[:POINTS]
    return decoded.double().numpy(), noted[0] - noted[1]


def _one(folder, name, bits, ring):
    """Print the row of one site at one scale."""
    (original,) = chosen([folder], [name])
    site = as_orion_has_it(original)
    x = plain.points(site, POINTS).astype(np.float32)
    wide = x.astype(float)
    with contextlib.redirect_stdout(sys.stderr):
        values, used = _encrypted(folder, site, bits, ring, x)
    counts = dict(levels=used, library=levels(site), products=_products(site))
    row = table.row(site, bits, values, plain.exact(site, wide), plain.evaluated(site, wide), **counts)
    print(json.dumps(row.__dict__))


def _row(folder, site, bits, ring):
    """The row, from a process of its own."""
    command = [sys.executable, "-W", "ignore", "-m", "ciphertexts.with_orion", "--one", folder, site.name, str(bits), str(ring)]
    answer = subprocess.run(command, capture_output=True, text=True)
    if answer.returncode != 0:
        # A failure of Go begins with `panic:`, one of Python ends with its cause.
        said = [line for line in answer.stderr.splitlines() if line.strip()] or [f"exit code {answer.returncode}"]
        cause = next((line for line in said if line.startswith("panic:")), said[-1])
        raise Failure(f"{folder}: site {site.name} at {bits} bits fails in Orion ({cause})")
    return table.Row(**json.loads(answer.stdout.splitlines()[-1]))


def _check(sites, scales):
    for site in sites:
        if site.stages and site.kind == "relu6":
            raise Failure(f"--sites: site {site.name} is a difference of two compositions, which Orion has not; name other sites")
        largest = max(abs(end) for ends in as_orion_has_it(site).ranges for end in ends)
        most = FIRST_MODULUS - 1 - max(0, math.ceil(math.log2(largest)))
        if max(scales) > most:
            raise Failure(f"--scales {max(scales)}: leaves no room for the values of site {site.name}; give at most {most}")


def _work(given):
    todo = []
    for folder in given.files:
        sites = chosen([folder], given.sites)
        _check(sites, given.scales)
        todo += [(folder, site, bits, given.ring) for site in sites for bits in given.scales]
    with ThreadPoolExecutor(TOGETHER) as pool:
        rows = list(pool.map(lambda one: _row(*one), todo))
    table.show(rows, given.json)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--one"]:
        _one(sys.argv[2], sys.argv[3], *map(int, sys.argv[4:]))
    else:
        program.run("verify_orion", PARSER, _work)
