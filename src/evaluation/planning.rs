//! The choice of what stands at every site: the least harm for each cost.

use rayon::prelude::*;

use super::configuration::{Configuration, ConfigurationError, Designs, Substitute, Substitution};
use super::densities::Densities;
use super::plan::{Plan, Rule, Selector};
use super::sensitivity::variance;
use crate::activation::{Cost, Spec};
use crate::ckks::placement::{self, Choice, PlacementError, Problem};
use crate::ckks::{Circuit, Form, Parameters, additive};
use crate::model::Site;

/// What can stand at a site.
#[derive(Debug, Clone)]
pub struct Candidate {
    pub spec: Spec,
    pub substitute: Substitute,
    pub form: Form,
    pub cost: Cost,
    /// Of an image's margin, by errors at this site alone.
    pub variance: f64,
}

/// What is to be least.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Minimize {
    /// Bootstrappings, counted by ciphertexts
    Bootstraps,
    /// The sum of the levels of all activations
    Depth,
    /// Products of two ciphertexts in all activations
    Mults,
}

/// A choice for all sites.
#[derive(Debug, Clone, PartialEq)]
pub struct Planned {
    /// Of what is to be least.
    pub cost: u64,
    /// Of an image's margin, by errors at all sites, as if each came alone.
    pub variance: f64,
    /// Which candidate each site has.
    pub choices: Vec<usize>,
}

/// The candidates of every site: what each of `specs`, for ReLUs and for pools, puts there by `configuration`, and what it does to
/// `images` calibration images by `sensitivity`. What does not fit a site is left out.
///
/// # Errors
/// [`ConfigurationError`] of a site that nothing fits.
pub fn candidates(
    sites: &[Site],
    specs: [&[Spec]; 2],
    configuration: &Configuration,
    sensitivity: &Densities,
    images: usize,
) -> Result<Vec<Vec<Candidate>>, ConfigurationError> {
    let designs = Designs::of(specs.into_iter().flatten(), configuration.arithmetic);
    let fitted = |&(site, spec): &(&Site, &Spec)| -> Result<Option<Candidate>, ConfigurationError> {
        let all = Configuration { relu: spec.clone(), maxpool: None, ..configuration.clone() };
        let Substitution { mut sites, .. } = all.resolve(std::slice::from_ref(site), &mut designs.clone())?;
        Ok(sites.pop().and_then(|substitute| candidate(spec, site, substitute, sensitivity, images)))
    };
    let wanted = |site: &Site| specs[usize::from(site.kind.is_pool())];
    let all: Vec<(&Site, &Spec)> =
        sites.iter().flat_map(|site| wanted(site).iter().map(move |spec| (site, spec))).collect();
    // In any order, but told in this one: the first site that nothing fits is the one to name.
    let mut fits = all.par_iter().map(fitted).collect::<Vec<_>>().into_iter();
    sites.iter().map(|site| any_of(fits.by_ref().take(wanted(site).len()))).collect()
}

/// What there is of `fits`; the last error if there is nothing but errors.
fn any_of(
    fits: impl Iterator<Item = Result<Option<Candidate>, ConfigurationError>>,
) -> Result<Vec<Candidate>, ConfigurationError> {
    let (mut found, mut failed) = (Vec::new(), None);
    for fit in fits {
        match fit {
            Ok(candidate) => found.extend(candidate),
            Err(error) => failed = Some(error),
        }
    }
    match failed {
        Some(error) if found.is_empty() => Err(error),
        _ => Ok(found),
    }
}

fn candidate(
    spec: &Spec,
    site: &Site,
    substitute: Substitute,
    sensitivity: &Densities,
    images: usize,
) -> Option<Candidate> {
    let (form, cost, variance) = match &substitute.approximation {
        None => (Form::default(), Cost::default(), 0.0),
        Some((activation, range)) => {
            let variance = variance(activation, site, *range, sensitivity, images)?;
            (site.kind.form(activation), site.kind.cost(activation), variance)
        }
    };
    variance.is_finite().then(|| Candidate { spec: spec.clone(), substitute, form, cost, variance })
}

/// For each cost that is worth it, the choice that changes margins least, the cheapest first.
///
/// # Errors
/// [`PlacementError`] where levels do not suffice.
pub fn front(
    circuit: &Circuit,
    parameters: &Parameters,
    candidates: &[Vec<Candidate>],
    minimize: Minimize,
) -> Result<Vec<Planned>, PlacementError> {
    let by_sum = |cost: fn(&Cost) -> u32| {
        let pair = |candidate: &Candidate| (cost(&candidate.cost) as usize, candidate.variance);
        let sites: Vec<Vec<(usize, f64)>> = candidates.iter().map(|all| all.iter().map(pair).collect()).collect();
        let planned = additive::front(&sites).into_iter();
        planned.map(|(cost, variance, choices)| Planned { cost: cost as u64, variance, choices }).collect()
    };
    match minimize {
        Minimize::Depth => Ok(by_sum(|cost| cost.depth)),
        Minimize::Mults => Ok(by_sum(|cost| cost.multiplications)),
        Minimize::Bootstraps => {
            let choice = |candidate: &Candidate| Choice { form: candidate.form.clone(), loss: candidate.variance };
            let choices: Vec<Vec<Choice>> = candidates.iter().map(|all| all.iter().map(choice).collect()).collect();
            let problem = Problem { circuit, parameters, choices: &choices };
            let placed = placement::front(problem)?.into_iter();
            Ok(placed
                .map(|found| Planned { cost: found.bootstraps, variance: found.loss, choices: found.choices })
                .collect())
        }
    }
}

/// What stands at the sites by `choices`.
pub fn chosen(candidates: &[Vec<Candidate>], choices: &[usize]) -> Substitution {
    let sites = candidates.iter().zip(choices).map(|(all, &at)| all[at].substitute.clone());
    Substitution { sites: sites.collect(), clip: false, noise: None }
}

/// The plan that says so.
pub fn plan_of(sites: &[Site], candidates: &[Vec<Candidate>], choices: &[usize]) -> Plan {
    let rule = |(site, (all, &at)): (&Site, (&Vec<Candidate>, &usize))| Rule {
        sites: Selector::Name(site.name.clone()),
        activation: Some(all[at].spec.clone()),
        range: None,
    };
    Plan { rules: sites.iter().zip(candidates.iter().zip(choices)).map(rule).collect() }
}
