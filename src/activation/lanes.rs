//! Vectors of f64 for the kernels, and in `single` of f32: AVX-512, AVX2, and a portable form.
//!
//! All forms do the same operations in the same order on each value; the vector forms fuse multiply and add, the
//! portable one rounds in between, so results of the two differ in the last bits of f64.

/// A number that a kernel reads and writes.
#[allow(private_bounds)]
pub trait Element: Vectorised + Copy + Default + PartialOrd + Send + Sync + 'static {
    fn to_f64(self) -> f64;
    fn from_f64(x: f64) -> Self;
    /// The bits of the nearest f32.
    fn bits_as_f32(self) -> u32 {
        (self.to_f64() as f32).to_bits()
    }
    /// The largest number of this type that is not above `bound`, which is finite.
    fn at_most(bound: f64) -> Self;
    /// The least number of this type that is not below `bound`, which is finite.
    fn at_least(bound: f64) -> Self {
        Self::from_f64(-Self::at_most(-bound).to_f64())
    }
    /// Moved into [`low`, `high`], which are finite; what is not a number stays.
    fn clipped(self, [low, high]: [f64; 2]) -> Self {
        Self::from_f64(self.to_f64().clamp(Self::at_least(low).to_f64(), Self::at_most(high).to_f64()))
    }
    /// The type in C++.
    #[cfg(feature = "libtorch")]
    const C_NAME: &'static str;
}

/// How registers are filled from an [`Element`] and written to it.
///
/// # Safety
/// As for [`Lanes`]; a register's width must be readable or writable.
pub(super) trait Vectorised: Sized {
    unsafe fn load<V: Lanes>(from: *const Self) -> V;
    unsafe fn store<V: Lanes>(register: V, to: *mut Self);
    /// Whether any of `count` values, at least as many as a register of [`Lanes::Single`] holds, is outside the bounds or not a
    /// number; f32 are compared as they are, twice as many at once as f64.
    unsafe fn any_outside<V: Lanes>(from: *const Self, count: usize, bounds: [f64; 2]) -> bool;
}

impl Element for f32 {
    #[inline(always)]
    fn to_f64(self) -> f64 {
        self.into()
    }

    #[inline(always)]
    fn from_f64(x: f64) -> f32 {
        x as f32
    }

    fn at_most(bound: f64) -> f32 {
        let nearest = bound as f32;
        if f64::from(nearest) > bound { nearest.next_down() } else { nearest }
    }

    #[cfg(feature = "libtorch")]
    const C_NAME: &'static str = "float";
}

impl Element for f64 {
    #[inline(always)]
    fn to_f64(self) -> f64 {
        self
    }

    #[inline(always)]
    fn from_f64(x: f64) -> f64 {
        x
    }

    fn at_most(bound: f64) -> f64 {
        bound
    }

    #[cfg(feature = "libtorch")]
    const C_NAME: &'static str = "double";
}

impl Vectorised for f32 {
    #[inline(always)]
    unsafe fn load<V: Lanes>(from: *const f32) -> V {
        unsafe { V::load_single(from) }
    }

    #[inline(always)]
    unsafe fn store<V: Lanes>(register: V, to: *mut f32) {
        unsafe { register.store_single(to) }
    }

    #[inline(always)]
    unsafe fn any_outside<V: Lanes>(from: *const f32, count: usize, [low, high]: [f64; 2]) -> bool {
        let bounds = [f32::at_least(low).into(), f32::at_most(high).into()];
        unsafe { any_outside::<f32, V::Single>(from, count, bounds) }
    }
}

impl Vectorised for f64 {
    #[inline(always)]
    unsafe fn load<V: Lanes>(from: *const f64) -> V {
        unsafe { V::load(from) }
    }

    #[inline(always)]
    unsafe fn store<V: Lanes>(register: V, to: *mut f64) {
        unsafe { register.store(to) }
    }

    #[inline(always)]
    unsafe fn any_outside<V: Lanes>(from: *const f64, count: usize, bounds: [f64; 2]) -> bool {
        unsafe { any_outside::<f64, V>(from, count, bounds) }
    }
}

/// The registers in which [`Vectorised::any_outside`] compares; the last one overlaps the one before.
#[inline(always)]
unsafe fn any_outside<T: Vectorised, V: Lanes>(from: *const T, count: usize, [low, high]: [f64; 2]) -> bool {
    debug_assert!(count >= V::WIDTH);
    // Otherwise the compiler makes the operands of the arithmetic from these registers, by many shuffles.
    let from = std::hint::black_box(from);
    let mut outside = false;
    unsafe {
        let (low_end, high_end) = (V::splat(low), V::splat(high));
        for start in (0..count).step_by(V::WIDTH) {
            let x = T::load::<V>(from.add(start.min(count - V::WIDTH)));
            outside |= if low == -high { x.any_beyond(high_end) } else { x.any_outside(low_end, high_end) };
        }
    }
    outside
}

/// What a register holds.
pub(super) trait Number: Element {
    /// The numbers of this type.
    fn choose<'a>(wide: &'a [f64], single: &'a [f32]) -> &'a [Self];
}

impl Number for f64 {
    #[inline(always)]
    fn choose<'a>(wide: &'a [f64], _: &'a [f32]) -> &'a [f64] {
        wide
    }
}

impl Number for f32 {
    #[inline(always)]
    fn choose<'a>(_: &'a [f64], single: &'a [f32]) -> &'a [f32] {
        single
    }
}

/// One vector register, of f64; in `single` of f32, where f64 is rounded.
///
/// # Safety
/// The methods of the vector forms may be called only where the processor has the instructions; see [`super::Isa`].
pub(super) unsafe trait Lanes: Copy {
    /// Values in one register.
    const WIDTH: usize;
    /// The register of f32 with the same instructions.
    type Single: Lanes;
    /// What it holds.
    type Number: Number;

    unsafe fn splat(x: f64) -> Self;
    /// As many times the number at `from`.
    unsafe fn repeat(from: *const Self::Number) -> Self;
    unsafe fn load(from: *const f64) -> Self;
    unsafe fn load_single(from: *const f32) -> Self;
    unsafe fn store(self, to: *mut f64);
    unsafe fn store_single(self, to: *mut f32);
    /// Whether any |x| is above `bound` or not a number.
    unsafe fn any_beyond(self, bound: Self) -> bool;
    /// Whether any x is below `low`, above `high`, or not a number.
    unsafe fn any_outside(self, low: Self, high: Self) -> bool;
    unsafe fn mul(self, by: Self) -> Self;
    unsafe fn add(self, to: Self) -> Self;
    unsafe fn sub(self, from: Self) -> Self;
    /// self·by + plus.
    unsafe fn mul_add(self, by: Self, plus: Self) -> Self;
    /// Asks for the cache line of an address, which need not be mapped.
    #[inline(always)]
    unsafe fn prefetch(_at: *const u8) {}

    /// Asks for `count` values that a pass over memory comes to after those at `from`: the processor by itself reads ahead no
    /// further than to the end of a page, and would stand still at the beginning of each.
    #[inline(always)]
    unsafe fn read_ahead<T>(from: *const T, count: usize) {
        const LINE: usize = 64;
        const AHEAD: usize = 8192;
        for line in (0..count * size_of::<T>()).step_by(LINE) {
            unsafe { Self::prefetch(from.cast::<u8>().wrapping_add(AHEAD + line)) };
        }
    }
}

#[derive(Clone, Copy)]
pub(super) struct Portable([f64; 4]);

// SAFETY: plain arithmetic.
unsafe impl Lanes for Portable {
    const WIDTH: usize = 4;
    type Single = single::Portable;
    type Number = f64;

    #[inline(always)]
    unsafe fn splat(x: f64) -> Self {
        Portable([x; 4])
    }

    #[inline(always)]
    unsafe fn repeat(from: *const f64) -> Self {
        Portable([unsafe { *from }; 4])
    }

    #[inline(always)]
    unsafe fn load(from: *const f64) -> Self {
        Portable(unsafe { from.cast::<[f64; 4]>().read_unaligned() })
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut f64) {
        unsafe { to.cast::<[f64; 4]>().write_unaligned(self.0) }
    }

    #[inline(always)]
    unsafe fn load_single(from: *const f32) -> Self {
        let [a, b, c, d] = unsafe { from.cast::<[f32; 4]>().read_unaligned() };
        Portable([a.into(), b.into(), c.into(), d.into()])
    }

    #[inline(always)]
    unsafe fn store_single(self, to: *mut f32) {
        let [a, b, c, d] = self.0;
        unsafe { to.cast::<[f32; 4]>().write_unaligned([a as f32, b as f32, c as f32, d as f32]) }
    }

    #[inline(always)]
    unsafe fn any_beyond(self, bound: Self) -> bool {
        let inside = |i: usize| self.0[i].abs() <= bound.0[i];
        !(inside(0) & inside(1) & inside(2) & inside(3))
    }

    #[inline(always)]
    unsafe fn any_outside(self, low: Self, high: Self) -> bool {
        let inside = |i: usize| (self.0[i] >= low.0[i]) & (self.0[i] <= high.0[i]);
        !(inside(0) & inside(1) & inside(2) & inside(3))
    }

    #[inline(always)]
    unsafe fn mul(self, by: Self) -> Self {
        let [a, b, c, d] = self.0;
        Portable([a * by.0[0], b * by.0[1], c * by.0[2], d * by.0[3]])
    }

    #[inline(always)]
    unsafe fn add(self, to: Self) -> Self {
        let [a, b, c, d] = self.0;
        Portable([a + to.0[0], b + to.0[1], c + to.0[2], d + to.0[3]])
    }

    #[inline(always)]
    unsafe fn sub(self, from: Self) -> Self {
        let [a, b, c, d] = self.0;
        Portable([a - from.0[0], b - from.0[1], c - from.0[2], d - from.0[3]])
    }

    #[inline(always)]
    unsafe fn mul_add(self, by: Self, plus: Self) -> Self {
        unsafe { self.mul(by).add(plus) }
    }
}

#[cfg(target_arch = "x86_64")]
macro_rules! x86_lanes {
    ($name:ident, $single:ty, $number:ty, $register:ty, $width:expr, $load_single:ident, $store_single:ident, $any_beyond:ident, $any_outside:ident, $splat:ident, $repeat:ident, $load:ident, $store:ident, $mul:ident, $add:ident, $sub:ident, $fma:ident) => {
        #[derive(Clone, Copy)]
        pub(in crate::activation) struct $name($register);

        // SAFETY: called only behind the matching `Isa`.
        unsafe impl Lanes for $name {
            const WIDTH: usize = $width;
            type Single = $single;
            type Number = $number;

            #[inline(always)]
            unsafe fn splat(x: f64) -> Self {
                $name(unsafe { $splat(x) })
            }

            #[inline(always)]
            unsafe fn repeat(from: *const $number) -> Self {
                $name(unsafe { $repeat(*from) })
            }

            #[inline(always)]
            unsafe fn load(from: *const f64) -> Self {
                $name(unsafe { $load(from) })
            }

            #[inline(always)]
            unsafe fn store(self, to: *mut f64) {
                unsafe { $store(to, self.0) }
            }

            #[inline(always)]
            unsafe fn load_single(from: *const f32) -> Self {
                $name(unsafe { $load_single(from) })
            }

            #[inline(always)]
            unsafe fn store_single(self, to: *mut f32) {
                unsafe { $store_single(to, self.0) }
            }

            #[inline(always)]
            unsafe fn any_beyond(self, bound: Self) -> bool {
                unsafe { $any_beyond(self.0, bound.0) }
            }

            #[inline(always)]
            unsafe fn any_outside(self, low: Self, high: Self) -> bool {
                unsafe { $any_outside(self.0, low.0, high.0) }
            }

            #[inline(always)]
            unsafe fn mul(self, by: Self) -> Self {
                $name(unsafe { $mul(self.0, by.0) })
            }

            #[inline(always)]
            unsafe fn add(self, to: Self) -> Self {
                $name(unsafe { $add(self.0, to.0) })
            }

            #[inline(always)]
            unsafe fn sub(self, from: Self) -> Self {
                $name(unsafe { $sub(self.0, from.0) })
            }

            #[inline(always)]
            unsafe fn mul_add(self, by: Self, plus: Self) -> Self {
                $name(unsafe { $fma(self.0, by.0, plus.0) })
            }

            #[inline(always)]
            unsafe fn prefetch(at: *const u8) {
                unsafe { _mm_prefetch::<_MM_HINT_T0>(at.cast()) }
            }
        }
    };
}

// After the macro, which it uses too.
pub(super) mod single;

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::{Lanes, single};
    use std::arch::x86_64::*;

    x86_lanes!(
        Avx2,
        single::Avx2,
        f64,
        __m256d,
        4,
        avx2_load_single,
        avx2_store_single,
        avx2_any_beyond,
        avx2_any_outside,
        _mm256_set1_pd,
        _mm256_set1_pd,
        _mm256_loadu_pd,
        _mm256_storeu_pd,
        _mm256_mul_pd,
        _mm256_add_pd,
        _mm256_sub_pd,
        _mm256_fmadd_pd
    );
    x86_lanes!(
        Avx512,
        single::Avx512,
        f64,
        __m512d,
        8,
        avx512_load_single,
        avx512_store_single,
        avx512_any_beyond,
        avx512_any_outside,
        _mm512_set1_pd,
        _mm512_set1_pd,
        _mm512_loadu_pd,
        _mm512_storeu_pd,
        _mm512_mul_pd,
        _mm512_add_pd,
        _mm512_sub_pd,
        _mm512_fmadd_pd
    );

    #[inline(always)]
    unsafe fn avx2_load_single(from: *const f32) -> __m256d {
        unsafe { _mm256_cvtps_pd(_mm_loadu_ps(from)) }
    }

    #[inline(always)]
    unsafe fn avx2_store_single(to: *mut f32, x: __m256d) {
        unsafe { _mm_storeu_ps(to, _mm256_cvtpd_ps(x)) }
    }

    #[inline(always)]
    unsafe fn avx2_any_beyond(x: __m256d, bound: __m256d) -> bool {
        unsafe {
            let size = _mm256_andnot_pd(_mm256_set1_pd(-0.0), x);
            _mm256_movemask_pd(_mm256_cmp_pd::<_CMP_NLE_UQ>(size, bound)) != 0
        }
    }

    #[inline(always)]
    unsafe fn avx2_any_outside(x: __m256d, low: __m256d, high: __m256d) -> bool {
        unsafe {
            let outside = _mm256_or_pd(_mm256_cmp_pd::<_CMP_NGE_UQ>(x, low), _mm256_cmp_pd::<_CMP_NLE_UQ>(x, high));
            _mm256_movemask_pd(outside) != 0
        }
    }

    #[inline(always)]
    unsafe fn avx512_load_single(from: *const f32) -> __m512d {
        unsafe { _mm512_cvtps_pd(_mm256_loadu_ps(from)) }
    }

    #[inline(always)]
    unsafe fn avx512_store_single(to: *mut f32, x: __m512d) {
        unsafe { _mm256_storeu_ps(to, _mm512_cvtpd_ps(x)) }
    }

    #[inline(always)]
    unsafe fn avx512_any_beyond(x: __m512d, bound: __m512d) -> bool {
        unsafe { _mm512_cmp_pd_mask::<_CMP_NLE_UQ>(_mm512_abs_pd(x), bound) != 0 }
    }

    #[inline(always)]
    unsafe fn avx512_any_outside(x: __m512d, low: __m512d, high: __m512d) -> bool {
        unsafe { _mm512_cmp_pd_mask::<_CMP_NGE_UQ>(x, low) | _mm512_cmp_pd_mask::<_CMP_NLE_UQ>(x, high) != 0 }
    }
}

#[cfg(target_arch = "x86_64")]
pub(super) use x86::{Avx2, Avx512};
