//! What stands in for ReLU and max: the sign of a composition, or a single polynomial as earlier work has it.

use super::{Arithmetic, Fitted, Series, Sign, Spec, SpecError};
use crate::minimax::cost::Cost;
use crate::minimax::{Approximation, DEFAULT_BITS, Domain, Function, Method, to_f64};

/// What stands in for ReLU or max, without its range.
#[derive(Debug, Clone)]
pub enum Activation {
    /// (x + x·p(x))/2 for a composition p, and likewise max.
    Composition(Sign),
    /// One polynomial for ReLU.
    Polynomial(Polynomial),
    /// What was fitted to one site, on ranges of its own.
    Fitted(Fitted),
}

/// One polynomial in the place of ReLU.
#[derive(Debug, Clone)]
pub struct Polynomial {
    expansion: Expansion,
    arithmetic: Arithmetic,
    /// Worst |r(x) − ReLU(x)| on [−1, 1].
    error: f64,
    cost: Cost,
}

/// The coefficients of a polynomial, and of what.
#[derive(Debug, Clone)]
pub(super) enum Expansion {
    /// c_0 + c_1·x + c_2·x², of x itself, whatever the range.
    Powers([f64; 3]),
    /// x/2 + B·Σ c_k·T_k(2(x/B)² − 1): on [−B, B] ReLU is x/2 and an even function, and so are its fits. Not empty.
    Even(Vec<f64>),
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
    /// [`SpecError`] when a polynomial cannot be designed, or a file cannot be used.
    pub fn design_in(spec: &Spec, arithmetic: Arithmetic) -> Result<Option<Activation>, SpecError> {
        let polynomial = match *spec {
            Spec::Exact | Spec::Paper { .. } | Spec::Minimax { .. } | Spec::File(_) => {
                return Ok(Sign::design(spec, arithmetic)?.map(Activation::Composition));
            }
            // The product of x with itself, which is off by 1 at -1.
            Spec::Square => Polynomial {
                expansion: Expansion::Powers([0.0, 0.0, 1.0]),
                arithmetic,
                error: 1.0,
                cost: Cost { depth: 1, multiplications: 1 },
            },
            // A level more for the products with 1/8 and 1/2. Off the most at 0.
            Spec::Aq => Polynomial {
                expansion: Expansion::Powers([0.25, 0.5, 0.125]),
                arithmetic,
                error: 0.25,
                cost: Cost { depth: 2, multiplications: 1 },
            },
            Spec::Chebyshev { degree } => Polynomial::fit(Method::Chebyshev, degree, arithmetic)?,
            Spec::LeastSquares { degree } => Polynomial::fit(Method::LeastSquares, degree, arithmetic)?,
            Spec::Fitted(_) => return Err(SpecError::NoSite(spec.to_string())),
        };
        Ok(Some(Activation::Polynomial(polynomial)))
    }

    /// What numbers it is computed in.
    pub fn arithmetic(&self) -> Arithmetic {
        match self {
            Activation::Composition(sign) if sign.single().is_some() => Arithmetic::F32,
            Activation::Composition(_) => Arithmetic::F64,
            Activation::Polynomial(polynomial) => polynomial.arithmetic,
            Activation::Fitted(fitted) => fitted.arithmetic(),
        }
    }

    /// Bound on |r(x) − ReLU(x)| on [−1, 1], and with it on that of max of two numbers which differ by no more. Of what was fitted, the
    /// bound on its own range, as a part of half the range.
    pub fn bound(&self) -> f64 {
        match self {
            Activation::Composition(sign) => sign.bound(),
            Activation::Polynomial(polynomial) => polynomial.error,
            Activation::Fitted(fitted) => fitted.error(),
        }
    }

    /// Of the stages of a composition, or of one polynomial.
    pub fn degrees(&self) -> Vec<u32> {
        match self {
            Activation::Composition(sign) => sign.stages().iter().map(|odd| 2 * odd.len() as u32 - 1).collect(),
            Activation::Polynomial(polynomial) => vec![polynomial.series(1.0).coefficients.len() as u32 - 1],
            Activation::Fitted(fitted) => vec![fitted.degree()],
        }
    }

    /// Depth and multiplications of one ReLU or max, products with constants counted as levels; scaling by the range is part
    /// of the layers around it and not counted.
    pub fn cost(&self) -> Cost {
        match self {
            Activation::Composition(sign) => sign.cost(),
            Activation::Polynomial(polynomial) => polynomial.cost,
            Activation::Fitted(fitted) => fitted.cost(),
        }
    }
}

impl Polynomial {
    /// Whether it has degree 2 and does not depend on the range.
    pub fn is_parabola(&self) -> bool {
        matches!(self.expansion, Expansion::Powers(_))
    }

    /// As one series on [−`bound`, `bound`], where it stands for ReLU.
    pub fn series(&self, bound: f64) -> Series {
        let coefficients = match &self.expansion {
            // x² is bound²·(T_0 + T_2)/2.
            &Expansion::Powers([c0, c1, c2]) => {
                let square = c2 * bound * bound / 2.0;
                vec![c0 + square, c1 * bound, square]
            }
            Expansion::Even(even) => {
                let mut coefficients = vec![0.0; 2 * even.len().max(2) - 1];
                even.iter().enumerate().for_each(|(k, c)| coefficients[2 * k] = bound * c);
                coefficients[1] += bound / 2.0;
                // A line is of degree 1.
                coefficients.truncate((2 * even.len() - 1).max(2));
                coefficients
            }
        };
        Series { low: -bound, high: bound, coefficients }
    }

    pub(super) fn expansion(&self) -> &Expansion {
        &self.expansion
    }

    fn fit(method: Method, degree: u32, arithmetic: Arithmetic) -> Result<Polynomial, SpecError> {
        let domain = Domain::new(vec![(-1.0, 1.0)])?;
        let fit = Approximation::design(Function::Relu, &domain, degree, method, DEFAULT_BITS)?;
        // T_{2k}(t) is T_k(2t² − 1), and the odd part is t/2.
        let even = fit.series.coefficients().iter().step_by(2).map(to_f64).collect();
        Ok(Polynomial { expansion: Expansion::Even(even), arithmetic, error: to_f64(&fit.error), cost: fit.cost() })
    }
}
