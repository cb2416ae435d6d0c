"""What both programs do before they have their library: read the command line and the files, find or make an environment, go on
there. Standard library only.
"""

import argparse
import os
import sys

from . import environment, files

EXIT_CODES = "Exit codes: 0 done, 1 a file or value is wrong, 2 the command line is wrong, 3 the library cannot be installed here."


def arguments(description, files_help, scales, ring):
    """The parser of a program; of one that takes no files where nothing is said of them."""
    parser = argparse.ArgumentParser(
        description=description, epilog=EXIT_CODES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    if files_help:
        parser.add_argument("files", metavar="FILE", nargs="+", help=files_help)
        parser.add_argument("--sites", metavar="NAME,..", default=[], type=_names, help="these sites only")
    parser.add_argument("--scales", metavar="BITS,..", default=scales, type=_scales, help=f"bits of the scale, {scales} by default")
    parser.add_argument("--ring", metavar="N", default=ring, type=_ring, help=f"ring dimension, a power of two, {ring} by default")
    parser.add_argument("--json", action="store_true", help="print the rows as JSON")
    return parser


def start(library, parser, module, check=lambda path: None):
    """Check what can be checked, with `check` each file, and go on as `module` in the library's environment."""
    given = parser.parse_args()
    name = os.path.basename(sys.argv[0])
    try:
        if "files" in given:
            files.chosen(given.files, given.sites)
            for path in given.files:
                check(path)
        python = environment.python(library)
    except (files.Failure, environment.NoFit, OSError) as error:
        print(f"{name}: {error}", file=sys.stderr)
        sys.exit(3 if isinstance(error, environment.NoFit) else 1)
    folder = str(environment.ROOT / "scripts")
    os.environ["PYTHONPATH"] = folder
    os.execv(python, [str(python), "-W", "ignore", "-m", f"ciphertexts.{module}", *sys.argv[1:]])


def run(name, parser, work):
    """`work` on the parsed command line, with its failures as one line."""
    try:
        work(parser.parse_args())
    except files.Failure as error:
        print(f"{name}: {error}", file=sys.stderr)
        sys.exit(1)


def _scales(text):
    try:
        scales = [int(bits) for bits in text.split(",")]
    except ValueError:
        scales = []
    if not scales or not all(20 <= bits <= 59 for bits in scales):
        raise argparse.ArgumentTypeError(f"{text}: must be whole numbers of bits from 20 to 59, with commas between")
    return scales


def _ring(text):
    if not text.isdigit() or int(text) & (int(text) - 1) or not 1024 <= int(text) <= 131072:
        raise argparse.ArgumentTypeError(f"{text}: must be a power of two from 1024 to 131072")
    return int(text)


def _names(text):
    return text.split(",")
