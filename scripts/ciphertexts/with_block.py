"""The block on ciphertexts of OpenFHE; started by scripts/verify_block in an environment that has it."""

import json

import numpy as np

from . import program
from .block import CHANNELS, Block, Rotating, images_of
from .block_command import SITES, arguments
from .block_forecast import Network, Noise
from .files import Failure, chosen
from .stand_in import Number, levels_used
from .with_openfhe import Keys, log2_deviation, noise_variance

# Draws of the forecast for each image.
DRAWS = 40


def _measure(block, images, ring, bits):
    stand_in = Rotating()
    plain = block.evaluate(stand_in, Number(np.zeros(block.slots)))
    keys = Keys(ring, bits, levels_used(block.rescaled(stand_in, plain["logits"])))
    keys.context.EvalRotateKeyGen(keys.keys.secretKey, block.rotations())
    network = Network(block, Noise(ring, bits))
    values, logits, alike = block.values()
    found = {name: [] for name in plain}
    for image in images:
        packed = block.packed(image)
        plain = block.evaluate(stand_in, Number(packed))
        exact = network.run(image, exact=True)
        drawn = [network.run(image) for _ in range(DRAWS)]
        for name, ciphertext in block.evaluate(keys.context, keys.encrypt(packed)).items():
            where = logits if name == "logits" else values
            numbers = plain[name].values
            if not np.allclose(numbers[where], exact[name].ravel(), atol=1e-9):
                raise Failure(f"{name}: the slots do not hold what the network gives")
            noisy = alike if name == "logits" else where
            measured = noise_variance(keys, block.rescaled(keys.context, ciphertext), numbers, noisy)
            forecast = np.mean([(one[name] - exact[name]) ** 2 for one in drawn])
            found[name].append([measured, forecast, np.mean(np.abs(numbers[where]) > 1)])
    return [_row(name, bits, np.mean(rows, axis=0)) for name, rows in found.items()]


def _row(name, bits, means):
    measured, forecast = map(log2_deviation, means[:2])
    outside = float(means[2]) if name.endswith(" in") else None
    return dict(place=name, bits=bits, measured=measured, forecast=forecast, outside=outside)


def _work(given):
    with np.load(given.weights) as weights:
        block = Block(weights, chosen(given.files, SITES), given.ring // 2)
        images = images_of(given.images, block.side, weights)
    rows = [row for bits in given.scales for row in _measure(block, images, given.ring, bits)]
    if given.json:
        print(json.dumps(rows, indent=1))
        return
    print(f"ring {given.ring}, {CHANNELS} channels of {block.side}x{block.side}, {given.images} images\n")
    print("place       bits  measured  forecast    off  outside")
    for row in rows:
        off = row["measured"] - row["forecast"]
        outside = "" if row["outside"] is None else f"{row['outside']:9.1%}"
        print(f"{row['place']:10}  {row['bits']:4}  {row['measured']:8.2f}  {row['forecast']:8.2f}  {off:+5.2f}{outside}")


if __name__ == "__main__":
    program.run("verify_block", arguments(), _work)
