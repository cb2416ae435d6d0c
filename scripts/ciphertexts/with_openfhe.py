"""Sites on ciphertexts of OpenFHE; started by scripts/verify_openfhe in an environment that has it."""

import math

import numpy as np
import openfhe

from . import plain, program, table
from .evaluation import Evaluator
from .files import Failure, chosen
from .openfhe_command import PARSER
from .stand_in import Number, StandIn, levels_used, products_of

# Bits of the first modulus, of which the scale and the largest value have to leave one.
FIRST_MODULUS = 60
# Of each ciphertext whose noise is measured.
DECRYPTIONS = 4


class Keys:
    """A context with its keys. No security level is set: what is measured are numbers, and small rings give them sooner."""

    def __init__(self, ring, bits, levels):
        parameters = openfhe.CCParamsCKKSRNS()
        parameters.SetSecurityLevel(openfhe.SecurityLevel.HEStd_NotSet)
        parameters.SetRingDim(ring)
        parameters.SetBatchSize(ring // 2)
        parameters.SetMultiplicativeDepth(levels)
        parameters.SetScalingModSize(bits)
        parameters.SetFirstModSize(FIRST_MODULUS)
        parameters.SetScalingTechnique(openfhe.ScalingTechnique.FLEXIBLEAUTO)
        self.context = openfhe.GenCryptoContext(parameters)
        for feature in ("PKE", "KEYSWITCH", "LEVELEDSHE", "ADVANCEDSHE"):
            self.context.Enable(getattr(openfhe.PKESchemeFeature, feature))
        self.keys = self.context.KeyGen()
        self.context.EvalMultKeyGen(self.keys.secretKey)

    def encrypt(self, values):
        plaintext = self.context.MakeCKKSPackedPlaintext([float(value) for value in values])
        return self.context.Encrypt(self.keys.publicKey, plaintext)

    def decrypt(self, ciphertext, count):
        """The values, or None where OpenFHE finds more noise than it can decode."""
        try:
            plaintext = self.context.Decrypt(self.keys.secretKey, ciphertext)
        except RuntimeError as error:
            if "approximation error" not in str(error) and "decode" not in str(error).lower():
                raise
            return None
        plaintext.SetLength(count)
        return np.array(plaintext.GetRealPackedValue()[:count])


def noise_variance(keys, ciphertext, plain, where):
    """Of the noise in these slots, without what each decryption adds."""
    shown = [keys.decrypt(ciphertext, len(plain)) for _ in range(DECRYPTIONS)]
    if any(values is None for values in shown):
        raise Failure("OpenFHE finds more noise than it can decode; give a larger scale")
    errors = np.array(shown)[:, where] - plain[where]
    return (errors.mean(0) ** 2).mean() - errors.var(0, ddof=1).mean() / DECRYPTIONS


def log2_deviation(variance):
    return math.log2(max(variance, 1e-300)) / 2


class Prepared:
    """A site with its values, and what an evaluation of it will need."""

    def __init__(self, site, slots, library):
        if len(site.polynomials) > slots // 2:
            raise Failure(f"--ring {2 * slots}: {len(site.polynomials)} channels of {site.name} need a ring of four slots each or more")
        self.site, self.library = site, library
        self.channels = plain.channels_of(site, slots)
        self.x = plain.points(site, slots, self.channels)
        self.exact = plain.exact(site, self.x)
        self.plain = plain.evaluated(site, self.x, self.channels)
        self.levels = levels_used(self.evaluate(StandIn(), Number)[0])

    def evaluate(self, context, encrypt):
        """The result, and who evaluated it."""
        evaluator = Evaluator(context, self.library)
        x = [encrypt(values) for values in self.x] if self.site.kind == "max" else encrypt(self.x)
        return evaluator.site(self.site, x, None if self.channels is None else self.channels.tolist()), evaluator

    def bits_of_largest(self):
        return max(0, math.ceil(math.log2(max(np.abs(self.x).max(), np.abs(self.plain).max()))))


def _measure(prepared, keys, bits):
    ciphertext, evaluator = prepared.evaluate(keys.context, keys.encrypt)
    values = keys.decrypt(ciphertext, len(prepared.exact))
    counts = dict(levels=levels_used(ciphertext), library=prepared.levels, products=products_of(evaluator))
    return table.row(prepared.site, bits, values, prepared.exact, prepared.plain, **counts)


def _work(given):
    all_prepared = [Prepared(site, given.ring // 2, given.library) for site in chosen(given.files, given.sites)]
    most = FIRST_MODULUS - 1 - max(prepared.bits_of_largest() for prepared in all_prepared)
    if max(given.scales) > most:
        raise Failure(f"--scales {max(given.scales)}: leaves no room for the largest values; give at most {most}")
    levels = max(prepared.levels for prepared in all_prepared)
    rows = []
    for bits in given.scales:
        keys = Keys(given.ring, bits, levels)
        rows += [_measure(prepared, keys, bits) for prepared in all_prepared]
    rows.sort(key=lambda row: [prepared.site.name for prepared in all_prepared].index(row.site))
    table.show(rows, given.json)


if __name__ == "__main__":
    program.run("verify_openfhe", PARSER, _work)
