//! Archives whose logits have to be found, and archives that are refused, with what to do.
#![cfg(feature = "libtorch")]

mod common;

use std::path::{Path, PathBuf};

use common::{python, read_f32, text};
use polyact::model::Model;
use tch::{Device, Kind, Tensor};

/// The archives that tests/python/odd_archives.py writes.
struct Odd {
    folder: tempfile::TempDir,
}

impl Odd {
    fn new() -> Odd {
        let folder = tempfile::tempdir().unwrap();
        python("odd_archives.py", &[text(folder.path())]);
        Odd { folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn load(&self, name: &str) -> Model {
        Model::load(&self.path(&format!("{name}.pt")), Device::Cpu).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    fn numbers(&self, name: &str) -> Tensor {
        Tensor::from_slice(&read_f32(Path::new(&self.path(name))))
    }
}

#[test]
fn logits_are_found_or_named_and_never_guessed() {
    let odd = Odd::new();
    for (name, output, taken) in [
        ("OptionalMask", "", None),
        ("Pixels", "", None),
        ("Methods", "", None),
        ("Evaluated", "", None),
        ("Beside", "", Some("1")),
        ("TwoTensors", "1", Some("1")),
        ("Named", "scores", Some("scores")),
        ("Deep", "1.1", Some("1.1")),
    ] {
        let model = odd.load(name).with_output(output);
        let input = odd.numbers(&format!("{name}.in.bin")).view([3, 3, 12, 12]);
        let expected = odd.numbers(&format!("{name}.out.bin")).view([3, 7]);
        let found = model.forward(&input, &model.exact()).unwrap_or_else(|error| panic!("{name}: {error}"));
        let off = (found - expected).abs().max().double_value(&[]);
        assert!(off < 1e-5, "{name}: {off}");
        assert_eq!(model.output(), taken, "{name}");
    }
    let failure = |name: &str, output: &str, images: i64| {
        let model = odd.load(name).with_output(output);
        let input = Tensor::zeros([images, 3, 12, 12], (Kind::Float, Device::Cpu));
        model.forward(&input, &model.exact()).expect_err(name).to_string()
    };
    for (name, output, images, part) in [
        (
            "TwoTensors",
            "",
            2,
            "returns several tensors, `0` of shape [2, 64], `1` of shape [2, 7]; say which are the logits by --output NAME",
        ),
        ("Named", "", 2, "`embedding` of shape [2, 6], `scores` of shape [2, 7]"),
        ("Named", "logits", 2, "has no output `logits` (--output); it returns `embedding`"),
        ("Pixels", "1", 2, "has no output `1` (--output); it returns one tensor"),
        ("OneImage", "", 2, "with one image it runs: it was traced with a batch of one, so take --batch 1"),
    ] {
        let error = failure(name, output, images);
        assert!(error.contains(part) && !error.contains('\n'), "{name}: {error}");
    }
}

#[test]
fn archives_whose_figures_would_be_noise_are_refused_with_what_to_do() {
    let odd = Odd::new();
    for (file, part) in [
        ("Dropped.pt", "was traced in training mode (aten::dropout at drop.dropout): call model.eval()"),
        ("Attending.pt", "was traced in training mode (aten::scaled_dot_product_attention at"),
        ("Recurrent.pt", "was traced in training mode (aten::lstm at"),
        ("InstanceNormalised.pt", "with the statistics of each batch (aten::instance_norm at norm.instance_norm)"),
        ("Normalised.pt", "with the statistics of each batch (aten::batch_norm at bn.batch_norm): call model.eval()"),
        ("Noisy.pt", "draws random numbers (aten::rand_like at rand_like)"),
        ("NoisyInPlace.pt", "draws random numbers (aten::normal_ at normal)"),
        ("Counting.pt", "changes its own state in every pass (`seen`)"),
        ("Averaging.pt", "changes its own state in every pass (`average`)"),
        ("OnCuda.pt", "names the device cuda:0 in its code"),
        ("Required.pt", "takes 2 inputs without defaults (mask"),
        (
            "Quantised.pt",
            "is quantised (aten::quantize_per_tensor at into.quantize_per_tensor): export the float model",
        ),
        ("Optimised.pt", "was saved after torch.jit.optimize_for_inference"),
        ("exported.pt2", "is an archive of torch.export, not TorchScript"),
        ("weights.safetensors", "is a file of safetensors, weights without a graph"),
        ("network.onnx", "is a network in ONNX, not TorchScript"),
    ] {
        let error = Model::load(&odd.path(file), Device::Cpu).err().expect(file).to_string();
        assert!(error.contains(part) && !error.contains('\n'), "{file}: {error}");
    }
}

/// Freezing removes the functions from which nodes were inlined; an error must not look at them.
#[test]
fn a_pass_that_fails_inside_a_method_is_an_error() {
    let odd = Odd::new();
    for _ in 0..20 {
        let model = odd.load("Methods");
        let input = Tensor::zeros([1, 1, 12, 12], (Kind::Float, Device::Cpu));
        let error = model.forward(&input, &model.exact()).unwrap_err().to_string();
        assert!(error.contains("expected input[1, 1, 12, 12] to have 3 channels"), "{error}");
    }
}
