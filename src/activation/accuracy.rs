//! What ReLU error is left on [−1, 1] once a composition is rounded and computed in f64 or f32.

use super::form::{Blocked, Form, Formula, Shape, Visitor, Whole};
use super::plain::Plain;
use super::{Activation, Arithmetic, Clenshaw, Elementwise, Sign};

/// Points in each half of the grid.
const POINTS: usize = 1 << 14;

/// Worst |r(x) − ReLU(x)| on a grid over [−1, 1], computed in f64 by the kernel that networks are run with, Horner's
/// scheme on the monomial coefficients. Infinite where the composition overflows.
pub fn relu_error_f64(sign: &Sign) -> f64 {
    let x: Vec<f64> = grid().collect();
    let mut y = vec![0.0; x.len()];
    let relu = Elementwise::relu(&Activation::Composition(sign.clone()), 1.0);
    // SAFETY: both of the same length. Nothing in the grid is outside.
    unsafe { relu.run(x.as_ptr(), y.as_mut_ptr(), x.len(), &mut |_, _| {}) };
    worst(x.iter().zip(&y).map(|(x, y)| (y - x).abs()))
}

/// The same in f32: Clenshaw's recurrence on the Chebyshev coefficients, every operation rounded.
pub fn relu_error_f32(clenshaw: &Clenshaw) -> f64 {
    let x: Vec<f32> = grid().map(|x| x as f32).collect();
    let y = clenshaw.relu(&x);
    worst(x.iter().zip(y).map(|(&x, y)| (f64::from(y) - f64::from(x)).abs()))
}

impl Clenshaw {
    /// (x + x·p(x))/2 of each x, |x| ≤ 1.
    fn relu(&self, x: &[f32]) -> Vec<f32> {
        let form = Form { shape: Shape::Composition(self.stages().iter().map(Vec::len).collect()), six: false };
        let parameters: Vec<f32> = std::iter::once(1.0).chain(self.stages().iter().flatten().copied()).collect();
        form.visit(Arithmetic::F32, Values { x, parameters: &parameters })
    }
}

/// The numbers of a formula, and where it is to be computed.
struct Values<'a> {
    x: &'a [f32],
    parameters: &'a [f32],
}

impl Visitor for Values<'_> {
    type Result = Vec<f32>;

    fn visit<F: Blocked>(self, formula: Whole<F>) -> Vec<f32> {
        let machine = Plain(self.parameters);
        self.x.iter().map(|x| formula.value(&machine, 0, x).0).collect()
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::minimax::{ALPHAS, Composite, DEFAULT_BITS, Epsilon, Real, paper_set, to_f64};

    fn designed(alpha: u32) -> Composite {
        let set = paper_set(alpha).unwrap();
        Composite::design(set.degrees, &Epsilon::Given(set.epsilon), DEFAULT_BITS).unwrap()
    }

    /// (x + x·p(x))/2 in arbitrary precision, rounded at the end.
    fn exact(composite: &Composite, x: f64) -> f64 {
        let x = Real::try_from(x).unwrap().with_precision(DEFAULT_BITS).value();
        to_f64(&((composite.sign(&x) + Real::ONE) * x / Real::from(2u8)))
    }

    fn in_f64(composite: &Composite, x: &[f64]) -> Vec<f64> {
        let mut y = vec![0.0; x.len()];
        // SAFETY: both of the same length.
        unsafe {
            Elementwise::relu(&Activation::Composition(Sign::of(composite)), 1.0).run(
                x.as_ptr(),
                y.as_mut_ptr(),
                x.len(),
                &mut |_, _| {},
            );
        }
        y
    }

    /// docs/arithmetic.md: ReLU errors to their last digit, deviations as upper bounds that are not ten times too large.
    #[test]
    fn the_documented_table_is_true() {
        let table = include_str!("../../docs/arithmetic.md");
        for alpha in ALPHAS {
            let composite = designed(alpha);
            let clenshaw = Clenshaw::of(&composite);
            let x: Vec<f64> = grid().step_by(7).map(|x| f64::from(x as f32)).flat_map(|x| [x, -x]).collect();
            let exact: Vec<f64> = x.iter().map(|&x| exact(&composite, x)).collect();
            let deviation = |y: &[f64]| worst(y.iter().zip(&exact).map(|(y, exact)| (y - exact).abs()));
            let rounded: Vec<f32> = x.iter().map(|&x| x as f32).collect();
            let single: Vec<f64> = clenshaw.relu(&rounded).into_iter().map(f64::from).collect();
            let errors =
                [to_f64(&composite.relu_error), relu_error_f64(&Sign::of(&composite)), relu_error_f32(&clenshaw)];
            let deviations = [deviation(&in_f64(&composite, &x)), deviation(&single)];
            let row = table.lines().find(|line| line.starts_with(&format!("| {alpha} |")));
            let measured = format!("| {alpha} | {errors:?} | {deviations:?}");
            let row = row.unwrap_or_else(|| panic!("no row for {measured}"));
            let numbers: Vec<f64> = row.split('|').skip(3).filter_map(|cell| cell.trim().parse().ok()).collect();
            assert_eq!(numbers.len(), 5, "{row}");
            for (documented, error) in numbers.iter().zip(errors) {
                assert!((documented / error - 1.0).abs() < 0.006, "{row}: {measured}");
            }
            for (documented, deviation) in numbers[3..].iter().zip(deviations) {
                assert!((documented / 10.0..=*documented).contains(&deviation), "{row}: {measured}");
            }
        }
    }

    #[test]
    fn an_error_that_is_no_number_is_the_worst() {
        assert_eq!(worst([1.0, f64::NAN, 2.0].into_iter()), f64::INFINITY);
        assert_eq!(worst([1.0, 3.0, 2.0].into_iter()), 3.0);
    }
}
