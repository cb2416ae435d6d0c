//! Datasets in every layout, from the file on the disk to the logits, against torchvision's own ImageFolder.
#![cfg(feature = "libtorch")]

mod common;

use std::fs;
use std::path::{Path, PathBuf};

use common::{column, fails, polyact_succeeds, python, read_f32, reproducible, rows, script, text};
use polyact::dataset::{Interpolation, OpenOptions, Preparation, Transform};
use polyact::model::Model;
use tch::{Device, Tensor};

/// Forty JPEGs of ImageNet's shape in twenty classes, as class folders, flat folder and tar, and a small classifier.
struct Set {
    folder: tempfile::TempDir,
}

impl Set {
    fn new() -> Set {
        let set = Set::of("40", "20");
        python("folder_logits.py", &["tiny", &set.path("val"), text(set.folder.path())]);
        set
    }

    /// The images alone.
    fn of(images: &str, classes: &str) -> Set {
        let folder = tempfile::tempdir().unwrap();
        script("make_image_set.py", &[text(folder.path()), "--images", images, "--classes", classes]);
        Set { folder }
    }

    fn path(&self, name: &str) -> String {
        text(&self.folder.path().join(name)).to_owned()
    }

    /// `eval` of the classifier with more arguments.
    fn eval<'a>(&'a self, model: &'a str, more: &[&'a str]) -> Vec<&'a str> {
        [&["eval", "--model", model, "--relu-range", "30", "--quiet"], more].concat()
    }
}

const IMAGENET: ([f32; 3], [f32; 3]) = ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]);

#[test]
fn one_set_in_three_layouts_gives_one_row() {
    let set = Set::new();
    let (model, out, labels) = (set.path("model.pt"), set.path("results.csv"), set.path("labels.txt"));
    let (val, flat, tar, synsets) = (set.path("val"), set.path("flat"), set.path("val.tar"), set.path("synsets.txt"));
    for more in [
        ["--dataset", &val, "--layout", "imagefolder"].as_slice(),
        &["--dataset", &val],
        &["--dataset", &flat, "--labels", &synsets],
        &["--dataset", &flat, "--labels", &labels],
        &["--dataset", &tar, "--labels", &synsets],
    ] {
        polyact_succeeds(&set.eval(&model, &[more, &["--out", &out]].concat()));
    }
    let rows = rows(Path::new(&out));
    for row in &rows {
        assert_eq!(column(row, "images"), "40");
        // The order of the images differs, and with it the batches.
        assert_eq!(reproducible(row)[2..], reproducible(&rows[0])[2..]);
    }
}

#[test]
fn logits_from_files_are_those_of_torchvision_s_pipeline() {
    // Two photographs in folders of their own beside the drawn pictures.
    const IMAGES: usize = 6;
    let set = Set::of("4", "2");
    for (class, photograph) in [("x-buildings", "buildings/china.jpg"), ("x-flowers", "flowers/flower.jpg")] {
        let folder = PathBuf::from(set.path("val")).join(class);
        fs::create_dir(&folder).unwrap();
        fs::copy(common::root().join("tests/photographs").join(photograph), folder.join("photograph.jpg")).unwrap();
    }
    let dataset = OpenOptions::default().open(Path::new(&set.path("val"))).unwrap();
    for name in ["resnet18", "resnet152", "vgg19_bn", "googlenet", "inception_v3", "mobilenet_v2"] {
        let (resize, crop) = if name == "inception_v3" { (342, 299) } else { (256, 224) };
        python("folder_logits.py", &[name, &set.path("val"), text(set.folder.path())]);
        let model = Model::load(&set.folder.path().join("model.pt"), Device::Cpu).unwrap();
        let transform = Transform { resize: Some(resize), crop: Some(crop), interpolation: Interpolation::Bilinear };
        let preparation = Preparation { transform, mean: IMAGENET.0.to_vec(), std: IMAGENET.1.to_vec() };
        let expected = Tensor::from_slice(&read_f32(&set.folder.path().join("logits.bin"))).view([IMAGES as i64, 1000]);
        let mut found = Vec::new();
        let images: Vec<usize> = (0..IMAGES).collect();
        assert_eq!(dataset.len(), IMAGES);
        std::thread::scope(|threads| {
            for batch in dataset.read_ahead(threads, &preparation, &images, 4) {
                let side = crop as i64;
                let input = Tensor::from_slice(&batch.pixels).view([-1, 3, side, side]);
                found.push(model.forward(&input, &model.exact()).unwrap());
            }
        });
        let difference = (Tensor::cat(&found, 0) - &expected).abs().max().double_value(&[]);
        let largest = expected.abs().max().double_value(&[]);
        assert!(difference <= 1e-4 * largest, "{name}: {difference} of {largest}");
    }
}

#[test]
fn images_that_cannot_be_read_are_counted_named_and_stop_a_strict_run() {
    let set = Set::new();
    let (model, flat, labels, out) =
        (set.path("model.pt"), set.path("flat"), set.path("labels.txt"), set.path("r.csv"));
    let victim = |number: usize| PathBuf::from(set.path(&format!("flat/ILSVRC2012_val_{number:08}.JPEG")));
    let whole = fs::read(victim(3)).unwrap();
    for (number, bytes) in [(3, &whole[..whole.len() / 3]), (4, b"".as_slice()), (5, b"<html>")] {
        // The class folders hold links to the same files.
        fs::remove_file(victim(number)).unwrap();
        fs::write(victim(number), bytes).unwrap();
    }
    let arguments = set.eval(&model, &["--dataset", &flat, "--labels", &labels, "--out", &out]);
    let output = common::polyact(&arguments);
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{stderr}");
    for number in [3, 4, 5] {
        assert!(stderr.contains(&format!("ILSVRC2012_val_{number:08}.JPEG left out: ")), "{stderr}");
    }
    let rows = rows(Path::new(&out));
    assert_eq!((column(&rows[0], "images"), column(&rows[0], "broken_images")), ("37".into(), "3".into()));
    fails(&[arguments.as_slice(), &["--strict"]].concat(), 1, "ILSVRC2012_val_00000003.JPEG");
    let only = set.folder.path().join("only/class");
    fs::create_dir_all(&only).unwrap();
    fs::write(only.join("a.jpg"), "no image").unwrap();
    fails(&set.eval(&model, &["--dataset", text(only.parent().unwrap())]), 1, "none of the 1 images can be read");
}

#[test]
fn images_of_several_sizes_without_a_crop_are_refused_whatever_the_batch() {
    let set = Set::new();
    let (model, val) = (set.path("model.pt"), set.path("val"));
    let message = |batch: &str| {
        let more = ["--dataset", &val, "--resize", "none", "--crop", "none", "--batch", batch];
        let output = common::polyact(&set.eval(&model, &more));
        assert_eq!(output.status.code(), Some(1));
        String::from_utf8(output.stderr).unwrap()
    };
    let expected = message("1");
    assert!(expected.contains("where those before it are") && expected.contains("--crop N"), "{expected}");
    assert_eq!([message("7"), message("64")], [expected.clone(), expected]);
}

#[test]
fn labels_and_classes_that_do_not_fit_are_refused() {
    let set = Set::new();
    let (model, flat, tar, val) = (set.path("model.pt"), set.path("flat"), set.path("val.tar"), set.path("val"));
    let file = |name: &str, content: String| {
        fs::write(set.path(name), content).unwrap();
        set.path(name)
    };
    fails(&set.eval(&model, &["--dataset", &flat]), 1, "--labels FILE");
    fails(&set.eval(&model, &["--dataset", &tar]), 1, "--labels FILE");
    let labels = set.path("labels.txt");
    fails(&set.eval(&model, &["--dataset", &val, "--labels", &labels, "--layout", "imagefolder"]), 1, "its own labels");
    let few = file("few.txt", "1\n2\n".into());
    fails(&set.eval(&model, &["--dataset", &flat, "--labels", &few]), 1, "2 labels for 40 images");
    let high = file("high.txt", "20\n".repeat(40));
    fails(&set.eval(&model, &["--dataset", &flat, "--labels", &high]), 1, "label 20, but the model has 20 classes");
    let one = file("one.txt", "n00000001\n".repeat(40));
    fails(&set.eval(&model, &["--dataset", &flat, "--labels", &one]), 1, "names of 1 classes, but the model has 20");
    let short = file("short.txt", "n01000000\n".into());
    fails(&set.eval(&model, &["--dataset", &val, "--classes", &short]), 1, "is not among the 1 of --classes");
    let cut = fs::read(&tar).unwrap();
    fs::write(set.path("cut.tar"), &cut[..cut.len() / 2]).unwrap();
    let synsets = set.path("synsets.txt");
    fails(&set.eval(&model, &["--dataset", &set.path("cut.tar"), "--labels", &synsets]), 1, "cut.tar");
    fails(&set.eval(&model, &["--dataset", &val, "--layout", "zip"]), 2, "imagefolder, flat, tar, cifar, idx");
    fails(&set.eval(&model, &["--dataset", &val, "--crop", "0"]), 2, "or none");
}

#[test]
fn a_list_of_classes_reorders_them() {
    let set = Set::new();
    let (model, val, out) = (set.path("model.pt"), set.path("val"), set.path("p.csv"));
    let mut names: Vec<String> =
        fs::read_dir(&val).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names.reverse();
    fs::write(set.path("classes.txt"), names.join("\n")).unwrap();
    let classes = set.path("classes.txt");
    polyact_succeeds(&set.eval(&model, &["--dataset", &val, "--classes", &classes, "--predictions", &out]));
    let lines = rows(Path::new(&out));
    assert_eq!(lines.len(), 40);
    // Images come folder by folder, and the first folder is the last class.
    assert_eq!((lines[0][2].as_str(), lines[39][2].as_str()), ("19", "0"));
    assert!(lines[0][1].starts_with(names.last().unwrap()));
}

#[test]
fn cifar_is_read_from_its_binary_version() {
    let folder = tempfile::tempdir().unwrap();
    let records: Vec<u8> = (0..30u32)
        .flat_map(|i| [vec![(i % 10) as u8], (0..3072).map(|j| (i * 31 + j) as u8).collect()].concat())
        .collect();
    fs::write(folder.path().join("test_batch.bin"), records).unwrap();
    let dataset = OpenOptions::default().open(folder.path()).unwrap();
    assert_eq!((dataset.len(), dataset.shape(), dataset.labels()[29]), (30, Some([3, 32, 32]), 9));
    let preparation = Preparation { transform: Transform::default(), mean: vec![0.0; 3], std: vec![1.0; 3] };
    let image = dataset.prepare(1, &preparation).unwrap();
    assert_eq!((image.pixels[0], image.pixels[1024]), (31.0 / 255.0, (31 + 1024) as u8 as f32 / 255.0));
}
