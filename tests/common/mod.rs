//! What the tests share: the project's Python, its scripts, the built binary, and files of numbers.

// Each test program uses its own part of this.
#![allow(dead_code)]

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

/// Run a script of tests/python with the Python that `scripts/setup` made; what it printed.
pub fn python(script: &str, arguments: &[&str]) -> String {
    let output = Command::new(root().join(".venv/bin/python"))
        .args(["-W", "ignore"])
        .arg(root().join("tests/python").join(script))
        .args(arguments)
        .output()
        .expect("Python is there once scripts/setup ran");
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

/// Little-endian f32 from a file.
pub fn read_f32(path: &Path) -> Vec<f32> {
    let bytes = std::fs::read(path).expect("the script wrote it");
    bytes.chunks_exact(4).map(|bytes| f32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])).collect()
}

/// A path as text.
pub fn text(path: &Path) -> &str {
    path.to_str().expect("a temporary path is UTF-8")
}
