//! The degree sets and interval factors published for the precisions α = 4 … 14 (Lee et al., arXiv 2105.10879).
//!
//! The polynomials are designed anew from degrees and ε = ζ·2^−α: the published coefficients agree with the optimum to
//! 1e-5 relative, and those for α = 4 and 5 miss the bound |r − ReLU| ≤ 2^−α.

use std::ops::RangeInclusive;

/// The precisions α that have a published degree set.
pub const ALPHAS: RangeInclusive<u32> = 4..=14;

/// A published choice: the degrees and the ε that go with a precision.
#[derive(Debug, Clone, PartialEq)]
pub struct PaperSet {
    pub alpha: u32,
    pub degrees: &'static [u32],
    pub epsilon: f64,
}

/// The degree set for precision `alpha`, if one was published.
pub fn paper_set(alpha: u32) -> Option<PaperSet> {
    let (degrees, zeta): (&[u32], f64) = match alpha {
        4 => (&[5], 5.0),
        5 => (&[13], 5.0),
        6 => (&[3, 7], 10.0),
        7 => (&[7, 7], 11.0),
        8 => (&[7, 15], 12.0),
        9 => (&[15, 15], 13.0),
        10 => (&[7, 7, 13], 13.0),
        11 => (&[7, 7, 27], 15.0),
        12 => (&[7, 15, 27], 15.0),
        13 => (&[15, 15, 27], 16.0),
        14 => (&[15, 27, 29], 17.0),
        _ => return None,
    };
    Some(PaperSet { alpha, degrees, epsilon: zeta * 2f64.powi(-(alpha as i32)) })
}
