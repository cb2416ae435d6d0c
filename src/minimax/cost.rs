//! What a polynomial costs under CKKS: levels of depth and multiplications of two ciphertexts.
//!
//! The model is the baby-step giant-step evaluation in the Chebyshev basis that spends no more than the least depth,
//! ⌈log2(d+1)⌉: baby steps T_1, T_2, T_3, … below a power of two, giant steps T_2, T_4, T_8, …, and p = q·T_g + r
//! recursively (Bossuat et al., ePrint 2020/1203, section 5). An odd polynomial needs the odd baby steps alone (Lee et
//! al., ePrint 2020/834, section 4); an even one is a general one of half the degree in T_2. Multiplying by a constant
//! costs a level but no multiplication.

use std::ops::{Add, Mul};

use super::function::Parity;

/// The price of evaluating something once on a ciphertext.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
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

impl Mul<u32> for Cost {
    type Output = Cost;

    /// So many one after the other.
    fn mul(self, times: u32) -> Cost {
        Cost { depth: times * self.depth, multiplications: times * self.multiplications }
    }
}

/// The product x·p(x) that makes ReLU, or (a−b)·p(a−b) that makes max, of a sign.
pub const FINAL_PRODUCT: Cost = Cost { depth: 1, multiplications: 1 };

/// The cost of an odd polynomial of odd `degree`.
pub fn odd_polynomial(degree: u32) -> Cost {
    polynomial(degree, Parity::Odd)
}

/// The cost of a polynomial of at most `degree` ≥ 1 that is even or odd, or neither; a constant or a multiple of x added
/// to it costs nothing more.
pub fn polynomial(degree: u32, parity: Parity) -> Cost {
    match parity {
        Parity::Even if degree >= 2 => TWICE + polynomial(degree / 2, Parity::Neither),
        Parity::Odd if degree.is_multiple_of(2) => polynomial(degree - 1, Parity::Odd),
        _ => cheapest(degree, parity == Parity::Odd),
    }
}

/// The cost of a polynomial of `degree` ≥ 2 evaluated as one that is neither even nor odd, at the least depth, with as many
/// baby steps as the count of products by Bossuat et al. says: T_1 to T_{2^l − 1} with the l that makes
/// 2^l + 2^(m−l) + m − l − 3 least, and the smaller l of two equals; m = ⌈log2(degree+1)⌉. That count allows one level more
/// than the least depth, so what is spent here can be more.
pub(super) fn general_polynomial_by_the_formula(degree: u32) -> Cost {
    let depth = ceil_log2(degree + 1);
    let formula = |&l: &u32| (1u32 << l) + (1 << (depth - l)) - l;
    let babies = (1..=depth).min_by_key(formula).unwrap_or(1);
    let plan = Plan { babies, giants: depth - 1, odd: false };
    Cost { depth, multiplications: plan.multiplications(degree, depth).unwrap_or(u32::MAX) }
}

/// T_2 = 2x² − 1.
const TWICE: Cost = Cost { depth: 1, multiplications: 1 };

fn cheapest(degree: u32, odd: bool) -> Cost {
    let depth = ceil_log2(degree + 1);
    // The least depth suffices: with T_1 alone, every level halves the degree.
    let multiplications = fewest_multiplications(degree, depth, odd).unwrap_or(u32::MAX);
    Cost { depth, multiplications }
}

fn fewest_multiplications(degree: u32, depth: u32, odd: bool) -> Option<u32> {
    (1..=depth)
        .flat_map(|babies| (0..=depth).map(move |giants| Plan { babies, giants, odd }))
        .filter_map(|plan| plan.multiplications(degree, depth))
        .min()
}

/// ⌈log2 n⌉ for n ≥ 1.
pub(super) fn ceil_log2(n: u32) -> u32 {
    n.next_power_of_two().trailing_zeros()
}

/// The Chebyshev polynomials computed beforehand: T_j for j < 2^babies, or for the odd ones of these, and T_2, T_4, …,
/// T_{2^giants}.
struct Plan {
    babies: u32,
    giants: u32,
    odd: bool,
}

impl Plan {
    /// What setting up and evaluating cost together; `None` if degree or depth are out of reach.
    fn multiplications(&self, degree: u32, depth: u32) -> Option<u32> {
        // Baby steps need the giants below them: T_{2^k+j} = 2·T_{2^k}·T_j − T_{2^k−j}.
        let further_giants = (self.giants + 1).checked_sub(self.babies)?;
        let babies = if self.odd { (1 << (self.babies - 1)) - 1 + self.babies - 1 } else { (1 << self.babies) - 2 };
        Some(babies + further_giants + self.evaluation(degree, depth)?)
    }

    /// Products for a polynomial of `degree` that must be ready at level `depth`.
    fn evaluation(&self, degree: u32, depth: u32) -> Option<u32> {
        // T_j is ready at level ⌈log2 j⌉, and its coefficient takes one level more; so does a constant's.
        if degree < 1 << self.babies && ceil_log2(degree.max(1)) < depth {
            return Some(0);
        }
        (1..=self.giants)
            .filter(|&giant| 1 << giant <= degree && giant < depth)
            .filter_map(|giant| {
                let quotient = self.quotient(degree - (1 << giant), depth - 1)?;
                let remainder = self.evaluation((1 << giant) - 1, depth)?;
                Some(quotient + remainder)
            })
            .min()
    }

    /// The product of a quotient of `degree` that must be ready at level `depth`; one with a number is free.
    fn quotient(&self, degree: u32, depth: u32) -> Option<u32> {
        if degree == 0 { Some(0) } else { Some(1 + self.evaluation(degree, depth)?) }
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

    /// Bossuat et al.: 2^l + 2^(m−l) + m − l − 3 products for degree 2^m − 1 with the best l, where one level more than
    /// the least may be spent.
    #[test]
    fn with_a_level_to_spare_general_costs_are_those_of_the_formula() {
        for m in 1..=7u32 {
            let formula = (1..=m).map(|l| (1u32 << l) + (1 << (m - l)) + m - l - 3).min();
            assert_eq!(fewest_multiplications((1 << m) - 1, m + 1, false), formula);
        }
    }

    /// By hand: x², x² with a constant, T_2 and T_3, T_4 = 2·T_2² − 1.
    #[test]
    fn small_costs_are_those_by_hand() {
        let cost = |depth, multiplications| Cost { depth, multiplications };
        assert_eq!(polynomial(1, Parity::Neither), cost(1, 0));
        assert_eq!(polynomial(2, Parity::Neither), cost(2, 1));
        assert_eq!(polynomial(3, Parity::Neither), cost(2, 2));
        assert_eq!(polynomial(4, Parity::Even), cost(3, 2));
        assert_eq!(polynomial(5, Parity::Even), cost(3, 2));
        assert_eq!(polynomial(4, Parity::Odd), cost(2, 2));
    }

    #[test]
    fn symmetry_never_costs_more_and_depth_is_the_least() {
        for degree in 1..=127u32 {
            let [general, even, odd] = [Parity::Neither, Parity::Even, Parity::Odd].map(|p| polynomial(degree, p));
            assert_eq!(general.depth, ceil_log2(degree + 1));
            for special in [even, odd] {
                let saves = special.multiplications <= general.multiplications && special.depth == general.depth;
                assert!(saves || special.depth < general.depth, "{degree}: {special:?}, {general:?}");
            }
        }
    }
}
