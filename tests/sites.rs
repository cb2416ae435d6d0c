//! Small networks that spell activations and outputs in every way: what is found, and what the swap makes of it.
#![cfg(feature = "libtorch")]

mod common;

use std::path::Path;

use common::{by_kind, devices, python, read_f32, text};
use polyact::activation::{Activation, Spec};
use polyact::model::{Misfit, Model, ModelError};
use tch::{Device, Kind, Tensor};

struct Small {
    folder: tempfile::TempDir,
}

impl Small {
    fn new() -> Small {
        let folder = tempfile::tempdir().unwrap();
        python("small_archives.py", &[text(folder.path())]);
        Small { folder }
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.folder.path().join(name)
    }

    fn load(&self, name: &str) -> Model {
        self.load_on(Device::Cpu, name)
    }

    fn load_on(&self, device: Device, name: &str) -> Model {
        Model::load(&self.path(&format!("{name}.pt")), device).unwrap()
    }

    fn input(&self, name: &str) -> Tensor {
        numbers(&self.path(&format!("{name}.in.bin"))).view([2, 3, 12, 12])
    }

    fn expected(&self, name: &str) -> Tensor {
        numbers(&self.path(&format!("{name}.out.bin"))).view([2, -1])
    }
}

fn numbers(path: &Path) -> Tensor {
    Tensor::from_slice(&read_f32(path))
}

fn difference(a: &Tensor, b: &Tensor) -> f64 {
    (a - b).abs().max().double_value(&[])
}

const NETWORKS: [&str; 9] =
    ["Spellings", "InPlace", "Pools", "ChannelsLast", "Foreign", "TupleOutput", "Branches", "GlobalMax", "Kinds"];

#[test]
fn every_way_to_write_a_network_is_swapped_without_a_change_of_meaning() {
    let small = Small::new();
    let sign = Activation::design(&Spec::Paper { alpha: 14 }).unwrap().unwrap();
    // Values stay within 40; an approximate site is off by at most 46·2^-14, and a few add up.
    let tolerance = 0.02;
    for (device, name) in devices().into_iter().flat_map(|device| NETWORKS.map(|name| (device, name))) {
        let model = small.load_on(device, name);
        let (input, expected) = (small.input(name).to_device(device), small.expected(name).to_device(device));
        let exact = model.forward(&input.copy(), &model.exact()).unwrap();
        let off = difference(&exact, &expected);
        assert!(off <= 1e-5, "{name} exact on {device:?}: {off}");
        let sites = by_kind(&model, Some((&sign, 40.0)), Some((&sign, 40.0))).unwrap();
        let approximate = model.forward(&input.copy(), &sites).unwrap();
        let off = difference(&approximate, &expected);
        assert!(off <= tolerance, "{name} approximate on {device:?}: {off}");
        assert!(off > 1e-9, "{name} on {device:?}: nothing was approximated");
    }
}

#[test]
fn sites_are_named_and_told_apart() {
    let small = Small::new();
    let model = small.load("Spellings");
    let sites: Vec<String> = model.sites().iter().map(|site| format!("{} {}", site.name, site.kind)).collect();
    let expected = [
        "relu relu", "relu#2 relu", "relu#3 relu", "clamp relu", "clamp_min relu", "relu6 relu6", "hardtanh relu6",
        "clamp#2 relu6", "relu6#2 relu6", "threshold relu", "relu#4 relu",
    ];
    assert_eq!(sites, expected);
    assert!(model.foreign().is_empty());
}

#[test]
fn what_is_no_polynomial_is_reported_with_its_place() {
    let small = Small::new();
    let foreign = |name: &str| {
        let nodes = small.load(name).foreign().iter().map(|node| (node.operator.clone(), node.at_output)).collect();
        let nodes: Vec<(String, bool)> = nodes;
        nodes
    };
    let expected =
        [("aten::sigmoid", false), ("aten::hardswish", false), ("aten::div", false), ("aten::softmax", true)];
    assert_eq!(foreign("Foreign"), expected.map(|(name, last)| (name.to_owned(), last)));
    assert_eq!(foreign("GlobalMax"), [("aten::adaptive_max_pool2d".to_owned(), false)]);
}

#[test]
fn overflow_is_counted_by_site_and_image() {
    let small = Small::new();
    for device in devices() {
        overflow_is_counted_on(device, &small);
    }
}

fn overflow_is_counted_on(device: Device, small: &Small) {
    let model = small.load_on(device, "TupleOutput");
    let sign = Activation::design(&Spec::Paper { alpha: 12 }).unwrap().unwrap();
    let mut input = small.input("TupleOutput").to_device(device);
    let _ = input.get(1).fill_(0.0);
    let _ = input.get(1).get(0).get(5).get(5).fill_(f64::NAN);
    let sites = by_kind(&model, Some((&sign, 50.0)), None).unwrap();
    let _logits = model.forward(&input, &sites).unwrap();
    let overflow = sites.take_overflow(0);
    // A 3x3 convolution spreads one NaN over 9 places of 6 channels.
    assert_eq!((overflow.values, overflow.not_a_number), (54, 54));
    assert_eq!(overflow.images.into_keys().collect::<Vec<_>>(), [1]);
    assert_eq!(sites.take_overflow(0).values, 0, "taking sets back");

    // Against a count in plain tensor operations.
    let _ = input.nan_to_num_(0.0, 0.0, 0.0);
    let sites = by_kind(&model, Some((&sign, 0.5)), None).unwrap();
    let _logits = model.forward(&input, &sites).unwrap();
    let overflow = sites.take_overflow(0);
    assert!(overflow.values > 100 && overflow.not_a_number == 0 && overflow.images.values().all(|&worst| worst > 0.5));
}

#[test]
fn windows_that_cannot_be_approximated_are_named() {
    let small = Small::new();
    let model = small.load("HugeWindow");
    let sign = Activation::design(&Spec::Paper { alpha: 14 }).unwrap().unwrap();
    let error = by_kind(&model, None, Some((&sign, 10.0))).err().expect("7x7 is too large");
    assert!(error.to_string().starts_with("site 1 (") && error.to_string().contains("a window of 7x7"), "{error}");
    let crude = Activation::design(&"minimax:3@0.0001".parse().unwrap()).unwrap().unwrap();
    let error = by_kind(&small.load("Pools"), None, Some((&crude, 10.0))).err().expect("no room");
    let is_narrow =
        |error: &ModelError| matches!(error, ModelError::Site(site) if matches!(site.misfit, Misfit::NoRoom { .. }));
    assert!(is_narrow(&error), "{error}");
}

#[test]
fn what_is_no_classifier_is_refused_in_one_line() {
    let small = Small::new();
    for (name, part) in [
        ("missing", "cannot be opened: No such file"),
        ("empty", "is empty"),
        ("text", "is not a TorchScript archive"),
        ("zip", "is a zip file, but not a TorchScript archive"),
        ("truncated", "is truncated or damaged"),
        ("state_dict", "holds a state_dict"),
        ("old_state_dict", "old torch.save"),
        ("TwoInputs", "takes 2 inputs"),
        ("bad_preprocess", "preprocess.json"),
    ] {
        let error = Model::load(&small.path(&format!("{name}.pt")), Device::Cpu).err().expect(name).to_string();
        assert!(error.contains(part) && !error.contains('\n'), "{name}: {error}");
    }
    let error = Model::load(small.folder.path(), Device::Cpu).err().expect("a folder").to_string();
    assert!(error.contains("is a folder"), "{error}");
    let model = small.load("ConvolutionalOutput");
    let error = model.forward(&small.input("ConvolutionalOutput"), &model.exact()).unwrap_err().to_string();
    assert!(error.contains("[2, 6, 12, 12]"), "{error}");
    let model = small.load("Spellings");
    let error = model.forward(&Tensor::zeros([1, 1, 12, 12], (Kind::Float, Device::Cpu)), &model.exact()).unwrap_err();
    assert!(error.to_string().contains("[1, 1, 12, 12]") && !error.to_string().contains('\n'), "{error}");
}
