//! The max-pooling kernel: each window is a tournament of approximate maxima, held in registers.
//!
//! max(a, b) = b + r(a − b), for any approximate ReLU r on the range of the differences. Where |r − ReLU| ≤ δ·D on [−D, D] and a
//! tournament has ⌈log2 n⌉ rounds, what meets in the last one strays by (⌈log2 n⌉ − 1)·δ·D from the range of the inputs, so
//! D = 2B/(1 − 2(⌈log2 n⌉ − 1)·δ) holds all differences of inputs in a range of the width 2B, and the result is in error by at most ⌈log2 n⌉·δ·D (Lee et al., arXiv
//! 2105.10879, section 4, for values that are scaled into [0, 1]). The rounds pair neighbours, and a left-over enters as late
//! as it can. In f32, the tournament is; places in memory stay f64.

mod rows;
mod window;

use std::ops::Range;

#[cfg(feature = "libtorch")]
use super::Arithmetic;
use super::elementwise::Elementwise;
use super::form::{Blocked, Formula, Visitor, Whole, max};
use super::isa::{Isa, MAX_BLOCK, Pass};
use super::lanes::{Element, Lanes};
use super::registers::{Alike, Registers, load, store};
use super::{Activation, Interval, Report};
use rows::Rows;
pub use window::{Plane, Window};

/// Largest window, 5×5.
pub const MAX_WINDOW: usize = 25;

/// Approximate max-pooling for inputs in a range.
#[derive(Debug, Clone)]
pub struct MaxPool {
    /// r, on the range of differences.
    relu: Elementwise,
    range: Interval,
    window: Window,
    /// What stands where a window reaches over the edge: 0 after a ReLU, the lower end of the range where inputs may be negative.
    padding_value: f64,
    clipping: bool,
    isa: Isa,
}

impl MaxPool {
    /// `non_negative` says that no input is below zero, up to the error of the ReLU before it; padding is then zero, as in the
    /// paper, and otherwise the lower end of the `range`, which never wins. `None` if the error of the activation is so large that
    /// no range holds all differences, or that on which it was fitted does not.
    pub fn new(activation: &Activation, range: Interval, window: Window, non_negative: bool) -> Option<MaxPool> {
        let most = MaxPool::differences(range, &window, activation.bound())?;
        let relu = Elementwise::relu(activation, most);
        let [low, high] = relu.bounds(0);
        // What was made for this range is not held against the last digit of it.
        (low.abs().min(high) >= most * (1.0 - 1e-12)).then(|| MaxPool {
            relu,
            range,
            window,
            padding_value: if non_negative { range.low.max(0.0) } else { range.low },
            clipping: false,
            isa: Isa::detect(),
        })
    }

    /// D, so that [−D, D] holds all differences in a tournament of inputs in `range`, where max is in error by at most `bound`·D;
    /// none if no range does.
    pub fn differences(range: Interval, window: &Window, bound: f64) -> Option<f64> {
        let before_last = window.rounds().saturating_sub(1);
        let room = 1.0 - 2.0 * f64::from(before_last) * bound;
        (room > 0.0).then(|| (range.high - range.low) / room)
    }

    /// The same, or one that moves inputs beyond the range to its end, as no encrypted circuit can.
    pub fn clipping(self, clipping: bool) -> MaxPool {
        MaxPool { clipping, ..self }
    }

    /// Whether inputs beyond the range are moved to its end.
    #[cfg(feature = "libtorch")]
    pub(crate) fn clips(&self) -> bool {
        self.clipping
    }

    /// What numbers the tournament is computed in.
    #[cfg(feature = "libtorch")]
    pub(crate) fn arithmetic(&self) -> Arithmetic {
        self.relu.arithmetic()
    }

    /// The range of the inputs.
    pub fn range(&self) -> Interval {
        self.range
    }

    /// The approximate ReLU of differences.
    #[cfg(any(feature = "libtorch", test))]
    pub(super) fn relu(&self) -> &Elementwise {
        &self.relu
    }

    /// The geometry.
    pub fn window(&self) -> &Window {
        &self.window
    }

    #[cfg(feature = "libtorch")]
    pub(super) fn padding_value(&self) -> f64 {
        self.padding_value
    }

    /// Pools planes `planes` of `x` into `y`. What comes out does not depend on whether channels are planes of their own or
    /// lie last.
    ///
    /// `report` sees the position and the value of inputs outside the range, a row at a time.
    ///
    /// # Safety
    /// `x` holds planes such as `input`, `y` of the matching output, both contiguous, and both hold at least `planes.end`
    /// of them.
    pub unsafe fn run<T: Element>(
        &self,
        x: *const T,
        y: *mut T,
        input: Plane,
        planes: Range<usize>,
        report: Report<T>,
    ) {
        self.relu.form().visit(self.relu.arithmetic(), Planes { pool: self, x, y, input, planes, report });
    }
}

struct Planes<'a, T> {
    pool: &'a MaxPool,
    x: *const T,
    y: *mut T,
    input: Plane,
    planes: Range<usize>,
    report: Report<'a, T>,
}

impl<T: Element> Visitor for Planes<'_, T> {
    type Result = ();

    fn visit<F: Blocked>(self, formula: Whole<F>) {
        let Planes { pool, x, y, input, planes, report } = self;
        formula.run(pool.isa, pool.relu.arithmetic(), PlanesPass { pool, formula, x, y, input, planes, report });
    }
}

struct PlanesPass<'a, T, F> {
    pool: &'a MaxPool,
    formula: F,
    x: *const T,
    y: *mut T,
    input: Plane,
    planes: Range<usize>,
    report: Report<'a, T>,
}

impl<T: Element, F: Formula> Pass for PlanesPass<'_, T, F> {
    #[inline(always)]
    unsafe fn run<V: Lanes, const K: usize>(self) {
        let PlanesPass { pool, formula, input, report, .. } = self;
        let block = K * V::WIDTH;
        let (area, stride) = (input.len(), pool.window.stride[0]);
        let output = [0, 1].map(|axis| pool.window.output(axis, input.extent[axis]));
        let width = output[1] * input.depth;
        let mut rows = Rows::new(pool, input, output);
        let mut z = [[0.0; MAX_BLOCK]; MAX_WINDOW];
        // Blocks run over the ends of rows and planes, as the outputs do.
        let mut done = self.planes.start * output[0] * width;
        let mut filled = 0;
        // SAFETY: the processor has the instructions; planes and outputs are the caller's.
        unsafe {
            let max = Max { formula, machine: Registers::<V, Alike<V::Number>, K>::new(pool.relu.parameters().of(0)) };
            for plane in self.planes {
                let at = plane * area;
                let x = std::slice::from_raw_parts(self.x.add(at), area);
                rows.next = 0;
                for row in 0..output[0] {
                    rows.advance::<T, V>(row * stride + rows.reach, x, at, report);
                    let mut first = 0;
                    while first < width {
                        let length = (width - first).min(block - filled);
                        rows.windows(row, first, &mut z, filled..filled + length);
                        (first, filled) = (first + length, filled + length);
                        if filled == block {
                            play(max, &mut z, pool.window.len(), self.y.add(done), filled);
                            (done, filled) = (done + filled, 0);
                        }
                    }
                }
                // Rows below the last windows are counted too.
                rows.advance::<T, V>(pool.window.padding[0] + input.extent[0], x, at, report);
            }
            if filled > 0 {
                play(max, &mut z, pool.window.len(), self.y.add(done), filled);
            }
        }
    }
}

/// max(a, b) by a formula for ReLU.
#[derive(Clone, Copy)]
struct Max<F, V: Lanes, const K: usize> {
    formula: F,
    machine: Registers<V, Alike<V::Number>, K>,
}

/// Plays the tournaments between the first `players` of z and writes the first `count` winners to `y`.
///
/// # Safety
/// `y` must be writable for `count` values.
#[inline(always)]
unsafe fn play<T: Element, F: Formula, V: Lanes, const K: usize>(
    max: Max<F, V, K>,
    z: &mut [[f64; MAX_BLOCK]; MAX_WINDOW],
    players: usize,
    y: *mut T,
    count: usize,
) {
    tournament(max, z, players);
    for (k, &best) in z[0][..count].iter().enumerate() {
        unsafe { *y.add(k) = T::from_f64(best) };
    }
}

/// z_0 ← the winner of z_0 … z_{n−1}: neighbours meet, a left-over waits.
#[inline(always)]
fn tournament<F: Formula, V: Lanes, const K: usize>(
    Max { formula, machine }: Max<F, V, K>,
    z: &mut [[f64; MAX_BLOCK]; MAX_WINDOW],
    mut remaining: usize,
) {
    while remaining > 1 {
        for pair in 0..remaining / 2 {
            // SAFETY: whoever made the machine knows that the processor has the instructions; a place holds a block.
            unsafe {
                let [a, b] = [z[2 * pair].as_ptr(), z[2 * pair + 1].as_ptr()];
                let (a, b) = (load::<f64, V, K>(a, V::WIDTH), load::<f64, V, K>(b, V::WIDTH));
                store(&max(&machine, formula, &a, &b), z[pair].as_mut_ptr(), V::WIDTH);
            }
        }
        if remaining % 2 == 1 {
            z[remaining / 2] = z[remaining - 1];
        }
        remaining = remaining.div_ceil(2);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::activation::form::Machine;
    use crate::activation::plain::{Fused, Plain};
    use crate::activation::{Arithmetic, Spec};

    fn designed(spec: &str) -> Activation {
        Activation::design(&spec.parse::<Spec>().unwrap()).unwrap().unwrap()
    }

    fn square(kernel: usize, stride: usize, padding: usize) -> Window {
        Window { kernel: [kernel; 2], stride: [stride; 2], padding: [padding; 2], dilation: [1; 2], ceil_mode: false }
    }

    fn run(pool: &MaxPool, x: &[f64], input: [usize; 2], planes: usize) -> (Vec<f64>, usize) {
        let outputs = pool.window().output(0, input[0]) * pool.window().output(1, input[1]);
        let mut y = vec![f64::NAN; planes * outputs];
        let mut outside = 0;
        let Interval { low, high } = pool.range();
        let report = &mut |_: usize, row: &[f64]| outside += row.iter().filter(|&&x| !(x >= low && x <= high)).count();
        // In two pieces, as two threads would.
        for planes in [0..planes / 2, planes / 2..planes] {
            // SAFETY: the lengths are those of the geometry.
            unsafe { pool.run(x.as_ptr(), y.as_mut_ptr(), Plane::of_channel(input), planes, report) };
        }
        (y, outside)
    }

    /// Deterministic values that fill [−range, range].
    fn values(count: usize, range: f64) -> Vec<f64> {
        (0..count).map(|i| range * (2.0 * (i as f64 * 0.618_033_988_749_895).fract() - 1.0)).collect()
    }

    #[test]
    fn every_window_is_within_the_bound_of_its_rounds() {
        let input = [13, 17];
        for (kernel, stride, padding, spec) in [
            (2, 2, 0, "paper:12"),
            (3, 2, 1, "paper:12"),
            (3, 1, 1, "leastsq:63"),
            (4, 3, 2, "paper:12"),
            (5, 2, 2, "chebyshev:126"),
        ] {
            let window = square(kernel, stride, padding);
            let activation = designed(spec);
            let pool = MaxPool::new(&activation, Interval::symmetric(5.0), window, false).unwrap();
            let x = values(3 * input[0] * input[1], 5.0);
            let (y, outside) = run(&pool, &x, input, 3);
            let rounds = window.len().next_power_of_two().trailing_zeros() as f64;
            let bound = rounds * activation.bound() * pool.relu().bounds(0)[1];
            let (rows, columns) = (window.output(0, input[0]), window.output(1, input[1]));
            for (at, y) in y.iter().enumerate() {
                let (plane, row, column) = (at / (rows * columns), at / columns % rows, at % columns);
                let mut best = f64::NEG_INFINITY;
                for i in 0..kernel {
                    for j in 0..kernel {
                        let (top, left) =
                            ((row * stride + i).wrapping_sub(padding), (column * stride + j).wrapping_sub(padding));
                        if top < input[0] && left < input[1] {
                            best = best.max(x[(plane * input[0] + top) * input[1] + left]);
                        }
                    }
                }
                assert!((best - y).abs() <= bound, "{kernel}/{stride}/{padding} at {at}: {y} for {best}");
            }
            assert_eq!(outside, 0);
        }
    }

    /// The tournament between values, value by value.
    struct Tournament<M: Machine> {
        machine: M,
        players: Vec<M::Value>,
    }

    impl<M: Machine> Visitor for Tournament<M> {
        type Result = M::Value;

        fn visit<F: Blocked>(self, formula: Whole<F>) -> M::Value {
            let Tournament { machine, mut players } = self;
            while players.len() > 1 {
                let best = |pair: &[M::Value]| match pair {
                    [a, b] => max(&machine, formula, a, b),
                    rest => rest[0].clone(),
                };
                players = players.chunks(2).map(best).collect();
            }
            players.remove(0)
        }
    }

    /// That of the window of one output.
    fn winner(pool: &MaxPool, plane: &[f64], input: [usize; 2], [row, column]: [usize; 2]) -> f64 {
        let Window { kernel, stride, padding, dilation, .. } = pool.window;
        let mut players = Vec::new();
        for (i, j) in (0..kernel[0]).flat_map(|i| (0..kernel[1]).map(move |j| (i, j))) {
            let top = (row * stride[0] + i * dilation[0]).checked_sub(padding[0]).filter(|&top| top < input[0]);
            let left = (column * stride[1] + j * dilation[1]).checked_sub(padding[1]).filter(|&left| left < input[1]);
            players.push(top.zip(left).map_or(pool.padding_value, |(top, left)| plane[top * input[1] + left]));
        }
        let (relu, parameters) = (&pool.relu, pool.relu.parameters().all());
        match pool.isa {
            Isa::Portable => relu.form().visit(relu.arithmetic(), Tournament { machine: Plain(parameters), players }),
            _ => relu.form().visit(relu.arithmetic(), Tournament { machine: Fused(parameters), players }),
        }
    }

    #[test]
    fn every_bit_is_that_of_a_tournament_value_by_value_on_every_instruction_set() {
        let activation = designed("paper:9");
        let geometries = [
            ([2, 2], [2, 2], [0, 0], [1, 1]),
            ([3, 3], [2, 2], [1, 1], [1, 1]),
            ([3, 3], [1, 1], [1, 1], [1, 1]),
            ([2, 3], [3, 1], [1, 0], [1, 2]),
            ([3, 2], [1, 4], [0, 1], [2, 1]),
            ([5, 5], [2, 3], [2, 2], [1, 1]),
            ([1, 1], [2, 2], [0, 0], [1, 1]),
            ([1, 3], [1, 2], [0, 1], [1, 3]),
        ];
        let mut tried = 0;
        for (kernel, stride, padding, dilation) in geometries {
            for (ceil_mode, input) in [false, true].into_iter().flat_map(|ceil_mode| {
                [[1, 1], [9, 1], [1, 9], [2, 2], [7, 7], [8, 13], [5, 57], [12, 130]].map(|input| (ceil_mode, input))
            }) {
                let window = Window { kernel, stride, padding, dilation, ceil_mode };
                let output = [window.output(0, input[0]), window.output(1, input[1])];
                let x = values(5 * input[0] * input[1], 5.0);
                for isa in Isa::present() {
                    let pool =
                        MaxPool { isa, ..MaxPool::new(&activation, Interval::symmetric(5.0), window, false).unwrap() };
                    let (y, outside) = run(&pool, &x, input, 5);
                    assert_eq!(outside, 0);
                    for (at, y) in y.iter().enumerate() {
                        let (plane, spot) =
                            (at / (output[0] * output[1]), [at / output[1] % output[0], at % output[1]]);
                        let plane = &x[plane * input[0] * input[1]..][..input[0] * input[1]];
                        let expected = winner(&pool, plane, input, spot);
                        assert_eq!(
                            y.to_bits(),
                            expected.to_bits(),
                            "{isa:?} {window:?} of {input:?} at {at}: {y} {expected}"
                        );
                        tried += 1;
                    }
                }
            }
        }
        assert!(tried > 10_000, "{tried}");
    }

    #[test]
    fn channels_that_lie_last_change_no_bit_and_no_report() {
        let (extent, mut tried) = ([9, 14], 0);
        for window in [square(2, 2, 0), square(3, 2, 1), square(1, 3, 0), square(3, 1, 1), square(2, 4, 0)] {
            for depth in [1, 2, 3, 27, 28, 64, 130] {
                let pool = MaxPool::new(&designed("paper:7"), Interval::symmetric(4.0), window, false).unwrap();
                // Some are outside the range.
                let planar = values(2 * depth * extent[0] * extent[1], 4.1);
                let area = extent[0] * extent[1];
                let last = |values: &[f64], area: usize| -> Vec<f64> {
                    let at = |i: usize| (i / (area * depth) * depth + i % depth) * area + i / depth % area;
                    (0..values.len()).map(|i| values[at(i)]).collect()
                };
                let (expected, outside) = run(&pool, &planar, extent, 2 * depth);
                let x = last(&planar, area);
                let mut y = vec![f64::NAN; expected.len()];
                let mut counted = 0;
                let report = &mut |at: usize, row: &[f64]| {
                    assert_eq!(x[at..at + row.len()], *row);
                    counted += row.iter().filter(|x| x.abs() > 4.0).count();
                };
                // SAFETY: the lengths are those of the geometry.
                unsafe { pool.run(x.as_ptr(), y.as_mut_ptr(), Plane { extent, depth }, 0..2, report) };
                assert_eq!(y, last(&expected, expected.len() / (2 * depth)), "{window:?}, depth {depth}");
                assert_eq!(counted, outside);
                tried += counted;
            }
        }
        assert!(tried > 0);
    }

    /// Against the pool in f64, of whose values the f32 ones differ by what four rounds of f32 lose; and a value is the same
    /// wherever it stands in a block.
    #[test]
    fn pools_in_f32_are_those_in_f64_up_to_its_rounding_on_every_instruction_set() {
        let input = [13, 37];
        for window in [square(3, 2, 1), square(2, 2, 0), square(5, 3, 2)] {
            let x = values(3 * input[0] * input[1], 5.0);
            let wide = MaxPool::new(&designed("paper:14"), Interval::symmetric(5.0), window, false).unwrap();
            let (expected, _) = run(&wide, &x, input, 3);
            let activation = Activation::design_in(&"paper:14".parse().unwrap(), Arithmetic::F32).unwrap().unwrap();
            for isa in Isa::present() {
                let pool =
                    MaxPool { isa, ..MaxPool::new(&activation, Interval::symmetric(5.0), window, false).unwrap() };
                let (y, outside) = run(&pool, &x, input, 3);
                assert_eq!(outside, 0);
                let off = y.iter().zip(&expected).map(|(y, expected)| (y - expected).abs()).fold(0.0, f64::max);
                assert!(off > 0.0 && off <= 5.0 * 5e-6, "{isa:?} {window:?}: {off:e}");
                let plane = input[0] * input[1];
                let alone: Vec<f64> = x.chunks(plane).flat_map(|x| run(&pool, x, input, 1).0).collect();
                assert_eq!(y, alone, "{isa:?} {window:?}");
            }
        }
    }

    /// Also those that no window sees.
    #[test]
    fn every_value_is_reported_once_and_at_its_position() {
        for window in [square(2, 2, 0), square(3, 2, 1), square(1, 3, 0), square(3, 1, 1), square(2, 4, 0)] {
            for isa in Isa::present() {
                let pool = MaxPool {
                    isa,
                    ..MaxPool::new(&designed("paper:7"), Interval::symmetric(1.0), window, false).unwrap()
                };
                let x: Vec<f64> = (0..3 * 7 * 11).map(|i| 2.0 + i as f64).collect();
                let mut y = vec![0.0; 3 * window.output(0, 7) * window.output(1, 11)];
                let mut reported = Vec::new();
                let report = &mut |at: usize, row: &[f64]| {
                    assert_eq!(reported.len(), at);
                    reported.extend_from_slice(row);
                };
                // SAFETY: the lengths are those of the geometry.
                unsafe { pool.run(x.as_ptr(), y.as_mut_ptr(), Plane::of_channel([7, 11]), 0..3, report) };
                assert_eq!(reported, x, "{isa:?} {window:?}");
            }
        }
    }

    #[test]
    fn padding_is_zero_after_a_relu_and_never_wins_elsewhere() {
        let x = [-3.0; 4];
        let activation = designed("paper:14");
        let (y, _) =
            run(&MaxPool::new(&activation, Interval::symmetric(5.0), square(3, 2, 1), true).unwrap(), &x, [2, 2], 1);
        assert!((y[0] - 0.0).abs() < 0.01, "{y:?}");
        let (y, _) =
            run(&MaxPool::new(&activation, Interval::symmetric(5.0), square(3, 2, 1), false).unwrap(), &x, [2, 2], 1);
        assert!((y[0] + 3.0).abs() < 0.01, "{y:?}");
    }

    #[test]
    fn values_outside_are_counted() {
        let pool = MaxPool::new(&designed("paper:10"), Interval::symmetric(1.0), square(2, 2, 0), false).unwrap();
        let (_, outside) = run(&pool, &[0.0, 1.5, f64::NAN, -1.0], [2, 2], 1);
        assert_eq!(outside, 2);
    }
}
