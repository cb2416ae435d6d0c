//! The two programs: `polyact` starts without libtorch, and becomes `polyact-network` where a command needs it.
#![cfg(feature = "libtorch")]

mod common;

use std::path::Path;
use std::process::{Command, Output};

use common::{text, weights};

const LIGHT: &str = env!("CARGO_BIN_EXE_polyact");
const WHOLE: &str = env!("CARGO_BIN_EXE_polyact-network");

fn run(program: impl AsRef<Path>, arguments: &[&str]) -> Output {
    Command::new(program.as_ref()).args(arguments).output().expect("the program starts")
}

fn stderr(output: &Output) -> &str {
    std::str::from_utf8(&output.stderr).unwrap()
}

/// The libraries that are loaded when `program` starts, as the loader of glibc tells them instead of starting it.
fn loaded(program: &str) -> String {
    let output = Command::new(program).env("LD_TRACE_LOADED_OBJECTS", "1").output().unwrap();
    let libraries = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success() && libraries.contains("libc.so"), "{libraries}");
    libraries
}

/// Other linkers count what is named by code that they then leave out.
fn is_linked_by_lld(program: &str) -> bool {
    let name = b"Linker: LLD";
    std::fs::read(program).unwrap().windows(name.len()).any(|bytes| bytes == name)
}

#[test]
fn libtorch_is_loaded_by_the_program_that_runs_networks_alone() {
    assert!(loaded(WHOLE).contains("libtorch_cpu"), "{}", loaded(WHOLE));
    if !is_linked_by_lld(LIGHT) {
        println!("skipped: polyact is linked by another linker than lld, and loads libtorch at every start");
        return;
    }
    for name in ["libtorch", "libc10", "libgomp", "libcuda"] {
        assert!(!loaded(LIGHT).contains(name), "{}", loaded(LIGHT));
    }
}

#[test]
fn both_programs_take_the_same_command_line_under_one_name() {
    for arguments in [
        &["--version"][..],
        &["--help"],
        &["eval", "--help"],
        &["doctor"],
        &["completions", "bash"],
        &["search", "--alpha", "4"],
        &[],
        &["evil"],
        &["eval", "--model"],
        &["eval", "--relu", "tanh", "--model", "a.pt"],
        &["eval", "--model", "missing.pt", "--relu-range", "8"],
        &["eval", "--model", "missing.pt", "--relu-range", "-1"],
        &["design", "--alpha", "3"],
    ] {
        let (light, whole) = (run(LIGHT, arguments), run(WHOLE, arguments));
        assert_eq!(light, whole, "{arguments:?}");
        assert!(!stderr(&light).contains("polyact-network"), "{arguments:?}: {}", stderr(&light));
    }
}

#[test]
fn the_other_program_is_found_beside_the_file_that_a_link_names() {
    let folder = tempfile::tempdir().unwrap();
    let link = folder.path().join("pa");
    std::os::unix::fs::symlink(LIGHT, &link).unwrap();
    let output = run(&link, &["inspect", "--model", text(&weights("vgg-fashion.pt")), "--json"]);
    assert!(output.status.success() && output.stdout.starts_with(b"{"), "{}", stderr(&output));
    assert!(stderr(&run(&link, &["evil"])).contains("Usage: pa "));
}

#[test]
fn a_program_whose_other_half_is_missing_says_so_and_does_what_it_can() {
    let folder = tempfile::tempdir().unwrap();
    let alone = folder.path().join("polyact");
    std::fs::copy(LIGHT, &alone).unwrap();
    assert!(run(&alone, &["search", "--alpha", "4"]).status.success());
    let output = run(&alone, &["doctor"]);
    let whole = folder.path().canonicalize().unwrap().join("polyact-network");
    let reason = "No such file or directory (os error 2); install it beside polyact, from the same build";
    let error = format!("Error: {}, the program that runs networks, does not start: {reason}\n", whole.display());
    assert_eq!((output.status.code(), stderr(&output)), (Some(1), &*error));
}

#[test]
fn a_program_refuses_the_other_half_of_another_version() {
    let output = Command::new(WHOLE).arg("doctor").env("POLYACT_CALLER", "0.0.9").output().unwrap();
    let version = env!("CARGO_PKG_VERSION");
    let error = format!(
        "Error: polyact is of version 0.0.9, and polyact-network beside it of {version}; install both from the same build\n"
    );
    assert_eq!((output.status.code(), stderr(&output)), (Some(1), &*error));
}

/// Signals, exit codes and the terminal are those of one process.
#[cfg(target_os = "linux")]
#[test]
fn the_process_stays_the_same() {
    let folder = tempfile::tempdir().unwrap();
    // A pipe that nobody writes to: whoever reads it waits.
    let pipe = folder.path().join("model.pt");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let mut child = Command::new(LIGHT).args(["inspect", "--model", text(&pipe)]).spawn().unwrap();
    let program = Path::new("/proc").join(child.id().to_string()).join("exe");
    let whole = Path::new(WHOLE).canonicalize().unwrap();
    let became = (0..1000).any(|_| {
        std::thread::sleep(std::time::Duration::from_millis(10));
        std::fs::read_link(&program).is_ok_and(|path| path == whole)
    });
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(became);
}
