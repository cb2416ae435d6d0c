//! One device at work: batches pass the network exactly, and with each configuration.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::SyncSender;
use std::time::Instant;

use tch::{Device, Kind, Tensor};

use super::kept::{Exact, Kept};
use super::refusal::{check_classes, refuse_misfit};
use super::{Evaluation, EvaluationError, Prediction, Tally, Timing};
use crate::dataset::{Batch, Dataset, ReadImages};
use crate::model::{Model, Passed, Sites, upload};

/// What one batch gave, and of each configuration the predictions.
pub(super) struct Part {
    pub evaluation: Evaluation,
    pub predictions: Vec<Vec<Prediction>>,
}

/// Which configurations need no more images. Devices look here before each batch; what they evaluated in vain is left out where
/// parts are put together.
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
    Ok(upload(&images.pixels, &[count, channels, height, width], device)?)
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
            self.compare(input, batch, &labels, &mut part)?;
            self.cold.store(false, Ordering::Relaxed);
        }
        part.evaluation.shape = images.shape;
        part.evaluation.broken.clone_from(&images.broken);
        part.evaluation.images = images.sha256.iter().copied().zip(labels).collect();
        Ok(part)
    }

    /// Make the exact pass, unless what comes out is known, and that of each configuration that goes on, and add what they say to
    /// `part`.
    fn compare(&self, input: &Tensor, batch: &Batch, labels: &[u32], part: &mut Part) -> Result<(), EvaluationError> {
        let indices = &batch.images.indices;
        let goes_on = |configuration: &usize| !self.stopped.has(*configuration);
        let active: Vec<usize> = (0..self.configurations.len()).filter(goes_on).collect();
        let mut tables: Vec<&Sites> = active.iter().map(|&configuration| &self.configurations[configuration]).collect();
        let known = self.kept.exact(&batch.range);
        let digests =
            batch.images.sha256.iter().map(|sha256| u64::from_le_bytes(*sha256.first_chunk().unwrap_or(&[0; 8])));
        let digests: Arc<[u64]> = digests.collect();
        tables.iter().for_each(|table| table.about(&digests));
        if self.cold.load(Ordering::Relaxed) {
            self.warm_up(input, batch, known.is_some(), &tables)?;
        }
        if known.is_none() {
            tables.insert(0, &self.exact);
        }
        let start = Instant::now();
        let mut passed = self.model.forward_all(input, &tables)?;
        part.evaluation.passes = self.timing(batch, start.elapsed().as_secs_f64());
        let expected = match known {
            Some(known) => known,
            None => {
                let Passed { logits, seconds } = passed.remove(0);
                let exact = Exact { logits: numbers(&logits)?, timing: self.timing(batch, seconds) };
                self.kept.keep(batch, exact)
            }
        };
        part.evaluation.exact = expected.timing.clone();
        let classes = expected.logits.len() / labels.len();
        check_classes(self.dataset, indices, classes)?;
        part.predictions.resize_with(self.configurations.len(), Vec::new);
        part.evaluation.tallies.resize_with(self.configurations.len(), Tally::default);
        for (configuration, Passed { logits, seconds }) in active.into_iter().zip(passed) {
            let (sites, found) = (&self.configurations[configuration], numbers(&logits)?);
            let mut tally = Tally { timing: self.timing(batch, seconds), ..Tally::default() };
            let logits = expected.logits.chunks(classes).zip(found.chunks(classes));
            let counted = indices.iter().zip(labels).zip(logits);
            let predictions = counted.map(|((&index, &label), (exact, approximate))| {
                tally.score.add(index, label as usize, exact, approximate)
            });
            part.predictions[configuration] = predictions.collect();
            tally.take_overflows(sites, indices);
            part.evaluation.ran.extend((0..sites.count()).filter(|&site| sites.shape(site).is_some()));
            part.evaluation.tallies[configuration] = tally;
        }
        Ok(())
    }

    /// The first pass of all with a table packs weights, compiles and meets fresh memory, so it is made twice, and what comes out
    /// the first time counts in nothing. Labels that do not fit are refused before the configurations take their time.
    fn warm_up(
        &self,
        input: &Tensor,
        batch: &Batch,
        exact_is_known: bool,
        tables: &[&Sites],
    ) -> Result<(), EvaluationError> {
        if !exact_is_known {
            let exact = self.model.forward_all(input, &[&self.exact])?;
            let classes = exact.iter().map(|passed| passed.logits.size()[1] as usize);
            classes.into_iter().try_for_each(|classes| check_classes(self.dataset, &batch.images.indices, classes))?;
        }
        drop(self.model.forward_all(input, tables)?);
        for sites in tables {
            (0..sites.count()).for_each(|site| drop(sites.take_overflow(site)));
        }
        Ok(())
    }

    /// That passes over `batch` took so long.
    fn timing(&self, batch: &Batch, seconds: f64) -> Timing {
        Timing::of_batch(self.number, batch.images.indices.len(), seconds)
    }
}

/// Logits, image by image.
pub(super) fn numbers(logits: &Tensor) -> Result<Vec<f64>, EvaluationError> {
    Ok(Vec::try_from(logits.f_to_kind(Kind::Double)?.f_contiguous()?.f_flatten(0, -1)?)?)
}
