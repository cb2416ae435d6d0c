//! Which ring dimension a chain of moduli asks for: 128 bits of security against classical attacks.
//!
//! The larger the modulus Q·P, the larger the ring must be. The tables are for secrets drawn uniformly from {−1, 0, 1} and
//! errors of standard deviation 3.19. They do not cover sparse secrets, such as those with 192 or 32 nonzero coefficients in
//! Lattigo's sets for bootstrapping, which allow a smaller modulus in the same ring, nor what an evaluation reveals.

/// A table of the largest log2(Q·P) by ring dimension.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Guideline {
    /// The Homomorphic Encryption Standard (Albrecht et al., 2018, homomorphicencryption.org), as SEAL and OpenFHE have it. It
    /// ends at 32768; the two further rows are those of
    /// [`Guideline::Guidelines`], as in OpenFHE (src/core/include/lattice/stdlatticeparms.h).
    #[default]
    Standard,
    /// Security Guidelines for Implementing Homomorphic Encryption (Bossuat et al., ePrint 2024/463), as HEIR has it. Newer attacks make it up to 13 bits stricter.
    Guidelines,
}

/// Ring dimension and the largest log2(Q·P).
type Row = (u32, u32);

const STANDARD: [Row; 8] = [
    (1 << 10, 27),
    (1 << 11, 54),
    (1 << 12, 109),
    (1 << 13, 218),
    (1 << 14, 438),
    (1 << 15, 881),
    (1 << 16, 1747),
    (1 << 17, 3523),
];

const GUIDELINES: [Row; 8] = [
    (1 << 10, 26),
    (1 << 11, 53),
    (1 << 12, 106),
    (1 << 13, 214),
    (1 << 14, 430),
    (1 << 15, 868),
    (1 << 16, 1747),
    (1 << 17, 3523),
];

impl Guideline {
    fn rows(self) -> &'static [Row] {
        match self {
            Guideline::Standard => &STANDARD,
            Guideline::Guidelines => &GUIDELINES,
        }
    }

    /// The least ring dimension for a modulus Q·P of `bits`; `None` if the largest one, 2^17, is too small.
    pub fn least_dimension(self, bits: u32) -> Option<u32> {
        self.rows().iter().find(|row| bits <= row.1).map(|row| row.0)
    }
}

/// The moduli of a parameter set: sizes of primes in bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Chain {
    /// Of the prime that is left when all levels are spent; larger than the scale by the bits before the point.
    pub first: u32,
    /// Of the prime that a level takes, which is the scale.
    pub scale: u32,
    /// Levels that are computed with.
    pub levels: u32,
    /// Of all primes together that a bootstrapping takes beside these; 0 without.
    pub bootstrapping: u32,
    /// Primes of P, for key switching.
    pub special_primes: u32,
    /// Of each of them.
    pub special: u32,
}

impl Chain {
    /// log2 Q.
    pub fn log_q(&self) -> u32 {
        self.first + self.levels * self.scale + self.bootstrapping
    }

    /// log2 P.
    pub fn log_p(&self) -> u32 {
        self.special_primes * self.special
    }

    /// log2(Q·P), which the keys for key switching have and security depends on.
    pub fn log_qp(&self) -> u32 {
        self.log_q() + self.log_p()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Lattigo 6, circuits/ckks/bootstrapping/default_parameters.go: name, dimension, residual primes, and those of
    /// SlotsToCoeffs, EvalMod and CoeffsToSlots together. The names have log2(Q·P).
    #[test]
    fn moduli_of_lattigos_sets_are_those_in_their_names() {
        let chain = |first, scale, levels, bootstrapping, special_primes, special| Chain {
            first,
            scale,
            levels,
            bootstrapping,
            special_primes,
            special,
        };
        let sets = [
            (1546, chain(60, 40, 9, 3 * 39 + 8 * 60 + 4 * 56, 5, 61)),
            (1547, chain(60, 45, 5, 3 * 42 + 11 * 60 + 4 * 58, 4, 61)),
            (1767, chain(60, 40, 13, 3 * 39 + 8 * 60 + 4 * 56, 6, 61)),
            (1788, chain(60, 45, 9, 3 * 42 + 11 * 60 + 4 * 58, 5, 61)),
            (880, chain(40, 31, 4, 60 + 8 * 55 + 2 * 52, 2, 56)),
        ];
        for (log_qp, chain) in sets {
            assert_eq!(chain.log_qp(), log_qp, "{chain:?}");
        }
        assert_eq!((sets[0].1.log_q(), sets[0].1.log_p()), (1241, 305));
    }

    /// The dense set for 2^15 is one bit below the standard's table and above that of the guidelines. The dense ones for
    /// 2^16 are 20 to 46 bits above both. Sparse sets are not covered at all: that 1546 is below
    /// 1747 says nothing about them.
    #[test]
    fn dimensions_are_those_of_the_tables() {
        for table in [Guideline::Standard, Guideline::Guidelines] {
            for &(dimension, bits) in table.rows() {
                assert_eq!(table.least_dimension(bits), Some(dimension));
                assert_eq!(table.least_dimension(bits + 1).unwrap_or(2 * dimension), 2 * dimension);
            }
            assert_eq!(table.least_dimension(3524), None);
        }
        assert_eq!(Guideline::Standard.least_dimension(880), Some(1 << 15));
        assert_eq!(Guideline::Guidelines.least_dimension(880), Some(1 << 16));
        assert_eq!(Guideline::Standard.least_dimension(1767), Some(1 << 17));
        let stricter = STANDARD.iter().zip(GUIDELINES).map(|(standard, guidelines)| standard.1 - guidelines.1);
        assert_eq!(stricter.max(), Some(13));
    }
}
