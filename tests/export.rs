//! scripts/export_torchscript.py: its archives are loaded here and compared with the networks they come from.
#![cfg(feature = "libtorch")]

mod common;

use std::collections::BTreeMap;

use common::{polyact_succeeds, python, read_f32, run_python, text};
use polyact::dataset::{Interpolation, Preprocess};
use polyact::model::Model;
use tch::{Device, Tensor};

/// What an archive must hold.
struct Expected {
    name: &'static str,
    relus: usize,
    pools: usize,
    preprocess: Preprocess,
}

/// The preprocessing of torchvision's first weights of nearly every network.
fn imagenet(classes: usize, side: usize) -> Preprocess {
    Preprocess {
        input_size: Some([3, side, side]),
        classes: Some(classes),
        mean: Some(vec![0.485, 0.456, 0.406]),
        std: Some(vec![0.229, 0.224, 0.225]),
        resize: Some(256),
        crop: Some(side),
        interpolation: Some(Interpolation::Bilinear),
    }
}

fn cifar(classes: usize) -> Preprocess {
    let (mean, std) = match classes {
        10 => ([0.4914, 0.4822, 0.4465], [0.2023, 0.1994, 0.2010]),
        _ => ([0.5071, 0.4867, 0.4408], [0.2675, 0.2565, 0.2761]),
    };
    Preprocess { mean: Some(mean.to_vec()), std: Some(std.to_vec()), resize: None, crop: None, ..imagenet(classes, 32) }
}

/// One channel of 12x12 pixels, as export_check.py says on the command line.
fn own() -> Preprocess {
    let own = Preprocess { input_size: Some([1, 12, 12]), mean: Some(vec![-0.5]), std: Some(vec![2.0]), ..cifar(10) };
    Preprocess { classes: Some(5), ..own }
}

fn finetuned() -> Preprocess {
    Preprocess {
        mean: Some(vec![0.5; 3]),
        std: Some(vec![0.25, 0.5, 1.0]),
        resize: Some(72),
        interpolation: Some(Interpolation::Bicubic),
        ..imagenet(7, 64)
    }
}

#[test]
fn archives_give_the_logits_of_their_networks() {
    let folder = tempfile::tempdir().unwrap();
    python("export_check.py", &["archives", text(folder.path())]);
    let expected = |name, relus, pools, preprocess| Expected { name, relus, pools, preprocess };
    // Sites counted by hand: 6n+1 ReLUs in a ResNet of 6n+2 layers, 8 convolutions and 5 pools in VGG-11.
    for expected in [
        expected("resnet18", 17, 1, imagenet(1000, 224)),
        expected("finetuned", 17, 1, finetuned()),
        expected("googlenet", 57, 13, imagenet(1000, 64)),
        expected("densenet121", 121, 1, imagenet(1000, 64)),
        expected("inception_v3", 94, 4, Preprocess { resize: Some(342), ..imagenet(1000, 299) }),
        expected("resnet50", 49, 1, Preprocess { resize: Some(232), ..imagenet(1000, 224) }),
        expected("resnet20-akamaster", 19, 0, cifar(10)),
        expected("resnet20-chenyaofo", 19, 0, cifar(100)),
        expected("resnet20-kuangliu", 19, 0, cifar(10)),
        expected("vgg11-chengyangfu", 10, 5, cifar(10)),
        expected("vgg11-chenyaofo", 10, 5, cifar(100)),
        expected("vgg11-kuangliu", 8, 5, cifar(10)),
        expected("own", 1, 1, own()),
        expected("branching", 1, 1, own()),
        expected("random", 17, 1, imagenet(9, 224)),
    ] {
        let name = expected.name;
        let numbers = |end: &str| Tensor::from_slice(&read_f32(&folder.path().join(format!("{name}.{end}.bin"))));
        let model = Model::load(&folder.path().join(format!("{name}.pt")), Device::Cpu).unwrap();
        assert_eq!(model.preprocess(), &expected.preprocess, "{name}");
        let pools = model.sites().iter().filter(|site| site.kind.to_string() == "maxpool").count();
        assert_eq!((model.sites().len() - pools, pools), (expected.relus, expected.pools), "{name}");
        assert!(model.foreign().is_empty(), "{name}: {:?}", model.foreign());

        let [channels, height, width] = expected.preprocess.input_size.unwrap().map(|size| size as i64);
        let logits = model.forward(&numbers("in").view([2, channels, height, width]), &model.exact()).unwrap();
        let by_python = numbers("out").view([2, -1]);
        assert_eq!(Some(logits.size()[1] as usize), expected.preprocess.classes, "{name}");
        let difference = (logits - &by_python).abs().max() / by_python.abs().max();
        assert!(difference.double_value(&[]) <= 1e-4, "{name}: {difference:?}");
    }
    let named = |name: &str, index: usize| {
        Model::load(&folder.path().join(format!("{name}.pt")), Device::Cpu).unwrap().sites()[index].name.clone()
    };
    for layout in ["akamaster", "chenyaofo", "kuangliu"] {
        assert_eq!(named(&format!("resnet20-{layout}"), 7), "layer2.0.relu1");
    }
    assert_eq!(named("vgg11-chenyaofo", 14), "classifier.4");
    assert_eq!(named("own", 1), "body.2");
}

#[test]
fn the_commands_it_prints_name_the_archive() {
    let folder = tempfile::tempdir().unwrap();
    let archive = folder.path().join("my resnet.pt");
    let arguments = ["cifar_resnet20", "--random", "--classes", "100", "-o", text(&archive)];
    let output = run_python("scripts/export_torchscript.py", &arguments);
    assert!(output.status.success() && output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    let printed = String::from_utf8(output.stdout).unwrap();
    let quoted = format!("--model '{}'", text(&archive));
    for command in ["inspect", "eval"] {
        assert!(printed.contains(&format!("\n  polyact {command} {quoted}")), "{printed}");
    }
    assert!(polyact_succeeds(&["inspect", "--model", text(&archive)]).contains("19 sites: 19 relu"));
}

#[test]
fn errors_are_one_line_that_says_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let printed = python("export_check.py", &["errors", text(folder.path())]);
    let mut said: BTreeMap<String, (i32, String)> = serde_json::from_str(&printed).unwrap();
    for (case, code, parts) in [
        ("a name with a slip", 2, &["resnet81", "did you mean resnet18"] as &[&str]),
        ("a CIFAR name with a slip", 2, &["did you mean", "cifar_resnet20"]),
        ("no weights", 2, &["--weights or --random"]),
        ("weights of another name", 2, &["IMAGENET1K_V7", "IMAGENET1K_V1"]),
        ("no network", 1, &["resnet18-f37072fd.pth cannot be downloaded", "--weights resnet18-f37072fd.pth"]),
        ("no such file", 1, &["nowhere.pth: no such file"]),
        ("no such script", 1, &["nowhere.py: no such file"]),
        ("no such callable", 1, &["own.py", "built"]),
        ("no module", 1, &["own.py:not_a_module returns a dict"]),
        ("an error in the script", 1, &["own.py:broken: no such"]),
        (
            "keys that do not fit",
            1,
            &[
                "2 missing: bn1.bias, layer1.0.conv1.weight;",
                "1 not expected: head.weight;",
                "conv1.weight is [64, 3, 5, 5] instead of [64, 3, 7, 7]",
            ],
        ),
        ("keys in the words of the file", 1, &["2 missing: layer2.0.downsample.0.weight, fc.bias"]),
        ("another network", 1, &["does not fit the network", "and 145 more"]),
        ("an archive as weights", 1, &["TorchScript archive"]),
        ("text as weights", 1, &["text.pth is no file of torch.save"]),
        ("a whole module as weights", 1, &["ResNet", "state_dict() alone"]),
        ("no state_dict", 1, &["holds no state_dict"]),
        ("trace of a branch", 1, &["trace gives other logits"]),
        ("another number of classes", 2, &["--classes 4", "5 classes"]),
        ("a crop beside the size", 2, &["--input-size and --crop disagree"]),
        ("a crop that is too large", 2, &["resized to 256", "cropped to 288", "--resize"]),
        ("two means", 2, &["--mean: 2 values for 3 channels"]),
        ("an input of no network", 1, &["fails on an input of 2x4x32x32"]),
        ("CIFAR of no normalisation", 2, &["20 classes", "--mean and --std"]),
        ("an unknown option", 2, &["--randon"]),
        ("no such folder", 1, &["there is no folder"]),
    ] {
        let (found, error) = said.remove(case).expect(case);
        assert_eq!(found, code, "{case}: {error}");
        assert!(error.starts_with("export: ") && error.trim_end().lines().count() == 1, "{case}: {error}");
        for part in parts {
            assert!(error.contains(part), "{case}: {error}");
        }
    }
    assert!(said.is_empty(), "{said:?}");
}
