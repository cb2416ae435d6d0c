//! How the program that is not linked with libtorch leaves a command to the one that is.
//!
//! They are `polyact` and `polyact-network`, built from one package and installed beside each other. The first becomes the second:
//! the process stays the same, with its arguments, streams and signals.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::{Failure, NetworkCommand};

const PROGRAM: &str = "polyact-network";

/// The environment variable in which the first program tells the second its version.
const CALLER: &str = "POLYACT_CALLER";

const VERSION: &str = env!("CARGO_PKG_VERSION");

/// How often threads of libgomp, which libtorch computes with, look for work before they sleep. By itself it lets them look for
/// milliseconds, which other programs on the same cores pay for, and whoever waits for those in turn. It reads this once, when it
/// is loaded; the user's own settings count.
const PATIENCE: [&str; 2] = ["GOMP_SPINCOUNT", "OMP_WAIT_POLICY"];
const TURNS: &str = "1000";

/// Become the program that runs networks, which reads the arguments of this process once more.
///
/// # Errors
/// [`Failure::Program`] if there is none, or it does not start; nothing else comes back.
pub fn hand_over(_command: NetworkCommand) -> Result<(), Failure> {
    let this = std::env::current_exe().and_then(|path| path.canonicalize());
    let program = beside(&this.map_err(|source| Failure::Program { path: PROGRAM.into(), source })?);
    let mut command = Command::new(&program);
    command.args(std::env::args_os().skip(1)).env(CALLER, VERSION);
    if PATIENCE.iter().all(|name| std::env::var_os(name).is_none()) {
        command.env(PATIENCE[0], TURNS);
    }
    let source = become_program(&mut command);
    Err(Failure::Program { path: program.display().to_string(), source })
}

fn beside(program: &Path) -> PathBuf {
    program.with_file_name(PROGRAM).with_extension(std::env::consts::EXE_EXTENSION)
}

#[cfg(unix)]
fn become_program(command: &mut Command) -> std::io::Error {
    use std::os::unix::process::CommandExt;
    command.exec()
}

/// Where a process cannot become another program, it waits for it.
#[cfg(not(unix))]
fn become_program(command: &mut Command) -> std::io::Error {
    match command.status() {
        Ok(status) => std::process::exit(status.code().unwrap_or(1)),
        Err(error) => error,
    }
}

/// See that the program that left its command to this one, if any did, is of the same version: of two versions one may take
/// arguments for what they no longer are.
///
/// # Errors
/// [`Failure::Versions`]
pub fn check_caller() -> Result<(), Failure> {
    match std::env::var(CALLER) {
        Ok(caller) if caller != VERSION => Err(Failure::Versions { caller, own: VERSION }),
        _ => Ok(()),
    }
}
