//! A model over a dataset: an exact and an approximate pass over the same batches, and what the two say of each other.

mod score;

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use tch::{Device, Kind, TchError, Tensor};

use crate::dataset::{Dataset, Normalisation};
use crate::model::{Model, ModelError, Sites};
pub use score::Score;

/// Images per pass through the network, unless another number is asked for.
pub const DEFAULT_BATCH: usize = 64;

/// Why an evaluation stopped.
#[derive(Debug, thiserror::Error)]
pub enum EvaluationError {
    #[error(transparent)]
    Model(#[from] ModelError),
    #[error("image {image} has the label {label}, but the model has {classes} classes (labels 0 to {})", classes - 1)]
    Label { image: usize, label: u8, classes: usize },
    #[error("libtorch: {0}")]
    Torch(#[from] TchError),
}

/// What one site met outside its range, over all images.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct SiteOverflow {
    /// The site's index.
    pub site: usize,
    /// Values outside, those that are no number included.
    pub values: u64,
    /// Values that are no number.
    pub not_a_number: u64,
    /// The largest absolute value.
    pub worst: f64,
    /// Images with at least one such value.
    pub images: usize,
    /// The first of them, by its position in the dataset.
    pub first_image: usize,
}

/// What came out.
#[derive(Debug, Clone, Default)]
pub struct Evaluation {
    pub score: Score,
    /// Sites that met values outside, in the order of the network.
    pub overflows: Vec<SiteOverflow>,
    /// Images with a value outside at any site.
    pub overflow_images: usize,
    /// Time in the exact and in the approximate passes, decoding not included.
    pub exact_time: Duration,
    pub approximate_time: Duration,
}

impl Evaluation {
    /// Values outside over all sites.
    pub fn overflow_values(&self) -> u64 {
        self.overflows.iter().map(|overflow| overflow.values).sum()
    }
}

/// Run the exact table and `approximate` over the first `images` of `dataset`, `batch` at a time.
///
/// `progress` is told after every batch how many images are done, and the score so far.
///
/// # Errors
/// [`EvaluationError`]: the model refuses the images, or a label is beyond its classes.
pub fn evaluate(
    model: &Model,
    dataset: &Dataset,
    normalisation: &Normalisation,
    approximate: &Sites,
    images: usize,
    batch: usize,
    mut progress: impl FnMut(usize, &Score),
) -> Result<Evaluation, EvaluationError> {
    let exact = model.exact();
    let mut evaluation = Evaluation::default();
    let mut overflows = vec![SiteOverflow::default(); model.sites().len()];
    let [channels, height, width] = dataset.shape().map(|size| size as i64);
    for start in (0..images).step_by(batch) {
        let end = images.min(start + batch);
        let input = Tensor::f_from_slice(&dataset.batch(start..end, normalisation))?
            .f_view([(end - start) as i64, channels, height, width])?
            .f_to(model.device())?;
        let (expected, time) = timed(model, &input, &exact)?;
        evaluation.exact_time += time;
        let (found, time) = timed(model, &input, approximate)?;
        evaluation.approximate_time += time;

        let labels = &dataset.labels()[start..end];
        let classes = expected.len() / labels.len();
        if let Some(at) = labels.iter().position(|&label| usize::from(label) >= classes) {
            return Err(EvaluationError::Label { image: start + at, label: labels[at], classes });
        }
        for ((label, exact), approximate) in labels.iter().zip(expected.chunks(classes)).zip(found.chunks(classes)) {
            evaluation.score.add(usize::from(*label), exact, approximate);
        }
        evaluation.overflow_images += collect(approximate, &mut overflows, start);
        progress(end, &evaluation.score);
    }
    overflows.retain(|overflow| overflow.values > 0);
    evaluation.overflows = overflows;
    Ok(evaluation)
}

/// The logits, image by image, and the time they took.
fn timed(model: &Model, input: &Tensor, sites: &Sites) -> Result<(Vec<f64>, Duration), EvaluationError> {
    let start = Instant::now();
    // Copying to the CPU waits for the device.
    let logits = model.forward(input, sites)?.f_to_device(Device::Cpu)?;
    let time = start.elapsed();
    let logits = logits.f_to_kind(Kind::Double)?.f_contiguous()?.f_flatten(0, -1)?;
    Ok((Vec::try_from(logits)?, time))
}

/// Add what the sites counted in the batch that began at image `start`; the number of images concerned.
fn collect(sites: &Sites, overflows: &mut [SiteOverflow], start: usize) -> usize {
    let mut images = BTreeSet::new();
    for (site, overflow) in overflows.iter_mut().enumerate() {
        let batch = sites.take_overflow(site);
        let Some(&first) = batch.images.first() else {
            continue;
        };
        if overflow.images == 0 {
            overflow.site = site;
            overflow.first_image = start + first;
        }
        overflow.values += batch.values;
        overflow.not_a_number += batch.not_a_number;
        overflow.worst = overflow.worst.max(batch.worst);
        overflow.images += batch.images.len();
        images.extend(batch.images);
    }
    images.len()
}
