//! `polyact search`: the cheapest degree sets for a precision.

use std::path::PathBuf;

use clap::{ArgGroup, Args, ValueEnum};
use serde::Serialize;

use super::Failure;
use super::output::{Files, deliver};
use super::plot::{FIGURES, PlotFile, plot_file};
use crate::activation::parse_epsilon;
use crate::minimax::{
    Composite, CostTable, DEFAULT_BITS, Epsilon, Found, MAX_SEARCHED_DEGREE, Objective, Purpose, Search, SearchError,
    paper_set, to_f64,
};
use crate::report::{Align, front, table};

/// Find the degrees that reach an error with the least depth or the fewest multiplications
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES, group(ArgGroup::new("targets").required(true).args(["alpha", "error"])))]
pub struct Arguments {
    /// Errors of at most 2^-A: a number, a list 4,8,12 or a range 4..14 with both ends (1 to 30)
    #[arg(long, value_name = "A|A..B", value_delimiter = ',', value_parser = alphas)]
    alpha: Vec<Alphas>,
    /// Errors of at most E, a number or a list
    #[arg(long, value_name = "E", value_delimiter = ',', allow_negative_numbers = true)]
    error: Vec<f64>,
    /// What the error is that of: of ReLU on [-1,1], of max on [0,1], or of sign on [epsilon,1]
    #[arg(long = "for", value_name = "FUNCTION", value_enum, default_value_t = Function::Relu)]
    function: Function,
    /// Where sign begins, for --for sign
    #[arg(long, value_name = "E", value_parser = parse_epsilon, required_if_eq("function", "sign"))]
    epsilon: Option<f64>,
    /// The largest degree of a stage (3 to 63)
    #[arg(long, value_name = "D", default_value_t = MAX_SEARCHED_DEGREE,
          value_parser = clap::value_parser!(u32).range(3..=i64::from(MAX_SEARCHED_DEGREE)))]
    max_degree: u32,
    /// What to make least first; the other decides between equals
    #[arg(long, value_enum, default_value_t = First::Depth)]
    objective: First,
    /// What the stages cost
    #[arg(long, value_name = "TABLE", value_enum, default_value_t = CostTable::Published)]
    costs: CostTable,
    /// Print the whole trade-off: the sets that none beats in error, depth and multiplications at once, from the
    /// largest error asked for to the smallest
    #[arg(long, conflicts_with = "objective")]
    front: bool,
    /// Draw the trade-off into FILE.svg or FILE.png: multiplications against depth, a curve for each error asked for
    #[arg(long, value_name = "FILE", value_parser = plot_file, requires = "front")]
    plot: Option<PlotFile>,
    /// How to print the sets
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
    /// Write to FILE instead of stdout
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

const EXAMPLES: &str = "Examples:
  polyact search --alpha 4..14
  polyact search --error 1e-4 --objective mults --max-degree 15
  polyact search --alpha 12 --front
  polyact search --alpha 7..14 --costs openfhe
  polyact search --alpha 4..14 --front --format csv --out front.csv --plot front.svg
  polyact search --for sign --epsilon 0.01 --alpha 10 --format json";

#[derive(Debug, Clone)]
struct Alphas(Vec<u32>);

fn alphas(text: &str) -> Result<Alphas, String> {
    let number = |text: &str| match text.trim().parse() {
        Ok(alpha @ 1..=30) => Ok(alpha),
        _ => Err(format!("`{text}` is no alpha, a whole number from 1 to 30")),
    };
    let (first, last) = text.split_once("..").unwrap_or((text, text));
    let alphas: Vec<u32> = (number(first)?..=number(last)?).collect();
    if alphas.is_empty() { Err(format!("`{text}` is an empty range")) } else { Ok(Alphas(alphas)) }
}

#[derive(Debug, Clone, Copy, PartialEq, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
enum Function {
    Relu,
    /// The same sets as ReLU, with the same errors
    Max,
    Sign,
}

impl Function {
    /// As a column's title has it.
    fn name(self) -> &'static str {
        match self {
            Function::Relu => "ReLU",
            Function::Max => "max",
            Function::Sign => "sign",
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, ValueEnum)]
enum First {
    /// Depth, then multiplications
    Depth,
    /// Non-scalar multiplications, then depth
    Mults,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Format {
    /// For people; the published set beside the found one
    Table,
    /// All of it
    Json,
    /// A line a set
    Csv,
}

/// An error to reach.
#[derive(Debug, Clone, Copy)]
struct Target {
    alpha: Option<u32>,
    error: f64,
}

/// How degree sets in all formats begin.
const SEARCHES: &[&[u8]] = &[b"target ", b"degrees ", b"alpha,target,", b"{\n  \"version\": \"*\",\n  \"for\": "];

pub(super) fn run(arguments: Arguments) -> Result<(), Failure> {
    let out = arguments.out.as_deref();
    let plot = arguments.plot.as_ref().map(PlotFile::path);
    Files::default().writes("--out", out, SEARCHES).writes("--plot", plot, FIGURES).check()?;
    let purpose = match (arguments.function, arguments.epsilon) {
        (Function::Sign, Some(epsilon)) => Purpose::Sign { epsilon },
        (Function::Relu | Function::Max, None) => Purpose::Relu,
        _ => return Err(Failure::Usage("--epsilon goes with --for sign and with nothing else".to_owned())),
    };
    let alphas = arguments.alpha.iter().flat_map(|Alphas(alphas)| alphas);
    let of_alpha = alphas.map(|&alpha| Target { alpha: Some(alpha), error: (-f64::from(alpha)).exp2() });
    let of_error = arguments.error.iter().map(|&error| Target { alpha: None, error });
    let targets: Vec<Target> = of_alpha.chain(of_error).collect();

    let mut search = Search::new(purpose, arguments.max_degree, arguments.costs).map_err(failure)?;
    let sets = if arguments.front {
        let largest = targets.iter().map(|target| target.error).fold(f64::NEG_INFINITY, f64::max);
        let smallest = targets.iter().map(|target| target.error).fold(f64::INFINITY, f64::min);
        let front = search.front(largest, smallest).map_err(failure)?;
        if let Some(file) = &arguments.plot {
            let errors: Vec<f64> = targets.iter().map(|target| target.error).collect();
            file.write(&front::figure(&front, &errors, arguments.function.name(), arguments.costs))?;
        }
        front.iter().map(|found| DegreeSet::of(found, None)).collect()
    } else {
        let objective = match arguments.objective {
            First::Depth => Objective::Depth,
            First::Mults => Objective::Multiplications,
        };
        let found = |target: &Target| -> Result<DegreeSet, Failure> {
            let mut set = DegreeSet::of(&search.cheapest(target.error, objective).map_err(failure)?, Some(*target));
            set.published = match (target.alpha, purpose) {
                (Some(alpha), Purpose::Relu) => published(alpha, arguments.costs)?,
                _ => None,
            };
            Ok(set)
        };
        targets.iter().map(found).collect::<Result<Vec<_>, _>>()?
    };
    let text = match arguments.format {
        Format::Table => for_people(&sets, arguments.function, arguments.costs),
        Format::Json => {
            let result = Sets {
                version: env!("CARGO_PKG_VERSION"),
                function: arguments.function,
                max_degree: arguments.max_degree,
                costs: arguments.costs.name(),
                sets,
            };
            serde_json::to_string_pretty(&result)? + "\n"
        }
        Format::Csv => as_csv(&sets, arguments.costs)?,
    };
    deliver(out, &text)
}

/// What is wrong with an option is bad usage.
fn failure(error: SearchError) -> Failure {
    match error {
        SearchError::Target(..) => Failure::Usage(format!("--alpha or --error: {error}")),
        SearchError::Epsilon(_) => Failure::Usage(format!("--epsilon: {error}")),
        SearchError::MaxDegree(_) => Failure::Usage(format!("--max-degree: {error}")),
        SearchError::Unreachable { .. } | SearchError::Design(_) => Failure::Search(error),
    }
}

/// The published set for ReLU and max, with the errors it has at its own ε and what `costs` says of it.
fn published(alpha: u32, costs: CostTable) -> Result<Option<Published>, Failure> {
    let Some(set) = paper_set(alpha) else {
        return Ok(None);
    };
    let composite = Composite::design(set.degrees, &Epsilon::Given(set.epsilon), DEFAULT_BITS)?;
    let cost = costs.relu(set.degrees);
    Ok(Some(Published {
        degrees: composite.degrees(),
        epsilon: composite.epsilon,
        relu_error: to_f64(&composite.relu_error),
        depth: cost.depth,
        mults: cost.multiplications,
    }))
}

/// The answer as JSON has it.
#[derive(Serialize)]
struct Sets {
    version: &'static str,
    #[serde(rename = "for")]
    function: Function,
    max_degree: u32,
    /// The name of the table that depths and multiplications are from.
    costs: &'static str,
    sets: Vec<DegreeSet>,
}

#[derive(Serialize)]
struct DegreeSet {
    alpha: Option<u32>,
    /// The error asked for; none on a front.
    target: Option<f64>,
    degrees: Vec<u32>,
    epsilon: f64,
    /// Of the function searched for.
    error: f64,
    sign_error: f64,
    relu_error: f64,
    depth: u32,
    mults: u32,
    published: Option<Published>,
}

#[derive(Serialize)]
struct Published {
    degrees: Vec<u32>,
    epsilon: f64,
    relu_error: f64,
    depth: u32,
    mults: u32,
}

impl DegreeSet {
    fn of(found: &Found, target: Option<Target>) -> DegreeSet {
        DegreeSet {
            alpha: target.and_then(|target| target.alpha),
            target: target.map(|target| target.error),
            degrees: found.composite.degrees(),
            epsilon: found.composite.epsilon,
            error: to_f64(&found.error),
            sign_error: to_f64(&found.composite.sign_error()),
            relu_error: to_f64(&found.composite.relu_error),
            depth: found.cost.depth,
            mults: found.cost.multiplications,
            published: None,
        }
    }
}

fn for_people(sets: &[DegreeSet], function: Function, costs: CostTable) -> String {
    let error = format!("{} error", function.name());
    let mut header = vec![
        ("target", Align::Right),
        ("degrees", Align::Left),
        ("epsilon", Align::Right),
        (&error, Align::Right),
        ("2^", Align::Right),
        ("depth", Align::Right),
        ("mults", Align::Right),
    ];
    // Of a front no set has a target, and of targets without a published set there is nothing beside.
    if sets.iter().all(|set| set.target.is_none()) {
        header.remove(0);
    }
    let compared = sets.iter().any(|set| set.published.is_some());
    if compared {
        header.extend([
            ("published", Align::Left),
            (&error, Align::Right),
            ("depth", Align::Right),
            ("mults", Align::Right),
        ]);
    }
    let rows = sets.iter().map(|set| {
        let target = match (set.alpha, set.target) {
            (Some(alpha), _) => Some(format!("2^-{alpha}")),
            (None, target) => target.map(|target| format!("{target:e}")),
        };
        let found = [
            listed(&set.degrees),
            format!("{:.4e}", set.epsilon),
            format!("{:.4e}", set.error),
            format!("{:.3}", set.error.log2()),
            set.depth.to_string(),
            set.mults.to_string(),
        ];
        let published = set.published.as_ref().map(|set| {
            [listed(&set.degrees), format!("{:.4e}", set.relu_error), set.depth.to_string(), set.mults.to_string()]
        });
        let beside = compared.then(|| published.unwrap_or_default()).into_iter().flatten();
        target.into_iter().chain(found).chain(beside).collect()
    });
    let mut text = table(&header, rows)
        + &format!("\ndepth and multiplications are those of one {}{}\n", function.name(), costs.remark());
    if compared {
        text += "published: arXiv 2105.10879, designed anew with its own epsilon\n";
    }
    text
}

fn as_csv(sets: &[DegreeSet], costs: CostTable) -> Result<String, Failure> {
    let number = |number: f64| format!("{number:e}");
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record([
        "alpha", "target", "degrees", "epsilon", "error", "sign_error", "relu_error", "depth", "mults", "version",
        "costs",
    ])?;
    for set in sets {
        writer.write_record([
            set.alpha.map(|alpha| alpha.to_string()).unwrap_or_default(),
            set.target.map(number).unwrap_or_default(),
            listed(&set.degrees),
            number(set.epsilon),
            number(set.error),
            number(set.sign_error),
            number(set.relu_error),
            set.depth.to_string(),
            set.mults.to_string(),
            env!("CARGO_PKG_VERSION").to_owned(),
            costs.name().to_owned(),
        ])?;
    }
    let bytes = writer.into_inner().map_err(|error| csv::Error::from(error.into_error()))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// `15,27,29`.
fn listed(degrees: &[u32]) -> String {
    degrees.iter().map(u32::to_string).collect::<Vec<_>>().join(",")
}
