//! What a user must know to read the figures, told on stderr even when quiet.

use std::collections::{BTreeSet, HashSet};
use std::path::PathBuf;

use super::Failure;
use crate::activation::{Activation, Spec};
use crate::bounded;
use crate::dataset::{Broken, Dataset};
use crate::digest;
use crate::evaluation::{Configuration, Evaluation, Sourced, Substitute, Substitution, Tally, images_file};
use crate::model::{Model, Site};

/// What is left exact, an operator a line.
pub(super) fn tell_not_polynomial(model: &Model) {
    let remaining: Vec<_> = model.foreign().iter().filter(|node| !node.at_output).collect();
    for (i, node) in remaining.iter().enumerate() {
        if remaining[..i].iter().any(|before| before.operator == node.operator) {
            continue;
        }
        let places = remaining.iter().filter(|other| other.operator == node.operator).count();
        let more = match places {
            1 => String::new(),
            2 => " and one other place".to_owned(),
            _ => format!(" and {} other places", places - 1),
        };
        eprintln!("warning: {} at {}{more} is not polynomial and stays exact", node.operator, node.name);
    }
}

/// Sites that were to have a polynomial for each channel and have one for all.
pub(super) fn tell_one_for_all(sites: &[Site], substitution: &Substitution) {
    let one = |substitute: &Substitute| match (&substitute.spec, &substitute.approximation) {
        (Spec::Fitted(spec), Some((Activation::Fitted(fitted), _))) => spec.by_channel && fitted.series().len() == 1,
        _ => false,
    };
    let of_all = sites.iter().zip(&substitution.sites).filter(|(_, substitute)| one(substitute));
    for (site, substitute) in of_all {
        eprintln!(
            "warning: {} is one polynomial for all channels at site {}, whose inputs the calibration could not tell apart by channel",
            substitute.spec, site.name
        );
    }
}

/// An exact accuracy that is no better than chance, as labels in another order than the model's outputs give it.
pub(super) fn tell_chance(evaluation: &Evaluation) {
    let Some(Tally { score, .. }) = evaluation.tallies.first() else { return };
    if score.is_chance() {
        eprintln!(
            "warning: the exact network's top-1 of {:.3} % on {} images is not better than chance among {} classes; the labels are \
             probably not in the order of its outputs, or the images not prepared as it was trained",
            score.top1_exact(),
            score.images(),
            score.classes()
        );
    }
}

/// Images that were left out: even when quiet, since the figures rest on fewer images.
pub(super) fn tell_broken(dataset: &Dataset, all: &[Broken]) {
    const SHOWN: usize = 20;
    for broken in all.iter().take(SHOWN) {
        eprintln!("warning: image {} left out: {}", dataset.image_name(broken.index), broken.reason);
    }
    if all.len() > SHOWN {
        eprintln!("warning: {} more images left out", all.len() - SHOWN);
    }
}

/// Images that the ranges were measured on: accuracy on them says less than on others.
///
/// # Errors
/// A list of images beside a ranges file or a plan that cannot be read.
pub(super) fn tell_calibrated(configurations: &[Configuration], evaluation: &Evaluation) -> Result<(), Failure> {
    let ranges = configurations.iter().flat_map(|one| [&one.relu_range, &one.maxpool_range]).flatten();
    let plans = configurations.iter().filter_map(|one| one.plan.as_ref()).filter_map(Sourced::path);
    let files: BTreeSet<PathBuf> = ranges.filter_map(Sourced::path).chain(plans).map(images_file).collect();
    for path in files.iter().filter(|path| path.exists()) {
        let text = bounded::read_text(path, bounded::TABLE).map_err(|source| Failure::File {
            flag: "ranges",
            path: path.display().to_string(),
            source,
        })?;
        let known: HashSet<&str> = text.lines().collect();
        let met = evaluation.images.iter().filter(|(sha256, _)| known.contains(digest::shown(sha256).as_str())).count();
        if met > 0 {
            eprintln!(
                "warning: the ranges were measured on {met} of these {} images; evaluate others, or keep some apart by --holdout",
                evaluation.images.len()
            );
        }
    }
    Ok(())
}
