//! Normal numbers that follow from a counter: each from its place alone, whatever was drawn before, and with the same bits on every
//! processor.
//!
//! The counter of a value and the key of its tensor give 32 bits by a mixing function of three rounds (C. Wellons, Prospecting for
//! Hash Functions, 2018: triple32), between two of which the second half of the key comes in. The bits are a number u between 0 and
//! 1, and √2·erf⁻¹(2u − 1) is normal. As Giles does (GPU Computing Gems 2, chapter 10, "Approximating the erfinv function"), erf⁻¹
//! over its argument is one polynomial of w = −ln(4u(1 − u)) where that is small, and one of √w beyond; these, and that of the
//! logarithm, have the least largest error that their degrees allow, 10⁻⁴ of the number in all. Only operations in f32 are used that
//! are rounded once, fused multiplications among them, so that the bits do not depend on the instruction set. The largest number is
//! 6.3.

use super::isa::{Isa, Pass};
use super::lanes::{Element, Lanes};

/// Which numbers are drawn: of one place in a network, for one image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Key([u32; 2]);

impl Key {
    /// That follows from all of `parts`.
    pub fn of(parts: &[u64]) -> Key {
        // Steele, Lea and Flood, Fast Splittable Pseudorandom Number Generators (OOPSLA 2014), figure 16.
        let mixed = parts.iter().fold(0u64, |state, part| {
            let z = (state ^ part).wrapping_add(0x9e37_79b9_7f4a_7c15);
            let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            z ^ (z >> 31)
        });
        Key([mixed as u32, (mixed >> 32) as u32])
    }
}

/// The counters of values that follow each other in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counters {
    /// Of the first value.
    pub first: u32,
    /// From one value to the next, within a run.
    pub step: u32,
    /// Values of a run, at least one.
    pub run: usize,
    /// From the first value of a run to that of the next.
    pub next: u32,
}

impl Counters {
    /// How far the counter of the value at `position` is from the first.
    #[inline(always)]
    fn offset(self, position: usize) -> u32 {
        let (number, within) = (position / self.run, position % self.run);
        (number as u32).wrapping_mul(self.next).wrapping_add((within as u32).wrapping_mul(self.step))
    }

    /// Of `count` values, whether each piece of so many as are computed side by side is of one run, and whether it is of whole runs.
    fn fits(self, count: usize) -> (bool, bool) {
        (self.run.is_multiple_of(SIDE_BY_SIDE) || self.run >= count, SIDE_BY_SIDE.is_multiple_of(self.run))
    }
}

/// Add a normal number of the standard deviation `deviation` to each of `count` values.
///
/// # Safety
/// `values` must be readable and writable for `count` values.
pub unsafe fn add_normal<T: Element>(values: *mut T, count: usize, deviation: f32, key: Key, counters: Counters) {
    let adding = Adding { values, count, deviation, key, counters };
    Isa::detect().run_single::<Adding<T>, 1, 1, 1>(adding);
}

/// How many values are computed side by side: so many registers that their chains of operations overlap.
const SIDE_BY_SIDE: usize = 64;
/// Values of a run of which as many as are computed side by side meet four ends at most; longer ones are computed run by run.
const SHORT_RUNS: std::ops::RangeInclusive<usize> = 16..=SIDE_BY_SIDE / 2;

struct Adding<T> {
    values: *mut T,
    count: usize,
    deviation: f32,
    key: Key,
    counters: Counters,
}

impl<T: Element> Pass for Adding<T> {
    /// The compiler makes vectors of the plain loops over [`SIDE_BY_SIDE`] values; closures would not be compiled for the
    /// instruction set.
    #[inline(always)]
    unsafe fn run<V: Lanes, const K: usize>(self) {
        let Adding { values, count, deviation, key, counters } = self;
        let (long, short) = counters.fits(count);
        if !long && !short && counters.run > SIDE_BY_SIDE / 2 {
            // Run by run, of each of which the last piece is a part of one.
            for begin in (0..count).step_by(counters.run) {
                let first = counters.first.wrapping_add(counters.offset(begin));
                let (values, count) = (unsafe { values.add(begin) }, counters.run.min(count - begin));
                let of_run = Adding { values, count, deviation, key, counters: Counters { first, ..counters } };
                // SAFETY: the caller's values.
                unsafe { of_run.pieces(true, false) };
            }
            return;
        }
        // SAFETY: the caller's values.
        unsafe { self.pieces(long, short) };
    }
}

impl<T: Element> Adding<T> {
    /// Piece by piece, which [`Counters::fits`] says what is known of.
    ///
    /// # Safety
    /// `values` must be readable and writable for `count` values.
    #[inline(always)]
    unsafe fn pieces(self, long: bool, short: bool) {
        let Adding { values, count, deviation, key, counters } = self;
        let across = !long && !short && SHORT_RUNS.contains(&counters.run);
        let mut offsets = [0u32; SIDE_BY_SIDE];
        for (k, offset) in offsets.iter_mut().enumerate() {
            *offset = if long || across { (k as u32).wrapping_mul(counters.step) } else { counters.offset(k) };
        }
        for start in (0..count).step_by(SIDE_BY_SIDE) {
            let mut drawn = [0f32; SIDE_BY_SIDE];
            let mut w = [0f32; SIDE_BY_SIDE];
            if long || short {
                let base = counters.first.wrapping_add(counters.offset(start));
                for k in 0..SIDE_BY_SIDE {
                    (drawn[k], w[k]) = uniform(bits(base.wrapping_add(offsets[k]), key));
                }
            } else if across {
                let (run, within) = (counters.run as u32, (start % counters.run) as u32);
                let base = counters.first.wrapping_add(counters.offset(start));
                // What the step over the end of a run adds.
                let jump = counters.next.wrapping_sub(run.wrapping_mul(counters.step));
                for k in 0..SIDE_BY_SIDE {
                    let at = within + k as u32;
                    let ends = u32::from(at >= run)
                        + u32::from(at >= 2 * run)
                        + u32::from(at >= 3 * run)
                        + u32::from(at >= 4 * run);
                    let counter = base.wrapping_add(offsets[k]).wrapping_add(ends.wrapping_mul(jump));
                    (drawn[k], w[k]) = uniform(bits(counter, key));
                }
            } else {
                for k in 0..SIDE_BY_SIDE {
                    let counter = counters.first.wrapping_add(counters.offset(start + k));
                    (drawn[k], w[k]) = uniform(bits(counter, key));
                }
            }
            let mut far = false;
            for w in w {
                far |= w >= FAR;
            }
            if far {
                for k in 0..SIDE_BY_SIDE {
                    drawn[k] *= if w[k] < FAR { near(w[k]) } else { tail(w[k]) };
                }
            } else {
                for k in 0..SIDE_BY_SIDE {
                    drawn[k] *= near(w[k]);
                }
            }
            for z in &mut drawn {
                *z *= deviation;
            }
            if count - start >= SIDE_BY_SIDE {
                for (k, z) in drawn.iter().enumerate() {
                    // SAFETY: the caller's values.
                    unsafe { add(values.add(start + k), *z) };
                }
            } else {
                for (k, z) in drawn.iter().take(count - start).enumerate() {
                    // SAFETY: the caller's values.
                    unsafe { add(values.add(start + k), *z) };
                }
            }
        }
    }
}

/// # Safety
/// `value` must be readable and writable.
#[inline(always)]
unsafe fn add<T: Element>(value: *mut T, z: f32) {
    unsafe {
        // The sum in f64, rounded to f32, is that in f32.
        if size_of::<T>() == size_of::<f32>() {
            *value.cast::<f32>() += z;
        } else {
            *value = T::from_f64((*value).to_f64() + f64::from(z));
        }
    }
}

/// The number of `counter` under `key`.
#[cfg(test)]
fn normal_at(counter: u32, key: Key) -> f32 {
    normal(bits(counter, key))
}

#[inline(always)]
fn bits(counter: u32, Key([key, second]): Key) -> u32 {
    let mut x = counter.wrapping_add(key);
    x ^= x >> 17;
    x = x.wrapping_mul(0xed5a_d4bb);
    x ^= x >> 11;
    x ^= second;
    x = x.wrapping_mul(0xac4c_1b51);
    x ^= x >> 15;
    x = x.wrapping_mul(0x3184_8bab);
    x ^ (x >> 14)
}

/// √2·erf⁻¹(2u − 1) of u = (`bits` + ½)/2³².
#[cfg(test)]
fn normal(bits: u32) -> f32 {
    let (scale, w) = uniform(bits);
    scale * if w < FAR { near(w) } else { tail(w) }
}

/// √2·(2u − 1), and w.
#[inline(always)]
fn uniform(bits: u32) -> (f32, f32) {
    // The nearer end: q = min(u, 1 − u), exactly to 24 bits however small it is.
    let below = bits & 0x8000_0000 == 0;
    let nearer = if below { bits } else { !bits };
    // As i32, for which processors have a conversion.
    let q = (nearer as i32 as f32 + 0.5) * 2f32.powi(-32);
    let scale = (1.0 - 2.0 * q) * std::f32::consts::SQRT_2;
    (if below { -scale } else { scale }, -ln(4.0 * q * (1.0 - q)))
}

/// The w from which on [`tail`] counts: of one number in 3000.
const FAR: f32 = 8.0;

/// erf⁻¹ over its argument, for w < 8, to 7·10⁻⁵.
#[inline(always)]
fn near(w: f32) -> f32 {
    horner(w, [-8.862_934e-6, 2.97e-4, -3.605_497_7e-3, 1.320_732e-2, 2.312_469_6e-1, 8.862_812e-1])
}

/// The same for larger w, to 10⁻⁵.
#[inline(always)]
fn tail(w: f32) -> f32 {
    horner(w.sqrt(), [8.862_82e-4, -1.497_741_8e-2, 9.560_338e-2, 7.366_546e-1, 9.519_98e-2])
}

/// The natural logarithm of a normal x > 0, to 2·10⁻⁵.
#[inline(always)]
fn ln(x: f32) -> f32 {
    // x = (1 + m)·2^e with 1 + m in [√½, √2).
    let shifted = x.to_bits().wrapping_sub(0x3f35_04f3);
    let e = (shifted as i32 >> 23) as f32;
    let m = f32::from_bits((shifted & 0x007f_ffff).wrapping_add(0x3f35_04f3)) - 1.0;
    let over_m = horner(m, [1.810_209_7e-1, -2.720_317_5e-1, 3.359_334_8e-1, -4.993_866e-1, 9.999_728e-1]);
    e.mul_add(std::f32::consts::LN_2, m * over_m)
}

/// The polynomial with these coefficients, the highest first.
#[inline(always)]
fn horner<const N: usize>(x: f32, coefficients: [f32; N]) -> f32 {
    let mut sum = coefficients[0];
    for c in &coefficients[1..] {
        sum = sum.mul_add(x, *c);
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Φ(z) by the error function.
    fn below(z: f64) -> f64 {
        0.5 * libm::erfc(-z / 2f64.sqrt())
    }

    #[test]
    fn numbers_are_those_of_the_normal_distribution() {
        let mut bits: Vec<u32> = (0..32).flat_map(|k| [1u32 << k, (1 << k) - 1, !(1u32 << k)]).collect();
        bits.extend((0..100_000u32).map(|k| k.wrapping_mul(42_949)));
        for bits in bits {
            let u = (f64::from(bits) + 0.5) / 2f64.powi(32);
            let z = f64::from(normal(bits));
            // A part of z is z² times that part of the probability beyond, in the tail.
            let tail = u.min(1.0 - u);
            let off = (below(-z.abs()) / tail - 1.0).abs();
            let most = 2e-4 * (0.5 + z * z);
            assert!(off < most && (z == 0.0 || (z < 0.0) == (u < 0.5)), "{bits:#x}: {z}, off by {off}");
        }
        assert!((6.2..6.4).contains(&normal(u32::MAX)) && normal(0) == -normal(u32::MAX));
    }

    /// Moments, the share of each of 64 equally likely parts, and products of neighbours and of the same place under other keys.
    #[test]
    fn draws_look_independent() {
        const COUNT: usize = 1 << 20;
        let draw = |parts: &[u64], step: u32| {
            let mut values = vec![0f32; COUNT];
            let counters = Counters { first: 7, step, run: COUNT, next: 0 };
            // SAFETY: all of the vector.
            unsafe { add_normal(values.as_mut_ptr(), COUNT, 1.0, Key::of(parts), counters) };
            values
        };
        for step in [1, 49, 1024] {
            let all = draw(&[1, 2, 3], step);
            let mean = |of: &dyn Fn(f64) -> f64| all.iter().map(|&z| of(z.into())).sum::<f64>() / COUNT as f64;
            let standard = 1.0 / (COUNT as f64).sqrt();
            assert!(mean(&|z| z).abs() < 4.0 * standard);
            assert!((mean(&|z| z * z) - 1.0).abs() < 4.0 * 2f64.sqrt() * standard);
            assert!(mean(&|z| z.powi(3)).abs() < 4.0 * 15f64.sqrt() * standard);
            assert!((mean(&|z| z.powi(4)) - 3.0).abs() < 4.0 * 96f64.sqrt() * standard);
            let mut parts = [0u32; 64];
            all.iter().for_each(|&z| parts[(below(z.into()) * 64.0) as usize] += 1);
            let expected = COUNT as f64 / 64.0;
            let chi: f64 = parts.iter().map(|&count| (f64::from(count) - expected).powi(2) / expected).sum();
            assert!((24.0..120.0).contains(&chi), "{step}: {chi}");
            for lag in [1, 2, 16, 63] {
                let products = all.iter().zip(&all[lag..]).map(|(&a, &b)| f64::from(a) * f64::from(b));
                assert!((products.sum::<f64>() / COUNT as f64).abs() < 4.5 * standard, "{step} {lag}");
            }
            for other in [draw(&[1, 2, 4], step), draw(&[2, 2, 3], step), draw(&[1, 3, 3], step)] {
                let products = all.iter().zip(&other).map(|(&a, &b)| f64::from(a) * f64::from(b));
                assert!((products.sum::<f64>() / COUNT as f64).abs() < 4.5 * standard, "{step}");
            }
        }
    }

    #[test]
    fn a_number_follows_from_its_counter_alone_on_all_instruction_sets() {
        let key = Key::of(&[5]);
        let alone: Vec<f32> = (0..1000u32).map(|k| normal_at(100 + 3 * k, key)).collect();
        for count in [1, 63, 64, 65, 1000] {
            for isa in Isa::present() {
                let mut values = vec![0f32; count];
                let adding = Adding {
                    values: values.as_mut_ptr(),
                    count,
                    deviation: 1.0,
                    key,
                    counters: Counters { first: 100, step: 3, run: 1000, next: 0 },
                };
                isa.run_single::<Adding<f32>, 1, 1, 1>(adding);
                assert_eq!(values, alone[..count], "{isa}");
            }
        }
        // Runs of values three apart.
        for run in [1, 5, 15, 16, 17, 24, 31, 32, 33, 48, 64, 96, 100, 128, 300] {
            let mut runs = vec![0f32; 333];
            let counters = Counters { first: 100, step: 3, run, next: 1000 };
            // SAFETY: all of the vector.
            unsafe { add_normal(runs.as_mut_ptr(), runs.len(), 1.0, key, counters) };
            let counter = |at: usize| (100 + at / run * 1000 + at % run * 3) as u32;
            assert!((0..runs.len()).all(|at| runs[at] == normal_at(counter(at), key)), "{run}");
        }
        let mut wide = vec![1f64; 20];
        // SAFETY: all of the vector.
        unsafe { add_normal(wide.as_mut_ptr(), 20, 0.5, key, Counters { first: 100, step: 3, run: 1000, next: 0 }) };
        assert!(wide.iter().zip(&alone).all(|(&wide, &z)| wide == 1.0 + f64::from(0.5 * z)));
    }
}
