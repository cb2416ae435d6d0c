//! Polynomials that were fitted to the inputs of one site.

use super::{Arithmetic, Series};
use crate::minimax::Parity;
use crate::minimax::cost::{self, Cost};

/// One polynomial for a site, or one for each of its channels.
#[derive(Debug, Clone)]
pub struct Fitted {
    series: Vec<Series>,
    arithmetic: Arithmetic,
    /// The largest absolute error anywhere on their ranges, as a part of half the range.
    error: f64,
}

impl Fitted {
    /// Of one series for all channels, or one for each in their order, at least one. `error` is the largest absolute error anywhere
    /// on their ranges, as a part of half the range.
    pub fn new(series: Vec<Series>, arithmetic: Arithmetic, error: f64) -> Fitted {
        Fitted { series, arithmetic, error }
    }

    /// Of all channels, or of each.
    pub fn series(&self) -> &[Series] {
        &self.series
    }

    /// What numbers they are computed in.
    pub fn arithmetic(&self) -> Arithmetic {
        self.arithmetic
    }

    /// The largest absolute error anywhere on their ranges, as a part of half the range.
    pub fn error(&self) -> f64 {
        self.error
    }

    /// That of one polynomial: those of the channels are evaluated together, with vectors of coefficients, which are no products
    /// of ciphertexts and take no level more.
    pub fn cost(&self) -> Cost {
        let degree = self.series.iter().map(|series| series.coefficients.len() - 1).max().unwrap_or(0);
        cost::polynomial(degree.max(1) as u32, Parity::Neither)
    }
}
