//! What activations change of the decisions of single images, to first order.
//!
//! With g the gradient of an image's margin at what a site makes of a value, and e the error of the activation there, the margin
//! changes by Σ g·e over all values of all sites. One pass forth and back through the exact network gives it for a batch, without the
//! approximate pass.

use std::collections::BTreeMap;

use super::refusal::{refuse_broken, refuse_misfit};
use super::worker::input;
use super::{EvaluationError, Scope, Substitution};
use crate::dataset::Batch;
use crate::model::Model;

/// Images in a pass that goes back as well, for which everything between is kept.
pub(super) const BACKWARD: usize = 16;

/// By how much `substitution` changes the margin of each image of `scope`, by its position in the dataset. `progress` is told the
/// images done after each batch.
///
/// # Errors
/// [`EvaluationError`]: the model refuses the images or has no gradient, an activation does not fit.
pub fn foresee(
    model: &Model,
    scope: Scope<'_>,
    substitution: &Substitution,
    mut progress: impl FnMut(usize),
) -> Result<BTreeMap<usize, f64>, EvaluationError> {
    let chosen =
        substitution.sites.iter().map(|site| site.approximation.as_ref().map(|(found, range)| (found, *range)));
    let table = model.foreseeing(chosen)?;
    let mut changes = BTreeMap::new();
    std::thread::scope(|threads| {
        let batches =
            scope.dataset.read_ahead(threads, scope.preparation, scope.images, scope.batch, Vec::new(), |_| None);
        for Batch { range, images, .. } in batches {
            refuse_misfit(scope.dataset, &images)?;
            refuse_broken(&scope, &images.broken)?;
            if !images.indices.is_empty() {
                let input = input(&images, model.device())?;
                for (at, few) in images.indices.chunks(BACKWARD).enumerate() {
                    model.weigh(&input.narrow(0, (at * BACKWARD) as i64, few.len() as i64), &table)?;
                    changes.extend(few.iter().copied().zip(table.take_changes(few.len())));
                }
            }
            progress(range.end);
        }
        Ok::<(), EvaluationError>(())
    })?;
    Ok(changes)
}
