//! Random plans, to see how well agreement is predicted.

use super::Failure;
use super::plan_report::Kind;
use super::plan_search::Search;
use crate::digest;
use crate::evaluation::{Candidate, agreement, rank_correlation};

/// The variance of a plan is at least so many times the least there is, and at most such a part of the largest: at the ends there is
/// but one plan.
const FROM_THE_ENDS: f64 = 2.0;
/// Part of the images that are predicted to keep their decision in the worst plan that is of interest.
const WORST: f64 = 0.8;
/// Between the variances of plans at most.
const SPAN: f64 = 1e4;
/// By what part a plan may miss the variance that is wanted.
const NEAR: f64 = 0.02;
/// Changes that are tried at a plan, for each of its sites.
const TRIES: usize = 50;

impl Search<'_> {
    /// Measure `count` random plans; the rank correlation of predicted and measured agreement, if there is one.
    pub fn random(&mut self, count: usize) -> Result<Option<f64>, Failure> {
        let ends = ends(self.choices, variance_for(self.known.borrow().margins(), WORST));
        let mut draws = Draws(0);
        let plan = |number: usize| {
            let wanted = ends[0] * (ends[1] / ends[0]).powf((number as f64 + 0.5) / count as f64);
            (format!("random {}", number + 1), drawn(self.choices, wanted, &mut draws))
        };
        let plans = (0..count).map(plan).collect();
        let first = self.measured.len();
        self.measure(Kind::Random, plans)?;
        let pairs: Vec<(f64, f64)> = self.measured[first..].iter().map(|row| (row.predicted, row.agreement)).collect();
        Ok(rank_correlation(&pairs))
    }
}

/// Between which variances plans are drawn, of which the `worst` is the most.
fn ends(candidates: &[Vec<Candidate>], worst: f64) -> [f64; 2] {
    let sum = |of: fn(f64, f64) -> f64, first: f64| -> f64 {
        candidates.iter().map(|all| all.iter().map(|candidate| candidate.variance).fold(first, of)).sum()
    };
    let high = (sum(f64::max, 0.0) / FROM_THE_ENDS).min(worst);
    [(sum(f64::min, f64::INFINITY) * FROM_THE_ENDS).max(high / SPAN).min(high), high]
}

/// The variance at which so large a part of the images is predicted to keep its decision.
fn variance_for(margins: &[f64], wanted: f64) -> f64 {
    let (mut low, mut high) = (-60.0f64, 60.0f64);
    for _ in 0..60 {
        let middle = f64::midpoint(low, high);
        if agreement(margins, middle.exp()) > wanted { low = middle } else { high = middle }
    }
    low.exp()
}

/// A candidate for each site, all drawn at random, and then changed at random as long as their variance comes nearer to `variance`.
fn drawn(candidates: &[Vec<Candidate>], variance: f64, draws: &mut Draws) -> Vec<usize> {
    let mut choices: Vec<usize> = candidates.iter().map(|all| draws.below(all.len())).collect();
    let distance = |choices: &[usize]| {
        let sum: f64 = candidates.iter().zip(choices).map(|(all, &at)| all[at].variance).sum();
        (sum / variance).ln().abs()
    };
    let mut best = distance(&choices);
    for _ in 0..TRIES * candidates.len() {
        if best <= NEAR {
            break;
        }
        let site = draws.below(candidates.len());
        let before = std::mem::replace(&mut choices[site], draws.below(candidates[site].len()));
        let now = distance(&choices);
        if now <= best { best = now } else { choices[site] = before }
    }
    choices
}

/// Numbers that are the same on every machine and for ever: from SHA-256 of a counter.
struct Draws(u64);

impl Draws {
    fn below(&mut self, count: usize) -> usize {
        self.0 += 1;
        let bytes = digest::of_bytes(&self.0.to_le_bytes());
        let number = bytes[..8].iter().fold(0u64, |number, &byte| number << 8 | u64::from(byte));
        (number % count.max(1) as u64) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::activation::{Cost, Spec};
    use crate::ckks::Form;
    use crate::evaluation::Substitute;

    fn candidates(variances: &[f64]) -> Vec<Candidate> {
        let substitute = Substitute { spec: Spec::Exact, approximation: None, certificate: None, composition: None };
        let (form, cost) = (Form::default(), Cost::default());
        let of = |&variance: &f64| Candidate {
            spec: Spec::Exact,
            substitute: substitute.clone(),
            form: form.clone(),
            cost,
            variance,
        };
        variances.iter().map(of).collect()
    }

    #[test]
    fn the_variance_is_that_of_the_agreement() {
        let margins: Vec<f64> = (0..500).map(|i| 0.01 * f64::from(i)).collect();
        for wanted in [0.998, 0.95, 0.8] {
            let found = agreement(&margins, variance_for(&margins, wanted));
            assert!((found - wanted).abs() < 1e-9, "{found} {wanted}");
        }
    }

    #[test]
    fn ends_are_within_what_the_candidates_allow() {
        let all = vec![candidates(&[1.0, 0.1]), candidates(&[3.0, 0.3])];
        assert_eq!(ends(&all, 10.0), [0.8, 2.0]);
        assert_eq!(ends(&all, 0.9), [0.8, 0.9]);
        assert_eq!(ends(&[candidates(&[1.0, 0.0])], 10.0), [0.5 / SPAN, 0.5]);
    }

    #[test]
    fn plans_come_as_near_as_the_candidates_allow_and_differ() {
        let all = vec![candidates(&[1.0, 0.1, 0.01, 1e-3, 1e-4]); 12];
        let mut draws = Draws(0);
        let plans: Vec<Vec<usize>> = [3.0, 3.0, 0.05].map(|wanted| drawn(&all, wanted, &mut draws)).into();
        let sum = |plan: &[usize]| plan.iter().map(|&at| all[0][at].variance).sum::<f64>();
        for (plan, wanted) in plans.iter().zip([3.0, 3.0, 0.05]) {
            assert!((sum(plan) / wanted).ln().abs() < 0.1, "{plan:?} {wanted}");
        }
        assert_ne!(plans[0], plans[1]);
        assert_eq!(drawn(&all, 3.0, &mut Draws(0)), plans[0]);
    }
}
