"""The command line of scripts/verify_block. Standard library only."""

import argparse
import os
import subprocess
import sys
import tempfile

from . import environment, files, openfhe_command, program

DESCRIPTION = f"""\
Evaluate the first convolution of the bundled ResNet-20, its first residual block, an average pool and a linear layer on ciphertexts
of OpenFHE {openfhe_command.VERSION} (CKKS, FLEXIBLEAUTO), with the activations that polyact exported, and compare the noise with what
polyact takes it to be.

    scripts/verify_block activations --scales 30,40     of polyact export ... --format json --out activations

Images are cut to the largest square that a channel's share of the slots holds: 11 by 11 in a ring of 2^12, 16 by 16 in 2^13, 22 by 22
in 2^14, all of them in 2^15. The linear layer is made of the first columns of the network's own. Decoding in OpenFHE adds noise to
what it shows; every ciphertext is decrypted several times, and that noise is taken out. The ring has no security level.

The columns are log2 of standard deviations over values and images, in units of half the range of the site, the logits in those of
the last. `forecast` draws the errors of src/ckks where the scheme has them, and `off` is what was measured less that. `outside` is the
share of the inputs of a site that is outside of its range. --classifier writes this block as TorchScript, to give it to `polyact eval`,
and evaluates nothing."""
SITES = ["relu", "layer1.0.relu1", "layer1.0.relu2"]


def arguments():
    parser = program.arguments(DESCRIPTION, "the folder that polyact export wrote", scales="30,40,50", ring=4096)
    parser.add_argument("--images", metavar="N", default=4, type=int, help="test images of Fashion-MNIST from the first on, 4 by default")
    parser.add_argument("--classifier", metavar="FILE.pt", help="write the network here instead")
    parser.add_argument("--weights", help=argparse.SUPPRESS)
    return parser


def start():
    """Read the weights with the project's torch, and go on in the environment that has OpenFHE."""
    parser = arguments()
    given = parser.parse_args()
    if len(given.files) > 1 or given.images < 1 or given.sites or given.ring < 2048:
        parser.error("one FILE, at least one image, a ring of 2048 or more, and no --sites")
    scripts, packages = str(environment.ROOT / "scripts"), str(environment.PROJECT_PACKAGES)
    try:
        sites = files.chosen(given.files, SITES)
        if any(len(site.polynomials) > 1 for site in sites):
            raise files.Failure(f"{given.files[0]}: has polynomials of channels; export one for each site, as fitted:15 is")
        torch = environment.PROJECT_PACKAGES.parent / "bin" / "python"
        if not torch.exists():
            raise files.Failure("the weights are read with torch, which is not there; run scripts/setup first")
        with tempfile.TemporaryDirectory() as folder:
            weights = os.path.join(folder, "weights.npz")
            _run([torch, "-m", "ciphertexts.block_weights", weights, given.ring, given.classifier or ""], [scripts, packages])
            if not given.classifier:
                python = environment.python(openfhe_command.LIBRARY)
                _run([python, "-W", "ignore", "-m", "ciphertexts.with_block", *sys.argv[1:], "--weights", weights], [scripts])
    except (files.Failure, environment.NoFit, OSError) as error:
        print(f"verify_block: {error}", file=sys.stderr)
        sys.exit(3 if isinstance(error, environment.NoFit) else 1)


def _run(command, paths):
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
    code = subprocess.run([str(word) for word in command], env=environ).returncode
    if code:
        sys.exit(code)
