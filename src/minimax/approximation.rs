//! One polynomial for one function on a union of intervals: the best one, or one of those that are usual instead.

use std::fmt;

use super::composite::MAX_DEGREE;
use super::cost::{self, Cost};
use super::domain::Domain;
use super::exchange::{LEVEL_BITS, Levelled, Unlevelled, exchange, parity};
use super::extrema::{extrema, pieces};
use super::function::{Function, FunctionError};
use super::least_squares::{interpolant, least_squares};
use super::real::{Real, abs, decimal, real};
use super::series::{Series, magnitude};

/// The most bits that are tried, unless more are asked for.
const MAX_BITS: usize = 1 << 13;

/// How the polynomial is chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Method {
    /// The least max |f − p|.
    #[default]
    Minimax,
    /// Equal to the function at the zeros of a Chebyshev polynomial.
    Chebyshev,
    /// The least ∫ (f − p)²/√(1 − t²) dt, t from −1 to 1 along the interval.
    LeastSquares,
}

/// A polynomial that approximates a function.
#[derive(Debug, Clone)]
pub struct Approximation {
    pub function: Function,
    pub domain: Domain,
    pub method: Method,
    /// The degree asked for. By symmetry the polynomial's own may be one less.
    pub degree: u32,
    /// The polynomial, in Chebyshev polynomials on the hull of the domain.
    pub series: Series,
    /// max |f − p| on the domain, found at its local extrema.
    pub error: Real,
    /// No polynomial of this degree has an error below this (de la Vallée-Poussin); of the best one only.
    pub lower_bound: Option<Real>,
    /// Where the error takes its extreme value, ascending; of the best one only. With one sign left out where two
    /// neighbours share it, degree + 2 or more alternate in sign.
    pub extrema: Vec<Real>,
    /// The precision it was computed with.
    pub bits: usize,
}

/// Why there is no approximation.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ApproximationError {
    #[error("degree {0} is out of reach; from 1 to {MAX_DEGREE} are possible")]
    Degree(u32),
    #[error("{0} bits of precision; from 64 to 65536 are possible")]
    Bits(usize),
    #[error(transparent)]
    Function(#[from] FunctionError),
    #[error("the method {method} takes a single interval, not {domain}; minimax takes any")]
    Intervals { method: Method, domain: Domain },
    #[error("the least-squares fit of {function} on {domain} needs too many nodes; take a shorter interval")]
    Nodes { function: Function, domain: Domain },
    #[error(
        "{function} on {domain}, degree {degree}: the exchange did not become level at {bits} bits; the error is between \
         {lower} and {upper}"
    )]
    NotLevel { function: Function, domain: Domain, degree: u32, bits: usize, lower: String, upper: String },
    #[error(
        "{function} on {domain}, degree {degree}: {bits} bits of precision do not show the error; a lower degree here is as \
         good"
    )]
    TooPrecise { function: Function, domain: Domain, degree: u32, bits: usize },
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Method::Minimax => "minimax",
            Method::Chebyshev => "chebyshev",
            Method::LeastSquares => "leastsq",
        })
    }
}

impl Approximation {
    /// The polynomial of at most `degree` for `function` on `domain`, computed with at least `bits` of precision and with
    /// as many more as the smallness of the error asks for.
    ///
    /// # Errors
    /// [`ApproximationError`]: a degree or precision out of reach, a function that cannot be approximated there, a union of
    /// intervals with a method that takes one, and errors too small for the bits.
    pub fn design(
        function: Function,
        domain: &Domain,
        degree: u32,
        method: Method,
        bits: usize,
    ) -> Result<Approximation, ApproximationError> {
        if !(1..=MAX_DEGREE).contains(&degree) {
            return Err(ApproximationError::Degree(degree));
        }
        if !(64..=65536).contains(&bits) {
            return Err(ApproximationError::Bits(bits));
        }
        function.check(domain)?;
        if method != Method::Minimax && domain.intervals().len() > 1 {
            return Err(ApproximationError::Intervals { method, domain: domain.clone() });
        }
        let most = MAX_BITS.max(bits);
        // Solving for n coefficients costs about as many bits.
        let mut bits = bits + 64 + 2 * degree as usize;
        let mut slow = None;
        for attempt in 0.. {
            if bits > most && attempt > 0 {
                break;
            }
            let found = match method {
                Method::Minimax => match exchange(function, domain, degree as usize, bits, attempt) {
                    Ok(levelled) => Some(best(function, domain, degree, bits, levelled)),
                    Err(Unlevelled::Hidden) => None,
                    Err(Unlevelled::Slow(lower, upper)) => {
                        slow = Some((bits, lower, upper));
                        None
                    }
                },
                Method::Chebyshev => Some(measured(
                    function,
                    domain,
                    degree,
                    method,
                    bits,
                    interpolant(function, domain, degree as usize, bits),
                )),
                Method::LeastSquares => {
                    let series = least_squares(function, domain, degree as usize, bits);
                    let missing = || ApproximationError::Nodes { function, domain: domain.clone() };
                    Some(measured(function, domain, degree, method, bits, series.ok_or_else(missing)?))
                }
            };
            match found {
                Some(approximation) if approximation.shows_in(bits) => return Ok(approximation),
                _ => bits *= 2,
            }
        }
        let domain = domain.clone();
        Err(match slow {
            Some((bits, lower, upper)) => {
                let (lower, upper) = (decimal(&lower, 6), decimal(&upper, 6));
                ApproximationError::NotLevel { function, domain, degree, bits, lower, upper }
            }
            None => ApproximationError::TooPrecise { function, domain, degree, bits: bits / 2 },
        })
    }

    /// Whether the error stands clear of the rounding of the values that it is the difference of.
    fn shows_in(&self, bits: usize) -> bool {
        let size = magnitude(self.series.coefficients()).unwrap_or(0);
        magnitude(std::slice::from_ref(&self.error))
            .is_some_and(|error| size - error + LEVEL_BITS + 16 <= bits as isize)
    }

    /// Depth and multiplications of the polynomial; what is c + s·x plus an even or odd polynomial counts as that.
    pub fn cost(&self) -> Cost {
        cost::polynomial(self.degree, parity(self.function, &self.domain))
    }
}

/// What the exchange found, on the whole domain.
fn best(function: Function, domain: &Domain, degree: u32, bits: usize, levelled: Levelled) -> Approximation {
    let Levelled { series, bounds: (error, lower), reference } = levelled;
    let mut extrema: Vec<Real> = Vec::new();
    if parity(function, domain) != super::Parity::Neither {
        extrema.extend(reference.iter().rev().filter(|x| **x != Real::ZERO).map(|x| -x.clone()));
    }
    extrema.extend(reference);
    let (domain, method, lower_bound) = (domain.clone(), Method::Minimax, Some(lower));
    Approximation { function, domain, method, degree, series, error, lower_bound, extrema, bits }
}

/// A polynomial with the largest of the local extrema of its error.
fn measured(
    function: Function,
    domain: &Domain,
    degree: u32,
    method: Method,
    bits: usize,
    series: Series,
) -> Approximation {
    /// Samples between two of degree + 2 extrema of a Chebyshev polynomial, near which those of the error are.
    const DENSITY: usize = 24;
    let (low, high) = domain.hull();
    let count = degree as usize + 1;
    let knot = |i: usize| {
        let fraction = 0.5 - 0.5 * (std::f64::consts::PI * i as f64 / count as f64).cos();
        real(low, bits) + real(fraction, bits) * (real(high, bits) - real(low, bits))
    };
    let knots: Vec<Real> = (1..count).map(knot).collect();
    let found = extrema(function, &series, &pieces(function, domain.intervals(), bits), &knots, DENSITY);
    let error = found.iter().map(|extremum| abs(&extremum.error)).fold(Real::ZERO, |a, b| if a < b { b } else { a });
    let domain = domain.clone();
    Approximation { function, domain, method, degree, series, error, lower_bound: None, extrema: Vec::new(), bits }
}

#[cfg(test)]
mod tests {
    use super::super::composite::DEFAULT_BITS;
    use super::super::real::{is_negative, to_f64};
    use super::*;
    use proptest::prelude::*;

    fn domain(intervals: &[(f64, f64)]) -> Domain {
        Domain::new(intervals.to_vec()).unwrap()
    }

    fn design(function: Function, intervals: &[(f64, f64)], degree: u32, method: Method) -> Approximation {
        Approximation::design(function, &domain(intervals), degree, method, DEFAULT_BITS).unwrap()
    }

    fn best(function: Function, intervals: &[(f64, f64)], degree: u32) -> Approximation {
        design(function, intervals, degree, Method::Minimax)
    }

    fn close(a: f64, b: f64) -> bool {
        (a - b).abs() <= 1e-13 * b.abs()
    }

    fn error_at(found: &Approximation, x: &Real) -> Real {
        found.function.jet(x, !is_negative(x))[0].clone() - found.series.value(x)
    }

    /// Chebyshev's theorem and the certificate: degree + 2 alternating extrema, no larger error anywhere on a grid.
    fn assert_is_best(found: &Approximation) {
        let name = format!("{} on {}, degree {}", found.function, found.domain, found.degree);
        let unevenness = (&found.error - found.lower_bound.as_ref().unwrap()) / &found.error;
        assert!((0.0..1e-12).contains(&to_f64(&unevenness)), "{name}: {unevenness}");
        let slack = &found.error * real(1e-12, 64);
        let (mut alternating, mut last) = (0, None);
        for x in &found.extrema {
            let error = error_at(found, x);
            assert!(abs(&(abs(&error) - &found.error)) <= slack, "{name} at {x}");
            alternating += usize::from(last != Some(is_negative(&error)));
            last = Some(is_negative(&error));
        }
        assert!(alternating >= found.degree as usize + 2, "{name}: {alternating}");
        assert!(found.extrema.windows(2).all(|w| w[0] < w[1]), "{name}");
        for &(low, high) in found.domain.intervals() {
            for step in 0..=200 {
                let x = real(low + (high - low) * f64::from(step) / 200.0, found.bits)
                    .clamp(real(low, found.bits), real(high, found.bits));
                assert!(abs(&error_at(found, &x)) <= &found.error + &slack, "{name} at {}", to_f64(&x));
            }
        }
    }

    /// 1/(t + c) on [−1, 1] has the error (c − √(c²−1))^n/(c²−1) (Chebyshev; Achieser, Theory of Approximation, 33).
    #[test]
    fn reciprocals_have_the_known_error() {
        for (low, high, degree) in [(1.0, 2.0, 3), (0.1, 8.0, 20), (0.5, 0.75, 127), (-3.0, -1.0, 9)] {
            let c: f64 = f64::abs((high + low) / (high - low));
            let known = 2.0 / (high - low) * (c - (c * c - 1.0).sqrt()).powi(degree) / (c * c - 1.0);
            let error = to_f64(&best(Function::Reciprocal, &[(low, high)], degree as u32).error);
            assert!((error - known).abs() <= 1e-11 * known, "[{low},{high}] degree {degree}: {error} {known}");
        }
    }

    /// x² + 1/8 is the best parabola for |x| on [−1, 1], 2x/(a+b) the best line for sign, and the best line for e^x on
    /// [0, 1] has the slope e − 1 of the chord.
    #[test]
    fn lines_and_parabolas_are_the_known_ones() {
        for degree in [2, 3] {
            let parabola = best(Function::Abs, &[(-1.0, 1.0)], degree);
            let powers: Vec<f64> = parabola.series.monomials().iter().map(to_f64).collect();
            assert!(close(powers[0], 0.125) && powers[1] == 0.0 && close(powers[2], 1.0), "{powers:?}");
            assert!(close(to_f64(&parabola.error), 0.125));
            assert!(close(to_f64(&best(Function::Relu, &[(-8.0, 8.0)], degree).error), 0.5));
        }
        let line = best(Function::Sign, &[(-1.0, -0.25), (0.25, 1.0)], 1);
        assert!(close(to_f64(&line.series.monomials()[1]), 1.6) && close(to_f64(&line.error), 0.6));
        let line = best(Function::Exp, &[(0.0, 1.0)], 1);
        let slope = std::f64::consts::E - 1.0;
        assert!(close(to_f64(&line.series.monomials()[1]), slope));
        assert!(close(to_f64(&line.error), (1.0 - slope + slope * slope.ln()) / 2.0));
    }

    /// Where function and domain are symmetric, more extrema alternate than the degree asks for.
    #[test]
    fn every_function_is_approximated_with_and_without_symmetry() {
        for function in Function::ALL {
            let gap = matches!(function, Function::Step | Function::Sign | Function::Reciprocal);
            let (symmetric, skew): (&[_], &[_]) = match gap {
                true => (&[(-4.0, -0.5), (0.5, 4.0)], &[(-3.0, -0.5), (0.25, 1.0), (1.5, 4.0)]),
                false => (&[(-4.0, 4.0)], &[(-3.0, 4.0)]),
            };
            for degree in [1, 2, 7, 8] {
                assert_is_best(&best(function, symmetric, degree));
                assert_is_best(&best(function, skew, degree));
            }
            let error = |degree| to_f64(&best(function, symmetric, degree).error);
            match function.symmetry().1 {
                super::super::Parity::Even => assert!(close(error(8), error(9))),
                super::super::Parity::Odd => assert!(close(error(7), error(8))),
                super::super::Parity::Neither => assert!(error(8) < error(7)),
            }
        }
    }

    #[test]
    fn high_degrees_and_tiny_errors_get_the_bits_they_need() {
        for (function, intervals, degree) in [
            (Function::Relu, vec![(-8.0, 8.0)], 127),
            (Function::Silu, vec![(-8.0, 8.0)], 59),
            (Function::Exp, vec![(-1.0, 1.0)], 40),
            (Function::Gelu, vec![(-5.0, 8.0)], 40),
            (Function::Sign, vec![(-1.0, -1e-3), (1e-3, 1.0)], 127),
            (Function::Tanh, vec![(-100.0, 100.0)], 59),
            (Function::Step, vec![(-1.0, -0.9), (0.9, 0.95)], 30),
        ] {
            assert_is_best(&best(function, &intervals, degree));
        }
    }

    /// sign on [−1,−ε] ∪ [ε,1] is also what a stage of a composition is designed for, by another exchange.
    #[test]
    fn sign_agrees_with_the_stages_of_compositions() {
        let stage =
            &super::super::Composite::design(&[15], &super::super::Epsilon::Given(0.0625), 256).unwrap().stages[0];
        let found = best(Function::Sign, &[(-1.0, -0.0625), (0.0625, 1.0)], 15);
        assert!(close(to_f64(&found.error), to_f64(&stage.minimax.error)));
        for (j, c) in stage.minimax.coefficients.iter().enumerate() {
            assert!(close(to_f64(&found.series.monomials()[2 * j + 1]), to_f64(c)));
        }
    }

    /// |cos θ| = 2/π + 4/π·Σ (−1)^{k+1} cos 2kθ/(4k² − 1).
    #[test]
    fn the_least_squares_fit_of_abs_is_its_fourier_series() {
        let found = design(Function::Abs, &[(-1.0, 1.0)], 27, Method::LeastSquares);
        for (k, c) in found.series.coefficients().iter().enumerate() {
            let (n, sign) = (k as f64, if k % 4 == 0 { -1.0 } else { 1.0 });
            let known = match k {
                0 => std::f64::consts::FRAC_2_PI,
                _ if k % 2 == 1 => 0.0,
                _ => sign * 2.0 * std::f64::consts::FRAC_2_PI / (n * n - 1.0),
            };
            assert!(close(to_f64(c), known), "{k}: {c} {known}");
        }
    }

    #[test]
    fn the_interpolant_has_the_values_of_the_function_at_the_nodes() {
        for degree in [1, 4, 27, 127] {
            let found = design(Function::Gelu, &[(-3.0, 8.0)], degree, Method::Chebyshev);
            for i in 0..=degree {
                let angle = std::f64::consts::PI * (f64::from(i) + 0.5) / f64::from(degree + 1);
                let x = real(2.5 + 5.5 * angle.cos(), found.bits);
                // The nodes are f64 here, so the error there is as small as these are near the true ones.
                assert!(to_f64(&abs(&error_at(&found, &x))) <= 1e-12 + 1e-12 * to_f64(&found.error));
            }
        }
    }

    #[test]
    fn what_makes_no_sense_is_named() {
        let error = |function, intervals: &[(f64, f64)], degree, method, bits| {
            Approximation::design(function, &domain(intervals), degree, method, bits).unwrap_err().to_string()
        };
        let union = [(-2.0, -1.0), (1.0, 3.0)];
        assert!(error(Function::Exp, &union, 0, Method::Minimax, 256).contains("degree 0 "));
        assert!(error(Function::Exp, &union, 128, Method::Minimax, 256).contains("from 1 to 127"));
        assert!(error(Function::Exp, &union, 3, Method::Minimax, 1).contains("1 bits"));
        assert!(error(Function::Exp, &union, 3, Method::Chebyshev, 256).contains("chebyshev takes a single interval"));
        assert!(error(Function::Step, &[(-1.0, 1.0)], 3, Method::Minimax, 256).contains("leave a gap"));
        let tiny = [(-1e-100, 1e-100)];
        assert!(error(Function::Exp, &tiny, 127, Method::Minimax, 64).contains("a lower degree here is as good"));
        let wide = [(-1e6, 1e6)];
        assert!(error(Function::Tanh, &wide, 3, Method::LeastSquares, 64).contains("a shorter interval"));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(8))]

        #[test]
        fn the_error_equioscillates(
            function in prop::sample::select(&Function::ALL[..]),
            ends in prop::collection::vec(0.01f64..6.0, 4),
            degree in 1u32..=16,
        ) {
            let (low, high) = (ends[0].min(ends[1]), ends[2].min(ends[3]));
            prop_assert!(low > 0.0);
            assert_is_best(&best(function, &[(-low - ends[1], -low), (high, high + ends[3])], degree));
            if !matches!(function, Function::Step | Function::Sign | Function::Reciprocal) {
                assert_is_best(&best(function, &[(-low, high)], degree));
            }
        }

        /// |s·x| is s·|x|, and 1/(s·x) is (1/s)·(1/x): the same series, scaled.
        #[test]
        fn scaling_the_interval_scales_the_polynomial(low in 0.1f64..5.0, width in 0.1f64..5.0, degree in 1u32..=12, power in -6i32..=6) {
            let scale = 2f64.powi(power);
            for (function, factor, from) in [(Function::Abs, scale, -low), (Function::Reciprocal, 1.0 / scale, low)] {
                let one = best(function, &[(from, low + width)], degree);
                let other = best(function, &[(scale * from, scale * (low + width))], degree);
                prop_assert!(close(to_f64(&one.error) * factor, to_f64(&other.error)));
                for (a, b) in one.series.coefficients().iter().zip(other.series.coefficients()) {
                    prop_assert!((to_f64(a) * factor - to_f64(b)).abs() <= 1e-15 * factor * to_f64(&one.series.coefficients()[0]).abs());
                }
            }
        }

        /// Nothing is better than the best, and all three are measured alike.
        #[test]
        fn the_others_are_never_better(
            function in prop::sample::select(&[Function::Relu, Function::Silu, Function::Gelu, Function::Exp][..]),
            low in 0.5f64..6.0,
            high in 0.5f64..6.0,
            degree in 1u32..=12,
        ) {
            let least = best(function, &[(-low, high)], degree).error;
            for method in [Method::Chebyshev, Method::LeastSquares] {
                let found = design(function, &[(-low, high)], degree, method);
                prop_assert!(found.error > least);
                // One more than Lebesgue's constant (Trefethen, Approximation Theory and Practice, chapter 15).
                let at_most = real(4.0 + std::f64::consts::FRAC_2_PI * f64::from(degree + 1).ln(), 64);
                prop_assert!(found.error < &least * at_most);
                for step in 0..=300 {
                    let x = real(-low + (low + high) * f64::from(step) / 300.0, found.bits);
                    prop_assert!(abs(&error_at(&found, &x)) <= &found.error * real(1.0 + 1e-12, 64));
                }
            }
        }
    }
}
