//! `polyact export`: what libraries are given is what was evaluated.
#![cfg(feature = "libtorch")]

mod common;

use std::path::Path;

use common::{calibrated, polyact, polyact_succeeds, python, root, text};
use polyact::activation::SitePolynomials;
use serde_json::Value;

const RESNET: &str = "weights/resnet20-fashion.pt";
const VGG: &str = "weights/vgg-fashion.pt";

fn export(model: &str, options: &[&str], format: &str, folder: &Path) -> SitePolynomials {
    let mut arguments = vec!["export", "--model", model, "--format", format, "--out", text(folder)];
    arguments.extend(options);
    polyact_succeeds(&arguments);
    SitePolynomials::parse(&std::fs::read_to_string(folder.join("sites.json")).unwrap()).unwrap()
}

/// A plan of every form there is, with a site that stays exact.
fn mixed(folder: &Path) -> String {
    let plan = folder.join("plan.toml");
    let rule = |site: &str, activation: &str| format!("[[sites]]\nmatch = {site}\nactivation = \"{activation}\"\n");
    let rules = [
        ("1", "minimax:7,7"),
        ("2", "leastsq:31"),
        ("3", "exact"),
        ("4", "paper:8"),
        ("5", "fitted:31"),
        ("6", "fitted:7,7"),
    ];
    std::fs::write(&plan, rules.map(|(site, activation)| rule(site, activation)).concat()).unwrap();
    text(&plan).to_owned()
}

#[test]
fn what_is_exported_gives_the_row_of_what_was_asked_for() {
    std::env::set_current_dir(root()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let (ranges, plan) = (calibrated(folder.path(), RESNET), mixed(folder.path()));
    let asked = ["--relu", "fitted:15/channel", "--relu-range", &ranges, "--plan", &plan];
    let sites = export(RESNET, &asked, "json", folder.path());
    assert!(sites.sites[3].is_exact() && sites.sites[1].composition.is_some() && sites.sites[2].polynomials.len() == 1);
    let row = |options: &[&str]| -> Value {
        let mut arguments = vec!["eval", "--model", RESNET, "--limit", "500", "--quiet", "--json"];
        arguments.extend(options);
        serde_json::from_str(&polyact_succeeds(&arguments)).unwrap()
    };
    let (before, after) = (row(&asked), row(&["--relu", &format!("file:{}", text(&folder.path().join("sites.json")))]));
    for column in ["top1", "agreement", "overflow_values", "depth", "mults", "total_depth", "total_mults"] {
        assert_eq!(before[column], after[column], "{column}");
    }
    // A least-squares polynomial is written as a series, which is computed otherwise.
    let error = |row: &Value| row["max_logit_error"].as_f64().unwrap();
    assert!((error(&before) / error(&after) - 1.0).abs() < 1e-3, "{} {}", error(&before), error(&after));
}

#[test]
fn libraries_compute_what_is_written_down() {
    std::env::set_current_dir(root()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let (ranges, plan) = (calibrated(folder.path(), RESNET), mixed(folder.path()));
    let in_folder = |name: &str| folder.path().join(name);
    let channels = ["--relu", "fitted:15/channel", "--relu-range", &ranges, "--plan", &plan];
    export(RESNET, &channels, "openfhe", &in_folder("openfhe"));
    python("exported_sites.py", &["openfhe", text(&in_folder("openfhe"))]);
    let one = ["--relu", "fitted:15", "--relu-range", &ranges, "--plan", &plan];
    export(RESNET, &one, "heir", &in_folder("heir"));
    python("exported_sites.py", &["heir", text(&in_folder("heir"))]);
    // Pools have their differences for ranges, and a composition is scaled by them.
    for maxpool in ["fitted:31", "paper:10", "leastsq:63"] {
        let ranges = calibrated(folder.path(), VGG);
        let asked = ["--relu", "paper:9", "--maxpool", maxpool, "--relu-range", &ranges];
        let sites = export(VGG, &asked, "openfhe", &in_folder(maxpool));
        python("exported_sites.py", &["openfhe", text(&in_folder(maxpool))]);
        let pool = sites.sites.iter().find(|site| site.kind == "maxpool").unwrap();
        let [low, high] = pool.range.unwrap();
        let bound = pool.composition.as_ref().map_or_else(|| pool.polynomials[0].interval[1], |found| found.bound);
        assert!(bound >= high - low && bound < 1.5 * (high - low), "{maxpool}: {bound} {low} {high}");
        export(VGG, &asked, "heir", &in_folder(maxpool));
        python("exported_sites.py", &["heir", text(&in_folder(maxpool))]);
    }
}

#[test]
fn compilers_with_ranges_alone_get_those_and_who_takes_no_channels_says_so() {
    std::env::set_current_dir(root()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let asked = ["--relu", "paper:7", "--relu-range", "12"];
    export(RESNET, &asked, "ace", folder.path());
    let option = std::fs::read_to_string(folder.path().join("relu_vr.txt")).unwrap();
    assert!(option.contains("/Relu=12;") && option.matches("=12").count() == 19, "{option}");
    for (format, name, part) in [
        ("lattigo", "activations.go", "sites.json"),
        ("lattigo", "activations_test.go", "func TestSitesOnCiphertexts("),
        ("orion", "activations.py", "sites.json"),
        ("openfhe", "main.cpp", "int main("),
    ] {
        export(RESNET, &asked, format, folder.path());
        export(RESNET, &asked, format, folder.path());
        assert!(std::fs::read_to_string(folder.path().join(name)).unwrap().contains(part));
    }
    let ranges = calibrated(folder.path(), RESNET);
    let told = |relu: &str| {
        let out = folder.path().join("scales");
        let asked = ["--relu", relu, "--relu-range", &ranges, "--format", "json", "--out", text(&out)];
        let output = polyact(&[&["export", "--model", RESNET], &asked[..]].concat());
        assert!(output.status.success());
        (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap())
    };
    let (composed, quiet) = told("paper:7");
    assert!(
        composed.contains("\nscale of paper:7: 32 bits in OpenFHE, ")
            && composed.contains(" in Lattigo keep 2^-7 of the range")
    );
    assert!(!quiet.contains("bits of scale"), "{quiet}");
    let (fitted, quiet) = told("fitted:15");
    assert!(fitted.contains("\nscale of fitted:15: ") && !quiet.contains("bits of scale"), "{fitted}{quiet}");
    let (_, steep) = told("minimax:15,27,29");
    assert!(steep.contains("noise is multiplied by up to 39.6, and 43 bits of scale are needed"), "{steep}");
    let refused = |asked: &[&str], format: &str| {
        let mut arguments = vec!["export", "--model", RESNET, "--format", format, "--out", text(folder.path())];
        arguments.extend(asked);
        let output = polyact(&arguments);
        assert!(!output.status.success());
        String::from_utf8(output.stderr).unwrap()
    };
    let told = refused(&["--relu", "fitted:7/channel", "--relu-range", &ranges], "heir");
    assert!(told.contains("--format: site") && told.contains("HEIR takes one for all"), "{told}");
    let list = folder.path().join("list.json");
    polyact_succeeds(&["design", "--degrees", "7,7", "--format", "json", "--out", text(&list)]);
    let told = refused(&["--relu", &format!("file:{}", text(&list)), "--relu-range", "12"], "json");
    assert!(told.contains("stand in their own file"), "{told}");
}
