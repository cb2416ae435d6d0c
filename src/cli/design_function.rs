//! `polyact design --function`: one polynomial for one function, with its certificate.

use clap::{Args, ValueEnum};
use serde::Serialize;

use super::Failure;
use super::design_format::Format;
use crate::activation::GainForm;
use crate::minimax::{
    Approximation, ApproximationError, Domain, Function, MAX_DEGREE, Method, Real, UnknownFunction, decimal,
    exact_decimal, to_f64,
};
use crate::report::{Align, table};

/// The options that ask for it.
#[derive(Debug, Args)]
pub(super) struct FunctionOptions {
    /// Approximate this function by one polynomial: relu, sigmoid, silu, gelu, tanh, exp, 1/x, step, sign or abs
    #[arg(long, value_name = "F", value_parser = function, requires_all = ["interval", "degree"])]
    #[arg(conflicts_with_all = ["degrees", "epsilon", "alpha", "margin", "costs", "plot"])]
    function: Option<Function>,
    /// An interval of the function's domain; several make a union
    #[arg(long, value_name = "A,B", value_parser = interval, allow_hyphen_values = true, requires = "function")]
    interval: Vec<(f64, f64)>,
    /// Degree of the function's polynomial (1 to 127)
    #[arg(long, value_name = "D", value_parser = clap::value_parser!(u32).range(1..=MAX_DEGREE as i64))]
    #[arg(requires = "function")]
    degree: Option<u32>,
    /// How the function's polynomial is chosen
    #[arg(long, value_enum, default_value_t = MethodName::Minimax, requires = "function")]
    method: MethodName,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum MethodName {
    /// The least largest error
    Minimax,
    /// Equal to the function at Chebyshev's nodes of the interval
    Chebyshev,
    /// The least mean square error, weighted by Chebyshev's weight on the interval
    #[value(name = "leastsq")]
    LeastSquares,
}

impl From<MethodName> for Method {
    fn from(name: MethodName) -> Method {
        match name {
            MethodName::Minimax => Method::Minimax,
            MethodName::Chebyshev => Method::Chebyshev,
            MethodName::LeastSquares => Method::LeastSquares,
        }
    }
}

fn function(text: &str) -> Result<Function, UnknownFunction> {
    text.parse()
}

fn interval(text: &str) -> Result<(f64, f64), String> {
    let ends = text.split_once(',').map(|(low, high)| (low.trim().parse::<f64>(), high.trim().parse::<f64>()));
    match ends {
        Some((Ok(low), Ok(high))) => Ok((low, high)),
        _ => Err("expected two numbers such as -8,8".to_owned()),
    }
}

impl FunctionOptions {
    /// The text of the polynomial that is asked for; `None` if no function is.
    ///
    /// # Errors
    /// [`Failure::Usage`] for intervals, methods and precisions that do not go with the function; and a design that fails.
    pub fn design(&self, precision: usize, format: Format) -> Result<Option<String>, Failure> {
        let (Some(function), Some(degree)) = (self.function, self.degree) else {
            return Ok(None);
        };
        let domain =
            Domain::new(self.interval.clone()).map_err(|error| Failure::Usage(format!("--interval: {error}")))?;
        let approximation = Approximation::design(function, &domain, degree, self.method.into(), precision).map_err(
            |error| match error {
                ApproximationError::Bits(_) => Failure::Usage(format!("--precision: {error}")),
                ApproximationError::Function(_) => Failure::Usage(format!("--interval: {error}")),
                ApproximationError::Intervals { .. } => Failure::Usage(format!("--method: {error}")),
                other => other.into(),
            },
        )?;
        Ok(Some(match format {
            Format::Table => for_people(&approximation),
            Format::Json => serde_json::to_string_pretty(&Designed::of(&approximation))? + "\n",
            Format::Csv => as_csv(&approximation)?,
            _ => return Err(Failure::Usage("--format: of one function table, json and csv are possible".to_owned())),
        }))
    }
}

fn for_people(approximation: &Approximation) -> String {
    let cost = approximation.cost();
    let error = to_f64(&approximation.error);
    let certificate = match &approximation.lower_bound {
        Some(lower) => {
            let unevenness = to_f64(&((&approximation.error - lower) / &approximation.error));
            format!(", the least possible, level to {unevenness:.0e} on {} points", approximation.extrema.len())
        }
        None => String::new(),
    };
    let header = [("k", Align::Right), ("of T_k", Align::Right), ("of x^k", Align::Right)];
    let monomials = approximation.series.monomials();
    let coefficients = approximation.series.coefficients().iter().zip(&monomials).enumerate();
    let rows = coefficients.map(|(k, (chebyshev, monomial))| {
        vec![k.to_string(), decimal(chebyshev, SHOWN_DIGITS), decimal(monomial, SHOWN_DIGITS)]
    });
    let (low, high) = approximation.domain.hull();
    format!(
        "function  {} on {}\nmethod    {}, degree {}\nerror     {}, 2^{:.3}{certificate}\n{}cost      depth {}, non-scalar \
         multiplications {}\n\ncoefficients of T_k(t), t from -1 to 1 on [{low},{high}], and of x^k\n\n",
        approximation.function,
        approximation.domain,
        approximation.method,
        approximation.degree,
        decimal(&approximation.error, 8),
        error.log2(),
        under_encryption(approximation),
        cost.depth,
        cost.multiplications,
    ) + &table(&header, rows)
}

/// What the noise of CKKS does to the polynomial.
fn under_encryption(approximation: &Approximation) -> String {
    let gain = approximation.noise_gain();
    let (low, high) = approximation.domain.hull();
    let [lower, upper, inside] = [gain.at_ends[0], gain.at_ends[1], gain.inside].map(short);
    let mut text = format!("noise     gain {lower} at {low}, {upper} at {high}, at most {inside} inside\n");
    if let Some(overshoot) = gain.overshoot {
        text += &format!("overshoot {overshoot:.2e} beyond an end doubles the error\n");
    }
    text
}

/// `x` with two decimals, or in scientific notation where these would be too few or too long.
fn short(x: f64) -> String {
    if x == 0.0 || (0.1..1e4).contains(&x.abs()) { format!("{x:.2}") } else { format!("{x:.2e}") }
}

/// Digits in the table, which hold an f64.
const SHOWN_DIGITS: usize = 17;

/// An approximation as JSON has it. Decimal strings are what f64 cannot hold.
#[derive(Serialize)]
struct Designed {
    version: &'static str,
    function: &'static str,
    intervals: Vec<(f64, f64)>,
    degree: u32,
    method: String,
    error: String,
    lower_bound: Option<String>,
    extrema: Vec<String>,
    depth: u32,
    mults: u32,
    noise_gain: GainForm,
    /// What T_0, T_1, … of t are multiplied by, t from −1 to 1 on the hull of the intervals.
    chebyshev: Vec<Coefficient>,
    /// What 1, x, x², … are multiplied by.
    monomial: Vec<Coefficient>,
}

#[derive(Serialize)]
struct Coefficient {
    index: usize,
    /// None beyond the range of f64.
    f64: Option<f64>,
    decimal: String,
}

fn coefficients(values: &[Real]) -> Vec<Coefficient> {
    let coefficient = |(index, value): (usize, &Real)| Coefficient {
        index,
        f64: Some(to_f64(value)).filter(|value| value.is_finite()),
        decimal: exact_decimal(value),
    };
    values.iter().enumerate().map(coefficient).collect()
}

impl Designed {
    fn of(approximation: &Approximation) -> Designed {
        let cost = approximation.cost();
        Designed {
            version: env!("CARGO_PKG_VERSION"),
            function: approximation.function.name(),
            intervals: approximation.domain.intervals().to_vec(),
            degree: approximation.degree,
            method: approximation.method.to_string(),
            error: decimal(&approximation.error, ERROR_DIGITS),
            lower_bound: approximation.lower_bound.as_ref().map(|bound| decimal(bound, ERROR_DIGITS)),
            extrema: approximation.extrema.iter().map(|x| decimal(x, SHOWN_DIGITS)).collect(),
            depth: cost.depth,
            mults: cost.multiplications,
            noise_gain: approximation.noise_gain().into(),
            chebyshev: coefficients(approximation.series.coefficients()),
            monomial: coefficients(&approximation.series.monomials()),
        }
    }
}

/// Digits to which the error is found and certified.
const ERROR_DIGITS: usize = 30;

fn as_csv(approximation: &Approximation) -> Result<String, Failure> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    let columns = ["function", "domain", "degree", "method", "error", "basis", "index", "coefficient", "decimal"];
    writer.write_record(columns)?;
    let design = Designed::of(approximation);
    for (basis, coefficients) in [("chebyshev", &design.chebyshev), ("monomial", &design.monomial)] {
        for coefficient in coefficients {
            writer.write_record([
                design.function,
                &approximation.domain.to_string(),
                &design.degree.to_string(),
                &design.method,
                &design.error,
                basis,
                &coefficient.index.to_string(),
                &coefficient.f64.map_or(String::new(), |value| format!("{value:e}")),
                &coefficient.decimal,
            ])?;
        }
    }
    let bytes = writer.into_inner().map_err(|error| csv::Error::from(error.into_error()))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
