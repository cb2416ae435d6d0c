//! `polyact calibrate`: the range of every site, measured on images.

use std::path::{Path, PathBuf};

use clap::Args;
use serde::Serialize;

use super::configuration::guard;
use super::options::{DeviceOptions, ModelOptions, ReadingOptions, name_of};
use super::output::{FITS, write};
use super::plot::{FIGURES, PlotFile, plot_file};
use super::preparation::PreparationOptions;
use super::progress::progress_bar;
use super::warnings::{tell_broken, tell_not_polynomial};
use super::{Failure, print};
use crate::activation::{Arithmetic, Interval, Spec};
use crate::dataset::{BUNDLED, Dataset};
use crate::evaluation::{
    Calibration, FitOptions, Plan, RangeRule, Rule, Scope, Selector, Weight, calibrate, dataset_sha256,
    densities_bytes, densities_file, fit_in_order, images_file, shortest,
};
use crate::model::{Model, Site, Statistics};
use crate::report::plot::Figure;
use crate::report::{Align, ranges, relu_vr, table};

/// Measure the inputs of every ReLU and max-pool on a set of images, and write the ranges that hold them
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Arguments {
    #[command(flatten)]
    model: ModelOptions,
    /// Images to calibrate on, apart from those evaluated: another folder, or the part that --holdout keeps apart
    #[arg(long, value_name = "D", default_value = BUNDLED)]
    dataset: PathBuf,
    #[command(flatten)]
    reading: ReadingOptions,
    #[command(flatten)]
    preparation: PreparationOptions,
    /// Widen every range by this share of it: 0.1 for a tenth
    #[arg(long, value_name = "F", default_value_t = 0.0, value_parser = share, allow_negative_numbers = true)]
    margin: f64,
    /// Round every range up to a multiple of STEP
    #[arg(long, value_name = "STEP", value_parser = step, allow_negative_numbers = true)]
    round_up: Option<f64>,
    /// Let ranges hold this share of the values instead of all, before the margin
    #[arg(long, value_name = "Q", default_value_t = 1.0, value_parser = quantile, allow_negative_numbers = true)]
    quantile: f64,
    /// What a value weighs when polynomials are fitted to the densities: the same everywhere, or the squared gradient of the margin
    /// between the two largest logits, which takes a pass back through the network
    #[arg(long, value_enum, value_name = "inputs|margin", default_value_t = Weight::Inputs)]
    weight: Weight,
    /// Count the values above each of these candidate ranges
    #[arg(long, value_name = "B,…", value_delimiter = ',', default_values_t = [2.0, 4.0, 8.0, 16.0, 32.0, 64.0])]
    candidates: Vec<f64>,
    /// Write the ranges, a line a site, to this CSV file; --relu-range file: and --maxpool-range file: read it
    #[arg(long, value_name = "ranges.csv")]
    out: PathBuf,
    /// Write all that was measured to this JSON file
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Write a plan with the range of every site to this TOML file, to be edited and given to --plan
    #[arg(long, value_name = "plan.toml")]
    plan_out: Option<PathBuf>,
    /// Fit what this SPEC says, fitted:D or fitted:D/channel, to the inputs of every ReLU behind those that are replaced already, and
    /// write it to --fits; images are kept in memory at one place of the network
    #[arg(long, value_name = "SPEC", requires = "fits")]
    sequential: Option<Spec>,
    /// Where --sequential writes what it fitted, a JSON file that --relu file: reads
    #[arg(long, value_name = "FILE", requires = "sequential")]
    fits: Option<PathBuf>,
    /// The most that a polynomial of --sequential may stray anywhere on its range, as a part of half the range
    #[arg(long, value_name = "G", value_parser = guard, requires = "sequential", allow_negative_numbers = true)]
    guard: Option<f64>,
    /// Draw the range, the largest |x| and quantiles of every site along the network into FILE.svg or FILE.png
    #[arg(long, value_name = "FILE", value_parser = plot_file)]
    plot: Option<PlotFile>,
    /// No progress bar, no warnings
    #[arg(long)]
    quiet: bool,
}

const EXAMPLES: &str = "Examples:
  polyact calibrate --model weights/vgg-fashion.pt --holdout 2000 --margin 0.1 --out ranges.csv --plot ranges.svg
  polyact eval --model weights/vgg-fashion.pt --holdout 2000 --relu-range file:ranges.csv
  polyact calibrate --model resnet50.pt --dataset imagenet/train --limit 10000 --round-up 0.5 --out ranges.csv

Quantiles are upper bounds, at most 1/128 too large; extremes and counts are exact. Beside ranges.csv,
ranges.csv.images lists the images used, so that eval can warn if it meets one of them again.";

fn share(text: &str) -> Result<f64, String> {
    number(text).filter(|&share| share >= 0.0).ok_or_else(|| "expected a number of at least 0".to_owned())
}

fn step(text: &str) -> Result<f64, String> {
    number(text).filter(|&step| step > 0.0).ok_or_else(|| "expected a positive number".to_owned())
}

fn quantile(text: &str) -> Result<f64, String> {
    number(text).filter(|&share| share > 0.0 && share <= 1.0).ok_or_else(|| "expected a share in (0, 1]".to_owned())
}

fn number(text: &str) -> Option<f64> {
    text.parse().ok().filter(|number: &f64| number.is_finite())
}

impl Arguments {
    pub(super) fn device(&self) -> &DeviceOptions {
        &self.model.device
    }
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let beside = images_file(&arguments.out);
    let densities = densities_file(&arguments.out);
    let plan_images_file = arguments.plan_out.as_deref().map(images_file);
    arguments
        .reading
        .files()
        .reads("--model", &*arguments.model.model)
        .reads("--dataset", &*arguments.dataset)
        .writes("--out", &*arguments.out, &[b"site,kind,range,"])
        .writes("--out", &*beside, &[])
        .writes("--out", &*densities, &[b"polyact densities "])
        .writes("--fits", arguments.fits.as_deref(), FITS)
        .writes("--json", arguments.json.as_deref(), &[b"{\n  \"version\": \"*\",\n  \"model\": "])
        .writes("--plan-out", arguments.plan_out.as_deref(), &[b"[[sites]]"])
        .writes("--plan-out", plan_images_file.as_deref(), &[])
        .writes("--plot", arguments.plot.as_ref().map(PlotFile::path), FIGURES)
        .check()?;
    if let Some(bad) = arguments.candidates.iter().find(|&&bound| !(bound > 0.0 && bound.is_finite())) {
        return Err(Failure::Usage(format!("--candidates: {bad} is no range")));
    }
    let in_order = match &arguments.sequential {
        None => None,
        Some(Spec::Fitted(fitted)) if fitted.degrees.len() == 1 => Some(fitted),
        Some(spec) => {
            return Err(Failure::Usage(format!(
                "--sequential {spec}: it is to be one polynomial a site or a channel, as fitted:15 or fitted:15/channel"
            )));
        }
    };
    let models = arguments.model.load()?;
    let [model] = models.as_slice() else {
        return Err(Failure::Usage("--device: calibration runs on one device".to_owned()));
    };
    if model.sites().is_empty() {
        return Err(Failure::Usage("the model has no ReLU and no max-pool; there is no range to measure".to_owned()));
    }
    let dataset = arguments.reading.open(&arguments.dataset)?;
    let sample = arguments.reading.calibrated(&dataset)?;
    let images = &sample.images;
    let preparation = arguments.preparation.resolve(model.preprocess(), &dataset)?;
    tell_not_polynomial(model);
    let (batch, strict) = (arguments.reading.batch, arguments.reading.strict);
    let scope = Scope {
        dataset: &dataset,
        preparation: &preparation,
        images,
        batch,
        strict,
        stop_at_overflow: false,
        until: None,
    };
    let bar = progress_bar(images.len(), arguments.quiet);
    let calibration =
        calibrate(model, scope, &arguments.candidates, arguments.weight, |done| bar.set_position(done as u64));
    bar.finish_and_clear();
    let calibration = calibration?;
    tell_broken(&dataset, &calibration.broken);

    let measured =
        Measured { arguments, model, dataset: &dataset, sampled: &sample.description, calibration: &calibration };
    measured.write(&beside, &densities)?;
    if let (Some(spec), Some(path)) = (in_order, &arguments.fits) {
        let bar = progress_bar(model.sites().len(), arguments.quiet);
        let options = FitOptions { guard: arguments.guard.unwrap_or(f64::INFINITY), arithmetic: Arithmetic::F64 };
        let fitted = fit_in_order(model, scope, spec, arguments.margin, options, |done| bar.set_position(done as u64));
        bar.finish_and_clear();
        let text = fitted?.polynomials(model.sites(), model.sha256())?.text()?;
        write("--fits", path, text.as_bytes())?;
    }
    print(&measured.text())
}

/// What was measured, and how it is to be written.
struct Measured<'a> {
    arguments: &'a Arguments,
    model: &'a Model,
    dataset: &'a Dataset,
    sampled: &'a str,
    calibration: &'a Calibration,
}

/// A site as the JSON file and, up to the shares, the CSV file have it.
#[derive(Serialize)]
struct MeasuredSite {
    site: String,
    kind: String,
    range: f64,
    index: usize,
    min: f64,
    max: f64,
    largest: f64,
    /// The image with the largest |x|.
    image: String,
    p50: f64,
    p90: f64,
    p99: f64,
    p99_9: f64,
    p99_99: f64,
    values: u64,
    not_a_number: u64,
    /// The range as two ends, the least and the largest value with the margin.
    low: f64,
    high: f64,
    /// Of each candidate range, the share of values above it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    share_above: Vec<f64>,
}

#[derive(Serialize)]
struct MeasuredModel<'a> {
    version: &'static str,
    model: String,
    model_sha256: &'a str,
    dataset: &'a str,
    dataset_sha256: String,
    sampled: &'a str,
    images: usize,
    broken_images: usize,
    margin: f64,
    round_up: Option<f64>,
    quantile: f64,
    candidates: &'a [f64],
    /// The ranges of the ReLUs as the option `relu_vr` of the ANT-ACE compiler takes them.
    relu_vr: String,
    sites: Vec<MeasuredSite>,
}

impl Measured<'_> {
    fn write(&self, beside: &Path, densities: &Path) -> Result<(), Failure> {
        let out = |flag, path: &Path, text: &str| write(flag, path, text.as_bytes());
        let Arguments { json, plan_out, .. } = self.arguments;
        let images = self.calibration.images.iter().map(|(sha256, _)| crate::digest::shown(sha256) + "\n");
        out("--out", beside, &images.clone().collect::<String>())?;
        let names = self.model.sites().iter().map(|site| site.name.as_str());
        let of_sites = names.zip(self.calibration.densities.iter().map(Vec::as_slice));
        write("--out", densities, &densities_bytes(self.arguments.margin, &self.calibration.leads, of_sites))?;
        if let Some(path) = json {
            out("--json", path, &(serde_json::to_string_pretty(&self.all())? + "\n"))?;
        }
        if let Some(path) = plan_out {
            let rule = |(site, range): (&Site, f64)| Rule {
                sites: Selector::Name(site.name.clone()),
                activation: None,
                range: Some(range),
            };
            let rules = self.model.sites().iter().zip(self.ranges()).map(rule).collect();
            out("--plan-out", &images_file(path), &images.clone().collect::<String>())?;
            out("--plan-out", path, &Plan { rules }.text())?;
        }
        if let Some(file) = &self.arguments.plot {
            file.write(&self.figure())?;
        }
        out("--out", &self.arguments.out, &self.csv()?)
    }

    fn figure(&self) -> Figure {
        let drawn = |(site, measured): (&Site, MeasuredSite)| ranges::Site {
            is_pool: site.kind.is_pool(),
            name: measured.site,
            range: measured.range,
            largest: measured.largest,
            quantiles: [measured.p50, measured.p99, measured.p99_9],
        };
        let sites: Vec<ranges::Site> = self.model.sites().iter().zip(self.sites()).map(drawn).collect();
        let (model, images) = (name_of(&self.arguments.model.model), self.calibration.images.len());
        ranges::figure(&format!("{model} on {images} images of {}", self.dataset.name()), &sites)
    }

    fn rule(&self) -> RangeRule {
        let Arguments { margin, round_up, quantile, .. } = *self.arguments;
        RangeRule { quantile, margin, step: round_up.unwrap_or(0.0) }
    }

    /// The range of each site. One that met only zeros, or nothing, gets 1: any range holds them.
    fn ranges(&self) -> Vec<f64> {
        self.calibration.sites.iter().map(|statistics| self.rule().range(statistics).unwrap_or(1.0)).collect()
    }

    fn sites(&self) -> Vec<MeasuredSite> {
        let measured = self.model.sites().iter().zip(&self.calibration.sites).zip(self.ranges());
        measured.map(|((site, statistics), range)| self.site(site, statistics, range)).collect()
    }

    fn site(&self, site: &Site, statistics: &Statistics, range: f64) -> MeasuredSite {
        let finite = |value: f64| if value.is_finite() { shortest(value) } else { 0.0 };
        let quantile = |share| shortest(statistics.quantile(share));
        let numbers = (statistics.values - statistics.not_a_number).max(1) as f64;
        let ends = self.rule().ends(statistics).unwrap_or(Interval::symmetric(range));
        MeasuredSite {
            site: site.name.clone(),
            kind: site.kind.to_string(),
            range,
            index: site.index,
            min: finite(statistics.min),
            max: finite(statistics.max),
            largest: shortest(statistics.largest),
            image: statistics.largest_image.map(|image| self.dataset.image_name(image)).unwrap_or_default(),
            p50: quantile(0.5),
            p90: quantile(0.9),
            p99: quantile(0.99),
            p99_9: quantile(0.999),
            p99_99: quantile(0.9999),
            values: statistics.values,
            not_a_number: statistics.not_a_number,
            low: ends.low,
            high: ends.high,
            share_above: statistics.above.iter().map(|&above| above as f64 / numbers).collect(),
        }
    }

    fn all(&self) -> MeasuredModel<'_> {
        let Arguments { margin, round_up, quantile, ref candidates, .. } = *self.arguments;
        MeasuredModel {
            version: env!("CARGO_PKG_VERSION"),
            model: name_of(&self.arguments.model.model),
            model_sha256: self.model.sha256(),
            dataset: self.dataset.name(),
            dataset_sha256: dataset_sha256(&self.calibration.images),
            sampled: self.sampled,
            images: self.calibration.images.len(),
            broken_images: self.calibration.broken.len(),
            margin,
            round_up,
            quantile,
            candidates,
            relu_vr: self.relu_vr(),
            sites: self.sites(),
        }
    }

    /// `/layer1/layer1.0/relu_1/Relu=4;…`, the names that torch.onnx gives to the nodes.
    fn relu_vr(&self) -> String {
        let relus = self.model.sites().iter().zip(self.ranges()).filter(|(site, _)| !site.kind.is_pool());
        relu_vr(relus.map(|(site, range)| (site.name.as_str(), range)))
    }

    fn csv(&self) -> Result<String, Failure> {
        let mut writer = csv::Writer::from_writer(Vec::new());
        let fixed = [
            "site", "kind", "range", "index", "min", "max", "largest", "image", "p50", "p90", "p99", "p99.9", "p99.99",
            "values", "not_a_number", "low", "high",
        ];
        let shares = self.arguments.candidates.iter().map(|bound| format!("share_above_{bound}"));
        writer.write_record(fixed.into_iter().map(str::to_owned).chain(shares))?;
        for site in self.sites() {
            let numbers = [site.min, site.max, site.largest, site.p50, site.p90, site.p99, site.p99_9, site.p99_99]
                .map(|number| number.to_string());
            let [min, max, largest, p50, p90, p99, p99_9, p99_99] = numbers;
            let fields = [
                site.site,
                site.kind,
                site.range.to_string(),
                site.index.to_string(),
                min,
                max,
                largest,
                site.image,
                p50,
                p90,
                p99,
                p99_9,
                p99_99,
                site.values.to_string(),
                site.not_a_number.to_string(),
                site.low.to_string(),
                site.high.to_string(),
            ];
            writer
                .write_record(fields.into_iter().chain(site.share_above.iter().map(|share| format!("{share:.3e}"))))?;
        }
        let bytes = writer.into_inner().map_err(|error| csv::Error::from(error.into_error()))?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    fn text(&self) -> String {
        let header = [
            ("site", Align::Right),
            ("name", Align::Left),
            ("kind", Align::Left),
            ("min", Align::Right),
            ("max", Align::Right),
            ("99.9 %", Align::Right),
            ("image of the largest", Align::Right),
            ("range", Align::Right),
        ];
        let short = |number: f64| format!("{number:.4}");
        let rows = self.sites().into_iter().map(|site| {
            let index = site.index.to_string();
            vec![
                index,
                site.site,
                site.kind,
                short(site.min),
                short(site.max),
                short(site.p99_9),
                site.image,
                site.range.to_string(),
            ]
        });
        let mut text = format!(
            "{} on {} images of {}{}\n\n{}",
            name_of(&self.arguments.model.model),
            self.calibration.images.len(),
            self.dataset.name(),
            if self.sampled == "all" { String::new() } else { format!(" ({})", self.sampled) },
            table(&header, rows)
        );
        let (sites, ranges) = (self.model.sites(), self.ranges());
        let widest = (0..sites.len()).max_by(|&a, &b| ranges[a].total_cmp(&ranges[b]));
        if let Some(widest) = widest {
            text += &format!(
                "\nthe widest range is {} at {}; the ranges are in {}\n",
                ranges[widest],
                sites[widest].name,
                self.arguments.out.display()
            );
        }
        for (site, statistics) in sites.iter().zip(&self.calibration.sites) {
            if statistics.values > 0 && statistics.not_a_number == statistics.values {
                text += &format!("{}: no input is a number; its range of 1 is arbitrary\n", site.name);
            } else if statistics.not_a_number > 0 {
                text += &format!("{}: {} inputs are not numbers\n", site.name, statistics.not_a_number);
            } else if statistics.values == 0 {
                text += &format!("{}: not reached by any image; its range of 1 is arbitrary\n", site.name);
            } else if statistics.largest == 0.0 {
                text += &format!("{}: no input but zeros; its range of 1 is arbitrary\n", site.name);
            }
        }
        text
    }
}
