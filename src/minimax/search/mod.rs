//! The search for the degree sets that reach an error at the least cost.
//!
//! For each cost of a set, depth and non-scalar multiplications, the set of that cost with the least error is wanted;
//! the cheapest set for a target and the whole trade-off of error, depth and multiplications follow. Dynamic programming
//! gives a lower bound for the errors of all sets of a cost (`reach`); the sets whose own bound is not above the least
//! error found are tried one by one in f64 (`estimate`, `stage`); and what is reported is designed in arbitrary
//! precision and has the error of that design.
//!
//! What is guaranteed. The error reported is that of [`Composite::design`], and it meets the target. No set of degrees up
//! to the given one and of up to [`MAX_STAGES`] stages that is cheaper meets the target, whatever its ε; of the sets that
//! cost the same, the one with the least error is taken. Cheaper is meant as [`Objective`] orders, by the [`CostTable`] of
//! the search, of which it only has to hold that every stage costs at least a level and a product. This holds as far as
//! f64 decides: the tables of the bounds are right to 2e-5 and trusted to 1e-3, the errors of single sets are right to
//! 1e-6, and a set within 1e-5 of the target is designed before it counts.
//! It is about compositions in which each stage is the best approximation on the interval that the stage before leaves;
//! other odd polynomials of the same degrees may do better for ReLU, though not for sign.

mod estimate;
mod reach;
mod stage;

use std::cmp::Ordering;
use std::collections::HashMap;

use rayon::prelude::*;

use self::reach::{Bounded, Reach};
use super::composite::{Composite, DesignError, Epsilon, MAX_STAGES};
use super::cost::Cost;
use super::cost_table::CostTable;
use super::real::{Real, real};

/// The largest degree of a stage that is searched.
pub const MAX_SEARCHED_DEGREE: u32 = 63;
/// The least error that can be a target: f64 places no smaller one surely. 2^-30.
pub const LEAST_TARGET: f64 = 1.0 / (1u64 << 30) as f64;
/// The least ε that sign can be asked for, for the same reason.
pub const LEAST_EPSILON: f64 = LEAST_TARGET;

/// Lower bounds are trusted up to this part of them.
const BOUND_MARGIN: f64 = 1e-3;
/// So are errors in f64.
const ESTIMATE_MARGIN: f64 = 1e-5;
/// Bits of the designs that verify.
const BITS: usize = 64;

/// What the composition is for, which says what its error is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Purpose {
    /// ReLU on [−1, 1] as (x + x·p(x))/2, with the error |x|·|sign(x) − p(x)|/2. max(a, b) on [0, 1] as
    /// ((a+b) + (a−b)·p(a−b))/2 has the same error, as a − b runs through [−1, 1] (arXiv 2105.10879, section 3). The cost
    /// includes the last product.
    Relu,
    /// |p(x) − sign(x)| for ε ≤ |x| ≤ 1.
    Sign { epsilon: f64 },
}

/// What is to be least first; the other cost decides between equals.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Objective {
    Depth,
    Multiplications,
}

/// A degree set with the design that proves its error.
#[derive(Debug, Clone)]
pub struct Found {
    pub composite: Composite,
    /// By the purpose: the worst error of ReLU, or of sign.
    pub error: Real,
    /// By the purpose: the cost of ReLU, or of sign, by the table of the search.
    pub cost: Cost,
}

/// Why nothing was found.
#[derive(Debug, Clone, thiserror::Error)]
pub enum SearchError {
    #[error("the error {0:e} cannot be a target; it must be from 2^-30 = {LEAST_TARGET:.1e} to below {1}")]
    Target(f64, f64),
    #[error("epsilon {0:e} cannot be searched for; it must be from 2^-30 = {LEAST_EPSILON:.1e} to below 1")]
    Epsilon(f64),
    #[error("no stage has a degree up to {0}; degrees from 3 to {MAX_SEARCHED_DEGREE} are searched")]
    MaxDegree(u32),
    #[error(
        "no composition of up to {MAX_STAGES} stages of degrees up to {max_degree} has an error of at most {target:e}: \
         none gets below {least:.2e}; higher degrees may"
    )]
    Unreachable { target: f64, max_degree: u32, least: f64 },
    #[error(transparent)]
    Design(#[from] DesignError),
}

/// Searches for one purpose among sets of degrees up to one limit. What is found for one target serves the next.
pub struct Search {
    purpose: Purpose,
    max_degree: u32,
    table: CostTable,
    reach: Reach,
    /// The set with the least error, for each cost of sign that was asked for.
    best: HashMap<Cost, Estimate>,
}

/// A set of degrees with its error in f64.
#[derive(Debug, Clone)]
struct Estimate {
    degrees: Vec<u32>,
    epsilon: f64,
    error: f64,
}

impl Search {
    /// A search among the odd degrees from 3 to `max_degree`, whose stages cost what `costs` says.
    ///
    /// # Errors
    /// [`SearchError::MaxDegree`] below 3 or above [`MAX_SEARCHED_DEGREE`]; [`SearchError::Epsilon`].
    pub fn new(purpose: Purpose, max_degree: u32, costs: CostTable) -> Result<Search, SearchError> {
        if !(3..=MAX_SEARCHED_DEGREE).contains(&max_degree) {
            return Err(SearchError::MaxDegree(max_degree));
        }
        if let Purpose::Sign { epsilon } = purpose
            && !(LEAST_EPSILON..1.0).contains(&epsilon)
        {
            return Err(SearchError::Epsilon(epsilon));
        }
        let reach = Reach::new(purpose, max_degree, MAX_STAGES, costs);
        Ok(Search { purpose, max_degree, table: costs, reach, best: HashMap::new() })
    }

    /// The cheapest set with an error of at most `target`.
    ///
    /// # Errors
    /// [`SearchError`]: a target that is none, or that no set reaches.
    pub fn cheapest(&mut self, target: f64, objective: Objective) -> Result<Found, SearchError> {
        self.check(target)?;
        let mut costs = self.costs();
        if objective == Objective::Multiplications {
            costs.sort_by_key(|cost| (cost.multiplications, cost.depth));
        }
        for cost in costs {
            if let Some(estimate) = self.best_below(cost, target)
                && self.compare(&estimate, target)? != Ordering::Greater
            {
                return self.design(&estimate);
            }
        }
        let bounds = self.costs().into_iter().filter_map(|cost| self.reach.bound(cost));
        let least = bounds.fold(f64::INFINITY, f64::min);
        Err(SearchError::Unreachable { target, max_degree: self.max_degree, least })
    }

    /// The sets that no other set beats in error, depth and multiplications at once, by depth, then multiplications:
    /// those with an error of at most `largest`, up to the first that reach `smallest`. Where both are one target, that
    /// is every choice between depth and multiplications for it.
    ///
    /// # Errors
    /// [`SearchError`]: targets that are none, or that no set reaches.
    pub fn front(&mut self, largest: f64, smallest: f64) -> Result<Vec<Found>, SearchError> {
        self.check(largest)?;
        // Fails where the front would have no end.
        self.cheapest(smallest, Objective::Depth)?;
        let mut front: Vec<(Cost, Estimate)> = Vec::new();
        let mut enough = u32::MAX;
        for cost in self.costs() {
            if cost.multiplications >= enough {
                continue;
            }
            let rivals = front.iter().filter(|(rival, _)| rival.multiplications <= cost.multiplications);
            let beaten = rivals.map(|(_, rival)| rival.error).fold(f64::INFINITY, f64::min);
            let Some(estimate) = self.best_below(cost, beaten.min(largest)) else {
                continue;
            };
            if estimate.error >= beaten || self.compare(&estimate, largest)? == Ordering::Greater {
                continue;
            }
            if self.compare(&estimate, smallest)? != Ordering::Greater {
                enough = cost.multiplications;
            }
            front.push((cost, estimate));
        }
        front.par_iter().map(|(_, estimate)| self.design(estimate)).collect()
    }

    fn check(&self, target: f64) -> Result<(), SearchError> {
        let trivial = match self.purpose {
            Purpose::Relu => 0.5,
            Purpose::Sign { .. } => 1.0,
        };
        if target >= LEAST_TARGET && target < trivial { Ok(()) } else { Err(SearchError::Target(target, trivial)) }
    }

    /// All costs of sign, by depth, then multiplications.
    fn costs(&self) -> Vec<Cost> {
        let limit = self.reach.limit;
        let depths = 1..=limit.depth;
        depths
            .flat_map(|depth| (1..=limit.multiplications).map(move |multiplications| Cost { depth, multiplications }))
            .collect()
    }

    /// The set with the least error among those of this cost, unless the bounds exclude that any meets `target`. The
    /// error of the most promising set is a limit: all sets whose bound is not above it are tried.
    fn best_below(&mut self, cost: Cost, target: f64) -> Option<Estimate> {
        let target = target * (1.0 + BOUND_MARGIN);
        let mut most = self.reach.bound(cost).filter(|bound| *bound <= target)?;
        if let Some(known) = self.best.get(&cost) {
            return Some(known.clone());
        }
        let promising = loop {
            let sets = self.reach.sets(cost, MAX_STAGES, most);
            match sets.into_iter().min_by(|a, b| a.bound.total_cmp(&b.bound)) {
                Some(promising) => break promising,
                None if most < target => most = (1.2 * most).min(target),
                None => return None,
            }
        };
        let limit = self.estimate(promising).error * (1.0 + BOUND_MARGIN);
        let sets = self.reach.sets(cost, MAX_STAGES, limit);
        let estimates = sets.into_par_iter().map(|set| self.estimate(set));
        let best = estimates.min_by(|a, b| a.error.total_cmp(&b.error))?;
        self.best.insert(cost, best.clone());
        Some(best)
    }

    fn estimate(&self, Bounded { degrees, epsilon, .. }: Bounded) -> Estimate {
        let (epsilon, error) = match self.purpose {
            Purpose::Relu => estimate::best_epsilon(&degrees, epsilon),
            Purpose::Sign { epsilon } => (epsilon, estimate::sign_error(&degrees, epsilon)),
        };
        Estimate { degrees, epsilon, error }
    }

    /// The error against the target, by the exact design where f64 cannot tell.
    fn compare(&self, estimate: &Estimate, target: f64) -> Result<Ordering, SearchError> {
        if (estimate.error / target - 1.0).abs() > ESTIMATE_MARGIN {
            return Ok(estimate.error.total_cmp(&target));
        }
        let exact = self.design(estimate)?.error;
        Ok(exact.cmp(&real(target, BITS)))
    }

    fn design(&self, estimate: &Estimate) -> Result<Found, SearchError> {
        let composite = Composite::design(&estimate.degrees, &Epsilon::Given(estimate.epsilon), BITS)?;
        let (error, cost) = match self.purpose {
            Purpose::Relu => (composite.relu_error.clone(), self.table.relu(&estimate.degrees)),
            Purpose::Sign { .. } => (composite.sign_error(), self.table.sign(&estimate.degrees)),
        };
        Ok(Found { composite, error, cost })
    }
}

#[cfg(test)]
mod tests {
    use std::ops::RangeInclusive;

    use super::*;
    use crate::minimax::{ALPHAS, DEFAULT_BITS, paper_set, to_f64};

    fn relu() -> Search {
        relu_by(CostTable::Published)
    }

    fn relu_by(costs: CostTable) -> Search {
        Search::new(Purpose::Relu, MAX_SEARCHED_DEGREE, costs).unwrap()
    }

    fn target(alpha: u32) -> f64 {
        (-f64::from(alpha)).exp2()
    }

    /// Every degree that is searched.
    fn all_degrees() -> Vec<u32> {
        (3..=MAX_SEARCHED_DEGREE).step_by(2).collect()
    }

    /// All sequences of these degrees whose sign has a cost that `within` accepts.
    fn all_sets(costs: CostTable, degrees: &[u32], within: &dyn Fn(Cost) -> bool) -> Vec<Vec<u32>> {
        let mut sets = Vec::new();
        let mut open = vec![(Vec::new(), Cost::default())];
        while let Some((set, cost)) = open.pop() {
            for &degree in degrees {
                let cost = cost + costs.odd_polynomial(degree);
                if within(cost) {
                    let longer = [set.as_slice(), &[degree]].concat();
                    open.push((longer.clone(), cost));
                    sets.push(longer);
                }
            }
        }
        sets
    }

    /// The truth here is every set designed in arbitrary precision, without bounds, tables or f64.
    fn agrees_with_brute_force(
        costs: CostTable,
        objective: Objective,
        alphas: RangeInclusive<u32>,
        within: &dyn Fn(Cost) -> bool,
    ) {
        let sets = all_sets(costs, &all_degrees(), within);
        let designs = sets.par_iter().map(|set| Composite::design(set, &Epsilon::Best, BITS).unwrap());
        let designs: Vec<Composite> = designs.collect();
        let order = |composite: &Composite| {
            let Cost { depth, multiplications } = costs.relu(&composite.degrees());
            match objective {
                Objective::Depth => (depth, multiplications),
                Objective::Multiplications => (multiplications, depth),
            }
        };
        let mut search = relu_by(costs);
        for alpha in alphas {
            let good = designs.iter().filter(|composite| to_f64(&composite.relu_error) <= target(alpha));
            let best = good.min_by(|a, b| order(a).cmp(&order(b)).then(a.relu_error.cmp(&b.relu_error))).unwrap();
            let found = search.cheapest(target(alpha), objective).unwrap();
            assert_eq!(found.composite.degrees(), best.degrees(), "{costs:?}, alpha {alpha}");
            assert_eq!(found.cost, costs.relu(&best.degrees()));
            let excess = to_f64(&(&found.error / &best.relu_error)) - 1.0;
            assert!(excess.abs() < 1e-8, "alpha {alpha}: {excess}");
        }
    }

    #[test]
    fn least_depth_agrees_with_brute_force() {
        agrees_with_brute_force(CostTable::Published, Objective::Depth, 4..=6, &|cost| cost.depth <= 5);
        agrees_with_brute_force(CostTable::Best, Objective::Depth, 4..=6, &|cost| cost.depth <= 5);
        agrees_with_brute_force(CostTable::OpenFhe, Objective::Depth, 4..=7, &|cost| cost.depth <= 7);
    }

    #[test]
    fn fewest_multiplications_agree_with_brute_force() {
        for costs in CostTable::ALL {
            agrees_with_brute_force(costs, Objective::Multiplications, 5..=7, &|cost| cost.multiplications <= 8);
        }
    }

    /// Brute force in f64 over sets of degrees 5, 13 and 27, the last of their levels, found these sets of least depth, and
    /// ciphertexts in OpenFHE confirmed 27,27 and 27,27,27. The search may find a cheaper set of the same depth.
    #[test]
    fn least_depths_in_openfhe_up_to_degree_27_are_those_of_brute_force() {
        let known: [(&[u32], u32); 8] = [
            (&[5, 13], 8),
            (&[5, 27], 9),
            (&[13, 27], 10),
            (&[27, 27], 11),
            (&[5, 13, 27], 13),
            (&[5, 27, 27], 14),
            (&[13, 27, 27], 15),
            (&[27, 27, 27], 16),
        ];
        let mut search = Search::new(Purpose::Relu, 27, CostTable::OpenFhe).unwrap();
        for (alpha, (degrees, depth)) in (7..).zip(known) {
            let design = Composite::design(degrees, &Epsilon::Best, BITS).unwrap();
            assert!(to_f64(&design.relu_error) <= target(alpha), "alpha {alpha}: {degrees:?}");
            let (cost, found) = (CostTable::OpenFhe.relu(degrees), search.cheapest(target(alpha), Objective::Depth));
            let found = found.unwrap().cost;
            assert_eq!((cost.depth, found.depth), (depth, depth), "alpha {alpha}");
            assert!(found.multiplications <= cost.multiplications, "alpha {alpha}");
        }
    }

    /// No lower degree of a level does better than its last one, so these decide which depth is the least.
    #[test]
    fn least_depths_in_openfhe_agree_with_brute_force_over_the_last_degrees_of_its_levels() {
        let sets = all_sets(CostTable::OpenFhe, &[5, 13, 27, 59, 63], &|cost| cost.depth <= 12);
        let least_error = |depth: u32| {
            let of_depth = sets.par_iter().filter(|set| CostTable::OpenFhe.relu(set).depth == depth);
            let errors = of_depth.map(|set| Composite::design(set, &Epsilon::Best, BITS).unwrap().relu_error);
            errors.map(|error| to_f64(&error)).reduce(|| f64::INFINITY, f64::min)
        };
        let errors: Vec<(u32, f64)> = (4..=13).map(|depth| (depth, least_error(depth))).collect();
        let mut search = relu_by(CostTable::OpenFhe);
        for alpha in 5..=12 {
            let (depth, _) = errors.iter().find(|(_, error)| *error <= target(alpha)).unwrap();
            let found = search.cheapest(target(alpha), Objective::Depth).unwrap();
            assert_eq!(found.cost.depth, *depth, "alpha {alpha}: {errors:?}");
        }
    }

    /// By brute force over all sets of degrees up to 31: what none beats in depth and products, by depth.
    #[test]
    fn choices_with_the_fewest_products_known_are_those_found_by_brute_force() {
        let mut search = relu_by(CostTable::Best);
        let mut agrees = |alpha, sets: &[(&[u32], u32, u32)]| {
            let found = search.front(target(alpha), target(alpha)).unwrap();
            let costs = found.iter().map(|found| (found.composite.degrees(), found.cost));
            let known = sets
                .iter()
                .map(|&(degrees, depth, multiplications)| (degrees.to_vec(), Cost { depth, multiplications }));
            assert_eq!(costs.collect::<Vec<_>>(), known.collect::<Vec<_>>(), "alpha {alpha}");
        };
        agrees(6, &[(&[3, 7], 6, 7)]);
        agrees(7, &[(&[7, 7], 7, 9)]);
        agrees(8, &[(&[7, 15], 8, 12), (&[3, 7, 7], 9, 11)]);
        agrees(10, &[(&[7, 7, 15], 11, 16), (&[3, 5, 7, 7], 12, 14)]);
    }

    #[test]
    fn sign_agrees_with_brute_force() {
        let epsilon = 0.05;
        let sign_cost = |composite: &Composite| CostTable::Published.sign(&composite.degrees());
        let sets = all_sets(CostTable::Published, &all_degrees(), &|cost| cost.depth <= 6);
        let designs = sets.par_iter().map(|set| Composite::design(set, &Epsilon::Given(epsilon), BITS).unwrap());
        let designs: Vec<Composite> = designs.collect();
        let mut search = Search::new(Purpose::Sign { epsilon }, MAX_SEARCHED_DEGREE, CostTable::Published).unwrap();
        for error in [0.9, 0.7, 0.5, 0.3] {
            let good = designs.iter().filter(|composite| to_f64(&composite.sign_error()) <= error);
            let order = |composite: &Composite| {
                let Cost { depth, multiplications } = sign_cost(composite);
                (depth, multiplications)
            };
            let best = good.min_by(|a, b| order(a).cmp(&order(b)).then(a.sign_error().cmp(&b.sign_error()))).unwrap();
            let found = search.cheapest(error, Objective::Depth).unwrap();
            assert_eq!((found.composite.degrees(), found.cost), (best.degrees(), sign_cost(best)), "{error}");
        }
    }

    /// The found set keeps the bound by a design of full precision with the best ε, and costs no more than the published.
    #[test]
    fn no_published_set_is_cheaper() {
        let mut search = relu();
        for alpha in ALPHAS {
            let found = search.cheapest(target(alpha), Objective::Depth).unwrap();
            let degrees = found.composite.degrees();
            let design = Composite::design(&degrees, &Epsilon::Best, DEFAULT_BITS).unwrap();
            assert!(to_f64(&design.relu_error) <= target(alpha), "alpha {alpha}: {degrees:?}");
            assert_eq!(design.relu_cost(), found.cost);
            let paper = paper_set(alpha).unwrap();
            let paper = Composite::design(paper.degrees, &Epsilon::Given(paper.epsilon), BITS).unwrap().relu_cost();
            assert!(found.cost.depth <= paper.depth && found.cost.multiplications <= paper.multiplications);
        }
    }

    #[test]
    fn a_smaller_error_never_costs_less() {
        let mut search = relu();
        let mut costs = |objective| -> Vec<(u32, u32)> {
            let found = (4..=20).map(|alpha| search.cheapest(target(alpha), objective).unwrap().cost);
            found.map(|cost| (cost.depth, cost.multiplications)).collect()
        };
        let (by_depth, by_multiplications) = (costs(Objective::Depth), costs(Objective::Multiplications));
        assert!(by_depth.windows(2).all(|pair| pair[0] <= pair[1]), "{by_depth:?}");
        assert!(by_multiplications.windows(2).all(|pair| pair[0].1 <= pair[1].1), "{by_multiplications:?}");
        for (a, b) in by_depth.iter().zip(&by_multiplications) {
            assert!(a.0 <= b.0 && a.1 >= b.1, "{a:?} {b:?}");
        }
    }

    /// The bound of a set is not above its error, and near it, so that the search tries few sets.
    #[test]
    fn bounds_are_below_the_errors() {
        let search = relu();
        for cost in [(6, 8), (8, 16), (10, 17), (14, 29), (16, 16)] {
            let cost = Cost { depth: cost.0, multiplications: cost.1 };
            let of_cost = search.reach.bound(cost).unwrap();
            for set in search.reach.sets(cost, MAX_STAGES, 2.0 * of_cost) {
                let (bound, degrees) = (set.bound, set.degrees.clone());
                let error = search.estimate(set).error;
                assert!(of_cost <= error * (1.0 + BOUND_MARGIN), "{degrees:?}");
                assert!(bound <= error * (1.0 + BOUND_MARGIN) && bound >= 0.7 * error, "{degrees:?}: {bound} {error}");
            }
        }
    }

    #[test]
    fn nothing_on_a_front_is_beaten_and_its_ends_are_the_cheapest_sets() {
        let mut search = relu();
        let front = search.front(target(5), target(9)).unwrap();
        for (i, a) in front.iter().enumerate() {
            assert!(to_f64(&a.error) <= target(5));
            for (j, b) in front.iter().enumerate() {
                let beats = a.error <= b.error
                    && a.cost.depth <= b.cost.depth
                    && a.cost.multiplications <= b.cost.multiplications;
                assert!(i == j || !beats, "{:?} {:?}", a.composite.degrees(), b.composite.degrees());
            }
        }
        for alpha in 5..=9 {
            for objective in [Objective::Depth, Objective::Multiplications] {
                let cost = search.cheapest(target(alpha), objective).unwrap().cost;
                let on_front = |found: &Found| found.cost == cost && to_f64(&found.error) <= target(alpha);
                assert!(front.iter().any(on_front), "alpha {alpha}: {cost:?}");
            }
        }
        let choices = search.front(target(9), target(9)).unwrap();
        assert!(choices.iter().all(|found| to_f64(&found.error) <= target(9)) && choices.len() > 2);
    }

    /// Also at the ends of what can be asked for.
    #[test]
    fn errors_in_f64_are_those_of_the_design() {
        let epsilon = LEAST_EPSILON;
        let mut searches =
            [relu(), Search::new(Purpose::Sign { epsilon }, MAX_SEARCHED_DEGREE, CostTable::Published).unwrap()];
        for search in &mut searches {
            for error in [target(4), target(14), LEAST_TARGET] {
                search.cheapest(error, Objective::Depth).unwrap();
            }
            for estimate in search.best.values() {
                let exact = to_f64(&search.design(estimate).unwrap().error);
                assert!((estimate.error / exact - 1.0).abs() < 0.1 * ESTIMATE_MARGIN, "{:?}", estimate.degrees);
            }
        }
    }

    #[test]
    fn small_errors_and_many_stages_are_found() {
        let found = relu().cheapest(LEAST_TARGET, Objective::Depth).unwrap();
        assert!(to_f64(&found.error) <= LEAST_TARGET);
        let threes =
            Search::new(Purpose::Relu, 3, CostTable::Published).unwrap().cheapest(target(8), Objective::Depth).unwrap();
        assert!(threes.composite.degrees().iter().all(|&degree| degree == 3) && to_f64(&threes.error) <= target(8));
    }

    #[test]
    fn what_cannot_be_searched_for_is_named() {
        let error = |purpose, max_degree, target| match Search::new(purpose, max_degree, CostTable::Published) {
            Ok(mut search) => search.cheapest(target, Objective::Depth).unwrap_err().to_string(),
            Err(error) => error.to_string(),
        };
        for (target, named) in [(0.0, "0e0"), (0.5, "5e-1"), (f64::NAN, "NaN"), (-1.0, "-1e0"), (1e-12, "1e-12")] {
            assert!(error(Purpose::Relu, 63, target).contains(&format!("the error {named} cannot")), "{target}");
        }
        let unreachable = error(Purpose::Relu, 3, 1e-6);
        assert!(unreachable.contains("8 stages of degrees up to 3 has an error of at most 1e-6"), "{unreachable}");
        assert!(error(Purpose::Relu, 65, 0.1).contains("65"));
        assert!(error(Purpose::Sign { epsilon: 1e-20 }, 63, 0.1).contains("epsilon 1e-20"));
    }
}
