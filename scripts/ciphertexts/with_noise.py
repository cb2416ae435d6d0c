"""Single operations on ciphertexts of OpenFHE; started by scripts/verify_noise in an environment that has it."""

import json

import numpy as np
import openfhe

from . import program
from .block_forecast import Noise
from .noise_command import PARSER
from .with_openfhe import Keys, log2_deviation, noise_variance

REPEATS = 3
ROTATION = 5
# Levels that a bootstrapping is to give, and the budget of its two linear transforms.
LEVELS = 2
BUDGET = [3, 3]


def _single(ring, bits, random):
    """Each operation: its name, the variance that is measured, and the one that is forecast."""
    keys = Keys(ring, bits, 2)
    context, noise, slots = keys.context, Noise(ring, bits), ring // 2
    context.EvalRotateKeyGen(keys.keys.secretKey, [ROTATION])
    x, y = random.uniform(-1, 1, (2, slots))
    plaintext = context.MakeCKKSPackedPlaintext(list(map(float, y)))
    a, b = keys.encrypt(x), keys.encrypt(y)
    fresh, rescaling = noise.fresh() ** 2, noise.rescaling() ** 2
    # E[x^2] of numbers that are even on [-1, 1].
    square = 1 / 3
    everywhere = np.ones(slots, bool)
    # FLEXIBLEAUTO rescales a product where the next one begins.
    ones = context.MakeCKKSPackedPlaintext([1.0] * slots)
    rescaled = lambda product: context.EvalMult(product, ones)
    operations = [
        ("encryption", a, x, fresh),
        ("addition", context.EvalAdd(a, b), x + y, 2 * fresh),
        ("rotation", context.EvalRotate(a, ROTATION), np.roll(x, -ROTATION), fresh + rescaling),
        ("product with known numbers, rescaled", rescaled(context.EvalMult(a, plaintext)), x * y, square * fresh + rescaling),
        ("product of ciphertexts, rescaled", rescaled(context.EvalMult(a, b)), x * y, 2 * square * fresh + rescaling),
    ]
    return [(name, noise_variance(keys, found, plain, everywhere), forecast) for name, found, plain, forecast in operations]


def _bootstrapped(ring, bits, random):
    parameters = openfhe.CCParamsCKKSRNS()
    parameters.SetSecurityLevel(openfhe.SecurityLevel.HEStd_NotSet)
    parameters.SetSecretKeyDist(openfhe.SecretKeyDist.UNIFORM_TERNARY)
    parameters.SetRingDim(ring)
    parameters.SetScalingModSize(bits)
    parameters.SetFirstModSize(60)
    parameters.SetScalingTechnique(openfhe.ScalingTechnique.FLEXIBLEAUTO)
    depth = LEVELS + openfhe.CryptoContext.GetBootstrapDepth(BUDGET, openfhe.SecretKeyDist.UNIFORM_TERNARY)
    parameters.SetMultiplicativeDepth(depth)
    context = openfhe.GenCryptoContext(parameters)
    for feature in ("PKE", "KEYSWITCH", "LEVELEDSHE", "ADVANCEDSHE", "FHE"):
        context.Enable(getattr(openfhe.PKESchemeFeature, feature))
    keys, slots = context.KeyGen(), ring // 2
    context.EvalBootstrapSetup(BUDGET, [0, 0], slots)
    context.EvalMultKeyGen(keys.secretKey)
    context.EvalBootstrapKeyGen(keys.secretKey, slots)
    x = random.uniform(-1, 1, slots)
    plaintext = context.MakeCKKSPackedPlaintext(list(map(float, x)), 1, depth - 1)
    shown = context.Decrypt(context.EvalBootstrap(context.Encrypt(keys.publicKey, plaintext)), keys.secretKey)
    shown.SetLength(slots)
    return [("bootstrapping, as decoded", ((np.array(shown.GetRealPackedValue()) - x) ** 2).mean(), None)]


def _work(given):
    random = np.random.default_rng(0)
    measure = _bootstrapped if given.bootstrapping else _single
    rows = []
    for bits in given.scales:
        runs = [measure(given.ring, bits, random) for _ in range(1 if given.bootstrapping else REPEATS)]
        for same in zip(*runs):
            name, _, forecast = same[0]
            measured = log2_deviation(np.mean([variance for _, variance, _ in same]))
            rows.append(dict(operation=name, bits=bits, measured=measured, forecast=forecast and log2_deviation(forecast)))
    if given.json:
        print(json.dumps(rows, indent=1))
        return
    width = max(len(row["operation"]) for row in rows)
    print(f"ring {given.ring}\n\n{'operation':{width}}  bits  measured  forecast    off")
    for row in rows:
        line = f"{row['operation']:{width}}  {row['bits']:4}  {row['measured']:8.2f}"
        known = row["forecast"] is not None
        print(f"{line}  {row['forecast']:8.2f}  {row['measured'] - row['forecast']:+5.2f}" if known else line)


if __name__ == "__main__":
    program.run("verify_noise", PARSER, _work)
