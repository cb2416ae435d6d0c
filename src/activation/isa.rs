//! Instruction sets: a kernel is compiled for each, and the widest that the processor has is chosen at run time.

use std::fmt;
use std::str::FromStr;
use std::sync::atomic::{AtomicU8, Ordering};

#[cfg(target_arch = "x86_64")]
use super::lanes::{Avx2, Avx512};
use super::lanes::{Lanes, Portable, single};

/// The instructions a kernel may use, the widest last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Isa {
    /// No vectors but those the compiler makes of plain loops; multiplication and addition are rounded apart.
    Portable,
    /// AVX2 with FMA.
    Avx2,
    /// AVX-512F.
    Avx512,
}

const ALL: [Isa; 3] = [Isa::Portable, Isa::Avx2, Isa::Avx512];

/// The widest that may be used, as its place in `ALL`.
static LIMIT: AtomicU8 = AtomicU8::new(Isa::Avx512 as u8);

impl Isa {
    /// All that this processor has.
    pub fn present() -> impl DoubleEndedIterator<Item = Isa> {
        ALL.into_iter().filter(|isa| isa.is_present())
    }

    fn is_present(self) -> bool {
        match self {
            Isa::Portable => true,
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 => is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma"),
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 => is_x86_feature_detected!("avx512f"),
            #[cfg(not(target_arch = "x86_64"))]
            _ => false,
        }
    }

    /// Keep all activations that this process makes from now on to these instructions or narrower ones.
    pub fn limit(self) {
        LIMIT.store(self as u8, Ordering::Relaxed);
    }

    /// The widest that this processor has and [`Isa::limit`] allows.
    pub(super) fn detect() -> Isa {
        let limit = LIMIT.load(Ordering::Relaxed);
        Isa::present().rfind(|&isa| isa as u8 <= limit).unwrap_or(Isa::Portable)
    }
}

impl fmt::Display for Isa {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Isa::Portable => "portable",
            Isa::Avx2 => "avx2",
            Isa::Avx512 => "avx512",
        })
    }
}

impl FromStr for Isa {
    type Err = String;

    fn from_str(text: &str) -> Result<Isa, String> {
        let isa = ALL.into_iter().find(|isa| isa.to_string() == text).ok_or("expected avx512, avx2 or portable")?;
        if !isa.is_present() {
            return Err("this processor does not have it".to_owned());
        }
        Ok(isa)
    }
}

/// A loop that can be compiled for each kind of vector.
pub(super) trait Pass {
    /// Run with registers of `V`, `K` of them at a time.
    ///
    /// # Safety
    /// The processor must have the instructions of `V`.
    unsafe fn run<V: Lanes, const K: usize>(self);
}

/// Values in the largest block, K·WIDTH over all formulas.
pub(super) const MAX_BLOCK: usize = 80;

impl Isa {
    /// Run `pass` on registers of f64 with these instructions: `WIDE` at a time of AVX-512, `NARROW` of AVX2, `PLAIN` of the
    /// portable form. They must be present, as they are for what [`Isa::detect`] returned.
    pub(super) fn run<P: Pass, const WIDE: usize, const NARROW: usize, const PLAIN: usize>(self, pass: P) {
        match self {
            // SAFETY: the processor has the instructions.
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 => unsafe { avx512::<P, Avx512, WIDE>(pass) },
            // SAFETY: the processor has the instructions.
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 => unsafe { avx2::<P, Avx2, NARROW>(pass) },
            // SAFETY: plain arithmetic.
            _ => unsafe { pass.run::<Portable, PLAIN>() },
        }
    }

    /// As [`Isa::run`], on registers of f32.
    pub(super) fn run_single<P: Pass, const WIDE: usize, const NARROW: usize, const PLAIN: usize>(self, pass: P) {
        match self {
            // SAFETY: the processor has the instructions.
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 => unsafe { avx512::<P, single::Avx512, WIDE>(pass) },
            // SAFETY: the processor has the instructions.
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 => unsafe { avx2::<P, single::Avx2, NARROW>(pass) },
            // SAFETY: plain arithmetic.
            _ => unsafe { pass.run::<single::Portable, PLAIN>() },
        }
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
unsafe fn avx512<P: Pass, V: Lanes, const K: usize>(pass: P) {
    unsafe { pass.run::<V, K>() }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
unsafe fn avx2<P: Pass, V: Lanes, const K: usize>(pass: P) {
    unsafe { pass.run::<V, K>() }
}
