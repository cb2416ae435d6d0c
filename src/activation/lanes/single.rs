//! Vectors of f32 with the operations of [`Lanes`]: what is f64 in its signatures is rounded.

use super::Lanes;

#[derive(Clone, Copy)]
pub(in super::super) struct Portable([f32; 8]);

impl Portable {
    #[inline(always)]
    fn of(value: impl Fn(usize) -> f32) -> Portable {
        Portable(std::array::from_fn(value))
    }
}

// SAFETY: plain arithmetic.
unsafe impl Lanes for Portable {
    const WIDTH: usize = 8;
    type Single = Self;
    type Number = f32;

    #[inline(always)]
    unsafe fn splat(x: f64) -> Self {
        Portable([x as f32; 8])
    }

    #[inline(always)]
    unsafe fn repeat(from: *const f32) -> Self {
        Portable([unsafe { *from }; 8])
    }

    #[inline(always)]
    unsafe fn load(from: *const f64) -> Self {
        let wide = unsafe { from.cast::<[f64; 8]>().read_unaligned() };
        Portable::of(|i| wide[i] as f32)
    }

    #[inline(always)]
    unsafe fn load_single(from: *const f32) -> Self {
        Portable(unsafe { from.cast::<[f32; 8]>().read_unaligned() })
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut f64) {
        unsafe { to.cast::<[f64; 8]>().write_unaligned(self.0.map(f64::from)) }
    }

    #[inline(always)]
    unsafe fn store_single(self, to: *mut f32) {
        unsafe { to.cast::<[f32; 8]>().write_unaligned(self.0) }
    }

    #[inline(always)]
    unsafe fn any_beyond(self, bound: Self) -> bool {
        !(0..8).fold(true, |inside, i| inside & (self.0[i].abs() <= bound.0[i]))
    }

    #[inline(always)]
    unsafe fn any_outside(self, low: Self, high: Self) -> bool {
        !(0..8).fold(true, |inside, i| inside & (self.0[i] >= low.0[i]) & (self.0[i] <= high.0[i]))
    }

    #[inline(always)]
    unsafe fn mul(self, by: Self) -> Self {
        Portable::of(|i| self.0[i] * by.0[i])
    }

    #[inline(always)]
    unsafe fn add(self, to: Self) -> Self {
        Portable::of(|i| self.0[i] + to.0[i])
    }

    #[inline(always)]
    unsafe fn sub(self, from: Self) -> Self {
        Portable::of(|i| self.0[i] - from.0[i])
    }

    #[inline(always)]
    unsafe fn mul_add(self, by: Self, plus: Self) -> Self {
        unsafe { self.mul(by).add(plus) }
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::super::Lanes;
    use std::arch::x86_64::*;

    x86_lanes!(
        Avx2, Self, f32, __m256, 8, _mm256_loadu_ps, _mm256_storeu_ps, avx2_any_beyond, avx2_any_outside, avx2_splat,
        _mm256_set1_ps, avx2_load, avx2_store, _mm256_mul_ps, _mm256_add_ps, _mm256_sub_ps, _mm256_fmadd_ps
    );
    x86_lanes!(
        Avx512, Self, f32, __m512, 16, _mm512_loadu_ps, _mm512_storeu_ps, avx512_any_beyond, avx512_any_outside,
        avx512_splat, _mm512_set1_ps, avx512_load, avx512_store, _mm512_mul_ps, _mm512_add_ps, _mm512_sub_ps,
        _mm512_fmadd_ps
    );

    #[inline(always)]
    unsafe fn avx2_splat(x: f64) -> __m256 {
        unsafe { _mm256_set1_ps(x as f32) }
    }

    #[inline(always)]
    unsafe fn avx2_load(from: *const f64) -> __m256 {
        unsafe {
            let low = _mm256_cvtpd_ps(_mm256_loadu_pd(from));
            let high = _mm256_cvtpd_ps(_mm256_loadu_pd(from.add(4)));
            _mm256_set_m128(high, low)
        }
    }

    #[inline(always)]
    unsafe fn avx2_store(to: *mut f64, x: __m256) {
        unsafe {
            _mm256_storeu_pd(to, _mm256_cvtps_pd(_mm256_castps256_ps128(x)));
            _mm256_storeu_pd(to.add(4), _mm256_cvtps_pd(_mm256_extractf128_ps::<1>(x)));
        }
    }

    #[inline(always)]
    unsafe fn avx2_any_beyond(x: __m256, bound: __m256) -> bool {
        unsafe {
            let size = _mm256_andnot_ps(_mm256_set1_ps(-0.0), x);
            _mm256_movemask_ps(_mm256_cmp_ps::<_CMP_NLE_UQ>(size, bound)) != 0
        }
    }

    #[inline(always)]
    unsafe fn avx2_any_outside(x: __m256, low: __m256, high: __m256) -> bool {
        unsafe {
            let outside = _mm256_or_ps(_mm256_cmp_ps::<_CMP_NGE_UQ>(x, low), _mm256_cmp_ps::<_CMP_NLE_UQ>(x, high));
            _mm256_movemask_ps(outside) != 0
        }
    }

    #[inline(always)]
    unsafe fn avx512_splat(x: f64) -> __m512 {
        unsafe { _mm512_set1_ps(x as f32) }
    }

    #[inline(always)]
    unsafe fn avx512_load(from: *const f64) -> __m512 {
        unsafe {
            let low = _mm512_castps256_ps512(_mm512_cvtpd_ps(_mm512_loadu_pd(from)));
            let high = _mm512_cvtpd_ps(_mm512_loadu_pd(from.add(8)));
            let halves = _mm512_insertf64x4::<1>(_mm512_castps_pd(low), _mm256_castps_pd(high));
            _mm512_castpd_ps(halves)
        }
    }

    #[inline(always)]
    unsafe fn avx512_store(to: *mut f64, x: __m512) {
        unsafe {
            let high = _mm256_castpd_ps(_mm512_extractf64x4_pd::<1>(_mm512_castps_pd(x)));
            _mm512_storeu_pd(to, _mm512_cvtps_pd(_mm512_castps512_ps256(x)));
            _mm512_storeu_pd(to.add(8), _mm512_cvtps_pd(high));
        }
    }

    #[inline(always)]
    unsafe fn avx512_any_beyond(x: __m512, bound: __m512) -> bool {
        unsafe { _mm512_cmp_ps_mask::<_CMP_NLE_UQ>(_mm512_abs_ps(x), bound) != 0 }
    }

    #[inline(always)]
    unsafe fn avx512_any_outside(x: __m512, low: __m512, high: __m512) -> bool {
        unsafe { _mm512_cmp_ps_mask::<_CMP_NGE_UQ>(x, low) | _mm512_cmp_ps_mask::<_CMP_NLE_UQ>(x, high) != 0 }
    }
}

#[cfg(target_arch = "x86_64")]
pub(in super::super) use x86::{Avx2, Avx512};
