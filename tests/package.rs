//! The oldest compiler that Cargo.toml states is new enough for all dependencies; clippy sees to our own code.

mod common;

use std::process::Command;

/// `1.89` and `1.89.0` as numbers.
fn version(text: &str) -> Vec<u32> {
    text.split('.').take(2).map(|part| part.parse().unwrap()).collect()
}

#[test]
fn no_dependency_asks_for_a_newer_compiler_than_is_stated() {
    let host = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--locked", "--offline", "--filter-platform", &host])
        .current_dir(common::root())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    let stated = |package: &serde_json::Value| package["rust_version"].as_str().map(version);
    let own = packages.iter().find(|package| package["name"] == "polyact").and_then(stated).unwrap();
    for package in packages {
        assert!(stated(package).is_none_or(|version| version <= own), "{}: {}", package["id"], package["rust_version"]);
    }
    assert!(packages.len() > 100);
}
