//! Odd polynomials in the Chebyshev basis, where they keep their digits.
//!
//! On [−b, b] an odd polynomial is Σ d_k T_k(x/b) over odd k. The d_k are no larger than the polynomial, while monomial
//! coefficients grow like (1+√2)^degree and cancel. Source: Mason and Handscomb, Chebyshev Polynomials, section 2.3.1.

use super::composite::{Composite, Stage};
use super::real::{Real, rounded};

impl Stage {
    /// d_1, d_3, … of p(x) = Σ d_k T_k(x/b), where b is the stage's scale.
    pub fn chebyshev(&self) -> Vec<Real> {
        odd_series(&self.minimax.coefficients, &self.scale)
    }
}

impl Composite {
    /// d_1, d_3, … of each stage, rescaled so that every stage is a Chebyshev series on [−1, 1]: stage i takes y/b_i and
    /// gives its value divided by b_{i+1}, the last stage its value. The composition stays the same for |x| ≤ 1.
    pub fn normalised_chebyshev(&self) -> Vec<Vec<Real>> {
        let next = self.stages.iter().skip(1).map(|stage| stage.scale.clone()).chain([Real::ONE]);
        let divided = |stage: &Stage, by: Real| stage.chebyshev().into_iter().map(|d| d / &by).collect();
        self.stages.iter().zip(next).map(|(stage, by)| divided(stage, by)).collect()
    }
}

/// d_1, d_3, … of Σ d_k T_k(x/`scale`) = c_1 x + c_3 x³ + …, each right to the precision of the largest c.
fn odd_series(coefficients: &[Real], scale: &Real) -> Vec<Real> {
    let precision = coefficients.iter().map(Real::precision).max().unwrap_or(0);
    // (1+√2)^degree is below 2^(3·length): so much may cancel.
    let bits = precision + 3 * coefficients.len();
    let scale = rounded(scale, bits);
    let quarter_square = &scale * &scale / Real::from(4u8);
    let mut series: Vec<Real> = Vec::new();
    for c in coefficients.iter().rev() {
        // Horner's scheme in x² = (scale·t)²: t²·T_k = (T_{k+2} + 2·T_k + T_{k−2})/4, and T_{−1} = T_1.
        let mut next = vec![Real::ZERO; series.len() + 1];
        for (j, d) in series.iter().enumerate() {
            let term = d * &quarter_square;
            next[j + 1] += &term;
            next[j] += &term * Real::from(2u8);
            next[j.saturating_sub(1)] += term;
        }
        next[0] += c * &scale;
        series = next;
    }
    series.iter().map(|d| rounded(d, precision)).collect()
}

#[cfg(test)]
mod tests {
    use super::super::real::{abs, power_of_two, real};
    use super::super::remez::odd;
    use super::*;
    use crate::minimax::{DEFAULT_BITS, Epsilon, to_f64};
    use proptest::prelude::*;

    /// Σ d_k T_k(t) by the three-term recurrence of the definition, T_{k+1} = 2t·T_k − T_{k−1}.
    fn by_recurrence(series: &[Real], t: &Real) -> Real {
        let (mut before, mut here) = (Real::ONE, t.clone());
        let mut sum = Real::ZERO;
        for d in series {
            sum += d * &here;
            for _ in 0..2 {
                let next = t * &here * Real::from(2u8) - before;
                (before, here) = (here, next);
            }
        }
        sum
    }

    /// T_7 = 64x⁷ − 112x⁵ + 56x³ − 7x, T_9 = 256x⁹ − 576x⁷ + 432x⁵ − 120x³ + 9x; x⁵ = (10·T_1 + 5·T_3 + T_5)/16
    /// (Abramowitz and Stegun, tables 22.3 and 22.4).
    #[test]
    fn the_expansions_of_the_tables_come_out() {
        let exact = |numbers: &[f64]| numbers.iter().map(|&c| real(c, 128)).collect::<Vec<_>>();
        let check = |powers: &[f64], scale: f64, expected: &[f64]| {
            assert_eq!(odd_series(&exact(powers), &real(scale, 128)), exact(expected));
        };
        check(&[-7.0, 56.0, -112.0, 64.0], 1.0, &[0.0, 0.0, 0.0, 1.0]);
        check(&[9.0, -120.0, 432.0, -576.0, 256.0], 1.0, &[0.0, 0.0, 0.0, 0.0, 1.0]);
        check(&[0.0, 0.0, 1.0], 1.0, &[0.625, 0.3125, 0.0625]);
        // x³ = 8·t³ = 6·T_1(t) + 2·T_3(t) with t = x/2.
        check(&[0.0, 1.0], 2.0, &[6.0, 2.0]);
    }

    #[test]
    fn both_bases_have_the_same_values_to_working_precision() {
        let sets = [
            (vec![15, 27, 29], 17.0 / 16384.0, 0.0),
            (vec![127], 0.01, 0.0),
            (vec![3, 63, 5], 0.01, 0.0),
            (vec![7, 15], 0.05, 0.25),
        ];
        for (degrees, epsilon, margin) in sets {
            let epsilon = Epsilon::Given(epsilon);
            let composite = Composite::with_margin(&degrees, &epsilon, margin, DEFAULT_BITS).unwrap();
            let tolerance = power_of_two(-(DEFAULT_BITS as isize) + 8, DEFAULT_BITS);
            let normalised = composite.normalised_chebyshev();
            for i in -50..=50 {
                let t = real(f64::from(i) / 50.0, 1024);
                for stage in &composite.stages {
                    let direct = odd(&stage.minimax.coefficients, &(&t * &stage.scale));
                    assert!(abs(&(direct - by_recurrence(&stage.chebyshev(), &t))) < tolerance, "{degrees:?} at {i}");
                }
                let composed = normalised.iter().fold(t.clone(), |t, series| by_recurrence(series, &t));
                assert!(abs(&(composed - composite.sign(&t))) < tolerance, "{degrees:?} at {i}");
            }
        }
    }

    proptest! {
        /// p(cos θ) = Σ d_k cos kθ, in f64.
        #[test]
        fn a_series_is_a_cosine_sum(powers in prop::collection::vec(-1.0f64..1.0, 1..=6), theta in 0.0f64..3.2, scale in 0.5f64..2.0) {
            let exact: Vec<Real> = powers.iter().map(|&c| real(c, 128)).collect();
            let series = odd_series(&exact, &real(scale, 128));
            let x = scale * theta.cos();
            let direct: f64 = powers.iter().enumerate().map(|(j, c)| c * x.powi(2 * j as i32 + 1)).sum();
            let sum: f64 = series.iter().enumerate().map(|(j, d)| to_f64(d) * ((2 * j + 1) as f64 * theta).cos()).sum();
            prop_assert!((direct - sum).abs() <= 1e-11 * (1.0 + scale.powi(11)), "{} {}", direct, sum);
        }
    }
}
