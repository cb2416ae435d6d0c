//! `polyact eval`: exact against approximate accuracy of a model on a dataset.

use std::collections::{BTreeSet, HashSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};

use super::calibrate::images_file;
use super::configuration::{ConfigurationOptions, OnOverflow};
use super::options::{ModelOptions, ReadingOptions, UntilOptions};
use super::output::{Files, failure};
use super::preparation::PreparationOptions;
use super::summary::{Setting, Summary, by_harm, needed};
use super::{Failure, print};
use crate::bounded;
use crate::dataset::{BUNDLED, Broken, Dataset};
use crate::digest;
use crate::evaluation::{
    ClassScore, Configuration, Designs, Evaluation, Observer, Plan, Prediction, Ranges, Replica, Scope, Substitution,
    Tally, evaluate,
};
use crate::model::{Model, Site};
use crate::report::{Results, Row, WholeFile};

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
    configuration: ConfigurationOptions,
    #[command(flatten)]
    preparation: PreparationOptions,
    #[command(flatten)]
    until: UntilOptions,
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
    /// Write a line a site whose inputs left their range to this CSV file, in the order of harm
    #[arg(long, value_name = "FILE")]
    pub overflow_report: Option<PathBuf>,
    /// No progress bar
    #[arg(long)]
    pub quiet: bool,
}

impl OutputOptions {
    /// See that none of the files is one of `files`, which the command reads, or another, and that all can be written.
    ///
    /// # Errors
    /// As [`Files::check`].
    pub fn check<'a>(&'a self, files: Files<'a>) -> Result<(), Failure> {
        files
            .appends("--out", self.out.as_deref())
            .writes("--predictions", self.predictions.as_deref(), &[b"index,image,"])
            .writes("--per-class", self.per_class.as_deref(), &[b"class,images,"])
            .writes("--overflow-report", self.overflow_report.as_deref(), &[b"index,site,"])
            .check()
    }
}

const EXAMPLES: &str = "Examples:
  polyact eval --model weights/resnet20-fashion.pt --relu-range 16
  polyact eval --model weights/vgg-fashion.pt --relu minimax:15,27,29 --relu-range 16 --out r.csv
  polyact eval --model resnet50.pt --dataset imagenet/val --relu-range 50 --limit 1000
  polyact eval --model resnet50.pt --dataset ILSVRC2012_img_val.tar --labels synset_labels.txt ...
  polyact eval --model resnet50.pt --dataset imagenet/val --relu-range file:ranges.csv --holdout 1000
  polyact eval --model resnet50.pt --dataset imagenet/val --relu-range 50 --until 0.2

Inputs beyond a range are counted and, unless --on-overflow says so, not clipped: there the polynomials
blow up, as they would under encryption. ReLU6 is ReLU(x) - ReLU(x-6), and the range of its second
ReLU is B+6. docs/columns.md explains the columns of every CSV file.";

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let files = arguments.configuration.files(arguments.reading.files());
    let files = files.reads("--model", &*arguments.model.model).reads("--dataset", &*arguments.dataset);
    arguments.output.check(files)?;
    let task = Task {
        model: &arguments.model,
        dataset: &arguments.dataset,
        reading: &arguments.reading,
        until: arguments.until,
        preparation: &arguments.preparation,
        output: &arguments.output,
        stop_at_overflow: arguments.configuration.on_overflow == OnOverflow::Error,
    };
    let (row, text) = task.compare(|| arguments.configuration.read())?;
    print(&if arguments.json { serde_json::to_string_pretty(&row.json())? + "\n" } else { text })
}

/// One model over one dataset, and where what comes out goes.
pub(super) struct Task<'a> {
    pub model: &'a ModelOptions,
    pub dataset: &'a Path,
    pub reading: &'a ReadingOptions,
    pub until: UntilOptions,
    pub preparation: &'a PreparationOptions,
    pub output: &'a OutputOptions,
    pub stop_at_overflow: bool,
}

impl Task<'_> {
    /// Run both passes, write what is asked for; the row, and the text for people.
    ///
    /// # Errors
    /// Output files that cannot be written, before any work; then whatever is wrong with the model or the images.
    pub fn compare(
        &self,
        configuration: impl FnOnce() -> Result<Configuration, Failure>,
    ) -> Result<(Row, String), Failure> {
        let Task { model: options, dataset: path, reading, until, preparation, output, stop_at_overflow } = *self;
        let results = output.out.as_deref().map(Results::open).transpose()?;
        let per_class = Table::create("--per-class", output.per_class.as_deref())?;
        let overflow_report = Table::create("--overflow-report", output.overflow_report.as_deref())?;
        let predictions = Table::create("--predictions", output.predictions.as_deref())?;
        let configuration = configuration()?;
        let models = options.load()?;
        let model = &models[0];
        let substitution = configuration.resolve(model.sites(), &mut Designs::default())?;
        let replicas = replicas(&models, std::slice::from_ref(&substitution))?;
        let dataset = reading.open(path)?;
        let sample = reading.evaluated(&dataset, until)?;
        let images = &sample.images;
        let preparation = preparation.resolve(model.preprocess(), &dataset)?;
        warn(model);

        let (batch, strict) = (reading.batch, reading.strict);
        let until = until.of(images.len());
        let scope =
            Scope { dataset: &dataset, preparation: &preparation, images, batch, strict, stop_at_overflow, until };
        let bar = progress_bar(images.len(), output.quiet);
        let mut watch = Watch { dataset: &dataset, bar, predictions, classes: Vec::new() };
        watch.begin()?;
        let mut evaluation = Evaluation::default();
        let evaluated = evaluate(&replicas, scope, &mut evaluation, &mut watch);
        watch.bar.finish_and_clear();
        evaluated?;
        watch.end()?;
        tell_broken(&dataset, &evaluation.broken);
        tell_calibrated(std::slice::from_ref(&configuration), &evaluation)?;
        tell_chance(&evaluation);
        let tally = &evaluation.tallies[0];
        if let Some(table) = per_class {
            watch.classes.resize(tally.score.classes(), ClassScore::default());
            table.classes(&watch.classes)?;
        }
        if let Some(table) = overflow_report {
            table.overflows(&dataset, model.sites(), &substitution, tally)?;
        }

        let setting = Setting {
            model: name_of(&options.model),
            model_sha256: model.sha256(),
            graph: model.graph(),
            sites: model.sites(),
            foreign: model.foreign(),
            output: models.iter().find_map(Model::output),
            dataset: &dataset,
            sampled: &sample.description,
            available: images.len(),
            until,
            preparation: &preparation,
            device: options.device.name(),
            dtype: options.device.dtype(),
            batch,
        };
        let summary = Summary {
            setting: &setting,
            configuration: &configuration,
            substitution: &substitution,
            evaluation: &evaluation,
            tally,
        };
        let row = summary.row();
        if let Some(results) = results {
            results.append(&row)?;
        }
        let text = summary.text(&row);
        Ok((row, text))
    }
}

/// The name of an archive in results: its file's, without the ending.
pub(super) fn name_of(model: &Path) -> String {
    model.file_stem().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

/// Each of `models` with a table of sites for each of `substitutions`.
///
/// # Errors
/// A pool that cannot be approximated.
pub(super) fn replicas<'a>(models: &'a [Model], substitutions: &[Substitution]) -> Result<Vec<Replica<'a>>, Failure> {
    let replica = |model: &'a Model| {
        let configurations: Result<_, _> = substitutions.iter().map(|substitution| substitution.table(model)).collect();
        Ok(Replica { model, configurations: configurations? })
    };
    models.iter().map(replica).collect()
}

/// What the user must know before the figures, even when quiet: what is left exact, an operator a line.
pub(super) fn warn(model: &Model) {
    let remaining: Vec<_> = model.foreign().iter().filter(|node| !node.at_output).collect();
    for (i, node) in remaining.iter().enumerate() {
        if remaining[..i].iter().any(|before| before.operator == node.operator) {
            continue;
        }
        let places = remaining.iter().filter(|other| other.operator == node.operator).count();
        let more = match places {
            1 => String::new(),
            2 => " and one other place".to_owned(),
            _ => format!(" and {} other places", places - 1),
        };
        eprintln!("warning: {} at {}{more} is not polynomial and stays exact", node.operator, node.name);
    }
}

/// An exact accuracy that is no better than chance, as labels in another order than the model's outputs give it.
pub(super) fn tell_chance(evaluation: &Evaluation) {
    let Some(Tally { score, .. }) = evaluation.tallies.first() else { return };
    if score.is_chance() {
        eprintln!(
            "warning: the exact network's top-1 of {:.3} % on {} images is not better than chance among {} classes; the labels are \
             probably not in the order of its outputs, or the images not prepared as it was trained",
            score.top1_exact(),
            score.images(),
            score.classes()
        );
    }
}

/// Images that were left out: even when quiet, since the figures rest on fewer images.
pub(super) fn tell_broken(dataset: &Dataset, all: &[Broken]) {
    const SHOWN: usize = 20;
    for broken in all.iter().take(SHOWN) {
        eprintln!("warning: image {} left out: {}", dataset.image_name(broken.index), broken.reason);
    }
    if all.len() > SHOWN {
        eprintln!("warning: {} more images left out", all.len() - SHOWN);
    }
}

/// Images that the ranges were measured on: accuracy on them says less than on others.
///
/// # Errors
/// A list of images beside a ranges file or a plan that cannot be read.
pub(super) fn tell_calibrated(configurations: &[Configuration], evaluation: &Evaluation) -> Result<(), Failure> {
    let ranges = configurations.iter().flat_map(|one| [&one.relu_range, &one.maxpool_range]).flatten();
    let plans = configurations.iter().filter_map(|one| one.plan.as_ref()).map(Plan::path);
    let files: BTreeSet<PathBuf> = ranges.filter_map(Ranges::path).chain(plans).map(images_file).collect();
    for path in files.iter().filter(|path| path.exists()) {
        let text = bounded::read_text(path, bounded::TABLE).map_err(|source| Failure::File {
            flag: "ranges",
            path: path.display().to_string(),
            source,
        })?;
        let known: HashSet<&str> = text.lines().collect();
        let met = evaluation.images.iter().filter(|(sha256, _)| known.contains(digest::shown(sha256).as_str())).count();
        if met > 0 {
            eprintln!(
                "warning: the ranges were measured on {met} of these {} images; evaluate others, or keep some apart by --holdout",
                evaluation.images.len()
            );
        }
    }
    Ok(())
}

/// Draws progress and writes predictions.
struct Watch<'a> {
    dataset: &'a Dataset,
    bar: ProgressBar,
    predictions: Option<Table<'a>>,
    classes: Vec<ClassScore>,
}

impl Watch<'_> {
    fn begin(&mut self) -> Result<(), Failure> {
        let header = ["index", "image", "label", "exact", "approximate", "margin"];
        self.predictions.as_mut().map_or(Ok(()), |table| table.line(header.map(str::to_owned)))
    }

    fn end(&mut self) -> Result<(), Failure> {
        self.predictions.take().map_or(Ok(()), Table::finish)
    }
}

impl Observer for Watch<'_> {
    fn image(&mut self, _configuration: usize, prediction: &Prediction) -> std::io::Result<()> {
        let classes = self.classes.len().max(prediction.label + 1);
        self.classes.resize(classes, ClassScore::default());
        self.classes[prediction.label].add(prediction);
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
        table.line(fields).map_err(std::io::Error::other)
    }

    fn batch(&mut self, _batch: &Evaluation, all: &Evaluation) -> std::io::Result<()> {
        self.bar.set_position(all.position() as u64);
        if let Some(Tally { score, .. }) = all.tallies.first() {
            self.bar.set_message(format!("exact {:.2} %, approximate {:.2} %", score.top1_exact(), score.top1()));
        }
        Ok(())
    }
}

/// A CSV file beside the results.
struct Table<'a> {
    flag: &'static str,
    path: &'a Path,
    writer: csv::Writer<WholeFile>,
}

impl<'a> Table<'a> {
    /// If it is asked for. A file that is there stays until [`Table::finish`].
    fn create(flag: &'static str, path: Option<&'a Path>) -> Result<Option<Table<'a>>, Failure> {
        let Some(path) = path else { return Ok(None) };
        let file = WholeFile::create(path).map_err(|source| failure(flag, path, source))?;
        Ok(Some(Table { flag, path, writer: csv::Writer::from_writer(file) }))
    }

    fn line<const N: usize>(&mut self, fields: [String; N]) -> Result<(), Failure> {
        self.writer.write_record(fields).map_err(|error| failure(self.flag, self.path, error.into()))
    }

    fn finish(self) -> Result<(), Failure> {
        let (flag, path) = (self.flag, self.path);
        let written = self.writer.into_inner().map_err(csv::IntoInnerError::into_error);
        written.and_then(WholeFile::finish).map_err(|source| failure(flag, path, source))
    }

    fn classes(mut self, classes: &[ClassScore]) -> Result<(), Failure> {
        self.line(["class", "images", "top1_exact", "top1"].map(str::to_owned))?;
        for (class, counts) in classes.iter().enumerate() {
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

    fn overflows(
        mut self,
        dataset: &Dataset,
        sites: &[Site],
        substitution: &Substitution,
        tally: &Tally,
    ) -> Result<(), Failure> {
        let header = [
            "index",
            "site",
            "kind",
            "activation",
            "range",
            "values",
            "not_a_number",
            "images",
            "first_here",
            "first_image",
            "worst",
            "needed_range",
            "unattributed",
        ];
        self.line(header.map(str::to_owned))?;
        for overflow in by_harm(tally) {
            let (site, said) = (&sites[overflow.site], &substitution.sites[overflow.site]);
            let range = said.approximation.as_ref().map(|(_, range)| range.to_string());
            self.line([
                site.index.to_string(),
                site.name.clone(),
                site.kind.to_string(),
                said.spec.to_string(),
                range.unwrap_or_default(),
                overflow.values.to_string(),
                overflow.not_a_number.to_string(),
                overflow.images.to_string(),
                overflow.first_here.to_string(),
                overflow.first_image.map(|image| dataset.image_name(image)).unwrap_or_default(),
                format!("{:e}", overflow.worst),
                needed(overflow).map(|range| range.to_string()).unwrap_or_default(),
                overflow.unattributed.to_string(),
            ])?;
        }
        self.finish()
    }
}

/// Drawn on a terminal only.
pub(super) fn progress_bar(images: usize, quiet: bool) -> ProgressBar {
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
