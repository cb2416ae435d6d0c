//! scripts/verify_orion, verify_openfhe and verify_noise: what was exported, and single operations, on ciphertexts.
//!
//! Where a library cannot be installed, which depends on the versions of Python and on a network, what is tested is that its program
//! says so.
#![cfg(feature = "libtorch")]

mod common;

use std::path::{Path, PathBuf};
use std::process::Command;

use common::{calibrated, polyact_succeeds, python, root, run_python, text};
use serde_json::Value;

/// The exit code of the programs where the library cannot be installed.
const NOTHING_FITS: i32 = 3;
/// The two sites of the exported network that are evaluated.
const FITTED: &str = "relu";
const COMPOSED: &str = "layer1.0.relu1";

/// ResNet-20 with a fitted polynomial at all sites but one, which has a composition.
fn exported(folder: &Path, format: &str, relu: &str) -> PathBuf {
    let [plan, out] = ["plan.toml", format].map(|name| folder.join(name));
    let model = "weights/resnet20-fashion.pt";
    let range = calibrated(folder, model);
    std::fs::write(&plan, format!("[[sites]]\nmatch = \"{COMPOSED}\"\nactivation = \"paper:7\"\n")).unwrap();
    polyact_succeeds(&[
        "export",
        "--model",
        model,
        "--relu",
        relu,
        "--relu-range",
        &range,
        "--plan",
        text(&plan),
        "--format",
        format,
        "--out",
        text(&out),
    ]);
    out
}

fn design(folder: &Path, alpha: &str) -> PathBuf {
    let file = folder.join(format!("alpha{alpha}.json"));
    polyact_succeeds(&["design", "--alpha", alpha, "--format", "json", "--out", text(&file)]);
    file
}

/// The rows that a program prints, or nothing where it says in one line that its library cannot be installed here.
fn rows(program: &str, arguments: &[&str]) -> Option<Vec<Value>> {
    let output = run_python(&format!("scripts/{program}"), &[arguments, &["--json"]].concat());
    let stderr = String::from_utf8_lossy(&output.stderr);
    if output.status.code() == Some(NOTHING_FITS) {
        let prefix = format!("{program}: ");
        let said: Vec<&str> = stderr.lines().filter(|line| line.starts_with(&prefix)).collect();
        assert!(said.len() == 1 && said[0].contains("its wheels are for Python"), "{stderr}");
        assert!(stderr.lines().all(|line| line.starts_with(&prefix) || line.starts_with("installing ")), "{stderr}");
        assert!(output.stdout.is_empty());
        eprintln!("not run on ciphertexts: {}", said[0]);
        return None;
    }
    assert!(output.status.success(), "{program} {arguments:?}: {stderr}");
    Some(serde_json::from_slice(&output.stdout).unwrap())
}

fn number(row: &Value, column: &str) -> f64 {
    row[column].as_f64().unwrap_or_else(|| panic!("no {column} in {row}"))
}

/// The error is the forecast one, noise is below 2^-18, and levels are those that the library's rule says.
fn as_forecast(rows: &[Value]) {
    for row in rows {
        assert!(row["kept"] == true && number(row, "worst") > 0.9 * number(row, "forecast"), "{row}");
        assert!(number(row, "noise") > 0.0 && number(row, "noise") < f64::exp2(-18.0), "{row}");
        assert!(row["levels"] == row["library"] && number(row, "levels") >= number(row, "polyact"), "{row}");
        assert!(number(row, "products") > 0.0, "{row}");
    }
}

#[test]
fn the_arithmetic_of_the_programs_is_that_of_the_files() {
    std::env::set_current_dir(root()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let channels = exported(folder.path(), "openfhe", "fitted:15/channel");
    let one = exported(folder.path(), "orion", "fitted:15");
    let pools = folder.path().join("pools");
    for maxpool in ["paper:9", "leastsq:15"] {
        polyact_succeeds(&[
            "export",
            "--model",
            "weights/vgg-fashion.pt",
            "--relu",
            "paper:7",
            "--maxpool",
            maxpool,
            "--relu-range",
            "16",
            "--format",
            "json",
            "--out",
            text(&pools),
        ]);
        let design = design(folder.path(), "7");
        let files = [&design, &channels, &one, &pools].map(|path| text(path));
        python("ciphertext_arithmetic.py", &files);
    }
}

#[test]
fn modules_of_orion_compute_on_ciphertexts_what_was_exported() {
    std::env::set_current_dir(root()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let out = exported(folder.path(), "orion", "fitted:15");
    let sites = format!("{FITTED},{COMPOSED}");
    if let Some(rows) = rows("verify_orion", &[text(&out), "--sites", &sites]) {
        assert_eq!(rows.len(), 2);
        as_forecast(&rows);
        // A layer before it scales a polynomial; x/B of a composition takes a level.
        let taken: Vec<f64> = rows.iter().map(|row| number(row, "levels") - number(row, "polyact")).collect();
        assert_eq!(taken, [0.0, 1.0]);
        the_exported_file_checks_itself(&out);
    }
}

/// Run as a program, the file evaluates the sites that are named, and says what is no site.
fn the_exported_file_checks_itself(folder: &Path) {
    let run = |sites: &[&str]| {
        let mut command = Command::new(root().join(".venv-orion/bin/python"));
        command.arg(folder.join("activations.py")).args(sites).output().unwrap()
    };
    let output = run(&[FITTED, COMPOSED]);
    let printed = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{printed}{}", String::from_utf8_lossy(&output.stderr));
    let rows: Vec<Vec<&str>> = printed.lines().skip(1).map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(rows.iter().map(|row| (row[0], row[4])).collect::<Vec<_>>(), [(FITTED, "yes"), (COMPOSED, "yes")]);
    let output = run(&["fc"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("fc: no such site; there are relu, "));
}

#[test]
fn openfhe_computes_on_ciphertexts_what_was_written() {
    std::env::set_current_dir(root()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let out = exported(folder.path(), "openfhe", "fitted:15/channel");
    let design = design(folder.path(), "10");
    let common = ["--scales", "45", "--ring", "2048"];
    let sites = format!("{FITTED},{COMPOSED}");
    if let Some(rows) = rows("verify_openfhe", &[&common[..], &[text(&out), "--sites", &sites]].concat()) {
        assert_eq!(rows.len(), 2);
        as_forecast(&rows);
    }
    if let Some(rows) = rows("verify_openfhe", &[&common[..], &[text(&design)]].concat()) {
        assert_eq!(rows.len(), 2);
        as_forecast(&rows);
    }
}

#[test]
fn single_operations_have_the_noise_of_the_formulas() {
    if let Some(rows) = rows("verify_noise", &["--scales", "30,40", "--ring", "4096"]) {
        assert_eq!(rows.len(), 10);
        for row in &rows {
            let off = number(row, "measured") - number(row, "forecast");
            assert!(off.abs() < 0.2, "{row}");
        }
    }
}

#[test]
fn what_is_wrong_is_said_in_one_line_before_anything_is_installed() {
    std::env::set_current_dir(root()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let (design, other) = (design(folder.path(), "7"), folder.path().join("other.json"));
    std::fs::write(&other, "{\"degree\": 3}").unwrap();
    let cases = [
        (vec![text(&other)], "other.json: has no "),
        (vec!["missing.json"], "missing.json: cannot be read"),
        (vec!["Cargo.toml"], "Cargo.toml: is not JSON"),
        (vec![text(&design), "--sites", "fc"], "--sites fc: no such site; there are 7,7, 7,7 max"),
    ];
    let output = run_python("scripts/verify_orion", &[text(&design)]);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(1) && stderr.contains("alpha7.json: has no activations.py; give"), "{stderr}");
    for program in ["verify_openfhe", "verify_orion"] {
        for (arguments, part) in &cases {
            let output = run_python(&format!("scripts/{program}"), arguments);
            let stderr = String::from_utf8_lossy(&output.stderr);
            assert_eq!(output.status.code(), Some(1), "{stderr}");
            assert!(stderr.starts_with(&format!("{program}: ")) && stderr.contains(part), "{stderr}");
            assert_eq!(stderr.lines().count(), 1, "{stderr}");
        }
        let output = run_python(&format!("scripts/{program}"), &[text(&design), "--scales", "70"]);
        assert_eq!(output.status.code(), Some(2));
        assert!(String::from_utf8_lossy(&output.stderr).contains("--scales: 70: must be whole numbers of bits"));
    }
}
