//! Coefficients against an independent slow Remez in mpmath, through `polyact design`.
#![cfg(feature = "libtorch")]

mod common;

use common::{polyact_succeeds, python};
use serde_json::Value;

/// Leading digits of a decimal string as f64, which hold more than the 1e-12 asked for.
fn number(value: &Value) -> f64 {
    value.as_str().unwrap().parse().unwrap()
}

#[test]
fn coefficients_and_errors_agree_with_mpmath_to_1e_12() {
    for (degrees, epsilon) in [("15,27,29", "0.00103759765625"), ("7,7,27", "0.00732421875"), ("21,9", "0.02")] {
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
