//! Swaps: plans that differ from one of the front at one site or two, for budgets that the front just misses.
//!
//! The front has the least predicted variance for each cost, but the prediction is of the first order: of the plans that cost as much
//! and are predicted almost as well, some are measured better. Of dozens that are measured some lose less by chance alone, so that one
//! counts only if it also agrees more with the exact network than the plan of the front.

use std::collections::HashSet;

use super::Failure;
use super::plan_report::{Kind, Measured};
use super::plan_search::{Found, Lack, Search, TOGETHER, keeps};
use crate::ckks::placement::fewest;
use crate::evaluation::{Candidate, Minimize, Planned};

/// A plan that may be measured.
struct Neighbour {
    name: String,
    choices: Vec<usize>,
    variance: f64,
}

/// Where a search by swaps stands.
struct Standing {
    name: String,
    choices: Vec<usize>,
    lack: f64,
}

impl Search<'_> {
    /// The cheapest plan of the front that keeps the budget, or a cheaper one that swaps lead to, of which at most `swaps` are measured.
    pub fn best(&mut self, planned: &[Planned], lack: Lack<'_>, swaps: usize) -> Result<Option<Found>, Failure> {
        let found = self.cheapest(planned, lack)?;
        self.repaired(planned, found, lack, swaps)
    }

    /// `found`, or what swaps find that costs less. They begin at the plan of the front below it, which misses the budget.
    pub fn repaired(
        &mut self,
        planned: &[Planned],
        mut found: Option<Found>,
        lack: Lack<'_>,
        swaps: usize,
    ) -> Result<Option<Found>, Failure> {
        let (mut left, mut tried) = (swaps, HashSet::new());
        loop {
            let cost = found.as_ref().and_then(|found| self.measured[found.at].cost());
            let Some(missed) = planned.iter().rev().find(|plan| cost.is_none_or(|cost| plan.cost < cost)) else {
                break;
            };
            let most = cost.map_or(missed.cost, |cost| cost - 1);
            let lowered = found.as_ref().map(|found| self.lowered(&found.choices, &self.measured[found.at].name));
            match self.climb(missed, lowered.unwrap_or_default(), most, lack, &mut left, &mut tried)? {
                Some(better) => found = Some(better),
                None => break,
            }
        }
        Ok(found)
    }

    /// From `missed`, swap by swap, to a plan of at most the cost `most` that keeps the budget: a dozen at a time is measured, of
    /// the swaps and of `others`, and the best of them is the next to begin at, as long as one lacks less.
    fn climb(
        &mut self,
        missed: &Planned,
        others: Vec<Neighbour>,
        most: u64,
        lack: Lack<'_>,
        left: &mut usize,
        tried: &mut HashSet<Vec<usize>>,
    ) -> Result<Option<Found>, Failure> {
        let Some(row) = self.row(missed)? else { return Ok(None) };
        let mut standing = Standing { name: row.name.clone(), choices: row.choices.clone(), lack: lack(&row) };
        let mut others = others;
        loop {
            let mut near = self.swapped(&standing.choices, &standing.name);
            near.append(&mut others);
            near.sort_by(|a, b| a.variance.total_cmp(&b.variance).then_with(|| a.choices.cmp(&b.choices)));
            let new = near.into_iter().filter(|near| {
                !tried.contains(&near.choices) && self.cost_of(&near.choices).is_some_and(|cost| cost <= most)
            });
            let dozen: Vec<Neighbour> = new.take(TOGETHER.min(*left)).collect();
            *left -= dozen.len();
            tried.extend(dozen.iter().map(|near| near.choices.clone()));
            let first = self.measured.len();
            self.measure(Kind::Swap, dozen.into_iter().map(|near| (near.name, near.choices)).collect())?;
            let rows = || self.measured[first..].iter().enumerate();
            // A loss also shrinks by chance, when many plans are tried; those that decide no more images alike do not count.
            let kept = rows().filter(|(_, other)| keeps(lack, other) && other.agreement > row.agreement);
            let cheapest = kept.min_by(|(_, a), (_, b)| a.cost().cmp(&b.cost()).then(lack(a).total_cmp(&lack(b))));
            if let Some((at, row)) = cheapest {
                return Ok(Some(Found { choices: row.choices.clone(), at: first + at }));
            }
            match rows().min_by(|(_, a), (_, b)| lack(a).total_cmp(&lack(b))) {
                Some((_, best)) if lack(best) < standing.lack => {
                    standing = Standing { name: best.name.clone(), choices: best.choices.clone(), lack: lack(best) };
                }
                _ => return Ok(None),
            }
        }
    }

    /// What a plan of the front is worth; none if levels do not suffice for it with noise.
    fn row(&mut self, plan: &Planned) -> Result<Option<Measured>, Failure> {
        let of_plan = |row: &&Measured| row.kind == Kind::Plan && row.choices == plan.choices;
        if self.measured.iter().find(of_plan).is_none() {
            self.measure(Kind::Plan, vec![(format!("plan {}", plan.cost), plan.choices.clone())])?;
        }
        Ok(self.measured.iter().find(of_plan).cloned())
    }

    /// With one site raised a step and another one lowered a step.
    fn swapped(&self, choices: &[usize], name: &str) -> Vec<Neighbour> {
        let steps: Vec<_> = choices.iter().enumerate().map(|(site, &at)| self.steps(site, at)).collect();
        let mut all = Vec::new();
        for (up, (raised, _)) in steps.iter().enumerate() {
            for (down, (_, lowered)) in steps.iter().enumerate().filter(|&(down, _)| down != up) {
                let (Some(&raised), Some(&lowered)) = (raised.first(), lowered.first()) else { continue };
                let mut choices = choices.to_vec();
                (choices[up], choices[down]) = (raised, lowered);
                let [up, down] = [up, down].map(|site| &self.model.sites()[site].name);
                all.push(self.neighbour(format!("{name} +{up} -{down}"), choices));
            }
        }
        all
    }

    /// With one site lowered by any number of steps.
    fn lowered(&self, choices: &[usize], name: &str) -> Vec<Neighbour> {
        let of_site = |(site, &at): (usize, &usize)| {
            let with = move |to: usize| {
                let mut choices = choices.to_vec();
                choices[site] = to;
                self.neighbour(format!("{name} -{}", self.model.sites()[site].name), choices)
            };
            self.steps(site, at).1.into_iter().map(with)
        };
        choices.iter().enumerate().flat_map(of_site).collect()
    }

    fn neighbour(&self, name: String, choices: Vec<usize>) -> Neighbour {
        Neighbour { name, variance: self.variance(&choices), choices }
    }

    /// The candidates above and below the one at `at`, the nearest first.
    fn steps(&self, site: usize, at: usize) -> (Vec<usize>, Vec<usize>) {
        let candidates = &self.choices[site];
        let ladder = ladder(candidates, self.minimize);
        let variance = |at: usize| candidates[at].variance;
        let above = ladder.iter().copied().filter(|&other| variance(other) < variance(at)).collect();
        let below = ladder.iter().rev().copied().filter(|&other| variance(other) > variance(at)).collect();
        (above, below)
    }

    /// Of what is to be least; none where an activation does not fit the levels.
    fn cost_of(&self, choices: &[usize]) -> Option<u64> {
        let of_sites = || self.choices.iter().zip(choices).map(|(all, &at)| &all[at]);
        match self.minimize {
            Minimize::Bootstraps => {
                let forms: Vec<_> = of_sites().map(|candidate| candidate.form.clone()).collect();
                fewest(self.circuit, self.parameters, &forms).ok().map(|placement| placement.bootstraps)
            }
            Minimize::Depth => Some(of_sites().map(|candidate| u64::from(candidate.cost.depth)).sum()),
            Minimize::Mults => Some(of_sites().map(|candidate| u64::from(candidate.cost.multiplications)).sum()),
        }
    }
}

/// The candidates of a site that none beats in cost and variance, the cheapest first.
fn ladder(candidates: &[Candidate], minimize: Minimize) -> Vec<usize> {
    let cost = |at: usize| {
        let cost = candidates[at].cost;
        match minimize {
            Minimize::Mults => (cost.multiplications, cost.depth),
            Minimize::Bootstraps | Minimize::Depth => (cost.depth, cost.multiplications),
        }
    };
    let mut all: Vec<usize> = (0..candidates.len()).collect();
    all.sort_by(|&a, &b| cost(a).cmp(&cost(b)).then(candidates[a].variance.total_cmp(&candidates[b].variance)));
    let mut least = f64::INFINITY;
    all.retain(|&at| {
        let better = candidates[at].variance < least;
        least = least.min(candidates[at].variance);
        better
    });
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::activation::{Cost, Spec};
    use crate::ckks::Form;
    use crate::evaluation::Substitute;

    fn candidate(depth: u32, multiplications: u32, variance: f64) -> Candidate {
        let substitute = Substitute { spec: Spec::Exact, approximation: None, certificate: None, composition: None };
        let cost = Cost { depth, multiplications };
        Candidate { spec: Spec::Exact, substitute, form: Form::default(), cost, variance }
    }

    #[test]
    fn steps_go_over_what_no_candidate_beats() {
        let all = [
            candidate(4, 7, 1.0),
            candidate(3, 9, 4.0),
            candidate(3, 5, 4.0),
            candidate(5, 8, 2.0),
            candidate(6, 8, 0.5),
        ];
        assert_eq!(ladder(&all, Minimize::Bootstraps), [2, 0, 4]);
        let products = [candidate(4, 7, 1.0), candidate(9, 4, 2.0), candidate(3, 8, 1.5), candidate(2, 9, 0.1)];
        assert_eq!(ladder(&products, Minimize::Mults), [1, 0, 3]);
    }
}
