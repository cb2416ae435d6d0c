//! The rows of a plane that a max-pool's windows reach over, read once and kept for all windows that share them.

use std::ops::Range;

use super::{MAX_WINDOW, MaxPool, Plane, Window};
use crate::activation::Report;
use crate::activation::elementwise::surely_inside;
use crate::activation::isa::MAX_BLOCK;
use crate::activation::lanes::{Element, Lanes};

/// The last rows of a plane, as many as a window reaches over, with the padding around them. Rows are numbered from the top of
/// the padding.
pub(super) struct Rows<'a> {
    pool: &'a MaxPool,
    input: Plane,
    /// Rows a window reaches over.
    pub reach: usize,
    /// Row r stands at r & `mask`.
    mask: usize,
    /// Values of a row, with the padding.
    width: usize,
    z: Vec<f64>,
    /// Between which x is surely in range.
    sure: [f64; 2],
    /// The row to come.
    pub next: usize,
}

impl<'a> Rows<'a> {
    pub(super) fn new(pool: &'a MaxPool, input: Plane, output: [usize; 2]) -> Rows<'a> {
        let Window { stride, padding, .. } = pool.window;
        let reach = pool.window.reach(0);
        let places = reach.next_power_of_two();
        let columns =
            (padding[1] + input.extent[1]).max(output[1].saturating_sub(1) * stride[1] + pool.window.reach(1));
        let width = columns * input.depth;
        let z = vec![pool.padding_value; places * width];
        let sure = surely_inside(pool.range.ends(), pool.relu.arithmetic());
        Rows { pool, input, reach, mask: places - 1, width, z, sure, next: 0 }
    }

    /// Takes the rows before row `end` of the plane `x`, which stands at position `at`.
    ///
    /// # Safety
    /// The processor must have the instructions of `V`.
    #[inline(always)]
    pub(super) unsafe fn advance<T: Element, V: Lanes>(&mut self, end: usize, x: &[T], at: usize, report: Report<T>) {
        let [top, left] = self.pool.window.padding;
        while self.next < end {
            let z = &mut self.z[(self.next & self.mask) * self.width..][..self.width];
            if (top..top + self.input.extent[0]).contains(&self.next) {
                let length = self.input.extent[1] * self.input.depth;
                let start = (self.next - top) * length;
                let (x, left) = (&x[start..start + length], left * self.input.depth);
                let z = &mut z[left..left + length];
                if unsafe { widen::<T, V>(x, z, self.sure) } {
                    report(at + start, x);
                    if self.pool.clipping {
                        clip(x, z, self.pool.range.ends());
                    }
                }
            } else {
                z.fill(self.pool.padding_value);
            }
            self.next += 1;
        }
    }

    /// Writes the windows of a row of outputs, from its value `first` on, to the places `to` of z: those of z_p are the
    /// values at position p of the windows.
    ///
    /// # Safety
    /// The rows must be those of the windows of row `row` of the outputs, and the values in that row.
    #[inline(always)]
    pub(super) unsafe fn windows(
        &self,
        row: usize,
        first: usize,
        z: &mut [[f64; MAX_BLOCK]; MAX_WINDOW],
        to: Range<usize>,
    ) {
        let Window { kernel, stride, dilation, .. } = self.pool.window;
        let depth = self.input.depth;
        for i in 0..kernel[0] {
            let row = ((row * stride[0] + i * dilation[0]) & self.mask) * self.width;
            for j in 0..kernel[1] {
                let from = unsafe { self.z.as_ptr().add(row + j * dilation[1] * depth) };
                let z = &mut z[i * kernel[1] + j][to.clone()];
                // Most pools have stride 2; as a constant it becomes loads and shuffles.
                match (depth, stride[1]) {
                    (1, 2) => unsafe { pick(from.add(first * 2), 2, z) },
                    (1, stride) => unsafe { pick(from.add(first * stride), stride, z) },
                    _ => unsafe { pick_pixels(from, depth, stride[1], first, z) },
                }
            }
        }
    }
}

/// z_k ← the value `stride`·k places after `from`.
///
/// # Safety
/// The values must be readable.
#[inline(always)]
unsafe fn pick(from: *const f64, stride: usize, z: &mut [f64]) {
    for (k, z) in z.iter_mut().enumerate() {
        *z = unsafe { *from.add(k * stride) };
    }
}

/// z ← the values from the `first` on of pixels of `depth` values, every `stride`-th of which counts.
///
/// # Safety
/// The values must be readable.
#[inline(always)]
unsafe fn pick_pixels(from: *const f64, depth: usize, stride: usize, first: usize, mut z: &mut [f64]) {
    let (mut pixel, mut start) = (first / depth, first % depth);
    while !z.is_empty() {
        let (now, later) = z.split_at_mut((depth - start).min(z.len()));
        // SAFETY: z is not of the rows.
        unsafe { std::ptr::copy_nonoverlapping(from.add(pixel * stride * depth + start), now.as_mut_ptr(), now.len()) };
        (z, pixel, start) = (later, pixel + 1, 0);
    }
}

/// z ← x, moved into a range.
#[cold]
fn clip<T: Element>(x: &[T], z: &mut [f64], ends: [f64; 2]) {
    for (z, x) in z.iter_mut().zip(x) {
        *z = x.clipped(ends).to_f64();
    }
}

/// z ← x; whether any x is outside the bounds.
///
/// # Safety
/// The processor must have the instructions of `V`.
#[inline(always)]
unsafe fn widen<T: Element, V: Lanes>(x: &[T], z: &mut [f64], [low, high]: [f64; 2]) -> bool {
    let mut outside = false;
    let whole = x.len() - x.len() % V::WIDTH;
    unsafe {
        let (low_end, high_end) = (V::splat(low), V::splat(high));
        for k in (0..whole).step_by(V::WIDTH) {
            let x = T::load::<V>(x.as_ptr().add(k));
            outside |= if low == -high { x.any_beyond(high_end) } else { x.any_outside(low_end, high_end) };
            x.store(z.as_mut_ptr().add(k));
        }
    }
    for k in whole..x.len() {
        let x = x[k].to_f64();
        outside |= !(x >= low && x <= high);
        z[k] = x;
    }
    outside
}
