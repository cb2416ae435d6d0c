//! Normal numbers that follow from a counter: each from its place alone, whatever was drawn before, and with the same bits on every
//! processor.
//!
//! The counter of a value and the key of its tensor give 32 bits by a mixing function of three rounds (C. Wellons, Prospecting for
//! Hash Functions, 2018: triple32), between two of which the second half of the key comes in. The bits are a number u between 0 and
//! 1, and √2·erf⁻¹(2u − 1) is normal; erf⁻¹ is computed by the two polynomials of Giles (GPU Computing Gems 2, chapter 10,
//! "Approximating the erfinv function", table 5) of w = −ln(4u(1 − u)). Only additions, products and square roots in f32 are used,
//! each rounded by itself, so that the bits do not depend on the instruction set. The largest number is 6.3.

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
    /// From one value to the next.
    pub step: u32,
}

/// Add a normal number of the standard deviation `deviation` to each of `count` values.
///
/// # Safety
/// `values` must be readable and writable for `count` values.
pub unsafe fn add_normal<T: Element>(values: *mut T, count: usize, deviation: f32, key: Key, counters: Counters) {
    let adding = Adding { values, count, deviation, key, counters };
    Isa::detect().run_single::<Adding<T>, 1, 1, 1>(adding);
}

/// How many values are computed side by side: a whole number of registers of every instruction set.
const SIDE_BY_SIDE: usize = 16;

struct Adding<T> {
    values: *mut T,
    count: usize,
    deviation: f32,
    key: Key,
    counters: Counters,
}

impl<T: Element> Pass for Adding<T> {
    /// The compiler makes vectors of the loops over [`SIDE_BY_SIDE`] values.
    #[inline(always)]
    unsafe fn run<V: Lanes, const K: usize>(self) {
        let Adding { values, count, deviation, key, counters: Counters { first, step } } = self;
        let mut lane = [0u32; SIDE_BY_SIDE];
        for (k, lane) in lane.iter_mut().enumerate() {
            *lane = (k as u32).wrapping_mul(step);
        }
        for start in (0..count).step_by(SIDE_BY_SIDE) {
            let base = first.wrapping_add((start as u32).wrapping_mul(step));
            let drawn = lane.map(|lane| normal(bits(base.wrapping_add(lane), key)));
            let length = SIDE_BY_SIDE.min(count - start);
            // SAFETY: the caller's values.
            let here = unsafe { std::slice::from_raw_parts_mut(values.add(start), length) };
            for (value, z) in here.iter_mut().zip(drawn) {
                *value = T::from_f64(value.to_f64() + f64::from(deviation * z));
            }
        }
    }
}

/// The number of `counter` under `key`, for places where there are few.
pub fn normal_at(counter: u32, key: Key) -> f32 {
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
#[inline(always)]
fn normal(bits: u32) -> f32 {
    // The nearer end: q = min(u, 1 − u), exactly to 24 bits however small it is.
    let below = bits & 0x8000_0000 == 0;
    let nearer = if below { bits } else { !bits };
    // As i32, for which processors have a conversion.
    let q = (nearer as i32 as f32 + 0.5) * 2f32.powi(-32);
    let w = -ln(4.0 * q * (1.0 - q));
    let v = w - 2.5;
    let mut inner = 2.810_226_4e-8;
    for c in [
        3.432_739_4e-7, -3.523_387_7e-6, -4.391_506_5e-6, 2.185_808_7e-4, -1.253_725e-3, -4.177_681_6e-3, 0.246_640_73,
        1.501_409_4,
    ] {
        inner = inner * v + c;
    }
    let v = w.sqrt() - 3.0;
    let mut outer = -2.002_142_6e-4;
    for c in [
        1.009_505_6e-4, 1.349_343_2e-3, -3.673_428_4e-3, 5.739_507_7e-3, -7.622_461_3e-3, 9.438_870_5e-3, 1.001_674,
        2.832_976_8,
    ] {
        outer = outer * v + c;
    }
    let size = (1.0 - 2.0 * q) * std::f32::consts::SQRT_2 * if w < 5.0 { inner } else { outer };
    if below { -size } else { size }
}

/// The natural logarithm of a normal x > 0, to a few units in the last place (Cephes, logf).
#[inline(always)]
fn ln(x: f32) -> f32 {
    // x = m·2^e with m in [√½, √2).
    let shifted = x.to_bits().wrapping_sub(0x3f35_04f3);
    let e = (shifted as i32 >> 23) as f32;
    let m = f32::from_bits((shifted & 0x007f_ffff).wrapping_add(0x3f35_04f3)) - 1.0;
    let mut p = 7.037_683_6e-2;
    for c in [
        -0.115_146_1, 0.116_769_98, -0.124_201_41, 0.142_493_23, -0.166_680_57, 0.200_007_14, -0.249_999_94,
        0.333_333_3,
    ] {
        p = p * m + c;
    }
    let square = m * m;
    let low = m * square * p - 2.121_944_4e-4 * e - 0.5 * square;
    m + low + 0.693_359_4 * e
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
            // How far z is off is how far its probability is off, by the density.
            let tail = u.min(1.0 - u);
            let off = (below(-z.abs()) / tail - 1.0).abs();
            // Beyond 5.5, where one of 10^7 lies, the polynomials are less exact.
            let most = if z.abs() < 5.5 { 3e-5 * (1.0 + z.abs()) } else { 0.01 };
            assert!(off < most && (z < 0.0) == (u < 0.5), "{bits:#x}: {z}, off by {off}");
        }
        assert!((6.2..6.4).contains(&normal(u32::MAX)) && normal(0) == -normal(u32::MAX));
    }

    /// Moments, the share of each of 64 equally likely parts, and products of neighbours and of the same place under other keys.
    #[test]
    fn draws_look_independent() {
        const COUNT: usize = 1 << 20;
        let draw = |parts: &[u64], step: u32| {
            let mut values = vec![0f32; COUNT];
            let counters = Counters { first: 7, step };
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
        for count in [1, 15, 16, 17, 1000] {
            for isa in Isa::present() {
                let mut values = vec![0f32; count];
                let adding = Adding {
                    values: values.as_mut_ptr(),
                    count,
                    deviation: 1.0,
                    key,
                    counters: Counters { first: 100, step: 3 },
                };
                isa.run_single::<Adding<f32>, 1, 1, 1>(adding);
                assert_eq!(values, alone[..count], "{isa}");
            }
        }
        let mut wide = vec![1f64; 20];
        // SAFETY: all of the vector.
        unsafe { add_normal(wide.as_mut_ptr(), 20, 0.5, key, Counters { first: 100, step: 3 }) };
        assert!(wide.iter().zip(&alone).all(|(&wide, &z)| wide == 1.0 + f64::from(0.5 * z)));
    }
}
