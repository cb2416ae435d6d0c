//! Compositions as text: the JSON and CSV forms with every coefficient in both bases, and plain lists of numbers.
//!
//! docs/coefficients.md describes the JSON form field by field, docs/coefficients.schema.json is its schema. A plain list
//! is what the reference implementation of arXiv 2105.10879 reads (github.com/snu-ccl/approxCNN, coeffResult/ and
//! models/utils_approx.py): for each stage c_0, c_1, …, c_degree, one number a line, and the degrees in another file.

use serde::{Deserialize, Serialize};

use super::Clenshaw;
use crate::minimax::{
    Composite, CostTable, DesignError, NoiseGain, Real, Stage, check_degrees, decimal, exact_decimal, to_f64,
};

/// The number of the JSON form; another one cannot be read.
const SCHEMA: u32 = 1;

/// Even coefficients of a list below this share of the stage's largest coefficient are what a Remez algorithm that does
/// not know of oddness leaves there; none is above 1e-30 in the lists of the reference implementation.
const NEGLIGIBLE: f64 = 1e-20;

/// A composition in the JSON form. Decimal strings hold what f64 cannot.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Coefficients {
    schema: u32,
    /// Of polyact, which wrote it.
    version: String,
    degrees: Vec<u32>,
    epsilon: f64,
    /// Inputs up to 1 + margin are in range; not there for a margin of 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    margin: Option<f64>,
    sign_error: String,
    relu_error: String,
    depth: u32,
    mults: u32,
    /// The name of the table of depth and multiplications, if it is not the published one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    costs: Option<String>,
    /// Not there in files of programs that did not reckon it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    noise_gain: Option<GainForm>,
    /// Bits of the least scale in a ring of [`DIMENSION`]; not there for errors that f64 does not resolve.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    least_scale: Option<u32>,
    /// The same in Lattigo; not there either in files of programs that did not reckon it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    least_scale_lattigo: Option<u32>,
    stages: Vec<StageForm>,
}

/// The ring dimension of `least_scale`, that in which networks with bootstrapping run.
const DIMENSION: u32 = 1 << 16;

/// What a polynomial does to noise; see [`NoiseGain`].
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GainForm {
    at_ends: [f64; 2],
    inside: f64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    overshoot: Option<f64>,
}

impl From<NoiseGain> for GainForm {
    fn from(gain: NoiseGain) -> GainForm {
        let NoiseGain { at_ends, inside, overshoot } = gain;
        GainForm { at_ends: at_ends.map(six_digits), inside: six_digits(inside), overshoot: overshoot.map(six_digits) }
    }
}

/// `x` in the six digits to which a gain or an overshoot is found.
fn six_digits(x: f64) -> f64 {
    format!("{x:.5e}").parse().unwrap_or(x)
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StageForm {
    degree: u32,
    interval: [String; 2],
    error: String,
    lower_bound: String,
    bits: usize,
    coefficients: Vec<Coefficient>,
    scale: String,
    chebyshev: Vec<Term>,
    /// Not there in files of programs that did not rescale.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    rescaled: Vec<Term>,
}

/// c_k of x^k.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Coefficient {
    power: u32,
    f64: f64,
    decimal: String,
}

/// d_k of T_k(x/scale).
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Term {
    order: u32,
    f64: f64,
    decimal: String,
}

impl Coefficients {
    /// The form of `composite` with the cost that `costs` says.
    pub fn of(composite: &Composite, costs: CostTable) -> Coefficients {
        let cost = costs.relu(&composite.degrees());
        let rescaled = composite.normalised_chebyshev();
        let stages = composite.stages.iter().zip(&rescaled);
        Coefficients {
            schema: SCHEMA,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            degrees: composite.degrees(),
            epsilon: composite.epsilon,
            margin: (composite.margin > 0.0).then_some(composite.margin),
            sign_error: exact_decimal(&composite.sign_error()),
            // Where the error peaks is settled to f64 only.
            relu_error: decimal(&composite.relu_error, 15),
            depth: cost.depth,
            mults: cost.multiplications,
            costs: (costs != CostTable::Published).then(|| costs.name().to_owned()),
            noise_gain: Some(composite.noise_gain().into()),
            least_scale: composite.least_scale(DIMENSION),
            least_scale_lattigo: composite.least_scale_in_lattigo(DIMENSION),
            stages: stages.map(|(stage, rescaled)| StageForm::of(stage, rescaled)).collect(),
        }
    }

    /// A line for each power of each stage, below a header.
    ///
    /// # Errors
    /// What the CSV writer reports.
    pub fn csv(&self) -> Result<String, csv::Error> {
        let mut writer = csv::Writer::from_writer(Vec::new());
        writer.write_record(CSV_COLUMNS)?;
        for (i, stage) in self.stages.iter().enumerate() {
            let terms = stage.coefficients.iter().zip(&stage.chebyshev).zip(&stage.rescaled);
            for ((coefficient, term), rescaled) in terms {
                let [from, to] = stage.interval.each_ref().map(String::as_str);
                let (number, degree, power) = (i + 1, stage.degree, coefficient.power);
                let first =
                    [number.to_string(), degree.to_string(), power.to_string(), format!("{:e}", coefficient.f64)];
                let second = [coefficient.decimal.clone(), format!("{:e}", term.f64), term.decimal.clone()];
                let rest = [&stage.scale, from, to, &stage.error, &stage.lower_bound, &self.version].map(str::to_owned);
                let last = [format!("{:e}", rescaled.f64), rescaled.decimal.clone()];
                writer.write_record(first.iter().chain(&second).chain(&rest).chain(&last))?;
            }
        }
        let bytes = writer.into_inner().map_err(|error| csv::Error::from(error.into_error()))?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }
}

/// The columns of the CSV form. `chebyshev` is the coefficient of T_power(x/scale), `rescaled` that of T_power between stages on [−1, 1].
const CSV_COLUMNS: [&str; 15] = [
    "stage", "degree", "power", "coefficient", "decimal", "chebyshev", "chebyshev_decimal", "scale", "from", "to",
    "error", "lower_bound", "version", "rescaled", "rescaled_decimal",
];

impl StageForm {
    fn of(stage: &Stage, rescaled: &[Real]) -> StageForm {
        let minimax = &stage.minimax;
        let (low, high) = (&stage.interval.0, &stage.interval.1);
        let odd = |numbers: &[Real]| {
            let numbered = numbers.iter().zip((1..).step_by(2));
            numbered.map(|(x, k)| (k, to_f64(x), exact_decimal(x))).collect::<Vec<(u32, f64, String)>>()
        };
        let monomial = odd(&minimax.coefficients).into_iter();
        let terms = |numbers: &[Real]| {
            odd(numbers).into_iter().map(|(order, f64, decimal)| Term { order, f64, decimal }).collect()
        };
        StageForm {
            degree: stage.degree,
            interval: [exact_decimal(low), exact_decimal(high)],
            error: exact_decimal(&minimax.error),
            lower_bound: exact_decimal(&minimax.lower_bound),
            bits: minimax.coefficients.iter().map(Real::precision).max().unwrap_or(0),
            coefficients: monomial.map(|(power, f64, decimal)| Coefficient { power, f64, decimal }).collect(),
            scale: exact_decimal(&stage.scale),
            chebyshev: terms(&stage.chebyshev()),
            rescaled: terms(rescaled),
        }
    }
}

/// `composite` as a plain list, one number a line.
pub fn plain_list(composite: &Composite) -> String {
    let odd = composite.stages.iter().flat_map(|stage| &stage.minimax.coefficients);
    odd.map(|c| format!("0\n{}\n", exact_decimal(c))).collect()
}

/// What a text says of a composition.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Parsed {
    /// The odd degrees, a possible composition.
    pub degrees: Vec<u32>,
    /// c_1, c_3, …, c_degree of each stage, finite.
    pub stages: Vec<Vec<f64>>,
    /// The same as Chebyshev series, where the text has them.
    pub series: Option<Clenshaw>,
    /// The ReLU error on [−1, 1] that the text declares.
    pub relu_error: Option<f64>,
}

/// Why a text is no composition.
#[derive(Debug, thiserror::Error)]
pub enum CoefficientsError {
    #[error("it is no JSON; a plain list of numbers needs its degrees, as in `file:coeffs.txt@15,27,29`")]
    NoJson,
    #[error("it is not in the form of docs/coefficients.md: {0}")]
    Json(#[from] serde_json::Error),
    #[error("its schema is {0}, and this version of polyact reads {SCHEMA}")]
    Schema(u64),
    #[error("{0}")]
    Degrees(#[from] DesignError),
    #[error("`degrees` is {degrees:?}, but the degrees of `stages` are {stages:?}")]
    Stages { degrees: Vec<u32>, stages: Vec<u32> },
    #[error("stage {stage} has {found} coefficients, and degree {degree} has {}: x, x^3, …, x^{degree}", degree.div_ceil(2))]
    Count { stage: usize, degree: u32, found: usize },
    #[error(
        "stage {stage}: power {found} where {expected} is expected; only odd powers, ascending, make an odd polynomial"
    )]
    Power { stage: usize, found: u32, expected: u32 },
    #[error("stage {stage}, power {power}: `{decimal}` is no finite number")]
    Decimal { stage: usize, power: u32, decimal: String },
    #[error("stage {stage}, power {power}: `f64` is {f64:e}, but `decimal` rounds to {decimal:e}")]
    Rounding { stage: usize, power: u32, f64: f64, decimal: f64 },
    #[error(
        "stage {stage}: `rescaled` gives {given:e} at {t}, but `coefficients` give {evaluated:e}; write the file anew with \
         `polyact design --format json`"
    )]
    Rescaled { stage: usize, t: f64, evaluated: f64, given: f64 },
    #[error("`relu_error`: `{0}` is no number")]
    ReluError(String),
    #[error("line {line}: `{text}` is no finite number; a plain list has one a line")]
    Line { line: usize, text: String },
    #[error(
        "{found} numbers, but the degrees {degrees:?} need {needed}: c_0 to c_degree of each stage, the even ones 0"
    )]
    Length { degrees: Vec<u32>, found: usize, needed: usize },
    #[error(
        "line {line}: {value:e} as coefficient of x^{power} of stage {stage}; an odd polynomial has no even powers"
    )]
    Even { line: usize, stage: usize, power: usize, value: f64 },
}

/// Read the JSON form. The monomial coefficients are what counts; their two notations must agree.
///
/// # Errors
/// [`CoefficientsError`] with the place in the text.
pub(super) fn parse_json(text: &str) -> Result<Parsed, CoefficientsError> {
    /// Read by itself, since another schema may have other fields.
    #[derive(Deserialize)]
    struct Header {
        schema: u64,
    }
    if !text.trim_start().starts_with('{') {
        return Err(CoefficientsError::NoJson);
    }
    let Header { schema } = serde_json::from_str(text)?;
    if schema != u64::from(SCHEMA) {
        return Err(CoefficientsError::Schema(schema));
    }
    let form: Coefficients = serde_json::from_str(text)?;
    let stages: Vec<u32> = form.stages.iter().map(|stage| stage.degree).collect();
    if stages != form.degrees {
        return Err(CoefficientsError::Stages { degrees: form.degrees, stages });
    }
    check_degrees(&form.degrees)?;
    let relu_error = finite(&form.relu_error).ok_or(CoefficientsError::ReluError(form.relu_error))?;
    let stages: Result<Vec<Vec<f64>>, _> = form.stages.iter().zip(1..).map(|(stage, i)| monomial(stage, i)).collect();
    let stages = stages?;
    check_rescaled(&form.stages)?;
    let series: Option<Vec<_>> = form.stages.iter().map(chebyshev).collect();
    let series = series.map(|series| Clenshaw::scaled(&series));
    Ok(Parsed { degrees: form.degrees, stages, series, relu_error: Some(relu_error) })
}

/// See that `rescaled`, which libraries are given, is what `coefficients` are, which are evaluated.
fn check_rescaled(stages: &[StageForm]) -> Result<(), CoefficientsError> {
    const POINTS: i32 = 128;
    for (i, stage) in stages.iter().enumerate().filter(|(_, stage)| !stage.rescaled.is_empty()) {
        let next = stages.get(i + 1).map_or(Some(1.0), |next| finite(&next.scale));
        let (Some(scale), Some(next)) = (finite(&stage.scale), next) else { continue };
        let powers = || stage.coefficients.iter().map(|c| (c.power as i32, c.f64 / next));
        // What f64 leaves of large coefficients that cancel.
        let tolerance = 1e-12 + 2e-15 * powers().map(|(power, c)| (c * scale.powi(power)).abs()).sum::<f64>();
        for point in 1..=POINTS {
            let t = f64::from(point) / f64::from(POINTS);
            let evaluated: f64 = powers().map(|(power, c)| c * (scale * t).powi(power)).sum();
            let given: f64 =
                stage.rescaled.iter().map(|term| term.f64 * (f64::from(term.order) * t.acos()).cos()).sum();
            if (evaluated - given).abs() > tolerance {
                return Err(CoefficientsError::Rescaled { stage: i + 1, t, evaluated, given });
            }
        }
    }
    Ok(())
}

/// d_1, d_3, … of T_k(x/scale) and the scale; `None` if the terms are others, or no finite numbers.
fn chebyshev(form: &StageForm) -> Option<(Vec<f64>, f64)> {
    let scale = finite(&form.scale).filter(|&scale| scale > 0.0)?;
    let orders = form.chebyshev.iter().map(|term| term.order);
    let complete = orders.eq((1..=form.degree).step_by(2));
    let numbers: Option<Vec<f64>> = form.chebyshev.iter().map(|term| finite(&term.decimal)).collect();
    numbers.filter(|_| complete).map(|numbers| (numbers, scale))
}

/// The coefficients of stage number `stage`.
fn monomial(form: &StageForm, stage: usize) -> Result<Vec<f64>, CoefficientsError> {
    let found = form.coefficients.len();
    if found != form.degree.div_ceil(2) as usize {
        return Err(CoefficientsError::Count { stage, degree: form.degree, found });
    }
    let checked = form.coefficients.iter().zip((1..).step_by(2)).map(|(coefficient, expected)| {
        let &Coefficient { power, f64, .. } = coefficient;
        if power != expected {
            return Err(CoefficientsError::Power { stage, found: power, expected });
        }
        let decimal = coefficient.decimal.as_str();
        match finite(decimal) {
            None => Err(CoefficientsError::Decimal { stage, power, decimal: shortened(decimal) }),
            Some(decimal) if decimal != f64 => Err(CoefficientsError::Rounding { stage, power, f64, decimal }),
            Some(_) => Ok(f64),
        }
    });
    checked.collect()
}

/// Read a plain list of the stages of these `degrees`. Empty lines are passed over.
///
/// # Errors
/// [`CoefficientsError`] with the line.
pub(super) fn parse_list(text: &str, degrees: &[u32]) -> Result<Parsed, CoefficientsError> {
    check_degrees(degrees)?;
    let lines = text.lines().zip(1..).map(|(text, line)| (text.trim(), line)).filter(|(text, _)| !text.is_empty());
    let numbers: Result<Vec<(f64, usize)>, _> = lines
        .map(|(text, line)| match finite(text) {
            Some(number) => Ok((number, line)),
            None => Err(CoefficientsError::Line { line, text: shortened(text) }),
        })
        .collect();
    let numbers = numbers?;
    let needed = degrees.iter().map(|&degree| degree as usize + 1).sum();
    if numbers.len() != needed {
        return Err(CoefficientsError::Length { degrees: degrees.to_vec(), found: numbers.len(), needed });
    }
    let mut rest = numbers.as_slice();
    let mut stages = Vec::with_capacity(degrees.len());
    for (&degree, stage) in degrees.iter().zip(1..) {
        let (own, others) = rest.split_at(degree as usize + 1);
        rest = others;
        let largest = own.iter().fold(0.0, |largest: f64, (number, _)| largest.max(number.abs()));
        let even = own.iter().enumerate().step_by(2);
        if let Some((power, &(value, line))) = even.into_iter().find(|(_, (c, _))| c.abs() > NEGLIGIBLE * largest) {
            return Err(CoefficientsError::Even { line, stage, power, value });
        }
        stages.push(own.iter().skip(1).step_by(2).map(|&(number, _)| number).collect());
    }
    Ok(Parsed { degrees: degrees.to_vec(), stages, series: None, relu_error: None })
}

fn finite(text: &str) -> Option<f64> {
    text.parse().ok().filter(|number: &f64| number.is_finite())
}

/// What fits into an error's line.
fn shortened(text: &str) -> String {
    const SHOWN: usize = 40;
    let shown: String = text.chars().take(SHOWN).flat_map(char::escape_debug).collect();
    if text.chars().nth(SHOWN).is_some() { shown + "…" } else { shown }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::minimax::{DEFAULT_BITS, Epsilon, paper_set};
    use proptest::prelude::*;

    fn designed(degrees: &[u32]) -> Composite {
        Composite::design(degrees, &Epsilon::Best, DEFAULT_BITS).unwrap()
    }

    fn json(composite: &Composite) -> String {
        serde_json::to_string_pretty(&Coefficients::of(composite, CostTable::Published)).unwrap()
    }

    #[test]
    fn json_and_list_read_back_to_the_same_bits() {
        for degrees in [&[3][..], &[5], &[3, 5, 7], &[7, 15], &[15, 27, 29], &[3; 8], &[127]] {
            let composite = designed(degrees);
            let read = parse_json(&json(&composite)).unwrap();
            assert_eq!(read.degrees, degrees);
            assert_eq!(read.stages, composite.coefficients(), "{degrees:?}");
            assert_eq!(read.series, Some(Clenshaw::of(&composite)), "{degrees:?}");
            let read = parse_list(&plain_list(&composite), degrees).unwrap();
            assert_eq!(read.stages, composite.coefficients(), "{degrees:?}");
        }
    }

    /// github.com/snu-ccl/approxCNN, coeffResult/coeff_7.txt: degrees 7 and 7, with what its Remez left of even powers.
    const PUBLISHED: &str = "0.36047157227556087246e-35\n7.3044516495825141119\n-0.50547170420272221469e-34\n\
        -34.682587110865950932\n0.11656466540909508014e-33\n59.859651829882618102\n-0.65429849283953137725e-34\n\
        -31.875522590646616717\n-0.94649140234426094697e-48\n2.4008565221759781728\n0.64174463272534238015e-47\n\
        -2.631254542617839592\n-0.72533856467681473674e-47\n1.5491267477359321766\n0.20691646642181211267e-47\n\
        -0.33117295650430441081\n";

    #[test]
    fn a_published_list_is_read_and_is_what_is_designed_here() {
        let published = parse_list(PUBLISHED, &[7, 7]).unwrap().stages;
        let set = paper_set(7).unwrap();
        let own = Composite::design(set.degrees, &Epsilon::Given(set.epsilon), DEFAULT_BITS).unwrap().coefficients();
        for (published, own) in published.iter().flatten().zip(own.iter().flatten()) {
            assert!((published / own - 1.0).abs() < 1e-4, "{published} {own}");
        }
    }

    #[test]
    fn what_is_wrong_with_a_json_file_is_named_with_its_place() {
        let good = json(&designed(&[3, 5]));
        let error = |from: &str, to: &str| {
            assert!(good.contains(from), "{from}");
            parse_json(&good.replacen(from, to, 1)).unwrap_err().to_string()
        };
        assert!(error("{", "[").contains("no JSON"));
        assert!(error("\"schema\": 1", "\"schema\": 2").contains("schema is 2"));
        assert!(error("\"schema\": 1,", "").contains("missing field `schema` at line"));
        assert!(error("\"epsilon\"", "\"eps\"").contains("unknown field `eps`"));
        assert!(error("\"mults\": 6,", "").contains("missing field `mults` at line"));
        assert!(error("\"power\": 3", "\"power\": 2").contains("stage 1: power 2 where 3"));
        assert!(error("\"degree\": 3", "\"degree\": 7").contains("[3, 5], but the degrees of `stages` are [7, 5]"));
        assert!(error("\"f64\": ", "\"f64\": 1").contains("stage 1, power 1: `f64` is"));
        assert!(error("\"f64\": ", "\"f64\": 1e999, \"x\": ").contains("line"));
        let decimals = good.split("\"decimal\": \"").nth(1).unwrap().split('"').next().unwrap();
        assert!(error(decimals, "nan").contains("stage 1, power 1: `nan` is no finite number"));
        let large = good.replace("\"degree\": 5", "\"degree\": 129").replace("    5\n  ],", "    129\n  ],");
        assert!(parse_json(&large).unwrap_err().to_string().contains("degree 129"));
    }

    #[test]
    fn what_is_wrong_with_a_list_is_named_with_its_line() {
        let error = |text: &str, degrees: &[u32]| parse_list(text, degrees).unwrap_err().to_string();
        assert!(error("0\n1.5\n\nx\n", &[3]).contains("line 4: `x`"));
        assert!(error("0\n1.5\n0\n1e999\n", &[3]).contains("line 4: `1e999`"));
        assert!(error("0\n1.5\n0\nNaN\n", &[3]).contains("line 4: `NaN`"));
        assert!(error("0\n1.5\n0\n", &[3]).contains("3 numbers, but the degrees [3] need 4"));
        assert!(error("0\n1.5\n1e-9\n-0.5\n", &[3]).contains("line 3: 1e-9 as coefficient of x^2 of stage 1"));
        assert!(error("0\n1\n", &[129]).contains("degree 129"));
    }

    #[test]
    fn csv_has_a_line_a_power_and_the_numbers_of_the_json_form() {
        let composite = designed(&[3, 7]);
        let csv = Coefficients::of(&composite, CostTable::Published).csv().unwrap();
        let mut reader = csv::Reader::from_reader(csv.as_bytes());
        assert_eq!(reader.headers().unwrap(), CSV_COLUMNS.as_slice());
        let rows: Vec<csv::StringRecord> = reader.records().map(Result::unwrap).collect();
        assert_eq!(rows.len(), 2 + 4);
        let monomial: Vec<f64> = rows.iter().map(|row| row[3].parse().unwrap()).collect();
        assert_eq!(monomial, composite.coefficients().concat());
        assert_eq!((&rows[5][0], &rows[5][1], &rows[5][2]), ("2", "7", "7"));
        assert_eq!(rows[5][6].parse::<f64>().unwrap(), to_f64(&composite.stages[1].chebyshev()[3]));
        let rescaled: Vec<f64> = rows.iter().map(|row| row[13].parse().unwrap()).collect();
        assert_eq!(rescaled, composite.normalised_chebyshev().concat().iter().map(to_f64).collect::<Vec<f64>>());
        assert_eq!(rows[1][14].parse::<f64>().unwrap(), rescaled[1]);
    }

    /// What libraries are given is what is evaluated: another number there is refused, at every stage.
    #[test]
    fn rescaled_stages_that_are_not_the_coefficients_are_refused() {
        let mut form = Coefficients::of(&designed(&[7, 15, 27]), CostTable::Published);
        let text = |form: &Coefficients| serde_json::to_string_pretty(form).unwrap();
        assert!(parse_json(&text(&form)).is_ok());
        for stage in 0..3 {
            for order in [0, 3] {
                let kept = form.stages[stage].rescaled[order].f64;
                form.stages[stage].rescaled[order].f64 += 1e-6;
                let told = parse_json(&text(&form)).unwrap_err().to_string();
                assert!(told.starts_with(&format!("stage {}: `rescaled` gives ", stage + 1)), "{told}");
                form.stages[stage].rescaled[order].f64 = kept;
            }
            form.stages[stage].rescaled.clear();
        }
        assert!(parse_json(&text(&form)).is_ok(), "files of before have none");
    }

    proptest! {
        #[test]
        fn no_text_makes_the_parsers_panic(text in ".{0,200}", degrees in prop::collection::vec(0u32..200, 0..4)) {
            let _ = parse_json(&text);
            let _ = parse_json(&format!("{{\"schema\": 1, {text}"));
            let _ = parse_list(&text, &degrees);
        }

        #[test]
        fn no_change_of_a_good_file_makes_the_parser_panic(at in 0usize..1500, character: char) {
            let good = json(&designed(&[3]));
            let changed: String = good.chars().enumerate().map(|(i, c)| if i == at { character } else { c }).collect();
            let _ = parse_json(&changed);
        }

        #[test]
        fn a_list_of_any_numbers_is_read_or_refused(numbers in prop::collection::vec(any::<f64>(), 0..20)) {
            let text: String = numbers.iter().map(|x| format!("{x:e}\n")).collect();
            if let Ok(parsed) = parse_list(&text, &[3, 3]) {
                prop_assert_eq!(parsed.stages.concat(), numbers.iter().copied().skip(1).step_by(2).collect::<Vec<_>>());
            }
        }
    }
}
