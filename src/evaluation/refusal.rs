//! What ends an evaluation: images that cannot be read, or do not fit the model or each other, and inputs out of range.

use super::{Evaluation, EvaluationError, Scope};
use crate::dataset::{Broken, Dataset, ReadImages};
use crate::model::Model;

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
pub(super) fn refuse_overflow(scope: &Scope<'_>, model: &Model, part: &Evaluation) -> Result<(), EvaluationError> {
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

/// Fail if an image of another size than those before it ends the batch.
pub(super) fn refuse_misfit(dataset: &Dataset, images: &ReadImages) -> Result<(), EvaluationError> {
    let by_x = |[_, height, width]: [usize; 3]| format!("{width}x{height}");
    match &images.misfit {
        None => Ok(()),
        Some(misfit) => Err(EvaluationError::Misfit {
            image: dataset.image_name(misfit.index),
            size: by_x(misfit.shape),
            expected: by_x(misfit.expected),
        }),
    }
}

/// Fail if the labels are beyond the classes of the model, or names of another number of them.
pub(super) fn check_classes(dataset: &Dataset, images: &[usize], classes: usize) -> Result<(), EvaluationError> {
    if let Some(named) = dataset.classes().filter(|&named| named != classes) {
        return Err(EvaluationError::Classes { named, classes });
    }
    let beyond = images.iter().find(|&&index| dataset.labels()[index] as usize >= classes);
    beyond.map_or(Ok(()), |&index| {
        Err(EvaluationError::Label { image: dataset.image_name(index), label: dataset.labels()[index], classes })
    })
}
