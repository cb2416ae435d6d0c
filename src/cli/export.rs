//! `polyact export`: what stands at the sites of a model, for libraries that compute on ciphertexts.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::configuration::SubstitutionOptions;
use super::options::{DeviceOptions, ModelOptions};
use super::output::{FITS, Files, write};
use super::warnings::{tell_not_polynomial, tell_one_for_all};
use super::{Failure, print};
use crate::evaluation::Designs;
use crate::report::Library;

/// Write the polynomials of all sites of a model, as JSON and for a library that computes on ciphertexts
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Arguments {
    #[command(flatten)]
    model: ModelOptions,
    #[command(flatten)]
    substitution: SubstitutionOptions,
    /// What is to take them
    #[arg(long, value_enum)]
    format: Format,
    /// Write sites.json and the file of the library into this folder
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
}

/// The forms of all sites.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Format {
    /// sites.json alone, which `--relu file:DIR/sites.json` reads back
    Json,
    /// Go, for Lattigo: vectors of polynomials with the slots of each channel, and a test that evaluates every site
    Lattigo,
    /// A C++ header, for OpenFHE, and a program that evaluates every site
    Openfhe,
    /// Python, for Orion: a module a site; run as a program it evaluates every site
    Orion,
    /// MLIR, for HEIR: polynomial.eval with its domain
    Heir,
    /// The option relu_vr of ANT-ACE, which takes ranges alone
    Ace,
}

const EXAMPLES: &str = "Examples:
  polyact export --model weights/resnet20-fashion.pt --relu paper:10 --relu-range 16 --format openfhe --out activations
  polyact export --model weights/resnet20-fashion.pt --relu fitted:15/channel --relu-range file:ranges.csv \\
                 --format lattigo --out activations
  polyact export --model weights/vgg-fashion.pt --plan plan.toml --relu-range file:ranges.csv --format json --out activations

docs/coefficients.md explains every form.";

/// How the files of the libraries begin, where they are not the same in every export.
const BEGINNINGS: &[&[u8]] = &[
    b"// Package activation has what",
    b"// What stands in for the activations",
    b"// Evaluates every site of activations",
    b"package activation\n\n// Evaluates every site",
    b"\"\"\"What stands in for the activations",
    b"/",
];

impl Arguments {
    pub(super) fn device(&self) -> &DeviceOptions {
        &self.model.device
    }
}

impl Format {
    fn library(self) -> Option<Library> {
        match self {
            Format::Json => None,
            Format::Lattigo => Some(Library::Lattigo),
            Format::Openfhe => Some(Library::Openfhe),
            Format::Orion => Some(Library::Orion),
            Format::Heir => Some(Library::Heir),
            Format::Ace => Some(Library::Ace),
        }
    }
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let Arguments { model: options, substitution, format, out } = arguments;
    let library = format.library();
    let sites_file = out.join("sites.json");
    let names = library.map_or(&[][..], Library::files);
    let source_files: Vec<PathBuf> = names.iter().map(|name| out.join(name)).collect();
    std::fs::create_dir_all(out).map_err(|source| super::output::failure("--out", out, source))?;
    let files = substitution.files(Files::default()).reads("--model", &*options.model);
    let files = files.writes("--out", &*sites_file, FITS);
    source_files.iter().fold(files, |files, path| files.writes("--out", &**path, BEGINNINGS)).check()?;

    let configuration = substitution.read()?;
    let models = options.load()?;
    let model = &models[0];
    let resolved = configuration.resolve(model.sites(), &mut Designs::default())?;
    tell_not_polynomial(model);
    tell_one_for_all(model.sites(), &resolved);
    let sites = resolved.polynomials(model.sites(), model.sha256())?;
    let sources = library.map(|library| library.sources(&sites)).transpose()?.unwrap_or_default();
    let scales = super::scales::of_sites(&sites)?;
    write("--out", &sites_file, sites.text()?.as_bytes())?;
    let mut written = vec![sites_file];
    for (source, path) in sources.iter().zip(source_files) {
        write("--out", &path, source.text.as_bytes())?;
        written.push(path);
    }
    let polynomials: usize = sites.sites.iter().map(|site| site.polynomials.len()).sum();
    let compositions = sites.sites.iter().filter(|site| site.composition.is_some()).count();
    let names: Vec<String> = written.iter().map(|path| path.display().to_string()).collect();
    let exact = sites.sites.iter().filter(|site| site.is_exact()).count();
    let total = sites.sites.len();
    print(&format!(
        "sites {total}, polynomials {polynomials}, compositions {compositions}, left exact {exact}\n{scales}{}\n",
        names.join("\n")
    ))
}
