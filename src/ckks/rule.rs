//! Bootstrapping as the literature does it: when an operation is about to take more levels than are left.
//!
//! So do FHE-MP-CNN (Lee et al., ICML 2022) and AutoFHE (Ao and Boddeti, USENIX Security 2024, search/ckks.py), before ReLUs and
//! convolutions, and what stands at a site is not cut.

use super::circuit::{Circuit, Operation};
use super::form::Form;
use super::parameters::Parameters;
use super::placement::{Placed, Placement, PlacementError, price};

/// The placement that bootstraps what an operation takes when that has too few levels left.
///
/// # Errors
/// [`PlacementError::TooDeep`] for what takes more levels than there are after a bootstrapping.
pub fn when_needed(circuit: &Circuit, parameters: &Parameters, forms: &[Form]) -> Result<Placement, PlacementError> {
    let weights = circuit.ciphertexts(parameters.slots);
    let mut nodes = vec![Placed::default(); circuit.nodes.len()];
    let mut now = vec![parameters.levels; circuit.nodes.len()];
    nodes[0].left = parameters.levels;
    let mut bootstraps = 0;
    for (at, node) in circuit.nodes.iter().enumerate().skip(1) {
        let own = match node.operation {
            Operation::Site(site) => forms[site].levels(parameters),
            _ => 0,
        };
        let mut left = parameters.levels;
        for operand in &node.operands {
            let takes = own + price(circuit, parameters, at, operand.shortcut);
            if now[operand.node] < takes {
                if takes > parameters.levels {
                    let (name, levels) = (node.name.clone(), parameters.levels);
                    return Err(PlacementError::TooDeep { name, levels, parameters: parameters.name.clone() });
                }
                now[operand.node] = parameters.levels;
                nodes[operand.node].bootstrapped = true;
                bootstraps += weights[operand.node];
            }
            left = left.min(now[operand.node] - takes);
        }
        now[at] = left;
        nodes[at].left = left;
    }
    Ok(Placement { bootstraps, loss: 0.0, choices: vec![0; forms.len()], nodes })
}

#[cfg(test)]
mod tests {
    use super::super::circuit::resnet;
    use super::super::placement::fewest;
    use super::*;

    fn autofhe() -> Parameters {
        "autofhe".parse().unwrap()
    }

    /// A form of so many levels; 0 for a ReLU that was removed.
    fn form(levels: u32) -> Form {
        match levels {
            0 => Form::default(),
            _ => Form::polynomial((1 << levels) - 1),
        }
    }

    fn count(blocks: usize, levels: &[u32]) -> u64 {
        let forms: Vec<Form> = levels.iter().map(|&levels| form(levels)).collect();
        let (circuit, parameters) = (resnet(blocks), autofhe());
        assert_eq!(forms.len(), 6 * blocks + 1);
        let rule = when_needed(&circuit, &parameters, &forms).unwrap();
        let best = fewest(&circuit, &parameters, &forms).unwrap();
        assert!(best.bootstraps <= rule.bootstraps, "{levels:?}");
        rule.bootstraps
    }

    /// Depths of uniform ReLUs on ResNet-20, 32 and 44. For 14 the counts are those of FHE-MP-CNN, 18, 30 and 42; the rule of AutoFHE
    /// gives the others.
    #[test]
    fn uniform_depths_take_the_published_numbers_of_bootstrappings() {
        for (levels, expected) in [
            (2, [4, 7, 10]),
            (3, [8, 14, 20]),
            (4, [9, 15, 21]),
            (5, [9, 15, 21]),
            (6, [9, 15, 21]),
            (7, [14, 23, 32]),
            (8, [18, 30, 42]),
            (11, [18, 30, 42]),
            (14, [18, 30, 42]),
        ] {
            let counts = [3, 5, 7].map(|blocks| count(blocks, &vec![levels; 6 * blocks + 1]));
            assert_eq!(counts, expected, "{levels}");
        }
    }

    /// The depths of the networks that AutoFHE was published with (weights/*/depth.txt in its repository), named by their bootstrappings.
    #[test]
    fn mixed_depths_take_the_published_numbers_of_bootstrappings() {
        assert_eq!(count(3, &[6, 8, 6, 8, 8, 2, 0, 6, 7, 5, 0, 5, 7, 8, 8, 6, 9, 9, 2]), 11);
        assert_eq!(count(3, &[6, 7, 0, 5, 2, 2, 0, 2, 2, 5, 0, 0, 4, 2, 0, 2, 2, 2, 2]), 5);
    }

    #[test]
    fn what_does_not_fit_is_named() {
        let error = when_needed(&resnet(3), &autofhe(), &vec![form(17); 19]).unwrap_err();
        assert!(error.to_string().contains("relu takes more than the 16 levels"), "{error}");
    }
}
