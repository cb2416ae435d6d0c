//! `polyact eval`: exact against approximate accuracy of a model on a dataset.

use std::fs::File;
use std::io::BufWriter;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};

use super::options::{ModelOptions, PreparationOptions, ReadingOptions};
use super::substitution::SubstitutionOptions;
use super::summary::Summary;
use super::{Failure, print};
use crate::dataset::{BUNDLED, Dataset};
use crate::evaluation::{Evaluation, Observer, Prediction, Scope, Score, evaluate};
use crate::model::Model;
use crate::report::{Results, Row};

/// Compare a model's exact accuracy with the one it keeps when its ReLUs and max-pools are polynomials
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Arguments {
    #[command(flatten)]
    model: ModelOptions,
    /// Class folders, a folder or tar archive of images with --labels, IDX, binary CIFAR, or `bundled`: the 10,000 test
    /// images of Fashion-MNIST
    #[arg(long, value_name = "D", default_value = BUNDLED)]
    dataset: PathBuf,
    #[command(flatten)]
    reading: ReadingOptions,
    #[command(flatten)]
    substitution: SubstitutionOptions,
    #[command(flatten)]
    preparation: PreparationOptions,
    #[command(flatten)]
    output: OutputOptions,
    /// Print the row as JSON instead of a table
    #[arg(long)]
    json: bool,
}

/// Where results go.
#[derive(Debug, Args)]
pub(super) struct OutputOptions {
    /// Append the result as a row to this CSV file
    #[arg(long, value_name = "results.csv")]
    pub out: Option<PathBuf>,
    /// Write a line an image to this CSV file: position, name, label, exact and approximate class, margin of the exact
    #[arg(long, value_name = "FILE")]
    pub predictions: Option<PathBuf>,
    /// Write a line a class to this CSV file: images, exact and approximate accuracy
    #[arg(long, value_name = "FILE")]
    pub per_class: Option<PathBuf>,
    /// No progress bar, no warnings
    #[arg(long)]
    pub quiet: bool,
}

const EXAMPLES: &str = "Examples:
  polyact eval --model weights/resnet20-fashion.pt --relu-range 16
  polyact eval --model weights/vgg-fashion.pt --relu minimax:15,27,29 --relu-range 16 --out r.csv
  polyact eval --model resnet50.pt --dataset imagenet/val --relu-range 50 --limit 1000
  polyact eval --model resnet50.pt --dataset ILSVRC2012_img_val.tar --labels synset_labels.txt ...

A range is the bound of all sites of its kind. Inputs beyond it are counted and never clipped: there
the polynomials blow up, as they would under encryption. ReLU6 is ReLU(x) - ReLU(x-6), and the range
of its second ReLU is B+6. The README explains the columns of the CSV file.";

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let (row, text) = compare(
        &arguments.model,
        &arguments.dataset,
        &arguments.reading,
        &arguments.substitution,
        &arguments.preparation,
        &arguments.output,
    )?;
    print(&if arguments.json { serde_json::to_string_pretty(&row)? + "\n" } else { text })
}

/// Run both passes, write what `output` asks for; the row, and the text for people.
///
/// # Errors
/// Output files that cannot be written, before any work; then whatever is wrong with the model or the images.
pub(super) fn compare(
    options: &ModelOptions,
    path: &Path,
    reading: &ReadingOptions,
    substitution: &SubstitutionOptions,
    preparation: &PreparationOptions,
    output: &OutputOptions,
) -> Result<(Row, String), Failure> {
    let results = output.out.as_deref().map(Results::open).transpose()?;
    let mut per_class = output.per_class.as_deref().map(|path| Table::create("--per-class", path)).transpose()?;
    let predictions = output.predictions.as_deref().map(|path| Table::create("--predictions", path)).transpose()?;
    let model = options.load()?;
    let substitution = substitution.resolve(&model)?;
    let sites = substitution.apply(&model)?;
    let dataset = reading.open(path)?;
    let preparation = preparation.resolve(model.preprocess(), &dataset)?;
    if !output.quiet {
        warn(&model);
    }

    let images = reading.images(&dataset);
    let scope =
        Scope { dataset: &dataset, preparation: &preparation, images, batch: reading.batch, strict: reading.strict };
    let mut watch = Watch { dataset: &dataset, bar: progress_bar(images, output.quiet), predictions };
    watch.begin()?;
    let evaluation = evaluate(&model, scope, &sites, &mut watch);
    watch.bar.finish_and_clear();
    let evaluation = evaluation?;
    watch.end()?;
    tell_broken(&dataset, &evaluation);
    if let Some(table) = &mut per_class {
        table.classes(&evaluation.score)?;
    }

    let batch = reading.batch;
    let (model, dataset, preparation, substitution) = (&model, &dataset, &preparation, &substitution);
    let summary = Summary { options, model, dataset, preparation, substitution, batch, evaluation: &evaluation };
    let row = summary.row();
    if let Some(mut results) = results {
        results.append(&row)?;
    }
    let text = summary.text(&row);
    Ok((row, text))
}

/// What the user must know before the figures.
fn warn(model: &Model) {
    for node in model.foreign().iter().filter(|node| !node.at_output) {
        eprintln!("warning: {} at {} is no polynomial and stays as it is", node.operator, node.name);
    }
}

/// Images that were left out: even when quiet, since the figures rest on fewer images.
fn tell_broken(dataset: &Dataset, evaluation: &Evaluation) {
    const SHOWN: usize = 20;
    for broken in evaluation.broken.iter().take(SHOWN) {
        eprintln!("warning: image {} left out: {}", dataset.image_name(broken.index), broken.reason);
    }
    if evaluation.broken.len() > SHOWN {
        eprintln!("warning: {} more images left out", evaluation.broken.len() - SHOWN);
    }
}

/// Draws progress and writes predictions.
struct Watch<'a> {
    dataset: &'a Dataset,
    bar: ProgressBar,
    predictions: Option<Table<'a>>,
}

impl Watch<'_> {
    fn begin(&mut self) -> Result<(), Failure> {
        let header = ["index", "image", "label", "exact", "approximate", "margin"];
        self.predictions.as_mut().map_or(Ok(()), |table| table.line(header.map(str::to_owned)))
    }

    fn end(&mut self) -> Result<(), Failure> {
        self.predictions.as_mut().map_or(Ok(()), Table::finish)
    }
}

impl Observer for Watch<'_> {
    fn image(&mut self, prediction: &Prediction) -> std::io::Result<()> {
        let Some(table) = &mut self.predictions else { return Ok(()) };
        let class = |class: Option<usize>| class.map(|class| class.to_string()).unwrap_or_default();
        let fields = [
            prediction.index.to_string(),
            self.dataset.image_name(prediction.index),
            prediction.label.to_string(),
            class(prediction.exact),
            class(prediction.approximate),
            format!("{:.6}", prediction.margin),
        ];
        table.writer.write_record(fields).map_err(std::io::Error::other)
    }

    fn batch(&mut self, done: usize, score: &Score) {
        self.bar.set_position(done as u64);
        self.bar.set_message(format!("exact {:.2} %, approximate {:.2} %", score.top1_exact(), score.top1()));
    }
}

/// A CSV file beside the results.
struct Table<'a> {
    flag: &'static str,
    path: &'a Path,
    writer: csv::Writer<BufWriter<File>>,
}

impl<'a> Table<'a> {
    /// Before the work, so that a bad path fails at once.
    fn create(flag: &'static str, path: &'a Path) -> Result<Table<'a>, Failure> {
        let file =
            File::create(path).map_err(|source| Failure::File { flag, path: path.display().to_string(), source })?;
        Ok(Table { flag, path, writer: csv::Writer::from_writer(BufWriter::new(file)) })
    }

    fn line<const N: usize>(&mut self, fields: [String; N]) -> Result<(), Failure> {
        Ok(self.writer.write_record(fields)?)
    }

    fn finish(&mut self) -> Result<(), Failure> {
        let (flag, path) = (self.flag, self.path.display().to_string());
        self.writer.flush().map_err(|source| Failure::File { flag, path, source })
    }

    fn classes(&mut self, score: &Score) -> Result<(), Failure> {
        self.line(["class", "images", "top1_exact", "top1"].map(str::to_owned))?;
        for (class, counts) in score.of_classes().iter().enumerate() {
            let percent = |right: usize| match counts.images {
                0 => String::new(),
                images => format!("{:.3}", 100.0 * right as f64 / images as f64),
            };
            let fields =
                [class.to_string(), counts.images.to_string(), percent(counts.exact), percent(counts.approximate)];
            self.line(fields)?;
        }
        self.finish()
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
fn rate(state: &ProgressState, text: &mut dyn std::fmt::Write) {
    let _ = write!(text, "{:.1} images/s", state.per_sec());
}
