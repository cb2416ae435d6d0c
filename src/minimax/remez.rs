//! The best approximation of 1 on [a, b] by odd polynomials, by the exchange algorithm of Remez.
//!
//! An odd polynomial is p(x) = x·q(u) with u = x². On 0 < a ≤ x ≤ b the functions 1, x, x³, … form a Descartes system:
//! a combination of n+1 of them has at most n positive zeros. So for any reference a ≤ x_0 < … < x_n ≤ b the levelled
//! error e = 1 − p has exactly one root between neighbours, its derivative exactly one root between those roots, and
//! the exchange always finds a full new reference: only too few bits can make it fail, and then bits are added.
//!
//! Source: Cheney, Introduction to Approximation Theory, chapter 3 (exchange, de la Vallée-Poussin bound); the use for
//! sign: Lee et al., arXiv 2105.10879, section 3.

use super::extrema::critical;
use super::real::{Real, abs, decimal, is_negative, power_of_two, real, rounded, to_f64};

/// The stage's error on its reference is level to this many bits when the exchange ends.
const LEVEL_BITS: isize = 100;
/// Extrema are located to this many bits of the interval's width; the error there is then level to twice as many.
const LOCATION_BITS: isize = 64;
const MAX_EXCHANGES: usize = 60;
const MAX_BITS: usize = 1 << 17;

/// An odd polynomial of degree 2n−1 closest to 1 on [low, high].
#[derive(Debug, Clone)]
pub struct Minimax {
    /// c_1, c_3, …, c_{2n−1}.
    pub coefficients: Vec<Real>,
    /// max |1 − p| on [low, high], found at the extrema.
    pub error: Real,
    /// No odd polynomial of this degree has an error below this (de la Vallée-Poussin).
    pub lower_bound: Real,
    /// The n+1 points, ascending, where the error takes its extreme value with alternating sign, + at the first.
    pub extrema: Vec<Real>,
}

/// Why no minimax polynomial was found.
#[derive(Debug, Clone, thiserror::Error)]
pub enum RemezError {
    #[error(
        "the exchange for degree {degree} on {interval} did not become level after {exchanges} exchanges at {bits} bits: \
         error between {reached}"
    )]
    NotLevel { degree: usize, interval: String, exchanges: usize, bits: usize, reached: String },
    #[error(
        "degree {degree} on {interval} needs about {bits} bits of precision (at most {MAX_BITS}): its error is near \
         2^-{error_bits}; a lower degree here is as good"
    )]
    TooPrecise { degree: usize, interval: String, bits: usize, error_bits: usize },
}

/// The best approximation of 1 on [`low`, `high`], 0 < low < high, by odd polynomials of odd `degree`.
///
/// Works with at least `bits` of precision, and with as many more as the smallness of the error asks for. `start` is a
/// guess of the n+1 extrema as fractions of the interval in x², ascending, from 0 to 1; any other length is ignored.
///
/// # Errors
/// [`RemezError`], naming degree, interval and the error reached.
pub fn minimax_of_one(
    degree: usize,
    low: &Real,
    high: &Real,
    bits: usize,
    start: &[f64],
) -> Result<Minimax, RemezError> {
    let n = degree.div_ceil(2);
    let error_bits = expected_error_bits(n, low, high);
    let mut bits = bits + 8 * n + error_bits;
    if bits > MAX_BITS {
        return Err(RemezError::TooPrecise { degree, interval: shown(low, high), bits, error_bits });
    }
    loop {
        match exchange(n, &rounded(low, bits), &rounded(high, bits), bits, start) {
            Err(_) if 2 * bits <= 4096.max(2 * error_bits) => bits *= 2,
            result => return result,
        }
    }
}

/// The extrema as fractions of the interval in x²: the `start` for a neighbouring interval.
pub fn fractions(extrema: &[Real]) -> Vec<f64> {
    let (Some(first), Some(last)) = (extrema.first(), extrema.last()) else {
        return Vec::new();
    };
    let low = first * first;
    let width = last * last - &low;
    extrema.iter().map(|x| to_f64(&((x * x - &low) / &width))).collect()
}

/// −log2 of the error to expect: q(u) ≈ u^(−1/2) on [a², b²] converges like ρ^(−n), where ρ belongs to the largest
/// Bernstein ellipse that leaves out the branch point u = 0.
fn expected_error_bits(n: usize, low: &Real, high: &Real) -> usize {
    let (a, b) = (low * low, high * high);
    let half_width = &b - &a;
    let log2 = |x: &Real| (x.repr().digits() as isize + x.repr().exponent()) as f64;
    let ratio = (&a + &b) / &half_width;
    let rho = if log2(&ratio) > 20.0 {
        log2(&ratio) + 1.0
    } else {
        let z = to_f64(&ratio);
        (z + (z * z - 1.0).max(0.0).sqrt()).log2()
    };
    (n as f64 * rho).ceil() as usize
}

fn exchange(n: usize, low: &Real, high: &Real, bits: usize, start: &[f64]) -> Result<Minimax, RemezError> {
    let mut reference = first_reference(n, low, high, bits, start);
    let mut reached = (Real::ZERO, Real::ONE);
    for _ in 0..MAX_EXCHANGES {
        let coefficients = levelled(&reference);
        let error = |x: &Real| Real::ONE - odd(&coefficients, x);
        let Some(extrema) = extrema(&coefficients, &reference, low, high) else {
            break;
        };
        let errors: Vec<Real> = extrema.iter().map(|x| abs(&error(x))).collect();
        let (lower, upper) = bounds(&errors);
        let level = &upper - &lower <= &upper * power_of_two(-LEVEL_BITS, bits);
        if level {
            return Ok(Minimax { coefficients, error: upper, lower_bound: lower, extrema });
        }
        reached = (lower, upper);
        reference = extrema;
    }
    Err(RemezError::NotLevel {
        degree: 2 * n - 1,
        interval: shown(low, high),
        exchanges: MAX_EXCHANGES,
        bits,
        reached: format!("{} and {}", decimal(&reached.0, 6), decimal(&reached.1, 6)),
    })
}

fn shown(low: &Real, high: &Real) -> String {
    format!("[{}, {}]", decimal(low, 6), decimal(high, 6))
}

/// `start`, or the extrema of the Chebyshev polynomial of degree n in u on [a², b²].
fn first_reference(n: usize, low: &Real, high: &Real, bits: usize, start: &[f64]) -> Vec<Real> {
    let chebyshev: Vec<f64>;
    let usable = start.len() == n + 1 && start.windows(2).all(|w| w[0] < w[1]);
    let fractions = if usable {
        start
    } else {
        chebyshev = (0..=n).map(|i| 0.5 - 0.5 * (std::f64::consts::PI * i as f64 / n as f64).cos()).collect();
        &chebyshev
    };
    let (a, b) = (low * low, high * high);
    let width = &b - &a;
    let mut reference: Vec<Real> = fractions.iter().map(|&f| (&a + &width * real(f, bits)).sqrt()).collect();
    reference[0] = low.clone();
    reference[n] = high.clone();
    reference
}

/// The coefficients of the odd polynomial whose error is +E, −E, +E, … on the n+1 points of `reference`.
fn levelled(reference: &[Real]) -> Vec<Real> {
    let u: Vec<Real> = reference.iter().map(|x| x * x).collect();
    let n = u.len() - 1;
    // The divided difference of order n of (1 − σ_i E) / x_i over all points vanishes; its weights are 1/Π(u_i − u_j).
    let (mut of_one, mut of_sign) = (Real::ZERO, Real::ZERO);
    for (i, x) in reference.iter().enumerate() {
        let mut product = x.clone();
        for (j, other) in u.iter().enumerate() {
            if j != i {
                product *= &u[i] - other;
            }
        }
        let term = Real::ONE / product;
        if i % 2 == 0 {
            of_sign += &term
        } else {
            of_sign -= &term
        }
        of_one += term;
    }
    let level = of_one / of_sign;

    // q through the first n points in Newton's form, then expanded into powers of u.
    let signed = |i: usize| {
        if i.is_multiple_of(2) { Real::ONE - &level } else { Real::ONE + &level }
    };
    let mut newton: Vec<Real> = (0..n).map(|i| signed(i) / &reference[i]).collect();
    for order in 1..n {
        for i in (order..n).rev() {
            newton[i] = (&newton[i] - &newton[i - 1]) / (&u[i] - &u[i - order]);
        }
    }
    let mut powers = vec![newton[n - 1].clone()];
    for i in (0..n - 1).rev() {
        // powers ← powers·(u − u_i) + newton_i
        powers.push(Real::ZERO);
        for k in (1..powers.len()).rev() {
            let shifted = &powers[k - 1] - &powers[k] * &u[i];
            powers[k] = shifted;
        }
        powers[0] = &newton[i] - &powers[0] * &u[i];
    }
    powers
}

/// Σ c_{2j+1} x^{2j+1}.
pub(super) fn odd(coefficients: &[Real], x: &Real) -> Real {
    horner(coefficients, &(x * x)) * x
}

fn horner(coefficients: &[Real], u: &Real) -> Real {
    let mut value = Real::ZERO;
    for c in coefficients.iter().rev() {
        value = value * u + c;
    }
    value
}

fn bounds(errors: &[Real]) -> (Real, Real) {
    let (mut lower, mut upper) = (errors[0].clone(), errors[0].clone());
    for e in &errors[1..] {
        if *e < lower {
            lower = e.clone();
        }
        if *e > upper {
            upper = e.clone();
        }
    }
    (lower, upper)
}

/// The extrema of the error: both ends, and the one critical point between each two neighbouring roots.
/// `None` when rounding has hidden the alternation.
fn extrema(coefficients: &[Real], reference: &[Real], low: &Real, high: &Real) -> Option<Vec<Real>> {
    let n = coefficients.len();
    // p'(x) as a polynomial in u.
    let slope: Vec<Real> = coefficients.iter().enumerate().map(|(j, c)| c * Real::from(2 * j as u64 + 1)).collect();
    let curvature: Vec<Real> = slope.iter().enumerate().skip(1).map(|(j, c)| c * Real::from(j as u64)).collect();

    let mut separators = Vec::with_capacity(n);
    for i in 0..n {
        separators.push(separator(coefficients, &slope, &reference[i], &reference[i + 1], i % 2 == 0)?);
    }
    let width = high * high - low * low;
    let tolerance = &width * power_of_two(-LOCATION_BITS, width.precision());
    let mut extrema = Vec::with_capacity(n + 1);
    extrema.push(low.clone());
    for i in 1..n {
        let guess = &reference[i] * &reference[i];
        let derivatives = |u: &Real| (horner(&slope, u), horner(&curvature, u));
        let (left, right) = (separators[i - 1].clone(), separators[i].clone());
        // p rises through the first root of 1 − p, falls through the second, and so on.
        extrema.push(critical(derivatives, i % 2 == 0, left, right, &guess, &tolerance).sqrt());
    }
    extrema.push(high.clone());
    extrema.windows(2).all(|w| w[0] < w[1]).then_some(extrema)
}

/// A u = x² between two neighbours of the reference where p rises (`rising`) or falls. Where the error changes sign it
/// does; bisection towards the root reaches such a point.
fn separator(coefficients: &[Real], slope: &[Real], left: &Real, right: &Real, rising: bool) -> Option<Real> {
    let (mut left, mut right) = (left * left, right * right);
    for _ in 0..200 {
        let middle = (&left + &right) / Real::from(2u8);
        if is_negative(&horner(slope, &middle)) != rising {
            return Some(middle);
        }
        let x = middle.sqrt();
        let below_one = horner(coefficients, &middle) * x < Real::ONE;
        if below_one == rising { left = middle } else { right = middle }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn designed(degree: usize, low: f64, high: f64) -> Minimax {
        minimax_of_one(degree, &real(low, 256), &real(high, 256), 256, &[]).unwrap()
    }

    /// The best line through 0 for 1 on [a, b] is 2x/(a+b), with error (b−a)/(b+a).
    #[test]
    fn degree_one_is_the_known_line() {
        let line = designed(1, 0.25, 1.0);
        assert!((to_f64(&line.coefficients[0]) - 1.6).abs() < 1e-15);
        assert!((to_f64(&line.error) - 0.6).abs() < 1e-15);
    }

    /// On a narrow interval the error is that of Taylor's n-th term spread by Chebyshev's polynomial: with
    /// h the half width in u, about 2·(h/2)^n·|binomial(−1/2, n)|, here 2·1e-9^32·0.0993.
    #[test]
    fn tiny_errors_get_the_bits_they_need() {
        let tiny = designed(63, 1.0 - 1e-9, 1.0 + 1e-9);
        assert!((to_f64(&tiny.error) / 1.987e-289 - 1.0).abs() < 1e-3, "{}", decimal(&tiny.error, 6));
        assert!(to_f64(&((&tiny.error - &tiny.lower_bound) / &tiny.error)) < 1e-12);
    }

    #[test]
    fn what_needs_too_many_bits_is_refused_with_degree_and_interval() {
        let width = power_of_two(-10_000, 12_000);
        let (low, high) = (Real::ONE - &width, Real::ONE + &width);
        let error = minimax_of_one(63, &low, &high, 256, &[]).unwrap_err().to_string();
        assert!(error.contains("degree 63") && error.contains("bits of precision"), "{error}");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        /// Chebyshev's theorem: n+1 alternating extrema of equal size, and nothing larger between them.
        #[test]
        fn the_error_equioscillates(n in 1usize..=16, low in -20f64..-0.2) {
            let (low, high) = (low.exp2(), 1.0);
            let found = designed(2 * n - 1, low, high);
            prop_assert_eq!(found.extrema.len(), n + 1);
            let level = to_f64(&((&found.error - &found.lower_bound) / &found.error));
            prop_assert!((0.0..1e-12).contains(&level), "{}", level);
            let error = |x: &Real| Real::ONE - odd(&found.coefficients, x);
            for (i, x) in found.extrema.iter().enumerate() {
                prop_assert_eq!(is_negative(&error(x)), i % 2 == 1);
            }
            let slack = &found.error * real(1e-12, 256);
            for step in 0..=500 {
                let x = real(low + (high - low) * f64::from(step) / 500.0, 256);
                prop_assert!(abs(&error(&x)) <= &found.error + &slack);
            }
        }

        /// p on [a, b] and p(·/s) on [s·a, s·b] are the same approximation.
        #[test]
        fn scaling_the_interval_scales_the_polynomial(n in 1usize..=8, low in 0.01f64..0.9, power in -6i32..=6) {
            let scale = 2f64.powi(power);
            let (one, other) = (designed(2 * n - 1, low, 1.0), designed(2 * n - 1, low * scale, scale));
            prop_assert!((to_f64(&one.error) - to_f64(&other.error)).abs() <= 1e-15 * to_f64(&one.error));
            for (j, (a, b)) in one.coefficients.iter().zip(&other.coefficients).enumerate() {
                let back = to_f64(b) * scale.powi(2 * j as i32 + 1);
                prop_assert!((to_f64(a) - back).abs() <= 1e-14 * back.abs());
            }
        }
    }
}
