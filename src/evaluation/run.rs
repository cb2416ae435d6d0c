//! The run itself: batches are read ahead once, go to whichever device is free, pass the network exactly once and once for
//! each configuration, and are put together again in the order of the images.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use tch::{Device, Kind, Tensor};

use super::tally::{Evaluation, Tally};
use super::{EvaluationError, Observer, Prediction, Scope, Substitution, Timing, Until};
use crate::dataset::{Batch, Broken, Dataset};
use crate::model::{Model, ModelError, Sites, upload};

/// A model on one device, with a table of sites for each configuration.
pub struct Replica<'a> {
    pub model: &'a Model,
    pub configurations: Vec<Sites>,
}

impl<'a> Replica<'a> {
    /// Each of `models`, one model on several devices, with a table of sites for each of `substitutions`.
    ///
    /// # Errors
    /// A pool that cannot be approximated.
    pub fn all(models: &'a [Model], substitutions: &[Substitution]) -> Result<Vec<Replica<'a>>, ModelError> {
        let replica = |model: &'a Model| {
            let configurations: Result<_, _> =
                substitutions.iter().map(|substitution| substitution.table(model)).collect();
            Ok(Replica { model, configurations: configurations? })
        };
        models.iter().map(replica).collect()
    }
}

/// What one batch gave, and of each configuration the predictions.
struct Part {
    evaluation: Evaluation,
    predictions: Vec<Vec<Prediction>>,
}

/// Run the exact table and all configurations over the images of `scope`, on all `replicas` of one model at once, and add
/// what comes out to `evaluation`, behind whose images it begins.
///
/// # Errors
/// [`EvaluationError`]: the model refuses the images, labels are beyond its classes, no image can be read, an input left
/// its range where the scope forbids it. What was added to `evaluation` until then is of whole batches.
pub fn evaluate(
    replicas: &[Replica<'_>],
    scope: Scope<'_>,
    evaluation: &mut Evaluation,
    observer: &mut impl Observer,
) -> Result<(), EvaluationError> {
    let dataset = scope.dataset;
    let behind = evaluation.position();
    let until = scope.until.as_ref();
    let cuts = until.map(Until::cuts).unwrap_or_default();
    let cuts = cuts.into_iter().filter_map(|cut| cut.checked_sub(behind)).filter(|&cut| cut > 0).collect();
    let stopped = Stopped::new(replicas, evaluation);
    if evaluation.has_stopped() {
        return Ok(());
    }
    std::thread::scope(|threads| {
        let batches = dataset.read_ahead(threads, scope.preparation, &scope.images[behind..], scope.batch, cuts);
        let batches = Arc::new(Mutex::new(batches));
        let (sender, parts) = sync_channel(replicas.len());
        for (number, replica) in replicas.iter().enumerate() {
            let (batches, sender) = (batches.clone(), sender.clone());
            let device = replica.model.device();
            let exact = replica.model.exact();
            let worker = Worker { replica, number, exact, dataset, stopped: &stopped, cold: true };
            let inputs = std::iter::from_fn(move || {
                let batch = batches.lock().unwrap_or_else(PoisonError::into_inner).recv().ok()?;
                Some((input(&batch, device), batch))
            });
            if device == Device::Cpu {
                threads.spawn(move || worker.work(inputs, &sender));
            } else {
                // The next batch is copied while the device works on this one.
                let (ahead, uploaded) = sync_channel(1);
                threads.spawn(move || {
                    for input in inputs {
                        if ahead.send(input).is_err() {
                            return;
                        }
                    }
                });
                threads.spawn(move || worker.work(uploaded.into_iter(), &sender));
            }
        }
        // The threads hold the only ends now: dropping `parts` stops them, and through them the reading.
        drop((batches, sender));
        in_order(parts, |part| {
            // Before it is recorded: what goes on later must meet the refused batch again.
            refuse_broken(&scope, &part.evaluation.broken)?;
            refuse_overflow(&scope, replicas[0].model, &part.evaluation)?;
            for (configuration, predictions) in part.predictions.iter().enumerate() {
                // A device may have been ahead when another one's batch was the last.
                let goes_on = evaluation.tallies.get(configuration).is_none_or(|tally| tally.stop.is_none());
                for prediction in predictions.iter().filter(|_| goes_on) {
                    observer.image(configuration, prediction).map_err(EvaluationError::Observer)?;
                }
            }
            evaluation.add(part.evaluation.clone(), until);
            stopped.note(evaluation);
            observer.batch(&part.evaluation, evaluation).map_err(EvaluationError::Observer)?;
            Ok(if evaluation.has_stopped() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
        })
    })?;
    refuse_no_image(dataset, evaluation.images.is_empty(), &evaluation.broken)
}

/// Fail at the first broken image, where the scope is strict.
pub(super) fn refuse_broken(scope: &Scope<'_>, broken: &[Broken]) -> Result<(), EvaluationError> {
    match broken.first() {
        Some(broken) if scope.strict => {
            let image = scope.dataset.image_name(broken.index);
            Err(EvaluationError::Broken { image, reason: broken.reason.clone() })
        }
        _ => Ok(()),
    }
}

/// Fail if every image is broken.
pub(super) fn refuse_no_image(dataset: &Dataset, none: bool, broken: &[Broken]) -> Result<(), EvaluationError> {
    match broken.first() {
        Some(first) if none => {
            let (image, reason) = (dataset.image_name(first.index), first.reason.clone());
            Err(EvaluationError::NoImage { images: broken.len(), image, reason })
        }
        _ => Ok(()),
    }
}

/// Fail at the first input out of range, where the scope says so.
fn refuse_overflow(scope: &Scope<'_>, model: &Model, part: &Evaluation) -> Result<(), EvaluationError> {
    match part.tallies.iter().find_map(|tally| tally.overflows.first()) {
        Some(overflow) if scope.stop_at_overflow => {
            let site = model.sites()[overflow.site].name.clone();
            let worst = overflow.worst;
            Err(match overflow.first_image.map(|image| scope.dataset.image_name(image)) {
                Some(image) => EvaluationError::Overflow { site, worst, image },
                None => EvaluationError::UnattributedOverflow { site, worst },
            })
        }
        _ => Ok(()),
    }
}

/// Which configurations need no more images. Devices look here before they start on one; what they evaluated in vain is
/// left out where parts are put together.
struct Stopped(Vec<AtomicBool>);

impl Stopped {
    fn new(replicas: &[Replica<'_>], evaluation: &Evaluation) -> Stopped {
        let count = replicas.iter().map(|replica| replica.configurations.len()).max().unwrap_or(0);
        let stopped = Stopped((0..count).map(|_| AtomicBool::new(false)).collect());
        stopped.note(evaluation);
        stopped
    }

    fn note(&self, evaluation: &Evaluation) {
        for (stopped, tally) in self.0.iter().zip(&evaluation.tallies) {
            stopped.store(tally.stop.is_some(), Ordering::Relaxed);
        }
    }

    fn has(&self, configuration: usize) -> bool {
        self.0[configuration].load(Ordering::Relaxed)
    }
}

/// Hand on what arrives in any order by its number, until that is enough; the first error ends it.
fn in_order(
    parts: Receiver<(usize, Result<Part, EvaluationError>)>,
    mut absorb: impl FnMut(Part) -> Result<ControlFlow<()>, EvaluationError>,
) -> Result<(), EvaluationError> {
    let mut early = BTreeMap::new();
    let mut next = 0;
    for (number, part) in parts {
        early.insert(number, part);
        while let Some(part) = early.remove(&next) {
            if absorb(part?)?.is_break() {
                return Ok(());
            }
            next += 1;
        }
    }
    Ok(())
}

type Input = (Result<Tensor, EvaluationError>, Batch);

/// The batch as a tensor [N, C, H, W] on `device`; of no image, an empty one.
pub(super) fn input(batch: &Batch, device: Device) -> Result<Tensor, EvaluationError> {
    let [channels, height, width] = batch.shape.map(|size| size as i64);
    let images = Tensor::f_from_slice(&batch.pixels)?.f_view([batch.indices.len() as i64, channels, height, width])?;
    Ok(upload(images, device)?)
}

/// Who evaluates batches on one device.
struct Worker<'a> {
    replica: &'a Replica<'a>,
    /// Which of the replicas this is.
    number: usize,
    exact: Sites,
    dataset: &'a Dataset,
    stopped: &'a Stopped,
    /// Whether no batch went through the network here yet.
    cold: bool,
}

impl Worker<'_> {
    /// Evaluate batches until there are no more, an error is met, or nobody listens.
    fn work(
        mut self,
        inputs: impl Iterator<Item = Input>,
        results: &SyncSender<(usize, Result<Part, EvaluationError>)>,
    ) {
        for (input, batch) in inputs {
            let number = batch.number;
            let part = input.and_then(|input| self.evaluate(&input, batch));
            let failed = part.is_err();
            if results.send((number, part)).is_err() || failed {
                return;
            }
        }
    }

    fn evaluate(&mut self, input: &Tensor, batch: Batch) -> Result<Part, EvaluationError> {
        let dataset = self.dataset;
        let mut part = Part { evaluation: Evaluation::default(), predictions: vec![] };
        refuse_misfit(dataset, &batch)?;
        let labels: Vec<u32> = batch.indices.iter().map(|&index| dataset.labels()[index]).collect();
        if !labels.is_empty() {
            let (expected, timing) = self.timed(input, &self.exact)?;
            part.evaluation.exact = timing;
            let classes = expected.len() / labels.len();
            check_classes(dataset, &batch.indices, classes)?;
            for (configuration, sites) in self.replica.configurations.iter().enumerate() {
                if self.stopped.has(configuration) {
                    part.predictions.push(Vec::new());
                    part.evaluation.tallies.push(Tally::default());
                    continue;
                }
                let (found, timing) = self.timed(input, sites)?;
                let mut tally = Tally { timing, ..Tally::default() };
                let logits = expected.chunks(classes).zip(found.chunks(classes));
                let images = batch.indices.iter().zip(&labels).zip(logits);
                let predictions = images.map(|((&index, &label), (exact, approximate))| {
                    tally.score.add(index, label as usize, exact, approximate)
                });
                part.predictions.push(predictions.collect());
                tally.take_overflows(sites, &batch.indices);
                part.evaluation.ran.extend((0..sites.count()).filter(|&site| sites.shape(site).is_some()));
                part.evaluation.tallies.push(tally);
            }
            self.cold = false;
        }
        part.evaluation.shape = batch.shape;
        part.evaluation.broken = batch.broken;
        part.evaluation.images = batch.sha256.into_iter().zip(labels).collect();
        Ok(part)
    }

    /// The logits, image by image, and how long they took. The first pass of all with a table packs weights, compiles and
    /// meets fresh memory, so it is made twice, and the first time counts in nothing.
    fn timed(&self, input: &Tensor, sites: &Sites) -> Result<(Vec<f64>, Timing), EvaluationError> {
        if self.cold {
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
        Ok(self.replica.model.forward(input, sites)?.f_to_device(Device::Cpu)?)
    }
}

/// Fail if an image of another size than those before it ends the batch.
pub(super) fn refuse_misfit(dataset: &Dataset, batch: &Batch) -> Result<(), EvaluationError> {
    let by_x = |[_, height, width]: [usize; 3]| format!("{width}x{height}");
    match &batch.misfit {
        None => Ok(()),
        Some(misfit) => Err(EvaluationError::Misfit {
            image: dataset.image_name(misfit.index),
            size: by_x(misfit.shape),
            expected: by_x(misfit.expected),
        }),
    }
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
