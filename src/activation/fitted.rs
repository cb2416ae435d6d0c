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

    /// The largest of all channels, at least 1.
    pub fn degree(&self) -> u32 {
        self.series.iter().map(|series| series.coefficients.len() as u32 - 1).max().unwrap_or(1).max(1)
    }

    /// That of one polynomial: those of the channels are evaluated together, with vectors of coefficients, which are no products
    /// of ciphertexts and take no level more.
    pub fn cost(&self) -> Cost {
        // A constant and a multiple of t are free.
        let lacks = |parity: usize| {
            let further = self.series.iter().flat_map(|series| series.coefficients.iter().enumerate().skip(2));
            further.filter(|(k, _)| k % 2 == parity).all(|(_, c)| *c == 0.0)
        };
        let parity = match (lacks(0), lacks(1)) {
            (_, true) => Parity::Even,
            (true, _) => Parity::Odd,
            _ => Parity::Neither,
        };
        cost::polynomial(self.degree(), parity)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::activation::{Activation, Spec};

    #[test]
    fn the_series_of_a_polynomial_costs_what_the_polynomial_does() {
        for spec in ["chebyshev:9", "leastsq:1", "leastsq:31", "leastsq:63"] {
            let Some(Activation::Polynomial(polynomial)) = Activation::design(&spec.parse::<Spec>().unwrap()).unwrap()
            else {
                panic!("{spec}")
            };
            let fitted = Fitted::new(vec![polynomial.series(2.5)], Arithmetic::F64, 0.1);
            let cost = Activation::Polynomial(polynomial).cost();
            assert_eq!(fitted.cost(), cost, "{spec}");
        }
        let series = Series { low: -1.0, high: 2.0, coefficients: vec![0.1; 16] };
        assert_eq!(Fitted::new(vec![series], Arithmetic::F64, 0.1).cost(), cost::polynomial(15, Parity::Neither));
    }
}
