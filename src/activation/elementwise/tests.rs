//! Every form on every instruction set, type of values, arithmetic and layout, against its formula in arbitrary precision.

use super::*;
use crate::activation::form::{Blocked, Formula, Machine, Visitor, Whole};
use crate::activation::plain::{Fused, Plain};
use crate::activation::{Operations, Spec};
use crate::minimax::{Approximation, DEFAULT_BITS, Domain, Function, Method, Real, to_f64};

fn designed(spec: &str) -> Activation {
    designed_in(spec, Arithmetic::F64)
}

fn designed_in(spec: &str, arithmetic: Arithmetic) -> Activation {
    Activation::design_in(&spec.parse::<Spec>().unwrap(), arithmetic).unwrap().unwrap()
}

fn run<T: Element>(site: &Elementwise, x: &[T]) -> (Vec<T>, usize) {
    run_channels(site, x, Channels { count: 1, run: 1 })
}

/// What comes out, and how many values are outside their range.
fn run_channels<T: Element>(site: &Elementwise, x: &[T], channels: Channels) -> (Vec<T>, usize) {
    let mut y = x.to_vec();
    let mut outside = 0;
    let report = &mut |at: usize, block: &[T]| {
        for (at, value) in (at..).zip(block) {
            let [low, high] = site.bounds(channels.of(at));
            assert_eq!(x[at].to_f64().to_bits(), value.to_f64().to_bits(), "values are told at their position");
            outside += usize::from(!(low..=high).contains(&value.to_f64()));
        }
    };
    // In two pieces, as two threads would.
    let half = x.len() / 2 / channels.unit() * channels.unit();
    for positions in [0..half, half..x.len()] {
        // SAFETY: both of the same length.
        unsafe { site.run_channels(x.as_ptr(), y.as_mut_ptr(), positions, channels, report) };
    }
    (y, outside)
}

/// The machine of arbitrary precision.
struct Exact(Vec<Real>);

fn real(x: f64) -> Real {
    Real::try_from(x).unwrap().with_precision(DEFAULT_BITS).value()
}

impl Machine for Exact {
    type Value = Real;

    fn constant(&self, number: f64) -> Real {
        real(number)
    }

    fn parameter(&self, at: usize) -> Real {
        self.0[at].clone()
    }

    fn add(&self, a: &Real, b: &Real) -> Real {
        a + b
    }

    fn sub(&self, a: &Real, b: &Real) -> Real {
        a - b
    }

    fn mul(&self, a: &Real, b: &Real) -> Real {
        a * b
    }

    fn mul_add(&self, a: &Real, b: &Real, c: &Real) -> Real {
        a * b + c
    }
}

/// The formula of a site at some values of one channel.
struct At<'a, M: Machine> {
    machine: M,
    x: &'a [M::Value],
}

impl<M: Machine> Visitor for At<'_, M> {
    type Result = Vec<M::Value>;

    fn visit<F: Blocked>(self, formula: Whole<F>) -> Vec<M::Value> {
        self.x.iter().map(|x| formula.value(&self.machine, 0, x).0).collect()
    }
}

/// The parameters of `channel`.
fn parameters(site: &Elementwise, channel: usize) -> &[f64] {
    let count = site.parameters().count();
    &site.parameters().all()[channel * count..][..count]
}

/// The formula of `site` in arbitrary precision at `x`, of which value `i` is of channel `channels.of(i)`; its parameters are as
/// the arithmetic rounds them.
fn exact(site: &Elementwise, x: &[f64], channels: Channels) -> Vec<f64> {
    let rounded = |x: f64| if site.arithmetic() == Arithmetic::F32 { (x as f32).into() } else { x };
    let mut y = vec![0.0; x.len()];
    for channel in 0..channels.count {
        let places: Vec<usize> = (0..x.len()).filter(|&at| channels.of(at) == channel).collect();
        let of_channel = if site.channels().is_some() { channel } else { 0 };
        let machine = Exact(parameters(site, of_channel).iter().map(|&p| real(rounded(p))).collect());
        let values: Vec<Real> = places.iter().map(|&at| real(rounded(x[at]))).collect();
        for (at, value) in places.iter().zip(site.form.visit(site.arithmetic, At { machine, x: &values })) {
            y[*at] = to_f64(&value);
        }
    }
    y
}

/// ReLU on [low, high] by its values at Chebyshev's nodes.
fn fitted(degree: usize, low: f64, high: f64) -> Series {
    let count = degree + 1;
    let node = |i: usize| (std::f64::consts::PI * (i as f64 + 0.5) / count as f64).cos();
    let value = |i: usize| f64::midpoint(low + high, node(i) * (high - low)).max(0.0);
    let sum = |k: usize| (0..count).map(|i| value(i) * (k as f64 * node(i).acos()).cos()).sum::<f64>();
    let coefficients = (0..count).map(|k| sum(k) * if k == 0 { 1.0 } else { 2.0 } / count as f64).collect();
    Series { low, high, coefficients }
}

/// Every form, with how much its value may stray per unit of range: in f64, in f32.
pub(crate) fn every_form(arithmetic: Arithmetic) -> Vec<(String, Elementwise, f64)> {
    let single = arithmetic == Arithmetic::F32;
    let mut forms = Vec::new();
    // docs/arithmetic.md has the deviation of compositions.
    for (spec, wide) in [("paper:4", 4e-15), ("paper:7", 2e-14), ("paper:10", 6e-14), ("paper:14", 2e-8)] {
        let off = if single { 2e-6 } else { wide };
        forms.push((spec.to_owned(), Elementwise::relu(&designed_in(spec, arithmetic), 7.5), off));
        forms.push((format!("{spec}, six"), Elementwise::relu6(&designed_in(spec, arithmetic), 7.5), 3.0 * off));
    }
    let off = if single { 2e-6 } else { 4e-15 };
    for spec in ["aq", "chebyshev:1", "chebyshev:9", "leastsq:26", "leastsq:127"] {
        // A square has the size of the square of the range.
        forms.push((spec.to_owned(), Elementwise::relu(&designed_in(spec, arithmetic), 7.5), 8.0 * off));
        forms.push((format!("{spec}, six"), Elementwise::relu6(&designed_in(spec, arithmetic), 7.5), 30.0 * off));
    }
    for degree in [0, 3, 4, 13, 31, 127] {
        let alike = Elementwise::series(&[fitted(degree, -3.0, 7.5)], arithmetic);
        forms.push((format!("series of degree {degree}"), alike, off));
        for channels in [5, 16, 19] {
            // In one channel a lower degree.
            let of_channel = |c: usize| {
                fitted(degree - usize::from(c == 1 && degree > 0), -1.0 - c as f64 / 9.0, 7.5 - c as f64 / 10.0)
            };
            let apart = Elementwise::series(&(0..channels).map(of_channel).collect::<Vec<_>>(), arithmetic);
            forms.push((format!("series of degree {degree} in {channels} channels"), apart, off));
        }
    }
    forms
}

/// Values that fill the range of each channel, with its ends and zero among them.
pub(crate) fn inside<T: Element>(site: &Elementwise, count: usize, channels: Channels) -> Vec<T> {
    let value = |at: usize| {
        let [low, high] = site.bounds(channels.of(at));
        let x = low + (high - low) * (at as f64 * 0.618_033_988_749_895).fract();
        match at % 97 {
            13 => T::at_least(low),
            31 => T::at_most(high),
            47 => T::from_f64(0.0),
            59 => T::from_f64(1e-30),
            _ => T::from_f64(x.clamp(T::at_least(low).to_f64(), T::at_most(high).to_f64())),
        }
    };
    (0..count).map(value).collect()
}

/// The layouts of so many channels: side by side, and planes of 7 or 60 values.
pub(crate) fn layouts(count: usize) -> [Channels; 3] {
    [1, 7, 60].map(|run| Channels { count, run })
}

fn check<T: Element>(arithmetic: Arithmetic) {
    for (name, site, off) in every_form(arithmetic) {
        let count = site.channels().unwrap_or(1);
        for channels in layouts(count) {
            let x: Vec<T> = inside(&site, channels.run * count * (150 / (channels.run * count)).max(3), channels);
            let wide: Vec<f64> = x.iter().map(|x| x.to_f64()).collect();
            let expected = exact(&site, &wide, channels);
            for isa in Isa::present() {
                let site = Elementwise { isa, ..site.clone() };
                let (y, outside) = run_channels(&site, &x, channels);
                assert_eq!(outside, 0, "{name}");
                for (at, (y, expected)) in y.iter().zip(&expected).enumerate() {
                    let rounding = expected.abs() * if size_of::<T>() == 4 { 6e-8 } else { 1.2e-16 };
                    let bound = 7.5 * off + rounding;
                    let found = (y.to_f64() - expected).abs();
                    assert!(
                        found <= bound,
                        "{name} in {arithmetic}, {isa:?}, {channels:?}, at {at}: {found:e} {bound:e}"
                    );
                }
            }
        }
    }
}

#[test]
fn every_form_is_its_formula_in_arbitrary_precision_on_every_instruction_set_and_layout() {
    check::<f32>(Arithmetic::F64);
    check::<f64>(Arithmetic::F64);
    check::<f32>(Arithmetic::F32);
    check::<f64>(Arithmetic::F32);
}

#[test]
fn every_bit_in_f32_is_that_of_the_formula_number_by_number_on_every_instruction_set() {
    for (name, site, _) in every_form(Arithmetic::F32) {
        let channels = Channels { count: site.channels().unwrap_or(1), run: 1 };
        let x: Vec<f32> = inside(&site, 997 * channels.count, channels);
        let of_channel = |channel: usize| parameters(&site, channel).iter().map(|&p| p as f32).collect::<Vec<_>>();
        let of_channels: Vec<Vec<f32>> = (0..channels.count).map(of_channel).collect();
        let one = |x: f32, channel: usize, fused: bool| {
            let (p, x) = (&of_channels[channel][..], &[x][..]);
            let values = match fused {
                true => site.form.visit(site.arithmetic, At { machine: Fused(p), x }),
                false => site.form.visit(site.arithmetic, At { machine: Plain(p), x }),
            };
            values[0]
        };
        for isa in Isa::present() {
            let (y, _) = run_channels(&Elementwise { isa, ..site.clone() }, &x, channels);
            for (at, (&x, y)) in x.iter().zip(&y).enumerate() {
                let expected = one(x, channels.of(at), isa != Isa::Portable);
                assert_eq!(y.to_bits(), expected.to_bits(), "{isa:?} {name} at {x}: {y} {expected}");
            }
        }
    }
}

/// Whatever the layout and however many other values there are.
#[test]
fn a_value_does_not_depend_on_where_it_stands() {
    for arithmetic in [Arithmetic::F64, Arithmetic::F32] {
        for (name, site, _) in every_form(arithmetic) {
            let count = site.channels().unwrap_or(1);
            let last = Channels { count, run: 1 };
            let pixels = 61;
            let x: Vec<f64> = inside(&site, pixels * count, last);
            let (expected, _) = run_channels(&site, &x, last);
            let planes = Channels { count, run: pixels };
            let turned = |values: &[f64]| -> Vec<f64> {
                (0..values.len()).map(|at| values[at % pixels * count + at / pixels]).collect()
            };
            let (planar, _) = run_channels(&site, &turned(&x), planes);
            assert_eq!(planar, turned(&expected), "{name} in {arithmetic}");
            let (alone, _) = run_channels(&site, &x[7 * count..8 * count], last);
            assert_eq!(alone, expected[7 * count..8 * count], "{name} in {arithmetic}");
        }
    }
}

/// Counted and, if that is asked for, moved to the end of their channel's range; nothing else changes.
#[test]
fn values_outside_the_range_of_their_channel_are_told_on_every_layout() {
    for arithmetic in [Arithmetic::F64, Arithmetic::F32] {
        for count in [1, 5, 16, 19] {
            let of_channel = |c: usize| fitted(15, -1.0 - c as f64, 7.3 - c as f64 / 10.0);
            let site = Elementwise::series(&(0..count).map(of_channel).collect::<Vec<_>>(), arithmetic);
            for channels in layouts(count) {
                let inside: Vec<f32> = inside(&site, channels.run * count * 40, channels);
                let (kept, none) = run_channels(&site, &inside, channels);
                assert_eq!(none, 0);
                let mut x = inside.clone();
                let places = [3, x.len() / 3, x.len() / 2, x.len() - 1];
                for (at, kind) in places.into_iter().zip(0..) {
                    let [low, high] = site.bounds(channels.of(at)).map(|end| end as f32);
                    x[at] = [high.next_up().next_up(), low - 2.0, f32::NAN, f32::INFINITY][kind];
                }
                for isa in Isa::present() {
                    for clipping in [false, true] {
                        let site = Elementwise { isa, ..site.clone() }.clipping(clipping);
                        let (y, outside) = run_channels(&site, &x, channels);
                        assert_eq!(outside, 4, "{isa:?} {channels:?}");
                        assert!(y[places[2]].is_nan(), "{isa:?} {channels:?}");
                        let low = site.bounds(channels.of(places[1]))[0];
                        let end = exact(&site, &vec![f32::at_least(low).into(); x.len()], channels)[places[1]];
                        assert_eq!((f64::from(y[places[1]]) - end).abs() < 1e-4, clipping, "{isa:?} {channels:?}");
                        if isa == Isa::detect() {
                            let same = |at: usize| places.contains(&at) || y[at].to_bits() == kept[at].to_bits();
                            assert!((0..x.len()).all(same), "{channels:?}");
                        }
                    }
                }
            }
        }
    }
}

#[test]
fn what_is_outside_by_less_than_f32_resolves_is_counted() {
    for isa in Isa::present() {
        let site = Elementwise { isa, ..Elementwise::relu(&designed_in("paper:7", Arithmetic::F32), 7.3) };
        assert_eq!(run(&site, &[7.3f64, 7.3 + 1e-12, -7.3 - 1e-12, 0.0, f64::NAN]).1, 3, "{isa:?}");
        assert_eq!(run(&site, &[7.3f32, 7.3f32.next_down(), 7.2, f32::INFINITY]).1, 2, "{isa:?}");
    }
}

#[test]
fn relu_keeps_its_bound_on_every_instruction_set_and_length() {
    for alpha in [4, 7, 10, 12, 14] {
        for isa in Isa::present() {
            let relu = Elementwise { isa, ..Elementwise::relu(&designed(&format!("paper:{alpha}")), 7.5) };
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

#[test]
fn relu6_is_flat_above_six_and_holds_its_range() {
    let relu = Elementwise::relu6(&designed("paper:14"), 20.0);
    let x: Vec<f32> = (0..=4000).map(|i| -20.0 + i as f32 / 100.0).collect();
    let (y, outside) = run(&relu, &x);
    let bound = (20.0 + 26.0) * 2f32.powi(-14) + 1e-5;
    for (x, y) in x.iter().zip(&y) {
        assert!((x.clamp(0.0, 6.0) - y).abs() <= bound, "{x}: {y}");
    }
    assert_eq!(outside, 0);
}

/// The fit in arbitrary precision, at x/7.5, and its error on [−1, 1], scaled by the range.
#[test]
fn single_polynomials_are_those_that_were_designed() {
    let x: Vec<f64> = (0..=300).map(|i| -7.5 + 0.05 * f64::from(i)).chain([1e-300, -1e-9, 7.5]).collect();
    let domain = Domain::new(vec![(-1.0, 1.0)]).unwrap();
    for (name, method) in [("chebyshev", Method::Chebyshev), ("leastsq", Method::LeastSquares)] {
        for degree in [1, 2, 3, 4, 7, 26, 27, 64, 126, 127] {
            let fit = Approximation::design(Function::Relu, &domain, degree, method, DEFAULT_BITS).unwrap();
            let expected = |x: f64| 7.5 * to_f64(&fit.series.value(&(real(x) / real(7.5))));
            let activation = designed(&format!("{name}:{degree}"));
            let (y, outside) = run(&Elementwise::relu(&activation, 7.5), &x);
            assert_eq!(outside, 0);
            for (x, y) in x.iter().zip(&y) {
                assert!((y - expected(*x)).abs() <= 1e-13, "{name}:{degree} at {x}: {y}");
            }
            let worst = x.iter().zip(&y).map(|(x, y)| (x.max(0.0) - y).abs()).fold(0.0, f64::max);
            let bound = 7.5 * activation.bound();
            assert!(worst <= bound + 1e-13 && worst >= 0.5 * bound, "{name}:{degree}: {worst} {bound}");
        }
    }
}

/// A series of one function on one interval is that function's, whatever its degree: here of T_k itself.
#[test]
fn series_are_sums_of_chebyshev_polynomials_on_their_interval() {
    let x: Vec<f64> = (0..=400).map(|i| -3.0 + 0.03 * f64::from(i)).map(|x: f64| x.min(9.0)).collect();
    for k in (0..20).chain([31, 32, 33, 63, 64, 95, 126, 127]) {
        let mut coefficients = vec![0.0; k];
        coefficients.push(1.0);
        let site = Elementwise::series(&[Series { low: -3.0, high: 9.0, coefficients }], Arithmetic::F64);
        let (y, outside) = run(&site, &x);
        assert_eq!(outside, 0);
        for (x, y) in x.iter().zip(&y) {
            let expected = (k as f64 * ((x - 3.0) / 6.0).clamp(-1.0, 1.0).acos()).cos();
            assert!((y - expected).abs() <= 1e-15 * (1 + k * k) as f64, "T_{k} at {x}: {y} {expected}");
        }
    }
}

#[test]
fn square_and_aq_are_of_x_itself_whatever_the_range() {
    let x = [-3.0, -0.5, 0.0, 1.0, 40.0];
    for isa in Isa::present() {
        for range in [0.25, 100.0] {
            let y = |spec| run(&Elementwise { isa, ..Elementwise::relu(&designed(spec), range) }, &x);
            assert_eq!(y("square").0, x.map(|x| x * x));
            assert_eq!(y("aq").0, x.map(|x| x * x / 8.0 + x / 2.0 + 0.25));
            assert_eq!(y("aq").1, if range < 1.0 { 4 } else { 0 });
        }
    }
    assert_eq!([designed("square").bound(), designed("aq").bound()], [1.0, 0.25]);
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
    let relu = Elementwise::relu(&designed("paper:14"), 1.0);
    let x = [0.5f32, 1.0, -1.0, 1.0001, f32::NAN, f32::INFINITY, -2.0];
    let (y, outside) = run(&relu, &x);
    assert_eq!(outside, 4);
    assert!(y[4].is_nan());
    assert!(y[6].abs() > 1e6 || y[6].is_nan(), "a value far outside must blow up as it would encrypted: {}", y[6]);
}

#[test]
fn operations_are_those_of_horner_and_clenshaw() {
    let operations = |spec: &str, arithmetic| Elementwise::relu(&designed_in(spec, arithmetic), 1.0).operations();
    // The coefficients of the stages but the first of each, and x/2 + x/2·p; the half, the scale, and of each stage a square and
    // the product with it.
    let horner = Operations { fused: 7 + 13 + 14 + 1, products: 2 + 3 * 2, sums: 0 };
    assert_eq!(operations("paper:14", Arithmetic::F64), horner);
    // One more for the variable of each stage; and as many sums as coefficients.
    let clenshaw = Operations { fused: 7 + 13 + 14 + 3 + 1, products: 2 + 3 * 2, sums: 8 + 14 + 15 };
    assert_eq!(operations("paper:14", Arithmetic::F32), clenshaw);
    assert_eq!(operations("aq", Arithmetic::F64), Operations { fused: 2, products: 0, sums: 0 });
}
