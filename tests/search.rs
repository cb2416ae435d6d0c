//! `polyact search` as scripts drive it: the forms of its output, and everything that can be wrong with what it is given.

mod common;

use common::{polyact, polyact_succeeds, text};
use serde_json::Value;

/// Runs the program, which must fail with this exit code; its stderr.
fn fails(arguments: &[&str], code: i32) -> String {
    let output = polyact(arguments);
    assert_eq!(output.status.code(), Some(code), "polyact {arguments:?}");
    String::from_utf8(output.stderr).unwrap()
}

/// What `search` says of a set, `design` says too.
#[test]
fn json_is_what_design_makes_of_the_degrees() {
    let found: Value =
        serde_json::from_str(&polyact_succeeds(&["search", "--alpha", "8,12", "--format", "json"])).unwrap();
    assert_eq!(found["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(found["for"], "relu");
    for (set, alpha) in found["sets"].as_array().unwrap().iter().zip([8, 12]) {
        let degrees: Vec<String> = set["degrees"].as_array().unwrap().iter().map(Value::to_string).collect();
        let epsilon = set["epsilon"].to_string();
        let design =
            polyact_succeeds(&["design", "--degrees", &degrees.join(","), "--epsilon", &epsilon, "--format", "json"]);
        let design: Value = serde_json::from_str(&design).unwrap();
        let number = |value: &Value| value.as_str().unwrap().parse::<f64>().unwrap();
        let error = set["relu_error"].as_f64().unwrap();
        assert_eq!((&set["depth"], &set["mults"]), (&design["depth"], &design["mults"]));
        assert!((error / number(&design["relu_error"]) - 1.0).abs() < 1e-14);
        assert!((set["sign_error"].as_f64().unwrap() / number(&design["sign_error"]) - 1.0).abs() < 1e-14);
        assert_eq!((set["alpha"].as_i64(), set["target"].as_f64()), (Some(alpha), Some(0.5f64.powi(alpha as i32))));
        assert!(error <= 0.5f64.powi(alpha as i32));
        assert!(set["published"]["depth"].as_i64() >= set["depth"].as_i64());
    }
}

#[test]
fn a_front_goes_to_a_file_as_csv() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("front.csv");
    polyact_succeeds(&["search", "--alpha", "6..8", "--front", "--format", "csv", "--out", text(&out)]);
    let mut reader = csv::Reader::from_path(&out).unwrap();
    let header = reader.headers().unwrap().clone();
    let column = |name: &str| header.iter().position(|title| title == name).unwrap();
    let rows: Vec<csv::StringRecord> = reader.records().map(Result::unwrap).collect();
    let errors: Vec<f64> = rows.iter().map(|row| row[column("error")].parse().unwrap()).collect();
    assert!(rows.len() > 10 && errors.iter().all(|error| *error <= 0.5f64.powi(6)));
    assert!(rows.iter().any(|row| &row[column("degrees")] == "7,15"));
}

/// The figure has a curve for each error asked for, and the printed sets stay what they are.
#[test]
fn a_front_is_drawn_beside_what_is_printed() {
    let folder = tempfile::tempdir().unwrap();
    let (plot, missing) = (folder.path().join("front.svg"), folder.path().join("none/front.svg"));
    let printed = polyact_succeeds(&["search", "--alpha", "7", "--front"]);
    assert_eq!(polyact_succeeds(&["search", "--alpha", "7", "--front", "--plot", text(&plot)]), printed);
    let sets = printed.lines().skip(1).take_while(|line| !line.is_empty()).count();
    let svg = std::fs::read_to_string(&plot).unwrap();
    assert_eq!(svg.matches("class=\"mark\"").count(), sets);
    assert!(svg.contains("aria-label=\"2−7\"") && svg.contains("aria-label=\"depth of one ReLU in levels\""));

    assert!(fails(&["search", "--alpha", "7", "--plot", text(&plot)], 2).contains("--front"));
    assert!(fails(&["search", "--alpha", "7", "--front", "--plot", "front.pdf"], 2).contains(".svg or .png"));
    assert!(fails(&["search", "--alpha", "7", "--front", "--plot", text(&missing)], 1).contains("--plot "));
}

/// Two stages of degrees up to 27 reach 2^-10 in 11 levels of OpenFHE, where the published set takes 13.
#[test]
fn costs_are_those_of_the_table_asked_for_and_every_form_names_it() {
    let by = |costs: &str, format: &str| {
        let degrees = ["search", "--alpha", "10", "--max-degree", "27"];
        polyact_succeeds(&[degrees.as_slice(), &["--costs", costs, "--format", format]].concat())
    };
    let found: Value = serde_json::from_str(&by("openfhe", "json")).unwrap();
    let set = &found["sets"][0];
    assert_eq!((&found["costs"], set["depth"].as_u64()), (&Value::from("openfhe"), Some(11)));
    assert_eq!((set["published"]["depth"].as_u64(), set["published"]["mults"].as_u64()), (Some(13), Some(19)));
    assert!(by("openfhe", "table").contains("those of one ReLU, as in OpenFHE 1.5\n"));
    assert!(by("best", "table").contains("those of one ReLU, with the fewest products known\n"));
    assert!(by("published", "table").contains("those of one ReLU\n"));
    let csv = by("lattigo", "csv");
    let mut reader = csv::Reader::from_reader(csv.as_bytes());
    let row: std::collections::HashMap<String, String> = reader.deserialize().next().unwrap().unwrap();
    assert_eq!((row["degrees"].as_str(), row["depth"].as_str(), row["costs"].as_str()), ("7,7,13", "11", "lattigo"));

    let folder = tempfile::tempdir().unwrap();
    let plot = folder.path().join("front.svg");
    polyact_succeeds(&["search", "--alpha", "7", "--front", "--costs", "openfhe", "--plot", text(&plot)]);
    assert!(std::fs::read_to_string(&plot).unwrap().contains("as in OpenFHE 1.5"));
}

/// max(a, b) has the error of ReLU at a − b.
#[test]
fn max_and_relu_have_the_same_sets() {
    let relu = polyact_succeeds(&["search", "--error", "1e-3", "--format", "csv"]);
    assert_eq!(relu, polyact_succeeds(&["search", "--error", "1e-3", "--for", "max", "--format", "csv"]));
}

#[test]
fn a_sign_keeps_its_error_from_epsilon_on() {
    let arguments = ["search", "--for", "sign", "--epsilon", "0.01", "--error", "0.001", "--format", "json"];
    let found: Value = serde_json::from_str(&polyact_succeeds(&arguments)).unwrap();
    let set = &found["sets"][0];
    assert_eq!((set["epsilon"].as_f64(), &set["error"]), (Some(0.01), &set["sign_error"]));
    assert!(set["sign_error"].as_f64().unwrap() <= 0.001 && set["published"].is_null());
}

#[test]
fn fails_with_one_line_for_what_cannot_be_searched_for() {
    for (arguments, code, expected) in [
        (["--error", "0", "--max-degree", "63"], 2, "the error 0e0 cannot be a target"),
        (["--error", "0.5", "--max-degree", "63"], 2, "to below 0.5"),
        (["--error", "1e-6", "--max-degree", "3"], 1, "none gets below"),
        (["--error", "1e-6", "--max-degree", "2"], 2, "3..=63"),
        (["--alpha", "4", "--error", "0.1"], 2, "cannot be used with"),
        (["--alpha", "9..4", "--max-degree", "63"], 2, "empty range"),
        (["--alpha", "31", "--max-degree", "63"], 2, "from 1 to 30"),
        (["--alpha", "4", "--for", "sign"], 2, "--epsilon"),
        (["--alpha", "4", "--epsilon", "0.1"], 2, "--for sign"),
        (["--alpha", "4", "--out", "/nonexistent/front.csv"], 1, "--out /nonexistent/front.csv"),
    ] {
        let message = fails(&[["search"].as_slice(), &arguments].concat(), code);
        assert!(message.contains(expected), "{arguments:?}: {message}");
    }
    assert!(fails(&["search"], 2).contains("--alpha"));
}
