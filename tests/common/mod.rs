//! What the tests share: the project's Python, its scripts, the built binary, and files of numbers.

// Each test program uses its own part of this.
#![allow(dead_code)]

#[cfg(feature = "libtorch")]
pub mod together;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// The project's folder.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The folder of a bundled model.
pub fn weights(name: &str) -> PathBuf {
    root().join("weights").join(name)
}

/// Run a script of the project with the Python that `scripts/setup` made.
pub fn run_python(script: &str, arguments: &[&str]) -> Output {
    Command::new(root().join(".venv/bin/python"))
        .args(["-W", "ignore"])
        .arg(root().join(script))
        .args(arguments)
        .output()
        .expect("Python is there once scripts/setup ran")
}

/// Run a script of tests/python, which must succeed; what it printed.
pub fn python(script: &str, arguments: &[&str]) -> String {
    let output = run_python(&format!("tests/python/{script}"), arguments);
    assert!(output.status.success(), "{script} {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text")
}

/// Run the built program.
pub fn polyact(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_polyact")).args(arguments).output().expect("the program starts")
}

/// Run the built program, which must succeed; its stdout.
pub fn polyact_succeeds(arguments: &[&str]) -> String {
    let output = polyact(arguments);
    assert!(output.status.success(), "polyact {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text")
}

/// The ranges of `model` on 400 images, with a margin, as `--relu-range` takes them; the file is in `folder`.
pub fn calibrated(folder: &Path, model: &str) -> String {
    let ranges = folder.join("ranges.csv");
    polyact_succeeds(&[
        "calibrate",
        "--model",
        model,
        "--limit",
        "400",
        "--margin",
        "0.5",
        "--out",
        text(&ranges),
        "--quiet",
    ]);
    format!("file:{}", text(&ranges))
}

/// Little-endian f32 from a file.
pub fn read_f32(path: &Path) -> Vec<f32> {
    let bytes = std::fs::read(path).expect("the script wrote it");
    bytes.chunks_exact(4).map(|bytes| f32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])).collect()
}

/// A path as text.
pub fn text(path: &Path) -> &str {
    path.to_str().expect("a temporary path is UTF-8")
}

/// Run a script of scripts/ with the same Python.
pub fn script(name: &str, arguments: &[&str]) -> String {
    python(&format!("../../scripts/{name}"), arguments)
}

/// The rows of a CSV file, without its header.
pub fn rows(path: &Path) -> Vec<Vec<String>> {
    let mut reader = csv::Reader::from_path(path).unwrap();
    reader.records().map(|row| row.unwrap().iter().map(str::to_owned).collect()).collect()
}

/// The columns that time has a say in.
pub const TIMES: [&str; 7] = [
    "seconds", "images_per_second", "seconds_exact", "batch_seconds", "batch_seconds_spread", "batch_seconds_exact",
    "batch_seconds_exact_spread",
];

/// The columns that time and the batch have no say in.
pub fn reproducible(row: &[String]) -> Vec<String> {
    let varying = |name: &&str| TIMES.contains(name) || ["max_logit_error", "batch"].contains(name);
    let kept = polyact::report::COLUMNS.iter().zip(row).filter(|(name, _)| !varying(name));
    kept.map(|(_, value)| value.clone()).collect()
}

/// A field of a results row, by the name of its column.
pub fn column(row: &[String], name: &str) -> String {
    row[polyact::report::COLUMNS.iter().position(|&column| column == name).unwrap()].clone()
}

/// Run the built program, which must fail with this exit code and with `part` in the one line on stderr.
pub fn fails(arguments: &[&str], code: i32, part: &str) {
    let output = polyact(arguments);
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(code), "polyact {arguments:?}: {stderr}");
    assert!(stderr.contains(part), "polyact {arguments:?}: expected `{part}` in: {stderr}");
    assert!(!stderr.contains("panicked") && !stderr.contains("backtrace"), "{stderr}");
    if code == 1 {
        assert_eq!(stderr.lines().count(), 1, "{stderr}");
    }
    assert!(output.stdout.is_empty());
}

/// The CPU, and CUDA where there is one.
#[cfg(feature = "libtorch")]
pub fn devices() -> Vec<tch::Device> {
    if tch::Cuda::is_available() {
        return vec![tch::Device::Cpu, tch::Device::Cuda(0)];
    }
    println!("skipped on CUDA: libtorch finds no device");
    vec![tch::Device::Cpu]
}

/// A table with all ReLUs and all max-pools approximated by one activation and range each; `None` stays exact.
#[cfg(feature = "libtorch")]
pub fn by_kind(
    model: &polyact::model::Model,
    relu: Option<(&polyact::activation::Activation, f64)>,
    max_pool: Option<(&polyact::activation::Activation, f64)>,
) -> Result<polyact::model::Sites, polyact::model::ModelError> {
    let [relu, max_pool] =
        [relu, max_pool].map(|one| one.map(|(found, bound)| (found, polyact::activation::Interval::symmetric(bound))));
    model.table(model.sites().iter().map(|site| if site.kind.is_pool() { max_pool } else { relu }), false)
}
