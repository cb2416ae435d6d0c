//! The composition evaluated on registers: Horner's scheme in u = y², all stages without leaving the registers.
//!
//! Plain loops only: a closure is compiled without the instructions of the loop that it stands in.

use super::lanes::{Lanes, Vectorised};

/// y ← p(y) on `K` registers.
///
/// # Safety
/// The processor must have the instructions of `V`.
#[inline(always)]
pub(super) unsafe fn sign<V: Lanes, const K: usize>(stages: &[Vec<f64>], y: &mut [V; K]) {
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
