"""The command line of scripts/verify_openfhe, and what its environment needs. Standard library only."""

from . import environment, program
from .table_text import EXPLANATION

VERSION = "1.6.1.0"
LIBRARY = environment.Library(
    name="openfhe",
    module="openfhe",
    requirements={"3.10": [f"openfhe=={VERSION}.22.4", "numpy"], "3.12": [f"openfhe=={VERSION}.24.4", "numpy"]},
    fitting=(
        "its wheels are for Python 3.10 with the libraries of Ubuntu 22.04 or newer, and for Python 3.12 with those of Ubuntu 24.04, "
        "on x86-64; install python3.10 with its venv (`uv python install 3.10` does), and see that PyPI can be reached"
    ),
)
DESCRIPTION = f"""\
Evaluate activations on ciphertexts of OpenFHE {VERSION} (CKKS, FLEXIBLEAUTO), and compare.

    scripts/verify_openfhe alpha14.json --scales 35,40     of polyact design --alpha 14 --format json
    scripts/verify_openfhe activations --sites relu        of polyact export ... --out activations

The library goes into .venv-openfhe. The calls are those of the header that polyact export --format openfhe writes: ReLU by
composition is x*step(x/B), one polynomial is an EvalChebyshevSeries, polynomials of channels have vectors of coefficients, and a
pool is the largest of four by max(a, b) = b + r(a - b). Of a design, ReLU on [-1, 1] and the larger of two are evaluated. The ring
has no security level: it is there for the numbers, not for secrets. Products inside EvalChebyshevSeries are those that were
counted in this version for degrees up to 33; of others none are told.

{EXPLANATION}"""
PARSER = program.arguments(DESCRIPTION, "what polyact wrote, or a folder with its sites.json", scales="35,40,50", ring=4096)
PARSER.add_argument("--library", action="store_true", help="evaluate series by the library's own EvalChebyshevSeries, where they are one for all slots")
