//! The pass over pixels whose channels lie side by side, each with parameters of its own: a register holds neighbouring channels
//! of one pixel, and those that are computed side by side are of as many pixels, so that every parameter is read once for all.

use std::ops::Range;

use super::Elementwise;
use crate::activation::Report;
use crate::activation::form::{Blocked, Formula, Visitor, Whole};
use crate::activation::isa::{MAX_BLOCK, Pass};
use crate::activation::lanes::{Element, Lanes};
use crate::activation::registers::{Apart, Registers, load, store};

/// Values that are gone over register by register of channels before the next ones, few enough for the first-level cache; but so
/// many pixels at least, for which the parameters of these channels are there.
const CHUNK: usize = 4096;
const LEAST_PIXELS: usize = 16;

/// y ← f(x) at `positions` of pixels of as many channels as `site` has parameters for.
///
/// # Safety
/// As for [`Elementwise::run_channels`].
pub(super) unsafe fn run<T: Element>(
    site: &Elementwise,
    x: *const T,
    y: *mut T,
    positions: Range<usize>,
    report: Report<T>,
) {
    site.form.visit(site.arithmetic, Pixels { site, x, y, positions, report });
}

struct Pixels<'a, T> {
    site: &'a Elementwise,
    x: *const T,
    y: *mut T,
    positions: Range<usize>,
    report: Report<'a, T>,
}

impl<T: Element> Visitor for Pixels<'_, T> {
    type Result = ();

    fn visit<F: Blocked>(self, formula: Whole<F>) {
        let Pixels { site, x, y, positions, report } = self;
        formula.run(site.isa, site.arithmetic, PixelsPass { site, formula, x, y, positions, report });
    }
}

struct PixelsPass<'a, T, F> {
    site: &'a Elementwise,
    formula: F,
    x: *const T,
    y: *mut T,
    positions: Range<usize>,
    report: Report<'a, T>,
}

impl<T: Element, F: Formula> Pass for PixelsPass<'_, T, F> {
    #[inline(always)]
    unsafe fn run<V: Lanes, const K: usize>(mut self) {
        let channels = self.site.bounds.count();
        // A whole number of groups of pixels.
        let chunk = (CHUNK / channels).max(LEAST_PIXELS).next_multiple_of(K) * channels;
        let mut start = self.positions.start;
        while start < self.positions.end {
            let end = self.positions.end.min(start + chunk);
            for channel in (0..channels).step_by(V::WIDTH) {
                let width = V::WIDTH.min(channels - channel);
                for pixel in (start..end).step_by(K * channels) {
                    let pixels = K.min((end - pixel) / channels);
                    // SAFETY: the values of these channels of these pixels are the caller's.
                    unsafe {
                        if channel == 0 {
                            V::read_ahead(self.x.add(pixel), K * channels);
                        }
                        let (at, fits) = (pixel + channel, width == V::WIDTH && pixels == K);
                        if !(fits && self.whole::<V, K>(channel, at, channels)) {
                            self.partial::<V, K>(channel, at, channels, [pixels, width]);
                        }
                    }
                }
            }
            start = end;
        }
    }
}

impl<T: Element, F: Formula> PixelsPass<'_, T, F> {
    /// K pixels, of each the channels of one register from `channel` on; the first value stands at `at`, and the next pixel's
    /// `step` later. False, and nothing done, where one may be out of range.
    #[inline(always)]
    unsafe fn whole<V: Lanes, const K: usize>(&self, channel: usize, at: usize, step: usize) -> bool {
        unsafe {
            let x = self.x.add(at);
            let values = load::<T, V, K>(x, step);
            let [low, high] = self.site.bounds.sides(channel);
            let (low, high) = (V::load(low), V::load(high));
            let mut outside = false;
            for value in values {
                outside |= value.any_outside(low, high);
            }
            if outside {
                return false;
            }
            let machine = Registers::<V, Apart<V::Number>, K>::new(self.site.parameters.from(channel));
            let (value, _) = self.formula.value(&machine, 0, &values);
            store(&value, self.y.add(at), step);
        }
        true
    }

    /// The same for some pixels, and of each some channels, whatever their values are.
    #[inline(always)]
    unsafe fn partial<V: Lanes, const K: usize>(
        &mut self,
        channel: usize,
        at: usize,
        step: usize,
        [pixels, width]: [usize; 2],
    ) {
        let site = self.site;
        let mut block = [T::default(); MAX_BLOCK];
        unsafe {
            for (pixel, values) in block.chunks_exact_mut(V::WIDTH).enumerate().take(pixels) {
                let x = std::slice::from_raw_parts(self.x.add(at + pixel * step), width);
                values[..width].copy_from_slice(x);
                let inside = |i: usize| {
                    let [low, high] = site.bounds.surely(channel + i);
                    (low..=high).contains(&x[i].to_f64())
                };
                if !(0..width).all(inside) {
                    (self.report)(at + pixel * step, x);
                    if site.clipping {
                        for (i, value) in values[..width].iter_mut().enumerate() {
                            *value = value.clipped(site.bounds(channel + i));
                        }
                    }
                }
            }
            let machine = Registers::<V, Apart<V::Number>, K>::new(site.parameters.from(channel));
            let values = load::<T, V, K>(block.as_ptr(), V::WIDTH);
            let (value, _) = self.formula.value(&machine, 0, &values);
            store(&value, block.as_mut_ptr(), V::WIDTH);
            for (pixel, values) in block.chunks_exact(V::WIDTH).enumerate().take(pixels) {
                let to = self.y.add(at + pixel * step);
                std::ptr::copy_nonoverlapping(values.as_ptr(), to, width);
            }
        }
    }
}
