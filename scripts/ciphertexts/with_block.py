"""The block on ciphertexts of OpenFHE; started by scripts/verify_block in an environment that has it."""

import gzip
import json
import math

import numpy as np

from . import program
from .block import CHANNELS, Block, Rotating
from .block_command import SITES, arguments
from .block_forecast import Network, Noise
from .environment import ROOT
from .files import Failure, chosen
from .stand_in import Number, levels_used
from .with_openfhe import Keys

IMAGES = ROOT / "datasets" / "fashion-mnist" / "t10k-images-idx3-ubyte.gz"
DECRYPTIONS = 4
# Draws of the forecast for each image.
DRAWS = 40


def _images(count, side, weights):
    pixels = np.frombuffer(gzip.decompress(IMAGES.read_bytes()), np.uint8, offset=16).reshape(-1, 28, 28)[:count] / 255
    edge = (28 - side) // 2
    return (pixels[:, edge : edge + side, edge : edge + side] - weights["mean"]) / weights["std"]


def _variance(keys, ciphertext, plain, where):
    """Of the noise in these slots, without what each decryption adds."""
    shown = [keys.decrypt(ciphertext, len(plain)) for _ in range(DECRYPTIONS)]
    if any(values is None for values in shown):
        raise Failure("OpenFHE finds more noise than it can decode; give a larger scale")
    errors = np.array(shown)[:, where] - plain[where]
    return (errors.mean(0) ** 2).mean() - errors.var(0, ddof=1).mean() / DECRYPTIONS


def _log2(variance):
    return math.log2(max(variance, 1e-300)) / 2


def _measure(block, images, ring, bits):
    stand_in = Rotating()
    plain = block.evaluate(stand_in, Number(np.zeros(block.slots)))
    keys = Keys(ring, bits, levels_used(block.rescaled(stand_in, plain["logits"])))
    keys.context.EvalRotateKeyGen(keys.keys.secretKey, block.rotations())
    networks = [Network(block, Noise(ring, bits), weighted) for weighted in (True, False)]
    values, logits, alike = block.values()
    found = {name: [] for name in plain}
    for image in images:
        packed = block.packed(image)
        plain = block.evaluate(stand_in, Number(packed))
        exact = networks[0].run(image, exact=True)
        drawn = [[network.run(image) for _ in range(DRAWS)] for network in networks]
        for name, ciphertext in block.evaluate(keys.context, keys.encrypt(packed)).items():
            where = logits if name == "logits" else values
            numbers = plain[name].values
            if not np.allclose(numbers[where], exact[name].ravel(), atol=1e-9):
                raise Failure(f"{name}: the slots do not hold what the network gives")
            noisy = alike if name == "logits" else where
            measured = _variance(keys, block.rescaled(keys.context, ciphertext), numbers, noisy)
            forecasts = [np.mean([(one[name] - exact[name]) ** 2 for one in draws]) for draws in drawn]
            found[name].append([measured, *forecasts, np.mean(np.abs(numbers[where]) > 1)])
    return [_row(name, bits, np.mean(rows, axis=0)) for name, rows in found.items()]


def _row(name, bits, means):
    measured, *forecasts = map(_log2, means[:3])
    outside = float(means[3]) if name.endswith(" in") else None
    return dict(place=name, bits=bits, measured=measured, forecast=forecasts[0], simple=forecasts[1], outside=outside)


def _work(given):
    with np.load(given.weights) as weights:
        block = Block(weights, chosen(given.files, SITES), given.ring // 2)
        images = _images(given.images, block.side, weights)
    rows = [row for bits in given.scales for row in _measure(block, images, given.ring, bits)]
    if given.json:
        print(json.dumps(rows, indent=1))
        return
    print(f"ring {given.ring}, {CHANNELS} channels of {block.side}x{block.side}, {given.images} images\n")
    print("place       bits  measured  forecast    off  simple    off  outside")
    for row in rows:
        offs = [row["measured"] - row[kind] for kind in ("forecast", "simple")]
        line = f"{row['place']:10}  {row['bits']:4}  {row['measured']:8.2f}  {row['forecast']:8.2f}  {offs[0]:+5.2f}"
        outside = "" if row["outside"] is None else f"{row['outside']:9.1%}"
        print(f"{line}  {row['simple']:6.2f}  {offs[1]:+5.2f}{outside}")


if __name__ == "__main__":
    program.run("verify_block", arguments(), _work)
