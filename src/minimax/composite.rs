//! Compositions of odd minimax polynomials that approximate sign, and what they make of ReLU and max.
//!
//! p = p_k ∘ … ∘ p_1. The first stage approximates sign on [−1,−ε] ∪ [ε,1] with error τ_1, the stage after stage i on
//! [−1−τ_i, −1+τ_i] ∪ [1−τ_i, 1+τ_i]; outside (−ε, ε) the composition is then within τ_k of sign
//! (Lee et al., arXiv 2105.10879, section 3). All degrees are odd and all polynomials are. With a margin m the first stage
//! is designed for [ε, 1+m] instead of [ε, 1], so that inputs a little beyond 1 are still in range.

use super::cost::Cost;
use super::cost_table::CostTable;
use super::real::{Real, real, to_f64};
use super::remez::{Minimax, RemezError, fractions, minimax_of_one, odd};

/// Bits of precision that a design has unless another number is asked for.
pub const DEFAULT_BITS: usize = 256;
/// The largest degree of a stage.
pub const MAX_DEGREE: u32 = 127;
/// The largest margin: beyond, it is the range that is to be chosen otherwise.
pub const MAX_MARGIN: f64 = 1.0;
/// The largest number of stages.
pub const MAX_STAGES: usize = 8;

/// Where the approximation of sign begins.
#[derive(Debug, Clone, Default, PartialEq)]
pub enum Epsilon {
    /// The ε that makes the worst ReLU error on [−1, 1] least.
    #[default]
    Best,
    /// This ε, 0 < ε < 1.
    Given(f64),
}

/// One polynomial of a composition.
#[derive(Debug, Clone)]
pub struct Stage {
    pub degree: u32,
    /// The positive half of the domain on which the stage is the best approximation.
    pub interval: (Real, Real),
    /// What its input is divided by where it is a Chebyshev series: 1 for the first stage, whatever the margin, and the
    /// upper end of the interval for the others.
    pub scale: Real,
    /// c_1, c_3, …, τ and the certificate.
    pub minimax: Minimax,
}

impl Stage {
    /// p_i(x).
    pub fn value(&self, x: &Real) -> Real {
        odd(&self.minimax.coefficients, x)
    }
}

/// A designed composition.
#[derive(Debug, Clone)]
pub struct Composite {
    pub epsilon: f64,
    /// m: the composition is designed for inputs in [−1−m, 1+m].
    pub margin: f64,
    /// In the order of application.
    pub stages: Vec<Stage>,
    /// max over [−1−m, 1+m] of |ReLU(x) − (x + x·p(x))/2|. Without a margin, the error of max(a, b) for a, b in [0, 1] is
    /// the same.
    pub relu_error: Real,
}

/// Why a composition could not be designed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum DesignError {
    #[error("degree {0} is even; a stage has an odd degree from 3 to {MAX_DEGREE}")]
    EvenDegree(u32),
    #[error("degree {0} is out of reach; a stage has an odd degree from 3 to {MAX_DEGREE}")]
    DegreeOutOfReach(u32),
    #[error("{0} stages; a composition has 1 to {MAX_STAGES}")]
    Stages(usize),
    #[error("epsilon {0} is not between 0 and 1")]
    Epsilon(f64),
    #[error("margin {0} is not between 0 and {MAX_MARGIN}; take a small part of the range, as 0.01")]
    Margin(f64),
    #[error("{0} bits of precision; from 64 to 65536 are possible")]
    Bits(usize),
    #[error("stage {stage}: {source}")]
    Stage { stage: usize, source: RemezError },
}

/// Whether `degrees` can be the stages of a composition.
///
/// # Errors
/// [`DesignError`] for no or too many stages and for degrees that are even, below 3 or above [`MAX_DEGREE`].
pub fn check_degrees(degrees: &[u32]) -> Result<(), DesignError> {
    if degrees.is_empty() || degrees.len() > MAX_STAGES {
        return Err(DesignError::Stages(degrees.len()));
    }
    for &degree in degrees {
        if !(3..=MAX_DEGREE).contains(&degree) {
            return Err(DesignError::DegreeOutOfReach(degree));
        }
        if degree % 2 == 0 {
            return Err(DesignError::EvenDegree(degree));
        }
    }
    Ok(())
}

impl Composite {
    /// The composition of minimax polynomials of these degrees, computed with at least `bits` of precision.
    ///
    /// # Errors
    /// [`DesignError`]: degrees, ε or bits that make no sense, or a stage whose exchange failed, named with its degree,
    /// interval and error.
    pub fn design(degrees: &[u32], epsilon: &Epsilon, bits: usize) -> Result<Composite, DesignError> {
        Composite::with_margin(degrees, epsilon, 0.0, bits)
    }

    /// The same for inputs in [−1−`margin`, 1+`margin`], from 0 to [`MAX_MARGIN`].
    ///
    /// # Errors
    /// Those of [`Composite::design`], and a margin out of reach.
    pub fn with_margin(degrees: &[u32], epsilon: &Epsilon, margin: f64, bits: usize) -> Result<Composite, DesignError> {
        check_degrees(degrees)?;
        if !(0.0..=MAX_MARGIN).contains(&margin) {
            return Err(DesignError::Margin(margin));
        }
        if !(64..=65536).contains(&bits) {
            return Err(DesignError::Bits(bits));
        }
        match *epsilon {
            Epsilon::Given(epsilon) => Composite::at(degrees, epsilon, margin, bits, &[]),
            Epsilon::Best => Composite::best(degrees, margin, bits),
        }
    }

    /// The composition for one ε; `near` is that for a neighbouring ε, from which the exchanges may start.
    fn at(degrees: &[u32], epsilon: f64, margin: f64, bits: usize, near: &[Stage]) -> Result<Composite, DesignError> {
        if !(epsilon > 0.0 && epsilon < 1.0) {
            return Err(DesignError::Epsilon(epsilon));
        }
        let (mut low, mut high) = (real(epsilon, bits), real(1.0, bits) + real(margin, bits));
        let mut scale = real(1.0, bits);
        let mut stages = Vec::with_capacity(degrees.len());
        for (i, &degree) in degrees.iter().enumerate() {
            let start = near.get(i).map(|stage| fractions(&stage.minimax.extrema)).unwrap_or_default();
            let minimax = minimax_of_one(degree as usize, &low, &high, bits, &start)
                .map_err(|source| DesignError::Stage { stage: i + 1, source })?;
            let next = (Real::ONE - &minimax.error, Real::ONE + &minimax.error);
            stages.push(Stage { degree, interval: (low, high), scale, minimax });
            (low, high) = next;
            scale = high.clone();
        }
        let mut composite = Composite { epsilon, margin, stages, relu_error: Real::ZERO };
        let inner = composite.error_below_epsilon();
        let outer = composite.error_above_epsilon();
        composite.relu_error = if inner > outer { inner } else { outer };
        Ok(composite)
    }

    /// The error below ε grows with ε, the one above it falls, so the best ε is where they meet.
    fn best(degrees: &[u32], margin: f64, bits: usize) -> Result<Composite, DesignError> {
        /// ln ε is settled to this.
        const TOLERANCE: f64 = 1e-14;
        let excess = |c: &Composite| to_f64(&(c.error_below_epsilon() / c.error_above_epsilon())).ln();
        let mut nearest = Composite::at(degrees, 0.125, margin, bits, &[])?;
        let (mut low, mut high) = ((f64::NEG_INFINITY, f64::NAN), (0.0, f64::NAN));
        loop {
            let here = (nearest.epsilon.ln(), excess(&nearest));
            if here.1 > 0.0 {
                high = here
            } else {
                low = here
            }
            let next = if low.0 == f64::NEG_INFINITY {
                here.0 - 1.0
            } else if high.1.is_nan() {
                here.0 / 2.0
            } else {
                // The excess is close to a line in ln ε; the margin moves the end that regula falsi would leave behind.
                let margin = 1e-3 * (high.0 - low.0);
                (low.0 - low.1 * (high.0 - low.0) / (high.1 - low.1)).clamp(low.0 + margin, high.0 - margin)
            };
            if high.0 - low.0 <= TOLERANCE || next <= low.0 || next >= high.0 {
                return Ok(nearest);
            }
            nearest = Composite::at(degrees, next.exp(), margin, bits, &nearest.stages)?;
        }
    }

    /// τ_k: how far the composition is from sign at most, where |x| ≥ ε.
    pub fn sign_error(&self) -> Real {
        self.stages.last().map_or(Real::ONE, |stage| stage.minimax.error.clone())
    }

    /// The degrees, in the order of application.
    pub fn degrees(&self) -> Vec<u32> {
        self.stages.iter().map(|stage| stage.degree).collect()
    }

    /// 1+m, the largest input in range.
    pub fn reach(&self) -> Real {
        self.stages.first().map_or(Real::ONE, |stage| stage.interval.1.clone())
    }

    /// p(x).
    pub fn sign(&self, x: &Real) -> Real {
        self.stages.iter().fold(x.clone(), |y, stage| stage.value(&y))
    }

    /// The published cost of the approximate ReLU, and of one approximate max.
    pub fn relu_cost(&self) -> Cost {
        CostTable::Published.relu(&self.degrees())
    }

    /// For each stage c_1, c_3, …, rounded to the nearest f64.
    pub fn coefficients(&self) -> Vec<Vec<f64>> {
        self.stages.iter().map(|stage| stage.minimax.coefficients.iter().map(to_f64).collect()).collect()
    }

    /// max of |x·(sign(x) − p(x))|/2 where |x| ≥ ε. At |x| = 1+m both factors are largest.
    fn error_above_epsilon(&self) -> Real {
        self.sign_error() * self.reach() / Real::from(2u8)
    }

    /// max of x·(1 − p(x))/2 for 0 < x < ε. There p rises from 0 to 1 − τ_k.
    fn error_below_epsilon(&self) -> Real {
        const GRID: usize = 256;
        const GOLDEN: f64 = 0.618_033_988_749_894_8;
        let coefficients = self.coefficients();
        let error = |x: f64| {
            let p = coefficients.iter().fold(x, |y, c| y * c.iter().rev().fold(0.0, |v, &c| v * y * y + c));
            x * (1.0 - p)
        };
        // The maximum is near the threshold of the steepest composition, which may lie well below ε.
        let at = |i: usize| self.epsilon * (2f64).powf(-10.0 * i as f64 / GRID as f64);
        let peak = (0..=GRID).max_by(|&i, &j| error(at(i)).total_cmp(&error(at(j)))).unwrap_or(0);
        let (mut left, mut right) = (at((peak + 1).min(GRID)), at(peak.saturating_sub(1)));
        // The value at the peak is flat, so f64 places it well enough; the value itself is computed in full precision.
        while right - left > 1e-9 * right {
            let (x, y) = (right - GOLDEN * (right - left), left + GOLDEN * (right - left));
            if error(x) < error(y) { left = x } else { right = y }
        }
        let bits = self.stages.first().map_or(DEFAULT_BITS, |stage| stage.interval.0.precision());
        let x = real(0.5 * (left + right), bits);
        (Real::ONE - self.sign(&x)) * x / Real::from(2u8)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::minimax::{ALPHAS, paper_set};

    fn at(degrees: &[u32], epsilon: f64) -> Composite {
        Composite::design(degrees, &Epsilon::Given(epsilon), DEFAULT_BITS).unwrap()
    }

    /// Worst |ReLU − (x + x·p(x))/2| over a fine grid of [−1, 1], in f64 away from the design's own search.
    fn measured_relu_error(composite: &Composite) -> f64 {
        let stages = composite.coefficients();
        let p =
            |x: f64| stages.iter().fold(x, |y, c| c.iter().rev().fold(0.0, |sum: f64, &c| sum.mul_add(y * y, c)) * y);
        let linear = (-20_000..=20_000).map(|i| f64::from(i) / 20_000.0);
        let logarithmic = (0..20_000).map(|i| (-20.0 * f64::from(i) / 20_000.0).exp2());
        linear.chain(logarithmic).map(|x| (x.max(0.0) - (x + x * p(x)) / 2.0).abs()).fold(0.0, f64::max)
    }

    /// A 400-bit Remez gave these for the published degrees and interval of α = 14; see also tests/minimax.rs.
    #[test]
    fn alpha_14_has_the_known_errors_and_slope() {
        let composite = at(&[15, 27, 29], 17.0 / 16384.0);
        let tau: Vec<f64> = composite.stages.iter().map(|stage| to_f64(&stage.minimax.error)).collect();
        assert!(
            (tau[0] - 0.974).abs() < 5e-4 && (tau[1] - 0.571).abs() < 5e-4 && (tau[2] - 7.6992393e-5).abs() < 1e-12
        );
        assert!((composite.coefficients()[0][0] - 24.905).abs() < 5e-4);
    }

    #[test]
    fn every_published_set_keeps_its_bound_and_has_its_cost() {
        let published =
            [(4, 4), (5, 8), (6, 8), (7, 11), (8, 14), (9, 17), (11, 18), (12, 21), (13, 24), (14, 27), (15, 30)];
        for (alpha, (depth, multiplications)) in ALPHAS.zip(published) {
            let set = paper_set(alpha).unwrap();
            let composite = at(set.degrees, set.epsilon);
            let (claimed, measured) = (to_f64(&composite.relu_error), measured_relu_error(&composite));
            assert!(claimed <= 2f64.powi(-(alpha as i32)), "alpha {alpha}: {claimed}");
            assert!(
                measured <= claimed * (1.0 + 1e-9) && measured >= claimed * 0.99,
                "alpha {alpha}: {measured} {claimed}"
            );
            assert_eq!(composite.relu_cost(), Cost { depth, multiplications }, "alpha {alpha}");
        }
    }

    #[test]
    fn the_best_epsilon_is_a_minimum() {
        for degrees in [vec![5], vec![7, 7], vec![15, 27, 29], vec![3, 5, 7, 9, 11]] {
            let best = Composite::design(&degrees, &Epsilon::Best, DEFAULT_BITS).unwrap();
            for factor in [0.9, 0.999, 1.001, 1.1] {
                let neighbour = at(&degrees, best.epsilon * factor);
                assert!(neighbour.relu_error > best.relu_error, "{degrees:?} at {factor}");
            }
            let (inner, outer) = (to_f64(&best.error_below_epsilon()), to_f64(&best.error_above_epsilon()));
            assert!((inner / outer - 1.0).abs() < 1e-9);
        }
    }

    /// What more bits would give, rounded to f64, differs in no more than the last bit.
    #[test]
    fn coefficients_are_right_to_the_last_bits() {
        for degrees in [vec![15, 27, 29], vec![63, 63], vec![7, 15, 31, 63]] {
            let coarse = Composite::design(&degrees, &Epsilon::Given(0.001), 64).unwrap().coefficients();
            let fine = Composite::design(&degrees, &Epsilon::Given(0.001), 1024).unwrap().coefficients();
            for (a, b) in coarse.iter().flatten().zip(fine.iter().flatten()) {
                assert!((a - b).abs() <= f64::EPSILON * b.abs(), "{degrees:?}: {a} {b}");
            }
        }
    }

    #[test]
    fn high_degrees_many_stages_and_small_epsilon_are_designed() {
        for (degrees, power) in [(vec![63, 63], -20), (vec![63; 5], -20), (vec![3; 5], -20), (vec![31, 63, 15], -12)] {
            let composite = at(&degrees, 2f64.powi(power));
            for stage in &composite.stages {
                let unevenness = (&stage.minimax.error - &stage.minimax.lower_bound) / &stage.minimax.error;
                assert!(to_f64(&unevenness) <= 1e-12, "{degrees:?}");
            }
        }
    }

    #[test]
    fn what_makes_no_sense_is_named() {
        let error = |degrees: &[u32], epsilon: f64, bits| {
            Composite::design(degrees, &Epsilon::Given(epsilon), bits).unwrap_err().to_string()
        };
        assert!(error(&[15, 28], 0.1, 256).contains("degree 28 is even"));
        assert!(error(&[1], 0.1, 256).contains("degree 1 "));
        assert!(error(&[129], 0.1, 256).contains("degree 129 "));
        assert!(error(&[], 0.1, 256).contains("0 stages"));
        assert!(error(&[3], 1.0, 256).contains("epsilon 1 "));
        assert!(error(&[3], f64::NAN, 256).contains("epsilon NaN"));
        assert!(error(&[3], 0.1, 8).contains("8 bits"));
        for margin in [-0.1, 1.5, f64::NAN] {
            let error = Composite::with_margin(&[3], &Epsilon::Best, margin, 256).unwrap_err().to_string();
            assert!(error.starts_with(&format!("margin {margin} is not between 0 and 1;")), "{error}");
        }
        let deep = error(&[127; 8], 0.5, 256);
        assert!(deep.starts_with("stage ") && deep.contains("degree 127"), "{deep}");
    }
}
