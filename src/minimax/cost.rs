//! What an odd polynomial costs under CKKS: levels of depth and multiplications of two ciphertexts.
//!
//! The model is the odd baby-step giant-step evaluation in the Chebyshev basis that spends no more than the least depth,
//! ⌈log2(d+1)⌉ (Lee et al., ePrint 2020/834, section 4): odd baby steps T_3, T_5, … below a power of two, giant steps
//! T_2, T_4, T_8, …, and p = q·T_g + r recursively. Multiplying by a constant costs a level but no multiplication.

use std::ops::Add;

/// The price of evaluating something once on a ciphertext.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Cost {
    /// Levels consumed, the products with constants included.
    pub depth: u32,
    /// Products of two ciphertexts (non-scalar multiplications).
    pub multiplications: u32,
}

impl Add for Cost {
    type Output = Cost;

    /// One after the other.
    fn add(self, other: Cost) -> Cost {
        Cost { depth: self.depth + other.depth, multiplications: self.multiplications + other.multiplications }
    }
}

/// The product x·p(x) that makes ReLU, or (a−b)·p(a−b) that makes max, of a sign.
pub const FINAL_PRODUCT: Cost = Cost { depth: 1, multiplications: 1 };

/// The cost of a general odd polynomial of odd `degree` ≥ 3.
pub fn odd_polynomial(degree: u32) -> Cost {
    let depth = ceil_log2(degree + 1);
    let multiplications = (1..=depth)
        .flat_map(|babies| (1..=depth).map(move |giants| (babies, giants)))
        .filter_map(|(babies, giants)| Plan::new(babies, giants)?.multiplications(degree, depth))
        .min()
        .unwrap_or(u32::MAX);
    Cost { depth, multiplications }
}

fn ceil_log2(n: u32) -> u32 {
    n.next_power_of_two().trailing_zeros()
}

/// The Chebyshev polynomials computed beforehand: T_j for odd j < 2^babies, and T_2, T_4, …, T_{2^giants}.
struct Plan {
    babies: u32,
    giants: u32,
}

impl Plan {
    /// Baby steps need the giants below them: T_{2^k+j} = 2·T_{2^k}·T_j − T_{2^k−j}.
    fn new(babies: u32, giants: u32) -> Option<Plan> {
        (giants + 1 >= babies).then_some(Plan { babies, giants })
    }

    /// What setting up and evaluating cost together; `None` if degree or depth are out of reach.
    fn multiplications(&self, degree: u32, depth: u32) -> Option<u32> {
        let set_up = (1 << (self.babies - 1)) - 1 + self.giants;
        Some(set_up + self.evaluation(degree, depth)?)
    }

    /// Products for a general odd polynomial of `degree` that must be ready at level `depth`.
    fn evaluation(&self, degree: u32, depth: u32) -> Option<u32> {
        // T_j is ready at level ⌈log2 j⌉, and its coefficient takes one level more.
        if degree < 1 << self.babies && ceil_log2(degree) < depth {
            return Some(0);
        }
        (1..=self.giants)
            .filter(|&giant| 1 << giant < degree && giant < depth)
            .filter_map(|giant| {
                let quotient = self.evaluation(degree - (1 << giant), depth - 1)?;
                let remainder = self.evaluation((1 << giant) - 1, depth)?;
                Some(1 + quotient + remainder)
            })
            .min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Lee et al., ePrint 2020/834, table of depth and non-scalar multiplications.
    #[test]
    fn costs_are_the_published_ones() {
        let published = [
            (3, 2, 2),
            (5, 3, 3),
            (7, 3, 5),
            (9, 4, 5),
            (11, 4, 6),
            (13, 4, 7),
            (15, 4, 8),
            (17, 5, 8),
            (19, 5, 8),
            (21, 5, 9),
            (23, 5, 9),
            (25, 5, 10),
            (27, 5, 10),
            (29, 5, 11),
            (31, 5, 12),
        ];
        for (degree, depth, multiplications) in published {
            assert_eq!(odd_polynomial(degree), Cost { depth, multiplications }, "degree {degree}");
        }
    }

    #[test]
    fn every_degree_has_a_cost_and_a_higher_one_is_never_much_cheaper() {
        let costs: Vec<Cost> = (3..=127).step_by(2).map(odd_polynomial).collect();
        assert!(costs.iter().all(|c| c.multiplications < 40));
        assert!(costs.windows(2).all(|w| w[0].depth <= w[1].depth));
        // At one depth a higher degree never needs fewer multiplications.
        assert!(costs.windows(2).all(|w| w[0].depth < w[1].depth || w[0].multiplications <= w[1].multiplications));
    }
}
