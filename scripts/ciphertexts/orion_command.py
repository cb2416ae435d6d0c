"""The command line of scripts/verify_orion, and what its environment needs. Standard library only."""

from pathlib import Path

from . import environment, files, program
from .table_text import EXPLANATION

VERSION = "1.0.2"
LIBRARY = environment.Library(
    name="orion",
    module="orion",
    requirements={version: [f"orion-fhe=={VERSION}"] for version in ("3.11", "3.12", "3.10", "3.9")},
    fitting=(
        "its wheels are for Python 3.9 to 3.12 on x86-64; install python3.11 with its venv (`uv python install 3.11` does), and see "
        "that PyPI can be reached"
    ),
    torch=True,
)
DESCRIPTION = f"""\
Evaluate activations on ciphertexts of Lattigo by Orion {VERSION} (CKKS), and compare.

    polyact export --model M.pt --relu fitted:15 --relu-range file:ranges.csv --format orion --out activations
    scripts/verify_orion activations --scales 40 --sites relu

FILE is a folder with the activations.py and sites.json of polyact export --format orion, which are used as they are, each site in a
network of its own between two layers that change nothing. The library goes into .venv-orion, with the torch of scripts/setup where
that is for the same Python. Of a pool r(x) of max(a, b) = b + r(a - b) is evaluated, since Orion has no pool of maxima. The bound of
a composition is a whole number in Orion, by which the forecast grows. The ring has no security level: it is there for the numbers,
not for secrets.

Orion hands data and coefficients over in float32: below 2^-24 of the largest value noise does not fall, whatever the scale is.
Products are those that were counted in Lattigo 6.2 for odd degrees up to 31; of others none are told.

{EXPLANATION}"""
PARSER = program.arguments(DESCRIPTION, "a folder that polyact export --format orion wrote", scales="40", ring=8192)


def check(folder):
    """Refuse what is no folder for Orion."""
    if not (Path(folder) / "activations.py").exists():
        raise files.Failure(f"{folder}: has no activations.py; give a folder that `polyact export --format orion` wrote")
