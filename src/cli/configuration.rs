//! The options that say what stands in for ReLU and for max, and for which ranges.

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};

use super::Failure;
use super::output::Files;
use crate::activation::{Arithmetic, Spec};
use crate::evaluation::{Configuration, Plan, Ranges, RangesError, Sourced};

/// What stands in at the sites, and for which ranges.
#[derive(Debug, Args)]
pub(super) struct SubstitutionOptions {
    /// What stands in for ReLU: exact, paper:4 to paper:14, minimax:D,D,…, minimax:D,D,…@EPSILON, file:COEFFS.json,
    /// file:LIST.txt@D,D,…, or a single polynomial: square, aq, chebyshev:D, leastsq:D, or fitted to the inputs of each site: fitted:D, or
    /// fitted:D/channel for one a channel (needs --relu-range file:)
    #[arg(long, value_name = "SPEC", default_value = "paper:14")]
    pub relu: Spec,
    /// What stands in for max-pooling, in the same form but neither square nor aq [default: what stands in for ReLU]
    #[arg(long, value_name = "SPEC")]
    pub maxpool: Option<Spec>,
    /// Bound of the absolute inputs of every ReLU, or LO:HI, or file:ranges.csv with one a site; needed unless ReLU is exact
    #[arg(long, value_name = "R", allow_negative_numbers = true)]
    pub relu_range: Option<String>,
    /// Bound of the absolute inputs of every max-pool, or LO:HI, or file:ranges.csv [default: the one of ReLU]
    #[arg(long, value_name = "R", allow_negative_numbers = true)]
    pub maxpool_range: Option<String>,
    /// Activations and ranges of single sites, which count over all others: a TOML file
    #[arg(long, value_name = "plan.toml")]
    pub plan: Option<PathBuf>,
    /// The most that a fitted polynomial may stray anywhere on its range, as a part of half the range: 0.1 for a tenth
    #[arg(long, value_name = "G", value_parser = guard, allow_negative_numbers = true)]
    pub guard: Option<f64>,
}

/// One configuration.
#[derive(Debug, Args)]
pub(super) struct ConfigurationOptions {
    #[command(flatten)]
    pub substitution: SubstitutionOptions,
    /// What activations are computed in: f64 on monomials, or f32 on Chebyshev series
    #[arg(long, value_name = "f64|f32", default_value_t)]
    pub arithmetic: Arithmetic,
    /// What to do when an input leaves its range
    #[arg(long, value_enum, default_value_t = OnOverflow::Count)]
    pub on_overflow: OnOverflow,
}

/// A positive number.
pub(super) fn guard(text: &str) -> Result<f64, String> {
    let number = text.parse().ok().filter(|guard: &f64| *guard > 0.0 && guard.is_finite());
    number.ok_or_else(|| "expected a positive number, a part of half the range".to_owned())
}

/// What happens to inputs beyond a range. They are always counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum OnOverflow {
    /// Go on as the encrypted circuit would
    Count,
    /// Stop with exit code 3
    Error,
    /// Move them to the range's end, as no encrypted circuit can
    Clip,
}

impl SubstitutionOptions {
    /// `files`, and those that they are read from.
    pub fn files<'a>(&'a self, files: Files<'a>) -> Files<'a> {
        files
            .reads("--relu", self.relu.file())
            .reads("--maxpool", self.maxpool.as_ref().and_then(Spec::file))
            .reads("--relu-range", self.relu_range.as_deref().and_then(file))
            .reads("--maxpool-range", self.maxpool_range.as_deref().and_then(file))
            .reads("--plan", self.plan.as_deref())
    }

    /// The configuration in f64, its files read.
    ///
    /// # Errors
    /// Ranges and plans that cannot be read.
    pub fn read(&self) -> Result<Configuration, Failure> {
        let ranges = |flag, text: &Option<String>| text.as_deref().map(|text| ranges(flag, text)).transpose();
        let configuration = Configuration {
            relu: self.relu.clone(),
            maxpool: self.maxpool.clone(),
            relu_range: ranges("--relu-range", &self.relu_range)?,
            maxpool_range: ranges("--maxpool-range", &self.maxpool_range)?,
            plan: self.plan.as_deref().map(plan).transpose()?,
            arithmetic: Arithmetic::F64,
            clip: false,
            guard: self.guard,
        };
        Ok(configuration.with_densities(&mut Vec::new())?)
    }
}

impl ConfigurationOptions {
    /// The configuration, its files read.
    ///
    /// # Errors
    /// Ranges and plans that cannot be read.
    pub fn read(&self) -> Result<Configuration, Failure> {
        let clip = self.on_overflow == OnOverflow::Clip;
        Ok(Configuration { arithmetic: self.arithmetic, clip, ..self.substitution.read()? })
    }
}

/// The file in `file:ranges.csv`.
pub(super) fn file(range: &str) -> Option<&Path> {
    range.strip_prefix("file:").map(Path::new)
}

/// A number or `file:ranges.csv`.
///
/// # Errors
/// [`Failure::Usage`] for what is neither; a file that cannot be read.
pub(super) fn ranges(flag: &str, text: &str) -> Result<Sourced<Ranges>, Failure> {
    text.parse().map_err(|error| match error {
        RangesError::Number(_) => Failure::Usage(format!("{flag}: {error}")),
        error => Failure::Configuration(error.into()),
    })
}

/// A plan file.
///
/// # Errors
/// One that cannot be read.
pub(super) fn plan(path: &Path) -> Result<Sourced<Plan>, Failure> {
    Plan::read(path).map_err(|error| Failure::Configuration(error.into()))
}
