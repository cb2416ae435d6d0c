//! The grid of a sweep, as flags or as a TOML file whose keys are these flags.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use clap::{Args, Parser};

use super::Failure;
use super::configuration::{OnOverflow, guard};
use super::encryption::EncryptionOptions;
use super::options::{ReadingOptions, UntilOptions};
use super::preparation::PreparationOptions;
use crate::activation::{Arithmetic, Spec};
use crate::bounded;
use crate::dataset::BUNDLED;

/// What decides the rows.
#[derive(Debug, Args)]
pub(super) struct GridOptions {
    /// TorchScript archives of the classifiers
    #[arg(long, value_name = "M.pt", num_args = 1..)]
    pub model: Vec<PathBuf>,
    /// Class folders, a folder or tar archive of images with --labels, IDX, binary CIFAR, or `bundled`
    #[arg(long, value_name = "D", default_value = BUNDLED)]
    pub dataset: PathBuf,
    /// What stands in for ReLU, one SPEC or several
    #[arg(long, value_name = "SPEC", num_args = 1.., default_value = "paper:14")]
    pub relu: Vec<Spec>,
    /// What stands in for max-pooling, one SPEC or several [default: what stands in for ReLU]
    #[arg(long, value_name = "SPEC", num_args = 1..)]
    pub maxpool: Vec<Spec>,
    /// Bounds of the inputs of every ReLU, or LO:HI, or file:ranges.csv with one a site, one or several
    #[arg(long, value_name = "R", num_args = 1.., allow_negative_numbers = true)]
    pub relu_range: Vec<String>,
    /// The same of every max-pool [default: the one of ReLU]
    #[arg(long, value_name = "R", num_args = 1.., allow_negative_numbers = true)]
    pub maxpool_range: Vec<String>,
    /// Activations and ranges of single sites, which count over all others: TOML files
    #[arg(long, value_name = "plan.toml", num_args = 1..)]
    pub plan: Vec<PathBuf>,
    /// What activations are computed in: f64 on monomials, or f32 on Chebyshev series, or each in turn
    #[arg(long, value_name = "f64|f32", num_args = 1.., default_value = "f64")]
    pub arithmetic: Vec<Arithmetic>,
    /// The most that a fitted polynomial may stray anywhere on its range, as a part of half the range: 0.1 for a tenth
    #[arg(long, value_name = "G", value_parser = guard, allow_negative_numbers = true)]
    pub guard: Option<f64>,
    /// What to do when an input leaves its range
    #[arg(long, value_enum, default_value_t = OnOverflow::Count)]
    pub on_overflow: OnOverflow,
    #[command(flatten)]
    pub encryption: EncryptionOptions,
    #[command(flatten)]
    pub reading: ReadingOptions,
    #[command(flatten)]
    pub preparation: PreparationOptions,
    #[command(flatten)]
    pub until: UntilOptions,
}

/// The flags of [`GridOptions`], which a file says instead.
pub(super) const GRID: [&str; 30] = [
    "model", "dataset", "relu", "maxpool", "relu_range", "maxpool_range", "plan", "arithmetic", "guard", "on_overflow",
    "bootstraps", "ckks", "trials", "layout", "labels", "classes", "devkit_synsets", "limit", "first", "holdout",
    "seed", "batch", "strict", "input_size", "resize", "crop", "interpolation", "mean", "std", "until",
];

/// [`GridOptions`] as a command line of its own, which a TOML file is turned into.
#[derive(Debug, Parser)]
#[command(name = "the sweep file", no_binary_name = true, disable_help_flag = true)]
struct GridFile {
    #[command(flatten)]
    grid: GridOptions,
}

/// The grid in a TOML file: every key is a flag of the grid.
///
/// # Errors
/// A file that cannot be read, is no TOML, or has keys and values that are no flags of the grid.
pub(super) fn read_grid(path: &Path) -> Result<GridOptions, Failure> {
    let file = |source| Failure::File { flag: "--config", path: path.display().to_string(), source };
    let usage = |reason: String| Failure::Usage(format!("--config {}: {reason}", path.display()));
    let text = bounded::read_text(path, bounded::TEXT).map_err(file)?;
    let table: toml::Table =
        text.parse().map_err(|error: toml::de::Error| usage(error.message().replace('\n', " ")))?;
    let mut flags: Vec<OsString> = Vec::new();
    for (key, value) in table {
        if !GRID.contains(&key.as_str()) {
            return Err(usage(format!("`{key}` is no key; there are {}", GRID.join(", "))));
        }
        let values = match value {
            toml::Value::Boolean(false) => continue,
            toml::Value::Boolean(true) => Vec::new(),
            toml::Value::Array(values) => values,
            value => vec![value],
        };
        flags.push(format!("--{}", key.replace('_', "-")).into());
        for value in values {
            flags.push(match value {
                toml::Value::String(text) => text.into(),
                toml::Value::Integer(number) => number.to_string().into(),
                toml::Value::Float(number) => number.to_string().into(),
                other => return Err(usage(format!("`{key}` cannot be {}", other.type_str()))),
            });
        }
    }
    let parsed = GridFile::try_parse_from(flags).map_err(|error| {
        let message = error.to_string();
        usage(message.lines().next().unwrap_or_default().trim_start_matches("error: ").to_owned())
    })?;
    Ok(parsed.grid)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    /// A flag added to the grid must be a key of the file as well.
    #[test]
    fn every_flag_of_the_grid_is_a_key() {
        let command = GridFile::command();
        let mut flags: Vec<&str> = command.get_arguments().map(|argument| argument.get_id().as_str()).collect();
        let mut keys = GRID.to_vec();
        flags.sort_unstable();
        keys.sort_unstable();
        assert_eq!(flags, keys);
    }

    #[test]
    fn a_file_is_read_as_the_flags_it_stands_for() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sweep.toml");
        let read = |text: &str| {
            std::fs::write(&path, text).unwrap();
            read_grid(&path)
        };
        let grid = read("model = ['a.pt', 'b.pt']\nrelu_range = [8, 'file:r.csv', 2.5]\nlimit = 100\nstrict = true\n")
            .unwrap();
        assert_eq!((grid.model.len(), grid.reading.limit, grid.reading.strict), (2, Some(100), true));
        assert_eq!(grid.relu_range, ["8", "file:r.csv", "2.5"]);
        assert_eq!(grid.relu, [Spec::Paper { alpha: 14 }]);
        let error = |text: &str| read(text).unwrap_err().to_string();
        assert!(error("modell = 'a'").contains("`modell` is no key; there are model"));
        assert!(error("relu = ['tanh']").contains("`tanh` is no activation"), "{}", error("relu = ['tanh']"));
        assert!(error("limit = [[1]]").contains("`limit` cannot be array"));
        assert!(error("limit = ").contains("--config"));
    }
}
