//! The functions that can be approximated, with their first two derivatives, in arbitrary precision.

use std::fmt;
use std::str::FromStr;

use super::domain::Domain;
use super::real::{Real, abs, exp, is_negative, power_of_two};

/// A function of one real variable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Function {
    /// max(x, 0)
    Relu,
    /// |x|
    Abs,
    /// 0 below 0, 1 above
    Step,
    /// −1 below 0, 1 above
    Sign,
    /// 1/(1 + e^−x)
    Sigmoid,
    /// x·sigmoid(x)
    Silu,
    /// x·(1 + erf(x/√2))/2
    Gelu,
    Tanh,
    Exp,
    /// 1/x
    Reciprocal,
}

/// What is known of a function, or of a polynomial, under x → −x.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Parity {
    Even,
    Odd,
    Neither,
}

/// A name that no function has.
#[derive(Debug, Clone, thiserror::Error)]
#[error("`{0}` is no function; known are {list}", list = Function::ALL.map(Function::name).join(", "))]
pub struct UnknownFunction(String);

/// Why a function cannot be approximated on a domain.
#[derive(Debug, Clone, thiserror::Error)]
pub enum FunctionError {
    #[error("{function} jumps at 0, and {domain} holds 0; leave a gap there, as in [-1,-0.01] and [0.01,1]")]
    Jump { function: Function, domain: Domain },
    #[error("{function} on {domain} is itself a polynomial, of degree 1 at most; there is nothing to approximate")]
    Polynomial { function: Function, domain: Domain },
    #[error("exp on {0} leaves the range of f64; take an upper end of at most {MAX_EXPONENT}")]
    Overflow(Domain),
}

/// e to this is still an f64.
const MAX_EXPONENT: f64 = 700.0;

impl Function {
    /// All of them.
    pub const ALL: [Function; 10] = [
        Function::Relu,
        Function::Sigmoid,
        Function::Silu,
        Function::Gelu,
        Function::Tanh,
        Function::Exp,
        Function::Reciprocal,
        Function::Step,
        Function::Sign,
        Function::Abs,
    ];

    /// The name by which [`Function::from_str`] knows it.
    pub fn name(self) -> &'static str {
        match self {
            Function::Relu => "relu",
            Function::Abs => "abs",
            Function::Step => "step",
            Function::Sign => "sign",
            Function::Sigmoid => "sigmoid",
            Function::Silu => "silu",
            Function::Gelu => "gelu",
            Function::Tanh => "tanh",
            Function::Exp => "exp",
            Function::Reciprocal => "1/x",
        }
    }

    /// Whether it can be approximated on `domain`.
    ///
    /// # Errors
    /// [`FunctionError`]: a jump or pole inside, a piece on which there is nothing to do, values beyond f64.
    pub fn check(self, domain: &Domain) -> Result<(), FunctionError> {
        let (low, high) = domain.hull();
        let jumps = matches!(self, Function::Step | Function::Sign | Function::Reciprocal);
        if jumps && domain.intervals().iter().any(|&(low, high)| low <= 0.0 && 0.0 <= high) {
            return Err(FunctionError::Jump { function: self, domain: domain.clone() });
        }
        if self.is_piecewise_linear() && (low >= 0.0 || high <= 0.0) {
            return Err(FunctionError::Polynomial { function: self, domain: domain.clone() });
        }
        if self == Function::Exp && high > MAX_EXPONENT {
            return Err(FunctionError::Overflow(domain.clone()));
        }
        Ok(())
    }

    /// Whether it is a straight line on either side of 0.
    pub(super) fn is_piecewise_linear(self) -> bool {
        matches!(self, Function::Relu | Function::Abs | Function::Step | Function::Sign)
    }

    /// [c, s] and the parity of f(x) − c − s·x.
    pub(super) fn symmetry(self) -> ([f64; 2], Parity) {
        match self {
            Function::Relu | Function::Silu | Function::Gelu => ([0.0, 0.5], Parity::Even),
            Function::Abs => ([0.0, 0.0], Parity::Even),
            Function::Step | Function::Sigmoid => ([0.5, 0.0], Parity::Odd),
            Function::Sign | Function::Tanh | Function::Reciprocal => ([0.0, 0.0], Parity::Odd),
            Function::Exp => ([0.0, 0.0], Parity::Neither),
        }
    }

    /// f(x), f'(x) and f''(x) with the precision of `x`. Of functions that break at 0 it is the branch of `positive` x
    /// that is evaluated, so that 0 may belong to either side.
    pub(super) fn jet(self, x: &Real, positive: bool) -> [Real; 3] {
        let branch = |value: Real, slope: i8| [value, Real::from(slope), Real::ZERO];
        match self {
            Function::Relu if positive => branch(x.clone(), 1),
            Function::Relu => branch(Real::ZERO, 0),
            Function::Abs if positive => branch(x.clone(), 1),
            Function::Abs => branch(-x.clone(), -1),
            Function::Step => branch(Real::from(u8::from(positive)), 0),
            Function::Sign => branch(Real::from(if positive { 1i8 } else { -1 }), 0),
            Function::Sigmoid => sigmoid(x),
            Function::Silu => times_x(x, sigmoid(x)),
            Function::Gelu => times_x(x, normal_distribution(x)),
            Function::Tanh => {
                let tanh = x.tanh();
                let slope = Real::ONE - &tanh * &tanh;
                let curvature = Real::from(-2i8) * &tanh * &slope;
                [tanh, slope, curvature]
            }
            Function::Exp => {
                let value = exp(x);
                [value.clone(), value.clone(), value]
            }
            Function::Reciprocal => {
                let value = Real::ONE / x;
                let square = &value * &value;
                let curvature = Real::from(2u8) * &square * &value;
                [value, -square, curvature]
            }
        }
    }
}

impl fmt::Display for Function {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Function {
    type Err = UnknownFunction;

    fn from_str(text: &str) -> Result<Function, UnknownFunction> {
        Function::ALL
            .into_iter()
            .find(|function| function.name() == text)
            .ok_or_else(|| UnknownFunction(text.to_owned()))
    }
}

/// The jet of x·f(x) from that of f.
fn times_x(x: &Real, [value, slope, curvature]: [Real; 3]) -> [Real; 3] {
    let curvature = Real::from(2u8) * &slope + x * curvature;
    let slope = &value + x * slope;
    [x * value, slope, curvature]
}

/// The jet of 1/(1 + e^−x), from e^−|x|, which cannot overflow.
fn sigmoid(x: &Real) -> [Real; 3] {
    let decay = exp(&-abs(x));
    let of_size = Real::ONE / (Real::ONE + &decay);
    let of_opposite = decay * &of_size;
    let slope = &of_size * &of_opposite;
    let value = if is_negative(x) { of_opposite } else { of_size };
    let curvature = &slope * (Real::ONE - Real::from(2u8) * &value);
    [value, slope, curvature]
}

/// The jet of (1 + erf(x/√2))/2.
fn normal_distribution(x: &Real) -> [Real; 3] {
    let bits = x.precision();
    let two = || Real::from(2u8).with_precision(bits).value();
    let pi = (-Real::ONE).with_precision(bits).value().acos();
    let density = exp(&(-(x * x) / two())) / (two() * pi).sqrt();
    let half = power_of_two(-1, bits);
    let above_half = half_error_function(x, &density);
    let curvature = -(x * &density);
    [half + above_half, density, curvature]
}

/// erf(x/√2)/2 = φ(x)·(x + x³/3 + x⁵/(3·5) + …) for the normal `density` φ at `x`: no term cancels another
/// (Abramowitz and Stegun, 26.2.11). Where 1 − erf is below the last bit of 1 it is ±1/2.
fn half_error_function(x: &Real, density: &Real) -> Real {
    let bits = x.precision();
    if *density < power_of_two(-(bits as isize) - 8, bits) {
        let half = power_of_two(-1, bits);
        return if is_negative(x) { -half } else { half };
    }
    let square = x * x;
    let (mut term, mut sum) = (x.clone(), x.clone());
    let mut divisor = 1u64;
    while term != Real::ZERO {
        divisor += 2;
        term = term * &square / Real::from(divisor);
        let next = &sum + &term;
        // The terms grow until the divisor passes x².
        if next == sum && Real::from(divisor) > square {
            break;
        }
        sum = next;
    }
    sum * density
}

#[cfg(test)]
mod tests {
    use super::super::real::{real, to_f64};
    use super::*;

    /// A decimal number that rounds as [`Real`] does.
    type Decimal = dashu_float::FBig<dashu_float::round::mode::HalfEven, 10>;

    fn domain(low: f64, high: f64) -> Domain {
        Domain::new(vec![(low, high)]).unwrap()
    }

    /// mpmath at 50 digits: 1/(1+exp(-x)), x/(1+exp(-x)), x*(1+erf(x/sqrt(2)))/2, tanh(x), exp(x), 1/x.
    #[test]
    fn values_are_those_of_mpmath() {
        let check = |function: Function, x: f64, expected: &str| {
            let value = function.jet(&real(x, 200), x > 0.0)[0].clone();
            let expected: Real = expected.parse::<Decimal>().unwrap().with_base_and_precision(200).value();
            assert!(abs(&(&value - &expected)) <= abs(&expected) * real(1e-38, 200), "{function}({x}): {value}");
        };
        check(Function::Sigmoid, -20.0, "0.000000002061153618190203581430862129474592690752");
        check(Function::Sigmoid, 0.75, "0.6791786991753929731596801157765790212342");
        check(Function::Sigmoid, 40.0, "0.9999999999999999957516457447084110227193");
        check(Function::Silu, -20.0, "-0.00000004122307236380407162861724258949185381505");
        check(Function::Silu, 0.75, "0.5093840243815447298697600868324342659257");
        check(Function::Silu, 40.0, "39.99999999999999983006582978833644090877");
        check(Function::Gelu, -3.0, "-0.004049694094890283579955444302784932133488");
        check(Function::Gelu, 0.75, "0.5800294857173488505047033729623926911732");
        check(Function::Gelu, 12.0, "11.99999999999999999999999999999997868221");
        check(Function::Tanh, -20.0, "-0.9999999999999999915032914894168220454386");
        check(Function::Tanh, 0.75, "0.6351489523872873192144343573124964950925");
        check(Function::Tanh, 40.0, "0.999999999999999999999999999999999963903");
        check(Function::Exp, -20.0, "0.000000002061153622438557827965940380155820976376");
        check(Function::Exp, 0.75, "2.117000016612674668545369819837095610134");
        check(Function::Exp, 40.0, "235385266837019985.4078999107490348045089");
        check(Function::Reciprocal, -20.0, "-0.05");
        check(Function::Reciprocal, 0.75, "1.333333333333333333333333333333333333333");
        check(Function::Reciprocal, 40.0, "0.025");
    }

    /// Central differences at 400 bits, which are in error by about the square of the step.
    #[test]
    fn derivatives_are_those_of_differences() {
        let step = power_of_two(-60, 400);
        let close = |a: &Real, b: &Real| abs(&(a - b)) <= power_of_two(-100, 400) * (Real::ONE + abs(b));
        for function in Function::ALL {
            for x in [-30.0, -7.5, -1.0, -0.25, 0.125, 0.75, 3.0, 12.0] {
                let at = |x: &Real| function.jet(x, !is_negative(x));
                let x = real(x, 400);
                let [_, slope, curvature] = at(&x);
                let (above, below) = (at(&(&x + &step)), at(&(&x - &step)));
                let width = &step + &step;
                assert!(close(&((&above[0] - &below[0]) / &width), &slope), "{function} at {}", to_f64(&x));
                assert!(close(&((&above[1] - &below[1]) / &width), &curvature), "{function} at {}", to_f64(&x));
            }
        }
    }

    #[test]
    fn without_its_line_a_function_has_its_parity() {
        for function in Function::ALL {
            let ([constant, slope], parity) = function.symmetry();
            let rest = |x: f64| {
                let x = real(x, 200);
                function.jet(&x, !is_negative(&x))[0].clone() - real(constant, 200) - real(slope, 200) * x
            };
            for x in [0.5, 3.0, 20.0] {
                let sum = match parity {
                    Parity::Even => rest(x) - rest(-x),
                    Parity::Odd => rest(x) + rest(-x),
                    Parity::Neither => continue,
                };
                assert!(abs(&sum) < real(1e-50, 200), "{function} at {x}");
            }
        }
    }

    #[test]
    fn jumps_lines_and_overflow_are_refused_with_function_and_domain() {
        let error =
            |function: Function, low: f64, high: f64| function.check(&domain(low, high)).unwrap_err().to_string();
        for function in [Function::Step, Function::Sign, Function::Reciprocal] {
            assert!(error(function, -1.0, 2.0).contains("[-1,2] holds 0"));
            assert!(error(function, 0.0, 2.0).contains("jumps at 0"));
        }
        assert!(error(Function::Relu, 0.0, 2.0).contains("relu on [0,2] is itself a polynomial"));
        assert!(error(Function::Sign, 1.0, 2.0).contains("itself a polynomial"));
        assert!(error(Function::Exp, 0.0, 701.0).contains("at most 700"));
        assert!(Function::Relu.check(&domain(-1.0, 2.0)).is_ok());
        assert!(Function::Step.check(&Domain::new(vec![(-1.0, -0.1), (0.1, 1.0)]).unwrap()).is_ok());
    }

    #[test]
    fn names_are_read_back_and_others_are_answered_with_the_list() {
        for function in Function::ALL {
            assert_eq!(function.name().parse::<Function>().unwrap(), function);
        }
        assert!("swish".parse::<Function>().unwrap_err().to_string().contains("silu, gelu"));
    }
}
