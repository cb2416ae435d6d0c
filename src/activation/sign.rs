//! The approximate sign as the kernels use it: f64 coefficients and the bound of its error.

use super::spec::Spec;
use crate::minimax::cost::Cost;
use crate::minimax::{Composite, DEFAULT_BITS, DesignError, to_f64};

/// A composition of odd polynomials in f64.
#[derive(Debug, Clone)]
pub struct Sign {
    /// c_1, c_3, … of each stage, in the order of application. No stage is empty.
    stages: Vec<Vec<f64>>,
    /// Bound on the error of ReLU on [−1, 1] and of max on [0, 1]: the 2^−α of the paper's sets, else the worst error.
    bound: f64,
    cost: Cost,
}

impl Sign {
    /// The sign behind `spec`; `None` for the exact function.
    ///
    /// # Errors
    /// [`DesignError`] when a stage cannot be designed.
    pub fn design(spec: &Spec) -> Result<Option<Sign>, DesignError> {
        let Some((degrees, epsilon)) = spec.composition() else {
            return Ok(None);
        };
        let composite = Composite::design(&degrees, &epsilon, DEFAULT_BITS)?;
        let mut sign = Sign::of(&composite);
        if let Spec::Paper { alpha } = spec {
            sign.bound = 2f64.powi(-(*alpha as i32));
        }
        Ok(Some(sign))
    }

    /// The sign of `composite`, rounded to f64.
    pub fn of(composite: &Composite) -> Sign {
        Sign { stages: composite.coefficients(), bound: to_f64(&composite.relu_error), cost: composite.relu_cost() }
    }

    /// c_1, c_3, … of each stage.
    pub fn stages(&self) -> &[Vec<f64>] {
        &self.stages
    }

    /// Bound on |r − ReLU| on [−1, 1] and on |m − max| on [0, 1].
    pub fn bound(&self) -> f64 {
        self.bound
    }

    /// Depth and multiplications of one ReLU, or of one max of two values.
    pub fn cost(&self) -> Cost {
        self.cost
    }
}
