//! The kernels against the limits of one core: `cargo bench --bench roofline`.
//!
//! Measures in one run, for each instruction set that the processor has, the peak of fused multiply-adds in f64, the time
//! of reading and writing f32 in memory, and the kernel in place in the second-level cache and in memory. Prints Markdown
//! tables: the share of the peak counts the multiply-adds of Horner's scheme, one a coefficient after the first of a stage,
//! and the square of each stage. Then the max-pool kernel against the same tournament in tensor operations, both on one
//! thread.

use std::hint::black_box;
use std::time::Instant;

use polyact::activation::{Activation, Isa, Relu};

/// f32 values that fit the second-level cache, and that do not fit any.
const CACHED: usize = 16 * 1024;
const IN_MEMORY: usize = 32 * 1024 * 1024;
/// Values that 12 registers of the widest kind hold, enough to hide the latency of a multiply-add.
const CHAINS: usize = 96;

fn main() {
    let touch = best(5, || {
        let mut x = vec![1f32; IN_MEMORY];
        let x = black_box(&mut x[..]);
        seconds(|| x.iter_mut().for_each(|x| *x = x.max(0.5))) / IN_MEMORY as f64
    });
    println!("f32 read and written in memory: {:.3} ns, {:.1} GB/s", touch * 1e9, 8e-9 / touch);
    for isa in Isa::present().rev().filter(|&isa| isa != Isa::Portable) {
        isa.limit();
        relu(isa, touch);
    }
    println!();
    #[cfg(feature = "libtorch")]
    max_pool();
}

/// The table of one instruction set; `touch` is the seconds of reading and writing one value.
fn relu(isa: Isa, touch: f64) {
    let peak = peak_per_value(isa);
    println!("\n{isa}, f64 multiply-add: {:.4} ns, {:.1} GFLOP/s a core\n", peak * 1e9, 2e-9 / peak);
    println!(
        "| α | degrees | multiply-adds | ns a value in cache | share of peak | ns a value in memory | memory's share |"
    );
    println!("|--:|---|--:|--:|--:|--:|--:|");
    for alpha in [7, 10, 12, 14] {
        let activation = Activation::design(&format!("paper:{alpha}").parse().expect("an activation"));
        let activation = activation.expect("within reach").expect("no exact function");
        let Activation::Composition(sign) = &activation else { unreachable!("paper sets are compositions") };
        let degrees: Vec<String> = sign.stages().iter().map(|stage| (2 * stage.len() - 1).to_string()).collect();
        let operations = sign.stages().iter().map(Vec::len).sum::<usize>();
        let relu = Relu::new(activation.clone(), 20.0);
        let time = |values: usize, repeats: usize| {
            let mut x: Vec<f32> = (0..values).map(|i| 19.0 * (i as f32 * 0.37).sin()).collect();
            best(repeats, || {
                let x = black_box(x.as_mut_ptr());
                // SAFETY: x holds the values.
                seconds(|| unsafe { relu.run(x, x, values, &mut |_, _| {}) }) / values as f64
            })
        };
        let (cached, in_memory) = (time(CACHED, 2000), time(IN_MEMORY, 5));
        println!(
            "| {alpha} | {} | {operations} | {:.2} | {:.0} % | {:.2} | {:.0} % |",
            degrees.join(","),
            cached * 1e9,
            100.0 * operations as f64 * peak / cached,
            in_memory * 1e9,
            100.0 * touch / in_memory
        );
    }
}

#[cfg(feature = "libtorch")]
fn max_pool() {
    use polyact::activation::{Arithmetic, MaxPool, Plane, Sign, Spec, Window};
    use tch::{Device, Kind, Tensor};

    tch::set_num_threads(1);
    // Or whatever is the widest here.
    Isa::Avx512.limit();
    let sign =
        Sign::design(&Spec::Paper { alpha: 14 }, Arithmetic::F64).expect("within reach").expect("no exact function");
    println!("| max-pool, α = 14 | ns an output, kernel | channels last | tensor operations | ratio |");
    println!("|---|--:|--:|--:|--:|");
    for (kernel, padding, side, channels) in [(3, 1, 112, 64), (2, 0, 112, 64)] {
        let window =
            Window { kernel: [kernel; 2], stride: [2; 2], padding: [padding; 2], dilation: [1; 2], ceil_mode: false };
        let pool = MaxPool::new(sign.clone(), 20.0, window, true).expect("room for the tournament");
        let x = Tensor::randn([1, channels, side, side], (Kind::Float, Device::Cpu));
        let values = Vec::<f32>::try_from(x.flatten(0, -1)).expect("f32");
        let extent = [side as usize; 2];
        let mut y = vec![0f32; channels as usize * window.output(0, extent[0]) * window.output(1, extent[1])];
        let outputs = y.len() as f64;
        let mut time = |plane: Plane| {
            let planes = values.len() / plane.len();
            best(9, || {
                // SAFETY: both hold all planes.
                seconds(|| unsafe {
                    pool.run(black_box(values.as_ptr()), y.as_mut_ptr(), plane, 0..planes, &mut |_, _| {})
                }) / outputs
            })
        };
        let planar = time(Plane::of_channel(extent));
        let last = time(Plane { extent, depth: channels as usize });
        let tensors = best(5, || seconds(|| drop(pool.of_tensor(&x).expect("a pooled tensor"))) / outputs);
        println!(
            "| {kernel}x{kernel} stride 2 | {:.1} | {:.1} | {:.0} | {:.1} |",
            planar * 1e9,
            last * 1e9,
            tensors * 1e9,
            tensors / planar.max(last)
        );
    }
}

/// Seconds of one multiply-add on one f64, in vectors.
fn peak_per_value(isa: Isa) -> f64 {
    const ROUNDS: usize = 20_000;
    let mut values = [1.0; CHAINS];
    best(200, || seconds(|| chains(isa, black_box(&mut values), ROUNDS)) / (ROUNDS * CHAINS) as f64)
}

fn chains(isa: Isa, values: &mut [f64; CHAINS], rounds: usize) {
    #[cfg(target_arch = "x86_64")]
    {
        #[target_feature(enable = "avx512f")]
        fn avx512(values: &mut [f64; CHAINS], rounds: usize) {
            fused::<CHAINS>(values, rounds);
        }
        #[target_feature(enable = "avx2,fma")]
        fn avx2(values: &mut [f64; CHAINS], rounds: usize) {
            // Half as wide, half as many values at once.
            let (first, second) = values.split_at_mut(CHAINS / 2);
            fused::<{ CHAINS / 2 }>(first.try_into().expect("half"), rounds);
            fused::<{ CHAINS / 2 }>(second.try_into().expect("half"), rounds);
        }
        match isa {
            // SAFETY: the processor has the instructions, as they are among those present.
            Isa::Avx512 => return unsafe { avx512(values, rounds) },
            // SAFETY: as above.
            Isa::Avx2 => return unsafe { avx2(values, rounds) },
            Isa::Portable => {}
        }
    }
    fused::<CHAINS>(values, rounds);
}

#[inline(always)]
fn fused<const N: usize>(values: &mut [f64; N], rounds: usize) {
    let mut local = *values;
    for _ in 0..rounds {
        for value in &mut local {
            *value = value.mul_add(0.999, 1e-9);
        }
    }
    *values = local;
}

fn seconds(work: impl FnOnce()) -> f64 {
    let start = Instant::now();
    work();
    start.elapsed().as_secs_f64()
}

fn best(repeats: usize, mut measure: impl FnMut() -> f64) -> f64 {
    (0..repeats).map(|_| measure()).fold(f64::INFINITY, f64::min)
}
