//! `polyact plan`: the cheapest choice of activations that keeps the accuracy.

use std::cell::RefCell;
use std::path::{Path, PathBuf};

use clap::{ArgGroup, Args};

use super::configuration::{file, guard, ranges};
use super::encryption::circuit;
use super::options::{DeviceOptions, ModelOptions, ReadingOptions, UntilOptions, name_of};
use super::output::{Files, write};
use super::plan_ablation::{Without, ablation};
use super::plan_journal::{Decisive, journal_file};
use super::plan_report::{Measured, Told, for_people, front_csv};
use super::plan_search::{Progress, Search};
use super::plot::{FIGURES, PlotFile, plot_file};
use super::preparation::PreparationOptions;
use super::progress::progress_bar;
use super::warnings::{tell_broken, tell_calibrated, tell_not_polynomial};
use super::{Failure, print};
use crate::activation::{Arithmetic, DEFAULT_SHARE, FittedSpec, Spec};
use crate::bounded;
use crate::ckks::{Circuit, Parameters};
use crate::dataset::{BUNDLED, Dataset, Preparation};
use crate::evaluation::{
    Configuration, ConfigurationError, Densities, Evaluation, Measurements, Minimize, NoiseError, Plan, Ranges, Scope,
    Session, Sourced, Substitution, Tally, candidates, front, images_file, plan_of,
};
use crate::minimax::MAX_DEGREE;
use crate::model::Model;
use crate::report::plan_front::{self, Point};

/// Choose what stands at every site: the cheapest plan that keeps the accuracy, measured on calibration images and then once on others
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES, group = ArgGroup::new("budget").required(true).args(["max_loss", "min_agreement"]))]
pub struct Arguments {
    #[command(flatten)]
    model: ModelOptions,
    /// Images; --holdout keeps those apart that the plan is chosen on
    #[arg(long, value_name = "D", default_value = BUNDLED)]
    dataset: PathBuf,
    #[command(flatten)]
    reading: ReadingOptions,
    #[command(flatten)]
    preparation: PreparationOptions,
    /// Lose at most this many points of top-1 on the images that are held out
    #[arg(long, value_name = "POINTS", value_parser = points, allow_negative_numbers = true)]
    max_loss: Option<f64>,
    /// Agree with the exact network on at least this percentage of the images that are held out
    #[arg(long, value_name = "PERCENT", value_parser = percent, allow_negative_numbers = true)]
    min_agreement: Option<f64>,
    /// What is to be least
    #[arg(long, value_enum, default_value_t = Minimize::Bootstraps)]
    minimize: Minimize,
    /// Levels after a bootstrapping and what operations take, as `polyact cost` has it
    #[arg(long, value_name = "PARAMS")]
    ckks: Parameters,
    /// Measure plans with the noise that --ckks says, as `polyact eval --ckks` does
    #[arg(long)]
    noise: bool,
    /// file:ranges.csv, as `polyact calibrate --weight margin` wrote it on the images that are held out
    #[arg(long, value_name = "R")]
    relu_range: String,
    /// file:ranges.csv of a calibration with --weight margin, if that of --relu-range has other weights
    #[arg(long, value_name = "R")]
    sensitivity: Option<String>,
    /// What can stand in for ReLU; say it once for each [default: fitted polynomials of every depth from 2 levels up, one a channel,
    /// and compositions fitted:7,7, fitted:7,15 and fitted:15,15]
    #[arg(long, value_name = "SPEC")]
    candidate: Vec<Spec>,
    /// What can stand in for max-pooling; say it once for each [default: the same, one for all channels]
    #[arg(long, value_name = "SPEC")]
    maxpool_candidate: Vec<Spec>,
    /// The most that a fitted polynomial may stray anywhere on its range, as a part of half the range
    #[arg(long, value_name = "G", value_parser = guard, allow_negative_numbers = true)]
    guard: Option<f64>,
    /// Write the plan to this TOML file, for eval --plan
    #[arg(long, value_name = "plan.toml")]
    out: PathBuf,
    /// Write all plans that were measured, and uniform settings beside them, to this CSV file
    #[arg(long, value_name = "FILE")]
    front: Option<PathBuf>,
    /// Measure at most N plans that differ from those of the front at a site or two, where these just miss the budget; 0 for none
    #[arg(long, value_name = "N", default_value_t = 60)]
    swaps: usize,
    /// Measure N random plans too, and tell how well their agreement was predicted, in --front and --plot as well
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(2..=100_000))]
    random_plans: Option<u32>,
    /// Choose again with each lever switched off, gradients, channels, swaps and the choice by site, and write what that costs to
    /// this CSV file
    #[arg(long, value_name = "FILE")]
    ablation: Option<PathBuf>,
    /// Draw what --front writes into FILE.svg or FILE.png
    #[arg(long, value_name = "FILE", value_parser = plot_file)]
    plot: Option<PlotFile>,
    /// Go on with an interrupted search: what was measured is in plan.toml.journal beside --out
    #[arg(long)]
    resume: bool,
    /// No progress bar
    #[arg(long)]
    quiet: bool,
}

const EXAMPLES: &str = "Examples:
  polyact calibrate --model weights/resnet20-fashion.pt --holdout 2000 --margin 0.25 --weight margin --out ranges.csv
  polyact plan --model weights/resnet20-fashion.pt --holdout 2000 --relu-range file:ranges.csv --ckks autofhe \\
               --max-loss 0.1 --out plan.toml --front front.csv --plot front.svg
  polyact eval --model weights/resnet20-fashion.pt --holdout 2000 --relu-range file:ranges.csv --plan plan.toml
  polyact plan --model resnet50.pt --dataset imagenet/val --holdout 2000 --relu-range file:ranges.csv --ckks orion \\
               --min-agreement 99 --out plan.toml --resume
  polyact plan --model weights/resnet20-fashion.pt --holdout 2000 --relu-range file:ranges.csv --ckks autofhe \\
               --max-loss 0.1 --out plan.toml --random-plans 50 --front random.csv --plot random.svg

docs/cost.md explains how a plan is chosen. A search that is killed goes on with --resume, and ends in
the files and the table that it would have had.";

fn points(text: &str) -> Result<f64, String> {
    up_to_hundred(text).ok_or_else(|| "expected points from 0 to 100, such as 0.1".to_owned())
}

fn percent(text: &str) -> Result<f64, String> {
    up_to_hundred(text).ok_or_else(|| "expected a percentage from 0 to 100, such as 99.5".to_owned())
}

fn up_to_hundred(text: &str) -> Option<f64> {
    text.parse().ok().filter(|number| (0.0..=100.0).contains(number))
}

impl Arguments {
    pub(super) fn device(&self) -> &DeviceOptions {
        &self.model.device
    }

    /// The files that are read and written; `listed` names the images that the plan was chosen on, `journal` remembers what was
    /// measured.
    fn files<'a>(&'a self, listed: &'a Path, journal: &'a Path) -> Files<'a> {
        let read = self.reading.files().reads("--model", &*self.model.model).reads("--dataset", &*self.dataset);
        read.reads("--relu-range", file(&self.relu_range))
            .reads("--sensitivity", self.sensitivity.as_deref().and_then(file))
            .writes("--out", &*self.out, &[b"[[sites]]", b"# Chosen by polyact"])
            .writes("--out", listed, &[])
            .appends("--out", journal)
            .writes("--front", self.front.as_deref(), &[b"kind,"])
            .writes("--ablation", self.ablation.as_deref(), &[b"kind,"])
            .writes("--plot", self.plot.as_ref().map(PlotFile::path), FIGURES)
    }

    /// Ranges and densities that candidates are fitted to, those that say what matters, and the images that these are of.
    fn configuration(&self) -> Result<(Configuration, Sourced<Ranges>, usize), Failure> {
        let read = |flag, text: &str| -> Result<_, Failure> {
            Ok(ranges(flag, text)?.with_densities().map_err(ConfigurationError::from)?)
        };
        let relu_range = read("--relu-range", &self.relu_range)?;
        let (flag, sensitivity) = match &self.sensitivity {
            Some(text) => ("--sensitivity", read("--sensitivity", text)?),
            None => ("--relu-range", relu_range.clone()),
        };
        let weighted = sensitivity.densities().is_some_and(Densities::is_weighted);
        let images = sensitivity
            .path()
            .map(images_file)
            .filter(|_| weighted)
            .and_then(|path| bounded::read_text(&path, bounded::TABLE).ok());
        let Some(images) = images else {
            let text = self.sensitivity.as_ref().unwrap_or(&self.relu_range);
            return Err(Failure::Usage(format!(
                "{flag} {text}: it does not say what errors do to decisions; make it with `polyact calibrate --weight margin`"
            )));
        };
        let configuration = Configuration {
            relu: Spec::Exact,
            maxpool: None,
            relu_range: Some(relu_range),
            maxpool_range: None,
            plan: None,
            arithmetic: Arithmetic::F64,
            clip: false,
            guard: self.guard,
        };
        Ok((configuration, sensitivity, images.lines().count()))
    }

    /// What can stand in for ReLU, and for max-pooling.
    fn specs(&self) -> [Vec<Spec>; 2] {
        let fitted = |degrees: &[u32], by_channel| {
            Spec::Fitted(FittedSpec { degrees: degrees.to_vec(), by_channel, share: DEFAULT_SHARE })
        };
        let economic = |levels: u32| self.ckks.economic(levels, MAX_DEGREE).filter(|&degree| degree >= 2);
        let degrees: Vec<u32> = (2..=self.ckks.depth(MAX_DEGREE)).filter_map(economic).collect();
        let compositions = [[7, 7], [7, 15], [15, 15]].map(|degrees| fitted(&degrees, false));
        let of = |by_channel: bool| {
            degrees.iter().map(move |&degree| fitted(&[degree], by_channel)).chain(compositions.clone()).collect()
        };
        let said = |said: &[Spec], default: Vec<Spec>| if said.is_empty() { default } else { said.to_vec() };
        [said(&self.candidate, of(true)), said(&self.maxpool_candidate, of(false))]
    }

    /// What a plan lacks to keep the budget.
    fn lack(&self, measured: &Measured) -> f64 {
        let loss = self.max_loss.map_or(f64::NEG_INFINITY, |points| -measured.difference - points);
        loss.max(self.min_agreement.map_or(f64::NEG_INFINITY, |percent| percent - measured.agreement))
    }

    fn budget(&self) -> String {
        match (self.max_loss, self.min_agreement) {
            (Some(points), _) => format!("a loss of at most {points} points"),
            (None, percent) => format!("an agreement of at least {} %", percent.unwrap_or_default()),
        }
    }
}

/// Memory for images and logits that several runs over the calibration images have in common.
const KEPT: usize = 1 << 30;

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let (listed, journal) = (images_file(&arguments.out), journal_file(&arguments.out));
    arguments.files(&listed, &journal).check()?;
    if arguments.reading.holdout.is_none() {
        return Err(Failure::Usage(
            "--holdout is needed: a plan is chosen on images that are not evaluated".to_owned(),
        ));
    }
    if arguments.noise && arguments.ckks.noise.is_none() {
        return Err(NoiseError::Unknown(arguments.ckks.name.clone()).into());
    }
    let (configuration, sensitivity, images) = arguments.configuration()?;
    let Some(densities) = sensitivity.densities() else { return Ok(()) };
    let models = arguments.model.load()?;
    let model = &models[0];
    let dataset = arguments.reading.open(&arguments.dataset)?;
    let preparation = arguments.preparation.resolve(model.preprocess(), &dataset)?;
    let circuit = circuit(model, arguments.preparation.input.size(model.preprocess()))?;
    let [relu, maxpool] = arguments.specs();
    let calibration = arguments.reading.calibrated(&dataset)?;
    let decisive = Decisive {
        model_sha256: model.sha256(),
        dataset: &dataset,
        calibration: &calibration,
        reading: &arguments.reading,
        preparation: &arguments.preparation,
        device: &arguments.model.device,
        configuration: &configuration,
        specs: [&relu, &maxpool],
        noise: arguments.noise.then_some(&arguments.ckks),
    };
    let known = RefCell::new(decisive.measurements(&arguments.out, arguments.resume)?);
    let task = Task {
        arguments,
        configuration,
        densities,
        path: sensitivity.path(),
        images,
        models: &models,
        dataset: &dataset,
        preparation: &preparation,
        circuit: &circuit,
        relu,
        maxpool,
        calibration: &calibration.images,
    };
    let ended = task.choose(&known).and_then(|text| print(&text));
    let journal = known.into_inner().into_journal();
    match &ended {
        Err(Failure::Infeasible(_)) | Ok(()) => journal.remove()?,
        Err(failure) if failure.is_broken_pipe() => journal.remove()?,
        // The first error is the one to tell.
        Err(_) => drop(journal.remove_if_empty()),
    }
    ended
}

/// All that a plan is chosen from.
struct Task<'a> {
    arguments: &'a Arguments,
    configuration: Configuration,
    /// What errors do to decisions, in which file that is, and of how many images.
    densities: &'a Densities,
    path: Option<&'a Path>,
    images: usize,
    models: &'a [Model],
    dataset: &'a Dataset,
    preparation: &'a Preparation,
    circuit: &'a Circuit,
    relu: Vec<Spec>,
    maxpool: Vec<Spec>,
    calibration: &'a [usize],
}

impl Task<'_> {
    /// Find the plan, write it and what was measured, and evaluate it on the other images; the text for people.
    fn choose(&self, known: &RefCell<Measurements>) -> Result<String, Failure> {
        let &Task { arguments, densities, images, models, circuit, .. } = self;
        let Task { configuration, relu, maxpool, .. } = self;
        let model = &models[0];
        tell_not_polynomial(model);
        let choices = candidates(model.sites(), [relu, maxpool], configuration, densities, images)?;
        let planned = front(circuit, &arguments.ckks, &choices, arguments.minimize)?;
        let session = Session::keeping(models, self.scope(self.calibration), KEPT);
        let mut search = Search {
            model,
            circuit,
            parameters: &arguments.ckks,
            noise: arguments.noise,
            minimize: arguments.minimize,
            choices: &choices,
            session: &session,
            images: self.calibration.len(),
            quiet: arguments.quiet,
            known,
            measured: Vec::new(),
        };
        search.uniform(relu, maxpool)?;
        let lack = |measured: &Measured| arguments.lack(measured);
        let of_front = search.cheapest(&planned, &lack)?;
        let found = search.repaired(&planned, of_front.clone(), &lack, arguments.swaps)?;
        let rank_correlation = match arguments.random_plans {
            Some(count) => search.random(count as usize)?,
            None => None,
        };
        let measured = std::mem::take(&mut search.measured);
        self.write_measured(&measured)?;
        let Some(found) = found else { return Err(self.infeasible(&measured)) };
        self.write_plan(&plan_of(model.sites(), &choices, &found.choices))?;
        let levers = match &arguments.ablation {
            Some(path) => {
                let (swaps, of_front) = (arguments.swaps, of_front.map(|found| found.at));
                let without = Without { configuration, densities, images, relu, maxpool, swaps, of_front };
                let levers = ablation(&search, &without, &measured, found.at, &lack)?;
                write("--ablation", path, front_csv(&levers)?.as_bytes())?;
                levers
            }
            None => Vec::new(),
        };
        let tally = self.evaluate(search.substitution(&found.choices)?)?;
        Ok(for_people(&Told {
            minimize: arguments.minimize,
            measured: &measured,
            found: found.at,
            levers: &levers,
            rank_correlation,
            out: &arguments.out,
            tally: &tally,
        }))
    }

    fn scope<'b>(&'b self, images: &'b [usize]) -> Scope<'b> {
        let ReadingOptions { batch, strict, .. } = self.arguments.reading;
        let Task { dataset, preparation, .. } = self;
        Scope { dataset, preparation, images, batch, strict, stop_at_overflow: false, until: None }
    }

    /// Into --front, and into --plot as a figure.
    fn write_measured(&self, measured: &[Measured]) -> Result<(), Failure> {
        let Arguments { front, plot, model, ckks, minimize, .. } = self.arguments;
        if let Some(path) = front {
            write("--front", path, front_csv(measured)?.as_bytes())?;
        }
        let Some(plot) = plot else { return Ok(()) };
        let title = format!("{}, {} calibration images, {}", name_of(&model.model), self.calibration.len(), ckks.name);
        let points: Vec<Point> = measured.iter().map(Measured::point).collect();
        plot.write(&plan_front::figure(&title, minimize.name(), &points))
    }

    /// Into --out, with the images that it was chosen on beside it.
    fn write_plan(&self, plan: &Plan) -> Result<(), Failure> {
        let out = &self.arguments.out;
        let text = format!(
            "# Chosen by polyact {} for {}.\n{}",
            env!("CARGO_PKG_VERSION"),
            self.arguments.budget(),
            plan.text()
        );
        let images = bounded::read_text(&images_file(self.path.unwrap_or(out)), bounded::TABLE).unwrap_or_default();
        write("--out", &images_file(out), images.as_bytes())?;
        write("--out", out, text.as_bytes())
    }

    fn infeasible(&self, measured: &[Measured]) -> Failure {
        let nearest = measured.iter().max_by(|a, b| a.agreement.total_cmp(&b.agreement)).map(|best| {
            format!(
                "; the nearest is {} with {:+.3} points and {:.3} % agreement",
                best.name, best.difference, best.agreement
            )
        });
        Failure::Infeasible(format!(
            "no plan of these candidates has {}{}; allow more, or add candidates with --candidate",
            self.arguments.budget(),
            nearest.unwrap_or_default()
        ))
    }

    /// What the plan is worth on the images that are not held out.
    fn evaluate(&self, substitution: Substitution) -> Result<Tally, Failure> {
        let rest = self.arguments.reading.evaluated(self.dataset, UntilOptions::default())?;
        let bar = progress_bar(rest.images.len(), self.arguments.quiet);
        let mut evaluation = Evaluation::default();
        let evaluated = Session::new(self.models, self.scope(&rest.images)).evaluate(
            &[substitution],
            &mut evaluation,
            &mut Progress { bar: &bar, margins: None },
        );
        bar.finish_and_clear();
        evaluated?;
        tell_broken(self.dataset, &evaluation.broken);
        tell_calibrated(std::slice::from_ref(&self.configuration), &evaluation)?;
        Ok(evaluation.tallies.swap_remove(0))
    }
}
