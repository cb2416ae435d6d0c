"""What stands in for the activations of one network, from the sites.json that polyact wrote beside this file, as modules of Orion.

    self.relu = activations.module("layer1.0.relu")

A site with a polynomial becomes an orion.nn.Chebyshev with its coefficients, and one with a composition an orion.nn.ReLU. Orion has
no max-pooling of ciphertexts: max(a, b) = b + relu(a - b), where relu is the module of the pool. In the clear, a module computes the
function itself, as those of Orion do; polyact tells what the polynomials make of it.
"""

import json
import pathlib

SITES = {site["site"]: site for site in json.loads(pathlib.Path(__file__).with_name("sites.json").read_text())["sites"]}


def module(name):
    """The module for the site of this name."""
    site = SITES[name]
    if site["activation"] == "exact":
        raise ValueError(f"site {name} is left exact, which is no polynomial")
    if site["polynomials"]:
        return _series(site)
    if site["kind"] == "relu6":
        raise ValueError(f"site {name} is a difference of two compositions; fit one polynomial to it, as in fitted:31")
    return _composition(site["composition"])


def _series(site):
    import orion.nn
    import torch

    (polynomial,) = site["polynomials"]
    low, high = polynomial["interval"]
    coefficients = polynomial["chebyshev"]
    function = torch.nn.functional.relu6 if site["kind"] == "relu6" else torch.nn.functional.relu

    class Series(orion.nn.Chebyshev):
        def fit(self, *_):
            self.low, self.high = low, high
            self.prescale = 2 / (high - low)
            self.constant = -self.prescale * (low + high) / 2
            self.set_coeffs(coefficients)
            self.set_depth()

    return Series(len(coefficients) - 1, function)


def _composition(composition):
    import math

    import orion.nn
    from orion.nn.activation import _Sign

    *first, last = composition["stages"]
    step = [*first, [c / 2 + (0.5 if k == 0 else 0.0) for k, c in enumerate(last)]]
    degrees = [len(stage) - 1 for stage in step]

    class Sign(_Sign):
        def fit(self, *_):
            self.coeffs = step
            for act, coefficients in zip(self.acts, step):
                act.set_coeffs(coefficients)
                act.set_depth()

    class Relu(orion.nn.ReLU):
        def fit(self, *_):
            # Orion's own takes the largest input that it was shown. Both multiply by whole numbers, which take no level.
            self.postscale = math.ceil(composition["bound"])
            self.prescale = 1 / self.postscale

    relu = Relu(degrees=degrees)
    relu.sign = Sign(degrees)
    return relu


# Of the check: values in a ciphertext, ring, and bits of the first modulus.
POINTS, LOG_RING, FIRST_MODULUS = 512, 13, 60


def _depth(series):
    return (len(series) - 1).bit_length()


def _check(name, bits):
    """Levels, worst error and forecast of a site on ciphertexts."""
    import math

    import orion
    import orion.nn
    import torch

    site = SITES[name]
    composition = site["composition"]
    # A layer before scales what a polynomial is given; of a composition, x/bound and the last product take a level each.
    levels = sum(map(_depth, composition["stages"])) + 2 if composition else _depth(site["polynomials"][0]["chebyshev"])
    ckks = {"LogN": LOG_RING, "LogQ": [FIRST_MODULUS] + [bits] * (levels + 2), "LogP": [61, 61], "LogScale": bits, "H": 192}
    own = {"margin": 2, "embedding_method": "hybrid", "backend": "lattigo", "fuse_modules": True, "debug": False, "io_mode": "none"}
    orion.init_scheme({"ckks_params": {**ckks, "RingType": "standard"}, "orion": own})

    class Between(orion.nn.Module):
        def __init__(self):
            super().__init__()
            self.before = orion.nn.Linear(POINTS, POINTS, bias=False)
            self.activation = module(name)
            self.after = orion.nn.Linear(POINTS, POINTS, bias=False)
            with torch.no_grad():
                self.before.weight.copy_(torch.eye(POINTS))
                self.after.weight.copy_(torch.eye(POINTS))

        def forward(self, x):
            return self.after(self.activation(self.before(x)))

    network = Between()
    network.eval()
    low, high = site["range"] if composition else site["polynomials"][0]["interval"]
    x = torch.linspace(low, high, POINTS).reshape(1, POINTS)
    orion.fit(network, x)
    level = orion.compile(network)
    network.he()
    forward, noted = network.activation.forward, []

    def watched(given):
        noted.append(given.level())
        result = forward(given)
        noted.append(result.level())
        return result

    network.activation.forward = watched
    y = network(orion.encrypt(orion.encode(x, level))).decrypt().decode().flatten()[:POINTS].double()
    exact = x.flatten().double().clamp(min=0, max=6 if site["kind"] == "relu6" else math.inf)
    forecast = site["worst"] * (math.ceil(composition["bound"]) / composition["bound"] if composition else 1)
    return noted[0] - noted[1], (y - exact).abs().max().item(), forecast


def _main():
    import argparse
    import subprocess
    import sys

    parser = argparse.ArgumentParser(description="Evaluate the sites on ciphertexts, and print the worst error beside the forecast.")
    parser.add_argument("sites", metavar="SITE", nargs="*", help="these sites only")
    parser.add_argument("--scale", metavar="BITS", type=int, default=40, help="bits of the scale, 40 by default")
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    unknown = [name for name in given.sites if name not in SITES]
    if unknown:
        parser.error(f"{unknown[0]}: no such site; there are {', '.join(SITES)}")
    if given.one:
        # Orion talks on stdout.
        print("\n" + json.dumps(_check(given.sites[0], given.scale)))
        return 0
    kept = True
    print(f"{'site':32} {'levels':>6}  {'worst':>10}  {'forecast':>10}  kept", flush=True)
    for name in given.sites or SITES:
        site = SITES[name]
        if site["activation"] == "exact" or (site["composition"] and site["kind"] == "relu6"):
            print(f"{name:32} left out: {'stays exact' if site['activation'] == 'exact' else 'two compositions, which Orion has not'}")
            continue
        command = [sys.executable, "-W", "ignore", __file__, "--one", name, "--scale", str(given.scale)]
        answer = subprocess.run(command, capture_output=True, text=True)
        if answer.returncode != 0:
            said = answer.stderr.strip().splitlines() or [f"exit code {answer.returncode}"]
            print(f"{name:32} failed: {next((line for line in said if line.startswith('panic:')), said[-1])}")
            kept = False
            continue
        levels, worst, forecast = json.loads(answer.stdout.splitlines()[-1])
        good = worst <= 1.05 * forecast
        kept = kept and good
        print(f"{name:32} {levels:6}  {worst:10.3e}  {forecast:10.3e}  {'yes' if good else 'no'}", flush=True)
    return 0 if kept else 1


if __name__ == "__main__":
    raise SystemExit(_main())
