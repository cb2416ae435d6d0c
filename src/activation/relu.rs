//! The ReLU and ReLU6 kernels: one pass over the values, computed in f64, counted where they leave the range.

use super::kernel::{load, sign, store};
use super::lanes::{Element, Isa, Lanes, MAX_BLOCK, Pass};
use super::{Report, Sign};

/// How far ReLU6 shifts its second ReLU.
const SIX: f64 = 6.0;

/// B·r(x/B), or for ReLU6 B·r(x/B) − C·r((x−6)/C) with C = B + 6, which holds x − 6 wherever B holds x.
#[derive(Debug, Clone)]
pub struct Relu {
    sign: Sign,
    range: f64,
    six: bool,
    isa: Isa,
}

impl Relu {
    /// ReLU for inputs in [−`range`, `range`]; `range` is positive and finite.
    pub fn new(sign: Sign, range: f64) -> Relu {
        Relu { sign, range, six: false, isa: Isa::detect() }
    }

    /// ReLU6 for inputs in [−`range`, `range`].
    pub fn six(sign: Sign, range: f64) -> Relu {
        Relu { six: true, ..Relu::new(sign, range) }
    }

    /// The bound B of the inputs.
    pub fn range(&self) -> f64 {
        self.range
    }

    /// The sign inside.
    pub fn sign(&self) -> &Sign {
        &self.sign
    }

    /// (shift, range) of each ReLU that is summed, the second subtracted.
    #[cfg(feature = "libtorch")]
    pub(super) fn terms(&self) -> impl Iterator<Item = (f64, f64)> {
        [(0.0, self.range), (SIX, self.range + SIX)].into_iter().take(1 + self.six as usize)
    }

    /// y_i ← ReLU(x_i) for `count` values. `report` sees the inputs of every block that holds one outside [−B, B].
    ///
    /// # Safety
    /// `x` must be readable and `y` writable for `count` values; they are the same or do not overlap.
    pub unsafe fn run<T: Element>(&self, x: *const T, y: *mut T, count: usize, report: Report<T>) {
        self.isa.run(ReluPass { relu: self, x, y, count, report });
    }
}

struct ReluPass<'a, T> {
    relu: &'a Relu,
    x: *const T,
    y: *mut T,
    count: usize,
    report: Report<'a, T>,
}

impl<T: Element> Pass for ReluPass<'_, T> {
    #[inline(always)]
    unsafe fn run<V: Lanes, const K: usize>(self) {
        let block = K * V::WIDTH;
        let rest = self.count % block;
        let last = self.count - rest;
        let outside = &mut |at: usize, length: usize| {
            // SAFETY: the values are the caller's, and not yet overwritten.
            (self.report)(at, unsafe { std::slice::from_raw_parts(self.x.add(at), length) });
        };
        // SAFETY: whole blocks first; the values left over are padded to a block with zeros, which are inside.
        unsafe {
            for start in (0..last).step_by(block) {
                let (x, y) = (self.x.add(start), self.y.add(start));
                relu_block::<T, V, K>(self.relu, x, y, || outside(start, block));
            }
            if rest > 0 {
                let mut values = [T::default(); MAX_BLOCK];
                values[..rest].copy_from_slice(std::slice::from_raw_parts(self.x.add(last), rest));
                let padded = values.as_mut_ptr();
                relu_block::<T, V, K>(self.relu, padded, padded, || outside(last, rest));
                std::ptr::copy_nonoverlapping(padded, self.y.add(last), rest);
            }
        }
    }
}

/// One block of K·WIDTH values; `outside` is called before anything is written if one of them is out of range.
#[inline(always)]
unsafe fn relu_block<T: Element, V: Lanes, const K: usize>(
    relu: &Relu,
    x: *const T,
    y: *mut T,
    outside: impl FnOnce(),
) {
    unsafe {
        let x = load::<T, V, K>(x);
        let range = V::splat(relu.range);
        let mut any_outside = false;
        for x in x {
            any_outside |= x.any_outside(range);
        }
        if any_outside {
            outside();
        }
        let mut sum = term::<V, K>(relu.sign.stages(), &x, 0.0, relu.range);
        if relu.six {
            let second = term::<V, K>(relu.sign.stages(), &x, SIX, relu.range + SIX);
            for k in 0..K {
                sum[k] = sum[k].sub(second[k]);
            }
        }
        store(&sum, y);
    }
}

/// h + h·p(2h/range) with h = (x − shift)/2.
#[inline(always)]
unsafe fn term<V: Lanes, const K: usize>(stages: &[Vec<f64>], x: &[V; K], shift: f64, range: f64) -> [V; K] {
    unsafe {
        let (shift, half, double) = (V::splat(shift), V::splat(0.5), V::splat(2.0 / range));
        let mut h = *x;
        let mut p = *x;
        for k in 0..K {
            h[k] = x[k].sub(shift).mul(half);
            p[k] = h[k].mul(double);
        }
        sign::<V, K>(stages, &mut p);
        for k in 0..K {
            p[k] = h[k].mul_add(p[k], h[k]);
        }
        p
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::activation::Spec;

    fn designed(spec: &str) -> Sign {
        Sign::design(&spec.parse::<Spec>().unwrap()).unwrap().unwrap()
    }

    fn isas() -> Vec<Isa> {
        let mut isas = vec![Isa::Portable];
        if Isa::detect() != Isa::Portable {
            isas.push(Isa::detect());
        }
        #[cfg(target_arch = "x86_64")]
        if Isa::detect() == Isa::Avx512 {
            isas.push(Isa::Avx2);
        }
        isas
    }

    fn run<T: Element>(relu: &Relu, x: &[T]) -> (Vec<T>, usize) {
        let mut y = x.to_vec();
        let mut outside = 0;
        let range = relu.range();
        let report = &mut |_: usize, block: &[T]| {
            outside += block.iter().map(|x| x.to_f64()).filter(|x| x.is_nan() || x.abs() > range).count();
        };
        // SAFETY: both of the same length.
        unsafe { relu.run(x.as_ptr(), y.as_mut_ptr(), x.len(), report) };
        (y, outside)
    }

    #[test]
    fn relu_keeps_its_bound_on_every_instruction_set_and_length() {
        for alpha in [4, 7, 10, 12, 14] {
            for isa in isas() {
                let relu = Relu { isa, ..Relu::new(designed(&format!("paper:{alpha}")), 7.5) };
                for count in [0, 1, 27, 28, 29, 10_007] {
                    let x: Vec<f64> = (0..count).map(|i| -7.5 + 15.0 * i as f64 / count.max(2) as f64).collect();
                    let (y, outside) = run(&relu, &x);
                    let worst = x.iter().zip(&y).map(|(x, y)| (x.max(0.0) - y).abs()).fold(0.0, f64::max);
                    assert!(worst <= 7.5 * relu.sign().bound(), "{isa:?}, alpha {alpha}, {count}: {worst}");
                    assert_eq!(outside, 0);
                }
            }
        }
    }

    #[test]
    fn relu6_is_flat_above_six_and_holds_its_range() {
        let relu = Relu::six(designed("paper:14"), 20.0);
        let x: Vec<f32> = (0..=4000).map(|i| -20.0 + i as f32 / 100.0).collect();
        let (y, outside) = run(&relu, &x);
        let bound = (20.0 + 26.0) * relu.sign().bound() as f32 + 1e-5;
        for (x, y) in x.iter().zip(&y) {
            assert!((x.clamp(0.0, 6.0) - y).abs() <= bound, "{x}: {y}");
        }
        assert_eq!(outside, 0);
    }

    #[test]
    fn values_outside_and_nan_are_counted_and_not_clipped() {
        let relu = Relu::new(designed("paper:14"), 1.0);
        let x = [0.5f32, 1.0, -1.0, 1.0001, f32::NAN, f32::INFINITY, -2.0];
        let (y, outside) = run(&relu, &x);
        assert_eq!(outside, 4);
        assert!(y[4].is_nan());
        assert!(y[6].abs() > 1e6 || y[6].is_nan(), "a value far outside must blow up as it would encrypted: {}", y[6]);
    }

    #[test]
    fn a_value_does_not_depend_on_where_it_stands() {
        let relu = Relu::new(designed("paper:12"), 3.0);
        let alone = run(&relu, &[0.3f32]).0[0];
        let x: Vec<f32> = vec![0.3; 61];
        assert!(run(&relu, &x).0.iter().all(|y| y.to_bits() == alone.to_bits()));
    }
}
