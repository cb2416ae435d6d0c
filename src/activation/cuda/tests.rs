//! kernels.cu run on the CPU: compiled by the C++ compiler, a thread after the other, against the kernels for CPUs.
//!
//! What a GPU computes differs from it in nothing that IEEE 754 leaves open: every operation of the text is one operation of
//! the hardware, correctly rounded, on both.

use std::collections::HashMap;
use std::ffi::c_void;
use std::process::Command;

use super::*;
use crate::activation::elementwise::tests::{every_form, inside, layouts};
use crate::activation::{Activation, Interval, Plane, Series, Spec, Window};

/// What of CUDA the text needs: the threads of a block are contexts, which take turns wherever they meet.
const BEFORE: &str = r"
#include <cmath>
#include <cstring>
#include <ucontext.h>
#include <vector>
#define __device__
#define __global__
#define __grid_constant__
#define __shared__ static
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
template <typename T> static T __ldg(const T* at) { return *at; }

constexpr unsigned most = 1024;
struct Thread {
  ucontext_t context;
  std::vector<char> stack = std::vector<char>(256 * 1024);
  unsigned meetings = 0;
  bool done = false;
};
static ucontext_t scheduler;
static std::vector<Thread> threads;
static Word told[2][most];

static void __syncthreads() {
  const unsigned self = threadIdx.x;
  swapcontext(&threads[self].context, &scheduler);
}
// What each thread brings to this meeting.
static const Word* meet(Word mine) {
  Word* here = told[threads[threadIdx.x].meetings++ % 2];
  here[threadIdx.x] = mine;
  __syncthreads();
  return here;
}
static int __syncthreads_or(int mine) {
  const Word* all = meet(mine);
  for (unsigned thread = 0; thread < blockDim.x; ++thread) {
    if (all[thread] != 0) return 1;
  }
  return 0;
}
static Word __shfl_down_sync(unsigned, Word mine, unsigned lanes) {
  const Word* all = meet(mine);
  return threadIdx.x % 32 + lanes < 32 ? all[threadIdx.x + lanes] : mine;
}
";

/// The grid, block after block.
const AFTER: &str = r#"
static const JOB* given;
static void thread() {
  KERNEL(*given);
  threads[threadIdx.x].done = true;
}
extern "C" void run(unsigned columns, unsigned rows, unsigned count, const void* job) {
  gridDim = {columns, rows};
  blockDim = {count, 1};
  given = static_cast<const JOB*>(job);
  threads.resize(count);
  for (blockIdx.y = 0; blockIdx.y < rows; ++blockIdx.y) {
    for (blockIdx.x = 0; blockIdx.x < columns; ++blockIdx.x) {
      for (auto& one : threads) {
        one.done = false;
        one.meetings = 0;
        getcontext(&one.context);
        one.context.uc_stack.ss_sp = one.stack.data();
        one.context.uc_stack.ss_size = one.stack.size();
        one.context.uc_link = &scheduler;
        makecontext(&one.context, thread, 0);
      }
      for (bool left = true; left;) {
        left = false;
        for (threadIdx.x = 0; threadIdx.x < count; ++threadIdx.x) {
          if (threads[threadIdx.x].done) continue;
          swapcontext(&scheduler, &threads[threadIdx.x].context);
          left |= !threads[threadIdx.x].done;
        }
      }
    }
  }
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
        // Nothing is shared with other kernels that are loaded.
        std::fs::write(&text, format!("{BEFORE}namespace {{\n{source}}}\n{after}")).unwrap();
        let options = ["-std=c++17", "-O1", "-march=native", "-ffp-contract=off", "-shared", "-fPIC", "-o"];
        let output = Command::new("c++").args(options).args([&library, &text]).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        // SAFETY: the library has no initialisation, and `run` the type above.
        unsafe {
            let library = libloading::Library::new(&library).unwrap();
            Host { run: *library.get(b"run\0").unwrap(), _library: library }
        }
    }

    fn launch(&self, [columns, rows]: [u32; 2], job: &Job) {
        // SAFETY: the job is laid out as the kernel's parameter, which the tests are there to show.
        unsafe { (self.run)(columns, rows, BLOCK, job.as_ptr().cast()) };
    }
}

fn designed(spec: &str) -> Activation {
    Activation::design(&spec.parse::<Spec>().unwrap()).unwrap().unwrap()
}

/// What the counters must be for images of `length` values of `x` each, of which value i must be in the range `of(i)`.
fn counted<T: Element>(x: &[T], length: usize, of: impl Fn(usize) -> [f64; 2]) -> Vec<u64> {
    let mut counters = vec![0; 2 + x.len() / length];
    for (i, x) in x.iter().enumerate() {
        let (x, [low, high]) = (x.to_f64(), of(i));
        if !(low..=high).contains(&x) {
            counters[0] += 1;
            counters[1] += u64::from(x.is_nan());
            let worst = &mut counters[2 + i / length];
            *worst = (*worst).max(if x.is_nan() { 0.0 } else { x.abs() }.to_bits() + 1);
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

fn of_cpu<T: Element>(site: &Elementwise, x: &[T], channels: Channels) -> Vec<T> {
    let mut y = x.to_vec();
    // SAFETY: both of the same length.
    unsafe { site.run_channels(x.as_ptr(), y.as_mut_ptr(), 0..x.len(), channels, &mut |_, _| {}) };
    y
}

/// What the kernel of a site reads and writes, in memory of this processor.
struct Memory<T> {
    y: Vec<T>,
    counters: Vec<u64>,
    table: Vec<f64>,
    single_table: Vec<f32>,
    ends: Vec<T>,
}

impl<T: Element> Memory<T> {
    fn new(site: &Elementwise, values: usize, images: usize) -> Memory<T> {
        let table = site.cuda_table();
        let single_table = table.iter().map(|&number| number as f32).collect();
        let counters = vec![0; 2 + images];
        Memory { y: vec![T::default(); values], counters, table, single_table, ends: site.cuda_ends::<T>() }
    }

    fn addresses(&mut self, site: &Elementwise, x: &[T]) -> Addresses {
        Addresses {
            x: x.as_ptr() as u64,
            y: self.y.as_mut_ptr() as u64,
            counters: self.counters.as_mut_ptr() as u64,
            table: match site.arithmetic() {
                Arithmetic::F64 => self.table.as_ptr() as u64,
                Arithmetic::F32 => self.single_table.as_ptr() as u64,
            },
            ends: self.ends.as_ptr() as u64,
        }
    }
}

/// The kernel on four images, on the grid it asks for and on smaller ones, in every layout, and in place.
fn check<T: Element>(name: &str, site: &Elementwise, deviation: f64, host: &Host) {
    let count = site.channels().unwrap_or(1);
    for channels in layouts(count) {
        // More than one block, and no whole number of them.
        let length = channels.run * count * (5000 / (channels.run * count)).max(3);
        let x: Vec<T> = inside(site, 4 * length, channels);
        let expected = of_cpu(site, &x, channels);
        let largest = expected.iter().fold(1.0, |size: f64, y| size.max(y.to_f64().abs()));
        let bound = 7.5 * 2.0 * deviation + rounding::<T>(largest);
        let mut memory = Memory::new(site, x.len(), 4);
        let at = memory.addresses(site, &x);
        let (asked, job) = site.cuda_job::<T>(at, 4, length as i64, channels);
        assert_eq!(asked, [(length as u32).div_ceil(each(site) as u32 * BLOCK), 4]);
        for grid in [asked, [1, 1], [3, 2]] {
            memory.y.fill(T::default());
            host.launch(grid, &job);
            let off = difference(&memory.y, &expected);
            assert!(off <= bound, "{name}, {channels:?}: {off:e} > {bound:e}");
            assert_eq!(memory.counters, [0; 6], "{name}: the ends of the range are inside");
        }
        let (grid, job) = site.cuda_job::<T>(Addresses { x: at.y, ..at }, 4, length as i64, channels);
        memory.y.copy_from_slice(&x);
        host.launch(grid, &job);
        assert!(difference(&memory.y, &expected) <= bound, "{name} in place");

        let mut x = x.clone();
        for (at, value) in
            [(1, f64::NAN), (17, 8e3), (length - 1, -9e3), (2 * length, f64::NAN), (3 * length, f64::INFINITY)]
        {
            x[at] = T::from_f64(value);
        }
        let all = counted(&x, length, |at| site.bounds(channels.of(at)));
        assert!(all[0] == 5 && all[1] == 2 && all[3] == 0);
        for clipping in [false, true] {
            let site = &site.clone().clipping(clipping);
            let expected = of_cpu(site, &x, channels);
            for grid in [[5, 3], [1, 1], [2, 2]] {
                let mut memory = Memory::new(site, x.len(), 4);
                let at = memory.addresses(site, &x);
                host.launch(grid, &site.cuda_job::<T>(at, 4, length as i64, channels).1);
                assert_eq!(memory.counters, all, "{name}, {channels:?}, {grid:?}");
                let inside = |at: usize| {
                    let [low, high] = site.bounds(channels.of(at));
                    (low..=high).contains(&x[at].to_f64())
                };
                for at in 0..x.len() {
                    let (found, expected) = (memory.y[at].to_f64(), expected[at].to_f64());
                    // What is not clipped may become anything.
                    if inside(at) || clipping && !x[at].to_f64().is_nan() {
                        assert!((found - expected).abs() <= bound, "{name}, {channels:?}, at {at}: {found} {expected}");
                    }
                    assert!(!x[at].to_f64().is_nan() || found.is_nan(), "{name}: what is no number stays so");
                }
            }
        }
    }
}

fn check_forms<T: Element>(arithmetic: Arithmetic) {
    let mut compiled: HashMap<String, Host> = HashMap::new();
    // Every form is among them; compiling takes its time.
    let step = if size_of::<T>() == 4 { 2 } else { 5 };
    for (name, site, deviation) in every_form(arithmetic).into_iter().step_by(step) {
        let source = site.cuda_source::<T>();
        let host = compiled.entry(source).or_insert_with_key(|source| Host::new(source, "elementwise", "Elementwise"));
        check::<T>(&format!("{name} of {} in {arithmetic}", T::C_NAME), &site, deviation, host);
    }
}

#[test]
fn every_form_in_f64_is_that_of_the_cpu_in_every_layout() {
    check_forms::<f32>(Arithmetic::F64);
    check_forms::<f64>(Arithmetic::F64);
}

#[test]
fn every_form_in_f32_is_that_of_the_cpu_in_every_layout() {
    check_forms::<f32>(Arithmetic::F32);
    check_forms::<f64>(Arithmetic::F32);
}

/// Whatever its coefficients and its range are, and however many channels there are.
#[test]
fn sites_of_one_form_share_a_kernel() {
    let source = |spec: &str, range: f64| Elementwise::relu(&designed(spec), range).cuda_source::<f32>();
    assert_eq!(source("minimax:15,27@0.01", 3.0), source("minimax:15,27@0.02", 4.0));
    assert_ne!(source("minimax:15,27@0.01", 3.0), source("minimax:15,29@0.01", 3.0));
    assert_eq!(source("leastsq:28", 3.0), source("leastsq:30", 4.0));
    let series = |count: usize, degree: usize| {
        let one = |c: usize| Series { low: -1.0, high: 1.0 + c as f64, coefficients: vec![0.5; degree + 1] };
        Elementwise::series(&(0..count).map(one).collect::<Vec<_>>(), Arithmetic::F64).cuda_source::<f32>()
    };
    assert_eq!(series(5, 31), series(64, 29));
    assert_ne!(series(5, 31), series(1, 31));
}

/// The kernel on `planes`, contiguous and with the channels side by side, counters included.
fn check_pool<T: Element>(pool: &MaxPool, shape: [usize; 4], deviation: f64, name: &str) {
    let window = pool.window();
    let [images, channels, height, width] = shape;
    let output = [window.output(0, height), window.output(1, width)];
    let (plane, area) = (height * width, output[0] * output[1]);
    let range = Elementwise::relu(&designed("paper:4"), pool.range().high);
    let mut x: Vec<T> = inside(&range, images * channels * plane, Channels { count: 1, run: 1 });
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
        let has_result = !outside || pool.clips();
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
            let at = Addresses { x: x_at, y: y_at, counters: counters.as_mut_ptr() as u64, table: 0, ends: 0 };
            let [shape, strides] = [shape, strides].map(|four| four.map(|size| size as i64));
            let (grid, job) = pool.cuda_job::<T>(at, Planes { shape, strides, channels_last }).unwrap();
            host.launch(if outside { [2, 1] } else { grid }, &job);
            assert_eq!(
                counters,
                counted(&x, channels * plane, |_| pool.range().ends()),
                "{name} {window:?} {channels_last}"
            );
            if has_result {
                let y: Vec<T> = every(area).map(|at| y[place(channels_last, area, at)]).collect();
                let (off, bound) =
                    (difference(&y, &expected), pool.range().high * deviation + rounding::<T>(pool.range().high));
                assert!(off <= bound, "{name} {window:?} {channels_last}: {off:e} > {bound:e}");
            }
        }
    }
}

fn square(kernel: usize, stride: usize, padding: usize, dilation: usize, ceil_mode: bool) -> Window {
    Window { kernel: [kernel; 2], stride: [stride; 2], padding: [padding; 2], dilation: [dilation; 2], ceil_mode }
}

/// As [`every_form`] has them.
const DEVIATION: [(&str, Arithmetic, f64); 6] = [
    ("paper:4", Arithmetic::F64, 4e-15),
    ("paper:10", Arithmetic::F64, 6e-14),
    ("leastsq:31", Arithmetic::F64, 4e-15),
    ("paper:10", Arithmetic::F32, 2e-6),
    ("paper:14", Arithmetic::F32, 2e-6),
    ("chebyshev:15", Arithmetic::F32, 2e-6),
];

#[test]
fn max_pools_are_those_of_the_cpu() {
    for (spec, arithmetic, deviation) in DEVIATION {
        let activation = Activation::design_in(&spec.parse().unwrap(), arithmetic).unwrap().unwrap();
        for window in [square(3, 2, 1, 1, false), square(2, 2, 0, 1, false)] {
            let pool = MaxPool::new(&activation, Interval::symmetric(7.3), window, false).unwrap();
            // Of differences in [−1, 1], scaled by about twice the range; errors of four rounds add up.
            check_pool::<f32>(&pool, [4, 5, 33, 34], 8.0 * deviation, spec);
            check_pool::<f64>(&pool, [2, 3, 33, 17], 8.0 * deviation, spec);
        }
    }
    let activation = designed("paper:10");
    let odd = Window { kernel: [2, 3], stride: [3, 1], padding: [1, 0], dilation: [1, 2], ceil_mode: false };
    for window in
        [square(3, 1, 1, 2, true), square(2, 4, 0, 1, false), square(5, 3, 2, 1, true), square(1, 2, 0, 1, false), odd]
    {
        for non_negative in [false, true] {
            let pool = MaxPool::new(&activation, Interval::symmetric(5.0), window, non_negative).unwrap();
            check_pool::<f32>(&pool, [3, 4, 14, 11], 8.0 * 6e-14, "paper:10");
            check_pool::<f32>(&pool.clipping(true), [3, 4, 14, 11], 8.0 * 6e-14, "clipping");
        }
    }
}
