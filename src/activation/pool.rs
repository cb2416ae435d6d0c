//! The max-pooling kernel: each window is a tournament of approximate maxima, held in registers.
//!
//! z = s·x + 1/2 puts [−B, B] inside [0, 1] with room for the errors of the rounds before the last,
//! s = (1 − 2(⌈log2 n⌉−1)·δ)/(2B) for windows of n values and |m − max| ≤ δ. The rounds pair neighbours, and a left-over
//! enters as late as it can. The result is (M(z) − 1/2)/s, in error by at most ⌈log2 n⌉·δ/s
//! (Lee et al., arXiv 2105.10879, section 4).

use super::kernel::{load, sign, store};
use super::lanes::{Element, Isa, Lanes, MAX_BLOCK, Pass};
use super::{Report, Sign};

/// Geometry of a pool over [height, width], as PyTorch's `max_pool2d` takes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    pub kernel: [usize; 2],
    pub stride: [usize; 2],
    pub padding: [usize; 2],
    pub dilation: [usize; 2],
    pub ceil_mode: bool,
}

impl Window {
    /// The output's extent for an input of `input` along axis 0 (height) or 1 (width), as PyTorch computes it; zero
    /// where the window does not fit.
    pub fn output(&self, axis: usize, input: usize) -> usize {
        let reach = self.dilation[axis] * (self.kernel[axis] - 1) + 1;
        let Some(room) = (input + 2 * self.padding[axis]).checked_sub(reach) else {
            return 0;
        };
        let stride = self.stride[axis];
        let mut output = if self.ceil_mode { room.div_ceil(stride) } else { room / stride } + 1;
        // A last window that would start in the padding on the right is dropped.
        if self.ceil_mode && (output - 1) * stride >= input + self.padding[axis] {
            output -= 1;
        }
        output
    }

    /// Values in a window.
    pub fn len(&self) -> usize {
        self.kernel[0] * self.kernel[1]
    }

    /// Whether the window holds no value; no pool has such.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Largest window, 5×5.
pub const MAX_WINDOW: usize = 25;

/// Approximate max-pooling for inputs in [−B, B].
#[derive(Debug, Clone)]
pub struct MaxPool {
    sign: Sign,
    range: f64,
    window: Window,
    /// What stands where a window reaches over the edge: 0 after a ReLU, −B where inputs may be negative.
    padding_value: f64,
    scale: f64,
    isa: Isa,
}

impl MaxPool {
    /// `non_negative` says that no input is below zero, up to the error of the ReLU before it; padding is then zero, as
    /// in the paper, and otherwise −`range`, which never wins. `None` if the scale leaves no room: the errors of the
    /// rounds fill [0, 1].
    pub fn new(sign: Sign, range: f64, window: Window, non_negative: bool) -> Option<MaxPool> {
        let rounds = window.len().next_power_of_two().trailing_zeros();
        let room = 1.0 - 2.0 * rounds.saturating_sub(1) as f64 * sign.bound();
        let padding_value = if non_negative { 0.0 } else { -range };
        (room > 0.0).then(|| MaxPool {
            sign,
            range,
            window,
            padding_value,
            scale: room / (2.0 * range),
            isa: Isa::detect(),
        })
    }

    /// The bound B of the inputs.
    pub fn range(&self) -> f64 {
        self.range
    }

    /// The sign inside.
    pub fn sign(&self) -> &Sign {
        &self.sign
    }

    /// The geometry.
    pub fn window(&self) -> &Window {
        &self.window
    }

    /// s of z = s·x + 1/2.
    #[cfg(any(feature = "libtorch", test))]
    pub(super) fn scale(&self) -> f64 {
        self.scale
    }

    #[cfg(feature = "libtorch")]
    pub(super) fn padding_value(&self) -> f64 {
        self.padding_value
    }

    /// Pools planes `planes` of `x` into `y`; a plane is one channel of one image.
    ///
    /// `report` sees the position and the value of inputs outside [−B, B], a row at a time.
    ///
    /// # Safety
    /// `x` holds planes of `input` = [height, width], `y` of the matching output, both contiguous, and both hold at
    /// least `planes.end` of them.
    pub unsafe fn run<T: Element>(
        &self,
        x: *const T,
        y: *mut T,
        input: [usize; 2],
        planes: std::ops::Range<usize>,
        report: Report<T>,
    ) {
        let area = input[0] * input[1];
        for plane in planes.clone() {
            // SAFETY: the plane is one of `x`.
            let values = unsafe { std::slice::from_raw_parts(x.add(plane * area), area) };
            for (row, values) in values.chunks(input[1].max(1)).enumerate() {
                if !values.iter().fold(true, |inside, x| inside & (x.to_f64().abs() <= self.range)) {
                    report(plane * area + row * input[1], values);
                }
            }
        }
        self.isa.run(PoolPass { pool: self, x, y, input, planes });
    }
}

struct PoolPass<'a, T> {
    pool: &'a MaxPool,
    x: *const T,
    y: *mut T,
    input: [usize; 2],
    planes: std::ops::Range<usize>,
}

/// One output: the position of its plane in the input, and its row and column in the output.
#[derive(Clone, Copy, Default)]
struct Spot {
    plane: usize,
    row: usize,
    column: usize,
}

impl<T: Element> PoolPass<'_, T> {
    /// z at row i and column j of the window of `spot`.
    ///
    /// # Safety
    /// The plane of `spot` must be one of `x`.
    #[inline(always)]
    unsafe fn gather(&self, spot: Spot, i: usize, j: usize) -> f64 {
        let window = &self.pool.window;
        let from_top = spot.row * window.stride[0] + i * window.dilation[0];
        let from_left = spot.column * window.stride[1] + j * window.dilation[1];
        let inside = from_top >= window.padding[0]
            && from_left >= window.padding[1]
            && from_top < self.input[0] + window.padding[0]
            && from_left < self.input[1] + window.padding[1];
        let value = if inside {
            let at = (from_top - window.padding[0]) * self.input[1] + from_left - window.padding[1];
            unsafe { (*self.x.add(spot.plane + at)).to_f64() }
        } else {
            self.pool.padding_value
        };
        self.pool.scale * value + 0.5
    }
}

impl<T: Element> Pass for PoolPass<'_, T> {
    #[inline(always)]
    unsafe fn run<V: Lanes, const K: usize>(self) {
        let window = &self.pool.window;
        let output = [window.output(0, self.input[0]), window.output(1, self.input[1])];
        let (input_area, output_area) = (self.input[0] * self.input[1], output[0] * output[1]);
        let total = self.planes.len() * output_area;
        let mut spots = [Spot::default(); MAX_BLOCK];
        let mut z = [[0.0; MAX_BLOCK]; MAX_WINDOW];
        for start in (0..total).step_by(K * V::WIDTH) {
            let spots = &mut spots[..(K * V::WIDTH).min(total - start)];
            for (i, spot) in spots.iter_mut().enumerate() {
                let (plane, within) = ((start + i) / output_area, (start + i) % output_area);
                let (row, column) = (within / output[1], within % output[1]);
                *spot = Spot { plane: (self.planes.start + plane) * input_area, row, column };
            }
            for (position, z) in z[..window.len()].iter_mut().enumerate() {
                let (i, j) = (position / window.kernel[1], position % window.kernel[1]);
                for (z, spot) in z.iter_mut().zip(&*spots) {
                    // SAFETY: the plane is one of the caller's.
                    *z = unsafe { self.gather(*spot, i, j) };
                }
            }
            let first = self.planes.start * output_area + start;
            // SAFETY: the processor has the instructions, and the outputs are the caller's.
            unsafe {
                tournament::<V, K>(self.pool.sign.stages(), &mut z, window.len());
                for (i, best) in z[0][..spots.len()].iter().enumerate() {
                    *self.y.add(first + i) = T::from_f64((best - 0.5) / self.pool.scale);
                }
            }
        }
    }
}

/// z_0 ← the winner of z_0 … z_{n−1}: neighbours meet, a left-over waits.
#[inline(always)]
unsafe fn tournament<V: Lanes, const K: usize>(
    stages: &[Vec<f64>],
    z: &mut [[f64; MAX_BLOCK]; MAX_WINDOW],
    mut remaining: usize,
) {
    while remaining > 1 {
        for pair in 0..remaining / 2 {
            unsafe {
                let a = load::<f64, V, K>(z[2 * pair].as_ptr());
                let b = load::<f64, V, K>(z[2 * pair + 1].as_ptr());
                let mut p = a;
                for k in 0..K {
                    p[k] = a[k].sub(b[k]);
                }
                sign::<V, K>(stages, &mut p);
                let half = V::splat(0.5);
                for k in 0..K {
                    p[k] = a[k].sub(b[k]).mul_add(p[k], a[k].add(b[k])).mul(half);
                }
                store(&p, z[pair].as_mut_ptr());
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
    use crate::activation::Spec;

    fn designed(spec: &str) -> Sign {
        Sign::design(&spec.parse::<Spec>().unwrap()).unwrap().unwrap()
    }

    fn square(kernel: usize, stride: usize, padding: usize) -> Window {
        Window { kernel: [kernel; 2], stride: [stride; 2], padding: [padding; 2], dilation: [1; 2], ceil_mode: false }
    }

    fn run(pool: &MaxPool, x: &[f64], input: [usize; 2], planes: usize) -> (Vec<f64>, usize) {
        let outputs = pool.window().output(0, input[0]) * pool.window().output(1, input[1]);
        let mut y = vec![f64::NAN; planes * outputs];
        let mut outside = 0;
        let range = pool.range();
        let report =
            &mut |_: usize, row: &[f64]| outside += row.iter().filter(|x| x.is_nan() || x.abs() > range).count();
        // SAFETY: the lengths are those of the geometry.
        unsafe { pool.run(x.as_ptr(), y.as_mut_ptr(), input, 0..planes, report) };
        (y, outside)
    }

    /// Deterministic values that fill [−range, range].
    fn values(count: usize, range: f64) -> Vec<f64> {
        (0..count).map(|i| range * (2.0 * (i as f64 * 0.618_033_988_749_895).fract() - 1.0)).collect()
    }

    #[test]
    fn every_window_is_within_the_bound_of_its_rounds() {
        let input = [13, 17];
        for (kernel, stride, padding) in [(2, 2, 0), (3, 2, 1), (3, 1, 1), (4, 3, 2), (5, 2, 2)] {
            let window = square(kernel, stride, padding);
            let pool = MaxPool::new(designed("paper:12"), 5.0, window, false).unwrap();
            let x = values(3 * input[0] * input[1], 5.0);
            let (y, outside) = run(&pool, &x, input, 3);
            let rounds = window.len().next_power_of_two().trailing_zeros() as f64;
            let bound = rounds * pool.sign().bound() / pool.scale();
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

    #[test]
    fn padding_is_zero_after_a_relu_and_never_wins_elsewhere() {
        let x = [-3.0; 4];
        let sign = designed("paper:14");
        let (y, _) = run(&MaxPool::new(sign.clone(), 5.0, square(3, 2, 1), true).unwrap(), &x, [2, 2], 1);
        assert!((y[0] - 0.0).abs() < 0.01, "{y:?}");
        let (y, _) = run(&MaxPool::new(sign, 5.0, square(3, 2, 1), false).unwrap(), &x, [2, 2], 1);
        assert!((y[0] + 3.0).abs() < 0.01, "{y:?}");
    }

    #[test]
    fn values_outside_are_counted() {
        let pool = MaxPool::new(designed("paper:10"), 1.0, square(2, 2, 0), false).unwrap();
        let (_, outside) = run(&pool, &[0.0, 1.5, f64::NAN, -1.0], [2, 2], 1);
        assert_eq!(outside, 2);
    }

    /// torch.nn.functional.max_pool2d's own output sizes.
    #[test]
    fn output_sizes_are_those_of_pytorch() {
        let window = |kernel, stride, padding, dilation, ceil_mode| Window {
            kernel: [kernel; 2],
            stride: [stride; 2],
            padding: [padding; 2],
            dilation: [dilation; 2],
            ceil_mode,
        };
        assert_eq!(window(3, 2, 1, 1, false).output(0, 112), 56);
        assert_eq!(window(3, 2, 0, 1, true).output(0, 112), 56);
        assert_eq!(window(3, 2, 0, 1, false).output(0, 112), 55);
        assert_eq!(window(2, 2, 0, 1, true).output(0, 7), 4);
        assert_eq!(window(2, 2, 1, 1, true).output(0, 2), 2);
        assert_eq!(window(3, 1, 0, 2, false).output(0, 4), 0);
        assert_eq!(window(3, 1, 1, 2, false).output(0, 4), 2);
    }
}
