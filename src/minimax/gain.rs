//! Noise gain: by what a polynomial multiplies the noise of its input, and how far beyond its range an input may lie.
//!
//! Under CKKS every number carries noise. A polynomial r makes r(x + n) ≈ r(x) + n·r'(x) of it, so |r'(x)| is the factor.
//! At the ends of a minimax polynomial's range the derivative is far larger than inside, and beyond them the error soon
//! grows without bound. What is reported at the ends and beyond is computed in the precision of the design. The largest
//! gain inside is found in f64 on Chebyshev series, whose coefficients are no larger than the polynomial: nine digits of it
//! are right for all compositions that are worth their levels, as the tests show.

use super::approximation::Approximation;
use super::composite::{Composite, Stage};
use super::function::Function;
use super::real::{Real, abs, real, to_f64};

/// What a polynomial does to noise in its input. A gain is a derivative, so it has the unit of the values by that of the
/// inputs; an overshoot has the unit of the inputs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct NoiseGain {
    /// The derivative at the lower and at the upper end: at −1 and 1 for a composition, at the ends of the hull for a
    /// polynomial of a function.
    pub at_ends: [f64; 2],
    /// The largest |derivative| away from the ends, where |t| < [`INSIDE`], with t from −1 to 1 along the range.
    pub inside: f64,
    /// How far beyond the range an input may lie until the error is twice the largest in range; the smaller of both sides.
    /// `None` if that is not reached within the width of the range, or beyond the reach of f64.
    pub overshoot: Option<f64>,
}

/// What counts as inside: 0.99 of the range.
pub const INSIDE: f64 = 0.99;

/// Where a composition has been looked at; all of it is the same for −x.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sample {
    /// Above 0, up to 1.
    pub x: f64,
    /// |r(x) − ReLU(x)|.
    pub error: f64,
    /// The larger of |r'(x)| and |r'(−x)|.
    pub gain: f64,
}

impl Composite {
    /// What its ReLU r(x) = (x + x·p(x))/2 does to noise. The overshoot is that of |x| beyond 1, a margin included.
    pub fn noise_gain(&self) -> NoiseGain {
        let upper = self.relu_slope(&real(1.0, self.bits()));
        let lower = Real::ONE - &upper;
        let twice = &self.relu_error * Real::from(2u8);
        NoiseGain {
            at_ends: [to_f64(&lower), to_f64(&upper)],
            inside: self.gain_inside(),
            // Of errors beyond f64 it would be 0.
            overshoot: self.overshoot(&twice).map(|beyond| to_f64(&beyond)).filter(|&beyond| beyond > 0.0),
        }
    }

    /// |x| − 1 at which |r(x) − ReLU(x)| becomes `error`, which must be above the ReLU error; it is the same on both sides.
    /// `None` if it stays below up to |x| = 2 + m.
    pub fn overshoot(&self, error: &Real) -> Option<Real> {
        let reach = self.reach();
        let exceeds = |beyond: &Real| {
            let x = &reach + beyond;
            abs(&((self.sign(&x) - Real::ONE) * x)) / Real::from(2u8) >= *error
        };
        let start = error / (abs(&self.relu_slope(&reach)) + Real::ONE);
        first_beyond(start, Real::ONE, exceeds).map(|beyond| reach - Real::ONE + beyond)
    }

    /// r'(x) = (1 + p(x) + x·p'(x))/2; r'(−x) is 1 − r'(x).
    fn relu_slope(&self, x: &Real) -> Real {
        let (mut value, mut slope) = (x.clone(), Real::ONE);
        for stage in &self.stages {
            slope *= derivative(stage, &value);
            value = stage.value(&value);
        }
        (Real::ONE + value + x * slope) / Real::from(2u8)
    }

    fn bits(&self) -> usize {
        self.stages.first().map_or(64, |stage| stage.interval.0.precision())
    }

    /// The largest |r'(x)| for |x| < [`INSIDE`]: the largest of the samples, each led to the top of its hill.
    fn gain_inside(&self) -> f64 {
        let series = Series64::of(self);
        let samples: Vec<Sample> = series.samples(self).into_iter().filter(|sample| sample.x <= INSIDE).collect();
        let mut hills: Vec<usize> = (1..samples.len().saturating_sub(1))
            .filter(|&i| samples[i].gain >= samples[i - 1].gain && samples[i].gain >= samples[i + 1].gain)
            .collect();
        hills.sort_by(|&i, &j| samples[j].gain.total_cmp(&samples[i].gain));
        hills.truncate(HILLS);
        let tops = hills.iter().map(|&i| series.top(samples[i - 1].x, samples[i + 1].x));
        samples.iter().map(|sample| sample.gain).chain(tops).fold(0.0, f64::max)
    }

    /// Samples of [0, 1], dense enough for the oscillations of the gain as long as there are a few thousand; of more of
    /// them, whose height changes slowly, enough are hit.
    pub(super) fn samples(&self) -> Vec<Sample> {
        Series64::of(self).samples(self)
    }
}

/// How many of the highest samples are led to a top.
const HILLS: usize = 24;

/// p_i'(x) of an odd polynomial c_1 x + c_3 x³ + …
fn derivative(stage: &Stage, x: &Real) -> Real {
    let square = x * x;
    let mut sum = Real::ZERO;
    for (k, c) in stage.minimax.coefficients.iter().enumerate().rev() {
        sum = sum * &square + c * Real::from(2 * k as u64 + 1);
    }
    sum
}

/// The least number at which `exceeds` becomes true, to a relative 2^−20, looked for upwards from `start` in steps of two
/// up to `most`.
fn first_beyond(start: Real, most: Real, exceeds: impl Fn(&Real) -> bool) -> Option<Real> {
    let two = || Real::from(2u8);
    let mut high = start / Real::from(1024u16);
    while !exceeds(&high) {
        if high >= most {
            return None;
        }
        high = (high * two()).min(most.clone());
    }
    let mut low = &high / two();
    for _ in 0..20 {
        let middle = (&low + &high) / two();
        if exceeds(&middle) { high = middle } else { low = middle }
    }
    Some(high)
}

/// The stages of a composition in f64: of each d_1, d_3, … and the scale.
struct Series64(Vec<(Vec<f64>, f64)>);

impl Series64 {
    fn of(composite: &Composite) -> Series64 {
        let stages = composite.stages.iter();
        Series64(stages.map(|s| (s.chebyshev().iter().map(to_f64).collect(), to_f64(&s.scale))).collect())
    }

    fn at(&self, x: f64) -> Sample {
        let (mut value, mut slope) = (x, 1.0);
        for (series, scale) in &self.0 {
            let (next, by) = odd_series(series, value / scale);
            (value, slope) = (next, slope * by / scale);
        }
        // r'(x) and r'(−x) are 1/2 ± (p(x) + x·p'(x))/2.
        Sample { x, error: (x * (value - 1.0)).abs() / 2.0, gain: (1.0 + (value + x * slope).abs()) / 2.0 }
    }

    /// Ascending: evenly spaced, evenly in the logarithm down to where r is x/2, and crowded towards 1.
    fn samples(&self, composite: &Composite) -> Vec<Sample> {
        let degree: f64 = composite.stages.iter().map(|stage| f64::from(stage.degree)).product();
        let even = (8.0 * degree).clamp(1024.0, 65536.0) as usize;
        let slope: f64 = composite.coefficients().iter().filter_map(|stage| stage.first()).product();
        let octaves = slope.abs().max(1.0).log2() + 4.0;
        const CROWDED: usize = 4096;
        let mut places: Vec<f64> = (1..=even).map(|i| i as f64 / even as f64).collect();
        places.extend((1..=CROWDED).map(|i| (-octaves * i as f64 / CROWDED as f64).exp2()));
        places.extend((1..=CROWDED).map(|i| 1.0 - (-6.0 - 40.0 * i as f64 / CROWDED as f64).exp2()));
        places.push(INSIDE);
        places.sort_by(f64::total_cmp);
        places.into_iter().map(|x| self.at(x)).collect()
    }

    /// The gain at the top of the one hill between `left` and `right`, by golden section.
    fn top(&self, mut left: f64, mut right: f64) -> f64 {
        const GOLDEN: f64 = 0.618_033_988_749_894_8;
        let width = right - left;
        while right - left > 1e-6 * width {
            let (x, y) = (right - GOLDEN * (right - left), left + GOLDEN * (right - left));
            if self.at(x).gain < self.at(y).gain { left = x } else { right = y }
        }
        self.at(0.5 * (left + right)).gain
    }
}

/// Value and derivative of d_1 T_1(t) + d_3 T_3(t) + …, by Clenshaw's recurrence for T_{k+2} = 2·T_2·T_k − T_{k−2} and
/// its derivative.
fn odd_series(series: &[f64], t: f64) -> (f64, f64) {
    let (twice, its_slope) = (4.0 * t * t - 2.0, 8.0 * t);
    let ((mut next, mut after), (mut next_slope, mut after_slope)) = ((0.0, 0.0), (0.0, 0.0));
    for d in series.iter().rev() {
        let slope = its_slope * next + twice * next_slope - after_slope;
        let value = d + twice * next - after;
        ((after_slope, next_slope), (after, next)) = ((next_slope, slope), (next, value));
    }
    ((next - after) * t, (next_slope - after_slope) * t + next - after)
}

impl Approximation {
    /// What the polynomial does to noise. The overshoot is beyond the hull of the domain; a gap inside does not count.
    pub fn noise_gain(&self) -> NoiseGain {
        let slope = self.series.derivative();
        let (low, high) = self.domain.hull();
        let (middle, half) = (0.5 * (low + high), 0.5 * (high - low));
        let ends = [low, high].map(|end| real(end, self.bits));
        let at = |x: f64| to_f64(&abs(&slope.value(&real(x, GAIN_BITS))));
        let of_domain = |x: f64| self.domain.intervals().iter().any(|&(low, high)| (low..=high).contains(&x));
        let samples = FUNCTION_SAMPLES as f64;
        let places = (0..=FUNCTION_SAMPLES).map(|i| middle + half * INSIDE * (2.0 * i as f64 / samples - 1.0));
        let gaps = self.domain.intervals().iter().flat_map(|&(low, high)| [low, high]);
        let places = places.filter(|&x| of_domain(x)).chain(gaps.filter(|x| (x - middle).abs() <= INSIDE * half));
        let inside = places.map(at).fold(0.0, f64::max);
        let beyond = [self.beyond(&slope.value(&ends[0]), false), self.beyond(&slope.value(&ends[1]), true)];
        NoiseGain {
            at_ends: ends.map(|end| to_f64(&slope.value(&end))),
            inside,
            overshoot: beyond.into_iter().flatten().min_by(f64::total_cmp),
        }
    }

    /// How far beyond the upper or the lower end of the hull the error is twice the largest; `slope` is the polynomial's
    /// there.
    fn beyond(&self, slope: &Real, upper: bool) -> Option<f64> {
        let (low, high) = self.domain.hull();
        let end = if upper { high } else { low };
        let width = high - low;
        // Towards a jump or a pole at 0 there is no function to compare with.
        let jumps = matches!(self.function, Function::Step | Function::Sign | Function::Reciprocal);
        let towards_zero = jumps && (end > 0.0) != upper;
        let most = real(if towards_zero { width.min(0.999 * end.abs()) } else { width }, self.bits);
        let twice = &self.error * Real::from(2u8);
        let exceeds = |beyond: &Real| {
            let end = real(end, self.bits);
            let x = if upper { end + beyond } else { end - beyond };
            let value = self.function.jet(&x, x > Real::ZERO)[0].clone();
            abs(&(value - self.series.value(&x))) >= twice
        };
        let start = (&twice / (abs(slope) + Real::ONE)).min(most.clone());
        first_beyond(start, most, exceeds).map(|beyond| to_f64(&beyond))
    }
}

/// Where the derivative of a function's polynomial, of degree 127 at most, is looked at.
const FUNCTION_SAMPLES: usize = 2048;
/// Bits for that.
const GAIN_BITS: usize = 128;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::minimax::{DEFAULT_BITS, Domain, Epsilon, Method, paper_set};

    fn paper(alpha: u32) -> Composite {
        let set = paper_set(alpha).unwrap();
        Composite::design(set.degrees, &Epsilon::Given(set.epsilon), DEFAULT_BITS).unwrap()
    }

    fn best(degrees: &[u32]) -> Composite {
        Composite::design(degrees, &Epsilon::Best, DEFAULT_BITS).unwrap()
    }

    fn two_to(power: i32) -> Real {
        real(2f64.powi(power), DEFAULT_BITS)
    }

    /// Gains and overshoots that explain what was measured on OpenFHE's ciphertexts; there, the error at the overshoot is
    /// twice 2^−α instead of twice the ReLU error. Then log2 of the error at 1 + 2^−15 and 1 + 2^−10.
    #[test]
    fn gains_and_overshoots_are_those_known_from_ciphertexts() {
        let known = [
            (paper(7), 7, "-3.4", "2.1", "-9.2", ["-7.1", "-6.4"]),
            (paper(10), 10, "-8.7", "2.1", "-13.3", ["-9.8", "-4.6"]),
            (paper(13), 13, "-16.4", "1.9", "-17.0", ["-8.8", "0.0"]),
            (paper(14), 14, "-26.0", "2.3", "-18.7", ["-6.7", "0.0"]),
            (best(&[15, 27, 29]), 14, "-38.6", "2.9", "-19.5", ["-6.3", "0.0"]),
            (best(&[3, 3, 5, 5, 5, 5, 5]), 14, "-7.7", "1.5", "-17.2", ["-10.7", "0.0"]),
            (best(&[27, 27, 27]), 14, "-75.4", "3.0", "-20.2", ["-2.0", "0.0"]),
        ];
        for (composite, alpha, at_one, inside, overshoot, errors) in known {
            let gain = composite.noise_gain();
            let beyond = to_f64(&composite.overshoot(&two_to(1 - alpha)).unwrap());
            let error_at = |power: i32| {
                let x = Real::ONE + two_to(power);
                to_f64(&abs(&((composite.sign(&x) - Real::ONE) * x / Real::from(2u8)))).log2()
            };
            let one_digit = |x: f64| format!("{x:.1}");
            let found = [gain.at_ends[1], gain.inside, beyond.log2(), error_at(-15), error_at(-10)].map(one_digit);
            assert_eq!(found, [at_one, inside, overshoot, errors[0], errors[1]], "{:?}", composite.degrees());
            assert!((gain.at_ends[0] + gain.at_ends[1] - 1.0).abs() < 1e-12);
        }
    }

    /// f64 on Chebyshev series against the precision of the design, also at degrees whose monomials f64 does not hold.
    #[test]
    fn f64_is_enough_for_the_gain() {
        for composite in
            [paper(4), paper(14), best(&[27, 27, 27]), best(&[63, 63]), best(&[7, 15, 31, 63]), best(&[127])]
        {
            let series = Series64::of(&composite);
            for i in 0..=400 {
                let x = if i < 200 { (f64::from(i) + 0.37) / 200.0 } else { (-f64::from(i - 200) / 10.0).exp2() };
                let slope = to_f64(&composite.relu_slope(&real(x, DEFAULT_BITS)));
                let (exact, found) = (slope.abs().max((1.0 - slope).abs()), series.at(x).gain);
                assert!((found - exact).abs() <= 1e-9 * exact, "{:?} at {x}: {found} {exact}", composite.degrees());
            }
        }
    }

    /// A central difference in the precision of the design.
    #[test]
    fn the_slope_is_that_of_differences() {
        let (composite, step) = (paper(10), two_to(-80));
        let r = |x: &Real| (x + x * composite.sign(x)) / Real::from(2u8);
        for x in [-1.0, -0.3, 0.001, 0.7, 1.0] {
            let x = real(x, DEFAULT_BITS);
            let difference = (r(&(&x + &step)) - r(&(&x - &step))) / (&step + &step);
            assert!(abs(&(difference - composite.relu_slope(&x))) < two_to(-70));
        }
    }

    /// No sample between the samples is above what is reported.
    #[test]
    fn the_gain_inside_is_the_largest() {
        for composite in [paper(7), paper(14), best(&[3, 3, 5, 5, 5, 5, 5])] {
            let (inside, series) = (composite.noise_gain().inside, Series64::of(&composite));
            let most = (1..200_000).map(|i| series.at(INSIDE * f64::from(i) / 200_000.0).gain).fold(0.0, f64::max);
            assert!(most <= inside * (1.0 + 1e-6) && most > 0.98 * inside, "{most} {inside}");
        }
    }

    /// With a margin the ends are inside, and what the design is made for is what is forgiven at least.
    #[test]
    fn a_margin_lowers_the_gain_at_the_ends_and_costs_next_to_nothing() {
        let epsilon = Epsilon::Best;
        for degrees in [&[7, 7, 13][..], &[15, 27, 29], &[3, 3, 5, 5, 5, 5, 5]] {
            let plain = best(degrees);
            for margin in [0.0078125, 0.01, 0.25] {
                let wide = Composite::with_margin(degrees, &epsilon, margin, DEFAULT_BITS).unwrap();
                // The same polynomials in x/(1+m): the error is 1+m times as large, and so is ε.
                assert!((to_f64(&(&wide.relu_error / &plain.relu_error)) / (1.0 + margin) - 1.0).abs() < 1e-9);
                assert!((wide.epsilon / plain.epsilon / (1.0 + margin) - 1.0).abs() < 1e-9);
                let (wide_gain, plain_gain) = (wide.noise_gain(), plain.noise_gain());
                assert!(wide_gain.overshoot.unwrap() > margin, "{wide_gain:?}");
                let largest = wide.samples().iter().map(|sample| sample.gain).fold(0.0, f64::max);
                assert!(largest < 3.3 && largest < plain_gain.at_ends[0], "{degrees:?} {margin}: {largest}");
                let worst = wide.samples().iter().map(|sample| sample.error).fold(0.0, f64::max);
                assert!(worst <= to_f64(&wide.relu_error) * (1.0 + 1e-9));
            }
        }
    }

    fn gain_of(function: Function, intervals: &[(f64, f64)], degree: u32) -> NoiseGain {
        let domain = Domain::new(intervals.to_vec()).unwrap();
        Approximation::design(function, &domain, degree, Method::Minimax, 128).unwrap().noise_gain()
    }

    /// x² + 1/8 is the best parabola for |x| on [−1, 1], with error 1/8: x² − x = 1/8 at x = (1 + √(3/2))/2. For the step
    /// with one degree on [−2, −1] ∪ [1, 2] it is x/3 + 1/2, with error 1/6; nowhere within the gap is it twice that.
    #[test]
    fn gains_of_functions_are_those_by_hand() {
        let parabola = gain_of(Function::Abs, &[(-1.0, 1.0)], 2);
        assert!((parabola.at_ends[0] + 2.0).abs() < 1e-12 && (parabola.at_ends[1] - 2.0).abs() < 1e-12);
        assert!((parabola.inside - 1.98).abs() < 1e-12);
        // x² − x + 1/8 = 1/4.
        let beyond = (1.0 + 1.5f64.sqrt()) / 2.0 - 1.0;
        assert!((parabola.overshoot.unwrap() - beyond).abs() < 1e-6, "{parabola:?} {beyond}");
        let line = gain_of(Function::Step, &[(-2.0, -1.0), (1.0, 2.0)], 1);
        assert!((line.inside - 1.0 / 3.0).abs() < 1e-12 && (line.at_ends[1] - 1.0 / 3.0).abs() < 1e-12);
        assert!((line.overshoot.unwrap() - 0.5).abs() < 1e-6, "{line:?}");
    }

    /// Functions with a pole or a jump at 0 are not asked beyond it.
    #[test]
    fn the_overshoot_stops_before_a_pole() {
        let gain = gain_of(Function::Reciprocal, &[(1.0, 3.0)], 4);
        assert!(gain.overshoot.is_some_and(|beyond| beyond > 0.0 && beyond < 1.0), "{gain:?}");
        for function in [Function::Reciprocal, Function::Step, Function::Sign] {
            let gain = gain_of(function, &[(-4.0, -0.5), (0.25, 4.0)], 9);
            assert!(gain.inside > 0.0 && gain.overshoot.is_some(), "{function}: {gain:?}");
        }
    }
}
