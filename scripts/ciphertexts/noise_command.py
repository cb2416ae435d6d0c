"""The command line of scripts/verify_noise. Standard library only."""

from . import openfhe_command, program

DESCRIPTION = f"""\
Measure the noise of single operations on ciphertexts of OpenFHE {openfhe_command.VERSION} (CKKS, FLEXIBLEAUTO), and compare it with the
formulas of polyact.

    scripts/verify_noise --scales 30,40,50 --ring 8192
    scripts/verify_noise --scales 50,59 --bootstrapping

The columns are log2 of standard deviations in the slots, of numbers that are even on [-1, 1]: measured, as src/ckks/noise.rs has it,
and the difference. Decoding in OpenFHE adds noise to what it shows; every ciphertext is decrypted several times, and that noise is
taken out. Of a bootstrapping there is no formula: what is measured can be given to --ckks. The ring has no security level."""
PARSER = program.arguments(DESCRIPTION, None, scales="30,40,50", ring=4096)
PARSER.add_argument("--bootstrapping", action="store_true", help="measure a bootstrapping to two levels instead")
