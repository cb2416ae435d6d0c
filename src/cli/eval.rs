//! `polyact eval`: exact against approximate accuracy of a model on a dataset.

use std::fmt::Write;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};
use tch::Device;

use super::options::{InputOptions, ModelOptions, NormalisationOptions};
use super::{Failure, print};
use crate::activation::{Sign, Spec, check_range};
use crate::dataset::{BUNDLED, Dataset};
use crate::evaluation::{DEFAULT_BATCH, Evaluation, Score, evaluate};
use crate::model::{Model, SiteKind, Sites};
use crate::report::{Align, Results, Row, table};

/// Compare a model's exact accuracy with the one it keeps when its ReLUs and max-pools are polynomials
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Arguments {
    #[command(flatten)]
    model: ModelOptions,
    /// Folder of IDX files, an IDX file of images, or `bundled`: the 10,000 test images of Fashion-MNIST
    #[arg(long, value_name = "D", default_value = BUNDLED)]
    dataset: PathBuf,
    /// What stands in for ReLU: exact, paper:4 to paper:14, minimax:D,D,… or minimax:D,D,…@EPSILON
    #[arg(long, value_name = "SPEC", default_value = "paper:14")]
    relu: Spec,
    /// What stands in for max-pooling, in the same form [default: what stands in for ReLU]
    #[arg(long, value_name = "SPEC")]
    maxpool: Option<Spec>,
    /// Bound B of the absolute inputs of every ReLU; needed unless ReLU is exact
    #[arg(long, value_name = "B", value_parser = check_range, allow_negative_numbers = true)]
    relu_range: Option<f64>,
    /// Bound B of the absolute inputs of every max-pool [default: the one of ReLU]
    #[arg(long, value_name = "B", value_parser = check_range, allow_negative_numbers = true)]
    maxpool_range: Option<f64>,
    #[command(flatten)]
    input: InputOptions,
    #[command(flatten)]
    normalisation: NormalisationOptions,
    /// Evaluate the first N images only
    #[arg(long, value_name = "N", value_parser = positive, allow_negative_numbers = true)]
    limit: Option<usize>,
    /// Images in one pass through the network
    #[arg(long, value_name = "N", default_value_t = DEFAULT_BATCH, value_parser = positive, allow_negative_numbers = true)]
    batch: usize,
    /// Append the result as a row to this CSV file
    #[arg(long, value_name = "results.csv")]
    out: Option<PathBuf>,
    /// Print the row as JSON instead of a table
    #[arg(long)]
    json: bool,
    /// No progress bar, no warnings
    #[arg(long)]
    quiet: bool,
}

const EXAMPLES: &str = "Examples:
  polyact eval --model weights/resnet20-fashion.pt --relu-range 16
  polyact eval --model weights/vgg-fashion.pt --relu minimax:15,27,29 --relu-range 16 --out r.csv
  polyact eval --model my.pt --dataset data/mnist --relu paper:12 --relu-range 50 --limit 1000

A range is the bound of all sites of its kind. Inputs beyond it are counted and never clipped: there
the polynomials blow up, as they would under encryption. ReLU6 is ReLU(x) - ReLU(x-6), and the range
of its second ReLU is B+6. The README explains the columns of the CSV file.";

fn positive(text: &str) -> Result<usize, String> {
    text.parse().ok().filter(|&number| number > 0).ok_or_else(|| "expected a positive whole number".to_owned())
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let results = arguments.out.as_deref().map(Results::open).transpose()?;
    let plan = Plan::of(arguments)?;
    let model = arguments.model.load()?;
    let dataset = Dataset::open(&arguments.dataset)?;
    if model.sites().is_empty() {
        return Err(Failure::Usage(format!(
            "model {} has no ReLU and no max-pool; there is nothing to approximate",
            arguments.model.model.display()
        )));
    }
    let sites = plan.apply(&model)?;
    check_input(arguments, &model, &dataset)?;
    let normalisation = arguments.normalisation.resolve(model.preprocess(), dataset.shape()[0])?;
    if !arguments.quiet {
        warn(&model);
    }

    let images = arguments.limit.unwrap_or(usize::MAX).min(dataset.len());
    let bar = progress_bar(images, arguments.quiet);
    let evaluation = evaluate(&model, &dataset, &normalisation, &sites, images, arguments.batch, |done, score| {
        bar.set_position(done as u64);
        bar.set_message(format!("exact {:.2} %, approximate {:.2} %", score.top1_exact(), score.top1()));
    });
    bar.finish_and_clear();
    let evaluation = evaluation?;

    let row = row(arguments, &plan, &model, &dataset, &evaluation);
    if let Some(mut results) = results {
        results.append(&row)?;
    }
    if arguments.json {
        print(&(serde_json::to_string_pretty(&row)? + "\n"))
    } else {
        print(&for_people(&model, &plan, &evaluation, &row))
    }
}

/// What stands in for ReLU and for max, and for which range.
struct Plan {
    relu: Spec,
    maxpool: Spec,
    relu_sign: Option<(Sign, f64)>,
    maxpool_sign: Option<(Sign, f64)>,
}

impl Plan {
    fn of(arguments: &Arguments) -> Result<Plan, Failure> {
        let relu = arguments.relu.clone();
        let maxpool = arguments.maxpool.clone().unwrap_or_else(|| relu.clone());
        let needed = |flag: &str| {
            let why = "the bound B of the absolute inputs; one that is too small ruins images, one that is too large costs accuracy";
            Failure::Usage(format!("{flag} is needed: {why}"))
        };
        let relu_sign = match Sign::design(&relu)? {
            Some(sign) => Some((sign, arguments.relu_range.ok_or_else(|| needed("--relu-range"))?)),
            None => None,
        };
        let maxpool_sign = match Sign::design(&maxpool)? {
            Some(sign) => {
                let range = arguments.maxpool_range.or(arguments.relu_range);
                Some((sign, range.ok_or_else(|| needed("--maxpool-range"))?))
            }
            None => None,
        };
        Ok(Plan { relu, maxpool, relu_sign, maxpool_sign })
    }

    fn apply(&self, model: &Model) -> Result<Sites, Failure> {
        let relu = self.relu_sign.as_ref().map(|(sign, range)| (sign, *range));
        let maxpool = self.maxpool_sign.as_ref().map(|(sign, range)| (sign, *range));
        Ok(model.approximate(relu, maxpool)?)
    }
}

/// IDX images are used at their own size, so it must be the model's.
fn check_input(arguments: &Arguments, model: &Model, dataset: &Dataset) -> Result<(), Failure> {
    let expected = arguments.input.input_size.map(|size| size.0).or(model.preprocess().input_size);
    match expected {
        Some(expected) if expected != dataset.shape() => Err(Failure::Usage(format!(
            "the images of {} are {}, but the model takes {}",
            arguments.dataset.display(),
            by_x(dataset.shape()),
            by_x(expected),
        ))),
        _ => Ok(()),
    }
}

fn by_x(shape: [usize; 3]) -> String {
    shape.map(|size| size.to_string()).join("x")
}

/// What the user must know before the figures.
fn warn(model: &Model) {
    for node in model.foreign().iter().filter(|node| !node.at_output) {
        eprintln!("warning: {} at {} is no polynomial and stays as it is", node.operator, node.name);
    }
}

/// Drawn on a terminal only.
fn progress_bar(images: usize, quiet: bool) -> ProgressBar {
    let target = if quiet { ProgressDrawTarget::hidden() } else { ProgressDrawTarget::stderr() };
    let bar = ProgressBar::with_draw_target(Some(images as u64), target);
    let style = ProgressStyle::with_template("{bar:30} {pos}/{len} images  {rate}  {eta} left  {msg}");
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()).with_key("rate", rate));
    bar.enable_steady_tick(Duration::from_millis(250));
    bar
}

/// A failed write ends the bar's line early, and no more.
fn rate(state: &ProgressState, text: &mut dyn Write) {
    let _ = write!(text, "{:.1} images/s", state.per_sec());
}

fn row(arguments: &Arguments, plan: &Plan, model: &Model, dataset: &Dataset, evaluation: &Evaluation) -> Row {
    let score = &evaluation.score;
    let has = |pool: bool| model.sites().iter().any(|site| matches!(site.kind, SiteKind::MaxPool { .. }) == pool);
    let range = |sign: &Option<(Sign, f64)>, applies: bool| sign.as_ref().filter(|_| applies).map(|(_, range)| *range);
    let sign = plan.relu_sign.as_ref().filter(|_| has(false)).or(plan.maxpool_sign.as_ref().filter(|_| has(true)));
    let worst = evaluation.overflows.iter().max_by_key(|overflow| (overflow.values, std::cmp::Reverse(overflow.site)));
    let seconds = evaluation.approximate_time.as_secs_f64();
    Row {
        model: arguments.model.model.file_stem().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default(),
        dataset: dataset.name().to_owned(),
        images: score.images(),
        relu: has(false).then(|| plan.relu.to_string()),
        maxpool: has(true).then(|| plan.maxpool.to_string()),
        relu_range: range(&plan.relu_sign, has(false)),
        maxpool_range: range(&plan.maxpool_sign, has(true)),
        top1: score.top1(),
        top1_exact: score.top1_exact(),
        top1_diff: score.top1() - score.top1_exact(),
        top5: score.top5(),
        top5_exact: score.top5_exact(),
        top5_diff: score.top5().zip(score.top5_exact()).map(|(top5, exact)| top5 - exact),
        agreement: score.agreement(),
        max_logit_error: score.max_logit_error(),
        overflow_images: evaluation.overflow_images,
        overflow_values: evaluation.overflow_values(),
        overflow_site: worst.map(|overflow| model.sites()[overflow.site].name.clone()),
        depth: sign.map(|(sign, _)| sign.cost().depth),
        mults: sign.map(|(sign, _)| sign.cost().multiplications),
        seconds,
        images_per_second: score.images() as f64 / seconds,
        device: match model.device() {
            Device::Cuda(index) => format!("cuda:{index}"),
            _ => "cpu".to_owned(),
        },
        dtype: "float32".to_owned(),
        batch: arguments.batch,
        model_sha256: model.sha256().to_owned(),
        dataset_sha256: dataset.sha256().to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        seconds_exact: evaluation.exact_time.as_secs_f64(),
    }
}

fn for_people(model: &Model, plan: &Plan, evaluation: &Evaluation, row: &Row) -> String {
    let pools = model.sites().iter().filter(|site| matches!(site.kind, SiteKind::MaxPool { .. })).count();
    let mut text = format!("{} on {}, {} images\n", row.model, row.dataset, row.images);
    for (kind, count, spec, sign) in [
        ("relu", model.sites().len() - pools, &plan.relu, &plan.relu_sign),
        ("maxpool", pools, &plan.maxpool, &plan.maxpool_sign),
    ] {
        match sign {
            Some((sign, range)) if count > 0 => {
                let cost = sign.cost();
                text += &format!(
                    "{count} {kind} as {spec} on [-{range},{range}], depth {}, {} multiplications each\n",
                    cost.depth, cost.multiplications
                );
            }
            _ if count > 0 => text += &format!("{count} {kind} exact\n"),
            _ => {}
        }
    }
    text += &accuracy(&evaluation.score, row);
    text += &format!("agreement {:.3} %, largest difference of a logit {:.3e}\n", row.agreement, row.max_logit_error);
    text + &overflow(model, evaluation)
}

fn accuracy(score: &Score, row: &Row) -> String {
    let percent = |value: f64| format!("{value:.3}");
    let optional = |value: Option<f64>| value.map(percent).unwrap_or_default();
    let rate = |seconds: f64| format!("{:.1}", score.images() as f64 / seconds);
    let header = [
        ("", Align::Left),
        ("top-1 %", Align::Right),
        ("top-5 %", Align::Right),
        ("seconds", Align::Right),
        ("images/s", Align::Right),
    ];
    let difference = |value: f64| format!("{:+.3}", if value == 0.0 { 0.0 } else { value });
    let line = |name: &str, top1: f64, top5: Option<f64>, seconds: f64| {
        vec![name.to_owned(), percent(top1), optional(top5), format!("{seconds:.2}"), rate(seconds)]
    };
    let rows = [
        line("exact", row.top1_exact, row.top5_exact, row.seconds_exact),
        line("approximate", row.top1, row.top5, row.seconds),
        vec![
            "difference".to_owned(),
            difference(row.top1_diff),
            row.top5_diff.map(difference).unwrap_or_default(),
            format!("x{:.2}", row.seconds / row.seconds_exact),
            String::new(),
        ],
    ];
    format!("\n{}\n", table(&header, rows))
}

/// The sites whose inputs left their range, in the order of the network, and the range that would have held.
fn overflow(model: &Model, evaluation: &Evaluation) -> String {
    let images = evaluation.score.images();
    let mut text = match evaluation.overflow_images {
        0 => return "no input left its range\n".to_owned(),
        count => format!("inputs of {count} of {images} images left their range:\n"),
    };
    let header = [
        ("site", Align::Right),
        ("name", Align::Left),
        ("values", Align::Right),
        ("NaN", Align::Right),
        ("images", Align::Right),
        ("first image", Align::Right),
        ("largest |x|", Align::Right),
    ];
    text += &table(
        &header,
        evaluation.overflows.iter().map(|overflow| {
            vec![
                overflow.site.to_string(),
                model.sites()[overflow.site].name.clone(),
                overflow.values.to_string(),
                overflow.not_a_number.to_string(),
                overflow.images.to_string(),
                overflow.first_image.to_string(),
                format!("{:.4e}", overflow.worst),
            ]
        }),
    );
    if let Some(first) = evaluation.overflows.first() {
        text += &format!(
            "the first of them, {}, needs a range above {:.4}; what comes after it may only follow from that\n",
            model.sites()[first.site].name,
            first.worst
        );
    }
    if evaluation.score.not_finite() > 0 {
        text += &format!(
            "the logits of {} images are no longer finite and count as wrong\n",
            evaluation.score.not_finite()
        );
    }
    text
}
