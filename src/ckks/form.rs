//! What stands at a site, as far as levels go, and where it can be cut by bootstrappings.

use super::Parameters;

/// Polynomials one after the other, in the rounds of a tournament.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Form {
    /// Degrees of the stages of a composition, or of one polynomial; none where the function itself stays.
    pub degrees: Vec<u32>,
    /// Whether the input is multiplied with what the last stage gives, as in x·p(x).
    pub product: bool,
    /// How often all of it is computed one after the other: of a max-pool the rounds of its tournament, otherwise 1.
    pub rounds: u32,
    /// How many are computed beside each other: of ReLU6 by a composition 2, otherwise 1.
    pub parallel: u32,
}

/// A way through a form: levels that are left, and how often a ciphertext is bootstrapped inside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Way {
    pub left: u32,
    pub bootstraps: u32,
}

impl Form {
    /// One polynomial of this degree.
    pub fn polynomial(degree: u32) -> Form {
        Form { degrees: vec![degree], product: false, rounds: 1, parallel: 1 }
    }

    /// Levels without any bootstrapping inside.
    pub fn levels(&self, parameters: &Parameters) -> u32 {
        let stages: u32 = self.degrees.iter().map(|&degree| parameters.depth(degree)).sum();
        self.rounds * (stages + u32::from(self.product))
    }

    /// The level at which each of its levels is taken, from a ciphertext with `levels`, bootstrapped only where too few are left.
    pub(super) fn levels_taken(&self, parameters: &Parameters, levels: u32) -> Vec<u32> {
        let mut taken = Vec::new();
        let mut left = levels;
        for _ in 0..self.rounds {
            let given = left;
            for depth in self.degrees.iter().map(|&degree| parameters.depth(degree)) {
                if left < depth {
                    left = parameters.levels;
                }
                taken.extend((0..depth.min(left)).map(|spent| left - spent));
                left = left.saturating_sub(depth);
            }
            if self.product {
                // Of what the stages give, bootstrapped if need be, and the input.
                let level = if left == 0 { parameters.levels } else { left };
                left = level.min(given.max(1));
                taken.push(left);
                left -= 1;
            }
        }
        taken
    }

    /// The ways through it from a ciphertext with `levels`, none of which has both fewer levels left and more bootstrappings than
    /// another.
    pub(super) fn ways(&self, parameters: &Parameters, levels: u32) -> Vec<Way> {
        let mut ways = vec![Way { left: levels, bootstraps: 0 }];
        for round in 0..self.rounds {
            let mut next = Vec::new();
            for way in ways {
                self.round(parameters, way, &mut next);
                if round > 0 && way.left < parameters.levels {
                    // What meets in the round.
                    self.round(parameters, self.refreshed(parameters, way), &mut next);
                }
            }
            ways = best(next);
        }
        ways
    }

    /// The way with a bootstrapping behind it.
    fn refreshed(&self, parameters: &Parameters, way: Way) -> Way {
        Way { left: parameters.levels, bootstraps: way.bootstraps + self.parallel }
    }

    /// All ways through one round, from `way`.
    fn round(&self, parameters: &Parameters, way: Way, all: &mut Vec<Way>) {
        let x = way.left;
        let mut ways = vec![way];
        for (stage, &degree) in self.degrees.iter().enumerate() {
            let depth = parameters.depth(degree);
            let mut next = Vec::new();
            for way in ways {
                // Before the first stage, the input itself is bootstrapped, by whoever gave it.
                let refreshed = (stage > 0).then(|| self.refreshed(parameters, way));
                let enough = |way: &Way| way.left >= depth;
                next.extend(
                    [Some(way), refreshed]
                        .into_iter()
                        .flatten()
                        .filter(enough)
                        .map(|way| Way { left: way.left - depth, ..way }),
                );
            }
            ways = best(next);
        }
        if self.product {
            let refreshed: Vec<Way> = ways.iter().map(|&way| self.refreshed(parameters, way)).collect();
            ways.extend(refreshed);
            ways.retain(|way| way.left.min(x) >= 1);
            ways.iter_mut().for_each(|way| way.left = way.left.min(x) - 1);
        }
        all.extend(ways);
    }
}

/// Those than which none is better.
fn best(mut ways: Vec<Way>) -> Vec<Way> {
    ways.sort_by_key(|way| (way.bootstraps, std::cmp::Reverse(way.left)));
    let mut kept: Vec<Way> = Vec::new();
    for way in ways {
        if kept.iter().all(|better| better.left < way.left) {
            kept.push(way);
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parameters(levels: u32) -> Parameters {
        format!("levels={levels}").parse().unwrap()
    }

    #[test]
    fn a_composition_can_be_cut_between_its_stages() {
        let form = Form { degrees: vec![15, 15, 27], product: true, rounds: 1, parallel: 1 };
        let parameters = parameters(10);
        assert_eq!(form.levels(&parameters), 14);
        let ways =
            |levels| form.ways(&parameters, levels).iter().map(|way| (way.left, way.bootstraps)).collect::<Vec<_>>();
        // 4, 4, then refreshed, 5, and the product with an input that has 10; or refreshed before the product as well.
        assert_eq!(ways(10), [(4, 1), (9, 2)]);
        assert!(ways(3).is_empty());
        // Refreshed before the second stage, and what is left is what the input allows.
        assert_eq!(ways(4)[0], (0, 1));
    }

    /// As the ways above: 4, 4, then refreshed, 5, and the product.
    #[test]
    fn levels_are_taken_one_after_the_other() {
        let form = Form { degrees: vec![15, 15, 27], product: true, rounds: 1, parallel: 1 };
        let taken = form.levels_taken(&parameters(10), 10);
        assert_eq!(taken, [10, 9, 8, 7, 6, 5, 4, 3, 10, 9, 8, 7, 6, 5]);
        assert_eq!(form.levels_taken(&parameters(16), 15), (2..=15).rev().collect::<Vec<u32>>());
        let pool = Form { rounds: 2, ..Form::polynomial(7) };
        assert_eq!(pool.levels_taken(&parameters(5), 5), [5, 4, 3, 5, 4, 3]);
        assert!(Form::default().levels_taken(&parameters(5), 5).is_empty());
    }

    #[test]
    fn one_polynomial_has_one_way() {
        let parameters = parameters(10);
        let way = |form: &Form, levels| {
            form.ways(&parameters, levels).iter().map(|way| (way.left, way.bootstraps)).collect::<Vec<_>>()
        };
        assert_eq!(way(&Form::polynomial(31), 7), [(2, 0)]);
        assert!(way(&Form::polynomial(31), 4).is_empty());
        // Two rounds of 6 levels: what meets in the second is refreshed.
        let pool = Form { rounds: 2, ..Form::polynomial(63) };
        assert_eq!(way(&pool, 10), [(4, 1)]);
    }
}
