//! `--plot FILE`: a figure, stored as the file's extension says.

use std::path::{Path, PathBuf};

use super::Failure;
use super::output::write;
use crate::report::plot::{Figure, Format};

/// A file that a figure will be written to.
#[derive(Debug, Clone)]
pub(super) struct PlotFile {
    path: PathBuf,
    format: Format,
}

/// How figures begin.
pub(super) const FIGURES: &[&[u8]] = &[b"<svg", b"<?xml", b"\x89PNG"];

/// The value of `--plot`.
pub(super) fn plot_file(text: &str) -> Result<PlotFile, String> {
    let path = PathBuf::from(text);
    let format = Format::of(&path).map_err(|error| error.to_string())?;
    Ok(PlotFile { path, format })
}

impl PlotFile {
    /// Where it goes.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Write `figure`.
    pub(super) fn write(&self, figure: &Figure) -> Result<(), Failure> {
        write("--plot", &self.path, &figure.render(self.format)?)
    }
}
