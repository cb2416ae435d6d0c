//! How a command fails: one line and an exit code.

use std::process::ExitCode;

use crate::minimax::{ApproximationError, DesignError, SearchError};
use crate::report::plot::PlotError;
use crate::report::{MergeError, ReadError, ResultsError};

/// What ends a command early.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The command line makes no sense as a whole.
    #[error("{0}")]
    Usage(String),
    #[error("{0}")]
    Design(#[from] DesignError),
    #[error("{0}")]
    Search(SearchError),
    #[error(transparent)]
    Approximation(#[from] ApproximationError),
    #[error(transparent)]
    Results(#[from] ResultsError),
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error("--merge: {0}")]
    Merge(#[from] MergeError),
    #[error("--plot: {0}")]
    Plot(#[from] PlotError),
    #[error("a result cannot be written: {0}")]
    Output(#[from] std::io::Error),
    #[error("{flag} {path}: {source}")]
    File { flag: &'static str, path: String, source: std::io::Error },
    #[error("a result cannot be written as CSV: {0}")]
    Csv(#[from] csv::Error),
    #[error("a result cannot be written as JSON: {0}")]
    Json(#[from] serde_json::Error),
    #[cfg(feature = "libtorch")]
    #[error(
        "{path}, the program that runs networks, does not start: {source}; install it beside polyact, from the same build"
    )]
    Program { path: String, source: std::io::Error },
    #[cfg(feature = "libtorch")]
    #[error("polyact is of version {caller}, and polyact-network beside it of {own}; install both from the same build")]
    Versions { caller: String, own: &'static str },
    #[cfg(feature = "libtorch")]
    #[error(transparent)]
    Model(#[from] crate::model::ModelError),
    #[cfg(feature = "libtorch")]
    #[error(transparent)]
    Dataset(#[from] crate::dataset::DatasetError),
    #[cfg(feature = "libtorch")]
    #[error(transparent)]
    Evaluation(#[from] crate::evaluation::EvaluationError),
    #[cfg(feature = "libtorch")]
    #[error(transparent)]
    Journal(#[from] crate::evaluation::JournalError),
    #[cfg(feature = "libtorch")]
    #[error("image {image} is no longer what it was when the sweep was interrupted; put it back, or begin anew")]
    Changed { image: String },
    #[cfg(feature = "libtorch")]
    #[error(transparent)]
    Configuration(#[from] crate::evaluation::ConfigurationError),
    #[cfg(feature = "libtorch")]
    #[error(transparent)]
    Placement(#[from] crate::ckks::placement::PlacementError),
    #[cfg(feature = "libtorch")]
    #[error(transparent)]
    Noise(#[from] crate::evaluation::NoiseError),
    /// No plan keeps the budget.
    #[cfg(feature = "libtorch")]
    #[error("{0}")]
    Infeasible(String),
    #[cfg(feature = "libtorch")]
    #[error(transparent)]
    Written(#[from] crate::evaluation::WriteError),
    #[cfg(feature = "libtorch")]
    #[error("--format: {0}")]
    Export(#[from] crate::report::ExportError),
}

/// What a program returns that ends so; a failure is told on stderr, in one line.
pub fn ended(result: Result<(), Failure>) -> ExitCode {
    match result {
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

impl Failure {
    /// 2 for bad usage, 3 for an input out of range where that is an error, 1 for everything else.
    pub fn exit_code(&self) -> u8 {
        #[cfg(feature = "libtorch")]
        {
            use crate::evaluation::ConfigurationError::{NoRange, NoSite, Site};
            use crate::evaluation::EvaluationError;
            match self {
                Failure::Configuration(NoSite | NoRange { .. } | Site(_)) => return 2,
                Failure::Evaluation(
                    EvaluationError::Overflow { .. } | EvaluationError::UnattributedOverflow { .. },
                ) => return 3,
                _ => {}
            }
        }
        if matches!(self, Failure::Usage(_)) { 2 } else { 1 }
    }

    /// Whether the reader of our output went away, which is no error.
    pub fn is_broken_pipe(&self) -> bool {
        matches!(self, Failure::Output(error) if error.kind() == std::io::ErrorKind::BrokenPipe)
    }
}
