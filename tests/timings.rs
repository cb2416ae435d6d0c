//! What the results say of time.
#![cfg(feature = "libtorch")]

mod common;

use std::time::Instant;

use common::{column, polyact_succeeds, rows, text, weights};

/// The text and the row of a run of this many images in batches of 50, ReLUs replaced by polynomials that take hardly longer.
fn cheap(images: &str, device: &str) -> (String, Vec<String>) {
    let folder = tempfile::tempdir().unwrap();
    let (vgg, out) = (weights("vgg-fashion.pt"), folder.path().join("results.csv"));
    let activations = ["--relu", "paper:4", "--relu-range", "16", "--maxpool", "exact"];
    let common = [&activations[..], &["--batch", "50", "--quiet", "--out", text(&out)]].concat();
    let shown = polyact_succeeds(
        &[&["eval", "--model", text(&vgg), "--first", images, "--device", device], &common[..]].concat(),
    );
    (shown, rows(&out).remove(0))
}

fn seconds(row: &[String], name: &str) -> f64 {
    column(row, name).parse().unwrap()
}

#[test]
fn passes_that_differ_little_take_about_the_same_time() {
    let (shown, row) = cheap("1020", "cpu");
    let ratio = seconds(&row, "batch_seconds") / seconds(&row, "batch_seconds_exact");
    assert!((0.7..1.4).contains(&ratio), "{shown}");
    assert!(shown.contains("median of 20 batches of 50 images: exact "), "{shown}");
    assert!(shown.contains(&format!("x{ratio:.2}")), "{shown}");
    for (spread, median) in
        [("batch_seconds_spread", "batch_seconds"), ("batch_seconds_exact_spread", "batch_seconds_exact")]
    {
        assert!(seconds(&row, spread) >= 0.0 && seconds(&row, median) > 0.0, "{row:?}");
    }
}

#[test]
fn few_batches_have_a_median_and_no_spread() {
    let (shown, row) = cheap("120", "cpu");
    assert!(!shown.contains("median of"), "{shown}");
    assert!(seconds(&row, "batch_seconds") > 0.0, "{row:?}");
    assert_eq!(column(&row, "batch_seconds_spread") + &column(&row, "batch_seconds_exact_spread"), "");
}

/// Copies of the model side by side on the CPU, in each of which a pass takes longer than in one alone.
#[test]
fn devices_that_work_at_the_same_time_take_no_longer_than_the_clock_says() {
    let start = Instant::now();
    let (shown, row) = cheap("3000", &["cpu"; 8].join(","));
    let passed = start.elapsed().as_secs_f64();
    let (approximate, rate) = (seconds(&row, "seconds"), seconds(&row, "images_per_second"));
    assert!(approximate + seconds(&row, "seconds_exact") < 1.5 * passed, "{passed} seconds: {shown}");
    assert!(approximate < passed && rate > 3000.0 / passed, "{passed} seconds: {shown}");
}
