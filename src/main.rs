//! The command `polyact`: parse, run, exit code. What needs libtorch is left to the program `polyact-network`, since a program
//! that is linked with libtorch loads it at every start, whatever it then does; this one names no function that needs it.

use std::process::ExitCode;

use clap::Parser;
#[cfg(feature = "libtorch")]
use polyact::cli::hand_over;
use polyact::cli::{Cli, ended, run};

fn main() -> ExitCode {
    let cli = Cli::parse();
    #[cfg(feature = "libtorch")]
    let result = run(cli, hand_over);
    #[cfg(not(feature = "libtorch"))]
    let result = run(cli);
    ended(result)
}
