//! The one definition of what a site computes from each value: its operations, in their order.
//!
//! A [`Formula`] is written against a [`Machine`], and every machine computes it: the registers of an instruction set
//! (`registers`), tensors (`tensor`), numbers one by one (`plain`), and one that writes the text of a kernel for CUDA (`cuda`).
//! The numbers of a formula, coefficients and scales, are its parameters: sites that differ only in them have the same [`Form`],
//! and with it the same compiled kernel; and every channel can have its own.

use super::Arithmetic;
use super::isa::{Isa, Pass};

/// How far ReLU6 shifts its second ReLU, whose range is as much larger.
pub(super) const SIX: f64 = 6.0;

/// Coefficients of a block of a series: the degree of the polynomial that stands for the variable of its blocks.
pub(super) const BLOCK: usize = 4;

/// What computes, on one value or on several side by side. One that simulates noise adds it to the results of its operations.
pub(super) trait Machine {
    type Value: Clone;

    fn constant(&self, number: f64) -> Self::Value;
    /// Parameter number `at`.
    fn parameter(&self, at: usize) -> Self::Value;
    fn add(&self, a: &Self::Value, b: &Self::Value) -> Self::Value;
    fn sub(&self, a: &Self::Value, b: &Self::Value) -> Self::Value;
    fn mul(&self, a: &Self::Value, b: &Self::Value) -> Self::Value;
    /// a·b + c, rounded once where the machine can.
    fn mul_add(&self, a: &Self::Value, b: &Self::Value, c: &Self::Value) -> Self::Value;
}

/// A function of one variable.
pub(super) trait Formula: Copy {
    /// Its value at `x`, and how many parameters it took, from number `first` on.
    fn value<M: Machine>(self, machine: &M, first: usize, x: &M::Value) -> (M::Value, usize);
}

/// What a site computes, without its parameters.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Form {
    pub shape: Shape,
    /// Whether it is f(x) − f(x − 6), each with parameters of its own; otherwise f(x).
    pub six: bool,
}

/// The formula f.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Shape {
    /// [`Composition`] of stages with so many coefficients each.
    Composition(Vec<usize>),
    /// [`Series`] of so many blocks.
    Series(usize),
    /// [`EvenSeries`] of so many blocks.
    EvenSeries(usize),
    Parabola,
}

/// What is done with the formula of a form.
pub(super) trait Visitor {
    type Result;

    fn visit<F: Blocked>(self, formula: Whole<F>) -> Self::Result;
}

/// A formula with a choice of how many registers are computed side by side: enough to hide the latency of an operation, four
/// cycles on two ports, and as few as leave room for what it keeps of each.
pub(super) trait Blocked: Formula {
    /// Run `pass`, which computes it in `arithmetic`, on registers of `isa`.
    fn run<P: Pass>(self, isa: Isa, arithmetic: Arithmetic, pass: P);
}

impl Form {
    /// Give the formula, as it is computed in `arithmetic`, to `visitor`.
    pub fn visit<V: Visitor>(&self, arithmetic: Arithmetic, visitor: V) -> V::Result {
        let six = self.six;
        match (&self.shape, arithmetic) {
            (Shape::Composition(lengths), Arithmetic::F64) => {
                visitor.visit(Whole { formula: Composition { lengths, basis: OddPowers }, six })
            }
            (Shape::Composition(lengths), Arithmetic::F32) => {
                visitor.visit(Whole { formula: Composition { lengths, basis: OddChebyshev }, six })
            }
            (&Shape::Series(blocks), _) => visitor.visit(Whole { formula: Series { blocks }, six }),
            (&Shape::EvenSeries(blocks), _) => visitor.visit(Whole { formula: EvenSeries { blocks }, six }),
            (Shape::Parabola, _) => visitor.visit(Whole { formula: Parabola, six }),
        }
    }
}

/// f(x), or with `six` f(x) − f(x − 6).
#[derive(Debug, Clone, Copy)]
pub(super) struct Whole<F> {
    formula: F,
    six: bool,
}

impl<F: Formula> Formula for Whole<F> {
    #[inline(always)]
    fn value<M: Machine>(self, machine: &M, first: usize, x: &M::Value) -> (M::Value, usize) {
        let (value, taken) = self.formula.value(machine, first, x);
        if !self.six {
            return (value, taken);
        }
        let shifted = machine.sub(x, &machine.constant(SIX));
        let (second, more) = self.formula.value(machine, first + taken, &shifted);
        (machine.sub(&value, &second), taken + more)
    }
}

impl<F: Blocked> Blocked for Whole<F> {
    #[inline(always)]
    fn run<P: Pass>(self, isa: Isa, arithmetic: Arithmetic, pass: P) {
        self.formula.run(isa, arithmetic, pass);
    }
}

/// max(a, b) = b + r(a − b) by the formula of an approximate ReLU r.
#[inline(always)]
pub(super) fn max<M: Machine>(machine: &M, relu: impl Formula, a: &M::Value, b: &M::Value) -> M::Value {
    let (gain, _) = relu.value(machine, 0, &machine.sub(a, b));
    machine.add(b, &gain)
}

/// x/2 + x/2·p(s·x), with p the composition of odd polynomials. Parameters: s, and the coefficients of the stages, of odd degrees
/// only, one stage after the other.
#[derive(Debug, Clone, Copy)]
struct Composition<'a, B> {
    /// Coefficients of each stage.
    lengths: &'a [usize],
    basis: B,
}

impl<B: OddBasis> Formula for Composition<'_, B> {
    #[inline(always)]
    fn value<M: Machine>(self, machine: &M, first: usize, x: &M::Value) -> (M::Value, usize) {
        let half = machine.mul(x, &machine.constant(0.5));
        let mut y = machine.mul(x, &machine.parameter(first));
        let mut taken = 1;
        for &length in self.lengths {
            y = self.basis.value(machine, first + taken, length, &y);
            taken += length;
        }
        (machine.mul_add(&half, &y, &half), taken)
    }
}

impl Blocked for Composition<'_, OddPowers> {
    /// Of each register a square and a sum.
    fn run<P: Pass>(self, isa: Isa, _: Arithmetic, pass: P) {
        isa.run::<P, 10, 7, 2>(pass);
    }
}

impl Blocked for Composition<'_, OddChebyshev> {
    /// Of each register a variable and two results.
    fn run<P: Pass>(self, isa: Isa, _: Arithmetic, pass: P) {
        isa.run_single::<P, 5, 4, 1>(pass);
    }
}

/// Odd polynomials by their coefficients.
trait OddBasis: Copy {
    /// The polynomial of `length` coefficients, at least one, at `y`.
    fn value<M: Machine>(self, machine: &M, first: usize, length: usize, y: &M::Value) -> M::Value;
}

/// c_1·y + c_3·y³ + …, by Horner's scheme in y².
#[derive(Debug, Clone, Copy)]
struct OddPowers;

impl OddBasis for OddPowers {
    #[inline(always)]
    fn value<M: Machine>(self, machine: &M, first: usize, length: usize, y: &M::Value) -> M::Value {
        let square = machine.mul(y, y);
        let mut sum = machine.parameter(first + length - 1);
        for at in (first..first + length - 1).rev() {
            sum = machine.mul_add(&sum, &square, &machine.parameter(at));
        }
        machine.mul(y, &sum)
    }
}

/// d_1·T_1(y) + d_3·T_3(y) + … for |y| ≤ 1, by Clenshaw's recurrence for u = 2·T_2(y) = 4y² − 2: T_{k+2} = u·T_k − T_{k−2}, so
/// with b_j = d_j + u·b_{j+1} − b_{j+2} the sum is y·(b_0 − b_1) (Mason and Handscomb, Chebyshev Polynomials, section 2.4).
#[derive(Debug, Clone, Copy)]
struct OddChebyshev;

impl OddBasis for OddChebyshev {
    #[inline(always)]
    fn value<M: Machine>(self, machine: &M, first: usize, length: usize, y: &M::Value) -> M::Value {
        let u = machine.mul_add(&machine.mul(y, &machine.constant(4.0)), y, &machine.constant(-2.0));
        let mut at = first + length - 1;
        let (mut next, mut after) = (machine.parameter(at), machine.constant(0.0));
        // Two at a time, so that none has to change its place.
        while at >= first + 2 {
            after = machine.mul_add(&u, &next, &machine.sub(&machine.parameter(at - 1), &after));
            next = machine.mul_add(&u, &after, &machine.sub(&machine.parameter(at - 2), &next));
            at -= 2;
        }
        if at > first {
            after = machine.mul_add(&u, &next, &machine.sub(&machine.parameter(first), &after));
            std::mem::swap(&mut next, &mut after);
        }
        machine.mul(y, &machine.sub(&next, &after))
    }
}

/// Σ c_k·T_k(s·x + m), which takes its interval to [−1, 1]. Parameters: s, m, and the coefficients as [`in_blocks`] has them.
#[derive(Debug, Clone, Copy)]
struct Series {
    blocks: usize,
}

impl Formula for Series {
    #[inline(always)]
    fn value<M: Machine>(self, machine: &M, first: usize, x: &M::Value) -> (M::Value, usize) {
        let t = machine.mul_add(x, &machine.parameter(first), &machine.parameter(first + 1));
        (sum_of_blocks(machine, first + 2, self.blocks, t), 2 + BLOCK * self.blocks)
    }
}

impl Blocked for Series {
    fn run<P: Pass>(self, isa: Isa, arithmetic: Arithmetic, pass: P) {
        run_blocks(isa, arithmetic, pass);
    }
}

/// x/2 + Σ c_k·T_k(2(s·x)² − 1), of an even number of degrees: on [−1/s, 1/s] ReLU is x/2 and an even function, and so are its
/// best approximations. Parameters: s, and the coefficients as [`in_blocks`] has them.
#[derive(Debug, Clone, Copy)]
struct EvenSeries {
    blocks: usize,
}

impl Formula for EvenSeries {
    #[inline(always)]
    fn value<M: Machine>(self, machine: &M, first: usize, x: &M::Value) -> (M::Value, usize) {
        let t = machine.mul(x, &machine.parameter(first));
        let t = machine.mul_add(&machine.mul(&t, &machine.constant(2.0)), &t, &machine.constant(-1.0));
        let even = sum_of_blocks(machine, first + 1, self.blocks, t);
        (machine.mul_add(x, &machine.constant(0.5), &even), 1 + BLOCK * self.blocks)
    }
}

impl Blocked for EvenSeries {
    fn run<P: Pass>(self, isa: Isa, arithmetic: Arithmetic, pass: P) {
        run_blocks(isa, arithmetic, pass);
    }
}

/// c_0 + c_1·x + c_2·x².
#[derive(Debug, Clone, Copy)]
struct Parabola;

impl Formula for Parabola {
    #[inline(always)]
    fn value<M: Machine>(self, machine: &M, first: usize, x: &M::Value) -> (M::Value, usize) {
        let [constant, slope, square] = [0, 1, 2].map(|at| machine.parameter(first + at));
        let line = machine.mul_add(x, &square, &slope);
        (machine.mul_add(&line, x, &constant), 3)
    }
}

impl Blocked for Parabola {
    fn run<P: Pass>(self, isa: Isa, arithmetic: Arithmetic, pass: P) {
        match arithmetic {
            Arithmetic::F64 => isa.run::<P, 10, 7, 2>(pass),
            Arithmetic::F32 => isa.run_single::<P, 5, 4, 1>(pass),
        }
    }
}

/// Of each register [`BLOCK`] powers, two results and a sum.
fn run_blocks<P: Pass>(isa: Isa, arithmetic: Arithmetic, pass: P) {
    match arithmetic {
        Arithmetic::F64 => isa.run::<P, 4, 2, 1>(pass),
        Arithmetic::F32 => isa.run_single::<P, 4, 2, 1>(pass),
    }
}

/// Σ_j R_j(t)·T_j(T_4(t)) for |t| ≤ 1, with R_j of degree 3 in the Chebyshev basis, by Clenshaw's recurrence over j: one product
/// for each coefficient and one for each block.
#[inline(always)]
fn sum_of_blocks<M: Machine>(machine: &M, first: usize, blocks: usize, t: M::Value) -> M::Value {
    let minus_one = machine.constant(-1.0);
    let twice = machine.add(&t, &t);
    let second = machine.mul_add(&twice, &t, &minus_one);
    // T_3 = (2·T_2 − 1)·T_1.
    let third = machine.mul(&machine.add(&machine.add(&second, &second), &minus_one), &t);
    let fourth = machine.mul_add(&machine.add(&second, &second), &second, &minus_one);
    let powers = [t, second, third];
    if blocks == 1 {
        return block(machine, first, &powers);
    }
    let mut at = first + BLOCK * (blocks - 1);
    let (mut next, mut after) = (block(machine, at, &powers), machine.constant(0.0));
    let twice = machine.add(&fourth, &fourth);
    // Two at a time, so that none has to change its place.
    while at >= first + 3 * BLOCK {
        let here = machine.sub(&block(machine, at - BLOCK, &powers), &after);
        after = machine.mul_add(&twice, &next, &here);
        at -= 2 * BLOCK;
        let here = machine.sub(&block(machine, at, &powers), &next);
        next = machine.mul_add(&twice, &after, &here);
    }
    if at > first + BLOCK {
        let here = machine.sub(&block(machine, first + BLOCK, &powers), &after);
        after = machine.mul_add(&twice, &next, &here);
        std::mem::swap(&mut next, &mut after);
    }
    let here = machine.sub(&block(machine, first, &powers), &after);
    machine.mul_add(&fourth, &next, &here)
}

/// The polynomial of the block of parameters from `first` on, of `powers` T_1, T_2 and T_3. It waits for no other block.
// No closure: it would be compiled without the instructions of the loop that it stands in.
#[inline(always)]
fn block<M: Machine>(machine: &M, first: usize, powers: &[M::Value; BLOCK - 1]) -> M::Value {
    let mut sum = machine.parameter(first);
    for (power, value) in powers.iter().enumerate() {
        sum = machine.mul_add(&machine.parameter(first + 1 + power), value, &sum);
    }
    sum
}

/// Σ c_k·T_k, at least one, as coefficients r_{j,i} of Σ_j (Σ_i r_{j,i}·T_i)·T_j(T_4), i below 4, block after block: T_{4j+i} is
/// 2·T_i·T_{4j} − T_{4j−i}.
pub(super) fn in_blocks(coefficients: &[f64]) -> Vec<f64> {
    let mut blocks = coefficients.to_vec();
    blocks.resize(coefficients.len().next_multiple_of(BLOCK), 0.0);
    for at in (BLOCK..blocks.len()).rev() {
        let inside = at % BLOCK;
        if inside > 0 {
            blocks[at - 2 * inside] -= blocks[at];
            blocks[at] *= 2.0;
        }
    }
    blocks
}
