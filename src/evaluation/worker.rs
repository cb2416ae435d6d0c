//! One device at work: batches pass the network exactly once, and once for each configuration.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::SyncSender;
use std::time::Instant;

use tch::{Device, Kind, Tensor};

use super::kept::{Exact, Kept};
use super::refusal::{check_classes, refuse_misfit};
use super::{Evaluation, EvaluationError, Prediction, Tally, Timing};
use crate::dataset::{Batch, Dataset, ReadImages};
use crate::model::{Model, Sites, upload};

/// What one batch gave, and of each configuration the predictions.
pub(super) struct Part {
    pub evaluation: Evaluation,
    pub predictions: Vec<Vec<Prediction>>,
}

/// Which configurations need no more images. Devices look here before they start on one; what they evaluated in vain is
/// left out where parts are put together.
pub(super) struct Stopped(Vec<AtomicBool>);

impl Stopped {
    /// Of so many configurations, as `evaluation` knows them.
    pub fn new(configurations: usize, evaluation: &Evaluation) -> Stopped {
        let stopped = Stopped((0..configurations).map(|_| AtomicBool::new(false)).collect());
        stopped.note(evaluation);
        stopped
    }

    pub fn note(&self, evaluation: &Evaluation) {
        for (stopped, tally) in self.0.iter().zip(&evaluation.tallies) {
            stopped.store(tally.stop.is_some(), Ordering::Relaxed);
        }
    }

    fn has(&self, configuration: usize) -> bool {
        self.0[configuration].load(Ordering::Relaxed)
    }
}

/// Images on their device, and what they are.
pub(super) type Input = (Result<Tensor, EvaluationError>, Batch);

/// The images as a tensor [N, C, H, W] on `device`; of no image, an empty one.
pub(super) fn input(images: &ReadImages, device: Device) -> Result<Tensor, EvaluationError> {
    let [channels, height, width] = images.shape.map(|size| size as i64);
    let count = images.indices.len() as i64;
    Ok(upload(Tensor::f_from_slice(&images.pixels)?.f_view([count, channels, height, width])?, device)?)
}

/// Who evaluates batches on one device.
pub(super) struct Worker<'a> {
    pub model: &'a Model,
    /// The table of each configuration.
    pub configurations: Vec<Sites>,
    /// Which of the devices this is.
    pub number: usize,
    pub exact: Sites,
    pub dataset: &'a Dataset,
    pub stopped: &'a Stopped,
    pub kept: &'a Kept,
    /// Whether no batch went through the network here yet.
    pub cold: &'a AtomicBool,
}

impl Worker<'_> {
    /// Evaluate batches until there are no more, an error is met, or nobody listens.
    pub fn work(
        self,
        inputs: impl Iterator<Item = Input>,
        results: &SyncSender<(usize, Result<Part, EvaluationError>)>,
    ) {
        for (input, batch) in inputs {
            let part = input.and_then(|input| self.evaluate(&input, &batch));
            let failed = part.is_err();
            if results.send((batch.number, part)).is_err() || failed {
                return;
            }
        }
    }

    fn evaluate(&self, input: &Tensor, batch: &Batch) -> Result<Part, EvaluationError> {
        let (dataset, images) = (self.dataset, &batch.images);
        let mut part = Part { evaluation: Evaluation::default(), predictions: vec![] };
        refuse_misfit(dataset, images)?;
        let labels: Vec<u32> = images.indices.iter().map(|&index| dataset.labels()[index]).collect();
        if !labels.is_empty() {
            let expected = self.expected(input, batch)?;
            part.evaluation.exact = expected.timing.clone();
            let classes = expected.logits.len() / labels.len();
            check_classes(dataset, &images.indices, classes)?;
            for (configuration, sites) in self.configurations.iter().enumerate() {
                if self.stopped.has(configuration) {
                    part.predictions.push(Vec::new());
                    part.evaluation.tallies.push(Tally::default());
                    continue;
                }
                let (found, timing) = self.timed(input, sites)?;
                let mut tally = Tally { timing, ..Tally::default() };
                let logits = expected.logits.chunks(classes).zip(found.chunks(classes));
                let counted = images.indices.iter().zip(&labels).zip(logits);
                let predictions = counted.map(|((&index, &label), (exact, approximate))| {
                    tally.score.add(index, label as usize, exact, approximate)
                });
                part.predictions.push(predictions.collect());
                tally.take_overflows(sites, &images.indices);
                part.evaluation.ran.extend((0..sites.count()).filter(|&site| sites.shape(site).is_some()));
                part.evaluation.tallies.push(tally);
            }
            self.cold.store(false, Ordering::Relaxed);
        }
        part.evaluation.shape = images.shape;
        part.evaluation.broken.clone_from(&images.broken);
        part.evaluation.images = images.sha256.iter().copied().zip(labels).collect();
        Ok(part)
    }

    /// What the exact network says of the images, in a pass of its own only where that is not known yet.
    fn expected(&self, input: &Tensor, batch: &Batch) -> Result<Arc<Exact>, EvaluationError> {
        if let Some(known) = self.kept.exact(&batch.range) {
            return Ok(known);
        }
        let (logits, timing) = self.timed(input, &self.exact)?;
        Ok(self.kept.keep(batch, Exact { logits, timing }))
    }

    /// The logits, image by image, and how long they took. The first pass of all with a table packs weights, compiles and
    /// meets fresh memory, so it is made twice, and the first time counts in nothing.
    fn timed(&self, input: &Tensor, sites: &Sites) -> Result<(Vec<f64>, Timing), EvaluationError> {
        if self.cold.load(Ordering::Relaxed) {
            drop(self.logits(input, sites)?);
            (0..sites.count()).for_each(|site| drop(sites.take_overflow(site)));
        }
        let start = Instant::now();
        let logits = self.logits(input, sites)?;
        let seconds = start.elapsed().as_secs_f64();
        let images = logits.size().first().map_or(0, |&images| images as usize);
        let logits = logits.f_to_kind(Kind::Double)?.f_contiguous()?.f_flatten(0, -1)?;
        Ok((Vec::try_from(logits)?, Timing::of_batch(self.number, images, seconds)))
    }

    /// The logits on the CPU: copying them there waits for the device.
    fn logits(&self, input: &Tensor, sites: &Sites) -> Result<Tensor, EvaluationError> {
        Ok(self.model.forward(input, sites)?.f_to_device(Device::Cpu)?)
    }
}
