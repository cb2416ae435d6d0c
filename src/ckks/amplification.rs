//! What becomes of the errors of the products inside an activation by its end.
//!
//! A polynomial in the Chebyshev basis is computed from T_2, T_3, …, each a product T_{a+b} = 2·T_a·T_b − T_{a−b}, by splitting it at
//! the powers of two, p = q·T_g + r (Paterson and Stockmeyer; Han and Ki, CT-RSA 2020, section 3). Behind each product, and behind
//! each sum of multiples, is a rescaling, whose error later operations change as their derivative says. The errors are independent,
//! so their variances add up.

/// What errors inside are multiplied by: root mean squares over inputs spread evenly over the range.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Amplification {
    /// Of all rescalings together, of each of which the standard deviation is 1.
    pub rescalings: f64,
    /// Of an error between two stages, on average over the places between stages; 0 of a single polynomial.
    pub cuts: f64,
}

/// Inputs over which the squares are averaged.
const INPUTS: usize = 65;

/// Of a chain of `stages`, Chebyshev series on [−1, 1] with values there; with `product`, of x·(1 + p(x))/2.
pub fn amplification(stages: &[Vec<f64>], product: bool) -> Amplification {
    let (mut rescalings, mut cuts) = (0.0, 0.0);
    for input in 0..INPUTS {
        let x = 2.0 * input as f64 / (INPUTS - 1) as f64 - 1.0;
        let (tape, ends) = computed(stages, product, x);
        let slopes = tape.slopes();
        let squares = tape.steps.iter().zip(&slopes).filter(|(step, _)| step.rescaled);
        rescalings += squares.map(|(_, slope)| slope * slope).sum::<f64>();
        let inside = ends.len().saturating_sub(usize::from(!product)).min(ends.len());
        let between = &ends[..inside];
        cuts += between.iter().map(|&end| slopes[end].powi(2)).sum::<f64>() / between.len().max(1) as f64;
    }
    let mean = |sum: f64| (sum / INPUTS as f64).sqrt();
    Amplification { rescalings: mean(rescalings), cuts: mean(cuts) }
}

/// One operation: its value, and its slopes by its operands.
struct Step {
    value: f64,
    slopes: Vec<(usize, f64)>,
    rescaled: bool,
}

/// Operations in their order.
#[derive(Default)]
struct Tape {
    steps: Vec<Step>,
}

impl Tape {
    fn add(&mut self, value: f64, slopes: Vec<(usize, f64)>, rescaled: bool) -> usize {
        self.steps.push(Step { value, slopes, rescaled });
        self.steps.len() - 1
    }

    /// Σ c_k·x_k + `constant`.
    fn sum(&mut self, terms: Vec<(usize, f64)>, constant: f64, rescaled: bool) -> usize {
        let value = terms.iter().map(|&(of, factor)| factor * self.steps[of].value).sum::<f64>() + constant;
        self.add(value, terms, rescaled)
    }

    fn product(&mut self, a: usize, b: usize) -> usize {
        let [x, y] = [a, b].map(|of| self.steps[of].value);
        self.add(x * y, vec![(a, y), (b, x)], true)
    }

    /// The slope of the last result by that of each step.
    fn slopes(&self) -> Vec<f64> {
        let mut slopes = vec![0.0; self.steps.len()];
        if let Some(last) = slopes.last_mut() {
            *last = 1.0;
        }
        for (at, step) in self.steps.iter().enumerate().rev() {
            for &(of, slope) in &step.slopes {
                slopes[of] += slopes[at] * slope;
            }
        }
        slopes
    }
}

/// The operations for one input, and the results of the stages.
fn computed(stages: &[Vec<f64>], product: bool, x: f64) -> (Tape, Vec<usize>) {
    let mut tape = Tape::default();
    let input = tape.add(x, Vec::new(), false);
    let mut ends = Vec::new();
    let mut at = input;
    for stage in stages {
        at = Basis::new(&mut tape, at).series(stage);
        ends.push(at);
    }
    if product {
        // (x/2)·(1 + p): the half is folded into the last stage.
        let factor = tape.sum(vec![(at, 0.5)], 0.5, false);
        tape.product(input, factor);
    }
    (tape, ends)
}

/// T_0, T_1, … of one value, as far as they are needed.
struct Basis<'a> {
    tape: &'a mut Tape,
    known: Vec<Option<usize>>,
}

impl Basis<'_> {
    fn new(tape: &mut Tape, of: usize) -> Basis<'_> {
        Basis { tape, known: vec![None, Some(of)] }
    }

    /// T_k, k ≥ 1.
    fn polynomial(&mut self, k: usize) -> usize {
        if let Some(known) = self.known.get(k).copied().flatten() {
            return known;
        }
        let a = k.div_ceil(2);
        let b = k - a;
        let (first, second) = (self.polynomial(a), self.polynomial(b));
        let product = self.tape.product(first, second);
        let found = match a - b {
            0 => self.tape.sum(vec![(product, 2.0)], -1.0, false),
            less => {
                let less = self.polynomial(less);
                self.tape.sum(vec![(product, 2.0), (less, -1.0)], 0.0, false)
            }
        };
        if self.known.len() <= k {
            self.known.resize(k + 1, None);
        }
        self.known[k] = Some(found);
        found
    }

    /// Σ c_k·T_k.
    fn series(&mut self, coefficients: &[f64]) -> usize {
        let length = coefficients.iter().rposition(|&c| c != 0.0).map_or(1, |last| last + 1);
        let small = (length as f64).sqrt().log2().ceil().exp2() as usize;
        self.split(coefficients[..length].to_vec(), small.max(2))
    }

    /// The same, with series up to degree `small` as sums of multiples.
    fn split(&mut self, mut coefficients: Vec<f64>, small: usize) -> usize {
        let length = coefficients.len();
        if length <= small + 1 {
            let terms: Vec<(usize, f64)> =
                coefficients.iter().copied().enumerate().skip(1).filter(|(_, c)| *c != 0.0).collect();
            let terms = terms.into_iter().map(|(k, c)| (self.polynomial(k), c)).collect();
            return self.tape.sum(terms, coefficients.first().copied().unwrap_or(0.0), true);
        }
        // T_{g+j} = 2·T_g·T_j − T_{g−j}.
        let g = length.next_power_of_two() / 2;
        let mut quotient = coefficients.split_off(g);
        for (j, c) in quotient.iter_mut().enumerate().skip(1) {
            coefficients[g - j] -= *c;
            *c *= 2.0;
        }
        let quotient = self.split(quotient, small);
        let rest = self.split(coefficients, small);
        let giant = self.polynomial(g);
        let product = self.tape.product(quotient, giant);
        self.tape.sum(vec![(product, 1.0), (rest, 1.0)], 0.0, false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clenshaw(coefficients: &[f64], x: f64) -> f64 {
        let (mut b, mut after) = (0.0, 0.0);
        for &c in coefficients.iter().skip(1).rev() {
            (b, after) = (2.0 * x * b - after + c, b);
        }
        x * b - after + coefficients[0]
    }

    /// Signs by polynomials that are not small anywhere.
    fn stages() -> Vec<Vec<f64>> {
        let odd = |degree: usize| (0..=degree).map(|k| if k % 2 == 1 { 0.5 / k as f64 } else { 0.0 }).collect();
        vec![odd(7), odd(15)]
    }

    #[test]
    fn the_operations_give_the_polynomial() {
        for degree in [1, 2, 3, 5, 7, 12, 31, 127] {
            let series: Vec<f64> = (0..=degree).map(|k| ((k * 7 + 3) % 11) as f64 / 11.0 - 0.4).collect();
            for x in [-1.0, -0.3, 0.0, 0.71, 1.0] {
                let (tape, _) = computed(std::slice::from_ref(&series), false, x);
                let found = tape.steps.last().unwrap().value;
                assert!((found - clenshaw(&series, x)).abs() < 1e-10, "{degree} {x}");
                // Degree 2^k − 1 takes 2·√… products at most.
                let products = tape.steps.iter().filter(|step| step.slopes.len() == 2 && step.rescaled).count();
                assert!(products <= degree.max(1));
            }
        }
    }

    /// Against draws: every rescaling adds a small error of its own.
    #[test]
    fn errors_grow_as_in_an_evaluation_with_errors() {
        let stages = stages();
        let mut state = 1u64;
        let mut normal = || {
            let uniform: f64 = (0..12)
                .map(|_| {
                    state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
                    (state >> 11) as f64 / (1u64 << 53) as f64
                })
                .sum();
            uniform - 6.0
        };
        let (size, draws) = (1e-7, 400);
        let mut squares = 0.0;
        for input in 0..INPUTS {
            let x = 2.0 * input as f64 / (INPUTS - 1) as f64 - 1.0;
            let (tape, _) = computed(&stages, true, x);
            let exact = tape.steps.last().unwrap().value;
            for _ in 0..draws {
                // Products of what went before, errors and all.
                let mut values: Vec<f64> = Vec::new();
                for step in &tape.steps {
                    let off: f64 =
                        step.slopes.iter().map(|&(of, slope)| slope * (values[of] - tape.steps[of].value)).sum();
                    let second = match step.slopes[..] {
                        [(a, _), (b, _)]
                            if step.rescaled
                                && (step.value - tape.steps[a].value * tape.steps[b].value).abs() < 1e-15 =>
                        {
                            (values[a] - tape.steps[a].value) * (values[b] - tape.steps[b].value)
                        }
                        _ => 0.0,
                    };
                    let own = if step.rescaled { size * normal() } else { 0.0 };
                    values.push(step.value + off + second + own);
                }
                squares += ((values.last().unwrap() - exact) / size).powi(2);
            }
        }
        let drawn = (squares / (INPUTS * draws) as f64).sqrt();
        let found = amplification(&stages, true).rescalings;
        assert!((found / drawn - 1.0).abs() < 0.02, "{found} {drawn}");
    }

    #[test]
    fn a_cut_counts_by_what_follows() {
        // Behind p(x) = x the product x·(1 + p)/2 has the slope x/2, of mean square 1/12.
        let found = amplification(&[vec![0.0, 1.0]], true);
        assert!((found.cuts - (1f64 / 12.0).sqrt()).abs() < 0.01, "{}", found.cuts);
        assert_eq!(amplification(&[vec![0.0, 1.0]], false).cuts, 0.0);
        assert!(amplification(&stages(), false).cuts > 0.0);
    }
}
