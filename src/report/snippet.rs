//! A composition as source code for libraries that evaluate it on ciphertexts.
//!
//! All three take Chebyshev series. Each stage is rescaled to [−1, 1], its output divided by the bound of the next stage's
//! input ([`Composite::normalised_chebyshev`]), so that no level is spent on scaling in between. What each library expects:
//!
//! - Lattigo: for each stage the decimal strings of d_0, d_1, … for `NewPolynomial` of circuits/ckks/minimax in v6
//!   (minimax_composite_polynomial.go), which sets the interval [−1, 1], evaluates Σ d_k T_k, and takes a precision of as
//!   many bits as the longest string has digits. In v5.0 it is `hefloat.NewMinimaxCompositePolynomial`.
//! - OpenFHE: the class `Series` of `export`, at less depth and in fewer products than its own
//!   `EvalChebyshevSeries`, whose first coefficient counts half; d_0 is zero here.
//! - Orion: `_Sign` in orion/nn/activation.py composes series on [−1, 1] whose last one runs from 0 to 1 instead of from
//!   −1 to 1, so that ReLU is x·sign(x); its `fit` asks the backend for them, and the snippet's own `fit` brings them.

use super::export::SERIES;
use crate::minimax::{Composite, CostTable, Real, decimal, to_f64};

/// Significant digits of the decimal strings: more than the 128 bits of the widest ciphertext scale.
const DIGITS: usize = 40;

/// Go, for Lattigo.
pub fn lattigo(composite: &Composite, costs: CostTable) -> String {
    let rows = rows(composite, |d| format!("\"{}\"", decimal(d, DIGITS)), "\"0\"", "\t{", "},");
    format!(
        "{}// Each row has the Chebyshev coefficients of one stage on [-1,1], for minimax.NewPolynomial of Lattigo v6, package\n\
         // github.com/tuneinsight/lattigo/v6/circuits/ckks/minimax (v5.0: hefloat.NewMinimaxCompositePolynomial):\n\
         //\n\
         //\tpolynomials := minimax.NewPolynomial(Sign)\n\
         //\tevaluator := comparison.NewEvaluator(params, minimax.NewEvaluator(params, ckksEvaluator, bootstrapper), polynomials)\n\
         //\tsign, err := evaluator.Sign(ciphertext) // x with |x| <= 1; ReLU(x) = (x + x*sign)/2\n\
         package activation\n\n\
         // Sign is the composition, first stage first.\n\
         var Sign = [][]string{{\n{rows}}}\n",
        header(composite, costs, "// "),
    )
}

/// C++, for OpenFHE.
pub fn openfhe(composite: &Composite, costs: CostTable) -> String {
    let rows = rows(composite, |d| format!("{:e}", to_f64(d)), "0", "    {", "},");
    format!(
        "{}// Each row has the Chebyshev coefficients of one stage on [-1,1]. EvalSign takes {} levels, the least possible, which is\n\
         // fewer than EvalChebyshevSeries takes; Series(stage).Products() says how many products of two ciphertexts a stage takes.\n\
         #pragma once\n\n\
         {SERIES}\n\
         // The composition, first stage first.\n\
         inline const std::vector<std::vector<double>> SIGN = {{\n{rows}}};\n\n\
         // sign(x) for |x| <= 1; ReLU(x) = (x + x*sign(x))/2. It needs the key of EvalMultKeyGen.\n\
         inline lbcrypto::Ciphertext<lbcrypto::DCRTPoly> EvalSign(lbcrypto::Ciphertext<lbcrypto::DCRTPoly> x) {{\n    \
         for (const auto& stage : SIGN)\n        \
         x = activation::Series(stage).Value(x);\n    \
         return x;\n}}\n",
        header(composite, costs, "// "),
        CostTable::Best.sign(&composite.degrees()).depth,
    )
}

/// Python, for Orion.
pub fn orion(composite: &Composite, costs: CostTable) -> String {
    let rows = rows(composite, |d| format!("{:e}", to_f64(d)), "0.0", "    [", "],");
    format!(
        "{}# Each row has the Chebyshev coefficients of one stage on [-1,1]. orion.nn.ReLU computes x*sign(x) with a sign from 0\n\
         # to 1, so its last stage is (T_0 + row)/2. In a network write relu() for orion.nn.ReLU().\n\
         DEGREES = {:?}\n\
         SIGN = [\n{rows}]\n\
         STEP = SIGN[:-1] + [[0.5] + [d / 2 for d in SIGN[-1][1:]]]\n\n\n\
         def relu():\n    \
         \"\"\"An orion.nn.ReLU with this composition in place of one that Orion generates.\"\"\"\n    \
         import orion.nn\n    \
         from orion.nn.activation import _Sign\n\n    \
         class Sign(_Sign):\n        \
         def fit(self):\n            \
         self.coeffs = STEP\n            \
         for act, coeffs in zip(self.acts, STEP):\n                \
         act.set_coeffs(coeffs)\n                \
         act.set_depth()\n\n    \
         module = orion.nn.ReLU(degrees=DEGREES)\n    \
         module.sign = Sign(DEGREES)\n    \
         return module\n",
        header(composite, costs, "# "),
        composite.degrees(),
    )
}

/// What the composition is, in comments.
fn header(composite: &Composite, costs: CostTable, comment: &str) -> String {
    let degrees: Vec<String> = composite.degrees().iter().map(u32::to_string).collect();
    let cost = costs.relu(&composite.degrees());
    let reach = 1.0 + composite.margin;
    let margin = match composite.margin {
        0.0 => "there is no margin for the noise of the scheme".to_owned(),
        _ => format!("noise may carry |x| up to {reach}"),
    };
    format!(
        "{comment}Sign as a composition of minimax polynomials of degrees {}, designed by polyact {}.\n\
         {comment}Error of sign {} for {:e} <= |x| <= {reach}, of ReLU {} on [-{reach},{reach}].\n\
         {comment}ReLU takes depth {} and {} non-scalar multiplications{}; {margin}.\n",
        degrees.join(","),
        env!("CARGO_PKG_VERSION"),
        decimal(&composite.sign_error(), 8),
        composite.epsilon,
        decimal(&composite.relu_error, 8),
        cost.depth,
        cost.multiplications,
        costs.remark(),
    )
}

/// A line a stage: its coefficients with the even ones, between `open` and `close`.
fn rows(composite: &Composite, number: impl Fn(&Real) -> String, zero: &str, open: &str, close: &str) -> String {
    let stages = composite.normalised_chebyshev();
    let rows = stages.iter().map(|stage| {
        let numbers: Vec<String> = stage.iter().flat_map(|d| [zero.to_owned(), number(d)]).collect();
        format!("{open}{}{close}\n", numbers.join(", "))
    });
    rows.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::minimax::{DEFAULT_BITS, Epsilon, paper_set};

    fn composites() -> Vec<Composite> {
        let paper = [7, 14].map(|alpha| {
            let set = paper_set(alpha).unwrap();
            Composite::design(set.degrees, &Epsilon::Given(set.epsilon), DEFAULT_BITS).unwrap()
        });
        paper.into_iter().chain([Composite::design(&[3, 31, 5, 9], &Epsilon::Best, DEFAULT_BITS).unwrap()]).collect()
    }

    /// The numbers of each line that begins with `open` and ends with `close`.
    fn read(snippet: &str, open: &str, close: &str) -> Vec<Vec<f64>> {
        let row = |line: &str| {
            let inner = line.strip_prefix(open)?.strip_suffix(close)?.to_owned();
            Some(inner.split(", ").map(|number| number.trim_matches('"').parse().unwrap()).collect())
        };
        snippet.lines().filter_map(row).collect()
    }

    /// Σ d_k cos(k·arccos t) for |t| ≤ 1, and what continues it beyond; `first` is the weight of d_0.
    fn series(coefficients: &[f64], first: f64, t: f64) -> f64 {
        let chebyshev = |k: usize| match t {
            _ if t.abs() <= 1.0 => (k as f64 * t.acos()).cos(),
            _ => t.signum().powi(k as i32) * (k as f64 * t.abs().acosh()).cosh(),
        };
        coefficients.iter().enumerate().map(|(k, d)| if k == 0 { first * d } else { d * chebyshev(k) }).sum()
    }

    fn check(composite: &Composite, rows: &[Vec<f64>], first: f64) {
        let degrees: Vec<u32> = rows.iter().map(|row| row.len() as u32 - 1).collect();
        assert_eq!(degrees, composite.degrees());
        for i in -500..=500 {
            let x = f64::from(i) / 500.0;
            let expected = to_f64(&composite.sign(&Real::try_from(x).unwrap().with_precision(300).value()));
            let mut t = x;
            for row in rows {
                assert!(t.abs() <= 1.0 + 1e-9, "every stage but the first takes what the one before gives: {t}");
                t = series(row, first, t);
            }
            assert!((t - expected).abs() < 1e-9, "{degrees:?} at {x}: {t} {expected}");
        }
    }

    #[test]
    fn lattigo_has_the_composition_in_its_convention() {
        for composite in composites() {
            check(&composite, &read(&lattigo(&composite, CostTable::Published), "\t{", "},"), 1.0);
        }
    }

    #[test]
    fn openfhe_has_the_composition_in_its_convention() {
        for composite in composites() {
            check(&composite, &read(&openfhe(&composite, CostTable::Published), "    {", "},"), 1.0);
        }
    }

    #[test]
    fn every_header_says_version_degrees_errors_and_depth() {
        let composite = &composites()[1];
        let published = CostTable::Published;
        for snippet in [lattigo(composite, published), openfhe(composite, published), orion(composite, published)] {
            let head: String = snippet.lines().take(3).collect();
            for part in
                [env!("CARGO_PKG_VERSION"), "15,27,29", "1.03759765625e-3", "7.6992393e-5", "6.0338601e-5", "depth 15"]
            {
                assert!(head.contains(part), "{part}: {head}");
            }
        }
        let of_library = openfhe(composite, CostTable::OpenFhe);
        assert!(of_library.contains("depth 17 and 30 non-scalar multiplications, as in OpenFHE 1.5;"), "{of_library}");
    }
}
