//! Time of the activation kernels, a value: `cargo bench`. Data stay in the second-level cache.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use polyact::activation::{Activation, Arithmetic, Elementwise, Interval, MaxPool, Plane, Spec, Window};
use std::hint::black_box;

const VALUES: usize = 16 * 1024;

fn relu(criterion: &mut Criterion) {
    let x: Vec<f32> = (0..VALUES).map(|i| 19.0 * (i as f32 * 0.37).sin()).collect();
    let mut y = vec![0f32; VALUES];
    let mut group = criterion.benchmark_group("relu");
    group.throughput(Throughput::Elements(VALUES as u64));
    let f64s =
        ["paper:7", "paper:10", "paper:12", "paper:14", "square", "chebyshev:27"].map(|spec| (spec, Arithmetic::F64));
    let f32s = ["paper:7", "paper:14"].map(|spec| (spec, Arithmetic::F32));
    for (spec, arithmetic) in f64s.into_iter().chain(f32s) {
        let approximation = Activation::design_in(&spec.parse().expect("an activation"), arithmetic);
        let relu = Elementwise::relu(&approximation.expect("within reach").expect("no exact function"), 20.0);
        // SAFETY: both hold VALUES values.
        group.bench_function(format!("{spec} in {arithmetic}"), |bench| {
            bench.iter(|| unsafe { relu.run(black_box(x.as_ptr()), y.as_mut_ptr(), VALUES, &mut |_, _| {}) })
        });
    }
}

/// A value is an output here.
fn max_pool(criterion: &mut Criterion) {
    let activation = Activation::design(&Spec::Paper { alpha: 14 });
    let activation = activation.expect("a published degree set").expect("no exact function");
    let mut group = criterion.benchmark_group("maxpool");
    for (kernel, padding, side, planes) in [(3, 1, 112, 4), (2, 0, 224, 1), (2, 0, 4, 512)] {
        let window =
            Window { kernel: [kernel; 2], stride: [2; 2], padding: [padding; 2], dilation: [1; 2], ceil_mode: false };
        let pool = MaxPool::new(&activation, Interval::symmetric(20.0), window, true).expect("room for the tournament");
        let x: Vec<f32> = (0..planes * side * side).map(|i| 19.0 * (i as f32 * 0.37).sin()).collect();
        let mut y = vec![0f32; planes * window.output(0, side) * window.output(1, side)];
        group.throughput(Throughput::Elements(y.len() as u64));
        // SAFETY: both hold all planes.
        group.bench_function(format!("{kernel}x{kernel} stride 2 of {side}x{side}"), |bench| {
            bench.iter(|| unsafe {
                pool.run(black_box(x.as_ptr()), y.as_mut_ptr(), Plane::of_channel([side; 2]), 0..planes, &mut |_, _| {})
            })
        });
    }
}

criterion_group!(benches, relu, max_pool);
criterion_main!(benches);
