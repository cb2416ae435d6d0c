//! Fits in the order of execution: each site to what it is given behind the sites that are replaced already, against what the exact
//! network makes of the same images there.
//!
//! All images go through the network together, from one site to the next, so that the whole costs about three passes: what lives
//! at one place of the network is kept for all of them.

use rayon::prelude::*;

use super::fits::{FitOptions, SiteFitError, channel_range, site_fit};
use super::refusal::{refuse_broken, refuse_misfit};
use super::worker::input;
use super::{EvaluationError, Scope, Substitute, Substitution};
use crate::activation::{FittedSpec, Interval, Spec};
use crate::dataset::Batch;
use crate::fitting::{Density, FitError, Fitting};
use crate::model::Model;

/// What `spec` puts at every site of `model` that is no pool, on ranges that hold what was met with this `margin`; pools stay exact.
/// `progress` is told the sites that are done.
///
/// # Errors
/// [`EvaluationError`]: the model refuses the images or cannot be halted before its sites, no fit keeps the guard.
pub fn fit_in_order(
    model: &Model,
    scope: Scope<'_>,
    spec: &FittedSpec,
    margin: f64,
    options: FitOptions,
    mut progress: impl FnMut(usize),
) -> Result<Substitution, EvaluationError> {
    let mut batches = Vec::new();
    std::thread::scope(|threads| {
        let read =
            scope.dataset.read_ahead(threads, scope.preparation, scope.images, scope.batch, Vec::new(), |_| None);
        for Batch { images, .. } in read {
            refuse_misfit(scope.dataset, &images)?;
            refuse_broken(&scope, &images.broken)?;
            if !images.indices.is_empty() {
                batches.push(model.stepping(input(&images, model.device())?)?);
            }
        }
        Ok::<(), EvaluationError>(())
    })?;
    let mut decided = vec![None; model.sites().len()];
    let exact = Substitute { spec: Spec::Exact, approximation: None, certificate: None, composition: None };
    let mut sites = vec![exact; model.sites().len()];
    let Some(first) = batches.first() else { return Ok(Substitution { sites, clip: false, noise: None }) };
    let failed = |site: &str, error: FitError| {
        EvaluationError::Fit(SiteFitError { spec: spec.clone(), site: site.to_owned(), reason: error.into() })
    };
    for (segment, indices) in model.steps(first.images())?.into_iter().enumerate() {
        for index in indices {
            let site = &model.sites()[index];
            if site.kind.is_pool() {
                continue;
            }
            let mut densities = Vec::new();
            let tables = model.looking(index, &decided)?;
            for batch in &batches {
                model.look(batch, segment, index, &tables, &mut densities)?;
            }
            let whole = Density::pooled(&densities);
            if whole.values() == 0 {
                continue;
            }
            // A site that met one value only may meet any near it.
            let [low, high] = whole.ends().unwrap_or([-1.0, 1.0]);
            let around = Interval::new(low, high).unwrap_or(Interval { low: low - 1.0, high: high + 1.0 });
            let range = channel_range(&whole, around, margin);
            if !spec.by_channel {
                densities = vec![whole];
            }
            let fitting = Fitting {
                target: site.kind.target(),
                degree: spec.degrees[0],
                share: spec.share,
                guard: options.guard,
            };
            let fit = |density: &Density| fitting.fit_pairs(density, channel_range(density, range, margin).ends());
            let fits = densities.par_iter().map(fit).collect::<Result<Vec<_>, _>>();
            let fit =
                site_fit(fits.map_err(|error| failed(&site.name, error))?, &densities, range, site, options.arithmetic);
            decided[index] = Some((fit.activation.clone(), fit.range));
            sites[index] = Substitute {
                spec: Spec::Fitted(spec.clone()),
                approximation: Some((fit.activation, fit.range)),
                certificate: Some(fit.certificate),
                composition: None,
            };
            progress(index + 1);
        }
        let tables = model.standing(&decided)?;
        for batch in &mut batches {
            model.step(batch, segment, &tables)?;
        }
    }
    Ok(Substitution { sites, clip: false, noise: None })
}
