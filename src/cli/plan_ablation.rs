//! What each lever of a plan is worth: the search once more with one switched off.

use super::Failure;
use super::plan_report::{Kind, Measured};
use super::plan_search::{Lack, Search, keeps};
use crate::activation::{FittedSpec, Spec};
use crate::evaluation::{Configuration, Densities, candidates, front};

/// What candidates are made of.
pub(super) struct Without<'a> {
    pub configuration: &'a Configuration,
    pub densities: &'a Densities,
    /// Of the calibration.
    pub images: usize,
    pub relu: &'a [Spec],
    pub maxpool: &'a [Spec],
    /// That are measured at most.
    pub swaps: usize,
    /// The plan of the front, before swaps.
    pub of_front: Option<usize>,
}

/// The plan at `promised` of what was `measured`, and the cheapest that keeps the budget without each lever; what none keeps is left
/// out.
pub(super) fn ablation(
    search: &Search<'_>,
    without: &Without<'_>,
    measured: &[Measured],
    promised: usize,
    lack: Lack<'_>,
) -> Result<Vec<Measured>, Failure> {
    let &Without { configuration, densities, images, relu, maxpool, swaps, of_front } = without;
    let again = |relu: &[Spec], densities: &Densities| -> Result<Option<Measured>, Failure> {
        let choices = candidates(search.model.sites(), [relu, maxpool], configuration, densities, images)?;
        let planned = front(search.circuit, search.parameters, &choices, search.minimize)?;
        let mut search = Search { choices: &choices, measured: Vec::new(), ..*search };
        let found = search.best(&planned, lack, swaps)?;
        Ok(found.map(|found| search.measured.swap_remove(found.at)))
    };
    let for_all = |spec: &Spec| match spec {
        Spec::Fitted(fitted) => Spec::Fitted(FittedSpec { by_channel: false, ..fitted.clone() }),
        _ => spec.clone(),
    };
    let by_site: Vec<Spec> = relu.iter().map(for_all).collect();
    let uniform = measured.iter().filter(|plan| plan.kind == Kind::Uniform && keeps(lack, plan));
    let levers = [
        ("all levers", Some(measured[promised].clone())),
        ("without gradients", again(relu, &densities.unweighted())?),
        ("without channels", again(&by_site, densities)?),
        ("without swaps", of_front.map(|at| measured[at].clone())),
        ("without choice", uniform.min_by_key(|plan| plan.cost().unwrap_or(u64::MAX)).cloned()),
    ];
    Ok(levers.into_iter().filter_map(|(kind, found)| Some(Measured { kind: Kind::Lever(kind), ..found? })).collect())
}
