//! The grid of a sweep: every model with every combination of activations and ranges, and with every plan.

use super::{Configuration, Plan, Ranges, Sourced};
use crate::activation::{Arithmetic, Spec};
use crate::digest;

/// What a sweep varies beside the models. The first of each list is the outermost.
#[derive(Debug, Clone)]
pub struct Axes {
    pub relu: Vec<Spec>,
    /// Empty: as for ReLU.
    pub maxpool: Vec<Spec>,
    /// Empty: there are none, as where all is exact.
    pub relu_range: Vec<Sourced<Ranges>>,
    /// Empty: as for ReLU.
    pub maxpool_range: Vec<Sourced<Ranges>>,
    /// Empty: no plan.
    pub plan: Vec<Sourced<Plan>>,
    pub arithmetic: Vec<Arithmetic>,
    pub clip: bool,
    pub guard: Option<f64>,
}

impl Axes {
    /// All configurations, each once, in the order in which their rows are written.
    pub fn configurations(&self) -> Vec<Configuration> {
        let mut all: Vec<Configuration> = Vec::new();
        for relu in &self.relu {
            for maxpool in optional(&self.maxpool) {
                for relu_range in optional(&self.relu_range) {
                    for maxpool_range in optional(&self.maxpool_range) {
                        for plan in optional(&self.plan) {
                            for &arithmetic in &self.arithmetic {
                                let configuration = Configuration {
                                    relu: relu.clone(),
                                    maxpool: maxpool.clone(),
                                    relu_range: relu_range.clone(),
                                    maxpool_range: maxpool_range.clone(),
                                    plan: plan.clone(),
                                    arithmetic,
                                    clip: self.clip,
                                    guard: self.guard,
                                };
                                if !all.contains(&configuration) {
                                    all.push(configuration);
                                }
                            }
                        }
                    }
                }
            }
        }
        all
    }
}

/// Each of `values`, or nothing once.
fn optional<T: Clone>(values: &[T]) -> Vec<Option<T>> {
    if values.is_empty() { vec![None] } else { values.iter().cloned().map(Some).collect() }
}

/// The name of a sweep: the beginning of a digest over all that decides its rows, in its text form.
pub fn sweep_name(decisive: &[String]) -> String {
    digest::of_text(decisive.join("\n").as_bytes())[..12].to_owned()
}

/// One of `count` parts of a grid, from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shard {
    pub index: usize,
    pub count: usize,
}

impl std::str::FromStr for Shard {
    type Err = String;

    /// `2/8`: the second of eight.
    fn from_str(text: &str) -> Result<Shard, String> {
        let parts = text.split_once('/').and_then(|(index, count)| Some((index.parse().ok()?, count.parse().ok()?)));
        match parts {
            Some((index, count)) if (1..=count).contains(&index) => Ok(Shard { index, count }),
            _ => Err("expected i/n with i from 1 to n, such as 2/8".to_owned()),
        }
    }
}

impl Shard {
    /// The rows of this part, of `rows` in all: neighbours, which share a model and its exact pass.
    pub fn rows(self, rows: usize) -> std::ops::Range<usize> {
        (self.index - 1) * rows / self.count..self.index * rows / self.count
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::activation::Interval;

    #[test]
    fn a_grid_has_every_combination_once() {
        let spec = |text: &str| text.parse::<Spec>().unwrap();
        let axes = Axes {
            relu: vec![spec("paper:7"), spec("paper:14"), spec("paper:7")],
            maxpool: vec![spec("exact"), spec("paper:14")],
            relu_range: [8.0, 16.0, 32.0].map(|range| Ranges::One(Interval::symmetric(range)).into()).to_vec(),
            maxpool_range: vec![],
            plan: vec![],
            arithmetic: vec![Arithmetic::F64],
            clip: false,
            guard: None,
        };
        let all = axes.configurations();
        assert_eq!(all.len(), 2 * 2 * 3);
        assert_eq!(all[0].relu_range, Some(Ranges::One(Interval::symmetric(8.0)).into()));
        assert_eq!(all[1].relu_range, Some(Ranges::One(Interval::symmetric(16.0)).into()));
        assert_eq!((&all[11].relu, &all[11].maxpool), (&spec("paper:14"), &Some(spec("paper:14"))));
    }

    #[test]
    fn shards_are_the_whole_grid_and_no_row_twice() {
        for rows in [0, 1, 5, 24, 100] {
            for count in [1, 2, 3, 7, 30] {
                let parts = (1..=count).flat_map(|index| Shard { index, count }.rows(rows));
                assert_eq!(parts.collect::<Vec<_>>(), (0..rows).collect::<Vec<_>>());
            }
        }
        for wrong in ["0/3", "4/3", "3", "a/b", "-1/2", "1/0"] {
            assert!(wrong.parse::<Shard>().is_err(), "{wrong}");
        }
    }
}
