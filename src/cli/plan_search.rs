//! The search of `polyact plan`: which of the plans that are worth it keeps the budget at the least cost.

use std::cell::RefCell;

use indicatif::ProgressBar;

use super::Failure;
use super::plan_report::{Kind, Measured};
use super::progress::progress_bar;
use crate::activation::{FittedSpec, Spec};
use crate::ckks::placement::fewest;
use crate::ckks::{Circuit, Parameters};
use crate::evaluation::{
    Candidate, Evaluation, Measurement, Measurements, Minimize, NoiseError, Observer, Planned, Prediction, Session,
    Substitution, agreement, chosen,
};
use crate::model::{Model, Site};

/// Plans that are measured in one run over the images.
pub(super) const TOGETHER: usize = 12;

/// Plans, and what they are worth on the calibration images.
pub(super) struct Search<'a> {
    pub model: &'a Model,
    pub circuit: &'a Circuit,
    pub parameters: &'a Parameters,
    /// Whether plans are measured with its noise.
    pub noise: bool,
    pub minimize: Minimize,
    /// Of every site.
    pub choices: &'a [Vec<Candidate>],
    /// Over the calibration images, of which there are so many.
    pub session: &'a Session<'a>,
    pub images: usize,
    pub quiet: bool,
    /// What is known of plans, whatever they were measured for.
    pub known: &'a RefCell<Measurements>,
    /// What was measured so far, in the order of the search.
    pub measured: Vec<Measured>,
}

/// What a plan lacks to keep the budget, in points or percent; nothing more than 0 where it keeps it.
pub(super) type Lack<'a> = &'a dyn Fn(&Measured) -> f64;

/// Of rounding, in points and percent.
const EXACTLY: f64 = 1e-9;

pub(super) fn keeps(lack: Lack<'_>, measured: &Measured) -> bool {
    lack(measured) <= EXACTLY
}

/// A plan that keeps the budget.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Found {
    /// Which candidate each site has.
    pub choices: Vec<usize>,
    /// Where it was measured.
    pub at: usize,
}

impl Search<'_> {
    fn sites(&self) -> &[Site] {
        self.model.sites()
    }

    /// The same SPEC at every site that takes it.
    pub fn uniform(&mut self, relu: &[Spec], maxpool: &[Spec]) -> Result<(), Failure> {
        let mut named = Vec::new();
        for spec in relu {
            let pool = match spec {
                Spec::Fitted(fitted) => Spec::Fitted(FittedSpec { by_channel: false, ..fitted.clone() }),
                _ => spec.clone(),
            };
            let pool = if maxpool.contains(&pool) { pool } else { maxpool.last().cloned().unwrap_or(pool) };
            let at = |(site, all): (&Site, &Vec<Candidate>)| {
                let wanted = if site.kind.is_pool() { &pool } else { spec };
                all.iter().position(|candidate| candidate.spec == *wanted)
            };
            if let Some(choices) = self.sites().iter().zip(self.choices).map(at).collect::<Option<Vec<usize>>>() {
                named.push((spec.to_string(), choices));
            }
        }
        self.measure(Kind::Uniform, named)
    }

    /// The cheapest plan of the front that keeps the budget: those at a few costs are measured first, then those between.
    pub fn cheapest(&mut self, planned: &[Planned], lack: Lack<'_>) -> Result<Option<Found>, Failure> {
        let (mut low, mut high) = (0, planned.len());
        let mut best = None;
        while low < high {
            let count = TOGETHER.min(high - low);
            let at: Vec<usize> =
                (0..count).map(|i| if count == 1 { low } else { low + i * (high - 1 - low) / (count - 1) }).collect();
            let first = self.measured.len();
            let names =
                at.iter().map(|&at| (format!("plan {}", planned[at].cost), planned[at].choices.clone())).collect();
            self.measure(Kind::Plan, names)?;
            let fits = (0..at.len()).find(|&i| keeps(lack, &self.measured[first + i]));
            match fits {
                Some(i) => {
                    best = Some(Found { choices: planned[at[i]].choices.clone(), at: first + i });
                    high = at[i];
                    low = if i == 0 { high } else { at[i - 1] + 1 };
                }
                None => {
                    low = at.last().map_or(high, |last| last + 1);
                }
            }
        }
        Ok(best)
    }

    /// What stands at the sites by `choices`, with noise if that is asked for.
    ///
    /// # Errors
    /// With noise, an activation that takes more levels than there are.
    pub fn substitution(&self, choices: &[usize]) -> Result<Substitution, NoiseError> {
        let substitution = chosen(self.choices, choices);
        if !self.noise {
            return Ok(substitution);
        }
        let met = substitution.met(self.sites(), self.circuit, self.parameters)?;
        Ok(substitution.with_noise(&met.noise, 0))
    }

    /// What stands at all sites by `choices`: what a plan is known by.
    fn activations(&self, choices: &[usize]) -> String {
        let specs = self.choices.iter().zip(choices).map(|(all, &at)| all[at].spec.to_string());
        specs.collect::<Vec<_>>().join(" ")
    }

    /// By how much all errors together change margins, as if each came alone.
    pub fn variance(&self, choices: &[usize]) -> f64 {
        self.choices.iter().zip(choices).map(|(all, &at)| all[at].variance).sum()
    }

    /// Measure plans on the calibration images, those that are not known all in one run. With noise, those that levels do not
    /// suffice for are left out.
    pub fn measure(&mut self, kind: Kind, plans: Vec<(String, Vec<usize>)>) -> Result<(), Failure> {
        let (mut named, mut unknown) = (Vec::new(), Vec::<(String, Substitution)>::new());
        for (name, choices) in plans {
            match self.substitution(&choices) {
                Ok(substitution) => {
                    let activations = self.activations(&choices);
                    let known = self.known.borrow().of(&activations).is_some();
                    if !known && unknown.iter().all(|(other, _)| *other != activations) {
                        unknown.push((activations.clone(), substitution.clone()));
                    }
                    named.push((name, choices, activations, substitution));
                }
                Err(NoiseError::Placement(_)) => {}
                Err(other) => return Err(other.into()),
            }
        }
        for together in unknown.chunks(TOGETHER) {
            self.run(together)?;
        }
        for (name, choices, activations, substitution) in named {
            let known = self.known.borrow();
            let Some(measured) = known.of(&activations) else { continue };
            let predicted = 100.0 * agreement(known.margins(), self.variance(&choices));
            let plan = self.costed(kind, name, &choices, &substitution, predicted, measured);
            drop(known);
            self.measured.push(plan);
        }
        Ok(())
    }

    /// Evaluate these substitutions, with the activations that they are known by, and keep what comes out.
    fn run(&self, plans: &[(String, Substitution)]) -> Result<(), Failure> {
        let bar = progress_bar(self.images, self.quiet);
        bar.set_message(format!("{} plans", plans.len()));
        let mut evaluation = Evaluation::default();
        let mut margins = Vec::new();
        let mut progress = Progress { bar: &bar, margins: Some(&mut margins) };
        let substitutions: Vec<Substitution> = plans.iter().map(|(_, substitution)| substitution.clone()).collect();
        let evaluated = self.session.evaluate(&substitutions, &mut evaluation, &mut progress);
        bar.finish_and_clear();
        evaluated?;
        let mut known = self.known.borrow_mut();
        known.keep_margins(margins)?;
        for ((activations, _), tally) in plans.iter().zip(&evaluation.tallies) {
            let measured = Measurement {
                agreement: tally.score.agreement(),
                difference: tally.score.top1() - tally.score.top1_exact(),
                overflow_images: tally.overflow_images,
            };
            known.keep(activations.clone(), measured)?;
        }
        Ok(())
    }

    /// What was `measured`, with what it costs.
    fn costed(
        &self,
        kind: Kind,
        name: String,
        choices: &[usize],
        substitution: &Substitution,
        predicted: f64,
        measured: Measurement,
    ) -> Measured {
        let total = substitution.total(self.sites(), self.model.graph());
        let forms = substitution.forms(self.sites());
        let sum = |cost: fn(&Candidate) -> u32| {
            self.choices.iter().zip(choices).map(|(all, &at)| u64::from(cost(&all[at]))).sum::<u64>()
        };
        Measured {
            kind,
            name,
            choices: choices.to_vec(),
            bootstraps: fewest(self.circuit, self.parameters, &forms).ok().map(|placement| placement.bootstraps),
            total_depth: total.and_then(|total| total.depth),
            depth_sum: sum(|candidate| candidate.cost.depth),
            mults: sum(|candidate| candidate.cost.multiplications),
            predicted,
            agreement: measured.agreement,
            difference: measured.difference,
            overflow_images: measured.overflow_images,
            minimize: self.minimize,
        }
    }
}

/// Draws progress, and keeps the margins of the first configuration's images.
pub(super) struct Progress<'a> {
    pub bar: &'a ProgressBar,
    pub margins: Option<&'a mut Vec<f64>>,
}

impl Observer for Progress<'_> {
    fn image(&mut self, configuration: usize, prediction: &Prediction) -> std::io::Result<()> {
        if let (0, Some(margins)) = (configuration, &mut self.margins) {
            margins.push(prediction.margin);
        }
        Ok(())
    }

    fn batch(&mut self, _batch: &Evaluation, all: &Evaluation) -> std::io::Result<()> {
        self.bar.set_position(all.position() as u64);
        Ok(())
    }
}
