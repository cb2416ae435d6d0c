//! The best odd approximation of 1 on an interval in f64: its error and its values, without coefficients.
//!
//! The search asks for tens of thousands of such errors, which the exchange in arbitrary precision (`minimax::remez`)
//! would take minutes for; and that one cannot simply run in f64, because it works on the coefficients of powers, which
//! cancel to nothing there. Here p(x) = x·q(x²) is held by the values of q on the reference, in barycentric form
//! (Berrut, Trefethen, Barycentric Lagrange Interpolation, SIAM Review 46, 2004), which is stable. What comes out
//! decides what is designed, never what is reported.

use std::f64::consts::PI;

/// The exchange ends when the error is level to this, relatively, …
const LEVEL: f64 = 1e-11;
/// … or absolutely: the rounding of f64.
const NOISE: f64 = 1e-14;
const MAX_EXCHANGES: usize = 40;

/// The best approximation of 1 on [ratio, 1] by an odd polynomial. It depends on the ratio of an interval's ends alone:
/// on [a, b] it is p(x/b).
pub(super) struct Stage {
    /// The reference in u = x², ascending: one point more than there are coefficients.
    nodes: Vec<f64>,
    /// 1/Π(u_i − u_j).
    weights: Vec<f64>,
    /// q(u_i).
    values: Vec<f64>,
    /// The level of the error on the reference: no more than the least possible error, and that error to 1e-13 or
    /// 1e-11 of itself, whichever is more.
    pub error: f64,
}

impl Stage {
    /// For an odd `degree` and 0 < `ratio` < 1.
    pub fn best(degree: u32, ratio: f64) -> Stage {
        let (n, low) = (degree.div_ceil(2) as usize, ratio * ratio);
        let chebyshev = |i: usize| low + (1.0 - low) * (0.5 - 0.5 * (PI * i as f64 / n as f64).cos());
        let mut stage = Stage::levelled((0..=n).map(chebyshev).collect());
        for _ in 0..MAX_EXCHANGES {
            let extrema: Vec<(f64, f64)> = (0..=n).map(|i| stage.extremum(i)).collect();
            let largest = extrema.iter().map(|&(_, error)| error).fold(0.0, f64::max);
            if largest - stage.error <= LEVEL * largest + NOISE {
                break;
            }
            stage = Stage::levelled(extrema.into_iter().map(|(u, _)| u).collect());
        }
        stage
    }

    /// The odd polynomial whose error is +E, −E, +E, … on the reference.
    fn levelled(nodes: Vec<f64>) -> Stage {
        let weight = |(i, u): (usize, &f64)| {
            let others = nodes.iter().enumerate().filter(|&(j, _)| j != i);
            1.0 / others.map(|(_, other)| u - other).product::<f64>()
        };
        let weights: Vec<f64> = nodes.iter().enumerate().map(weight).collect();
        // q has one coefficient less than there are nodes, so the divided difference of (1 − σ_i E)/x_i vanishes.
        let terms = || weights.iter().zip(&nodes).map(|(weight, u)| weight / u.sqrt());
        let error = (terms().sum::<f64>() / terms().map(f64::abs).sum::<f64>()).abs();
        let values = nodes.iter().enumerate().map(|(i, u)| (1.0 - sign(i) * error) / u.sqrt()).collect();
        Stage { nodes, weights, values, error }
    }

    /// p(x).
    pub fn value(&self, x: f64) -> f64 {
        x * self.quotient(x * x)
    }

    /// p'(0).
    pub fn slope(&self) -> f64 {
        self.quotient(0.0)
    }

    /// q(u) = p(x)/x at u = x².
    fn quotient(&self, u: f64) -> f64 {
        let (mut numerator, mut denominator) = (0.0, 0.0);
        for ((node, weight), value) in self.nodes.iter().zip(&self.weights).zip(&self.values) {
            if u == *node {
                return *value;
            }
            let share = weight / (u - node);
            numerator += share * value;
            denominator += share;
        }
        numerator / denominator
    }

    /// Where in u, and to what size, the error grows around node `i`: the ends stay, as all extrema lie between them.
    fn extremum(&self, i: usize) -> (f64, f64) {
        match (i.checked_sub(1).and_then(|left| self.nodes.get(left)), self.nodes.get(i + 1)) {
            (Some(&left), Some(&right)) => {
                let error = |u: f64| sign(i) * (1.0 - self.value(u.sqrt()));
                maximum(error, left, self.nodes[i], right)
            }
            _ => (self.nodes[i], self.error),
        }
    }
}

fn sign(i: usize) -> f64 {
    if i.is_multiple_of(2) { 1.0 } else { -1.0 }
}

/// Place and value of the maximum of `f` between `left` and `right`, where `f` is less than at `middle`: by parabolas
/// through the last three points, and by the golden section where those do not close in.
pub(super) fn maximum(f: impl Fn(f64) -> f64, left: f64, middle: f64, right: f64) -> (f64, f64) {
    const GOLDEN: f64 = 0.381_966_011_250_105_1;
    /// Of the first bracket: the value is then right to the square of it.
    const TOLERANCE: f64 = 1e-6;
    let tolerance = TOLERANCE * (right - left);
    let (mut a, mut b, mut c) = ((left, f(left)), (middle, f(middle)), (right, f(right)));
    for step in 0..60 {
        let (below, above) = (b.0 - a.0, c.0 - b.0);
        let (p, q) = (below * (b.1 - c.1), above * (b.1 - a.1));
        let vertex = b.0 + 0.5 * (above * q - below * p) / (p + q);
        // Every third step is golden, so that neither end stays for long.
        let x = if step % 3 != 0 && vertex > a.0 && vertex < c.0 {
            vertex
        } else if below > above {
            b.0 - GOLDEN * below
        } else {
            b.0 + GOLDEN * above
        };
        if (x - b.0).abs() < tolerance {
            break;
        }
        let here = (x, f(x));
        let (outer, inner) = if here.1 > b.1 { (b, here) } else { (here, b) };
        if outer.0 < inner.0 {
            a = outer
        } else {
            c = outer
        }
        b = inner;
    }
    b
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::minimax::real::{real, to_f64};
    use crate::minimax::remez::{minimax_of_one, odd};

    /// Against the exchange in arbitrary precision: error, slope at 0, and values within and below the interval.
    #[test]
    fn agrees_with_the_exchange_in_arbitrary_precision() {
        for degree in [3, 5, 7, 15, 31, 63] {
            for ratio in [1e-9, 1e-4, 0.01, 0.2, 0.5, 0.8, 0.97] {
                let exact = minimax_of_one(degree as usize, &real(ratio, 64), &real(1.0, 64), 64, &[]).unwrap();
                let (stage, error) = (Stage::best(degree, ratio), to_f64(&exact.error));
                assert!((stage.error - error).abs() <= 1e-11 * error + 1e-13, "{degree} on {ratio}: {}", stage.error);
                if error < 1e-9 {
                    continue;
                }
                let slope = to_f64(&exact.coefficients[0]);
                assert!((stage.slope() / slope - 1.0).abs() <= 1e-6, "{degree} on {ratio}: {} {slope}", stage.slope());
                for x in [0.1, 0.5, 0.9].map(|part| part * ratio).into_iter().chain([ratio, 0.99, 1.0]) {
                    let value = to_f64(&odd(&exact.coefficients, &real(x, 64)));
                    assert!((stage.value(x) / value - 1.0).abs() <= 1e-6, "{degree} on {ratio} at {x}");
                }
            }
        }
    }

    #[test]
    fn a_maximum_is_found_wherever_it_lies() {
        for place in [0.001, 0.2, 0.5, 0.77, 0.999] {
            let (x, y) = maximum(|x| -(x - place).powi(2) - (x - place).powi(4), 0.0, 0.5 * (place + 0.5), 1.0);
            assert!((x - place).abs() < 1e-5 && y > -1e-10, "{place}: {x} {y}");
        }
    }
}
