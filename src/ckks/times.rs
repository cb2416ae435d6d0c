//! How long operations take, by the level of their ciphertext: published tables, and what a network takes by them.
//!
//! ```toml
//! [times]
//! source = "where the figures are from"
//! unit = "ms"                             # or "s"
//! bootstrapping = [[1, 19316], [17, 46257]]   # to this level; pairs of a level and a time, linear between them
//! product = [[1, 1.68], [17, 16.333]]     # of two ciphertexts of this level
//! relinearization = [[1, 66.9], [17, 300.6]]
//! rescaling = [[1, 5.547], [17, 57.117]]
//! rotation = [[0, 58.4], [17, 305.4]]
//! ```
//!
//! An estimate is of the machine and the library that the table is from. It has the bootstrappings and the products of ciphertexts inside
//! activations, each with its relinearization and a rescaling. Products with weights and rotations are not in it: how many there are
//! depends on how the numbers are packed into ciphertexts.

use serde::Deserialize;

use super::circuit::{Circuit, Operation};
use super::form::Form;
use super::parameters::Parameters;
use super::placement::{Placed, Placement, price};

/// Tables that come with the program beside those of parameter sets, by name.
pub(super) const TABLES: [(&str, &str); 1] = [("ant-ace", include_str!("times/ant-ace.toml"))];

/// Pairs of a level and a time, in ascending order of levels.
pub type Table = Vec<(u32, f64)>;

/// Times of operations on one ciphertext.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Times {
    /// Where the figures are from, and of which machine and library they are.
    pub source: String,
    pub unit: Unit,
    /// To this level.
    pub bootstrapping: Table,
    /// Of two ciphertexts, without what follows.
    #[serde(default)]
    pub product: Table,
    #[serde(default)]
    pub relinearization: Table,
    #[serde(default)]
    pub rescaling: Table,
    #[serde(default)]
    pub rotation: Table,
}

/// Of the times of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub enum Unit {
    #[serde(rename = "s")]
    Seconds,
    #[serde(rename = "ms")]
    Milliseconds,
}

impl Times {
    /// # Errors
    /// What is wrong, in one line.
    pub(super) fn check(&self) -> Result<(), String> {
        let Times { bootstrapping, product, relinearization, rescaling, rotation, .. } = self;
        if bootstrapping.is_empty() {
            return Err("`times.bootstrapping` is empty; give pairs of a level and a time".to_owned());
        }
        let tables = [
            ("bootstrapping", bootstrapping),
            ("product", product),
            ("relinearization", relinearization),
            ("rescaling", rescaling),
            ("rotation", rotation),
        ];
        for (name, table) in tables {
            if !table.is_sorted_by(|(level, _), (next, _)| level < next) {
                return Err(format!("`times.{name}` is not in ascending order; sort its pairs by level"));
            }
            if let Some((level, time)) = table.iter().find(|(_, time)| !time.is_finite() || *time < 0.0) {
                return Err(format!("`times.{name}` has {time} at level {level}; a time must be a positive number"));
            }
        }
        Ok(())
    }

    /// Seconds of a bootstrapping to `level`; none where the table does not have that level.
    pub fn bootstrapping(&self, level: u32) -> Option<f64> {
        self.seconds(&self.bootstrapping, level)
    }

    /// Seconds of a product of two ciphertexts at `level` with relinearization and rescaling.
    pub fn product(&self, level: u32) -> Option<f64> {
        let parts = [&self.product, &self.relinearization, &self.rescaling];
        parts.into_iter().map(|table| self.seconds(table, level)).sum()
    }

    /// Seconds of a rotation at `level`.
    pub fn rotation(&self, level: u32) -> Option<f64> {
        self.seconds(&self.rotation, level)
    }

    fn seconds(&self, table: &Table, level: u32) -> Option<f64> {
        let above = table.iter().position(|(known, _)| *known >= level)?;
        let (to, end) = table[above];
        let time = match above.checked_sub(1) {
            _ if to == level => end,
            Some(below) => {
                let (from, start) = table[below];
                start + (end - start) * f64::from(level - from) / f64::from(to - from)
            }
            None => return None,
        };
        Some(match self.unit {
            Unit::Seconds => time,
            Unit::Milliseconds => time / 1000.0,
        })
    }
}

/// Seconds by a table of times; each none where the table lacks a level that is needed, or the operation.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Estimate {
    pub bootstrapping: Option<f64>,
    /// Of products of ciphertexts inside activations.
    pub products: Option<f64>,
}

/// What a network takes by `times`, with so many products of ciphertexts at each site. Those of an activation are spread evenly over the
/// levels that it takes. Where it is bootstrapped inside, these are counted as if that happened as late as possible.
pub fn estimate(
    times: &Times,
    circuit: &Circuit,
    parameters: &Parameters,
    forms: &[Form],
    products: &[u64],
    placement: &Placement,
) -> Estimate {
    let ciphertexts = circuit.ciphertexts(parameters.slots);
    let bootstrapping = match placement.bootstraps {
        0 => Some(0.0),
        count => times.bootstrapping(parameters.levels).map(|seconds| count as f64 * seconds),
    };
    let of_site = |(at, node): (usize, &super::Node)| -> Option<f64> {
        let Operation::Site(site) = node.operation else { return Some(0.0) };
        if products[site] == 0 {
            return Some(0.0);
        }
        let given = |operand: &super::Operand| {
            let Placed { left, bootstrapped, .. } = placement.nodes[operand.node];
            let level = if bootstrapped { parameters.levels } else { left };
            level.saturating_sub(price(circuit, parameters, at, operand.shortcut))
        };
        let levels = forms[site].levels_taken(parameters, node.operands.iter().map(given).min()?);
        let all: Option<f64> = levels.iter().map(|&level| times.product(level)).sum();
        Some(all? / levels.len().max(1) as f64 * products[site] as f64 * ciphertexts[at] as f64)
    };
    Estimate { bootstrapping, products: circuit.nodes.iter().enumerate().map(of_site).sum() }
}

#[cfg(test)]
mod tests {
    use super::super::circuit::resnet;
    use super::super::placement::fewest;
    use super::*;

    fn times(set: &str) -> (Parameters, Times) {
        let parameters: Parameters = set.parse().unwrap();
        let times = parameters.times.clone().unwrap();
        (parameters, times)
    }

    /// Orion's orion/core/level_dag.py: 3.41·exp(0.18·l) + 4.81 seconds.
    #[test]
    fn orion_takes_what_its_formula_says() {
        let (_, times) = times("orion");
        for level in 1..=20 {
            let formula = 3.41 * libm::exp(0.18 * f64::from(level)) + 4.81;
            let told = times.bootstrapping(level).unwrap();
            assert!((told - formula).abs() <= 0.005, "{level}: {told} {formula}");
        }
        assert_eq!((times.product(5), times.rotation(5), times.bootstrapping(21)), (None, None, None));
    }

    /// ANT-ACE's fhe-cmplr/ckks/src/ckks_cost_model.cxx, for rings of 2^16.
    #[test]
    fn ant_ace_takes_what_its_tables_say() {
        let (_, times) = times("levels=10,times=ant-ace");
        let near = |told: Option<f64>, milliseconds: f64| (told.unwrap() * 1000.0 - milliseconds).abs() < 1e-6;
        for (level, milliseconds) in [(1, 19316.356), (6, 26228.991), (10, 34556.051), (17, 46257.028)] {
            assert!(near(times.bootstrapping(level), milliseconds), "{level}");
        }
        assert!(near(times.product(1), 1.680 + 66.917 + 5.547) && near(times.product(17), 16.333 + 300.575 + 57.117));
        assert!(near(times.rotation(0), 58.422) && near(times.rotation(17), 305.379));
        assert_eq!((times.product(0), times.bootstrapping(0), times.bootstrapping(18)), (None, None, None));
    }

    #[test]
    fn times_are_linear_between_the_levels_of_a_table() {
        let text = "levels = 8\n[times]\nsource = \"x\"\nunit = \"s\"\nbootstrapping = [[2, 10], [6, 20]]\n";
        let times = Parameters::parse("x", text).unwrap().times.unwrap();
        assert_eq!(
            [1, 2, 3, 6, 7].map(|level| times.bootstrapping(level)),
            [None, Some(10.0), Some(12.5), Some(20.0), None]
        );
        let error = |more: &str| Parameters::parse("x", &format!("{text}{more}")).unwrap_err();
        assert!(error("product = [[3, 1], [2, 1]]").contains("`times.product` is not in ascending order"));
        assert!(error("rotation = [[3, -1]]").contains("`times.rotation` has -1 at level 3"));
        assert!(error("addition = [[3, 1]]").contains("unknown field `addition`"));
    }

    /// Nineteen polynomials of degree 7 with 3 products at 3 levels each, counted by hand.
    #[test]
    fn products_are_spread_over_the_levels_of_an_activation() {
        let circuit = resnet(3);
        let forms = vec![Form::polynomial(7); 19];
        let (parameters, times) = times("levels=4,times=ant-ace");
        let placement = fewest(&circuit, &parameters, &forms).unwrap();
        let told = estimate(&times, &circuit, &parameters, &forms, &[3; 19], &placement);
        let bootstrapping = placement.bootstraps as f64 * 23.737735;
        assert!((told.bootstrapping.unwrap() - bootstrapping).abs() < 1e-9);
        // A convolution and an activation take all four levels, so that all activations begin at level 3.
        let at_site: f64 = [1, 2, 3].iter().map(|&level| times.product(level).unwrap()).sum();
        assert!((told.products.unwrap() - 19.0 * at_site).abs() < 1e-9, "{told:?}");
        let (orion, by_orion) = self::times("orion");
        let placement = fewest(&circuit, &orion, &forms).unwrap();
        let told = estimate(&by_orion, &circuit, &orion, &forms, &[3; 19], &placement);
        assert!(told.products.is_none() && told.bootstrapping.unwrap() > 25.0);
        let exact = estimate(&by_orion, &circuit, &orion, &forms, &[0; 19], &placement);
        assert_eq!(exact.products, Some(0.0));
    }
}
