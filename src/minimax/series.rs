//! Polynomials as Chebyshev series on an interval, the well-conditioned basis there.

use super::real::{Real, real, rounded};

/// Σ c_k·T_k(t) with t = (2x − low − high)/(high − low), for x in [low, high].
#[derive(Debug, Clone)]
pub struct Series {
    low: Real,
    high: Real,
    coefficients: Vec<Real>,
}

impl Series {
    /// `coefficients` are c_0, c_1, …; low < high.
    pub(super) fn new(low: Real, high: Real, coefficients: Vec<Real>) -> Series {
        Series { low, high, coefficients }
    }

    /// c_0, c_1, …, c_n.
    pub fn coefficients(&self) -> &[Real] {
        &self.coefficients
    }

    /// The value at `x`, by Clenshaw's recurrence for T_{k+2} = 2·T_2·T_k − T_{k−2} over the even and over the odd k, which
    /// costs half where one of them is missing.
    pub fn value(&self, x: &Real) -> Real {
        let t = (x + x - &self.low - &self.high) / (&self.high - &self.low);
        let twice = Real::from(4u8) * &t * &t - Real::from(2u8);
        let (first, second) = self.clenshaw(0, &twice);
        let even = first - second * &twice / Real::from(2u8);
        let (first, second) = self.clenshaw(1, &twice);
        even + (first - second) * t
    }

    /// b_0 and b_1 of b_k = c_{2k+parity} + twice·b_{k+1} − b_{k+2}.
    fn clenshaw(&self, parity: usize, twice: &Real) -> (Real, Real) {
        let (mut next, mut after) = (Real::ZERO, Real::ZERO);
        let coefficients = self.coefficients.iter().skip(parity).step_by(2);
        for c in coefficients.rev().skip_while(|c| **c == Real::ZERO) {
            let value = c + twice * &next - after;
            (next, after) = (value, next);
        }
        (next, after)
    }

    /// The series of the derivative by x.
    pub(super) fn derivative(&self) -> Series {
        let n = self.coefficients.len();
        let scale = Real::from(2u8) / (&self.high - &self.low);
        let mut slopes = vec![Real::ZERO; n + 1];
        for k in (1..n).rev() {
            slopes[k - 1] = &slopes[k + 1] + Real::from(2 * k as u64) * &self.coefficients[k];
        }
        slopes.truncate(n.saturating_sub(1));
        for (k, slope) in slopes.iter_mut().enumerate() {
            *slope *= if k == 0 { &scale / Real::from(2u8) } else { scale.clone() };
        }
        Series::new(self.low.clone(), self.high.clone(), slopes)
    }

    /// The coefficients of 1, x, x², …, rounded to the precision of the series.
    pub fn monomials(&self) -> Vec<Real> {
        // Powers cancel: T_n has coefficients near 2.42^n, and those of t = scale·x + shift grow with the shift.
        let bits = self.high.precision();
        let width = rounded(&(&self.high - &self.low), bits);
        let shift = -(&self.low + &self.high) / &width;
        let size = (shift.repr().digits() as isize + shift.repr().exponent()).max(0) as usize;
        let more = bits + self.coefficients.len() * (size + 3);
        let scale = real(2.0, more) / rounded(&(&self.high - &self.low), more);
        let shift = -(rounded(&self.low, more) + &self.high) / rounded(&width, more);

        // Σ c_k·T_k by Clenshaw's recurrence on polynomials in x.
        let (mut next, mut after): (Vec<Real>, Vec<Real>) = (Vec::new(), Vec::new());
        for (k, c) in self.coefficients.iter().enumerate().rev() {
            let factor = Real::from(if k == 0 { 1u8 } else { 2 });
            let mut value = vec![Real::ZERO; next.len() + 1];
            for (power, coefficient) in next.iter().enumerate() {
                value[power] += &factor * &shift * coefficient;
                value[power + 1] += &factor * &scale * coefficient;
            }
            for (power, coefficient) in after.iter().enumerate() {
                value[power] -= coefficient;
            }
            value[0] += rounded(c, more);
            (next, after) = (value, next);
        }
        next.iter().map(|coefficient| rounded(coefficient, bits)).collect()
    }
}

/// The zeros of T_N and the values of the Chebyshev polynomials there.
pub(super) struct Nodes {
    /// cos(πj/(2N)) for j = 0 … N.
    quarter: Vec<Real>,
}

impl Nodes {
    pub fn new(count: usize, bits: usize) -> Nodes {
        let fraction = |j: usize| real(j as f64, bits) / Real::from(2 * count as u64);
        Nodes { quarter: (0..=count).map(|j| fraction(j).cos_pi()).collect() }
    }

    /// N.
    pub fn count(&self) -> usize {
        self.quarter.len() - 1
    }

    /// cos(πj/(2N)) for any j.
    fn cosine(&self, j: usize) -> Real {
        let n = self.count();
        let within = j % (4 * n);
        let mirrored = within.min(4 * n - within);
        if mirrored <= n { self.quarter[mirrored].clone() } else { -self.quarter[2 * n - mirrored].clone() }
    }

    /// The zeros of T_N, descending.
    pub fn zeros(&self) -> impl Iterator<Item = Real> {
        (0..self.count()).map(|i| self.cosine(2 * i + 1))
    }

    /// c_0, …, c_{`length`−1} of the polynomial of degree below N that has these values at the zeros; `length` ≤ N.
    pub fn coefficients(&self, values: &[Real], length: usize) -> Vec<Real> {
        let bits = self.quarter[0].precision();
        let mut coefficients = Vec::with_capacity(length);
        for k in 0..length {
            let mut sum = Real::ZERO;
            for (i, value) in values.iter().enumerate() {
                sum += value * self.cosine(k * (2 * i + 1));
            }
            let weight = real(if k == 0 { 1.0 } else { 2.0 }, bits);
            coefficients.push(sum * weight / Real::from(self.count() as u64));
        }
        coefficients
    }
}

/// The size of the largest of `values`, as a power of two that it is below; `None` if all are zero.
pub(super) fn magnitude(values: &[Real]) -> Option<isize> {
    let nonzero = values.iter().filter(|value| **value != Real::ZERO);
    nonzero.map(|value| value.repr().digits() as isize + value.repr().exponent()).max()
}

#[cfg(test)]
mod tests {
    use super::super::real::{abs, power_of_two, to_f64};
    use super::*;
    use proptest::prelude::*;

    fn series(low: f64, high: f64, coefficients: &[f64]) -> Series {
        Series::new(real(low, 200), real(high, 200), coefficients.iter().map(|&c| real(c, 200)).collect())
    }

    /// T_0 … T_4 on [1, 3]: t = x − 2.
    #[test]
    fn value_derivative_and_monomials_are_those_of_the_definition() {
        let series = series(1.0, 3.0, &[1.0, 2.0, 3.0, 4.0, 5.0]);
        let t = |x: f64| x - 2.0;
        let expected = |t: f64| {
            1.0 + 2.0 * t
                + 3.0 * (2.0 * t * t - 1.0)
                + 4.0 * (4.0 * t.powi(3) - 3.0 * t)
                + 5.0 * (8.0 * t.powi(4) - 8.0 * t * t + 1.0)
        };
        let slope = |t: f64| 2.0 + 12.0 * t + 4.0 * (12.0 * t * t - 3.0) + 5.0 * (32.0 * t.powi(3) - 16.0 * t);
        for x in [1.0, 1.25, 2.0, 2.5, 3.0] {
            let at = real(x, 200);
            assert_eq!(to_f64(&series.value(&at)), expected(t(x)));
            assert_eq!(to_f64(&series.derivative().value(&at)), slope(t(x)));
            let horner = series.monomials().iter().rev().fold(0.0, |sum, c| sum * x + to_f64(c));
            assert_eq!(horner, expected(t(x)));
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        /// What the transform makes of values at the nodes has these values there.
        #[test]
        fn the_interpolant_interpolates(values in prop::collection::vec(-1f64..1.0, 1..40)) {
            let nodes = Nodes::new(values.len(), 200);
            let given: Vec<Real> = values.iter().map(|&v| real(v, 200)).collect();
            let series = Series::new(real(-1.0, 200), real(1.0, 200), nodes.coefficients(&given, values.len()));
            for (x, y) in nodes.zeros().zip(&given) {
                prop_assert!(abs(&(series.value(&x) - y)) < power_of_two(-180, 200));
            }
        }

        /// Powers of x have the value of the series, however far the interval is from 0.
        #[test]
        fn monomials_are_the_same_polynomial(
            coefficients in prop::collection::vec(-1f64..1.0, 1..60),
            low in -50f64..50.0,
            width in 0.1f64..20.0,
            at in 0f64..1.0,
        ) {
            let series = series(low, low + width, &coefficients);
            let x = real(low + at * width, 2000);
            let mut wide = Real::ZERO;
            for c in series.monomials().iter().rev() {
                wide = wide * &x + rounded(c, 2000);
            }
            // The powers are rounded to 200 bits each; what that costs is bounded by their sizes.
            let size = series.monomials().iter().rev().fold(Real::ZERO, |sum, c| sum * abs(&x) + abs(c));
            prop_assert!(abs(&(wide - series.value(&x))) <= size * power_of_two(-190, 200) + power_of_two(-180, 200));
        }
    }
}
