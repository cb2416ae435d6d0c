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
            for batch in dataset.read_ahead(threads, &preparation, &images, 4, Vec::new(), |_| None) {
                let side = crop as i64;
                let input = Tensor::from_slice(&batch.images.pixels).view([-1, 3, side, side]);
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

/// Class folders, each with pictures whose red value is the class, and a classifier that reads it off.
struct Reds {
    folder: tempfile::TempDir,
}

impl Reds {
    fn new(kind: &str, names: &[&str], images: usize) -> Reds {
        let folder = tempfile::tempdir().unwrap();
        let count = images.to_string();
        python("red_classes.py", &[&[text(folder.path()), kind, &count], names].concat());
        Reds { folder }
    }

    /// The row, and what was said on stderr, of an evaluation with more arguments.
    fn eval(&self, more: &[&str]) -> (serde_json::Value, String) {
        let model = self.folder.path().join("model.pt");
        let val = self.folder.path().join("val");
        let common = ["eval", "--model", text(&model), "--dataset", text(&val), "--relu", "exact", "--quiet", "--json"];
        let output = common::polyact(&[&common, more].concat());
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{stderr}");
        (serde_json::from_slice(&output.stdout).unwrap(), stderr)
    }

    /// Top-1 in percent.
    fn top1(row: &serde_json::Value) -> f64 {
        row["top1"].as_f64().unwrap()
    }
}

#[test]
fn class_folders_that_are_numbers_are_taken_in_numeric_order() {
    let names: Vec<String> = (0..12).map(|number| number.to_string()).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let (row, stderr) = Reds::new("colour", &names, 2).eval(&[]);
    assert_eq!(Reds::top1(&row), 100.0);
    assert!(stderr.contains("numeric order"), "{stderr}");
    // As text where one is no plain number, and nothing to tell where both orders agree.
    for names in [&["00", "01", "10", "2"][..], &["1", "10", "2", "a"], &["7", "8", "9"], &["b1", "b10", "b2"]] {
        let (row, stderr) = Reds::new("colour", names, 2).eval(&[]);
        assert_eq!((Reds::top1(&row), stderr.as_str()), (100.0, ""), "{names:?}");
    }
}

#[test]
fn class_names_with_blanks_can_be_listed() {
    let set = Reds::new("colour", &["golden retriever", "golden eagle", "ant"], 2);
    let list = set.folder.path().join("classes.txt");
    fs::write(&list, "\u{feff}golden retriever\r\ngolden eagle\r\nant\r\n").unwrap();
    assert_eq!(Reds::top1(&set.eval(&["--classes", text(&list)]).0), 100.0);
    assert!(Reds::top1(&set.eval(&[]).0) < 100.0);
}

#[test]
fn names_that_are_not_utf_8_are_classes_of_their_own() {
    use std::os::unix::ffi::OsStrExt;
    let set = Reds::new("colour", &["a", "b"], 3);
    let val = set.folder.path().join("val");
    for (name, bytes) in [("a", b"caf\xe8"), ("b", b"caf\xe9")] {
        fs::rename(val.join(name), val.join(std::ffi::OsStr::from_bytes(bytes))).unwrap();
    }
    let (row, _) = set.eval(&[]);
    assert_eq!((Reds::top1(&row), &row["images"]), (100.0, &6.into()));
}

#[test]
fn links_to_nowhere_are_images_that_cannot_be_read() {
    let set = Reds::new("colour", &["a", "b", "c"], 2);
    for name in ["a/7.png", "c/0.png"] {
        std::os::unix::fs::symlink("/nowhere/x", set.folder.path().join("val").join(name)).unwrap();
    }
    let (row, stderr) = set.eval(&[]);
    assert_eq!((&row["images"], &row["broken_images"], Reds::top1(&row)), (&6.into(), &2.into(), 100.0));
    assert!(stderr.contains("a/7.png left out: it is a link to /nowhere/x, which does not exist"), "{stderr}");
}

/// The positions were computed with Python's hashlib.
#[test]
fn the_limit_draws_from_all_classes_and_the_first_are_the_first() {
    let set = Reds::new("colour", &["a", "b", "c", "d", "e"], 2);
    let images = |more: &[&str]| {
        let out = set.folder.path().join("p.csv");
        let (row, stderr) = set.eval(&[more, &["--predictions", text(&out)]].concat());
        let positions: Vec<String> = rows(&out).into_iter().map(|line| line[0].clone()).collect();
        (positions.join(" "), row["sampled"].as_str().unwrap().to_owned(), stderr)
    };
    let drawn = images(&["--limit", "3", "--seed", "1"]);
    assert_eq!(drawn, ("2 4 7".to_owned(), "3 by seed 1".to_owned(), String::new()));
    let rest = images(&["--limit", "2", "--holdout", "3", "--seed", "1"]);
    assert_eq!((rest.0.as_str(), rest.1.as_str()), ("0 9", "2 by seed 1 without 3 by seed 1"));
    let first = images(&["--first", "4"]);
    assert_eq!((first.0.as_str(), first.1.as_str()), ("0 1 2 3", "first 4"));
    assert!(first.2.contains("the first ones are of 2 of 5 classes"), "{}", first.2);
    let all = images(&["--limit", "99"]);
    assert_eq!((all.0.split(' ').count(), all.1.as_str(), all.2.as_str()), (10, "all", ""));
}

#[test]
fn a_network_of_one_channel_gets_pictures_in_grey() {
    let set = Reds::new("grey", &["a", "b", "c"], 2);
    assert_eq!(Reds::top1(&set.eval(&["--resize", "none", "--crop", "none"]).0), 100.0);
    assert_eq!(Reds::top1(&set.eval(&["--input-size", "1x12x12"]).0), 100.0);
}

#[test]
fn one_key_of_preprocess_json_leaves_the_other_defaults_as_they_are() {
    let input = |kind: &str| {
        let set = Reds::new(kind, &["a", "b"], 1);
        let [model, val] = ["model.pt", "val"].map(|name| set.folder.path().join(name));
        let arguments = ["eval", "--model", text(&model), "--dataset", text(&val), "--relu", "exact"];
        let said = polyact_succeeds(&arguments);
        said.lines().find(|line| line.starts_with("input ")).unwrap().to_owned()
    };
    let usual = "input 3x224x224, resize 256 bilinear, crop 224, mean 0.485,0.456,0.406, std 0.229,0.224,0.225";
    assert_eq!(input("classes-only"), usual);
    assert_eq!(input("mean-only"), usual.replace("0.485,0.456,0.406", "0,0,0"));
    assert_eq!(input("crop-only"), usual.replace("3x224x224, resize 256 bilinear, crop 224", "3x10x10, crop 10"));
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
