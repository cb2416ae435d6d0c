//! `--plot FILE`: a figure, stored as the file's extension says.

use std::path::PathBuf;

use super::Failure;
use super::output::{check_writable, write};
use crate::report::plot::{Figure, Format};

/// A file that a figure will be written to.
#[derive(Debug, Clone)]
pub(super) struct PlotFile {
    path: PathBuf,
    format: Format,
}

/// The value of `--plot`.
pub(super) fn plot_file(text: &str) -> Result<PlotFile, String> {
    let path = PathBuf::from(text);
    let format = Format::of(&path).map_err(|error| error.to_string())?;
    Ok(PlotFile { path, format })
}

impl PlotFile {
    /// Make sure that the file can be written, before there is anything to write; what it has stays.
    pub(super) fn create(&self) -> Result<(), Failure> {
        check_writable("--plot", &self.path)
    }

    /// Write `figure`.
    pub(super) fn write(&self, figure: &Figure) -> Result<(), Failure> {
        write("--plot", &self.path, &figure.render(self.format)?)
    }
}
