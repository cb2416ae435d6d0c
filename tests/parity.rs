//! Logits against PyTorch's own, computed live: every torchvision family left exact, and two networks swapped.
#![cfg(feature = "libtorch")]

mod common;

use std::path::Path;

use common::{by_kind, devices, polyact_succeeds, python, read_f32, text};
use polyact::activation::{Activation, Arithmetic, Elementwise, Interval, MaxPool, Plane, Spec, Window};
use polyact::model::{Model, Sites};
use tch::{Device, Kind, Tensor};

/// Largest difference of two sets of logits, relative to the largest logit.
fn relative_difference(found: &Tensor, expected: &[f32]) -> f64 {
    let expected = Tensor::from_slice(expected).to_kind(Kind::Double);
    let found = found.to_device(Device::Cpu).to_kind(Kind::Double).flatten(0, -1);
    assert_eq!(found.numel(), expected.numel());
    let largest = expected.abs().max().double_value(&[]);
    (found - expected).abs().max().double_value(&[]) / largest
}

fn input(folder: &Path, side: i64) -> Tensor {
    Tensor::from_slice(&read_f32(&folder.join("input.bin"))).view([-1, 3, side, side])
}

/// Sites expected of a family: ReLU or ReLU6, and max-pools.
fn exact_logits_are_pytorch_s(name: &str, activations: usize, pools: usize) {
    for way in ["traced", "scripted"] {
        let folder = tempfile::tempdir().unwrap();
        let side: i64 = python("torchvision_archive.py", &[name, way, text(folder.path())]).trim().parse().unwrap();
        for device in devices() {
            let model = Model::load(&folder.path().join("model.pt"), device).unwrap();
            let names: Vec<&str> = model.sites().iter().map(|site| site.name.as_str()).collect();
            assert_eq!(names.len(), activations + pools, "{name} {way}: {names:?}");
            assert_eq!(model.sites().iter().filter(|site| site.kind.to_string() == "maxpool").count(), pools);
            assert!(model.foreign().is_empty(), "{name} {way}: {:?}", model.foreign());
            let logits = model.forward(&input(folder.path(), side).to_device(device), &model.exact()).unwrap();
            let difference = relative_difference(&logits, &read_f32(&folder.path().join("logits.bin")));
            assert!(difference <= 1e-4, "{name} {way} on {device:?}: {difference:e}");
        }
    }
}

macro_rules! families {
    ($($name:ident: $activations:expr, $pools:expr;)*) => {
        $(#[test]
        fn $name() {
            exact_logits_are_pytorch_s(stringify!($name), $activations, $pools);
        })*
    };
}

// From the architectures: torchvision's definitions, counted by hand.
families! {
    resnet18: 17, 1;
    resnet50: 49, 1;
    resnet152: 151, 1;
    vgg16_bn: 15, 5;
    googlenet: 57, 13;
    inception_v3: 94, 4;
    densenet121: 121, 1;
    squeezenet1_1: 26, 3;
    mobilenet_v2: 35, 0;
}

fn overflowed(model: &Model, sites: &Sites) -> Vec<String> {
    let sites = model.sites().iter().filter(|site| sites.take_overflow(site.index).values > 0);
    sites.map(|site| site.name.clone()).collect()
}

#[test]
fn swapped_networks_agree_with_float64_in_pytorch() {
    for name in ["resnet18", "vgg16_bn"] {
        let folder = tempfile::tempdir().unwrap();
        let design = folder.path().join("design.json");
        polyact_succeeds(&["design", "--alpha", "14", "--format", "json", "--out", text(&design)]);
        let bound = 2f64.powi(-14).to_string();
        let printed = python("swapped_logits.py", &[name, text(folder.path()), text(&design), &bound]);
        let numbers: Vec<f64> = printed.split_whitespace().map(|word| word.parse().unwrap()).collect();
        let sign = Activation::design(&Spec::Paper { alpha: 14 }).unwrap().unwrap();
        for device in devices() {
            let model = Model::load(&folder.path().join("model.pt"), device).unwrap();
            let sites = by_kind(&model, Some((&sign, numbers[1])), Some((&sign, numbers[2]))).unwrap();
            let logits = model.forward(&input(folder.path(), numbers[0] as i64).to_device(device), &sites).unwrap();
            assert_eq!(overflowed(&model, &sites), Vec::<String>::new(), "{name}");
            let difference = relative_difference(&logits, &read_f32(&folder.path().join("logits.bin")));
            assert!(difference <= 1e-4, "{name} on {device:?}: {difference:e}");
        }
    }
}

#[test]
fn kernels_and_tensor_operations_agree() {
    const RANGE: f64 = 12.0;
    let values = 2 * 3 * 17 * 19;
    let mut inside = |_: usize, block: &[f32]| assert!(block.iter().all(|&x| f64::from(x).abs() <= RANGE));
    let x: Vec<f32> = (0..values).map(|i| (RANGE * (i as f64 * 0.7).sin()) as f32).collect();
    let wide =
        ["paper:4", "paper:10", "paper:12", "paper:14", "square", "aq", "chebyshev:27", "leastsq:1", "leastsq:127"];
    let single = ["paper:4", "paper:14", "minimax:63,63"];
    let cases = wide.map(|spec| (spec, Arithmetic::F64)).into_iter().chain(single.map(|spec| (spec, Arithmetic::F32)));
    for (spec, arithmetic) in cases {
        let spec: Spec = spec.parse().unwrap();
        let activation = Activation::design_in(&spec, arithmetic).unwrap().unwrap();
        // One rounds products and sums at other places than the other, over up to five rounds of a pool.
        let tolerance = if arithmetic == Arithmetic::F32 { 3e-5 } else { 1e-6 };
        for relu in [Elementwise::relu(&activation, RANGE), Elementwise::relu6(&activation, RANGE)] {
            let mut y = vec![0f32; values];
            // SAFETY: both of the same length.
            unsafe { relu.run(x.as_ptr(), y.as_mut_ptr(), values, &mut inside) };
            for device in devices() {
                let tensor = relu.of_tensor(&Tensor::from_slice(&x).to_device(device)).unwrap();
                let size = y.iter().fold(RANGE, |size, &y| size.max(y.abs().into()));
                assert!(largest_difference(&tensor, &y) <= tolerance * size, "{spec} in {arithmetic} on {device:?}");
            }
        }
        if matches!(&activation, Activation::Polynomial(polynomial) if polynomial.is_parabola()) {
            continue;
        }
        for (kernel, stride, padding, dilation, ceil_mode) in
            [(2, 2, 0, 1, false), (3, 2, 1, 1, false), (3, 2, 0, 1, true), (3, 1, 1, 2, false), (5, 3, 2, 1, true)]
        {
            let window = Window {
                kernel: [kernel; 2],
                stride: [stride; 2],
                padding: [padding; 2],
                dilation: [dilation; 2],
                ceil_mode,
            };
            for non_negative in [false, true] {
                let Some(pool) = MaxPool::new(&activation, Interval::symmetric(RANGE), window, non_negative) else {
                    continue;
                };
                let mut y = vec![0f32; 6 * window.output(0, 17) * window.output(1, 19)];
                // SAFETY: six planes of 17x19, and of the output.
                unsafe { pool.run(x.as_ptr(), y.as_mut_ptr(), Plane::of_channel([17, 19]), 0..6, &mut inside) };
                for device in devices() {
                    let input = Tensor::from_slice(&x).view([2, 3, 17, 19]).to_device(device);
                    let tensor = pool.of_tensor(&input).unwrap();
                    let exact_shape = input.max_pool2d(
                        [kernel as i64; 2], [stride as i64; 2], [padding as i64; 2], [dilation as i64; 2], ceil_mode,
                    );
                    assert_eq!(tensor.size(), exact_shape.size());
                    let off = largest_difference(&tensor, &y);
                    assert!(off <= tolerance * RANGE, "{spec} in {arithmetic}, {window:?} on {device:?}: {off:e}");
                }
            }
        }
    }
}

fn largest_difference(tensor: &Tensor, values: &[f32]) -> f64 {
    let tensor = tensor.to_device(Device::Cpu).flatten(0, -1);
    (tensor - Tensor::from_slice(values)).abs().max().double_value(&[])
}
