//! The composition in f32, by Clenshaw's recurrence on Chebyshev series.
//!
//! In f32 the monomial coefficients cancel away all digits from α = 11 on. In the Chebyshev basis, with every stage
//! rescaled to [−1, 1], f32 keeps what f64 keeps up to its own rounding.

use crate::minimax::{Composite, to_f64};

/// A composition of odd Chebyshev series in f32.
#[derive(Debug, Clone, PartialEq)]
pub struct Clenshaw {
    /// d_1, d_3, … of each stage on [−1, 1], in the order of application.
    stages: Vec<Vec<f32>>,
}

impl Clenshaw {
    /// The series of `composite`, rounded to f32.
    pub fn of(composite: &Composite) -> Clenshaw {
        let single = |series: Vec<_>| series.iter().map(|d| to_f64(d) as f32).collect();
        Clenshaw { stages: composite.normalised_chebyshev().into_iter().map(single).collect() }
    }

    /// d_1, d_3, … of each stage.
    pub(super) fn stages(&self) -> &[Vec<f32>] {
        &self.stages
    }

    /// The series d_1, d_3, … of T_k(x/scale) of each stage, with the scales: each scale but the first divides the stage
    /// before it.
    pub(super) fn scaled(stages: &[(Vec<f64>, f64)]) -> Clenshaw {
        let next = stages.iter().skip(1).map(|&(_, scale)| scale).chain([1.0]);
        let divided = |((series, _), by): (&(Vec<f64>, f64), f64)| series.iter().map(|d| (d / by) as f32).collect();
        Clenshaw { stages: stages.iter().zip(next).map(divided).collect() }
    }
}
