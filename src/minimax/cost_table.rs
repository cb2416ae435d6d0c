//! What the stages of a composition cost under CKKS: as published, as Lattigo and OpenFHE evaluate them, or with the
//! fewest products known.
//!
//! A library need not evaluate an odd polynomial as cheaply as the literature says, nor take the least depth. What is said
//! of libraries here is for Chebyshev series on [−1, 1], where no level is spent on scaling. The levels up to degree 63 and
//! the products up to degree 31 are those counted in the libraries. Beyond, the products were not counted: they follow from
//! the scheme and its choice of steps, read in the source, which give every number that was counted.

use super::cost::{self, Cost};

/// Which costs count.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum CostTable {
    /// Depth ⌈log2(d+1)⌉ and the odd baby-step giant-step evaluation, see [`cost`].
    #[default]
    Published,
    /// Lattigo 6.2: the depth is the published one, but an odd polynomial is evaluated as a general one
    /// (circuits/common/polynomial/polynomial.go).
    Lattigo,
    /// `EvalChebyshevSeries` of OpenFHE 1.5 with the bounds −1 and 1.
    OpenFhe,
    /// The published depth with the fewest products known: one less for degrees 7, 15 and 31. Their leading part is a
    /// multiple of T_3 plus one of x that must be ready as early as T_3 itself, which takes a product more; computed with its
    /// factor, w = 2·(c·x)·T_2 − c·x = c·T_3 serves for both. Done on ciphertexts for 7 and 15; for 31 it follows from the
    /// same step. Whether it saves a product beyond 31 is not settled; there the published products stand.
    Best,
}

impl CostTable {
    /// All of them.
    pub const ALL: [CostTable; 4] = [CostTable::Published, CostTable::Lattigo, CostTable::OpenFhe, CostTable::Best];

    /// Its name in options and files.
    pub fn name(self) -> &'static str {
        match self {
            CostTable::Published => "published",
            CostTable::Lattigo => "lattigo",
            CostTable::OpenFhe => "openfhe",
            CostTable::Best => "best",
        }
    }

    /// What a sentence that ends in a cost goes on with; empty for the published costs.
    pub fn remark(self) -> &'static str {
        match self {
            CostTable::Published => "",
            CostTable::Lattigo => ", as in Lattigo 6.2",
            CostTable::OpenFhe => ", as in OpenFHE 1.5",
            CostTable::Best => ", with the fewest products known",
        }
    }

    /// The cost of an odd polynomial of odd `degree`, 3 to 127.
    pub fn odd_polynomial(self, degree: u32) -> Cost {
        let published = cost::odd_polynomial(degree);
        match self {
            CostTable::Published => published,
            CostTable::Lattigo => {
                let general = cost::general_polynomial_by_the_formula(degree);
                // There the leading part, of degree 9 to 15, is split by the formula for its own degree, into more parts than
                // it need be.
                let wasted = u32::from(degree > 120);
                Cost { multiplications: general.multiplications + wasted, ..general }
            }
            CostTable::OpenFhe => chebyshev_series_of_openfhe(degree),
            CostTable::Best => {
                let saved = u32::from(matches!(degree, 7 | 15 | 31));
                Cost { multiplications: published.multiplications - saved, ..published }
            }
        }
    }

    /// The cost of a sign whose stages have these `degrees`.
    pub fn sign(self, degrees: &[u32]) -> Cost {
        degrees.iter().fold(Cost::default(), |sum, &degree| sum + self.odd_polynomial(degree))
    }

    /// The cost of the ReLU, or of one max, that such a sign makes.
    pub fn relu(self, degrees: &[u32]) -> Cost {
        self.sign(degrees) + cost::FINAL_PRODUCT
    }
}

/// `EvalChebyshevSeries` takes T_1, …, T_k, then T_2k, T_4k, …, T_{2^(m−1)k} and T_{(2^m−1)k}, and 2^(m−1) − 1 products
/// more for a degree below k·(2^m − 1), the scheme of Paterson and Stockmeyer (Chen, Chillotti, Song, ePrint 2018/1043).
fn chebyshev_series_of_openfhe(degree: u32) -> Cost {
    // Below degree 5 it is the sum of the T_j with their coefficients, in one level after T_3's two.
    if degree < 5 {
        return Cost { depth: 3, multiplications: 2 };
    }
    // As src/pke/lib/scheme/ckksrns/ckksrns-utils.cpp chooses it.
    let m = match degree {
        12..=13 | 18..=55 | 60..=76 => 3,
        56..=59 | 77.. => 4,
        _ => 2,
    };
    let k = degree / ((1 << m) - 1) + 1;
    Cost { depth: cost::ceil_log2(k) + m, multiplications: k + 2 * m + (1 << (m - 1)) - 4 }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of degrees 3, 5, 7, …
    fn products<const N: usize>(table: CostTable) -> [u32; N] {
        std::array::from_fn(|i| table.odd_polynomial(2 * i as u32 + 3).multiplications)
    }

    /// Relinearizations counted in OpenFHE 1.5.1 and Lattigo 6.2, degrees 3 to 31.
    #[test]
    fn products_of_the_libraries_are_those_counted_in_them() {
        assert_eq!(products(CostTable::OpenFhe), [2, 4, 5, 6, 6, 8, 8, 8, 9, 10, 10, 10, 10, 11, 11]);
        assert_eq!(products(CostTable::Lattigo), [2, 4, 5, 6, 6, 7, 8, 10, 10, 10, 10, 11, 11, 12, 13]);
    }

    /// What the recursion of Lattigo's source gives, followed step by step, at the ends of what each choice of steps holds for.
    #[test]
    fn products_of_lattigo_beyond_those_counted_follow_its_source() {
        for (degree, multiplications) in [(33, 13), (61, 17), (63, 18), (65, 21), (119, 24), (121, 26), (127, 28)] {
            assert_eq!(CostTable::Lattigo.odd_polynomial(degree).multiplications, multiplications, "degree {degree}");
        }
    }

    /// Levels measured with OpenFHE up to degree 63; beyond, its FUNCTION_EVALUATION.md, less the level that bounds other
    /// than −1 and 1 take.
    #[test]
    fn levels_of_openfhe_are_those_measured_and_documented() {
        let last_degrees = [(5, 3), (13, 4), (27, 5), (59, 6), (119, 7), (127, 8)];
        for degree in (3..=127).step_by(2) {
            let levels = last_degrees.iter().find(|(last, _)| degree <= *last).unwrap().1;
            assert_eq!(CostTable::OpenFhe.odd_polynomial(degree).depth, levels, "degree {degree}");
        }
    }

    #[test]
    fn the_best_products_are_the_published_ones_but_for_degrees_7_15_and_31() {
        assert_eq!(products(CostTable::Best), [2, 3, 4, 5, 6, 7, 7, 8, 8, 9, 9, 10, 10, 11, 11]);
        let differ = (3..=127)
            .step_by(2)
            .filter(|&degree| CostTable::Best.odd_polynomial(degree) != CostTable::Published.odd_polynomial(degree));
        assert_eq!(differ.collect::<Vec<u32>>(), [7, 15, 31]);
    }

    /// What a library does in the published depth takes no fewer products than the fewest known.
    #[test]
    fn no_table_is_below_the_best_one_and_depth_never_falls_with_the_degree() {
        for table in CostTable::ALL {
            let costs: Vec<Cost> = (3..=127).step_by(2).map(|degree| table.odd_polynomial(degree)).collect();
            for (degree, cost) in (3..=127).step_by(2).zip(&costs) {
                let best = CostTable::Best.odd_polynomial(degree);
                assert!(cost.depth >= best.depth, "{table:?} {degree}: {cost:?} {best:?}");
                assert!(
                    cost.multiplications >= best.multiplications || cost.depth > best.depth,
                    "{table:?} {degree}: {cost:?} {best:?}"
                );
            }
            assert!(costs.windows(2).all(|pair| pair[0].depth <= pair[1].depth), "{table:?}");
        }
        let lattigo: [u32; 63] = products(CostTable::Lattigo);
        assert!(lattigo.is_sorted(), "{lattigo:?}");
    }

    /// The published sets for 2^-7, 2^-10, 2^-13 and 2^-14 and one of many small degrees; levels of one ReLU and products
    /// as counted in the libraries.
    #[test]
    fn whole_relus_cost_what_was_measured() {
        let measured = |degrees: &[u32], costs: [(u32, u32); 3]| {
            for (table, (depth, multiplications)) in CostTable::ALL.into_iter().zip(costs) {
                assert_eq!(table.relu(degrees), Cost { depth, multiplications }, "{table:?} {degrees:?}");
            }
        };
        measured(&[7, 7], [(7, 11), (7, 11), (9, 11)]);
        measured(&[7, 7, 13], [(11, 18), (11, 18), (13, 19)]);
        measured(&[15, 15, 27], [(14, 27), (14, 28), (16, 27)]);
        measured(&[15, 27, 29], [(15, 30), (15, 32), (17, 30)]);
        measured(&[3, 3, 5, 5, 5, 5, 5], [(20, 20), (20, 25), (22, 25)]);
    }
}
