//! Arbitrary-precision real numbers, as the design of minimax polynomials needs them.
//!
//! Every number that enters a computation here is given its precision in bits; results then carry the larger
//! precision of their operands.

use dashu_base::{BitTest, UnsignedAbs};
use dashu_float::{FBig, round::mode::HalfEven};
use dashu_int::UBig;

/// A binary floating-point number of chosen precision, rounded to nearest, ties to even.
pub type Real = FBig<HalfEven, 2>;

/// `x` exactly, carried with `bits` of precision. `x` must be finite.
pub fn real(x: f64, bits: usize) -> Real {
    debug_assert!(x.is_finite());
    Real::try_from(x).unwrap_or(Real::ZERO).with_precision(bits).value()
}

/// `x` rounded to `bits` of precision.
pub fn rounded(x: &Real, bits: usize) -> Real {
    x.clone().with_precision(bits).value()
}

/// The nearest f64; what is below its range becomes zero.
pub fn to_f64(x: &Real) -> f64 {
    x.to_f64().value()
}

/// 2^`exponent`, with `bits` of precision.
pub fn power_of_two(exponent: isize, bits: usize) -> Real {
    Real::from_parts(1.into(), exponent).with_precision(bits).value()
}

/// |x|.
pub fn abs(x: &Real) -> Real {
    if is_negative(x) { -x.clone() } else { x.clone() }
}

/// Whether `x` < 0.
pub fn is_negative(x: &Real) -> bool {
    *x < Real::ZERO
}

/// e^`x` with the precision of `x`; the library's own loses the precision at 0.
pub fn exp(x: &Real) -> Real {
    rounded(&x.exp(), x.precision())
}

/// `x` in decimal scientific notation with at most `digits` significant digits, rounded to nearest, ties to even.
pub fn decimal(x: &Real, digits: usize) -> String {
    let (digits, exponent) = (digits.max(1), x.repr().exponent());
    let mantissa = x.repr().significand().clone().unsigned_abs();
    if mantissa.is_zero() {
        return "0e0".to_owned();
    }
    // 10^place ≤ |x|, or at most one place too low.
    let mut place = ((mantissa.bit_len() as isize - 1 + exponent) as f64 * std::f64::consts::LOG10_2).floor() as isize;
    let scaled = loop {
        let scaled = times_powers(&mantissa, exponent, digits as isize - 1 - place);
        if scaled < ten_to(digits as isize) {
            break scaled.to_string();
        }
        place += 1;
    };
    let sign = if is_negative(x) { "-" } else { "" };
    let (first, rest) = scaled.split_at(1);
    let rest = rest.trim_end_matches('0');
    let point = if rest.is_empty() { "" } else { "." };
    format!("{sign}{first}{point}{rest}e{place}")
}

/// `mantissa`·2^`binary`·10^`decimal`, rounded to nearest, ties to even.
fn times_powers(mantissa: &UBig, binary: isize, decimal: isize) -> UBig {
    let two_to = |exponent: isize| UBig::ONE << exponent.max(0) as usize;
    let numerator = mantissa * ten_to(decimal) * two_to(binary);
    let denominator = ten_to(-decimal) * two_to(-binary);
    let quotient = &numerator / &denominator;
    let twice_rest = (numerator - &quotient * &denominator) << 1usize;
    let up = twice_rest > denominator || twice_rest == denominator && quotient.bit(0);
    if up { quotient + UBig::ONE } else { quotient }
}

/// 10^`exponent`, and 1 for negative ones.
fn ten_to(exponent: isize) -> UBig {
    UBig::from(10u8).pow(exponent.max(0) as usize)
}

/// `x` in decimal, with as many digits as tell it apart from every other number of its precision.
pub fn exact_decimal(x: &Real) -> String {
    // 10^(digits − 1) must be above 2^precision, and log10 2 is below 0.30103.
    decimal(x, x.precision() * 30103 / 100_000 + 2)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn decimal_keeps_the_digits_asked_for() {
        let third = real(1.0, 200) / real(3.0, 200);
        assert_eq!(decimal(&third, 20), "3.3333333333333333333e-1");
        assert_eq!(decimal(&-third, 3), "-3.33e-1");
        assert_eq!(decimal(&real(0.5, 100), 20), "5e-1");
        assert_eq!(decimal(&real(0.0, 100), 20), "0e0");
        assert_eq!(decimal(&real(-9.996, 100), 3), "-1e1");
        assert_eq!(decimal(&real(2.5, 100), 1), "2e0");
        assert_eq!(decimal(&real(1e22, 100), 30), "1e22");
    }

    /// m·10^e or m/10^−e, correctly rounded to `bits`.
    fn parsed(text: &str, bits: usize) -> Real {
        let decimal: FBig<HalfEven, 10> = text.parse().unwrap();
        let mantissa = Real::from(decimal.repr().significand().clone());
        let exponent = decimal.repr().exponent();
        // Precision 0 is unlimited.
        let ten = rounded(&Real::from(10u8), 0);
        let power = (0..exponent.unsigned_abs()).fold(rounded(&Real::ONE, 0), |power, _| power * &ten);
        let context = dashu_float::Context::<HalfEven>::new(bits);
        let result = if exponent < 0 {
            context.div(mantissa.repr(), power.repr())
        } else {
            context.mul(mantissa.repr(), power.repr())
        };
        result.unwrap().value()
    }

    proptest! {
        #[test]
        fn an_exact_decimal_reads_back_as_the_same_number(numerator in 1u64.., denominator in 1u64.., power in -400isize..=400, bits in 64usize..=500) {
            let x = Real::from(numerator) / real(denominator as f64, bits) * power_of_two(power, bits);
            let x = rounded(&x, bits);
            prop_assert_eq!(parsed(&exact_decimal(&x), bits), x.clone());
            prop_assert_eq!(exact_decimal(&x).parse::<f64>().unwrap(), to_f64(&x));
        }
    }

    #[test]
    fn tiny_numbers_become_zero_as_f64_and_stay_readable_in_decimal() {
        let tiny = power_of_two(-5000, 64);
        assert_eq!(to_f64(&tiny), 0.0);
        assert!(decimal(&tiny, 4).ends_with("e-1506"));
    }
}
