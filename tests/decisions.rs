//! Which images are decided otherwise, foreseen by gradients.
#![cfg(feature = "libtorch")]

mod common;

use std::path::Path;

use common::{polyact_succeeds, root, text};

/// A line of `--near-flips`.
struct Near {
    margin: f64,
    predicted: f64,
    change: f64,
    differs: bool,
}

/// Images that `relu` decides otherwise in `model`, all images, and those that are named.
fn near(folder: &Path, model: &str, relu: &str, images: &str) -> (usize, usize, Vec<Near>) {
    let path = |name: &str| text(&folder.join(name)).to_owned();
    let (ranges, near, predictions) = (path("ranges.csv"), path("near.csv"), path("predictions.csv"));
    let common = ["--model", model, "--holdout", "1000", "--quiet"];
    polyact_succeeds(&[&["calibrate", "--margin", "0.5", "--out", &ranges], &common[..]].concat());
    let given = format!("file:{ranges}");
    let eval = ["eval", "--relu", relu, "--relu-range", &given, "--limit", images];
    let files = ["--near-flips", &near, "--predictions", &predictions];
    let told = polyact_succeeds(&[&eval[..], &files, &common].concat());
    let lines = |path: &str| -> Vec<Vec<String>> {
        let text = std::fs::read_to_string(path).unwrap();
        text.lines().skip(1).map(|line| line.split(',').map(str::to_owned).collect()).collect()
    };
    let all = lines(&predictions);
    let differ: Vec<&str> = all.iter().filter(|line| line[3] != line[4]).map(|line| line[0].as_str()).collect();
    let named = lines(&near);
    for line in &named {
        let same = all.iter().find(|other| other[0] == line[0]).unwrap();
        assert_eq!([&line[1], &line[2], &line[4]], [&same[1], &same[5], &same[6]]);
        assert_eq!(line[5] == "1", differ.contains(&line[0].as_str()));
    }
    assert!(told.contains(&format!("{} images, ", named.len())), "{told}");
    let number = |text: &str| text.parse().unwrap();
    let near = |line: Vec<String>| Near {
        margin: number(&line[2]),
        predicted: number(&line[3]),
        change: number(&line[4]),
        differs: line[5] == "1",
    };
    (differ.len(), all.len(), named.into_iter().map(near).collect())
}

#[test]
fn a_few_images_are_named_and_nearly_all_that_are_decided_otherwise_among_them() {
    std::env::set_current_dir(root()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    for (model, images) in [("weights/resnet20-fashion.pt", "2000"), ("weights/vgg-fashion.pt", "4000")] {
        let (differ, all, near) = near(folder.path(), model, "paper:10", images);
        let found = near.iter().filter(|near| near.differs).count();
        assert!(differ > 0 && found as f64 >= 0.95 * differ as f64, "{model}: {found} of {differ}");
        assert!(near.len() as f64 <= 0.03 * all as f64, "{model}: {} of {all}", near.len());
        assert!(near.iter().all(|near| near.margin >= 0.0), "{model}");
    }
}

/// Where errors are small, the first order is nearly all there is.
#[test]
fn small_changes_are_foreseen() {
    std::env::set_current_dir(root()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let (_, _, near) = near(folder.path(), "weights/resnet20-fashion.pt", "paper:11", "3000");
    let sum = |of: &dyn Fn(&Near) -> f64| near.iter().map(|near| of(near).powi(2)).sum::<f64>();
    let (wrong, all) = (sum(&|near| near.change - near.predicted), sum(&|near| near.change));
    assert!(near.len() >= 3 && wrong < 0.1 * all, "{wrong} of {all} over {} images", near.len());
}
