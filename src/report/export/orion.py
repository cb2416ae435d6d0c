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
