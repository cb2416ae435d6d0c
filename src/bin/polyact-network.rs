//! The program that `polyact` becomes where a command needs libtorch. It does all that `polyact` does, under its name.

use std::process::ExitCode;

use clap::Parser;
use polyact::cli::{Cli, check_caller, ended, run};

fn main() -> ExitCode {
    if let Err(failure) = check_caller() {
        return ended(Err(failure));
    }
    let cli = Cli::parse_from(std::iter::once("polyact".into()).chain(std::env::args_os().skip(1)));
    ended(run(cli, |command| {
        command.settings().apply();
        command.run()
    }))
}
