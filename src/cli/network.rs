//! The commands that need libtorch, apart from the others: a program that is not linked with libtorch reads them, and leaves
//! them to one that is.

use clap::Subcommand;

use super::{Failure, Settings, calibrate, cost, doctor, eval, export, inspect, plan, reproduce, sweep};

/// A command that runs networks, or tells what they would run on.
#[derive(Debug, Subcommand)]
pub enum NetworkCommand {
    Inspect(inspect::Arguments),
    Calibrate(Box<calibrate::Arguments>),
    Eval(Box<eval::Arguments>),
    Sweep(Box<sweep::Arguments>),
    Plan(Box<plan::Arguments>),
    Cost(Box<cost::Arguments>),
    Export(Box<export::Arguments>),
    Reproduce(Box<reproduce::Arguments>),
    /// Has a place of its own among the commands.
    #[command(skip)]
    Doctor(doctor::Arguments),
}

impl NetworkCommand {
    /// What the command line says of the whole process.
    pub fn settings(&self) -> Settings {
        match self {
            NetworkCommand::Inspect(arguments) => arguments.device().settings(),
            NetworkCommand::Calibrate(arguments) => arguments.device().settings(),
            NetworkCommand::Eval(arguments) => arguments.device().settings(),
            NetworkCommand::Sweep(arguments) => arguments.device().settings(),
            NetworkCommand::Plan(arguments) => arguments.device().settings(),
            NetworkCommand::Cost(arguments) => arguments.device().settings(),
            NetworkCommand::Export(arguments) => arguments.device().settings(),
            NetworkCommand::Reproduce(arguments) => arguments.device().settings(),
            NetworkCommand::Doctor(_) => Settings::default(),
        }
    }

    /// Do it, after [`NetworkCommand::settings`] were put into force. A program that names this function is linked with libtorch.
    ///
    /// # Errors
    /// [`Failure`]: one line that says what was wrong, and the exit code.
    pub fn run(self) -> Result<(), Failure> {
        match self {
            NetworkCommand::Inspect(arguments) => inspect::run(&arguments),
            NetworkCommand::Calibrate(arguments) => calibrate::run(&arguments),
            NetworkCommand::Eval(arguments) => eval::run(&arguments),
            NetworkCommand::Sweep(arguments) => sweep::run(*arguments),
            NetworkCommand::Plan(arguments) => plan::run(&arguments),
            NetworkCommand::Cost(arguments) => cost::run(&arguments),
            NetworkCommand::Export(arguments) => export::run(&arguments),
            NetworkCommand::Reproduce(arguments) => reproduce::run(*arguments),
            NetworkCommand::Doctor(arguments) => doctor::run(&arguments),
        }
    }
}
