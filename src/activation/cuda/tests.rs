//! kernels.cu run on the CPU: compiled by the C++ compiler, a thread after the other, against the kernels for CPUs.
//!
//! What a GPU computes differs from it in nothing that IEEE 754 leaves open: every operation of the text is one operation of
//! the hardware, correctly rounded, on both.

use std::ffi::c_void;
use std::process::Command;

use super::*;
use crate::activation::{Arithmetic, Plane, Spec, Window};

/// What of CUDA the text needs.
const BEFORE: &str = r"
#include <cmath>
#include <cstring>
#define __device__
#define __global__
#define __grid_constant__
#define __constant__ static const
#define __forceinline__ inline
struct Three { unsigned x, y; };
static Three gridDim, blockDim, blockIdx, threadIdx;
using std::fabs, std::fma, std::fmax;
using Word = unsigned long long;
static void atomicAdd(Word* at, Word more) { *at += more; }
static void atomicMax(Word* at, Word other) { if (other > *at) *at = other; }
static long long __double_as_longlong(double x) {
  long long bits;
  std::memcpy(&bits, &x, sizeof bits);
  return bits;
}
";

/// The grid, as loops.
const AFTER: &str = r#"
extern "C" void run(unsigned columns, unsigned rows, unsigned threads, const void* job) {
  gridDim = {columns, rows};
  blockDim = {threads, 1};
  for (blockIdx.y = 0; blockIdx.y < rows; ++blockIdx.y)
    for (blockIdx.x = 0; blockIdx.x < columns; ++blockIdx.x)
      for (threadIdx.x = 0; threadIdx.x < threads; ++threadIdx.x) KERNEL(*static_cast<const JOB*>(job));
}
"#;

type Run = unsafe extern "C" fn(u32, u32, u32, *const c_void);

/// A kernel, compiled for this processor.
struct Host {
    run: Run,
    _library: libloading::Library,
}

impl Host {
    fn new(source: &str, kernel: &str, job: &str) -> Host {
        let folder = tempfile::tempdir().unwrap();
        let [text, library] = ["kernel.cpp", "kernel.so"].map(|name| folder.path().join(name));
        let after = AFTER.replace("KERNEL", kernel).replace("JOB", job);
        std::fs::write(&text, format!("{BEFORE}{source}{after}")).unwrap();
        let options = ["-std=c++17", "-O2", "-march=native", "-ffp-contract=off", "-shared", "-fPIC", "-o"];
        let output = Command::new("c++").args(options).args([&library, &text]).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        // SAFETY: the library has no initialisation, and `run` the type above.
        unsafe {
            let library = libloading::Library::new(&library).unwrap();
            Host { run: *library.get(b"run\0").unwrap(), _library: library }
        }
    }

    fn launch<J>(&self, [columns, rows]: [u32; 2], job: &J) {
        // SAFETY: the job is laid out as the kernel's parameter, which the tests are there to show.
        unsafe { (self.run)(columns, rows, BLOCK, (&raw const *job).cast()) };
    }
}

fn designed(spec: &str) -> Activation {
    Activation::design(&spec.parse::<Spec>().unwrap()).unwrap().unwrap()
}

/// Values that fill [−range, range], with its ends and zero.
fn values<T: Element>(count: usize, range: f64) -> Vec<T> {
    let even = (0..count).map(|i| range * (2.0 * (i as f64 * 0.618_033_988_749_895).fract() - 1.0));
    let mut values: Vec<T> = even.map(T::from_f64).collect();
    let end = T::at_most(range).to_f64();
    for (value, special) in values.iter_mut().zip([end, -end, 0.0, -0.0, range * 1e-30]) {
        *value = T::from_f64(special);
    }
    values
}

/// What the counters must be for images of `length` values of `x` each.
fn counted<T: Element>(x: &[T], length: usize, range: f64) -> Vec<u64> {
    let mut counters = vec![0; 2 + x.len() / length];
    for (i, x) in x.iter().enumerate() {
        let size = x.to_f64().abs();
        if size.is_nan() || size > range {
            counters[0] += 1;
            counters[1] += u64::from(size.is_nan());
            let worst = &mut counters[2 + i / length];
            *worst = (*worst).max(if size.is_nan() { 0.0 } else { size }.to_bits() + 1);
        }
    }
    counters
}

/// The largest difference.
fn difference<T: Element>(a: &[T], b: &[T]) -> f64 {
    a.iter().zip(b).map(|(a, b)| (a.to_f64() - b.to_f64()).abs()).fold(0.0, f64::max)
}

/// Half the distance of two neighbouring numbers of the type at `size`, twice: each side rounds once.
fn rounding<T: Element>(size: f64) -> f64 {
    let (next, digits) = (size.log2().floor().exp2(), if T::C_NAME == "float" { 23 } else { 52 });
    next * 2f64.powi(-digits)
}

fn of_cpu<T: Element>(relu: &Relu, x: &[T]) -> Vec<T> {
    let mut y = x.to_vec();
    // SAFETY: both of the same length.
    unsafe { relu.run(x.as_ptr(), y.as_mut_ptr(), x.len(), &mut |_, _| {}) };
    y
}

/// The kernel on a million values in four images, on the grid it asks for and on smaller ones; and in place.
fn check_relu<T: Element>(relu: &Relu, deviation: f64, name: &str) {
    let length = 1 << 18;
    let x: Vec<T> = values(4 * length, relu.range());
    let expected = of_cpu(relu, &x);
    let largest = expected.iter().fold(1.0, |size: f64, y| size.max(y.to_f64().abs()));
    let host = Host::new(&relu.cuda_source::<T>(), "relu", "Relu");
    let mut y = vec![T::default(); x.len()];
    let mut counters = vec![0u64; 6];
    let at = Addresses { x: x.as_ptr() as u64, y: y.as_mut_ptr() as u64, counters: counters.as_mut_ptr() as u64 };
    let (asked, job) = relu.cuda_job::<T>(at, 4, length as i64);
    assert_eq!(asked, [(length as u32).div_ceil(4 * BLOCK), 4]);
    for grid in [asked, [1, 1], [3, 2]] {
        y.fill(T::default());
        host.launch(grid, &job);
        let off = difference(&y, &expected);
        let bound = relu.range() * deviation + rounding::<T>(largest);
        assert!(off <= bound, "{name} of {}: {off:e} > {bound:e}", T::C_NAME);
        assert_eq!(counters, [0; 6], "{name}: the ends of the range are inside");
    }
    let (grid, job) = relu.cuda_job::<T>(Addresses { x: at.y, ..at }, 4, length as i64);
    y.copy_from_slice(&x);
    host.launch(grid, &job);
    assert!(difference(&y, &expected) <= relu.range() * deviation + rounding::<T>(largest), "{name} in place");
}

/// docs/arithmetic.md has the deviation of each from the composition in arbitrary precision, fused or not: two of them may
/// differ by twice as much.
const DEVIATION: [(&str, Arithmetic, f64); 6] = [
    ("paper:4", Arithmetic::F64, 4e-15),
    ("paper:7", Arithmetic::F64, 1.4e-14),
    ("paper:10", Arithmetic::F64, 6e-14),
    ("paper:14", Arithmetic::F64, 1.2e-8),
    ("paper:10", Arithmetic::F32, 6e-7),
    ("paper:14", Arithmetic::F32, 8e-7),
];

#[test]
fn relu_is_that_of_the_cpu() {
    for (spec, arithmetic, deviation) in DEVIATION {
        let activation = Activation::design_in(&spec.parse().unwrap(), arithmetic).unwrap().unwrap();
        for range in [1.0, 7.3] {
            let relu = Relu::new(activation.clone(), range);
            check_relu::<f32>(&relu, deviation, spec);
            check_relu::<f64>(&relu, deviation, spec);
            let six = Relu::six(activation.clone(), range);
            // Of two ReLUs, the second with the range B + 6.
            check_relu::<f32>(&six, (2.0 + 6.0 / range) * deviation, spec);
            check_relu::<f64>(&six, (2.0 + 6.0 / range) * deviation, spec);
        }
    }
    for spec in ["square", "aq", "chebyshev:27", "leastsq:1", "leastsq:127"] {
        check_relu::<f32>(&Relu::new(designed(spec), 7.3), 1e-14, spec);
        check_relu::<f64>(&Relu::new(designed(spec), 7.3), 1e-14, spec);
    }
}

#[test]
fn values_outside_are_counted_by_image() {
    let range = 7.3;
    let relu = Relu::new(designed("paper:7"), range);
    let host = Host::new(&relu.cuda_source::<f32>(), "relu", "Relu");
    let length = 5000;
    let mut x: Vec<f32> = values(3 * length, range);
    for (at, value) in [(3, f32::NAN), (17, 8.5), (4999, -9.0), (10_000, f32::NAN), (14_999, f32::INFINITY)] {
        x[at] = value;
    }
    // The next f32 above 7.3 is outside, though 7.3 itself is none.
    assert!(f64::from(range as f32) > range);
    x[12_000] = range as f32;
    let expected = counted(&x, length, range);
    assert!(expected[0] == 6 && expected[1] == 2 && expected[3] == 0);
    for grid in [[5, 3], [1, 1], [2, 2]] {
        let (mut y, mut counters) = (x.clone(), vec![0u64; 5]);
        let at = Addresses { x: x.as_ptr() as u64, y: y.as_mut_ptr() as u64, counters: counters.as_mut_ptr() as u64 };
        host.launch(grid, &relu.cuda_job::<f32>(at, 3, length as i64).1);
        assert_eq!(counters, expected, "{grid:?}");
        assert!(y[3].is_nan() && y[10_000].is_nan(), "nothing is clipped");
    }
}

#[test]
fn values_outside_are_clipped_where_that_is_asked_for() {
    let range = 7.3;
    let relu = Relu::new(designed("paper:7"), range).clipping(true);
    let mut x: Vec<f32> = values(5000, range);
    for (at, value) in [(3, f32::NAN), (17, 8.5), (4999, -9.0), (1000, f32::INFINITY)] {
        x[at] = value;
    }
    let (mut y, mut counters) = (x.clone(), vec![0u64; 3]);
    let at = Addresses { x: x.as_ptr() as u64, y: y.as_mut_ptr() as u64, counters: counters.as_mut_ptr() as u64 };
    let host = Host::new(&relu.cuda_source::<f32>(), "relu", "Relu");
    host.launch([2, 1], &relu.cuda_job::<f32>(at, 1, 5000).1);
    assert_eq!(counters, counted(&x, 5000, range), "they are counted all the same");
    let expected = of_cpu(&relu, &x);
    assert!(y[3].is_nan() && expected[3].is_nan());
    let numbers = |values: &[f32]| values.iter().copied().filter(|value| !value.is_nan()).collect::<Vec<_>>();
    assert!(difference(&numbers(&y), &numbers(&expected)) <= range * 1.4e-14 + rounding::<f32>(range));

    let Activation::Composition(sign) = designed("paper:7") else { panic!() };
    let pool = MaxPool::new(sign, range, square(2, 2, 0, 1, false), false).unwrap().clipping(true);
    check_pool::<f32>(&pool, [2, 3, 6, 6], 8.0 * 1.4e-14, "clipping");
}

/// The kernel on `planes`, contiguous and with the channels side by side, counters included.
fn check_pool<T: Element>(pool: &MaxPool, shape: [usize; 4], deviation: f64, name: &str) {
    let window = pool.window();
    let [images, channels, height, width] = shape;
    let output = [window.output(0, height), window.output(1, width)];
    let (plane, area) = (height * width, output[0] * output[1]);
    let mut x: Vec<T> = values(images * channels * plane, pool.range());
    let of_cpu = |x: &[T]| {
        let mut y = vec![T::default(); images * channels * area];
        let planes = 0..images * channels;
        // SAFETY: as many planes as there are.
        unsafe { pool.run(x.as_ptr(), y.as_mut_ptr(), Plane::of_channel([height, width]), planes, &mut |_, _| {}) };
        y
    };
    let mut expected = of_cpu(&x);
    let host = Host::new(&pool.cuda_source::<T>(), "max_pool", "MaxPool");
    // The value of channel c of image n at place i, where planes have `area` places, in either order.
    let place = |channels_last: bool, area: usize, [n, c, i]: [usize; 3]| match channels_last {
        true => (n * area + i) * channels + c,
        false => (n * channels + c) * area + i,
    };
    let every =
        |area: usize| (0..images).flat_map(move |n| (0..channels).flat_map(move |c| (0..area).map(move |i| [n, c, i])));
    for outside in [false, true] {
        if outside {
            for (at, value) in [(0, f64::NAN), (plane - 1, 1e3), (x.len() - 1, -2e3), (x.len() / 2, f64::INFINITY)] {
                x[at] = T::from_f64(value);
            }
            expected = of_cpu(&x);
        }
        // What is clipped has a result; of what is not, the polynomial makes anything.
        let has_result = !outside || pool.clip().is_some();
        for channels_last in [false, true] {
            let mut from = x.clone();
            for (value, at) in x.iter().zip(every(plane)) {
                from[place(channels_last, plane, at)] = *value;
            }
            let strides = match channels_last {
                true => [channels * plane, 1, width * channels, channels],
                false => [channels * plane, plane, width, 1],
            };
            let mut y = expected.clone();
            y.fill(T::default());
            let mut counters = vec![0u64; 2 + images];
            let [x_at, y_at] = [from.as_ptr() as u64, y.as_mut_ptr() as u64];
            let at = Addresses { x: x_at, y: y_at, counters: counters.as_mut_ptr() as u64 };
            let [shape, strides] = [shape, strides].map(|four| four.map(|size| size as i64));
            let (grid, job) = pool.cuda_job::<T>(at, Planes { shape, strides, channels_last }).unwrap();
            host.launch(if outside { [2, 1] } else { grid }, &job);
            assert_eq!(counters, counted(&x, channels * plane, pool.range()), "{name} {window:?} {channels_last}");
            if has_result {
                let y: Vec<T> = every(area).map(|at| y[place(channels_last, area, at)]).collect();
                let (off, bound) = (difference(&y, &expected), pool.range() * deviation + rounding::<T>(pool.range()));
                assert!(off <= bound, "{name} {window:?} {channels_last}: {off:e} > {bound:e}");
            }
        }
    }
}

fn square(kernel: usize, stride: usize, padding: usize, dilation: usize, ceil_mode: bool) -> Window {
    Window { kernel: [kernel; 2], stride: [stride; 2], padding: [padding; 2], dilation: [dilation; 2], ceil_mode }
}

#[test]
fn max_pools_are_those_of_the_cpu() {
    for (spec, arithmetic, deviation) in DEVIATION {
        let sign = Sign::design(&spec.parse().unwrap(), arithmetic).unwrap().unwrap();
        for window in [square(3, 2, 1, 1, false), square(2, 2, 0, 1, false)] {
            let pool = MaxPool::new(sign.clone(), 7.3, window, false).unwrap();
            // Of differences in [−1, 1], scaled by about twice the range; errors of four rounds add up.
            check_pool::<f32>(&pool, [4, 16, 64, 65], 8.0 * deviation, spec);
            check_pool::<f64>(&pool, [2, 3, 33, 17], 8.0 * deviation, spec);
        }
    }
    let Activation::Composition(sign) = designed("paper:10") else { panic!() };
    let odd = Window { kernel: [2, 3], stride: [3, 1], padding: [1, 0], dilation: [1, 2], ceil_mode: false };
    for window in
        [square(3, 1, 1, 2, true), square(2, 4, 0, 1, false), square(5, 3, 2, 1, true), square(1, 2, 0, 1, false), odd]
    {
        for non_negative in [false, true] {
            let pool = MaxPool::new(sign.clone(), 5.0, window, non_negative).unwrap();
            check_pool::<f32>(&pool, [3, 4, 14, 11], 8.0 * 6e-14, "paper:10");
        }
    }
}
