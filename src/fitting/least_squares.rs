//! The polynomial of least weighted squares under a density, which keeps near the function on the whole range as well.
//!
//! With t from −1 to 1 over the range, p = Σ c_k·T_k(t) has the least (1 − λ)·E[w·(p − f)²] + λ·∫(p − f)²/(π√(1 − t²)) dt among the
//! polynomials of its degree whose mean error under the density is zero. The second term is the mean under Chebyshev's measure, in
//! which the T_k are orthogonal: the normal equations in this basis have a condition of at most 2/λ, so that their Cholesky
//! decomposition loses no digit that matters.

use nalgebra::{Cholesky, DMatrix, DVector};

use super::density::{Bin, Density};
use super::moments::{Interval, Moments};
use super::target::Target;

/// Steps by which the share of the whole range is settled where the guard asks for a larger one.
const STEPS: usize = 12;
/// Points at which errors are looked at, for each coefficient.
const POINTS: usize = 24;

/// What is fitted.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Fitting {
    pub target: Target,
    /// At least 1.
    pub degree: u32,
    /// λ, the share of the whole range beside the density, above 0 and at most 1.
    pub share: f64,
    /// The most that the polynomial may stray anywhere on the range, as a part of half its width; infinity for no limit.
    pub guard: f64,
}

/// A polynomial that was fitted.
#[derive(Debug, Clone, PartialEq)]
pub struct Fit {
    /// The ends of the range.
    pub range: [f64; 2],
    /// c_0, c_1, … of the Chebyshev polynomials over the range.
    pub coefficients: Vec<f64>,
    /// λ, which is larger than asked for where the guard needed it.
    pub share: f64,
    pub certificate: Certificate,
}

/// How far a polynomial is from its function.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Certificate {
    /// The root of the mean square error under the density; on the whole range, under Chebyshev's measure, where nothing was met.
    pub rms: f64,
    /// The mean error under the same.
    pub mean: f64,
    /// The largest absolute error on the whole range.
    pub worst: f64,
}

/// Why nothing could be fitted.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum FitError {
    #[error(
        "a polynomial of degree {degree} strays by {least:.2e} of half the range at least, and {guard:.2e} is allowed"
    )]
    Guard { degree: u32, least: f64, guard: f64 },
    #[error(
        "so small a share of the whole range, {share:e}, leaves the polynomial undetermined where there are no values"
    )]
    Undetermined { share: f64 },
}

impl Fitting {
    /// The fit to `density` on [`low`, `high`], `low` < `high`. Values beyond are left out.
    ///
    /// # Errors
    /// [`FitError`]: no fit keeps within the guard, or none is determined.
    pub fn fit(&self, density: &Density, range: [f64; 2]) -> Result<Fit, FitError> {
        self.fit_as(density, range, |bin| bin.weight, |_| 0.0)
    }

    /// The same to other values than those of the function: the weights of `pairs` are what these are above them, and all values
    /// count alike.
    ///
    /// # Errors
    /// As [`Fitting::fit`].
    pub fn fit_pairs(&self, pairs: &Density, range: [f64; 2]) -> Result<Fit, FitError> {
        self.fit_as(pairs, range, |bin| bin.count as f64, |bin| bin.weight / bin.count as f64)
    }

    fn fit_as(
        &self,
        density: &Density,
        range: [f64; 2],
        weight: fn(&Bin) -> f64,
        shift: fn(&Bin) -> f64,
    ) -> Result<Fit, FitError> {
        let &Fitting { target, degree, share, guard } = self;
        let interval = Interval::new(range);
        let of_bins = |weight: fn(&Bin) -> f64| {
            Moments::of_bins(density.bins(), weight, shift, target, interval, degree as usize)
        };
        let whole = Moments::of_chebyshev(target, interval, degree as usize);
        // What nothing is known of is alike everywhere.
        let counted = of_bins(|bin| bin.count as f64).unwrap_or_else(|| whole.clone());
        let weighted = of_bins(weight).unwrap_or_else(|| counted.clone());
        let with = |share: f64| -> Result<Fit, FitError> {
            let coefficients =
                solved(&weighted.mixed(share, &whole), &counted).ok_or(FitError::Undetermined { share })?;
            let certificate = self.certificate(&coefficients, interval, &counted);
            Ok(Fit { range, coefficients, share, certificate })
        };
        let keeps = |fit: &Fit| fit.certificate.worst <= guard * interval.half;
        let free = with(share)?;
        if keeps(&free) {
            return Ok(free);
        }
        let mut best = with(1.0)?;
        if !keeps(&best) {
            return Err(FitError::Guard { degree, least: best.certificate.worst / interval.half, guard });
        }
        let (mut too_small, mut enough) = (share.ln(), 0.0);
        for _ in 0..STEPS {
            let middle = f64::midpoint(too_small, enough);
            let fit = with(middle.exp())?;
            if keeps(&fit) {
                (enough, best) = (middle, fit);
            } else {
                too_small = middle;
            }
        }
        Ok(best)
    }

    fn certificate(&self, coefficients: &[f64], interval: Interval, counted: &Moments) -> Certificate {
        let c = DVector::from_column_slice(coefficients);
        let square = (gram(counted, coefficients.len()) * &c).dot(&c) - 2.0 * dot(coefficients, &counted.of_products)
            + counted.of_square;
        let mean = dot(coefficients, &counted.of_polynomials) - counted.of_products[0];
        Certificate { rms: square.max(0.0).sqrt(), mean, worst: self.worst(coefficients, interval) }
    }

    /// The largest error on the interval: between the points that are looked at, where a parabola through three of them peaks.
    fn worst(&self, coefficients: &[f64], interval: Interval) -> f64 {
        let error = |t: f64| (value(coefficients, t) - self.target.value(interval.centre + interval.half * t)).abs();
        let count = POINTS * coefficients.len();
        let errors: Vec<f64> =
            (0..=count).map(|i| error((std::f64::consts::PI * i as f64 / count as f64).cos())).collect();
        let at_kinks = self.target.kinks().map(|x| interval.place(x)).filter(|t| t.abs() < 1.0).map(error);
        let peaks = errors.windows(3).filter(|three| three[1] >= three[0].max(three[2])).map(|three| {
            let (slope, bend) = ((three[2] - three[0]) / 2.0, three[0] - 2.0 * three[1] + three[2]);
            if bend < 0.0 { three[1] - slope * slope / (2.0 * bend) } else { three[1] }
        });
        peaks.chain(at_kinks).chain([errors[0], errors[count]]).fold(0.0, f64::max)
    }
}

/// The coefficients with the least mean square of p − f under `moments` of those whose mean error under `counted` is zero.
fn solved(moments: &Moments, counted: &Moments) -> Option<Vec<f64>> {
    let length = moments.of_products.len();
    let cholesky = Cholesky::new(gram(moments, length))?;
    let free = cholesky.solve(&DVector::from_column_slice(&moments.of_products));
    let means = DVector::from_column_slice(&counted.of_polynomials[..length]);
    let shift = cholesky.solve(&means);
    let excess = means.dot(&free) - counted.of_products[0];
    let solved = free - &shift * (excess / means.dot(&shift));
    solved.iter().all(|c| c.is_finite()).then(|| solved.iter().copied().collect())
}

/// The means of T_j·T_k = (T_{j+k} + T_{|j−k|})/2.
fn gram(moments: &Moments, length: usize) -> DMatrix<f64> {
    let means = &moments.of_polynomials;
    DMatrix::from_fn(length, length, |j, k| f64::midpoint(means[j + k], means[j.abs_diff(k)]))
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// Σ c_k·T_k(t), by Clenshaw's recurrence.
fn value(coefficients: &[f64], t: f64) -> f64 {
    let (mut last, mut before) = (0.0, 0.0);
    for &c in coefficients.iter().skip(1).rev() {
        (last, before) = (c + 2.0 * t * last - before, last);
    }
    coefficients[0] + t * last - before
}

#[cfg(test)]
mod tests {
    use super::*;

    const FREE: Fitting = Fitting { target: Target::Relu, degree: 7, share: 1e-3, guard: f64::INFINITY };

    /// Values of a normal distribution, by its quantiles.
    fn normal(count: usize, centre: f32, deviation: f32) -> Density {
        let mut density = Density::default();
        // The logistic distribution is near enough, and its quantiles are a formula.
        density.add((0..count).map(|i| {
            let share = (i as f32 + 0.5) / count as f32;
            centre + deviation * 0.55 * (share / (1.0 - share)).ln()
        }));
        density
    }

    /// Mean of a function under a density that is even within bins, by many points in each.
    fn mean(density: &Density, function: impl Fn(f64) -> f64) -> f64 {
        const POINTS: usize = 200;
        let of_bin = |bin: Bin| {
            let at = |i: usize| bin.low + (bin.high - bin.low) * (i as f64 + 0.5) / POINTS as f64;
            bin.count as f64 * (0..POINTS).map(|i| function(at(i))).sum::<f64>() / POINTS as f64
        };
        density.bins().map(of_bin).sum::<f64>() / density.values() as f64
    }

    fn error(fit: &Fit, target: Target, x: f64) -> f64 {
        value(&fit.coefficients, Interval::new(fit.range).place(x)) - target.value(x)
    }

    #[test]
    fn the_certificate_is_that_of_numerical_integration() {
        for (target, range) in [(Target::Relu, [-4.0, 9.0]), (Target::Relu6, [-9.0, 14.0])] {
            for degree in [1, 7, 31, 127] {
                let density = normal(2000, 0.3, 0.8);
                let fit = Fitting { target, degree, ..FREE }.fit(&density, range).unwrap();
                let square = mean(&density, |x| error(&fit, target, x).powi(2));
                assert!((fit.certificate.rms - square.sqrt()).abs() < 1e-4 * (1e-3 + square.sqrt()), "{degree}");
                assert!(mean(&density, |x| error(&fit, target, x)).abs() < 1e-6, "{degree}");
                assert!(fit.certificate.mean.abs() < 1e-12, "{degree}: {:?}", fit.certificate);
                let [low, high] = range;
                let points = (0..=200_000).map(|i| low + (high - low) * f64::from(i) / 200_000.0);
                let worst = points.map(|x| error(&fit, target, x).abs()).fold(0.0, f64::max);
                assert!(
                    (fit.certificate.worst / worst - 1.0).abs() < 2e-3,
                    "{degree}: {} {worst}",
                    fit.certificate.worst
                );
            }
        }
    }

    /// No small change of the coefficients that keeps the mean makes the objective smaller.
    #[test]
    fn no_other_polynomial_is_better() {
        let density = normal(3000, -0.2, 1.0);
        let range = [-6.0, 9.0];
        let (fitting, interval) = (Fitting { share: 0.01, ..FREE }, Interval::new([-6.0, 9.0]));
        let fit = fitting.fit(&density, range).unwrap();
        let whole = |c: &[f64]| {
            let at =
                |i: usize| interval.centre + interval.half * (std::f64::consts::PI * (i as f64 + 0.5) / 4000.0).cos();
            let square = |x: f64| (value(c, interval.place(x)) - Target::Relu.value(x)).powi(2);
            (0..4000).map(|i| square(at(i))).sum::<f64>() / 4000.0
        };
        let objective = |c: &[f64]| {
            let under = mean(&density, |x| (value(c, interval.place(x)) - Target::Relu.value(x)).powi(2));
            0.99 * under + 0.01 * whole(c)
        };
        let least = objective(&fit.coefficients);
        for k in 1..=7 {
            for step in [-1e-3, 1e-3] {
                let mut other = fit.coefficients.clone();
                other[k] += step;
                other[0] -= step * mean(&density, |x| chebyshev(k, interval.place(x)));
                assert!(objective(&other) > least, "{k} {step}");
            }
        }
    }

    fn chebyshev(k: usize, t: f64) -> f64 {
        (k as f64 * t.acos()).cos()
    }

    #[test]
    fn it_is_better_where_the_values_are_than_chebyshev_s_weight() {
        let density = normal(10_000, 0.0, 1.0);
        let range = [-12.0, 12.0];
        let rms = |share| Fitting { share, ..FREE }.fit(&density, range).unwrap().certificate.rms;
        assert!(rms(1e-3) < 0.7 * rms(1.0), "{} {}", rms(1e-3), rms(1.0));
    }

    #[test]
    fn the_guard_holds_and_costs_as_little_as_it_must() {
        let density = normal(10_000, 0.0, 0.5);
        let range = [-12.0, 12.0];
        let free = Fitting { share: 1e-6, ..FREE }.fit(&density, range).unwrap();
        let guarded = |guard| Fitting { share: 1e-6, guard, ..FREE }.fit(&density, range);
        assert!(free.certificate.worst > 0.2 * 12.0, "{:?}", free.certificate);
        let mut before = free.certificate.rms;
        for guard in [0.2, 0.1, 0.06] {
            let fit = guarded(guard).unwrap();
            let worst = fit.certificate.worst / 12.0;
            assert!(worst <= guard && worst > 0.9 * guard, "{worst} for {guard}");
            assert!(fit.certificate.rms > before && fit.share > 1e-6);
            before = fit.certificate.rms;
        }
        let text = guarded(1e-3).unwrap_err().to_string();
        assert!(text.contains("degree 7 strays by") && text.contains("1.00e-3 is allowed"), "{text}");
    }

    #[test]
    fn whatever_was_met_there_is_a_fit() {
        let mut constant = Density::default();
        constant.add([0.25; 1000]);
        let mut zeros = Density::default();
        zeros.add([0.0; 10]);
        for density in [Density::default(), constant, zeros, normal(5, 100.0, 1.0)] {
            for degree in [1, 15, 127] {
                let fit = Fitting { degree, ..FREE }.fit(&density, [-1.0, 2.0]).unwrap();
                assert!(fit.certificate.mean.abs() < 1e-9 && fit.certificate.worst < 2.0, "{:?}", fit.certificate);
            }
        }
    }

    /// Noise that has no mean changes nothing, and what the inputs lost comes back.
    #[test]
    fn pairs_are_fitted_to_what_they_are_paired_with() {
        let values: Vec<f32> = (0..4000).map(|i| ((i * 37 % 4000) as f32 - 2000.0) / 1000.0).collect();
        let fitting = Fitting { degree: 15, ..FREE };
        let fit = |above: &dyn Fn(f32) -> f32| {
            let mut pairs = Density::default();
            pairs.add_weighted(values.iter().map(|&x| (x, above(x))));
            fitting.fit_pairs(&pairs, [-2.5, 2.5]).unwrap()
        };
        let mut plain = Density::default();
        plain.add(values.iter().copied());
        let expected = fitting.fit(&plain, [-2.5, 2.5]).unwrap();
        let near = |a: &Fit, b: &[f64], most: f64| a.coefficients.iter().zip(b).all(|(a, b)| (a - b).abs() < most);
        assert!(near(&fit(&|_| 0.0), &expected.coefficients, 1e-12));
        let raised = fit(&|_| 0.25);
        // Where there are values; beyond them the whole range holds the polynomial to the function.
        for t in (-60..=60).map(|i| f64::from(i) / 100.0) {
            let above = value(&raised.coefficients, t) - value(&expected.coefficients, t);
            assert!((above - 0.25).abs() < 0.03, "{t}: {above}");
        }
        assert!(raised.certificate.mean.abs() < 1e-12);
    }

    /// Known coefficients: of |t|, cut off, under Chebyshev's measure alone.
    #[test]
    fn without_a_density_it_is_the_chebyshev_expansion() {
        let fit = Fitting { share: 1.0, degree: 6, ..FREE }.fit(&Density::default(), [-2.0, 2.0]).unwrap();
        let pi = std::f64::consts::PI;
        let expected = [2.0 / pi, 1.0, 4.0 / (3.0 * pi), 0.0, -4.0 / (15.0 * pi), 0.0, 4.0 / (35.0 * pi)];
        for (found, expected) in fit.coefficients.iter().zip(expected) {
            assert!((found - expected).abs() < 1e-12, "{:?}", fit.coefficients);
        }
    }
}
