//! A session: one model on all its devices and one set of images, for one configuration after another.
//!
//! Batches are read ahead, go to whichever device is free, pass the network exactly and with each configuration, what several
//! of these passes have in common once, and are put together again in the order of the images. What is kept of them is not
//! decoded, and does not pass the exact network, a second time.

use std::collections::BTreeMap;
use std::ops::{ControlFlow, Range};
use std::sync::atomic::AtomicBool;
use std::sync::mpsc::{Receiver, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};

use tch::Device;

use super::kept::Kept;
use super::refusal::{refuse_broken, refuse_no_image, refuse_overflow};
use super::worker::{Part, Stopped, Worker, input};
use super::{Evaluation, EvaluationError, Observer, Scope, Substitution, Until};
use crate::dataset::Batch;
use crate::model::Model;

/// One model on one device or several, and the images it is evaluated on.
pub struct Session<'a> {
    models: &'a [Model],
    scope: Scope<'a>,
    kept: Kept,
    /// Of each device, whether no batch went through the network there yet.
    cold: Vec<AtomicBool>,
}

impl<'a> Session<'a> {
    /// Of `models`, one model on several devices, over the images of `scope`. Nothing is kept of them.
    pub fn new(models: &'a [Model], scope: Scope<'a>) -> Session<'a> {
        Session::keeping(models, scope, 0)
    }

    /// The same, which keeps exact logits and prepared images for later configurations, in at most `bytes` of memory: the
    /// logits of all images, and as many images, from the first, as there is room for.
    pub fn keeping(models: &'a [Model], scope: Scope<'a>, bytes: usize) -> Session<'a> {
        let cold = models.iter().map(|_| AtomicBool::new(true)).collect();
        Session { models, scope, kept: Kept::new(scope.images.len(), bytes), cold }
    }

    /// Bytes that are in use for what is kept.
    pub fn kept_bytes(&self) -> usize {
        self.kept.bytes()
    }

    /// Run the exact network and all configurations, each as one of `substitutions` says, over the images, and add what comes
    /// out to `evaluation`, behind whose images it begins.
    ///
    /// # Errors
    /// [`EvaluationError`]: a pool that cannot be approximated, the model refuses the images, labels are beyond its classes, no
    /// image can be read, an input left its range where the scope forbids it. What was added to `evaluation` until then is of
    /// whole batches.
    pub fn evaluate(
        &self,
        substitutions: &[Substitution],
        evaluation: &mut Evaluation,
        observer: &mut impl Observer,
    ) -> Result<(), EvaluationError> {
        let Session { models, scope, kept, cold } = self;
        let dataset = scope.dataset;
        let behind = evaluation.position();
        let until = scope.until.as_ref();
        let cuts = until.map(Until::cuts).unwrap_or_default();
        let cuts = cuts.into_iter().filter_map(|cut| cut.checked_sub(behind)).filter(|&cut| cut > 0).collect();
        let stopped = Stopped::new(substitutions.len(), evaluation);
        if evaluation.has_stopped() {
            return Ok(());
        }
        let mut workers = Vec::with_capacity(models.len());
        for (number, (model, cold)) in models.iter().zip(cold).enumerate() {
            let configurations: Result<_, _> =
                substitutions.iter().map(|substitution| substitution.table(model)).collect();
            let (configurations, exact) = (configurations?, model.exact());
            workers.push(Worker { model, configurations, number, exact, dataset, stopped: &stopped, kept, cold });
        }
        std::thread::scope(|threads| {
            let known = move |range: &Range<usize>| kept.inputs(&(behind + range.start..behind + range.end));
            let images = &scope.images[behind..];
            let batches = dataset.read_ahead(threads, scope.preparation, images, scope.batch, cuts, known);
            let batches = Arc::new(Mutex::new(batches));
            let (sender, parts) = sync_channel(workers.len());
            for worker in workers {
                let (batches, sender) = (batches.clone(), sender.clone());
                let device = worker.model.device();
                let inputs = std::iter::from_fn(move || {
                    let Batch { number, range, images } =
                        batches.lock().unwrap_or_else(PoisonError::into_inner).recv().ok()?;
                    // As the session counts them, whose first images may be behind.
                    let range = behind + range.start..behind + range.end;
                    Some((input(&images, device), Batch { number, range, images }))
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
                refuse_broken(scope, &part.evaluation.broken)?;
                refuse_overflow(scope, &models[0], &part.evaluation)?;
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
