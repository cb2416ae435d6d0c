//! A model over a dataset: an exact and an approximate pass over the same batches, and what the two say of each other.

mod score;

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use tch::{Device, Kind, TchError, Tensor};

use crate::dataset::{Broken, Dataset, Preparation};
use crate::digest;
use crate::model::{Model, ModelError, Sites};
pub use score::{Prediction, Score};

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
    #[error("a prediction cannot be written: {0}")]
    Observer(std::io::Error),
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

/// What to evaluate.
#[derive(Debug, Clone, Copy)]
pub struct Scope<'a> {
    pub dataset: &'a Dataset,
    pub preparation: &'a Preparation,
    /// The first so many images.
    pub images: usize,
    /// Images in one pass.
    pub batch: usize,
    /// Stop at the first image that cannot be read.
    pub strict: bool,
}

/// Who is told while an evaluation runs.
pub trait Observer {
    /// After each image, in order.
    ///
    /// # Errors
    /// What keeps the observer from going on; the evaluation stops.
    fn image(&mut self, prediction: &Prediction) -> std::io::Result<()>;

    /// After each batch: images done, those that could not be read included, and the score so far.
    fn batch(&mut self, done: usize, score: &Score);
}

/// What came out.
#[derive(Debug, Clone, Default)]
pub struct Evaluation {
    pub score: Score,
    /// Images that could not be read, in order. The score rests on the others.
    pub broken: Vec<Broken>,
    /// Shape of the network's input: channels, height, width.
    pub shape: [usize; 3],
    /// SHA-256 over the evaluated images and their labels, whatever their order.
    pub dataset_sha256: String,
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

/// Run the exact table and `approximate` over the images of `scope`.
///
/// # Errors
/// [`EvaluationError`]: the model refuses the images, labels are beyond its classes, no image can be read.
pub fn evaluate(
    model: &Model,
    scope: Scope<'_>,
    approximate: &Sites,
    observer: &mut impl Observer,
) -> Result<Evaluation, EvaluationError> {
    let dataset = scope.dataset;
    let exact = model.exact();
    let mut evaluation = Evaluation::default();
    let mut overflows = vec![SiteOverflow::default(); model.sites().len()];
    let mut digests = Vec::new();
    dataset.read_ahead(scope.preparation, scope.images, scope.batch, |batch| {
        if let (Some(broken), true) = (batch.broken.first(), scope.strict) {
            let image = dataset.image_name(broken.index);
            return Err(EvaluationError::Broken { image, reason: broken.reason.clone() });
        }
        evaluation.broken.extend(batch.broken);
        if !batch.indices.is_empty() {
            let [channels, height, width] = batch.shape.map(|size| size as i64);
            let input = Tensor::f_from_slice(&batch.pixels)?
                .f_view([batch.indices.len() as i64, channels, height, width])?
                .f_to(model.device())?;
            let (expected, time) = timed(model, &input, &exact)?;
            evaluation.exact_time += time;
            let (found, time) = timed(model, &input, approximate)?;
            evaluation.approximate_time += time;
            evaluation.shape = batch.shape;

            let classes = expected.len() / batch.indices.len();
            check_classes(dataset, &batch.indices, classes)?;
            for ((&index, exact), approximate) in
                batch.indices.iter().zip(expected.chunks(classes)).zip(found.chunks(classes))
            {
                let label = dataset.labels()[index];
                let prediction = evaluation.score.add(index, label as usize, exact, approximate);
                observer.image(&prediction).map_err(EvaluationError::Observer)?;
            }
            let labels = batch.indices.iter().map(|&index| dataset.labels()[index]);
            digests.extend(batch.sha256.into_iter().zip(labels));
            evaluation.overflow_images += collect(approximate, &mut overflows, &batch.indices);
        }
        observer.batch(batch.end, &evaluation.score);
        Ok(())
    })?;
    if let (0, Some(first)) = (digests.len(), evaluation.broken.first()) {
        let (image, reason) = (dataset.image_name(first.index), first.reason.clone());
        return Err(EvaluationError::NoImage { images: evaluation.broken.len(), image, reason });
    }
    evaluation.dataset_sha256 = digest::of_images(digests);
    overflows.retain(|overflow| overflow.values > 0);
    evaluation.overflows = overflows;
    Ok(evaluation)
}

fn check_classes(dataset: &Dataset, images: &[usize], classes: usize) -> Result<(), EvaluationError> {
    if let Some(named) = dataset.classes().filter(|&named| named != classes) {
        return Err(EvaluationError::Classes { named, classes });
    }
    let beyond = images.iter().find(|&&index| dataset.labels()[index] as usize >= classes);
    beyond.map_or(Ok(()), |&index| {
        Err(EvaluationError::Label { image: dataset.image_name(index), label: dataset.labels()[index], classes })
    })
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

/// Add what the sites counted in a batch of the images `indices`; the number of images concerned.
fn collect(sites: &Sites, overflows: &mut [SiteOverflow], indices: &[usize]) -> usize {
    let mut images = BTreeSet::new();
    for (site, overflow) in overflows.iter_mut().enumerate() {
        let batch = sites.take_overflow(site);
        let Some(&first) = batch.images.first() else { continue };
        if overflow.images == 0 {
            overflow.site = site;
            // A site whose first axis is not the batch may name more images than there are.
            overflow.first_image = indices.get(first).or(indices.last()).copied().unwrap_or_default();
        }
        overflow.values += batch.values;
        overflow.not_a_number += batch.not_a_number;
        overflow.worst = overflow.worst.max(batch.worst);
        overflow.images += batch.images.len();
        images.extend(batch.images);
    }
    images.len()
}
