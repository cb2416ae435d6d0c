//! The best uniform approximation of a function by polynomials on a union of intervals: the exchange of Remez with all
//! reference points at once.
//!
//! Polynomials of degree n satisfy Haar's condition on any n+2 points, so the best one is unique and its error takes its
//! extreme value with alternating sign on n+2 points. Where function and domain are symmetric, that alternation has
//! more points than are needed, and a symmetric reference can carry no information at all; there the problem is halved:
//! after subtraction of its line c + s·x the function is even or odd, and so is its best approximation, q(x²) or x·q(x²)
//! on the non-negative half, where these satisfy Haar's condition as well (the odd ones without 0, where their error
//! vanishes).
//!
//! Source: Cheney, Introduction to Approximation Theory, chapter 3 (exchange, de la Vallée-Poussin bound); Pachón and
//! Trefethen, BIT 49 (2009), for the barycentric form and the choice of the new reference.

use super::domain::Domain;
use super::extrema::{Extremum, extrema, pieces};
use super::function::{Function, Parity};
use super::real::{Real, abs, is_negative, power_of_two, real};
use super::series::{Nodes, Series};

/// The error on the reference is level to this many bits when the exchange ends.
pub(super) const LEVEL_BITS: isize = 100;
const MAX_EXCHANGES: usize = 100;
/// Samples between two reference points while the error is not level.
const DENSITY: usize = 6;
/// The same when it is, to be sure that no extremum was missed.
const FINAL_DENSITY: usize = 24;

/// A level error.
pub(super) struct Levelled {
    pub series: Series,
    /// The largest |f − p| found, and the smallest on the reference.
    pub bounds: (Real, Real),
    /// Where the error is level, with alternating sign, on the part of the domain that was worked on.
    pub reference: Vec<Real>,
}

/// Why the exchange ended without a level error.
pub(super) enum Unlevelled {
    /// Rounding hides the error, or the start was degenerate.
    Hidden,
    /// The exchanges were used up; between what the error still was.
    Slow(Real, Real),
}

/// The parity that function and domain share.
pub(super) fn parity(function: Function, domain: &Domain) -> Parity {
    if domain.is_symmetric() { function.symmetry().1 } else { Parity::Neither }
}

/// The approximation of degree at most `degree`, with `bits` of precision. `attempt` varies the first reference.
pub(super) fn exchange(
    function: Function,
    domain: &Domain,
    degree: usize,
    bits: usize,
    attempt: usize,
) -> Result<Levelled, Unlevelled> {
    let problem = Problem::new(function, domain, degree, bits);
    let pieces = pieces(function, &problem.intervals, bits);
    let nodes = Nodes::new(problem.coefficients, bits);
    let mut reference = problem.first_reference(attempt);
    let mut density = DENSITY;
    let mut reached = (Real::ZERO, Real::ZERO);
    for _ in 0..MAX_EXCHANGES {
        let series = problem.levelled(&reference, &nodes).ok_or(Unlevelled::Hidden)?;
        let found = extrema(function, &series, &pieces, &reference, density);
        let upper = found.iter().map(|extremum| abs(&extremum.error)).fold(Real::ZERO, larger);
        let alternating = alternation(found, reference.len()).ok_or(Unlevelled::Hidden)?;
        let lower = alternating.iter().map(|extremum| abs(&extremum.error)).fold(upper.clone(), smaller);
        reference = alternating.into_iter().map(|extremum| extremum.x).collect();
        if &upper - &lower <= &upper * power_of_two(-LEVEL_BITS, bits) {
            if density == FINAL_DENSITY {
                return Ok(Levelled { series, bounds: (upper, lower), reference });
            }
            density = FINAL_DENSITY;
        }
        reached = (lower, upper);
    }
    Err(Unlevelled::Slow(reached.0, reached.1))
}

fn larger(a: Real, b: Real) -> Real {
    if a < b { b } else { a }
}

fn smaller(a: Real, b: Real) -> Real {
    if b < a { b } else { a }
}

/// `count` of the extrema whose errors alternate in sign, the largest among them; `None` if fewer alternate.
fn alternation(extrema: Vec<Extremum>, count: usize) -> Option<Vec<Extremum>> {
    // Of neighbours of one sign the largest.
    let mut chosen: Vec<Extremum> = Vec::new();
    for extremum in extrema.into_iter().filter(|extremum| extremum.error != Real::ZERO) {
        match chosen.last_mut() {
            Some(last) if is_negative(&last.error) == is_negative(&extremum.error) => {
                if abs(&extremum.error) > abs(&last.error) {
                    *last = extremum;
                }
            }
            _ => chosen.push(extremum),
        }
    }
    // Too many: the smallest goes, inside together with a neighbour, so that the signs still alternate.
    while chosen.len() > count {
        let size = |i: usize| abs(&chosen[i].error);
        let last = chosen.len() - 1;
        let least = (0..=last).fold(0, |least, i| if size(i) < size(least) { i } else { least });
        if chosen.len() == count + 1 || least == 0 || least == last {
            chosen.remove(if size(0) < size(last) { 0 } else { last });
        } else {
            let neighbour = if size(least - 1) < size(least + 1) { least - 1 } else { least };
            chosen.drain(neighbour..neighbour + 2);
        }
    }
    (chosen.len() == count).then_some(chosen)
}

/// f − c − s·x ≈ w(x)·q(v(x)): the problem without its symmetry.
///
/// v maps the hull to [−1, 1]; v = t = (2x − low − high)/(high − low) and w = 1, or on a symmetric hull
/// v = 2(x/high)² − 1 and w = 1 or x/high.
struct Problem {
    function: Function,
    parity: Parity,
    low: Real,
    high: Real,
    /// Where the error is looked at.
    intervals: Vec<(f64, f64)>,
    /// c and s; zero without symmetry.
    line: [Real; 2],
    degree: usize,
    /// How many q has.
    coefficients: usize,
    bits: usize,
}

impl Problem {
    fn new(function: Function, domain: &Domain, degree: usize, bits: usize) -> Problem {
        let parity = parity(function, domain);
        let (line, intervals, coefficients) = match parity {
            Parity::Neither => ([0.0, 0.0], domain.intervals().to_vec(), degree + 1),
            Parity::Even => (function.symmetry().0, domain.upper_half(), degree / 2 + 1),
            Parity::Odd => (function.symmetry().0, domain.upper_half(), degree.div_ceil(2)),
        };
        let (low, high) = domain.hull();
        let line = line.map(|number| real(number, bits));
        let (low, high) = (real(low, bits), real(high, bits));
        Problem { function, parity, low, high, intervals, line, degree, coefficients, bits }
    }

    fn v(&self, x: &Real) -> Real {
        match self.parity {
            Parity::Neither => (x + x - &self.low - &self.high) / (&self.high - &self.low),
            Parity::Even | Parity::Odd => {
                let ratio = x / &self.high;
                Real::from(2u8) * &ratio * &ratio - Real::ONE
            }
        }
    }

    fn x(&self, v: &Real) -> Real {
        match self.parity {
            Parity::Neither => ((&self.high - &self.low) * v + &self.low + &self.high) / Real::from(2u8),
            Parity::Even | Parity::Odd => ((v + Real::ONE) / Real::from(2u8)).sqrt() * &self.high,
        }
    }

    fn weight(&self, x: &Real) -> Real {
        if self.parity == Parity::Odd { x / &self.high } else { real(1.0, self.bits) }
    }

    /// The extrema of a Chebyshev polynomial, spread over the intervals as if they had no gaps in v. Further attempts
    /// shift them.
    fn first_reference(&self, attempt: usize) -> Vec<Real> {
        // The odd error vanishes at 0, which therefore is no reference point.
        let skipped = usize::from(self.parity == Parity::Odd && self.intervals[0].0 == 0.0);
        let last = self.coefficients + skipped;
        let ends: Vec<(Real, Real)> =
            self.intervals.iter().map(|&(low, high)| (real(low, self.bits), real(high, self.bits))).collect();
        let in_v: Vec<(Real, Real)> = ends.iter().map(|(low, high)| (self.v(low), self.v(high))).collect();
        let total = in_v.iter().fold(Real::ZERO, |sum, (low, high)| sum + (high - low));
        let point = |i: usize| {
            if i == 0 {
                return ends[0].0.clone();
            }
            let fraction = 0.5 - 0.5 * (std::f64::consts::PI * i as f64 / last as f64).cos();
            let shifted = fraction + 0.1 * attempt as f64 * fraction * (1.0 - fraction);
            let mut rest = &total * real(shifted, self.bits);
            for ((low, high), end) in in_v.iter().zip(&ends) {
                if rest < high - low {
                    let x = self.x(&(low + rest));
                    // Rounding may put a point beside the end that it is.
                    return if x < end.0 { end.0.clone() } else { x };
                }
                rest -= high - low;
            }
            ends[ends.len() - 1].1.clone()
        };
        (skipped..=last).map(point).collect()
    }

    /// The polynomial whose error is ±h in turn on the points of `reference`, one more than q has coefficients.
    /// `None` when rounding spoils the level.
    fn levelled(&self, reference: &[Real], nodes: &Nodes) -> Option<Series> {
        let v: Vec<Real> = reference.iter().map(|x| self.v(x)).collect();
        let w: Vec<Real> = reference.iter().map(|x| self.weight(x)).collect();
        let barycentric: Vec<Real> = (0..v.len())
            .map(|i| {
                let others = (0..v.len()).filter(|&j| j != i);
                Real::ONE / others.fold(real(1.0, self.bits), |product, j| product * (&v[i] - &v[j]))
            })
            .collect();
        let [constant, slope] = &self.line;
        let f: Vec<Real> = reference.iter().map(|x| self.function.jet(x, !is_negative(x))[0].clone()).collect();
        let target: Vec<Real> =
            reference.iter().zip(&f).zip(&w).map(|((x, f), w)| (f - constant - slope * x) / w).collect();

        // The divided difference of q over all points vanishes.
        let signed = |i: usize, value: Real| if i.is_multiple_of(2) { value } else { -value };
        let (mut of_target, mut of_signs) = (Real::ZERO, Real::ZERO);
        for i in 0..v.len() {
            of_target += &barycentric[i] * &target[i];
            of_signs += signed(i, &barycentric[i] / &w[i]);
        }
        let h = of_target / of_signs;
        let q: Vec<Real> = (0..v.len()).map(|i| &target[i] - signed(i, &h / &w[i])).collect();
        let at_nodes: Vec<Real> = nodes.zeros().map(|zero| interpolated(&v, &q, &barycentric, &zero)).collect();
        let series = self.whole(&nodes.coefficients(&at_nodes, self.coefficients));

        let allowed = abs(&h) * power_of_two(-LEVEL_BITS - 8, self.bits);
        let level = reference.iter().zip(&f).enumerate().all(|(i, (x, f))| {
            let error = f - series.value(x);
            abs(&(error - signed(i, h.clone()))) < allowed
        });
        level.then_some(series)
    }

    /// The series on the hull of c + s·x + w·q, `q` in T_k(v): T_k(2t² − 1) is T_2k(t), and
    /// t·T_2k(t) = (T_{2k+1}(t) + T_|2k−1|(t))/2.
    fn whole(&self, q: &[Real]) -> Series {
        let mut coefficients = vec![Real::ZERO; self.degree + 1];
        for (k, c) in q.iter().enumerate() {
            match self.parity {
                Parity::Neither => coefficients[k] += c,
                Parity::Even => coefficients[2 * k] += c,
                Parity::Odd => {
                    let half = c / Real::from(2u8);
                    coefficients[2 * k + 1] += &half;
                    coefficients[(2 * k).abs_diff(1)] += half;
                }
            }
        }
        let [constant, slope] = &self.line;
        coefficients[0] += constant;
        coefficients[1] += slope * &self.high;
        Series::new(self.low.clone(), self.high.clone(), coefficients)
    }
}

/// The value at `v` of the polynomial through the points (`points`, `values`), by the barycentric formula.
fn interpolated(points: &[Real], values: &[Real], weights: &[Real], v: &Real) -> Real {
    let (mut above, mut below) = (Real::ZERO, Real::ZERO);
    for ((point, value), weight) in points.iter().zip(values).zip(weights) {
        let distance = v - point;
        if distance == Real::ZERO {
            return value.clone();
        }
        let share = weight / distance;
        above += &share * value;
        below += share;
    }
    above / below
}
