//! What least squares needs of a density and of a function: the means of Chebyshev polynomials, and of their products with the
//! function.
//!
//! A density is even within a bin, and the function a line there, so that all means are known in closed form:
//! ∫T_k = T_{k+1}/(2(k+1)) − T_{k−1}/(2(k−1)) and t·T_k = (T_{k+1} + T_{|k−1|})/2.

use std::f64::consts::PI;

use super::density::Bin;
use super::target::{Line, Target};

/// Below this width a bin is taken for a point: the difference of two integrals would have lost more digits.
const POINT: f64 = 1e-8;

/// Means under a measure of total weight 1, in t ∈ [−1, 1].
#[derive(Debug, Clone)]
pub(super) struct Moments {
    /// Of T_0, T_1, …, up to twice the degree.
    pub of_polynomials: Vec<f64>,
    /// Of f·T_0, f·T_1, …, up to the degree.
    pub of_products: Vec<f64>,
    /// Of f².
    pub of_square: f64,
}

/// x = centre + half·t.
#[derive(Debug, Clone, Copy)]
pub(super) struct Interval {
    pub centre: f64,
    pub half: f64,
}

impl Interval {
    pub fn new([low, high]: [f64; 2]) -> Interval {
        Interval { centre: f64::midpoint(low, high), half: (high - low) / 2.0 }
    }

    /// Where x is in [−1, 1].
    pub fn place(self, x: f64) -> f64 {
        (x - self.centre) / self.half
    }

    /// The line as one over t.
    fn line(self, line: Line) -> [f64; 2] {
        [line.intercept + line.slope * self.centre, line.slope * self.half]
    }
}

impl Moments {
    fn none(degree: usize) -> Moments {
        Moments { of_polynomials: vec![0.0; 2 * degree + 1], of_products: vec![0.0; degree + 1], of_square: 0.0 }
    }

    /// Under the weights of `bins`, cut off at the ends of `interval`, of the target and in each bin what `shift` adds to it; `None`
    /// if nothing there has a weight.
    pub fn of_bins(
        bins: impl Iterator<Item = Bin>,
        weight: impl Fn(&Bin) -> f64,
        shift: impl Fn(&Bin) -> f64,
        target: Target,
        interval: Interval,
        degree: usize,
    ) -> Option<Moments> {
        let mut moments = Moments::none(degree);
        let mut total = 0.0;
        let (low, high) = (interval.centre - interval.half, interval.centre + interval.half);
        for bin in bins {
            let weight = weight(&bin);
            let (from, to) = (bin.low.max(low), bin.high.min(high));
            if from > to || weight <= 0.0 {
                continue;
            }
            for line in target.between(from, to) {
                let share = if to > from { (line.high - line.low) / (bin.high - bin.low) } else { 1.0 };
                let line = Line { intercept: line.intercept + shift(&bin), ..line };
                moments.add(line, interval, weight * share);
                total += weight * share;
            }
        }
        (total > 0.0).then(|| moments.scaled(1.0 / total))
    }

    /// Under Chebyshev's measure dt/(π√(1 − t²)): with t = cos θ, dθ/π on [0, π].
    pub fn of_chebyshev(target: Target, interval: Interval, degree: usize) -> Moments {
        let mut moments = Moments::none(degree);
        moments.of_polynomials[0] = 1.0;
        for line in target.between(interval.centre - interval.half, interval.centre + interval.half) {
            let [from, to] = [line.high, line.low].map(|x| interval.place(x).clamp(-1.0, 1.0).acos());
            let [intercept, slope] = interval.line(line);
            // The mean of T_k over the piece.
            let mean = |k: usize| match k {
                0 => (to - from) / PI,
                _ => ((k as f64 * to).sin() - (k as f64 * from).sin()) / (k as f64 * PI),
            };
            let times = |k: usize| f64::midpoint(mean(k + 1), mean(k.abs_diff(1)));
            for (k, product) in moments.of_products.iter_mut().enumerate() {
                *product += intercept * mean(k) + slope * times(k);
            }
            moments.of_square += intercept * intercept * mean(0)
                + 2.0 * intercept * slope * mean(1)
                + slope * slope * f64::midpoint(mean(0), mean(2));
        }
        moments
    }

    /// (1 − share)·`self` + share·`other`.
    pub fn mixed(&self, share: f64, other: &Moments) -> Moments {
        let mix = |a: f64, b: f64| (1.0 - share) * a + share * b;
        let all = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(&a, &b)| mix(a, b)).collect();
        Moments {
            of_polynomials: all(&self.of_polynomials, &other.of_polynomials),
            of_products: all(&self.of_products, &other.of_products),
            of_square: mix(self.of_square, other.of_square),
        }
    }

    fn scaled(mut self, factor: f64) -> Moments {
        self.of_polynomials.iter_mut().chain(&mut self.of_products).for_each(|moment| *moment *= factor);
        self.of_square *= factor;
        self
    }

    /// Add those of an even density of this weight on a line.
    fn add(&mut self, line: Line, interval: Interval, weight: f64) {
        let (a, b) = (interval.place(line.low), interval.place(line.high));
        let [intercept, slope] = interval.line(line);
        let means = Means::new(a, b, self.of_polynomials.len() + 1);
        for (moment, mean) in self.of_polynomials.iter_mut().zip(&means.0) {
            *moment += weight * mean;
        }
        for (k, product) in self.of_products.iter_mut().enumerate() {
            *product +=
                weight * (intercept * means.0[k] + slope * f64::midpoint(means.0[k + 1], means.0[k.abs_diff(1)]));
        }
        self.of_square += weight
            * (intercept * intercept
                + 2.0 * intercept * slope * means.0[1]
                + slope * slope * f64::midpoint(1.0, means.0[2]));
    }
}

/// The means of T_0, T_1, … over [a, b].
struct Means(Vec<f64>);

impl Means {
    /// The first `count`, at least three.
    fn new(a: f64, b: f64, count: usize) -> Means {
        let polynomials = |t: f64| {
            let mut all = vec![1.0, t];
            for k in 2..=count {
                all.push(2.0 * t * all[k - 1] - all[k - 2]);
            }
            all
        };
        if b - a < POINT {
            return Means(polynomials(f64::midpoint(a, b)));
        }
        let (at_a, at_b) = (polynomials(a), polynomials(b));
        let integral = |k: usize, at: &[f64]| match k {
            0 => at[1],
            1 => at[2] / 4.0,
            _ => at[k + 1] / (2.0 * (k as f64 + 1.0)) - at[k - 1] / (2.0 * (k as f64 - 1.0)),
        };
        Means((0..count).map(|k| (integral(k, &at_b) - integral(k, &at_a)) / (b - a)).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// By Simpson's rule between the kinks.
    fn mean(function: impl Fn(f64) -> f64, low: f64, high: f64) -> f64 {
        let steps = 4000;
        let at = |i: usize| function(low + (high - low) * i as f64 / steps as f64);
        let inner: f64 = (1..steps).map(|i| if i % 2 == 1 { 4.0 * at(i) } else { 2.0 * at(i) }).sum();
        (at(0) + inner + at(steps)) / (3.0 * steps as f64)
    }

    fn chebyshev(k: usize, t: f64) -> f64 {
        (k as f64 * t.clamp(-1.0, 1.0).acos()).cos()
    }

    const DEGREE: usize = 9;

    #[test]
    fn means_over_bins_are_those_of_numerical_integration() {
        let interval = Interval::new([-3.0, 8.0]);
        let bins = [[-2.0, -1.5], [-0.1, -1e-4], [0.0, 0.0], [0.5, 1.0], [5.75, 6.5]];
        let bin = |(i, [low, high]): (usize, [f64; 2])| Bin { low, high, count: 1, weight: 1.0 + i as f64 };
        let bins: Vec<Bin> = bins.into_iter().enumerate().map(bin).collect();
        let total: f64 = bins.iter().map(|bin| bin.weight).sum();
        for target in [Target::Relu, Target::Relu6] {
            let moments =
                Moments::of_bins(bins.iter().copied(), |bin| bin.weight, |_| 0.0, target, interval, DEGREE).unwrap();
            let expected = |function: &dyn Fn(f64) -> f64| {
                let of_bin = |bin: &Bin| {
                    let parts = [[bin.low, bin.high.min(6.0)], [bin.low.max(6.0), bin.high]];
                    let parts =
                        parts.into_iter().filter(|[low, high]| low < high || bin.low == bin.high && low == high);
                    let part = |[low, high]: [f64; 2]| match low == high {
                        true => function(low),
                        false => mean(function, low, high) * (high - low) / (bin.high - bin.low),
                    };
                    bin.weight * if bin.low == bin.high { function(bin.low) } else { parts.map(part).sum::<f64>() }
                };
                bins.iter().map(of_bin).sum::<f64>() / total
            };
            for k in 0..=2 * DEGREE {
                let exact = expected(&|x| chebyshev(k, interval.place(x)));
                assert!((moments.of_polynomials[k] - exact).abs() < 1e-9, "{target:?} T_{k}");
            }
            for k in 0..=DEGREE {
                let exact = expected(&|x| target.value(x) * chebyshev(k, interval.place(x)));
                assert!((moments.of_products[k] - exact).abs() < 1e-9, "{target:?} f·T_{k}");
            }
            assert!((moments.of_square - expected(&|x| target.value(x).powi(2))).abs() < 1e-8);
        }
    }

    #[test]
    fn means_under_chebyshev_s_measure_are_those_of_numerical_integration() {
        for target in [Target::Relu, Target::Relu6] {
            let interval = Interval::new([-3.0, 8.0]);
            let moments = Moments::of_chebyshev(target, interval, DEGREE);
            let angles = [8.0, 6.0, 0.0, -3.0].map(|x| interval.place(x).clamp(-1.0, 1.0).acos());
            let expected = |function: &dyn Fn(f64) -> f64| {
                let of_angle = |angle: f64| function(interval.centre + interval.half * angle.cos());
                angles.windows(2).map(|ends| mean(of_angle, ends[0], ends[1]) * (ends[1] - ends[0]) / PI).sum::<f64>()
            };
            for k in 0..=DEGREE {
                let exact = expected(&|x| target.value(x) * chebyshev(k, interval.place(x)));
                assert!((moments.of_products[k] - exact).abs() < 1e-9, "{target:?} f·T_{k}");
            }
            assert!((moments.of_square - expected(&|x| target.value(x).powi(2))).abs() < 1e-9);
        }
    }

    /// From both sides of the width below which a bin is a point.
    #[test]
    fn narrow_bins_lose_no_digits_that_matter() {
        for width in [1e-6, 1.01e-8, 0.99e-8, 1e-12, 0.0] {
            for t in [-0.999, 0.3] {
                let means = Means::new(t, t + width, 65);
                for k in 0..64 {
                    assert!((means.0[k] - chebyshev(k, t + width / 2.0)).abs() < 1e-6, "{width} T_{k}");
                }
            }
        }
    }

    #[test]
    fn nothing_has_no_moments() {
        let interval = Interval::new([-1.0, 1.0]);
        let outside = Bin { low: 2.0, high: 3.0, count: 5, weight: 5.0 };
        assert!(
            Moments::of_bins([outside].into_iter(), |bin| bin.weight, |_| 0.0, Target::Relu, interval, 3).is_none()
        );
    }
}
