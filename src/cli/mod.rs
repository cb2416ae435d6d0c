//! The command line: one file a subcommand. Results go to stdout, progress and warnings to stderr.

#[cfg(feature = "libtorch")]
mod beside;
#[cfg(feature = "libtorch")]
mod calibrate;
#[cfg(feature = "libtorch")]
mod configuration;
#[cfg(feature = "libtorch")]
mod cost;
#[cfg(feature = "libtorch")]
mod cost_precision;
mod cost_table;
#[cfg(feature = "libtorch")]
mod cost_times;
#[cfg(feature = "libtorch")]
mod decisions;
mod design;
mod design_format;
mod design_function;
mod doctor;
#[cfg(feature = "libtorch")]
mod encryption;
#[cfg(feature = "libtorch")]
mod eval;
#[cfg(feature = "libtorch")]
mod export;
mod failure;
#[cfg(feature = "libtorch")]
mod handover;
#[cfg(feature = "libtorch")]
mod inspect;
#[cfg(feature = "libtorch")]
mod network;
#[cfg(feature = "libtorch")]
mod options;
mod output;
#[cfg(feature = "libtorch")]
mod plan;
#[cfg(feature = "libtorch")]
mod plan_ablation;
#[cfg(feature = "libtorch")]
mod plan_journal;
#[cfg(feature = "libtorch")]
mod plan_random;
#[cfg(feature = "libtorch")]
mod plan_report;
#[cfg(feature = "libtorch")]
mod plan_search;
#[cfg(feature = "libtorch")]
mod plan_swaps;
mod plot;
#[cfg(feature = "libtorch")]
mod preparation;
#[cfg(feature = "libtorch")]
mod progress;
mod report;
#[cfg(feature = "libtorch")]
mod reproduce;
mod scales;
mod search;
#[cfg(feature = "libtorch")]
mod settings;
#[cfg(feature = "libtorch")]
mod summary;
#[cfg(feature = "libtorch")]
mod sweep;
#[cfg(feature = "libtorch")]
mod sweep_grid;
#[cfg(feature = "libtorch")]
mod task;
#[cfg(feature = "libtorch")]
mod warnings;

use std::io::Write;
use std::path::PathBuf;

use clap::{Parser, Subcommand};

pub use failure::{Failure, ended};
#[cfg(feature = "libtorch")]
pub use handover::{check_caller, hand_over};
#[cfg(feature = "libtorch")]
pub use network::NetworkCommand;
#[cfg(feature = "libtorch")]
pub use settings::Settings;

/// What accuracy a trained CNN keeps when its ReLUs and max-pools become compositions of minimax polynomials.
#[derive(Debug, Parser)]
#[command(version, propagate_version = true, after_help = EXIT_CODES)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

const EXIT_CODES: &str = "Exit codes: 0 done; 1 failed, nothing or only whole rows written; 2 bad usage;
3 an input left its range with --on-overflow error.";

#[derive(Debug, Subcommand)]
enum Command {
    Design(design::Arguments),
    Search(search::Arguments),
    #[cfg(feature = "libtorch")]
    #[command(flatten)]
    Network(NetworkCommand),
    Report(report::Arguments),
    Doctor(doctor::Arguments),
    /// Print the completions of a shell: `polyact completions bash > /etc/bash_completion.d/polyact`
    Completions {
        shell: clap_complete::Shell,
    },
    /// Write the manual pages into a folder: `polyact man /usr/local/share/man/man1`
    Man {
        folder: PathBuf,
    },
}

/// Do what the command line asks for; `network` does what needs libtorch.
///
/// # Errors
/// [`Failure`]: one line that says what was wrong, and the exit code.
pub fn run(
    cli: Cli,
    #[cfg(feature = "libtorch")] network: impl FnOnce(NetworkCommand) -> Result<(), Failure>,
) -> Result<(), Failure> {
    match cli.command {
        Command::Design(arguments) => design::run(arguments),
        Command::Search(arguments) => search::run(arguments),
        #[cfg(feature = "libtorch")]
        Command::Network(command) => network(command),
        Command::Report(arguments) => report::run(&arguments),
        #[cfg(feature = "libtorch")]
        Command::Doctor(arguments) => network(NetworkCommand::Doctor(arguments)),
        #[cfg(not(feature = "libtorch"))]
        Command::Doctor(arguments) => doctor::run(&arguments),
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut <Cli as clap::CommandFactory>::command(), "polyact", &mut script);
            Ok(std::io::stdout().write_all(&script)?)
        }
        Command::Man { folder } => clap_mangen::generate_to(<Cli as clap::CommandFactory>::command(), &folder)
            .map_err(|source| Failure::File { flag: "man", path: folder.display().to_string(), source }),
    }
}

/// Print a result.
fn print(text: &str) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes())?;
    Ok(out.flush()?)
}
