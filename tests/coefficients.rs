//! What `polyact design` writes for other programs: the documented form, and numbers that mean the composition.

mod common;

use std::collections::BTreeSet;

use common::{fails, polyact, polyact_succeeds, root, run_python, text};
use polyact::activation::{Clenshaw, Sign, relu_error_f32};
use polyact::minimax::{Composite, DEFAULT_BITS, Epsilon};
use serde_json::Value;

fn document(name: &str) -> String {
    std::fs::read_to_string(root().join("docs").join(name)).unwrap()
}

/// Everything in `value` that the JSON Schema `schema` does not allow; knows the words that our schema uses.
fn violations(schema: &Value, value: &Value, at: &str, found: &mut Vec<String>) {
    let mut expect = |holds: bool, what: &str| {
        if !holds {
            found.push(format!("{at}: {what}: {value}"));
        }
    };
    for (word, rule) in schema.as_object().unwrap() {
        let number = || value.as_f64().unwrap();
        let length = || value.as_array().unwrap().len() as u64;
        match word.as_str() {
            "$schema" | "title" | "properties" | "items" | "additionalProperties" => {}
            "const" => expect(value == rule, "const"),
            "enum" => expect(rule.as_array().unwrap().contains(value), "enum"),
            "type" => {
                let kind = match value {
                    Value::Object(_) => "object",
                    Value::Array(_) => "array",
                    Value::String(_) => "string",
                    Value::Number(number) if number.is_u64() && rule == "integer" => "integer",
                    Value::Number(_) => "number",
                    _ => "other",
                };
                expect(rule == kind, "type");
            }
            "required" => {
                let names: BTreeSet<&str> =
                    rule.as_array().unwrap().iter().map(|name| name.as_str().unwrap()).collect();
                let known: BTreeSet<&str> =
                    schema["properties"].as_object().unwrap().keys().map(String::as_str).collect();
                let own: BTreeSet<&str> = value.as_object().unwrap().keys().map(String::as_str).collect();
                let allowed = names.is_subset(&own) && own.is_subset(&known);
                expect(allowed && schema["additionalProperties"] == false, "these fields");
            }
            "minimum" => expect(number() >= rule.as_f64().unwrap(), word),
            "maximum" => expect(number() <= rule.as_f64().unwrap(), word),
            "exclusiveMinimum" => expect(number() > rule.as_f64().unwrap(), word),
            "exclusiveMaximum" => expect(number() < rule.as_f64().unwrap(), word),
            "minItems" => expect(length() >= rule.as_u64().unwrap(), word),
            "maxItems" => expect(length() <= rule.as_u64().unwrap(), word),
            "pattern" => {
                let (mantissa, exponent) = value.as_str().unwrap().split_once('e').unwrap_or_default();
                let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, "0"));
                let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
                let whole = whole.strip_prefix('-').unwrap_or(whole);
                let exponent = exponent.strip_prefix('-').unwrap_or(exponent);
                expect(whole.len() == 1 && [whole, fraction, exponent].into_iter().all(digits), "decimal");
            }
            other => panic!("the schema has the word {other}, which this test does not know"),
        }
    }
    for (name, value) in value.as_object().into_iter().flatten() {
        violations(&schema["properties"][name], value, &format!("{at}.{name}"), found);
    }
    for (i, value) in value.as_array().into_iter().flatten().enumerate() {
        violations(&schema["items"], value, &format!("{at}[{i}]"), found);
    }
}

fn names(schema: &Value, found: &mut BTreeSet<String>) {
    for (name, inner) in schema["properties"].as_object().into_iter().flatten() {
        found.insert(name.clone());
        names(inner, found);
    }
    if schema["items"].is_object() {
        names(&schema["items"], found);
    }
}

#[test]
fn json_has_exactly_the_fields_of_the_schema_and_the_document_has_them_all() {
    let schema: Value = serde_json::from_str(&document("coefficients.schema.json")).unwrap();
    for arguments in [
        &["--alpha", "14"][..],
        &["--degrees", "3,5,7"],
        &["--degrees", "127"],
        &["--alpha", "7", "--costs", "openfhe"],
        &["--degrees", "7,7", "--margin", "0.01"],
    ] {
        let json = polyact_succeeds(&[&["design", "--format", "json"], arguments].concat());
        let mut found = Vec::new();
        violations(&schema, &serde_json::from_str(&json).unwrap(), "", &mut found);
        assert_eq!(found, Vec::<String>::new(), "{arguments:?}");
    }
    let (mut fields, text) = (BTreeSet::new(), document("coefficients.md"));
    names(&schema, &mut fields);
    let missing: Vec<&String> = fields.iter().filter(|field| !text.contains(&format!("`{field}`"))).collect();
    assert!(fields.len() > 15 && missing.is_empty(), "{missing:?}");
}

/// The stages of 2^-14 as OpenFHE evaluates them, and nothing new where the published costs count.
#[test]
fn costs_are_those_of_the_table_asked_for() {
    let design = |more: &[&str]| polyact_succeeds(&[&["design", "--alpha", "14"], more].concat());
    let table = design(&["--costs", "openfhe"]);
    for (line, cost) in table.lines().skip(1).zip(["  5      8", "  5     10", "  6     11"]) {
        assert!(line.ends_with(cost), "{table}");
    }
    assert!(table.ends_with("depth 17, non-scalar multiplications 30, as in OpenFHE 1.5\n"), "{table}");
    let cost = |more: &[&str]| {
        let design: Value = serde_json::from_str(&design(&[&["--format", "json"], more].concat())).unwrap();
        ["depth", "mults", "costs"].map(|field| design.get(field).cloned())
    };
    let number = |number: u32| Some(Value::from(number));
    assert_eq!(cost(&["--costs", "openfhe"]), [number(17), number(30), Some("openfhe".into())]);
    assert_eq!(cost(&["--costs", "best"]), [number(15), number(29), Some("best".into())]);
    assert_eq!(cost(&["--costs", "published"]), [number(15), number(30), None]);
    assert!(design(&["--costs", "lattigo", "--format", "lattigo"]).contains("multiplications, as in Lattigo 6.2;"));
    fails(&["design", "--function", "gelu", "--interval=-3,3", "--degree", "4", "--costs", "best"], 2, "--costs");
}

/// What a margin changes: the wider range in the certificate, in the source code and in JSON, and the gain at the ends. Its
/// series are on [−1, 1] still, so that code for libraries is used as without.
#[test]
fn a_margin_is_told_in_every_format_and_takes_the_ends_inside() {
    let design = |more: &[&str]| polyact_succeeds(&[&["design", "--degrees", "7,7,13"], more].concat());
    let json =
        |more: &[&str]| -> Value { serde_json::from_str(&design(&[&["--format", "json"], more].concat())).unwrap() };
    let (plain, wide) = (json(&[]), json(&["--margin", "0.01"]));
    assert_eq!((plain.get("margin"), &wide["margin"]), (None, &Value::from(0.01)));
    let gain = |design: &Value| design["noise_gain"]["at_ends"][1].as_f64().unwrap().abs();
    assert!(gain(&plain) > 9.0 && gain(&wide) < 3.0);
    assert!(wide["noise_gain"]["overshoot"].as_f64().unwrap() > 0.01);
    assert!(wide["least_scale"].as_u64().unwrap() < plain["least_scale"].as_u64().unwrap());
    assert_eq!((&wide["stages"][0]["scale"], &plain["stages"][0]["scale"]), (&"1e0".into(), &"1e0".into()));
    let table = design(&["--margin", "0.01"]);
    assert!(table.contains("<= |x| <= 1.01\n") && table.contains("on [-1.01,1.01], 2^-10."), "{table}");
    assert!(table.contains("\novershoot   2^-6.6 beyond 1"), "{table}");
    let code = design(&["--margin", "0.01", "--format", "openfhe"]);
    assert!(code.contains("of ReLU 9.0092203e-4 on [-1.01,1.01].") && code.contains("|x| up to 1.01."), "{code}");
    assert!(design(&["--format", "openfhe"]).contains("there is no margin for the noise"));
    fails(&["design", "--degrees", "3", "--margin", "-0.1"], 2, "--margin: margin -0.1 is not between 0 and 1");
    fails(&["design", "--degrees", "3", "--margin", "nan"], 2, "--margin: margin NaN");
    fails(&["design", "--function", "gelu", "--interval=-3,3", "--degree", "4", "--margin", "0.1"], 2, "--margin");
}

/// A composition with a margin is read back as the same numbers in both arithmetics.
#[test]
fn a_margin_survives_the_file() {
    use polyact::activation::{Arithmetic, Spec};
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("c.json");
    polyact_succeeds(&["design", "--degrees", "7,15", "--margin", "0.5", "--format", "json", "--out", text(&path)]);
    let composite = Composite::with_margin(&[7, 15], &Epsilon::Best, 0.5, DEFAULT_BITS).unwrap();
    let spec: Spec = format!("file:{}", text(&path)).parse().unwrap();
    for arithmetic in [Arithmetic::F64, Arithmetic::F32] {
        let read = Sign::design(&spec, arithmetic).unwrap().unwrap();
        assert_eq!(read.stages(), Sign::of(&composite).stages());
        assert!(
            read.bound() <= Sign::of(&composite).bound() * 1.0001 && read.bound() > 0.5 * Sign::of(&composite).bound()
        );
    }
}

/// The gain of e^x on [−1, 1] is its own size: about e at 1.
#[test]
fn the_polynomial_of_a_function_has_its_noise_gain() {
    let arguments = ["design", "--function", "exp", "--interval=-1,1", "--degree", "9"];
    let table = polyact_succeeds(&arguments);
    assert!(table.contains("\nnoise     gain 0.37 at -1, 2.72 at 1, at most 2.69 inside\novershoot "), "{table}");
    let json: Value =
        serde_json::from_str(&polyact_succeeds(&[&arguments[..], &["--format", "json"]].concat())).unwrap();
    let inside = json["noise_gain"]["inside"].as_f64().unwrap();
    assert!((inside - 0.99f64.exp()).abs() < 1e-5, "{inside}");
}

#[test]
fn the_example_of_the_document_is_what_its_command_writes() {
    let text = document("coefficients.md");
    let command = text.split("An example, from `polyact ").nth(1).unwrap().split('`').next().unwrap();
    let example = text.split("```json\n").nth(1).unwrap().split("```").next().unwrap();
    let written = polyact_succeeds(&command.split(' ').collect::<Vec<_>>());
    let parsed = |text: &str| -> Value { serde_json::from_str(text).unwrap() };
    let (mut example, written) = (parsed(example), parsed(&written));
    example["version"] = written["version"].clone();
    assert_eq!(example, written);
}

/// r(x) of x = −1, −0.99, …, 1 in f64.
fn expected(composite: &Composite) -> Vec<f64> {
    let p =
        |x: f64| composite.coefficients().iter().fold(x, |y, c| y * c.iter().rev().fold(0.0, |sum, c| sum * y * y + c));
    (-100..=100).map(|i| f64::from(i) / 100.0).map(|x| (x + x * p(x)) / 2.0).collect()
}

/// numpy's Chebyshev series and the module that Orion's `fit` is replaced in: x·step(x) on the snippet's numbers.
#[test]
#[cfg_attr(not(feature = "libtorch"), ignore = "needs the Python of scripts/setup")]
fn the_python_snippet_runs_and_computes_relu() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sign.py");
    for degrees in ["15,27,29", "7,7", "5"] {
        polyact_succeeds(&["design", "--degrees", degrees, "--format", "orion", "--out", text(&path)]);
        let output = run_python("tests/python/orion_snippet.py", &[text(&path)]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let values: Vec<f64> = serde_json::from_slice(&output.stdout).unwrap();
        let degrees: Vec<u32> = degrees.split(',').map(|degree| degree.parse().unwrap()).collect();
        let expected = expected(&Composite::design(&degrees, &Epsilon::Best, DEFAULT_BITS).unwrap());
        assert_eq!(values.len(), expected.len());
        for (value, expected) in values.iter().zip(&expected) {
            assert!((value - expected).abs() < 1e-8, "{degrees:?}: {value} {expected}");
        }
    }
}

/// np.double of each line, degree + 1 numbers a stage, Σ c_k x^k: what the reference implementation makes of its lists.
#[test]
fn the_list_is_what_the_reference_implementation_reads() {
    let list = polyact_succeeds(&["design", "--degrees", "7,15", "--format", "list"]);
    let numbers: Vec<f64> = list.lines().map(|line| line.parse().unwrap()).collect();
    assert_eq!(numbers.len(), 8 + 16);
    let (first, second) = numbers.split_at(8);
    let value = |c: &[f64], x: f64| c.iter().enumerate().map(|(k, c)| c * x.powi(k as i32)).sum::<f64>();
    let composite = Composite::design(&[7, 15], &Epsilon::Best, DEFAULT_BITS).unwrap();
    for (i, expected) in expected(&composite).iter().enumerate() {
        let x = (i as f64 - 100.0) / 100.0;
        assert!(((x + x * value(second, value(first, x))) / 2.0 - expected).abs() < 1e-10);
    }
}

#[test]
fn single_precision_is_enough_at_degrees_where_monomials_in_f64_are_not() {
    let composite = Composite::design(&[63, 63], &Epsilon::Best, DEFAULT_BITS).unwrap();
    let error = relu_error_f32(&Clenshaw::of(&composite));
    assert!((error / Sign::of(&composite).bound() - 1.0).abs() < 0.01, "{error}");
}

#[test]
fn a_format_that_is_not_there_is_refused_with_those_that_are() {
    fails(&["design", "--degrees", "3", "--format", "seal"], 2, "lattigo");
}

/// What encrypted inputs would spoil is told in a line on stderr each, and nothing of compositions with little noise.
#[test]
fn what_noise_would_spoil_is_warned_of() {
    let told = |more: &[&str]| -> Vec<String> {
        let output = polyact(&[&["design"], more].concat());
        assert!(output.status.success());
        String::from_utf8(output.stderr).unwrap().lines().map(str::to_owned).collect()
    };
    let steep = told(&["--degrees", "15,27,29"]);
    assert_eq!(steep.len(), 2, "{steep:?}");
    assert!(
        steep[0].starts_with("warning: --degrees 15,27,29: noise is multiplied by up to 39.6, and 43 bits"),
        "{steep:?}"
    );
    assert!(
        steep[1].starts_with("warning: --degrees 15,27,29: an input 2^-19.6 beyond 1 has twice the error"),
        "{steep:?}"
    );
    assert!(steep.iter().all(|line| line.contains("take --margin 0.01")), "{steep:?}");
    for mild in [&["--alpha", "10"][..], &["--degrees", "15,27,29", "--margin", "0.01"]] {
        assert_eq!(told(mild), [""; 0], "{mild:?}");
    }
    let powers = told(&["--degrees", "15,27,29", "--margin", "0.01", "--format", "list"]);
    assert!(
        powers.len() == 1 && powers[0].starts_with("warning: --format list: powers of x of degree 15"),
        "{powers:?}"
    );
    assert_eq!(told(&["--degrees", "7,7", "--format", "list"]), [""; 0]);
}

/// Lattigo's scale is told beside OpenFHE's, and is the smaller one.
#[test]
fn the_least_scale_is_told_for_both_libraries() {
    let written: Value =
        serde_json::from_str(&polyact_succeeds(&["design", "--alpha", "10", "--format", "json"])).unwrap();
    let [openfhe, lattigo] = ["least_scale", "least_scale_lattigo"].map(|field| written[field].as_u64().unwrap());
    assert!(lattigo < openfhe && openfhe - lattigo <= 3, "{openfhe} {lattigo}");
    let table = polyact_succeeds(&["design", "--alpha", "10"]);
    assert!(
        table.contains(&format!("\nscale       {openfhe} bits in OpenFHE, {lattigo} in Lattigo keep 2^-10 on fresh")),
        "{table}"
    );
}
