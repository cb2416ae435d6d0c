//! The forms in which `polyact design` prints polynomials.

use clap::ValueEnum;

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(super) enum Format {
    /// For people: intervals, errors, cost
    Table,
    /// All of it, coefficients in both bases, as f64 and in full precision; `--relu file:FILE` reads it
    Json,
    /// A line a power, the same coefficients
    Csv,
    /// Plain numbers, one a line: c_0 to c_degree of each stage; `--relu file:FILE@D,D,…` reads it. Not for ciphertexts:
    /// from degree 15 on the powers of x lose all digits there
    List,
    /// Go, for Lattigo
    Lattigo,
    /// C++, for OpenFHE
    Openfhe,
    /// Python, for Orion
    Orion,
}
