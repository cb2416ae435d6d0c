//! A model over a dataset: an exact and approximate passes over the same batches, and what they say of each other.

mod calibration;
mod configuration;
mod densities;
mod fits;
mod fitted_compositions;
mod foresight;
mod grid;
mod in_order;
mod inference;
mod journal;
mod kept;
mod measurements;
mod noise;
mod plan;
mod planning;
mod precision;
mod ranges;
mod rank;
mod refusal;
mod score;
mod sensitivity;
mod session;
mod source;
mod sweep_journal;
mod tally;
mod timing;
mod until;
mod worker;
mod written;

use tch::TchError;

use crate::dataset::{Dataset, Preparation};
use crate::digest;
use crate::model::ModelError;
pub use calibration::{Calibration, RangeRule, Weight, calibrate, shortest};
pub use configuration::{Configuration, ConfigurationError, Designs, Substitute, Substitution, TotalCost};
pub use densities::{Densities, DensitiesError, densities_bytes, densities_file};
pub use fits::{Compositions, FitOptions, SiteFit, SiteFitError, Unfit, fit_site};
pub use foresight::foresee;
pub use grid::{Axes, Shard, sweep_name};
pub use in_order::fit_in_order;
pub use journal::{Journal, JournalError, Run};
pub use measurements::{Measurement, Measurements};
pub use noise::{Met, NoiseError};
pub use plan::{Plan, PlanError, Rule, Selector};
pub use planning::{Candidate, Minimize, Planned, candidates, chosen, front, plan_of};
pub use precision::{Precision, precision};
pub use ranges::{Ranges, RangesError, SiteRange};
pub use rank::rank_correlation;
pub use score::{ClassScore, Prediction, Score};
pub use sensitivity::{agreement, variance};
pub use session::Session;
pub use source::{Source, Sourced, images_file};
pub use sweep_journal::SweepJournal;
pub use tally::{Evaluation, SiteOverflow, Stop, Tally};
pub use timing::Timing;
pub use until::{Stretch, Until};
pub use written::WriteError;

/// Images per pass through the network, unless another number is asked for.
pub const DEFAULT_BATCH: usize = 64;

/// Why an evaluation stopped.
#[derive(Debug, thiserror::Error)]
pub enum EvaluationError {
    #[error(transparent)]
    Model(#[from] ModelError),
    #[error("image {image} has the label {label}, but the model has {classes} classes (labels 0 to {})", classes - 1)]
    Label { image: String, label: u32, classes: usize },
    #[error(
        "the labels are names of {named} classes, but the model has {classes}: say their order by --classes FILE, a name a \
         line in the order of the model's outputs"
    )]
    Classes { named: usize, classes: usize },
    #[error("image {image}: {reason} (--strict stops at the first image that cannot be read)")]
    Broken { image: String, reason: String },
    #[error("none of the {images} images can be read; the first one, {image}: {reason}")]
    NoImage { images: usize, image: String, reason: String },
    #[error("image {image} is {size} where those before it are {expected}; --crop N makes them alike")]
    Misfit { image: String, size: String, expected: String },
    #[error("image {image}: an input of {site} left its range, |x| = {worst:.6} (--on-overflow error stops there)")]
    Overflow { site: String, worst: f64, image: String },
    #[error(
        "an input of {site} left its range, |x| = {worst:.6}; which image it is of cannot be told, since the network mixes \
         the images before that site (--on-overflow error stops there)"
    )]
    UnattributedOverflow { site: String, worst: f64 },
    #[error(
        "image {image}: an input of {site} is infinite, and no range holds it; the weights or the preprocessing (--mean, --std) \
         may not be those the network was trained with"
    )]
    Infinite { site: String, image: String },
    #[error("a file beside the results cannot be written: {0}")]
    Observer(std::io::Error),
    #[error(transparent)]
    Fit(#[from] SiteFitError),
    #[error("libtorch: {0}")]
    Torch(#[from] TchError),
}

/// SHA-256 over labelled images, by the digest of each as stored, whatever their order.
pub fn dataset_sha256(images: &[([u8; 32], u32)]) -> String {
    digest::of_images(images.to_vec())
}

/// What to evaluate.
#[derive(Debug, Clone, Copy)]
pub struct Scope<'a> {
    pub dataset: &'a Dataset,
    pub preparation: &'a Preparation,
    /// Positions in the dataset, in the order of evaluation.
    pub images: &'a [usize],
    /// Images in one pass.
    pub batch: usize,
    /// Stop at the first image that cannot be read.
    pub strict: bool,
    /// Stop after the first batch in which an input leaves its range.
    pub stop_at_overflow: bool,
    /// Where a configuration may stop before the last image, which are then in a random order.
    pub until: Option<Until>,
}

/// Who is told while an evaluation runs.
pub trait Observer {
    /// After each image, in order, for each configuration.
    ///
    /// # Errors
    /// What keeps the observer from going on; the evaluation stops.
    fn image(&mut self, configuration: usize, prediction: &Prediction) -> std::io::Result<()>;

    /// After each batch: what came out of the batch; and of all so far.
    ///
    /// # Errors
    /// As for [`Observer::image`].
    fn batch(&mut self, batch: &Evaluation, all: &Evaluation) -> std::io::Result<()>;
}

/// Nobody is told.
impl Observer for () {
    fn image(&mut self, _configuration: usize, _prediction: &Prediction) -> std::io::Result<()> {
        Ok(())
    }

    fn batch(&mut self, _batch: &Evaluation, _all: &Evaluation) -> std::io::Result<()> {
        Ok(())
    }
}

/// An f64 as the integer of its bits: JSON has no infinities.
mod bits {
    use serde::{Deserialize, Deserializer, Serializer};

    pub fn serialize<S: Serializer>(value: &f64, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(value.to_bits())
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
        Ok(f64::from_bits(u64::deserialize(deserializer)?))
    }
}
