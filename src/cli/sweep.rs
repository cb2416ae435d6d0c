//! `polyact sweep`: models, activations and ranges in all combinations, a row each.

use std::collections::BTreeSet;
use std::ops::Range;
use std::path::{Path, PathBuf};

use clap::Args;
use indicatif::ProgressBar;

use super::configuration::{OnOverflow, file, plan, ranges};
use super::options::{DeviceOptions, name_of};
use super::progress::progress_bar;
use super::summary::{Setting, Summary};
use super::sweep_grid::{GRID, GridOptions, read_grid};
use super::warnings::{tell_broken, tell_calibrated, tell_chance, tell_not_polynomial, tell_one_for_all};
use super::{Failure, print};
use crate::activation::Spec;
use crate::dataset::{Dataset, Sample};
use crate::digest;
use crate::evaluation::{
    Axes, Configuration, Designs, Evaluation, JournalError, Observer, Prediction, Scope, Session, Shard, Substitution,
    SweepJournal, Timing, Until, sweep_name,
};
use crate::model::Model;
use crate::report::{Align, Results, Row, table};

/// Evaluate models with all combinations of activations and ranges, and write a row each
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Arguments {
    /// Read the grid from this TOML file, whose keys are the flags of the grid: model = ["a.pt"], relu_range = [8, 16]
    #[arg(long, value_name = "sweep.toml", conflicts_with_all = GRID)]
    config: Option<PathBuf>,
    #[command(flatten)]
    grid: GridOptions,
    #[command(flatten)]
    device: DeviceOptions,
    /// Append the rows to this CSV file; results.csv.journal beside it remembers the work until the sweep is done
    #[arg(long, value_name = "results.csv", required_unless_present = "dry_run")]
    out: Option<PathBuf>,
    /// Go on with an interrupted sweep after its last finished batch
    #[arg(long)]
    resume: bool,
    /// Evaluate only part i of n of the rows, each part into a file of its own; `polyact report --merge` joins them
    #[arg(long, value_name = "i/n", default_value = "1/1")]
    shard: Shard,
    /// Show the grid and how long it would take, by one batch of each on every device, and stop
    #[arg(long)]
    dry_run: bool,
    /// Print the rows as JSON instead of a table
    #[arg(long)]
    json: bool,
    /// No progress bar, no warnings
    #[arg(long)]
    quiet: bool,
}

const EXAMPLES: &str = "Examples:
  polyact sweep --model weights/resnet20-fashion.pt weights/vgg-fashion.pt \\
      --relu paper:7 paper:10 minimax:15,27,29 --relu-range 8 16 32 --out results.csv
  polyact sweep --config sweep.toml --out results.csv --resume
  polyact sweep --config sweep.toml --shard 2/8 --out part2.csv

Each image is decoded once a model, and the exact network runs once a model. What configurations have
in common before the first site in which they differ is computed once. A sweep that is killed goes on
with --resume, and ends in the rows it would have had, the seconds aside. Changed models, images or
settings are noticed and refused.";

impl Arguments {
    pub(super) fn device(&self) -> &DeviceOptions {
        &self.device
    }
}

pub(super) fn run(mut arguments: Arguments) -> Result<(), Failure> {
    if let Some(path) = &arguments.config {
        arguments.grid = read_grid(path)?;
    }
    check_files(&arguments)?;
    let sweep = Sweep::new(&arguments)?;
    if arguments.dry_run {
        return print(&sweep.estimate()?);
    }
    let Some(out) = &arguments.out else {
        return Err(Failure::Usage("--out is needed: the CSV file for the rows".to_owned()));
    };
    let (rows, before) = sweep.run(out)?;
    if arguments.json {
        let rows: Vec<_> = rows.iter().map(Row::json).collect();
        return print(&(serde_json::to_string_pretty(&rows)? + "\n"));
    }
    let mut text = if rows.is_empty() { String::new() } else { rows_table(&rows) };
    if before > 0 {
        text += &format!("{before} rows of this sweep were in {} already\n", out.display());
    }
    print(&text)
}

/// See that rows and journal go to files that the sweep does not read.
fn check_files(arguments: &Arguments) -> Result<(), Failure> {
    let grid = &arguments.grid;
    let files = grid
        .reading
        .files()
        .reads("--config", arguments.config.as_deref())
        .reads("--dataset", &*grid.dataset)
        .reads_all("--model", grid.model.iter().map(PathBuf::as_path))
        .reads_all("--plan", grid.plan.iter().map(PathBuf::as_path))
        .reads_all("--relu", grid.relu.iter().filter_map(Spec::file))
        .reads_all("--maxpool", grid.maxpool.iter().filter_map(Spec::file))
        .reads_all("--relu-range", grid.relu_range.iter().filter_map(|range| file(range)))
        .reads_all("--maxpool-range", grid.maxpool_range.iter().filter_map(|range| file(range)));
    let journal = arguments.out.as_deref().map(journal_file);
    files.appends("--out", arguments.out.as_deref()).appends("--out", journal.as_deref()).check()
}

/// A sweep, ready to run.
struct Sweep<'a> {
    arguments: &'a Arguments,
    configurations: Vec<Configuration>,
    dataset: Dataset,
    sample: Sample,
    /// The beginning of a digest over all that decides the rows.
    name: String,
}

impl<'a> Sweep<'a> {
    fn new(arguments: &'a Arguments) -> Result<Sweep<'a>, Failure> {
        let grid = &arguments.grid;
        if grid.model.is_empty() {
            return Err(Failure::Usage("--model is needed: one TorchScript archive or several".to_owned()));
        }
        let all = |flag, texts: &[String]| texts.iter().map(|text| ranges(flag, text)).collect::<Result<_, _>>();
        let axes = Axes {
            relu: grid.relu.clone(),
            maxpool: grid.maxpool.clone(),
            relu_range: all("--relu-range", &grid.relu_range)?,
            maxpool_range: all("--maxpool-range", &grid.maxpool_range)?,
            plan: grid.plan.iter().map(|path| plan(path)).collect::<Result<_, _>>()?,
            arithmetic: grid.arithmetic.clone(),
            clip: grid.on_overflow == OnOverflow::Clip,
            guard: grid.guard,
        };
        let mut known = Vec::new();
        let configurations = axes.configurations().into_iter().map(|one| one.with_densities(&mut known));
        let configurations = configurations.collect::<Result<Vec<_>, _>>()?;
        let dataset = grid.reading.open(&grid.dataset)?;
        let sample = grid.reading.evaluated(&dataset, grid.until)?;
        arguments.device.check()?;
        let mut decisive = vec![env!("CARGO_PKG_VERSION").to_owned(), arguments.device.name()];
        for path in &grid.model {
            let sha256 = digest::of_file(path).map_err(|source| Failure::File {
                flag: "--model",
                path: path.display().to_string(),
                source,
            })?;
            decisive.push(format!("{} {sha256}", name_of(path)));
        }
        for configuration in &configurations {
            decisive.push(described(configuration).join(" "));
        }
        let labels: Vec<u8> = dataset.labels().iter().flat_map(|label| label.to_le_bytes()).collect();
        decisive.push(format!("{} {} {sample:?}", dataset.name(), digest::of_text(&labels)));
        let DeviceOptions { tf32, output, .. } = &arguments.device;
        decisive.push(format!("{} {tf32} {output} {:?} {:?}", grid.reading.batch, grid.preparation, grid.until));
        decisive.push(format!("{:?}", grid.encryption));
        Ok(Sweep { arguments, configurations, dataset, sample, name: sweep_name(&decisive) })
    }

    /// When configurations stop.
    fn until(&self) -> Option<Until> {
        self.arguments.grid.until.of(self.sample.images.len())
    }

    /// How many rows the whole sweep has.
    fn rows(&self) -> usize {
        self.arguments.grid.model.len() * self.configurations.len()
    }

    /// Of each model, which of the configurations are part of the shard.
    fn of_models(&self) -> impl Iterator<Item = (usize, Range<usize>)> {
        let count = self.configurations.len();
        let rows = self.arguments.shard.rows(self.rows());
        (0..self.arguments.grid.model.len()).filter_map(move |model| {
            let part = rows.start.max(model * count)..rows.end.min((model + 1) * count);
            (part.start < part.end).then(|| (model, part.start - model * count..part.end - model * count))
        })
    }

    /// As the column `sweep` names row `row`, from 0.
    fn row_name(&self, row: usize) -> String {
        format!("{}:{}/{}", self.name, row + 1, self.rows())
    }

    /// Evaluate what is not in `out` yet; the new rows, and how many were there before.
    fn run(&self, out: &Path) -> Result<(Vec<Row>, usize), Failure> {
        let Arguments { resume, shard, grid, .. } = self.arguments;
        let results = if *resume { Results::mend(out)? } else { Results::open(out)? };
        let there: BTreeSet<String> = results.sweep_rows()?;
        let row_of =
            |model: usize, configuration: usize| self.row_name(model * self.configurations.len() + configuration);
        let of_shard = self.of_models().flat_map(|(model, part)| part.map(move |configuration| (model, configuration)));
        let before = of_shard.filter(|&(model, configuration)| there.contains(&row_of(model, configuration))).count();
        if before > 0 && !resume {
            let reason =
                format!("--out {}: rows of this sweep are there already; --resume adds the others", out.display());
            return Err(Failure::Usage(reason));
        }
        let name = format!("{} {}/{}", self.name, shard.index, shard.count);
        let (mut journal, done) =
            SweepJournal::open(&journal_file(out), &name, *resume, grid.model.len(), self.until().as_ref())?;
        let rows = self.add_rows(&results, &mut journal, done, |model, at| !there.contains(&row_of(model, at)));
        match rows {
            Ok(rows) => journal.into_inner().remove().map(|()| (rows, before)).map_err(Failure::from),
            Err(failure) => {
                // The first error is the one to tell.
                let _ = journal.into_inner().remove_if_empty();
                Err(failure)
            }
        }
    }

    /// Evaluate the configurations that are `missing`, by model and position, of which `done` is behind us; the new rows.
    fn add_rows(
        &self,
        results: &Results,
        journal: &mut SweepJournal,
        mut done: Vec<Evaluation>,
        missing: impl Fn(usize, usize) -> bool,
    ) -> Result<Vec<Row>, Failure> {
        let mut rows = Vec::new();
        for (model, part) in self.of_models() {
            let missing: Vec<usize> = part.clone().filter(|&at| missing(model, at)).collect();
            if missing.is_empty() {
                continue;
            }
            let so_far = std::mem::take(&mut done[model]);
            let mut add = |batch: &Evaluation| journal.add(model, batch).map_err(std::io::Error::other);
            for (configuration, mut row) in self.evaluate(model, part, so_far, &mut add)? {
                if missing.contains(&configuration) {
                    row.sweep = Some(self.row_name(model * self.configurations.len() + configuration));
                    results.append(&row)?;
                    rows.push(row);
                }
            }
        }
        Ok(rows)
    }

    /// Evaluate one model with the configurations `part`, of which `done` is behind it; the row of each.
    fn evaluate(
        &self,
        model: usize,
        part: Range<usize>,
        mut done: Evaluation,
        add: &mut dyn FnMut(&Evaluation) -> std::io::Result<()>,
    ) -> Result<Vec<(usize, Row)>, Failure> {
        let Arguments { grid, device, quiet, .. } = self.arguments;
        let path = &grid.model[model];
        let models = device.load(path)?;
        let first = &models[0];
        let substitutions = self.substitutions(first, part.clone())?;
        let size = grid.preparation.input.size(first.preprocess());
        let encrypted = grid.encryption.of(first, size, substitutions)?;
        let substitutions = &encrypted.substitutions;
        let preparation = grid.preparation.resolve(first.preprocess(), &self.dataset)?;
        tell_not_polynomial(first);
        substitutions.iter().for_each(|substitution| tell_one_for_all(first.sites(), substitution));
        self.check_done(&done, first.sites().len(), substitutions.len())?;
        let scope = Scope {
            dataset: &self.dataset,
            preparation: &preparation,
            images: &self.sample.images,
            batch: grid.reading.batch,
            strict: grid.reading.strict,
            stop_at_overflow: grid.on_overflow == OnOverflow::Error,
            until: self.until(),
        };
        let bar = progress_bar(self.sample.images.len(), *quiet);
        bar.set_position(done.position() as u64);
        bar.reset_eta();
        let message = format!("{}, {} configurations", name_of(path), part.len());
        let mut watch = Watch { bar, message, add };
        let evaluated = Session::new(&models, scope).evaluate(substitutions, &mut done, &mut watch);
        watch.bar.finish_and_clear();
        evaluated?;
        tell_broken(&self.dataset, &done.broken);
        tell_calibrated(&self.configurations[part.clone()], &done)?;
        tell_chance(&done);
        let setting = Setting {
            model: name_of(path),
            model_sha256: first.sha256(),
            graph: first.graph(),
            sites: first.sites(),
            foreign: first.foreign(),
            output: models.iter().find_map(Model::output),
            dataset: &self.dataset,
            sampled: &self.sample.description,
            available: self.sample.images.len(),
            until: self.until(),
            preparation: &preparation,
            device: device.name(),
            dtype: device.dtype(),
            batch: grid.reading.batch,
            encrypted: &encrypted,
        };
        let mut rows = Vec::new();
        let drawn = substitutions.chunks(encrypted.trials).zip(done.tallies.chunks(encrypted.trials));
        for (number, (at, (substitutions, trials))) in part.zip(drawn).enumerate() {
            let (configuration, evaluation) = (&self.configurations[at], &done);
            let (substitution, tally) = (&substitutions[0], &trials[0]);
            let summary = Summary { setting: &setting, number, configuration, substitution, evaluation, trials, tally };
            rows.push((at, summary.row()));
        }
        Ok(rows)
    }

    fn substitutions(&self, model: &Model, part: Range<usize>) -> Result<Vec<Substitution>, Failure> {
        let mut designs = Designs::default();
        let resolve = |configuration: &Configuration| Ok(configuration.resolve(model.sites(), &mut designs)?);
        self.configurations[part].iter().map(resolve).collect()
    }

    /// Whether what the journal says fits the model, and the images that were evaluated before are still the same.
    fn check_done(&self, done: &Evaluation, sites: usize, configurations: usize) -> Result<(), Failure> {
        let overflows = done.tallies.iter().flat_map(|tally| &tally.overflows);
        let fits = done.position() <= self.sample.images.len()
            && (done.tallies.len() == configurations || done.images.is_empty() && done.tallies.is_empty())
            && done.broken.iter().all(|broken| broken.index < self.dataset.len())
            && overflows.into_iter().all(|met| met.site < sites && met.first_image < Some(self.dataset.len()))
            && done.ran.iter().all(|&site| site < sites);
        if !fits {
            let path = self.arguments.out.as_deref().map(journal_file).unwrap_or_default();
            return Err(JournalError::Misfit { path, kind: "sweep" }.into());
        }
        let broken: BTreeSet<usize> = done.broken.iter().map(|broken| broken.index).collect();
        let evaluated = self.sample.images.iter().filter(|index| !broken.contains(index));
        for ((before, _), &index) in done.images.iter().zip(evaluated) {
            if self.dataset.stored_sha256(index).as_ref() != Ok(before) {
                return Err(Failure::Changed { image: self.dataset.image_name(index) });
            }
        }
        Ok(())
    }

    /// The grid, and how long each row would take by one batch on every device.
    fn estimate(&self) -> Result<String, Failure> {
        let Arguments { grid, device, .. } = self.arguments;
        let mut lines = Vec::new();
        let mut total = 0.0;
        for (model, part) in self.of_models() {
            let models = device.load(&grid.model[model])?;
            let preparation = grid.preparation.resolve(models[0].preprocess(), &self.dataset)?;
            // A batch for each device, all at once.
            let count = grid.reading.batch.saturating_mul(models.len()).min(self.sample.images.len());
            let scope = Scope {
                dataset: &self.dataset,
                preparation: &preparation,
                images: &self.sample.images[..count],
                batch: grid.reading.batch,
                strict: false,
                stop_at_overflow: false,
                until: None,
            };
            let substitutions = self.substitutions(&models[0], part.clone())?;
            let mut timed = Evaluation::default();
            Session::new(&models, scope).evaluate(&substitutions, &mut timed, &mut ())?;
            let forecast = |timing: &Timing| timing.forecast(self.sample.images.len(), models.len());
            total += forecast(&timed.passes);
            for (at, tally) in part.zip(&timed.tallies) {
                let mut line =
                    vec![(model * self.configurations.len() + at + 1).to_string(), name_of(&grid.model[model])];
                line.extend(described(&self.configurations[at]));
                line.push(format!("{:.0}", forecast(&tally.timing)));
                lines.push(line);
            }
        }
        let header = [
            ("row", Align::Right),
            ("model", Align::Left),
            ("relu", Align::Left),
            ("maxpool", Align::Left),
            ("relu range", Align::Left),
            ("maxpool range", Align::Left),
            ("plan", Align::Left),
            ("arithmetic", Align::Left),
            ("overflow", Align::Left),
            ("seconds", Align::Right),
        ];
        let (count, images) = (lines.len(), self.sample.images.len());
        Ok(format!(
            "{}\n{count} of {} rows on {images} images, about {:.0} seconds with the exact passes, if decoding keeps up\n",
            table(&header, lines.into_iter()),
            self.rows(),
            total
        ))
    }
}

/// Beside the rows of `out`: `results.csv.journal`.
fn journal_file(out: &Path) -> PathBuf {
    let mut name = out.as_os_str().to_owned();
    name.push(".journal");
    PathBuf::from(name)
}

/// A configuration in words: ReLU, max-pool, their ranges, plan, arithmetic, what happens to overflow, the guard.
fn described(configuration: &Configuration) -> [String; 8] {
    let optional = |value: Option<String>| value.unwrap_or_else(|| "-".to_owned());
    [
        configuration.relu.to_string(),
        configuration.maxpool_spec().to_string(),
        optional(configuration.relu_range.as_ref().map(ToString::to_string)),
        optional(configuration.maxpool_ranges().map(ToString::to_string)),
        optional(configuration.plan.as_ref().map(ToString::to_string)),
        configuration.arithmetic.to_string(),
        if configuration.clip { "clip" } else { "count" }.to_owned(),
        optional(configuration.guard.map(|guard| guard.to_string())),
    ]
}

/// Draws progress and writes the journal.
struct Watch<'a> {
    bar: ProgressBar,
    message: String,
    add: &'a mut dyn FnMut(&Evaluation) -> std::io::Result<()>,
}

impl Observer for Watch<'_> {
    fn image(&mut self, _configuration: usize, _prediction: &Prediction) -> std::io::Result<()> {
        Ok(())
    }

    fn batch(&mut self, batch: &Evaluation, all: &Evaluation) -> std::io::Result<()> {
        self.bar.set_position(all.position() as u64);
        self.bar.set_message(self.message.clone());
        (self.add)(batch)
    }
}

fn rows_table(rows: &[Row]) -> String {
    let header = [
        ("model", Align::Left),
        ("relu", Align::Left),
        ("maxpool", Align::Left),
        ("relu range", Align::Left),
        ("depth", Align::Right),
        ("mults", Align::Right),
        ("exact %", Align::Right),
        ("top-1 %", Align::Right),
        ("difference", Align::Right),
        ("agreement %", Align::Right),
        ("images out", Align::Right),
        ("images", Align::Right),
        ("seconds", Align::Right),
    ];
    let text = |value: &Option<String>| value.clone().unwrap_or_default();
    let number = |value: Option<u32>| value.map(|value| value.to_string()).unwrap_or_default();
    let lines = rows.iter().map(|row| {
        vec![
            row.model.clone(),
            text(&row.relu),
            text(&row.maxpool),
            text(&row.relu_range),
            number(row.depth),
            number(row.mults),
            format!("{:.3}", row.top1_exact),
            format!("{:.3}", row.top1),
            format!("{:+.3}", row.top1_diff),
            format!("{:.3}", row.agreement),
            row.overflow_images.to_string(),
            row.images.to_string(),
            format!("{:.1}", row.seconds),
        ]
    });
    table(&header, lines)
}
