//! Polynomials evaluated on registers: compositions, all stages without leaving the registers, by Horner's scheme in u = y²
//! or by Clenshaw's recurrence, and single Chebyshev series.
//!
//! Plain loops only: a closure is compiled without the instructions of the loop that it stands in.

use super::lanes::{Lanes, Vectorised};

/// The stages of a composition p, and how they are evaluated.
pub(super) trait Stages: Copy {
    /// y ← p(y) on `K` registers.
    ///
    /// # Safety
    /// The processor must have the instructions of `V`.
    unsafe fn sign<V: Lanes, const K: usize>(self, y: &mut [V; K]);
}

/// c_1, c_3, … of each stage.
#[derive(Clone, Copy)]
pub(super) struct Horner<'a>(pub &'a [Vec<f64>]);

impl Stages for Horner<'_> {
    #[inline(always)]
    unsafe fn sign<V: Lanes, const K: usize>(self, y: &mut [V; K]) {
        unsafe { sign(self.0, y) }
    }
}

/// d_1, d_3, … of each stage, a Chebyshev series on [−1, 1]: see [`super::Clenshaw`].
#[derive(Clone, Copy)]
pub(super) struct Clenshaw<'a>(pub &'a [Vec<f32>]);

impl Stages for Clenshaw<'_> {
    #[inline(always)]
    unsafe fn sign<V: Lanes, const K: usize>(self, y: &mut [V; K]) {
        unsafe { clenshaw(self.0, y) }
    }
}

/// y ← p(y) on `K` registers.
///
/// # Safety
/// The processor must have the instructions of `V`.
#[inline(always)]
unsafe fn sign<V: Lanes, const K: usize>(stages: &[Vec<f64>], y: &mut [V; K]) {
    for stage in stages {
        let Some((&last, rest)) = stage.split_last() else {
            continue;
        };
        unsafe {
            let mut u = *y;
            for u in &mut u {
                *u = u.mul(*u);
            }
            let mut sum = [V::splat(last); K];
            for &coefficient in rest.iter().rev() {
                let coefficient = V::splat(coefficient);
                for k in 0..K {
                    sum[k] = sum[k].mul_add(u[k], coefficient);
                }
            }
            for k in 0..K {
                y[k] = y[k].mul(sum[k]);
            }
        }
    }
}

/// y ← p(y) on `K` registers, for stages of Chebyshev series.
///
/// # Safety
/// As for [`sign`].
#[inline(always)]
unsafe fn clenshaw<V: Lanes, const K: usize>(stages: &[Vec<f32>], y: &mut [V; K]) {
    for stage in stages {
        let Some((&last, rest)) = stage.split_last() else {
            continue;
        };
        unsafe {
            let (four, minus_two) = (V::splat(4.0), V::splat(-2.0));
            let mut u = *y;
            for k in 0..K {
                u[k] = y[k].mul(four).mul_add(y[k], minus_two);
            }
            let (mut next, mut after) = ([V::splat(last.into()); K], [V::splat(0.0); K]);
            for &coefficient in rest.iter().rev() {
                let coefficient = V::splat(coefficient.into());
                for k in 0..K {
                    let value = u[k].mul_add(next[k], coefficient.sub(after[k]));
                    after[k] = next[k];
                    next[k] = value;
                }
            }
            for k in 0..K {
                y[k] = y[k].mul(next[k].sub(after[k]));
            }
        }
    }
}

/// v ← Σ c_k·T_k(v) on `K` registers, |v| ≤ 1.
///
/// # Safety
/// As for [`sign`].
#[inline(always)]
pub(super) unsafe fn series<V: Lanes, const K: usize>(coefficients: &[f64], v: &mut [V; K]) {
    let Some((&first, rest)) = coefficients.split_first() else {
        return;
    };
    unsafe {
        let (mut next, mut after) = ([V::splat(0.0); K], [V::splat(0.0); K]);
        let mut twice = *v;
        for k in 0..K {
            twice[k] = v[k].add(v[k]);
        }
        for &coefficient in rest.iter().rev() {
            let coefficient = V::splat(coefficient);
            for k in 0..K {
                let value = twice[k].mul_add(next[k], coefficient.sub(after[k]));
                after[k] = next[k];
                next[k] = value;
            }
        }
        let first = V::splat(first);
        for k in 0..K {
            v[k] = v[k].mul_add(next[k], first.sub(after[k]));
        }
    }
}

/// `K` registers from memory.
///
/// # Safety
/// As for [`sign`]; K·WIDTH values must be readable at `from`.
#[inline(always)]
pub(super) unsafe fn load<T: Vectorised, V: Lanes, const K: usize>(from: *const T) -> [V; K] {
    unsafe {
        let mut registers = [V::splat(0.0); K];
        for (k, register) in registers.iter_mut().enumerate() {
            *register = T::load(from.add(k * V::WIDTH));
        }
        registers
    }
}

/// `K` registers to memory.
///
/// # Safety
/// As for [`sign`]; K·WIDTH values must be writable at `to`.
#[inline(always)]
pub(super) unsafe fn store<T: Vectorised, V: Lanes, const K: usize>(registers: &[V; K], to: *mut T) {
    unsafe {
        for (k, register) in registers.iter().enumerate() {
            T::store(*register, to.add(k * V::WIDTH));
        }
    }
}
