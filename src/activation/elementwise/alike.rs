//! The pass over values that are all computed with the same parameters, block after block.

use super::Elementwise;
use crate::activation::Report;
use crate::activation::form::{Blocked, Formula, Visitor, Whole};
use crate::activation::isa::{MAX_BLOCK, Pass};
use crate::activation::lanes::{Element, Lanes};
use crate::activation::registers::{Alike, Registers, load, store};

/// y_i ← f(x_i) for `count` values of `channel`.
///
/// # Safety
/// As for [`Elementwise::run`].
pub(super) unsafe fn run<T: Element>(
    site: &Elementwise,
    channel: usize,
    x: *const T,
    y: *mut T,
    count: usize,
    report: Report<T>,
) {
    site.form.visit(site.arithmetic, Values { site, channel, x, y, count, report });
}

struct Values<'a, T> {
    site: &'a Elementwise,
    channel: usize,
    x: *const T,
    y: *mut T,
    count: usize,
    report: Report<'a, T>,
}

impl<T: Element> Visitor for Values<'_, T> {
    type Result = ();

    fn visit<F: Blocked>(self, formula: Whole<F>) {
        let Values { site, channel, x, y, count, report } = self;
        formula.run(site.isa, site.arithmetic, ValuesPass { site, channel, formula, x, y, count, report });
    }
}

struct ValuesPass<'a, T, F> {
    site: &'a Elementwise,
    channel: usize,
    formula: F,
    x: *const T,
    y: *mut T,
    count: usize,
    report: Report<'a, T>,
}

impl<T: Element, F: Formula> Pass for ValuesPass<'_, T, F> {
    #[inline(always)]
    unsafe fn run<V: Lanes, const K: usize>(self) {
        let ValuesPass { site, channel, formula, x, y, count, report } = self;
        let block = K * V::WIDTH;
        let rest = count % block;
        let last = count - rest;
        // SAFETY: the processor has the instructions. Whole blocks first; the values left over are padded to a block with the
        // first of them.
        unsafe {
            let values = Block {
                machine: Registers::<V, Alike<V::Number>, K>::new(site.parameters.of(channel)),
                formula,
                sure: site.bounds.surely(channel),
                clip: site.clipping.then(|| site.bounds(channel)),
            };
            let outside = &mut |at: usize, length: usize| {
                report(at, std::slice::from_raw_parts(x.add(at), length));
            };
            for start in (0..last).step_by(block) {
                let (x, y) = (x.add(start), y.add(start));
                V::read_ahead(x, block);
                values.compute(x, y, || outside(start, block));
            }
            if rest > 0 {
                let mut padded = [*x.add(last); MAX_BLOCK];
                std::ptr::copy_nonoverlapping(x.add(last), padded.as_mut_ptr(), rest);
                let to = padded.as_mut_ptr();
                values.compute(to, to, || outside(last, rest));
                std::ptr::copy_nonoverlapping(padded.as_ptr(), y.add(last), rest);
            }
        }
    }
}

/// What is done with a block of K·WIDTH values.
#[derive(Clone, Copy)]
struct Block<F, V: Lanes, const K: usize> {
    machine: Registers<V, Alike<V::Number>, K>,
    formula: F,
    /// Between which a value is surely in range.
    sure: [f64; 2],
    /// The ends to which values beyond are moved.
    clip: Option<[f64; 2]>,
}

impl<F: Formula, V: Lanes, const K: usize> Block<F, V, K> {
    /// `outside` is called before anything is written if a value may be out of range.
    ///
    /// # Safety
    /// A block must be readable at `x` and writable at `y`.
    #[inline(always)]
    unsafe fn compute<T: Element>(self, x: *const T, y: *mut T, outside: impl FnOnce()) {
        unsafe {
            let mut from = x;
            let mut moved = [T::default(); MAX_BLOCK];
            if T::any_outside::<V>(x, K * V::WIDTH, self.sure) {
                outside();
                if let Some(ends) = self.clip {
                    clip(x, &mut moved[..K * V::WIDTH], ends);
                    from = moved.as_ptr();
                }
            }
            let (value, _) = self.formula.value(&self.machine, 0, &load::<T, V, K>(from, V::WIDTH));
            store(&value, y, V::WIDTH);
        }
    }
}

/// Writes the values at `x`, those beyond the ends moved to them, to `moved`.
///
/// # Safety
/// As many values must be readable as `moved` has.
#[cold]
unsafe fn clip<T: Element>(x: *const T, moved: &mut [T], ends: [f64; 2]) {
    for (k, moved) in moved.iter_mut().enumerate() {
        *moved = unsafe { *x.add(k) }.clipped(ends);
    }
}
