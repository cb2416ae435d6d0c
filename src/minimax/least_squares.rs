//! Polynomials on one interval that are not the best uniform approximation, to compare with it: the interpolant at
//! Chebyshev's nodes, and the least-squares fit under Chebyshev's weight 1/√(1 − t²), which is the Chebyshev expansion
//! cut off (Trefethen, Approximation Theory and Approximation Practice, chapters 3 and 4).

use super::domain::Domain;
use super::exchange::parity;
use super::function::{Function, Parity};
use super::real::{Real, is_negative, real};
use super::series::{Nodes, Series, magnitude};

/// The expansion's coefficients are settled to this many bits of the last one.
const SETTLED_BITS: isize = 64;
/// The most nodes that the expansion is computed from.
const MAX_NODES: usize = 1 << 16;

/// The polynomial of `degree` through the function's values at the zeros of T_{degree+1} on the hull of `domain`.
pub(super) fn interpolant(function: Function, domain: &Domain, degree: usize, bits: usize) -> Series {
    let hull = Hull::new(function, domain, bits);
    let nodes = Nodes::new(degree + 1, bits);
    hull.series(hull.transformed(&nodes, degree + 1))
}

/// The polynomial of `degree` with the least ∫ (f − p)²/√(1 − t²) dt on the hull of `domain`; `None` if more nodes would
/// be needed than are allowed.
pub(super) fn least_squares(function: Function, domain: &Domain, degree: usize, bits: usize) -> Option<Series> {
    let hull = Hull::new(function, domain, bits);
    if function.is_piecewise_linear() {
        return Some(hull.series((0..=degree).map(|k| hull.of_two_lines(k)).collect()));
    }
    let mut count = 4 * (degree + 1);
    let mut coefficients = hull.transformed(&Nodes::new(count, bits), degree + 1);
    while count < MAX_NODES {
        count *= 2;
        let finer = hull.transformed(&Nodes::new(count, bits), degree + 1);
        let change: Vec<Real> = finer.iter().zip(&coefficients).map(|(a, b)| a - b).collect();
        // One of the last two coefficients may vanish by symmetry.
        let last = magnitude(&finer[degree - 1..]);
        if magnitude(&change) <= last.map(|last| last - SETTLED_BITS) {
            return Some(hull.series(finer));
        }
        coefficients = finer;
    }
    None
}

/// The function on the interval that holds its domain.
struct Hull {
    function: Function,
    parity: Parity,
    low: Real,
    high: Real,
    bits: usize,
}

impl Hull {
    fn new(function: Function, domain: &Domain, bits: usize) -> Hull {
        let (low, high) = domain.hull();
        let parity = parity(function, domain);
        Hull { function, parity, low: real(low, bits), high: real(high, bits), bits }
    }

    /// The first `length` Chebyshev coefficients of the interpolant at `nodes`.
    fn transformed(&self, nodes: &Nodes, length: usize) -> Vec<Real> {
        let half = |x: Real| x / Real::from(2u8);
        let (middle, radius) = (half(&self.low + &self.high), half(&self.high - &self.low));
        let value = |t: Real| {
            let x = &middle + &radius * t;
            self.function.jet(&x, !is_negative(&x))[0].clone()
        };
        nodes.coefficients(&nodes.zeros().map(value).collect::<Vec<Real>>(), length)
    }

    /// The k-th coefficient of the expansion of a function that is one line below 0 and another above, both through
    /// (0, 0): with t = cos θ and the break at θ_0 it is 2/π·∫ f cos kθ dθ, half as much for k = 0.
    fn of_two_lines(&self, k: usize) -> Real {
        let radius = (&self.high - &self.low) / Real::from(2u8);
        let at_break = -(&self.low + &self.high) / (&self.high - &self.low);
        let pi = real(-1.0, self.bits).acos();
        let slope = |positive: bool| self.function.jet(&self.high, positive)[1].clone();
        // ∫ cos jθ from 0.
        let integral = |j: usize, angle: &Real| match j {
            0 => angle.clone(),
            _ => (Real::from(j as u64) * angle).sin() / Real::from(j as u64),
        };
        // ∫ (cos θ − cos θ_0) cos kθ from 0.
        let from_zero = |angle: &Real| {
            (integral(k + 1, angle) + integral(k.abs_diff(1), angle)) / Real::from(2u8) - &at_break * integral(k, angle)
        };
        let above = from_zero(&at_break.acos());
        let below = from_zero(&pi) - &above;
        let factor = real(if k == 0 { 1.0 } else { 2.0 }, self.bits) * radius / pi;
        factor * (slope(true) * above + slope(false) * below)
    }

    /// The series, with what vanishes by symmetry exactly zero.
    fn series(&self, mut coefficients: Vec<Real>) -> Series {
        let vanishing = match self.parity {
            Parity::Neither => None,
            Parity::Even => Some(1),
            Parity::Odd => Some(0),
        };
        if let Some(first) = vanishing {
            coefficients.iter_mut().skip(first).step_by(2).for_each(|c| *c = Real::ZERO);
            let ([constant, slope], _) = self.function.symmetry();
            coefficients[first] = match self.parity {
                Parity::Even => real(slope, self.bits) * &self.high,
                _ => real(constant, self.bits),
            };
        }
        Series::new(self.low.clone(), self.high.clone(), coefficients)
    }
}
