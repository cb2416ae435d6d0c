//! What ReLU error is left on [−1, 1] once a composition is rounded and computed in f64 or f32.

use super::{Clenshaw, Relu, Sign};

/// Points in each half of the grid.
const POINTS: usize = 1 << 14;

/// Worst |r(x) − ReLU(x)| on a grid over [−1, 1], computed in f64 by the kernel that networks are run with, Horner's
/// scheme on the monomial coefficients. Infinite where the composition overflows.
pub fn relu_error_f64(sign: &Sign) -> f64 {
    let x: Vec<f64> = grid().collect();
    let mut y = vec![0.0; x.len()];
    let relu = Relu::new(sign.clone(), 1.0);
    // SAFETY: both of the same length. Nothing in the grid is outside.
    unsafe { relu.run(x.as_ptr(), y.as_mut_ptr(), x.len(), &mut |_, _| {}) };
    worst(x.iter().zip(&y).map(|(x, y)| (y - x).abs()))
}

/// The same in f32: Clenshaw's recurrence on the Chebyshev coefficients.
pub fn relu_error_f32(clenshaw: &Clenshaw) -> f64 {
    worst(grid().map(|x| x as f32).map(|x| (f64::from(clenshaw.relu(x)) - f64::from(x)).abs()))
}

/// Whether the ReLU error `measured` is that of the composition, `designed`, and not of the arithmetic: at most twice as
/// large, or too small for f32, in which networks compute.
pub(super) fn is_kept(designed: f64, measured: f64) -> bool {
    measured <= 2.0 * designed + f64::from(f32::EPSILON)
}

/// Points of [0, 1], even and logarithmic: errors sit near the ends of the intervals and near zero. The error is an even
/// function, since p is odd.
fn grid() -> impl Iterator<Item = f64> {
    let even = (0..=POINTS).map(|i| i as f64 / POINTS as f64);
    even.chain((0..POINTS).map(|i| (-24.0 * i as f64 / POINTS as f64).exp2()))
}

/// The largest; infinite where one is not a number.
fn worst(errors: impl Iterator<Item = f64>) -> f64 {
    errors.fold(0.0, |worst, error| if error.is_nan() { f64::INFINITY } else { worst.max(error) })
}
