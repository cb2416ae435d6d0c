//! The kernels against the limits of one core: `cargo bench --bench roofline`.
//!
//! Measures in one run, for each instruction set that the processor has, the peak of multiply-adds in f64, the time of reading
//! and writing f32 in memory, and every form of activation in place in the second-level cache and in memory. Prints Markdown
//! tables: the share of the peak counts multiplications and multiply-adds, since processors differ in whether additions take
//! the place of one.
//! Then the max-pool kernel against the same tournament in tensor operations, both on one thread.

use std::hint::black_box;
use std::time::Instant;

use polyact::activation::{Activation, Arithmetic, Channels, Elementwise, Isa, Operations, Series};

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
        table(isa, touch);
    }
    println!();
    #[cfg(feature = "libtorch")]
    max_pool();
}

/// The table of one instruction set; `touch` is the seconds of reading and writing one value.
fn table(isa: Isa, touch: f64) {
    let peak = peak_per_value(isa);
    println!("\n{isa}, f64 multiply-add: {:.4} ns, {:.1} GFLOP/s a core\n", peak * 1e9, 2e-9 / peak);
    println!(
        "| form | products | sums | ns a value in cache | share of peak | ns a value in memory | memory's share |"
    );
    println!("|---|--:|--:|--:|--:|--:|--:|");
    for (name, site) in forms() {
        let channels = Channels { count: site.channels().unwrap_or(1), run: 1 };
        let time = |values: usize, repeats: usize| {
            let mut x: Vec<f32> = (0..values).map(|i| 19.0 * (i as f32 * 0.37).sin()).collect();
            best(repeats, || {
                let x = black_box(x.as_mut_ptr());
                // SAFETY: x holds the values, a whole number of pixels.
                seconds(|| unsafe { site.run_channels(x, x, 0..values, channels, &mut |_, _| {}) }) / values as f64
            })
        };
        let (cached, in_memory) = (time(CACHED, 2000), time(IN_MEMORY, 5));
        let Operations { fused, products, sums } = site.operations();
        let products = fused + products;
        let peak = if site.arithmetic() == Arithmetic::F32 { peak / 2.0 } else { peak };
        println!(
            "| {name} | {products} | {sums} | {:.2} | {:.0} % | {:.2} | {:.0} % |",
            cached * 1e9,
            100.0 * products as f64 * peak / cached,
            in_memory * 1e9,
            100.0 * touch / in_memory
        );
    }
}

/// Every form, on [-20, 20].
fn forms() -> Vec<(String, Elementwise)> {
    let specs = ["paper:7", "paper:10", "paper:12", "paper:14", "square", "leastsq:15", "leastsq:31", "leastsq:63"];
    let relu = |spec: &str, arithmetic| {
        let activation = Activation::design_in(&spec.parse().expect("an activation"), arithmetic);
        Elementwise::relu(&activation.expect("within reach").expect("no exact function"), 20.0)
    };
    let mut forms: Vec<_> = specs.map(|spec| (spec.to_owned(), relu(spec, Arithmetic::F64))).into();
    let single = ["paper:7", "paper:14", "leastsq:31"];
    forms.extend(single.map(|spec| (format!("{spec} in f32"), relu(spec, Arithmetic::F32))));
    for (arithmetic, suffix) in [(Arithmetic::F64, ""), (Arithmetic::F32, " in f32")] {
        for degree in [15, 31, 63] {
            let series = |channel: usize| Series {
                low: -20.0,
                high: 20.0 + channel as f64 / 100.0,
                coefficients: (0..=degree).map(|k| 1.0 / (1 + k * k) as f64).collect(),
            };
            let alike = Elementwise::series(&[series(0)], arithmetic);
            forms.push((format!("series of degree {degree}{suffix}"), alike));
            for channels in [16, 64, 512] {
                let apart = Elementwise::series(&(0..channels).map(series).collect::<Vec<_>>(), arithmetic);
                forms.push((format!("the same, {channels} channels{suffix}"), apart));
            }
        }
    }
    forms
}

#[cfg(feature = "libtorch")]
fn max_pool() {
    use polyact::activation::{Interval, MaxPool, Plane, Spec, Window};
    use tch::{Device, Kind, Tensor};

    tch::set_num_threads(1);
    // Or whatever is the widest here.
    Isa::Avx512.limit();
    let activation = Activation::design(&Spec::Paper { alpha: 14 }).expect("within reach").expect("no exact function");
    println!("| max-pool, α = 14 | ns an output, kernel | channels last | tensor operations | ratio |");
    println!("|---|--:|--:|--:|--:|");
    for (kernel, padding, side, channels) in [(3, 1, 112, 64), (2, 0, 112, 64)] {
        let window =
            Window { kernel: [kernel; 2], stride: [2; 2], padding: [padding; 2], dilation: [1; 2], ceil_mode: false };
        let pool = MaxPool::new(&activation, Interval::symmetric(20.0), window, true).expect("room for the tournament");
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
