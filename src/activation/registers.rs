//! Formulas on registers: `K` of them side by side, each with as many values as it holds.
//!
//! Plain loops only: a closure is compiled without the instructions of the loop that it stands in.

use std::marker::PhantomData;

use super::form::Machine;
use super::lanes::{Lanes, Vectorised};

/// Where the parameters of registers of `V` are.
pub(super) trait Source<V>: Copy {
    /// Parameter number `at`, for every value of a register.
    ///
    /// # Safety
    /// The processor must have the instructions of `V`, and the source this parameter.
    unsafe fn get(self, at: usize) -> V;
}

/// The same for all values: one after the other.
#[derive(Clone, Copy)]
pub(super) struct Alike<N>(pub *const N);

impl<V: Lanes> Source<V> for Alike<V::Number> {
    #[inline(always)]
    unsafe fn get(self, at: usize) -> V {
        unsafe { V::repeat(self.0.add(at)) }
    }
}

/// Others for each value of a register: those of one parameter side by side, from the first value's on, and `stride` further the
/// next one's.
#[derive(Clone, Copy)]
pub(super) struct Apart<N> {
    pub first: *const N,
    pub stride: usize,
}

impl<V: Lanes> Source<V> for Apart<V::Number> {
    #[inline(always)]
    unsafe fn get(self, at: usize) -> V {
        unsafe { V::Number::load(self.first.add(at * self.stride)) }
    }
}

/// The machine of registers of `V`.
#[derive(Clone, Copy)]
pub(super) struct Registers<V, S, const K: usize> {
    source: S,
    registers: PhantomData<V>,
}

impl<V: Lanes, S: Source<V>, const K: usize> Registers<V, S, K> {
    /// # Safety
    /// The processor must have the instructions of `V`, and `source` all parameters that are asked for.
    #[inline(always)]
    pub unsafe fn new(source: S) -> Self {
        Registers { source, registers: PhantomData }
    }
}

impl<V: Lanes, S: Source<V>, const K: usize> Machine for Registers<V, S, K> {
    type Value = [V; K];

    #[inline(always)]
    fn constant(&self, number: f64) -> [V; K] {
        // SAFETY: the processor has the instructions, here and below.
        [unsafe { V::splat(number) }; K]
    }

    #[inline(always)]
    fn parameter(&self, at: usize) -> [V; K] {
        // SAFETY: the source has it.
        [unsafe { self.source.get(at) }; K]
    }

    #[inline(always)]
    fn add(&self, a: &[V; K], b: &[V; K]) -> [V; K] {
        let mut sum = *a;
        for k in 0..K {
            sum[k] = unsafe { a[k].add(b[k]) };
        }
        sum
    }

    #[inline(always)]
    fn sub(&self, a: &[V; K], b: &[V; K]) -> [V; K] {
        let mut difference = *a;
        for k in 0..K {
            difference[k] = unsafe { a[k].sub(b[k]) };
        }
        difference
    }

    #[inline(always)]
    fn mul(&self, a: &[V; K], b: &[V; K]) -> [V; K] {
        let mut product = *a;
        for k in 0..K {
            product[k] = unsafe { a[k].mul(b[k]) };
        }
        product
    }

    #[inline(always)]
    fn mul_add(&self, a: &[V; K], b: &[V; K], c: &[V; K]) -> [V; K] {
        let mut sum = *c;
        for k in 0..K {
            sum[k] = unsafe { a[k].mul_add(b[k], c[k]) };
        }
        sum
    }
}

/// `K` registers from memory, each `step` values after the one before.
///
/// # Safety
/// The processor must have the instructions of `V`; the values of each register must be readable.
#[inline(always)]
pub(super) unsafe fn load<T: Vectorised, V: Lanes, const K: usize>(from: *const T, step: usize) -> [V; K] {
    unsafe {
        let mut registers = [V::splat(0.0); K];
        for (k, register) in registers.iter_mut().enumerate() {
            *register = T::load(from.add(k * step));
        }
        registers
    }
}

/// `K` registers to memory, each `step` values after the one before.
///
/// # Safety
/// As for [`load`], writable.
#[inline(always)]
pub(super) unsafe fn store<T: Vectorised, V: Lanes, const K: usize>(registers: &[V; K], to: *mut T, step: usize) {
    unsafe {
        for (k, register) in registers.iter().enumerate() {
            T::store(*register, to.add(k * step));
        }
    }
}
