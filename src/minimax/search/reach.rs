//! What degree sets of a given cost can reach at best: lower bounds on the error of compositions.
//!
//! An interval [a, b] counts by its spread s = ln ln(b/a) alone. A stage of degree d makes of it [1−τ, 1+τ], of spread
//! s' = g_d(s) = ln(2·artanh τ), and g_d rises with s. So of all sets of one cost that begin at one ε, the least spread
//! that can be left, and with it the least error, comes from the least spreads that the sets one stage shorter leave:
//! dynamic programming over the costs. For sign that is all.
//!
//! For ReLU the error below ε counts too. On [0, a] a stage p rises and is concave, as all zeros of p' lie within [a, b].
//! So is the composition on [0, ε], and P = ε·p'(0) says how steep: p(x) ≤ P·x/ε, and max x·(1 − p(x))/2 over x < ε is at
//! least ε/(8P), or ε(1 − P)/2 where P < 1/2. P is 1 − τ_k times the product of the stages' own a·p'(0)/(1 − τ), which
//! fall as s rises. Taking each at the least spread, the same dynamic programming bounds P from above. As ε grows the
//! error above ε falls and the one below rises; between two levels of ε the bound takes the better end of each.

use rayon::prelude::*;

use super::Purpose;
use super::stage::Stage;
use crate::minimax::cost::Cost;
use crate::minimax::cost_table::CostTable;

/// Spreads are tabulated from this, ln(b/a) = 22, just above that of 2^-30, downward …
const TOP: f64 = 3.1;
/// … in these steps …
const STEP: f64 = 0.05;
/// … to where the error is this small. Below, the spread goes on as a straight line.
const SMALL: f64 = 1e-10;
/// Levels of ε for ReLU: so many an octave, from 1 down so many octaves.
const LEVELS_PER_OCTAVE: i32 = 4;
const OCTAVES: i32 = 27;

/// A spread, and the ln of the steepness P/(1 − τ) that led to it.
#[derive(Debug, Clone, Copy)]
struct State {
    spread: f64,
    steepness: f64,
}

/// What one stage does to the state.
struct Transfer {
    degree: u32,
    cost: Cost,
    /// For the spreads TOP, TOP − STEP, …: the spread left, and by how much the steepness grows.
    table: Vec<State>,
    /// What it grows by on the narrowest interval, where x·q(x²) is Taylor's: q(0) = Σ_{k<n} binomial(2k, k)/4^k.
    greatest_steepness: f64,
}

impl Transfer {
    fn new(degree: u32, costs: CostTable) -> Transfer {
        let mut table = Vec::new();
        loop {
            let ratio = (-spread_at(table.len()).exp()).exp();
            let stage = Stage::best(degree, ratio);
            let steepness = (stage.slope() * ratio / (1.0 - stage.error)).ln();
            table.push(State { spread: (2.0 * stage.error.atanh()).ln(), steepness });
            if stage.error < SMALL && table.len() >= 4 {
                let term = |&(k, term): &(u32, f64)| Some((k + 1, term * f64::from(2 * k + 1) / f64::from(2 * k + 2)));
                let terms = std::iter::successors(Some((0, 1.0)), term).take(degree.div_ceil(2) as usize);
                let greatest_steepness = terms.map(|(_, term)| term).sum::<f64>().ln();
                return Transfer { degree, cost: costs.odd_polynomial(degree), table, greatest_steepness };
            }
        }
    }

    /// By the cubic through the four nearest of the table.
    fn next(&self, before: State) -> State {
        let place = (TOP - before.spread) / STEP;
        let last = self.table.len() - 1;
        if place >= last as f64 {
            let (end, slope) = (self.table[last].spread, self.table[last - 1].spread - self.table[last].spread);
            return State {
                spread: end - slope * (place - last as f64),
                steepness: before.steepness + self.greatest_steepness,
            };
        }
        let first = (place.max(0.0) as usize).saturating_sub(1).min(last - 3);
        let t = place - first as f64;
        let (a, b, c) = (t - 1.0, t - 2.0, t - 3.0);
        let weights = [-a * b * c / 6.0, t * b * c / 2.0, -t * a * c / 2.0, t * a * b / 6.0];
        let mut after = State { spread: 0.0, steepness: before.steepness };
        for (weight, state) in weights.iter().zip(&self.table[first..]) {
            after.spread += weight * state.spread;
            after.steepness += weight * state.steepness;
        }
        after
    }
}

fn spread_at(place: usize) -> f64 {
    TOP - STEP * place as f64
}

impl State {
    fn start(epsilon: f64) -> State {
        State { spread: (-epsilon.ln()).ln(), steepness: 0.0 }
    }

    /// τ of the [1−τ, 1+τ] that has this spread.
    fn error(&self) -> f64 {
        (0.5 * self.spread.exp()).tanh()
    }

    /// Not above the ReLU error below ε.
    fn relu_error_below(&self, epsilon: f64) -> f64 {
        let p = self.steepness.exp() * (1.0 - self.error());
        epsilon * if p < 0.5 { 0.5 * (1.0 - p) } else { 0.125 / p }
    }
}

/// The bounds for all costs.
pub(super) struct Reach {
    purpose: Purpose,
    transfers: Vec<Transfer>,
    /// With ε ascending; one for sign.
    levels: Vec<Level>,
    /// The largest cost that the stages of a set can have together.
    pub limit: Cost,
}

/// What can be reached from one ε.
struct Level {
    epsilon: f64,
    /// For each cost the least spread and the greatest steepness; `None` where no set has the cost.
    best: Vec<Option<State>>,
}

/// A set of degrees, in the order of application, with a lower bound of its error and the ε that goes with the bound.
pub(super) struct Bounded {
    pub degrees: Vec<u32>,
    pub bound: f64,
    pub epsilon: f64,
}

impl Reach {
    /// For degrees up to `max_degree` and at most `stages` stages, which cost what `costs` says.
    pub fn new(purpose: Purpose, max_degree: u32, stages: usize, costs: CostTable) -> Reach {
        let degrees: Vec<u32> = (3..=max_degree).step_by(2).collect();
        let transfers: Vec<Transfer> = degrees.into_par_iter().map(|degree| Transfer::new(degree, costs)).collect();
        let most = |part: fn(&Cost) -> u32| {
            stages as u32 * transfers.iter().map(|transfer| part(&transfer.cost)).max().unwrap_or(0)
        };
        let limit = Cost { depth: most(|cost| cost.depth), multiplications: most(|cost| cost.multiplications) };
        let epsilons: Vec<f64> = match purpose {
            Purpose::Sign { epsilon } => vec![epsilon],
            Purpose::Relu => {
                let octaves =
                    (1..=OCTAVES * LEVELS_PER_OCTAVE).rev().map(|i| -f64::from(i) / f64::from(LEVELS_PER_OCTAVE));
                octaves.map(f64::exp2).collect()
            }
        };
        let level = |epsilon| Level { epsilon, best: best(&transfers, limit, epsilon) };
        let levels = epsilons.into_par_iter().map(level).collect();
        Reach { purpose, transfers, levels, limit }
    }

    /// No set whose stages cost this has an error below; `None` if there is no such set.
    pub fn bound(&self, cost: Cost) -> Option<f64> {
        let place = place(cost, self.limit);
        let mut bound = f64::INFINITY;
        let mut below = 0.0f64;
        for level in &self.levels {
            let state = level.best[place]?;
            match self.purpose {
                Purpose::Sign { .. } => return Some(state.error()),
                Purpose::Relu => bound = bound.min(below.max(0.5 * state.error())),
            }
            below = state.relu_error_below(level.epsilon);
        }
        Some(bound.min(below))
    }

    /// The sets of at most `stages` stages that cost this and whose own bound is `most` or less.
    pub fn sets(&self, cost: Cost, stages: usize, most: f64) -> Vec<Bounded> {
        let mut sets = Vec::new();
        self.descend(cost, stages, most, &mut Vec::new(), &mut sets);
        sets
    }

    /// Goes through the sets from their last stage to their first; `suffix` is the end of one, last stage first.
    fn descend<'a>(
        &'a self,
        rest: Cost,
        stages: usize,
        most: f64,
        suffix: &mut Vec<&'a Transfer>,
        sets: &mut Vec<Bounded>,
    ) {
        if !self.may_reach(most, rest, suffix) {
            return;
        }
        if rest == Cost::default() {
            let (bound, epsilon) = self.bound_of(suffix);
            if bound <= most {
                sets.push(Bounded { degrees: suffix.iter().rev().map(|stage| stage.degree).collect(), bound, epsilon });
            }
            return;
        }
        if suffix.len() == stages {
            return;
        }
        for transfer in &self.transfers {
            if let Some(rest) = less(rest, transfer.cost) {
                suffix.push(transfer);
                self.descend(rest, stages, most, suffix, sets);
                suffix.pop();
            }
        }
    }

    /// Whether the bound allows the error `most` to sets that end with `suffix` and spend `rest` on the stages before.
    fn may_reach(&self, most: f64, rest: Cost, suffix: &[&Transfer]) -> bool {
        let place = place(rest, self.limit);
        if self.levels.iter().any(|level| level.best[place].is_none()) {
            return false;
        }
        let after = |level: &Level| level.best[place].map(|state| through(suffix, state));
        match self.purpose {
            Purpose::Sign { .. } => self.levels.iter().filter_map(after).all(|state| state.error() <= most),
            Purpose::Relu => {
                let too_small = |level: &Level| after(level).is_some_and(|state| 0.5 * state.error() > most);
                let first = self.levels.partition_point(too_small);
                let below = first.checked_sub(1).map(|last| &self.levels[last]);
                below
                    .is_none_or(|level| after(level).is_some_and(|state| state.relu_error_below(level.epsilon) <= most))
            }
        }
    }

    /// The bound of one set, last stage first, and its ε.
    fn bound_of(&self, set: &[&Transfer]) -> (f64, f64) {
        match self.purpose {
            Purpose::Sign { epsilon } => (through(set, State::start(epsilon)).error(), epsilon),
            Purpose::Relu => {
                // The two errors meet where their bounds do.
                let (mut low, mut high) = (-(f64::from(OCTAVES) + 3.0) * std::f64::consts::LN_2, -1e-3);
                let mut bound = 0.0;
                while high - low > 1e-6 {
                    let middle: f64 = 0.5 * (low + high);
                    let state = through(set, State::start(middle.exp()));
                    let (above, below) = (0.5 * state.error(), state.relu_error_below(middle.exp()));
                    if above > below {
                        low = middle
                    } else {
                        high = middle
                    }
                    bound = above.min(below);
                }
                (bound, low.exp())
            }
        }
    }
}

/// The state after the stages of `suffix`, last stage first.
fn through(suffix: &[&Transfer], state: State) -> State {
    suffix.iter().rev().fold(state, |state, stage| stage.next(state))
}

/// For each cost the least spread and the greatest steepness of the sets that have it.
fn best(transfers: &[Transfer], limit: Cost, epsilon: f64) -> Vec<Option<State>> {
    let mut best = vec![None; place(limit, limit) + 1];
    best[0] = Some(State::start(epsilon));
    for depth in 1..=limit.depth {
        for multiplications in 1..=limit.multiplications {
            let cost = Cost { depth, multiplications };
            let after = |transfer: &Transfer| Some(transfer.next(best[place(less(cost, transfer.cost)?, limit)]?));
            best[place(cost, limit)] = transfers
                .iter()
                .filter_map(after)
                .reduce(|a, b| State { spread: a.spread.min(b.spread), steepness: a.steepness.max(b.steepness) });
        }
    }
    best
}

fn place(cost: Cost, limit: Cost) -> usize {
    (cost.depth * (limit.multiplications + 1) + cost.multiplications) as usize
}

fn less(cost: Cost, part: Cost) -> Option<Cost> {
    Some(Cost {
        depth: cost.depth.checked_sub(part.depth)?,
        multiplications: cost.multiplications.checked_sub(part.multiplications)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the bounds rest on beyond proof. The spread left rises with the spread; the steepness falls and has the
    /// limit given; the slope of a stage that is scaled to [−1, 1] rises, so that a smaller ε never is less steep.
    #[test]
    fn tables_are_monotone() {
        for degree in (3..=63).step_by(2) {
            let transfer = Transfer::new(degree, CostTable::Published);
            assert!(transfer.table[transfer.table.len() - 1].steepness < transfer.greatest_steepness, "{degree}");
            let scaled_slope = |(place, state): (usize, &State)| {
                let error = (0.5 * state.spread.exp()).tanh();
                state.steepness + spread_at(place).exp() + (1.0 - error).ln() - (1.0 + error).ln()
            };
            let slopes: Vec<f64> = transfer.table.iter().enumerate().map(scaled_slope).collect();
            // Rounding weighs where τ is close to 1 or to 0.
            assert!(transfer.table.windows(2).all(|pair| pair[0].spread > pair[1].spread), "{degree}");
            assert!(transfer.table.windows(2).all(|pair| pair[0].steepness < pair[1].steepness + 1e-4), "{degree}");
            assert!(slopes.windows(2).all(|pair| pair[0] > pair[1] - 1e-4), "{degree}");
        }
    }

    #[test]
    fn tables_are_right_between_their_places() {
        for degree in [3, 9, 27, 63] {
            let transfer = Transfer::new(degree, CostTable::Published);
            for place in 0..transfer.table.len() - 1 {
                let spread = spread_at(place) - 0.5 * STEP;
                let (ratio, after) = ((-spread.exp()).exp(), transfer.next(State { spread, steepness: 0.0 }));
                let stage = Stage::best(degree, ratio);
                assert!((after.error() / stage.error - 1.0).abs() < 2e-5, "{degree} at {place}");
                let steepness = (stage.slope() * ratio / (1.0 - stage.error)).ln();
                assert!((after.steepness - steepness).abs() < 2e-5, "{degree} at {place}");
            }
        }
    }
}
