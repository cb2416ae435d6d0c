//! The errors of a composition in f64, for the best ε.

use super::stage::{Stage, maximum};

/// f64 has no room for narrower intervals [1−τ, 1+τ]. The next stage's error, near τ², is far below any target then.
const NARROWEST: f64 = 1e-7;

/// A composition of best approximations.
struct Chain {
    epsilon: f64,
    /// With the upper end of the interval that each is for.
    stages: Vec<(Stage, f64)>,
    /// |p − sign| on [ε, 1].
    error: f64,
}

impl Chain {
    fn new(degrees: &[u32], epsilon: f64) -> Chain {
        let (mut low, mut high, mut error) = (epsilon, 1.0, 1.0);
        let mut stages = Vec::with_capacity(degrees.len());
        for &degree in degrees {
            let stage = Stage::best(degree, low / high);
            error = stage.error;
            stages.push((stage, high));
            let next = error.max(NARROWEST);
            (low, high) = (1.0 - next, 1.0 + next);
        }
        Chain { epsilon, stages, error }
    }

    /// max of x·(1 − p(x))/2 for 0 < x < ε.
    fn error_below_epsilon(&self) -> f64 {
        const GRID: i32 = 40;
        let at = |i: i32| self.epsilon * (-0.25 * f64::from(i)).exp2();
        let error = |x: f64| 0.5 * x * (1.0 - self.stages.iter().fold(x, |y, (stage, high)| stage.value(y / high)));
        let peak = (1..GRID).map(|i| (i, error(at(i)))).max_by(|a, b| a.1.total_cmp(&b.1)).map_or(1, |(i, _)| i);
        maximum(error, at(peak + 1), at(peak), at(peak - 1)).1
    }
}

/// |p − sign| on [`epsilon`, 1] for the composition of these degrees.
pub(super) fn sign_error(degrees: &[u32], epsilon: f64) -> f64 {
    Chain::new(degrees, epsilon).error
}

/// The ε that makes the worst ReLU error of the composition of these degrees least, and that error: what is below ε rises
/// with ε, what is above falls, and they meet there. The search for it begins at `start`.
pub(super) fn best_epsilon(degrees: &[u32], start: f64) -> (f64, f64) {
    /// ln of the ratio of the two errors is settled to this, and ln ε where that is finer than f64 can tell.
    const TOLERANCE: f64 = 1e-10;
    let mut here = start.ln();
    let (mut low, mut high) = ((f64::NEG_INFINITY, f64::NAN), (0.0, f64::NAN));
    loop {
        let chain = Chain::new(degrees, here.exp());
        let (below, above) = (chain.error_below_epsilon(), 0.5 * chain.error);
        let excess = (below / above).ln();
        if excess > 0.0 {
            high = (here, excess)
        } else {
            low = (here, excess)
        }
        if excess.abs() < TOLERANCE || high.0 - low.0 < TOLERANCE {
            return (chain.epsilon, below.max(above));
        }
        here = if low.0 == f64::NEG_INFINITY {
            here - 0.1
        } else if high.1.is_nan() {
            (here + 0.1).min(0.5 * here)
        } else {
            // The excess is close to a line in ln ε; the margin moves the end that regula falsi would leave behind.
            let margin = 1e-3 * (high.0 - low.0);
            (low.0 - low.1 * (high.0 - low.0) / (high.1 - low.1)).clamp(low.0 + margin, high.0 - margin)
        };
    }
}
