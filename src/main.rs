//! The command `polyact`: parse, run, exit code. What it does is in the library's `cli`.

use std::process::ExitCode;

use clap::Parser;
use polyact::cli::{Cli, run};

fn main() -> ExitCode {
    let cli = Cli::parse();
    #[cfg(feature = "libtorch")]
    cli.settings().apply();
    match run(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) if failure.is_broken_pipe() => ExitCode::SUCCESS,
        Err(failure) => {
            // libtorch puts a backtrace below the first line of its messages.
            let message = failure.to_string();
            eprintln!("Error: {}", message.lines().next().unwrap_or_default());
            ExitCode::from(failure.exit_code())
        }
    }
}
