//! The noise of CKKS in evaluations: the same however the work is divided, as large as it is said to be, and told.
#![cfg(feature = "libtorch")]

mod common;

use std::path::Path;

use common::{column, fails, polyact_succeeds, python, reproducible, root, rows, script, text};
use serde_json::Value;

const RESNET: &str = "weights/resnet20-fashion.pt";

/// Much noise: 2^-7 of every range at each bootstrapping.
const LOUD: &str = "orion,bootstrapping=7";

fn eval(options: &[&str]) -> Value {
    std::env::set_current_dir(root()).unwrap();
    let mut arguments =
        vec!["eval", "--model", RESNET, "--relu", "paper:10", "--relu-range", "16", "--quiet", "--json"];
    arguments.extend(options);
    serde_json::from_str(&polyact_succeeds(&arguments)).unwrap()
}

fn number(row: &Value, column: &str) -> f64 {
    row[column].as_f64().unwrap_or_else(|| panic!("{column}: {row}"))
}

/// All that noise decides.
fn outcomes(row: &Value) -> Vec<&Value> {
    let columns = ["top1", "agreement", "top1_lost", "top1_won", "overflow_values", "bootstraps", "ckks", "top1_mean"];
    columns.map(|column| &row[column]).to_vec()
}

#[test]
fn noise_does_not_depend_on_how_the_work_is_divided() {
    let whole = eval(&["--first", "300", "--ckks", LOUD, "--batch", "100"]);
    let pieces = eval(&["--first", "300", "--ckks", LOUD, "--batch", "7"]);
    assert_eq!(outcomes(&whole), outcomes(&pieces));
    // Logits of another batch size differ in their last bits anyway.
    assert!((number(&whole, "max_logit_error") / number(&pieces, "max_logit_error") - 1.0).abs() < 1e-2);
    let exact = eval(&["--first", "300"]);
    assert!(number(&whole, "max_logit_error") > 1.5 * number(&exact, "max_logit_error"), "{whole} {exact}");
    assert!(number(&whole, "agreement") < number(&exact, "agreement"));
    let again = eval(&["--first", "300", "--ckks", LOUD, "--batch", "100"]);
    assert_eq!(whole["max_logit_error"], again["max_logit_error"]);
}

/// Of a small error the logits change by it in proportion: half the noise, half the change.
#[test]
fn changes_are_in_proportion_to_the_noise() {
    let folder = tempfile::tempdir().unwrap();
    let margins = |name: &str, options: &[&str]| -> Vec<f64> {
        let file = folder.path().join(name);
        let mut all = vec!["--first", "200", "--predictions", text(&file)];
        all.extend(options);
        eval(&all);
        let mut reader = csv::Reader::from_path(&file).unwrap();
        reader.records().map(|record| record.unwrap()[6].parse().unwrap()).collect()
    };
    let quiet = margins("quiet.csv", &[]);
    let change = |name: &str, ckks: &str| {
        let noisy = margins(name, &["--ckks", ckks]);
        let squares: f64 = noisy.iter().zip(&quiet).map(|(noisy, quiet)| (noisy - quiet).powi(2)).sum();
        (squares / quiet.len() as f64).sqrt()
    };
    let (one, two) = (change("one.csv", "orion,bootstrapping=13"), change("two.csv", "orion,bootstrapping=14"));
    assert!((one / two / 2.0 - 1.0).abs() < 0.15, "{one} {two}");
    // The scale counts as well where it is small.
    let (one, two) =
        (change("three.csv", "orion,scale=26,bootstrapping=40"), change("four.csv", "orion,scale=28,bootstrapping=40"));
    assert!((one / two / 4.0 - 1.0).abs() < 0.15, "{one} {two}");
}

#[test]
fn trials_are_draws_of_their_own() {
    let row = eval(&["--first", "300", "--ckks", LOUD, "--trials", "4"]);
    let first = eval(&["--first", "300", "--ckks", LOUD]);
    for column in ["top1", "agreement", "max_logit_error", "overflow_values"] {
        assert_eq!(row[column], first[column], "{column}");
    }
    assert_eq!((&row["trials"], &first["trials"]), (&4.into(), &1.into()));
    assert!(number(&row, "agreement_spread") > 0.0 && first["agreement_spread"].is_null());
    assert_eq!(number(&first, "agreement_mean"), number(&first, "agreement"));
    assert_ne!(number(&row, "agreement_mean"), number(&row, "agreement"));
}

#[test]
fn a_sweep_has_the_rows_of_single_evaluations() {
    std::env::set_current_dir(root()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let (swept, single) = (folder.path().join("swept.csv"), folder.path().join("single.csv"));
    let common =
        ["--model", RESNET, "--relu-range", "16", "--first", "200", "--ckks", LOUD, "--trials", "2", "--quiet"];
    let run = |command: &str, relu: &[&str], out: &Path| {
        let mut arguments = vec![command, "--relu"];
        arguments.extend(relu);
        arguments.extend(common);
        arguments.extend(["--out", text(out)]);
        polyact_succeeds(&arguments);
    };
    run("sweep", &["paper:7", "paper:10"], &swept);
    run("eval", &["paper:7"], &single);
    run("eval", &["paper:10"], &single);
    let (swept, single) = (rows(&swept), rows(&single));
    for (swept, single) in swept.iter().zip(&single) {
        let mut expected = swept.clone();
        expected[polyact::report::COLUMNS.iter().position(|&name| name == "sweep").unwrap()].clear();
        assert_eq!(reproducible(&expected), reproducible(single));
        for name in ["ckks", "trials", "top1_mean", "top1_spread", "agreement_spread", "max_logit_error"] {
            assert_eq!(column(swept, name), column(single, name), "{name}");
        }
        assert!(!column(swept, "top1_spread").is_empty());
    }
}

/// Under noise that drowns what is bootstrapped, plans keep less of the agreement.
#[test]
fn plans_are_measured_with_noise() {
    std::env::set_current_dir(root()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| folder.path().join(name);
    let ranges = file("ranges.csv");
    let calibrate = ["calibrate", "--model", RESNET, "--holdout", "300", "--margin", "0.5", "--weight", "margin"];
    polyact_succeeds(&[&calibrate[..], &["--out", text(&ranges), "--quiet"]].concat());
    let named = format!("file:{}", text(&ranges));
    let plan = |name: &str, more: &[&str]| {
        let (out, front) = (file(&format!("{name}.toml")), file(&format!("{name}.csv")));
        let common =
            ["plan", "--model", RESNET, "--holdout", "300", "--limit", "300", "--relu-range", &named, "--quiet"];
        let written = ["--candidate", "fitted:15", "--candidate", "fitted:31", "--max-loss", "100"];
        let files = ["--out", text(&out), "--front", text(&front)];
        let said = polyact_succeeds(&[&common[..], &written, &files, more].concat());
        let mut reader = csv::Reader::from_path(&front).unwrap();
        let at = reader.headers().unwrap().iter().position(|column| column == "agreement").unwrap();
        let all: Vec<f64> = reader.records().map(|record| record.unwrap()[at].parse().unwrap()).collect();
        (all, said)
    };
    let loud = "orion,bootstrapping=5";
    let (without, _) = plan("without", &["--ckks", loud]);
    let (with, _) = plan("with", &["--ckks", loud, "--noise"]);
    assert_eq!(with.len(), without.len());
    assert!(with.iter().zip(&without).all(|(with, without)| with < without), "{with:?} {without:?}");
    let out = file("none.toml");
    let autofhe = ["plan", "--model", RESNET, "--holdout", "300", "--relu-range", &named, "--max-loss", "1", "--noise"];
    let arguments = [&autofhe[..], &["--ckks", "autofhe", "--out", text(&out)]].concat();
    fails(&arguments, 1, "autofhe says nothing of noise");
}

#[test]
fn what_has_no_noise_is_told() {
    std::env::set_current_dir(root()).unwrap();
    let with = |options: &[&'static str], code: i32, part: &str| {
        let mut arguments = vec!["eval", "--model", RESNET, "--relu-range", "16", "--first", "10", "--quiet"];
        arguments.extend(options);
        fails(&arguments, code, part);
    };
    with(&["--ckks", "autofhe"], 1, "autofhe says nothing of noise; say it behind the name");
    with(&["--ckks", "orion,scale=x"], 2, "`scale=x`: expected a number");
    with(&["--ckks", "orion,ring=1000"], 2, "`ring` is 1000");
    with(&["--ckks", "orion", "--relu", "exact"], 1, "every site stays exact");
    with(&["--trials", "3"], 2, "--ckks");
    let row = eval(&["--first", "10", "--ckks", "autofhe,ring=65536,scale=46,secret=192,bootstrapping=20"]);
    assert_eq!(row["ckks"], "autofhe,ring=65536,scale=46,secret=192,bootstrapping=20");
    // A file is named with a digest of what it says.
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("own.toml");
    let noise = "levels = 12\n[noise]\nring = 65536\nscale = 40\nbootstrapping = 20\n";
    std::fs::write(&file, noise).unwrap();
    let named = format!("file:{}", text(&file));
    let name = |row: &Value| row["ckks"].as_str().unwrap().to_owned();
    let before = name(&eval(&["--first", "10", "--ckks", &named]));
    std::fs::write(&file, noise.replace("20", "21")).unwrap();
    let after = name(&eval(&["--first", "10", "--ckks", &named]));
    assert!(before.starts_with(&format!("{named}#")) && before != after, "{before} {after}");
}

/// The block of scripts/verify_block: its noise on ciphertexts is the forecast's, and the program's is that. Errors of the average pool
/// belong together at the logits, where the program draws them apart.
#[test]
fn a_block_has_the_noise_of_an_independent_simulation() {
    std::env::set_current_dir(root()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| folder.path().join(name);
    let (ranges, sites, block) = (file("ranges.csv"), file("sites"), file("block.pt"));
    let holdout = ["calibrate", "--model", RESNET, "--holdout", "300", "--margin", "0.25", "--quiet"];
    polyact_succeeds(&[&holdout[..], &["--out", text(&ranges)]].concat());
    let named = format!("file:{}", text(&ranges));
    let export = ["export", "--model", RESNET, "--relu", "fitted:15", "--relu-range", &named, "--format", "json"];
    polyact_succeeds(&[&export[..], &["--out", text(&sites)]].concat());
    script("verify_block", &[text(&sites), "--classifier", text(&block)]);
    std::fs::write(file("params.toml"), "levels = 30\n[noise]\nring = 4096\nscale = 25\nbootstrapping = 40\n").unwrap();
    let (relu, ckks) = (format!("file:{}/sites.json", text(&sites)), format!("file:{}", text(&file("params.toml"))));
    let margins = |name: &str, options: &[&str]| -> Vec<f64> {
        let out = file(name);
        let common = ["eval", "--model", text(&block), "--relu", &relu, "--resize", "none", "--crop", "11"];
        let images = ["--first", "400", "--quiet", "--predictions", text(&out)];
        polyact_succeeds(&[&common[..], &images, options].concat());
        let mut reader = csv::Reader::from_path(&out).unwrap();
        reader.records().map(|record| record.unwrap()[6].parse().unwrap()).collect()
    };
    let (quiet, noisy) = (margins("quiet.csv", &[]), margins("noisy.csv", &["--ckks", &ckks]));
    let squares: f64 = noisy.iter().zip(&quiet).map(|(noisy, quiet)| (noisy - quiet).powi(2)).sum();
    let found = (squares / quiet.len() as f64).sqrt();
    let expected: f64 = python("block_noise.py", &[text(&sites), "4096", "25", "400"]).trim().parse().unwrap();
    let off = (found / expected).log2();
    assert!((-0.3..0.1).contains(&off), "2^{:.2} instead of 2^{:.2}", found.log2(), expected.log2());
}

/// At the bits that `cost` tells, decisions stay when noise of that size is drawn behind every site, and four bits fewer do not do.
#[test]
fn the_precision_that_is_told_is_enough() {
    std::env::set_current_dir(root()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let ranges = folder.path().join("ranges.csv");
    let calibrate = ["calibrate", "--model", RESNET, "--holdout", "500", "--margin", "0.5", "--weight", "margin"];
    polyact_succeeds(&[&calibrate[..], &["--out", text(&ranges), "--quiet"]].concat());
    let named = format!("file:{}", text(&ranges));
    let relu = ["--relu", "fitted:31", "--relu-range", &named];
    let cost = |more: &[&str]| {
        polyact_succeeds(&[&["cost", "--model", RESNET, "--ckks", "levels=6", "--json"], &relu[..], more].concat())
    };
    let told: Value = serde_json::from_str(&cost(&[])).unwrap();
    let bits = told["precision"]["bits"].as_f64().unwrap();
    let sites: Vec<f64> =
        told["operations"].as_array().unwrap().iter().filter_map(|row| row["bits"].as_f64()).collect();
    assert_eq!((sites.len(), told["bootstraps"].as_u64()), (19, Some(19)));
    assert!((10.0..12.5).contains(&bits), "{bits}");
    assert!(sites.iter().all(|&alone| alone < bits && alone > bits - 6.0), "{bits} {sites:?}");
    let decisions = |options: &[&str]| -> Vec<String> {
        let out = folder.path().join("decisions.csv");
        let images = ["--first", "1000", "--quiet", "--predictions", text(&out)];
        polyact_succeeds(&[&["eval", "--model", RESNET], &relu[..], &images, options].concat());
        csv::Reader::from_path(&out).unwrap().records().map(|record| record.unwrap()[4].to_owned()).collect()
    };
    let quiet = decisions(&[]);
    let stay = |bits: f64| {
        let noisy = decisions(&["--ckks", &format!("levels=6,ring=65536,scale=60,bootstrapping={bits}")]);
        noisy.iter().zip(&quiet).filter(|(noisy, quiet)| noisy == quiet).count()
    };
    let (enough, fewer) = (stay(bits), stay(bits - 4.0));
    assert!(enough >= 996 && fewer < 994, "{enough} and {fewer} of 1000");
    // The same from another file, and none from what knows no gradients.
    assert_eq!(cost(&["--sensitivity", &named]), cost(&[]));
    let plain = folder.path().join("plain.csv");
    polyact_succeeds(&["calibrate", "--model", RESNET, "--holdout", "20", "--out", text(&plain), "--quiet"]);
    let plain = format!("file:{}", text(&plain));
    let arguments = ["cost", "--model", RESNET, "--relu", "paper:7", "--relu-range", "16", "--ckks", "orion"];
    fails(&[&arguments[..], &["--sensitivity", &plain]].concat(), 2, "it does not say what errors do to decisions");
}
