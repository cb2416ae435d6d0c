//! Every command in the README and in docs/ is one that the program takes, and those on bundled models are run.
#![cfg(feature = "libtorch")]

mod common;

use std::path::{Path, PathBuf};
use std::process::Command;

use clap::Parser;
use common::root;
use polyact::cli::Cli;

fn pages() -> Vec<PathBuf> {
    let docs = std::fs::read_dir(root().join("docs")).unwrap().map(|entry| entry.unwrap().path());
    let mut pages: Vec<PathBuf> = docs.filter(|path| path.extension().is_some_and(|name| name == "md")).collect();
    pages.push(root().join("README.md"));
    pages.sort();
    pages
}

/// The arguments of each `polyact` in the shell blocks of a page, in order.
fn commands(page: &Path) -> Vec<Vec<String>> {
    let text = std::fs::read_to_string(page).unwrap();
    let mut commands = Vec::new();
    let mut block = None;
    for line in text.replace("\\\n", " ").lines() {
        match line.trim() {
            "```sh" => block = Some(()),
            "```" => block = None,
            line if block.is_some() => {
                let command = line.split('#').next().unwrap();
                if let Some(arguments) = command.strip_prefix("polyact ") {
                    commands.push(arguments.split_whitespace().map(str::to_owned).collect());
                }
            }
            _ => {}
        }
    }
    commands
}

/// Whether what the command reads is in the tree or was written by a command before it on the page.
fn runnable(arguments: &[String], folder: &Path) -> bool {
    let reads = |argument: &&String| {
        let file = argument.strip_prefix("file:").unwrap_or(argument);
        [".pt", ".csv", ".toml", ".json"].iter().any(|ending| file.ends_with(ending)) || file.starts_with("imagenet")
    };
    let writes =
        ["--out", "--plan-out", "--plot", "--latex", "--html", "--markdown", "--predictions", "--merge", "--fits"];
    let written = |at: usize| at > 0 && writes.contains(&arguments[at - 1].as_str());
    arguments.iter().enumerate().filter(|(at, argument)| reads(argument) && !written(*at)).all(|(_, argument)| {
        let file = argument.strip_prefix("file:").unwrap_or(argument);
        folder.join(file).exists()
    })
}

/// The command on fewer images.
fn shortened(arguments: &[String]) -> Vec<String> {
    let mut short: Vec<String> = arguments.to_vec();
    for at in 1..short.len() {
        match short[at - 1].as_str() {
            "--holdout" => short[at] = "40".to_owned(),
            "--limit" => short[at] = "100".to_owned(),
            _ => {}
        }
    }
    let limited = short.iter().any(|word| word == "--limit");
    if !limited && ["eval", "sweep", "calibrate"].contains(&short[0].as_str()) {
        short.extend(["--limit", "100"].map(str::to_owned));
    }
    short
}

#[test]
fn every_command_in_the_documentation_is_taken() {
    let (mut parsed, mut run) = (0, 0);
    for page in pages() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["weights", "datasets"] {
            std::os::unix::fs::symlink(root().join(name), folder.path().join(name)).unwrap();
        }
        for arguments in commands(&page) {
            let shown = format!("{}: polyact {}", page.display(), arguments.join(" "));
            if runnable(&arguments, folder.path()) {
                let output = Command::new(env!("CARGO_BIN_EXE_polyact"))
                    .args(shortened(&arguments))
                    .current_dir(folder.path())
                    .output()
                    .unwrap();
                assert!(output.status.success(), "{shown}: {}", String::from_utf8_lossy(&output.stderr));
                run += 1;
            } else {
                let with_name = std::iter::once("polyact").chain(arguments.iter().map(String::as_str));
                if let Err(error) = Cli::try_parse_from(with_name) {
                    panic!("{shown}: {error}");
                }
                parsed += 1;
            }
        }
    }
    assert!(run >= 20 && run + parsed >= 25, "{run} run, {parsed} parsed");
}
