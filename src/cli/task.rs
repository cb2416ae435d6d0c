//! One model over one dataset with one configuration, as `eval` and `reproduce` run it.

use std::path::{Path, PathBuf};

use clap::Args;
use indicatif::ProgressBar;

use super::Failure;
use super::beside::Table;
use super::decisions::Decisions;
use super::encryption::EncryptionOptions;
use super::options::{ModelOptions, ReadingOptions, UntilOptions, name_of};
use super::output::{FITS, Files, write};
use super::preparation::PreparationOptions;
use super::progress::progress_bar;
use super::summary::{Setting, Summary};
use super::warnings::{tell_broken, tell_calibrated, tell_chance, tell_not_polynomial, tell_one_for_all};
use crate::dataset::Dataset;
use crate::evaluation::{
    ClassScore, Configuration, Designs, Evaluation, Observer, Prediction, Scope, Session, Tally, foresee,
};
use crate::model::Model;
use crate::report::{Results, Row};

/// Where results go.
#[derive(Debug, Args)]
pub(super) struct OutputOptions {
    /// Append the result as a row to this CSV file
    #[arg(long, value_name = "results.csv")]
    pub out: Option<PathBuf>,
    /// Write a line an image to this CSV file: position, name, label, exact and approximate class, margin of the exact
    /// logits and its change
    #[arg(long, value_name = "FILE")]
    pub predictions: Option<PathBuf>,
    /// Write the images that may be decided otherwise to this CSV file, the nearest first: by the change of their margin that gradients
    /// foresee, from one more pass through the exact network and back
    #[arg(long, value_name = "FILE")]
    pub near_flips: Option<PathBuf>,
    /// Write a line a class to this CSV file: images, exact and approximate accuracy
    #[arg(long, value_name = "FILE")]
    pub per_class: Option<PathBuf>,
    /// Write a line a site whose inputs left their range to this CSV file, in the order of harm
    #[arg(long, value_name = "FILE")]
    pub overflow_report: Option<PathBuf>,
    /// Write what was fitted to each site to this JSON file, with its range and errors; --relu file:FILE reads it
    #[arg(long, value_name = "FILE")]
    pub fits: Option<PathBuf>,
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
            .writes("--near-flips", self.near_flips.as_deref(), &[b"index,image,margin,"])
            .writes("--per-class", self.per_class.as_deref(), &[b"class,images,"])
            .writes("--overflow-report", self.overflow_report.as_deref(), &[b"index,site,"])
            .writes("--fits", self.fits.as_deref(), FITS)
            .check()
    }
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
    pub encryption: &'a EncryptionOptions,
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
        let Task { model: options, dataset: path, reading, until, preparation, output, stop_at_overflow, encryption } =
            *self;
        let results = output.out.as_deref().map(Results::open).transpose()?;
        let per_class = Table::create("--per-class", output.per_class.as_deref())?;
        let overflow_report = Table::create("--overflow-report", output.overflow_report.as_deref())?;
        let predictions = Table::create("--predictions", output.predictions.as_deref())?;
        let near_flips = Table::create("--near-flips", output.near_flips.as_deref())?;
        let configuration = configuration()?;
        let models = options.load()?;
        let model = &models[0];
        let substitution = configuration.resolve(model.sites(), &mut Designs::default())?;
        if let Some(path) = &output.fits {
            if substitution.sites.iter().all(|site| site.certificate.is_none()) {
                return Err(Failure::Usage(
                    "--fits: nothing is fitted to the sites; ask for it by --relu fitted:15".to_owned(),
                ));
            }
            let written = substitution.polynomials(model.sites(), model.sha256())?;
            write("--fits", path, written.text()?.as_bytes())?;
        }
        let dataset = reading.open(path)?;
        let sample = reading.evaluated(&dataset, until)?;
        let images = &sample.images;
        let size = preparation.input.size(model.preprocess());
        let encrypted = encryption.of(model, size, vec![substitution])?;
        let substitution = &encrypted.substitutions[0];
        let preparation = preparation.resolve(model.preprocess(), &dataset)?;
        tell_not_polynomial(model);
        tell_one_for_all(model.sites(), substitution);

        let (batch, strict) = (reading.batch, reading.strict);
        let until = until.of(images.len());
        let scope =
            Scope { dataset: &dataset, preparation: &preparation, images, batch, strict, stop_at_overflow, until };
        let bar = progress_bar(images.len(), output.quiet);
        let mut watch =
            Watch { dataset: &dataset, bar, predictions, classes: Vec::new(), decisions: Decisions::default() };
        watch.begin()?;
        let session = Session::new(&models, scope);
        let mut evaluation = Evaluation::default();
        let evaluated = session.evaluate(&encrypted.substitutions, &mut evaluation, &mut watch);
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
            table.overflows(&dataset, model.sites(), substitution, tally)?;
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
            encrypted: &encrypted,
        };
        let summary = Summary {
            setting: &setting,
            number: 0,
            configuration: &configuration,
            substitution,
            evaluation: &evaluation,
            trials: &evaluation.tallies,
            tally,
        };
        let row = summary.row();
        if let Some(results) = results {
            results.append(&row)?;
        }
        let near = match near_flips {
            Some(table) => {
                let bar = progress_bar(images.len(), output.quiet);
                let foreseen = foresee(model, scope, substitution, |done| bar.set_position(done as u64));
                bar.finish_and_clear();
                let foreseen = foreseen?;
                let near = watch.decisions.near(&foreseen);
                table.near(&dataset, &near)?;
                watch.decisions.near_text(&near)
            }
            None => String::new(),
        };
        let text = summary.text(&row, &watch.decisions) + &near;
        Ok((row, text))
    }
}

/// Draws progress and writes predictions.
struct Watch<'a> {
    dataset: &'a Dataset,
    bar: ProgressBar,
    predictions: Option<Table<'a>>,
    classes: Vec<ClassScore>,
    decisions: Decisions,
}

impl Watch<'_> {
    fn begin(&mut self) -> Result<(), Failure> {
        let header = ["index", "image", "label", "exact", "approximate", "margin", "change"];
        self.predictions.as_mut().map_or(Ok(()), |table| table.line(header.map(str::to_owned)))
    }

    fn end(&mut self) -> Result<(), Failure> {
        self.predictions.take().map_or(Ok(()), Table::finish)
    }
}

impl Observer for Watch<'_> {
    fn image(&mut self, configuration: usize, prediction: &Prediction) -> std::io::Result<()> {
        // The files are of the first draw of noise.
        if configuration > 0 {
            return Ok(());
        }
        let classes = self.classes.len().max(prediction.label + 1);
        self.classes.resize(classes, ClassScore::default());
        self.classes[prediction.label].add(prediction);
        self.decisions.add(prediction);
        let Some(table) = &mut self.predictions else { return Ok(()) };
        let class = |class: Option<usize>| class.map(|class| class.to_string()).unwrap_or_default();
        let fields = [
            prediction.index.to_string(),
            self.dataset.image_name(prediction.index),
            prediction.label.to_string(),
            class(prediction.exact),
            class(prediction.approximate),
            format!("{:.6}", prediction.margin),
            format!("{:.6}", prediction.change),
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
