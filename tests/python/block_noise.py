"""How much noise of CKKS changes the margins of the block of scripts/verify_block, drawn by an independent simulation.

    python block_noise.py DIR RING BITS IMAGES     DIR is what polyact export wrote; prints the root mean square
"""

import sys
import tempfile
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "scripts"))

from ciphertexts import block_weights, files  # noqa: E402
from ciphertexts.block import Block, images_of  # noqa: E402
from ciphertexts.block_command import SITES  # noqa: E402
from ciphertexts.block_forecast import Network, Noise  # noqa: E402

DRAWS = 3


def main(folder, ring, bits, count):
    with tempfile.TemporaryDirectory() as place:
        path = str(Path(place) / "weights.npz")
        block_weights.main(path, ring, "")
        with np.load(path) as weights:
            block = Block(weights, files.chosen([folder], SITES), ring // 2)
            images = images_of(count, block.side, weights)
            linear, bias = weights["weight3"].astype(float), weights["bias3"].astype(float)
    network = Network(block, Noise(ring, bits))
    bound = block.scales[-1].bound

    def logits(found):
        return found["logits"] * bound + bias

    changes = []
    for image in images:
        exact = logits(network.run(image, exact=True))
        first, second = np.argsort(exact)[::-1][:2]
        for _ in range(DRAWS):
            noisy = logits(network.run(image))
            others = np.delete(noisy, first).max()
            changes.append((noisy[first] - others) - (exact[first] - exact[second]))
    print(np.sqrt(np.mean(np.square(changes))))


if __name__ == "__main__":
    main(sys.argv[1], *(int(number) for number in sys.argv[2:5]))
