//! Coefficients against an independent slow Remez in mpmath, through `polyact design`.
#![cfg(feature = "libtorch")]

mod common;

use common::{polyact_succeeds, python};
use serde_json::Value;

/// Leading digits of a decimal string as f64, which hold more than the 1e-12 asked for.
fn number(value: &Value) -> f64 {
    value.as_str().unwrap().parse().unwrap()
}

/// Four degree sets of one or two stages and an ε each, drawn by a fixed seed.
fn drawn() -> Vec<(String, String)> {
    let mut state = 7u64;
    let mut draw = |below: u64| {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (state >> 33) % below
    };
    let mut set = || {
        let degrees: Vec<String> = (0..=draw(2)).map(|_| (3 + 2 * draw(10)).to_string()).collect();
        (degrees.join(","), format!("{}", 2f64.powf(-4.0 - draw(6000) as f64 / 1000.0)))
    };
    (0..4).map(|_| set()).collect()
}

#[test]
fn coefficients_and_errors_agree_with_mpmath_to_1e_12() {
    let chosen = [("15,27,29", "0.00103759765625"), ("7,7,27", "0.00732421875"), ("21,9", "0.02")];
    let chosen = chosen.map(|(degrees, epsilon)| (degrees.to_owned(), epsilon.to_owned()));
    for (degrees, epsilon) in chosen.into_iter().chain(drawn()) {
        let (degrees, epsilon) = (degrees.as_str(), epsilon.as_str());
        let design = polyact_succeeds(&["design", "--degrees", degrees, "--epsilon", epsilon, "--format", "json"]);
        let design: Value = serde_json::from_str(&design).unwrap();
        let reference: Value = serde_json::from_str(&python("minimax.py", &[degrees, epsilon])).unwrap();
        let stages = design["stages"].as_array().unwrap();
        assert_eq!(stages.len(), reference.as_array().unwrap().len());
        for (ours, theirs) in stages.iter().zip(reference.as_array().unwrap()) {
            let close = |a: f64, b: f64| (a - b).abs() <= 1e-12 * b.abs();
            assert!(
                close(number(&ours["error"]), number(&theirs["error"])),
                "{degrees}: {} {}",
                ours["error"],
                theirs["error"]
            );
            let theirs = theirs["coefficients"].as_array().unwrap();
            for (ours, theirs) in ours["coefficients"].as_array().unwrap().iter().zip(theirs) {
                assert!(close(number(&ours["decimal"]), number(theirs)), "{degrees}: {ours} {theirs}");
                assert_eq!(ours["f64"].as_f64().unwrap(), number(&ours["decimal"]), "the f64 is the nearest one");
            }
        }
    }
}

/// Every kind of function, with symmetry and without, on one interval and on unions.
#[test]
fn approximations_of_functions_agree_with_mpmath_to_1e_12() {
    for (function, degree, intervals) in [
        ("exp", "5", vec!["-1,1"]),
        ("silu", "8", vec!["-8,8"]),
        ("relu", "9", vec!["-3,8"]),
        ("tanh", "7", vec!["-4,4"]),
        ("gelu", "6", vec!["-3,5"]),
        ("step", "6", vec!["-2,-0.5", "0.25,1", "1.5,3"]),
        ("1/x", "6", vec!["-2,-0.5", "0.25,3"]),
    ] {
        let reference = python("function_minimax.py", &[&[function, degree], intervals.as_slice()].concat());
        let reference: Value = serde_json::from_str(&reference).unwrap();
        let design = |method: &str| -> Value {
            let mut arguments = vec!["design", "--function", function, "--degree", degree];
            arguments.extend(["--method", method, "--format", "json"]);
            intervals.iter().for_each(|interval| arguments.extend(["--interval", interval]));
            serde_json::from_str(&polyact_succeeds(&arguments)).unwrap()
        };
        let agree = |ours: &Value, theirs: &Value| {
            let (ours, theirs) = (ours.as_array().unwrap(), theirs.as_array().unwrap());
            let largest = theirs.iter().map(|c| number(c).abs()).fold(0.0, f64::max);
            assert_eq!(ours.len(), theirs.len());
            for (ours, theirs) in ours.iter().zip(theirs) {
                let difference = (number(&ours["decimal"]) - number(theirs)).abs();
                assert!(difference <= 1e-12 * largest, "{function} {degree}: {ours} {theirs}");
                assert_eq!(ours["f64"].as_f64().unwrap(), number(&ours["decimal"]), "the f64 is the nearest one");
            }
        };
        let best = design("minimax");
        let (ours, theirs) = (number(&best["error"]), number(&reference["error"]));
        assert!((ours - theirs).abs() <= 1e-12 * theirs, "{function} {degree}: {ours} {theirs}");
        agree(&best["monomial"], &reference["monomial"]);
        if intervals.len() == 1 {
            agree(&design("leastsq")["chebyshev"], &reference["leastsq"]);
        }
    }
}
