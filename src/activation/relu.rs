//! The ReLU and ReLU6 kernels: one pass over the values, computed in f64 or f32, counted where they leave the range.

use super::approximation::Form;
use super::isa::{Isa, MAX_BLOCK, Pass};
use super::kernel::{Clenshaw, Horner, Stages, load, series, store};
use super::lanes::{Element, Lanes};
use super::{Activation, Polynomial, Report};

/// How far ReLU6 shifts its second ReLU.
const SIX: f64 = 6.0;

/// B·r(x/B), or for ReLU6 B·r(x/B) − C·r((x−6)/C) with C = B + 6, which holds x − 6 wherever B holds x. Polynomials that
/// do not know the range are applied to x and x − 6 themselves.
#[derive(Debug, Clone)]
pub struct Relu {
    approximation: Activation,
    range: f64,
    /// Below which |x| is in range, whatever its rounding.
    surely_inside: f64,
    six: bool,
    clipping: bool,
    isa: Isa,
}

impl Relu {
    /// ReLU for inputs in [−`range`, `range`]; `range` is positive and finite.
    pub fn new(approximation: Activation, range: f64) -> Relu {
        let surely_inside = match &approximation {
            Activation::Composition(sign) => sign.surely_inside(range),
            Activation::Polynomial(_) => range,
        };
        Relu { approximation, range, surely_inside, six: false, clipping: false, isa: Isa::detect() }
    }

    /// ReLU6 for inputs in [−`range`, `range`].
    pub fn six(approximation: Activation, range: f64) -> Relu {
        Relu { six: true, ..Relu::new(approximation, range) }
    }

    /// The same, or one that moves inputs beyond the range to its end, as no encrypted circuit can.
    pub fn clipping(self, clipping: bool) -> Relu {
        Relu { clipping, ..self }
    }

    /// The bound B of the inputs.
    pub fn range(&self) -> f64 {
        self.range
    }

    /// The range to whose end inputs are moved, if they are.
    #[cfg(feature = "libtorch")]
    pub(crate) fn clip(&self) -> Option<f64> {
        self.clipping.then_some(self.range)
    }

    /// What stands in for ReLU.
    #[cfg(feature = "libtorch")]
    pub(super) fn approximation(&self) -> &Activation {
        &self.approximation
    }

    /// (shift, range) of each ReLU that is summed, the second subtracted.
    #[cfg(feature = "libtorch")]
    pub(super) fn terms(&self) -> impl Iterator<Item = (f64, f64)> {
        [(0.0, self.range), (SIX, self.range + SIX)].into_iter().take(1 + self.six as usize)
    }

    /// y_i ← ReLU(x_i) for `count` values. `report` sees the inputs of every block that holds one outside [−B, B].
    ///
    /// # Safety
    /// `x` must be readable and `y` writable for `count` values; they are the same or do not overlap.
    pub unsafe fn run<T: Element>(&self, x: *const T, y: *mut T, count: usize, report: Report<T>) {
        let relu = self;
        match &self.approximation {
            Activation::Composition(sign) => match sign.single() {
                None => self.isa.run(ReluPass { relu, term: Composition(Horner(sign.stages())), x, y, count, report }),
                Some(single) => {
                    let term = Composition(Clenshaw(single.stages()));
                    self.isa.run_single(ReluPass { relu, term, x, y, count, report });
                }
            },
            Activation::Polynomial(Polynomial { form: Form::Parabola(c), .. }) => {
                self.isa.run(ReluPass { relu, term: Parabola(c), x, y, count, report });
            }
            Activation::Polynomial(Polynomial { form: Form::Series(c), .. }) => {
                self.isa.run(ReluPass { relu, term: EvenSeries(c), x, y, count, report });
            }
        }
    }
}

/// One form of approximate ReLU. The pass is compiled for each, so that nothing is decided within its loop.
trait Term {
    /// The approximate ReLU of `x` in [−`range`, `range`].
    ///
    /// # Safety
    /// The processor must have the instructions of `V`.
    unsafe fn of<V: Lanes, const K: usize>(&self, x: &[V; K], range: f64) -> [V; K];
}

struct ReluPass<'a, T, F> {
    relu: &'a Relu,
    term: F,
    x: *const T,
    y: *mut T,
    count: usize,
    report: Report<'a, T>,
}

impl<T: Element, F: Term> Pass for ReluPass<'_, T, F> {
    #[inline(always)]
    unsafe fn run<V: Lanes, const K: usize>(self) {
        let block = K * V::WIDTH;
        let rest = self.count % block;
        let last = self.count - rest;
        let outside = &mut |at: usize, length: usize| {
            // SAFETY: the values are the caller's, and not yet overwritten.
            (self.report)(at, unsafe { std::slice::from_raw_parts(self.x.add(at), length) });
        };
        // SAFETY: whole blocks first; the values left over are padded to a block with zeros, which are inside.
        unsafe {
            for start in (0..last).step_by(block) {
                let (x, y) = (self.x.add(start), self.y.add(start));
                V::read_ahead(x, block);
                relu_block::<T, V, K>(self.relu, &self.term, x, y, || outside(start, block));
            }
            if rest > 0 {
                let mut values = [T::default(); MAX_BLOCK];
                values[..rest].copy_from_slice(std::slice::from_raw_parts(self.x.add(last), rest));
                let padded = values.as_mut_ptr();
                relu_block::<T, V, K>(self.relu, &self.term, padded, padded, || outside(last, rest));
                std::ptr::copy_nonoverlapping(padded, self.y.add(last), rest);
            }
        }
    }
}

/// One block of K·WIDTH values; `outside` is called before anything is written if one of them may be out of range.
#[inline(always)]
unsafe fn relu_block<T: Element, V: Lanes, const K: usize>(
    relu: &Relu,
    term: &impl Term,
    x: *const T,
    y: *mut T,
    outside: impl FnOnce(),
) {
    unsafe {
        let mut from = x;
        let mut moved = [T::default(); MAX_BLOCK];
        if T::any_outside::<V>(x, K * V::WIDTH, relu.surely_inside) {
            outside();
            if relu.clipping {
                clip(x, &mut moved[..K * V::WIDTH], relu.range);
                from = moved.as_ptr();
            }
        }
        let x = load::<T, V, K>(from);
        let mut sum = term.of(&x, relu.range);
        if relu.six {
            let mut shifted = x;
            for k in 0..K {
                shifted[k] = x[k].sub(V::splat(SIX));
            }
            let second = term.of(&shifted, relu.range + SIX);
            for k in 0..K {
                sum[k] = sum[k].sub(second[k]);
            }
        }
        store(&sum, y);
    }
}

/// Writes the values at `x`, those beyond `range` moved to its end, to `moved`.
///
/// # Safety
/// As many values must be readable as `moved` has.
#[cold]
unsafe fn clip<T: Element>(x: *const T, moved: &mut [T], range: f64) {
    for (k, moved) in moved.iter_mut().enumerate() {
        *moved = unsafe { *x.add(k) }.clipped(range);
    }
}

/// h + h·p(2h/range) with h = x/2 and p the composition of these stages.
struct Composition<S>(S);

impl<S: Stages> Term for Composition<S> {
    #[inline(always)]
    unsafe fn of<V: Lanes, const K: usize>(&self, x: &[V; K], range: f64) -> [V; K] {
        unsafe {
            let (half, double) = (V::splat(0.5), V::splat(2.0 / range));
            let mut h = *x;
            let mut p = *x;
            for k in 0..K {
                h[k] = x[k].mul(half);
                p[k] = h[k].mul(double);
            }
            self.0.sign(&mut p);
            for k in 0..K {
                p[k] = h[k].mul_add(p[k], h[k]);
            }
            p
        }
    }
}

/// c_0 + c_1·x + c_2·x².
struct Parabola<'a>(&'a [f64; 3]);

impl Term for Parabola<'_> {
    #[inline(always)]
    unsafe fn of<V: Lanes, const K: usize>(&self, x: &[V; K], _range: f64) -> [V; K] {
        unsafe {
            let [constant, slope, square] = *self.0;
            let (constant, slope, square) = (V::splat(constant), V::splat(slope), V::splat(square));
            let mut y = *x;
            for k in 0..K {
                y[k] = x[k].mul_add(square, slope).mul_add(x[k], constant);
            }
            y
        }
    }
}

/// x/2 + range·Σ c_k·T_k(2(x/range)² − 1).
struct EvenSeries<'a>(&'a [f64]);

impl Term for EvenSeries<'_> {
    #[inline(always)]
    unsafe fn of<V: Lanes, const K: usize>(&self, x: &[V; K], range: f64) -> [V; K] {
        unsafe {
            let (half, two, one) = (V::splat(0.5), V::splat(2.0), V::splat(1.0));
            let (inverse, range) = (V::splat(1.0 / range), V::splat(range));
            let mut y = *x;
            for k in 0..K {
                let t = x[k].mul(inverse);
                y[k] = t.mul(t).mul(two).sub(one);
            }
            series::<V, K>(self.0, &mut y);
            for k in 0..K {
                y[k] = y[k].mul_add(range, x[k].mul(half));
            }
            y
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::activation::{Arithmetic, Spec};
    use crate::minimax::{Approximation, DEFAULT_BITS, Domain, Function, Method, Real, to_f64};

    fn designed(spec: &str) -> Activation {
        Activation::design(&spec.parse::<Spec>().unwrap()).unwrap().unwrap()
    }

    fn run<T: Element>(relu: &Relu, x: &[T]) -> (Vec<T>, usize) {
        let mut y = x.to_vec();
        let mut outside = 0;
        let range = relu.range();
        let report = &mut |_: usize, block: &[T]| {
            outside += block.iter().map(|x| x.to_f64()).filter(|x| x.is_nan() || x.abs() > range).count();
        };
        // SAFETY: both of the same length.
        unsafe { relu.run(x.as_ptr(), y.as_mut_ptr(), x.len(), report) };
        (y, outside)
    }

    #[test]
    fn relu_keeps_its_bound_on_every_instruction_set_and_length() {
        for alpha in [4, 7, 10, 12, 14] {
            for isa in Isa::present() {
                let relu = Relu { isa, ..Relu::new(designed(&format!("paper:{alpha}")), 7.5) };
                for count in [0, 1, 27, 28, 29, 10_007] {
                    let x: Vec<f64> = (0..count).map(|i| -7.5 + 15.0 * i as f64 / count.max(2) as f64).collect();
                    let (y, outside) = run(&relu, &x);
                    let worst = x.iter().zip(&y).map(|(x, y)| (x.max(0.0) - y).abs()).fold(0.0, f64::max);
                    assert!(worst <= 7.5 * 2f64.powi(-alpha), "{isa:?}, alpha {alpha}, {count}: {worst}");
                    assert_eq!(outside, 0);
                }
            }
        }
    }

    /// Clenshaw's recurrence value by value, with products and sums fused where the instructions fuse them.
    #[test]
    fn every_bit_in_f32_is_that_of_the_recurrence_value_by_value_on_every_instruction_set() {
        let x: Vec<f32> = (-20_000..=20_000).map(|i| i as f32 / 20_000.0).chain([1e-30, -1e-9]).collect();
        for spec in ["paper:4", "paper:10", "paper:14", "minimax:63,63"] {
            let activation = Activation::design_in(&spec.parse().unwrap(), Arithmetic::F32).unwrap().unwrap();
            let Activation::Composition(sign) = &activation else { panic!("{spec}") };
            let single = sign.single().unwrap();
            let fused = |x: f32| {
                let sign = single.stages().iter().fold(x, |t, series| {
                    let u = (t * 4.0).mul_add(t, -2.0);
                    let (next, after) = series.iter().rev().fold((0.0, 0.0), |(next, after), d| {
                        let value: f32 = u.mul_add(next, d - after);
                        (value, next)
                    });
                    t * (next - after)
                });
                (0.5 * x).mul_add(sign, 0.5 * x)
            };
            for isa in Isa::present() {
                let relu = Relu { isa, ..Relu::new(activation.clone(), 1.0) };
                let (y, outside) = run(&relu, &x);
                assert_eq!(outside, 0);
                for (x, y) in x.iter().zip(&y) {
                    let expected = if isa == Isa::Portable { single.relu(*x) } else { fused(*x) };
                    assert_eq!(y.to_bits(), expected.to_bits(), "{isa:?} {spec} at {x}: {y} {expected}");
                }
                // f64 is rounded to f32 on the way in.
                let wide: Vec<f64> = x.iter().map(|&x| x.into()).collect();
                assert!(run(&relu, &wide).0.iter().zip(&y).all(|(wide, y)| *wide == f64::from(*y)));
            }
        }
    }

    #[test]
    fn what_is_outside_by_less_than_f32_resolves_is_counted() {
        let activation = Activation::design_in(&"paper:7".parse().unwrap(), Arithmetic::F32).unwrap().unwrap();
        for isa in Isa::present() {
            let relu = Relu { isa, ..Relu::new(activation.clone(), 7.3) };
            assert_eq!(run(&relu, &[7.3f64, 7.3 + 1e-12, -7.3 - 1e-12, 0.0, f64::NAN]).1, 3, "{isa:?}");
            assert_eq!(run(&relu, &[7.3f32, 7.3f32.next_down(), 7.2, f32::INFINITY]).1, 2, "{isa:?}");
        }
    }

    #[test]
    fn relu6_is_flat_above_six_and_holds_its_range() {
        let relu = Relu::six(designed("paper:14"), 20.0);
        let x: Vec<f32> = (0..=4000).map(|i| -20.0 + i as f32 / 100.0).collect();
        let (y, outside) = run(&relu, &x);
        let bound = (20.0 + 26.0) * 2f32.powi(-14) + 1e-5;
        for (x, y) in x.iter().zip(&y) {
            assert!((x.clamp(0.0, 6.0) - y).abs() <= bound, "{x}: {y}");
        }
        assert_eq!(outside, 0);
    }

    /// The fit in arbitrary precision, at x/7.5.
    #[test]
    fn single_polynomials_are_those_of_high_precision_on_every_instruction_set() {
        let x: Vec<f64> = (0..=300).map(|i| -7.5 + 0.05 * f64::from(i)).chain([1e-300, -1e-9, 7.5]).collect();
        let domain = Domain::new(vec![(-1.0, 1.0)]).unwrap();
        for (name, method) in [("chebyshev", Method::Chebyshev), ("leastsq", Method::LeastSquares)] {
            for degree in [1, 2, 3, 4, 7, 26, 27, 64, 126, 127] {
                let fit = Approximation::design(Function::Relu, &domain, degree, method, DEFAULT_BITS).unwrap();
                let expected = |x: f64| {
                    let t =
                        Real::try_from(x).unwrap().with_precision(DEFAULT_BITS).value() / Real::try_from(7.5).unwrap();
                    7.5 * to_f64(&fit.series.value(&t))
                };
                let expected: Vec<f64> = x.iter().map(|&x| expected(x)).collect();
                for isa in Isa::present() {
                    let relu = Relu { isa, ..Relu::new(designed(&format!("{name}:{degree}")), 7.5) };
                    let (y, outside) = run(&relu, &x);
                    assert_eq!(outside, 0);
                    for ((x, y), expected) in x.iter().zip(&y).zip(&expected) {
                        assert!((y - expected).abs() <= 1e-13, "{isa:?}, {name}:{degree} at {x}: {y} {expected}");
                    }
                    // The error on [−1, 1], scaled by the range.
                    let worst = x.iter().zip(&y).map(|(x, y)| (x.max(0.0) - y).abs()).fold(0.0, f64::max);
                    let bound = 7.5 * to_f64(&fit.error);
                    assert!(worst <= bound + 1e-13 && worst >= 0.5 * bound, "{name}:{degree}: {worst} {bound}");
                }
            }
        }
    }

    #[test]
    fn square_and_aq_are_of_x_itself_whatever_the_range() {
        let x = [-3.0, -0.5, 0.0, 1.0, 40.0];
        for isa in Isa::present() {
            for range in [0.25, 100.0] {
                let y = |spec| run(&Relu { isa, ..Relu::new(designed(spec), range) }, &x);
                assert_eq!(y("square").0, x.map(|x| x * x));
                assert_eq!(y("aq").0, x.map(|x| x * x / 8.0 + x / 2.0 + 0.25));
                assert_eq!(y("aq").1, if range < 1.0 { 4 } else { 0 });
            }
        }
    }

    #[test]
    fn single_polynomials_have_the_depth_of_their_degree() {
        let cost = |spec| (designed(spec).cost().depth, designed(spec).cost().multiplications);
        assert_eq!(cost("square"), (1, 1));
        assert_eq!(cost("aq"), (2, 1));
        // T_2, T_4, T_6 and T_8 of x; two products for degree 13 in T_2, one of them to save a level.
        assert_eq!(cost("chebyshev:27").0, 5);
        assert_eq!(cost("leastsq:27"), cost("chebyshev:26"));
    }

    #[test]
    fn values_outside_and_nan_are_counted_and_not_clipped() {
        let relu = Relu::new(designed("paper:14"), 1.0);
        let x = [0.5f32, 1.0, -1.0, 1.0001, f32::NAN, f32::INFINITY, -2.0];
        let (y, outside) = run(&relu, &x);
        assert_eq!(outside, 4);
        assert!(y[4].is_nan());
        assert!(y[6].abs() > 1e6 || y[6].is_nan(), "a value far outside must blow up as it would encrypted: {}", y[6]);
    }

    #[test]
    fn a_value_does_not_depend_on_where_it_stands() {
        let relu = Relu::new(designed("paper:12"), 3.0);
        let alone = run(&relu, &[0.3f32]).0[0];
        let x: Vec<f32> = vec![0.3; 61];
        assert!(run(&relu, &x).0.iter().all(|y| y.to_bits() == alone.to_bits()));
    }
}
