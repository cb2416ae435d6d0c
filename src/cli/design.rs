//! `polyact design`: a composition of minimax polynomials, with its certificate; see also `design_function`.

use std::path::PathBuf;

use clap::Args;

use super::Failure;
use super::design_format::Format;
use super::design_function::FunctionOptions;
use super::output::{Files, deliver};
use super::plot::{FIGURES, PlotFile, plot_file};
use super::scales::{RING, tell_what_noise_does};
use crate::activation::{
    Clenshaw, Coefficients, Sign, Spec, parse_degrees, parse_epsilon, plain_list, relu_error_f32, relu_error_f64,
};
use crate::minimax::{Composite, CostTable, DEFAULT_BITS, DesignError, Epsilon, INSIDE, decimal, to_f64};
use crate::report::{Align, composition, snippet, table};

/// Design the composition of minimax polynomials that approximates sign, and with it ReLU and max; or one polynomial for
/// another function
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Arguments {
    /// Odd degrees of the stages, in the order of application (3 to 127, at most 8)
    #[arg(long, value_name = "D,D,…", value_parser = degrees, required_unless_present_any = ["alpha", "function"])]
    degrees: Option<Degrees>,
    /// Where sign begins, between 0 and 1 [default: the one that makes the worst ReLU error least]
    #[arg(long, value_name = "E", value_parser = parse_epsilon)]
    epsilon: Option<f64>,
    /// The published degree set and epsilon for the ReLU error 2^-ALPHA on [-1,1] (4 to 14)
    #[arg(long, value_name = "ALPHA", value_parser = alpha, conflicts_with_all = ["degrees", "epsilon"])]
    alpha: Option<u32>,
    /// Design for inputs up to 1+F, so that noise takes none out of range; the gain at 1 falls to that inside (0 to 1)
    #[arg(long, value_name = "F", default_value_t = 0.0, allow_negative_numbers = true)]
    margin: f64,
    #[command(flatten)]
    function: FunctionOptions,
    /// What the stages cost: depth and multiplications in tables, JSON and the comments of source code
    #[arg(long, value_name = "TABLE", value_enum, default_value_t = CostTable::Published)]
    costs: CostTable,
    /// Bits of precision to compute with, at least; more are taken where needed (64 to 65536)
    #[arg(long, value_name = "BITS", default_value_t = DEFAULT_BITS, allow_negative_numbers = true)]
    precision: usize,
    /// How to print the polynomials; of one function as table, json or csv
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
    /// Write to FILE instead of stdout
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Draw the errors of the stages, the sign and the ReLU into FILE.svg or FILE.png
    #[arg(long, value_name = "FILE", value_parser = plot_file)]
    plot: Option<PlotFile>,
}

const EXAMPLES: &str = "Examples:
  polyact design --degrees 15,27,29
  polyact design --alpha 14 --format json --out alpha14.json
  polyact design --degrees 7,15,27 --epsilon 0.004 --format csv
  polyact design --alpha 14 --format lattigo --out sign.go
  polyact design --alpha 14 --costs openfhe
  polyact design --degrees 15,27,29 --margin 0.01
  polyact design --alpha 14 --plot alpha14.svg
  polyact design --function silu --interval -8,8 --degree 59
  polyact design --function step --interval -8,-0.1 --interval 0.1,8 --degree 27 --format json
  polyact design --function relu --interval -8,8 --degree 27 --method chebyshev";

#[derive(Debug, Clone)]
struct Degrees(Vec<u32>);

fn degrees(text: &str) -> Result<Degrees, String> {
    parse_degrees(text).map(Degrees).map_err(|error| error.to_string())
}

fn alpha(text: &str) -> Result<u32, String> {
    match format!("paper:{text}").parse() {
        Ok(Spec::Paper { alpha }) => Ok(alpha),
        _ => Err("degree sets are published for 4 to 14".to_owned()),
    }
}

/// How designs in all formats begin.
const DESIGNS: &[&[u8]] = &[
    b"stage ", b"stage,", b"function ", b"function,", b"{\n  \"schema\": ",
    b"{\n  \"version\": \"*\",\n  \"function\": ", b"0\n*.", b"// Sign as a composition", b"# Sign as a composition",
];

pub(super) fn run(arguments: Arguments) -> Result<(), Failure> {
    let out = arguments.out.as_deref();
    let plot = arguments.plot.as_ref().map(PlotFile::path);
    Files::default().writes("--out", out, DESIGNS).writes("--plot", plot, FIGURES).check()?;
    let text = match arguments.function.design(arguments.precision, arguments.format)? {
        Some(text) => text,
        None => composed(&arguments)?,
    };
    deliver(out, &text)
}

/// The text of the composition that is asked for; its figure is written.
fn composed(arguments: &Arguments) -> Result<String, Failure> {
    let (degrees, epsilon) = match (arguments.alpha, &arguments.degrees) {
        (Some(alpha), _) => Spec::Paper { alpha }.composition().unwrap_or_default(),
        (None, Some(Degrees(degrees))) => (degrees.clone(), arguments.epsilon.map_or(Epsilon::Best, Epsilon::Given)),
        (None, None) => return Err(Failure::Usage("--degrees, --alpha or --function is needed".to_owned())),
    };
    let composite = Composite::with_margin(&degrees, &epsilon, arguments.margin, arguments.precision);
    let composite = composite.map_err(|error| match error {
        DesignError::Bits(_) => Failure::Usage(format!("--precision: {error}")),
        DesignError::Margin(_) => Failure::Usage(format!("--margin: {error}")),
        other => other.into(),
    })?;
    if let Some(file) = &arguments.plot {
        file.write(&composition::figure(&composite, arguments.alpha))?;
    }
    tell_what_noise_does(&format!("--degrees {}", degrees_of(&composite)), &composite, "--margin 0.01");
    if matches!(arguments.format, Format::List) {
        tell_monomials(&composite);
    }
    let costs = arguments.costs;
    Ok(match arguments.format {
        Format::Table => for_people(&composite, costs),
        Format::Json => serde_json::to_string_pretty(&Coefficients::of(&composite, costs))? + "\n",
        Format::Csv => Coefficients::of(&composite, costs).csv()?,
        Format::List => plain_list(&composite),
        Format::Lattigo => snippet::lattigo(&composite, costs),
        Format::Openfhe => snippet::openfhe(&composite, costs),
        Format::Orion => snippet::orion(&composite, costs),
    })
}

fn for_people(composite: &Composite, costs: CostTable) -> String {
    let header = [
        ("stage", Align::Right),
        ("degree", Align::Right),
        ("from", Align::Right),
        ("to", Align::Right),
        ("error", Align::Right),
        ("level to", Align::Right),
        ("slope at 0", Align::Right),
        ("depth", Align::Right),
        ("mults", Align::Right),
    ];
    let rows = composite.stages.iter().enumerate().map(|(i, stage)| {
        let (error, cost) = (&stage.minimax.error, costs.odd_polynomial(stage.degree));
        let unevenness = (error - &stage.minimax.lower_bound) / error;
        vec![
            (i + 1).to_string(),
            stage.degree.to_string(),
            decimal(&stage.interval.0, 6),
            decimal(&stage.interval.1, 6),
            decimal(error, 8),
            format!("{:.0e}", to_f64(&unevenness)),
            format!("{:.5}", to_f64(&stage.minimax.coefficients[0])),
            cost.depth.to_string(),
            cost.multiplications.to_string(),
        ]
    });
    let relu = costs.relu(&composite.degrees());
    let relu_error = to_f64(&composite.relu_error);
    let reach = 1.0 + composite.margin;
    table(&header, rows)
        + &format!(
            "\nepsilon     {:e}\nsign error  {}  for epsilon <= |x| <= {reach}\nReLU error  {}  on [-{reach},{reach}], \
             2^{:.3}\n            {}\n  in f64    {:.7e}  monomials, Horner's scheme\n  in f32    {:.7e}  Chebyshev series, \
             Clenshaw's recurrence\n{}ReLU cost   depth {}, non-scalar multiplications {}{}\n",
            composite.epsilon,
            decimal(&composite.sign_error(), 8),
            decimal(&composite.relu_error, 8),
            relu_error.log2(),
            composition::sparkline(composite),
            relu_error_f64(&Sign::of(composite)),
            relu_error_f32(&Clenshaw::of(composite)),
            under_encryption(composite),
            relu.depth,
            relu.multiplications,
            costs.remark(),
        )
}

/// Powers of x lose all digits on ciphertexts where their coefficients cancel.
fn tell_monomials(composite: &Composite) {
    if composite.degrees().iter().any(|&degree| degree >= LEAST_BAD_DEGREE) {
        eprintln!(
            "warning: --format list: powers of x of degree {LEAST_BAD_DEGREE} and more give numbers without meaning on ciphertexts; take \
             `rescaled` of --format json for those"
        );
    }
}

/// The least degree that OpenFHE does not evaluate by powers of x.
const LEAST_BAD_DEGREE: u32 = 15;

fn degrees_of(composite: &Composite) -> String {
    composite.degrees().iter().map(u32::to_string).collect::<Vec<String>>().join(",")
}

/// What the noise of CKKS does to the ReLU, and what it takes in the libraries.
fn under_encryption(composite: &Composite) -> String {
    let gain = composite.noise_gain();
    // Without the sign of a zero.
    let [lower, upper] = gain.at_ends.map(|gain| (10.0 * gain).round() / 10.0 + 0.0);
    let mut text =
        format!("noise gain  {upper:.1} at 1, {lower:.1} at -1, at most {:.1} where |x| < {INSIDE}\n", gain.inside);
    if let Some(overshoot) = gain.overshoot {
        text += &format!("overshoot   2^{:.1} beyond 1 doubles the error\n", overshoot.log2());
    }
    if let Some([openfhe, lattigo]) =
        composite.least_scale(RING).zip(composite.least_scale_in_lattigo(RING)).map(<[u32; 2]>::from)
    {
        let alpha = composite.whole_bits();
        text += &format!(
            "scale       {openfhe} bits in OpenFHE, {lattigo} in Lattigo keep 2^-{alpha} on fresh ciphertexts, N = 2^16; one less where N is \
             half\n"
        );
    }
    let levels = [CostTable::OpenFhe, CostTable::Lattigo].map(|table| table.relu(&composite.degrees()).depth);
    text + &format!("levels      {} in OpenFHE, {} in Lattigo\n", levels[0], levels[1])
}
