//! The search of `polyact plan`: which of the plans that are worth it keeps the budget at the least cost.

use indicatif::ProgressBar;

use super::Failure;
use super::plan_report::Measured;
use super::progress::progress_bar;
use crate::activation::{FittedSpec, Spec};
use crate::ckks::placement::fewest;
use crate::ckks::{Circuit, Parameters};
use crate::evaluation::{
    Candidate, Evaluation, Minimize, NoiseError, Observer, Planned, Prediction, Session, Substitution, agreement,
    chosen,
};
use crate::model::{Model, Site};

/// Plans that are measured in one run over the images.
const TOGETHER: usize = 12;

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
    /// What was measured so far.
    pub measured: Vec<Measured>,
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
        self.measure("uniform", named)
    }

    /// The cheapest plan that keeps the budget, and where it was measured: those at a few costs are measured first, then those
    /// between.
    pub fn cheapest(
        &mut self,
        planned: &[Planned],
        keeps: impl Fn(&Measured) -> bool,
    ) -> Result<Option<(usize, usize)>, Failure> {
        let (mut low, mut high) = (0, planned.len());
        let mut best = None;
        while low < high {
            let count = TOGETHER.min(high - low);
            let at: Vec<usize> =
                (0..count).map(|i| if count == 1 { low } else { low + i * (high - 1 - low) / (count - 1) }).collect();
            let first = self.measured.len();
            let names =
                at.iter().map(|&at| (format!("plan {}", planned[at].cost), planned[at].choices.clone())).collect();
            self.measure("plan", names)?;
            let fits = (0..at.len()).find(|&i| keeps(&self.measured[first + i]));
            match fits {
                Some(i) => {
                    best = Some((at[i], first + i));
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

    /// Evaluate choices on the calibration images, all in one run. With noise, those that levels do not suffice for are left out.
    fn measure(&mut self, kind: &'static str, plans: Vec<(String, Vec<usize>)>) -> Result<(), Failure> {
        let (mut named, mut substitutions) = (Vec::new(), Vec::new());
        for (name, choices) in plans {
            match self.substitution(&choices) {
                Ok(substitution) => {
                    substitutions.push(substitution);
                    named.push((name, choices));
                }
                Err(NoiseError::Placement(_)) => {}
                Err(other) => return Err(other.into()),
            }
        }
        if substitutions.is_empty() {
            return Ok(());
        }
        let bar = progress_bar(self.images, self.quiet);
        bar.set_message(format!("{} plans", substitutions.len()));
        let mut evaluation = Evaluation::default();
        let mut margins = Vec::new();
        let mut progress = Progress { bar: &bar, margins: Some(&mut margins) };
        let evaluated = self.session.evaluate(&substitutions, &mut evaluation, &mut progress);
        bar.finish_and_clear();
        evaluated?;
        for ((name, choices), (tally, substitution)) in
            named.into_iter().zip(evaluation.tallies.iter().zip(&substitutions))
        {
            let variance: f64 = self.choices.iter().zip(&choices).map(|(all, &at)| all[at].variance).sum();
            let total = substitution.total(self.sites(), self.model.graph());
            let forms = substitution.forms(self.sites());
            let sum = |cost: fn(&Candidate) -> u32| {
                self.choices.iter().zip(&choices).map(|(all, &at)| u64::from(cost(&all[at]))).sum::<u64>()
            };
            self.measured.push(Measured {
                kind,
                name,
                bootstraps: fewest(self.circuit, self.parameters, &forms).ok().map(|placement| placement.bootstraps),
                total_depth: total.and_then(|total| total.depth),
                depth_sum: sum(|candidate| candidate.cost.depth),
                mults: sum(|candidate| candidate.cost.multiplications),
                predicted: 100.0 * agreement(&margins, variance),
                agreement: tally.score.agreement(),
                difference: tally.score.top1() - tally.score.top1_exact(),
                overflow_images: tally.overflow_images,
                minimize: self.minimize,
            });
        }
        Ok(())
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
