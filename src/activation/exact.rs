//! ReLU and max-pooling themselves, as PyTorch computes them: what is not a number stays so.

use std::ops::Range;

use super::isa::{Isa, Pass};
use super::lanes::Lanes;
use super::{Plane, Window};

/// Values that are loaded, computed and stored at a time.
const BLOCK: usize = 64;

/// y_i ← max(x_i, 0) for `count` values.
///
/// # Safety
/// `x` must be readable and `y` writable for `count` values; they are the same or do not overlap.
pub unsafe fn relu(x: *const f32, y: *mut f32, count: usize) {
    Isa::detect().run::<_, 1, 1, 1>(ReluPass { x, y, count });
}

struct ReluPass {
    x: *const f32,
    y: *mut f32,
    count: usize,
}

impl Pass for ReluPass {
    #[inline(always)]
    unsafe fn run<V: Lanes, const K: usize>(self) {
        let whole = self.count - self.count % BLOCK;
        // SAFETY: the values are the caller's.
        unsafe {
            for start in (0..whole).step_by(BLOCK) {
                let x = self.x.add(start);
                V::read_ahead::<f32>(x, BLOCK);
                let mut values = x.cast::<[f32; BLOCK]>().read_unaligned();
                for x in &mut values {
                    *x = rectified(*x);
                }
                self.y.add(start).cast::<[f32; BLOCK]>().write_unaligned(values);
            }
            for i in whole..self.count {
                *self.y.add(i) = rectified(*self.x.add(i));
            }
        }
    }
}

/// max(x, 0), or what is not a number.
#[inline(always)]
fn rectified(x: f32) -> f32 {
    if x <= 0.0 { 0.0 } else { x }
}

/// The rows `rows` of outputs, counted over all planes, of a max-pool over planes of which the values of a pixel lie side by
/// side.
///
/// # Safety
/// `x` holds planes such as `input`, `y` of the matching output, both contiguous, and both hold the planes of `rows`.
pub unsafe fn max_pool(x: *const f32, y: *mut f32, input: Plane, window: &Window, rows: Range<usize>) {
    Isa::detect().run::<_, 1, 1, 1>(PoolPass { x, y, input, window, rows });
}

struct PoolPass<'a> {
    x: *const f32,
    y: *mut f32,
    input: Plane,
    window: &'a Window,
    rows: Range<usize>,
}

impl Pass for PoolPass<'_> {
    #[inline(always)]
    unsafe fn run<V: Lanes, const K: usize>(self) {
        let PoolPass { x, y, input: Plane { extent, depth }, window, rows } = self;
        let output = [0, 1].map(|axis| window.output(axis, extent[axis]));
        for row in rows {
            let plane = row / output[0] * extent[0] * extent[1] * depth;
            let down = window.inside(0, row % output[0], extent[0]);
            for column in 0..output[1] {
                let across = window.inside(1, column, extent[1]);
                let to = (row * output[1] + column) * depth;
                let mut channel = 0;
                while channel < depth {
                    let length = BLOCK.min(depth - channel);
                    let mut most = [f32::NEG_INFINITY; BLOCK];
                    for i in down.clone() {
                        for j in across.clone() {
                            let at = plane + (i * extent[1] + j) * depth + channel;
                            // SAFETY: the window is inside the plane, which is the caller's.
                            unsafe {
                                if length == BLOCK {
                                    larger(&mut most, std::slice::from_raw_parts(x.add(at), BLOCK));
                                } else {
                                    larger(&mut most[..length], std::slice::from_raw_parts(x.add(at), length));
                                }
                            }
                        }
                    }
                    // SAFETY: the output is the caller's.
                    unsafe { std::ptr::copy_nonoverlapping(most.as_ptr(), y.add(to + channel), length) };
                    channel += length;
                }
            }
        }
    }
}

/// most ← the larger of both, or what is not a number.
#[inline(always)]
fn larger(most: &mut [f32], values: &[f32]) {
    for (most, &value) in most.iter_mut().zip(values) {
        *most = if value > *most || value.is_nan() { value } else { *most };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::Tensor;

    /// Values of any size and sign, with the special ones among them.
    fn values(count: usize) -> Vec<f32> {
        let special = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 0.0, -0.0, f32::MIN_POSITIVE / 2.0, f32::MAX];
        let plain = |i: usize| 100.0 * (2.0 * (i as f32 * 0.618_034).fract() - 1.0);
        (0..count).map(|i| if i % 11 == 3 { special[i / 11 % special.len()] } else { plain(i) }).collect()
    }

    /// Equal as numbers, or both no numbers.
    fn assert_same(found: &[f32], expected: &Tensor, name: &str) {
        let expected = Vec::<f32>::try_from(expected.contiguous().flatten(0, -1)).unwrap();
        assert_eq!(found.len(), expected.len(), "{name}");
        for (at, (found, expected)) in found.iter().zip(&expected).enumerate() {
            assert!(found == expected || found.is_nan() && expected.is_nan(), "{name} at {at}: {found} {expected}");
        }
    }

    #[test]
    fn relu_is_that_of_pytorch_for_every_number_and_length() {
        for count in [0, 1, 63, 64, 65, 1000] {
            let x = values(count);
            let mut y = x.clone();
            // SAFETY: both hold `count` values.
            unsafe { relu(x.as_ptr(), y.as_mut_ptr(), count) };
            assert_same(&y, &Tensor::from_slice(&x).relu(), "apart");
            let mut z = x.clone();
            // SAFETY: as above, in place.
            unsafe { relu(z.as_ptr(), z.as_mut_ptr(), count) };
            assert_same(&z, &Tensor::from_slice(&x).relu(), "in place");
        }
    }

    #[test]
    fn max_pools_are_those_of_pytorch_for_every_window_and_number_of_channels() {
        for (kernel, stride, padding, dilation) in [
            ([2, 2], [2, 2], [0, 0], [1, 1]),
            ([3, 3], [2, 2], [1, 1], [1, 1]),
            ([3, 2], [1, 3], [1, 0], [2, 1]),
            ([1, 1], [2, 2], [0, 0], [1, 1]),
            ([7, 7], [1, 1], [3, 3], [1, 1]),
        ] {
            for (ceil_mode, depth) in [(false, 1), (true, 3), (false, 64), (true, 65), (false, 200)] {
                let (images, extent) = (3, [9, 14]);
                let window = Window { kernel, stride, padding, dilation, ceil_mode };
                let x = values(images * extent[0] * extent[1] * depth);
                let shape = [images, extent[0], extent[1], depth].map(|size| size as i64);
                let tensor = Tensor::from_slice(&x).view(shape).permute([0, 3, 1, 2]);
                let list = |pair: [usize; 2]| pair.map(|size| size as i64);
                let expected = tensor.max_pool2d(list(kernel), list(stride), list(padding), list(dilation), ceil_mode);
                let rows = images * window.output(0, extent[0]);
                let mut y = vec![0f32; rows * window.output(1, extent[1]) * depth];
                // In two pieces, as two threads would.
                for rows in [0..rows / 2, rows / 2..rows] {
                    // SAFETY: the lengths are those of the geometry.
                    unsafe { max_pool(x.as_ptr(), y.as_mut_ptr(), Plane { extent, depth }, &window, rows) };
                }
                assert_same(&y, &expected.permute([0, 2, 3, 1]), &format!("{window:?} of {depth}"));
            }
        }
    }
}
