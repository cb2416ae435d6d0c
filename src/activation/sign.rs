//! The approximate sign as the kernels use it: rounded coefficients and the bound of its error.

use super::accuracy::{is_kept, relu_error_f32, relu_error_f64};
use super::spec::{Spec, SpecError};
use super::{Arithmetic, Clenshaw};
use crate::minimax::cost::Cost;
use crate::minimax::{Composite, CostTable, DEFAULT_BITS, to_f64};

/// A composition of odd polynomials in f64 or f32.
#[derive(Debug, Clone)]
pub struct Sign {
    /// c_1, c_3, … of each stage, in the order of application. No stage is empty.
    stages: Vec<Vec<f64>>,
    /// What takes their place if it is computed in f32.
    single: Option<Clenshaw>,
    /// Bound on the error of ReLU on [−1, 1] and of max on [0, 1]: the 2^−α of the paper's sets, else the worst error.
    bound: f64,
    cost: Cost,
}

impl Sign {
    /// The sign behind `spec`, computed in `arithmetic`; `None` for the exact function and for single polynomials.
    ///
    /// # Errors
    /// [`SpecError`]: a stage that cannot be designed, an error that the arithmetic does not resolve, such as that of
    /// degrees so high that f64 does not hold their coefficients, or what is wrong with a file.
    pub fn design(spec: &Spec, arithmetic: Arithmetic) -> Result<Option<Sign>, SpecError> {
        if let Spec::File(file) = spec {
            return Ok(Some(file.sign(arithmetic)?));
        }
        let Some((degrees, epsilon)) = spec.composition() else {
            return Ok(None);
        };
        let composite = Composite::design(&degrees, &epsilon, DEFAULT_BITS)?;
        let mut sign = Sign::of(&composite);
        if arithmetic == Arithmetic::F32 {
            sign.single = Some(Clenshaw::of(&composite));
        }
        let (designed, measured) = (sign.bound, sign.relu_error());
        if !is_kept(designed, measured) {
            return Err(SpecError::Arithmetic { spec: spec.to_string(), arithmetic, designed, measured });
        }
        if let Spec::Paper { alpha } = spec {
            sign.bound = 2f64.powi(-(*alpha as i32));
        }
        Ok(Some(sign))
    }

    /// The sign of `composite`, rounded to f64.
    pub fn of(composite: &Composite) -> Sign {
        let (bound, cost) = (to_f64(&composite.relu_error), composite.relu_cost());
        Sign { stages: composite.coefficients(), single: None, bound, cost }
    }

    /// The sign of coefficients c_1, c_3, … for each of `degrees`, in f32 if there are series; its bound is measured.
    pub(super) fn measured(stages: Vec<Vec<f64>>, single: Option<Clenshaw>, degrees: &[u32]) -> Sign {
        let mut sign = Sign { stages, single, bound: 0.0, cost: CostTable::Published.relu(degrees) };
        sign.bound = sign.relu_error();
        sign
    }

    /// Worst |r(x) − ReLU(x)| on [−1, 1] in its own arithmetic.
    fn relu_error(&self) -> f64 {
        self.single.as_ref().map_or_else(|| relu_error_f64(self), relu_error_f32)
    }

    /// The series to compute in f32; none if it is computed in f64.
    pub(super) fn single(&self) -> Option<&Clenshaw> {
        self.single.as_ref()
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
