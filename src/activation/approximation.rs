//! What stands in for ReLU and max: the sign of a composition, or for ReLU a single polynomial as earlier work has it.

use super::{Arithmetic, Sign, Spec, SpecError};
use crate::minimax::cost::Cost;
use crate::minimax::{Approximation, DEFAULT_BITS, Domain, Function, Method, to_f64};

/// What stands in for ReLU or max, without its range.
#[derive(Debug, Clone)]
pub enum Activation {
    /// (x + x·p(x))/2 for a composition p, and likewise max.
    Composition(Sign),
    /// One polynomial, for ReLU only.
    Polynomial(Polynomial),
}

/// One polynomial in the place of ReLU, in f64.
#[derive(Debug, Clone)]
pub struct Polynomial {
    pub(super) form: Form,
    cost: Cost,
}

/// How a polynomial is evaluated.
#[derive(Debug, Clone)]
pub(super) enum Form {
    /// c_0 + c_1·x + c_2·x², of x itself, whatever the range.
    Parabola([f64; 3]),
    /// x/2 + B·Σ c_k·T_k(2(x/B)² − 1): on [−B, B] ReLU is x/2 and an even function, and so are its fits. Not empty.
    Series(Vec<f64>),
}

impl Activation {
    /// What `spec` puts in the place of ReLU or max, computed in f64; `None` for the exact function.
    ///
    /// # Errors
    /// As [`Activation::design_in`].
    pub fn design(spec: &Spec) -> Result<Option<Activation>, SpecError> {
        Activation::design_in(spec, Arithmetic::F64)
    }

    /// The same, computed in `arithmetic`.
    ///
    /// # Errors
    /// [`SpecError`] when a polynomial cannot be designed, a file cannot be used, or the arithmetic has no form of it.
    pub fn design_in(spec: &Spec, arithmetic: Arithmetic) -> Result<Option<Activation>, SpecError> {
        let polynomial = match *spec {
            Spec::Exact | Spec::Paper { .. } | Spec::Minimax { .. } | Spec::File(_) => {
                return Ok(Sign::design(spec, arithmetic)?.map(Activation::Composition));
            }
            _ if arithmetic == Arithmetic::F32 => return Err(SpecError::NoSingle(spec.to_string())),
            // The product of x with itself.
            Spec::Square => {
                Polynomial { form: Form::Parabola([0.0, 0.0, 1.0]), cost: Cost { depth: 1, multiplications: 1 } }
            }
            // A level more for the products with 1/8 and 1/2.
            Spec::Aq => {
                Polynomial { form: Form::Parabola([0.25, 0.5, 0.125]), cost: Cost { depth: 2, multiplications: 1 } }
            }
            Spec::Chebyshev { degree } => Polynomial::fit(Method::Chebyshev, degree)?,
            Spec::LeastSquares { degree } => Polynomial::fit(Method::LeastSquares, degree)?,
        };
        Ok(Some(Activation::Polynomial(polynomial)))
    }

    /// Depth and multiplications of one ReLU or max, products with constants counted as levels; scaling by the range is part
    /// of the layers around it and not counted.
    pub fn cost(&self) -> Cost {
        match self {
            Activation::Composition(sign) => sign.cost(),
            Activation::Polynomial(polynomial) => polynomial.cost,
        }
    }
}

impl Polynomial {
    /// Whether it has degree 2 and does not depend on the range.
    #[cfg(feature = "libtorch")]
    pub(crate) fn is_parabola(&self) -> bool {
        matches!(self.form, Form::Parabola(_))
    }

    fn fit(method: Method, degree: u32) -> Result<Polynomial, SpecError> {
        let domain = Domain::new(vec![(-1.0, 1.0)])?;
        let fit = Approximation::design(Function::Relu, &domain, degree, method, DEFAULT_BITS)?;
        // T_{2k}(t) is T_k(2t² − 1), and the odd part is t/2.
        let even = fit.series.coefficients().iter().step_by(2).map(to_f64).collect();
        Ok(Polynomial { form: Form::Series(even), cost: fit.cost() })
    }
}
