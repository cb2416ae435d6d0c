//! What stands at the sites of a network as source code for libraries and compilers that compute on ciphertexts.
//!
//! Each gets what it can take:
//!
//! - Lattigo: Go that reads the JSON form beside it, and gives a `PolynomialVector` of circuits/ckks/polynomial with the slots of each
//!   channel, or a `minimax.Polynomial` (v6); and a test that evaluates every site.
//! - OpenFHE: a C++ header with all numbers and an evaluation of Chebyshev series that takes less depth and fewer products than the
//!   library's, also with vectors of coefficients for polynomials of channels; and a program that evaluates every site.
//! - Orion: Python that reads the JSON form beside it, and gives a module for each site; run as a program it evaluates every site.
//! - HEIR: a function in MLIR for each site, of `polynomial.eval` with `domain_lower` and `domain_upper`.
//! - ANT-ACE: its option `relu_vr`; the compiler takes the ranges of ReLUs and designs polynomials of its own.

mod ace;
mod heir;
mod openfhe;

use crate::activation::{SitePolynomial, SitePolynomials};

pub use ace::relu_vr;
pub use openfhe::SERIES;

/// Who is to take the sites.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Library {
    Lattigo,
    Openfhe,
    Orion,
    Heir,
    Ace,
}

/// A file beside `sites.json`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    pub name: &'static str,
    pub text: String,
}

/// What a library cannot take.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "site {site} has a polynomial for each channel, and {library} takes one for all; fit one, as in fitted:15, or choose json, lattigo or openfhe"
)]
pub struct ExportError {
    pub site: String,
    pub library: &'static str,
}

impl Library {
    /// The names of its files, in the order of [`Library::sources`].
    pub fn files(self) -> &'static [&'static str] {
        match self {
            Library::Lattigo => &["activations.go", "activations_test.go"],
            Library::Openfhe => &["activations.h", "main.cpp"],
            Library::Orion => &["activations.py"],
            Library::Heir => &["activations.mlir"],
            Library::Ace => &["relu_vr.txt"],
        }
    }

    /// The sites as it takes them.
    ///
    /// # Errors
    /// [`ExportError`] where it has no polynomials for single channels.
    pub fn sources(self, sites: &SitePolynomials) -> Result<Vec<Source>, ExportError> {
        let alone = |library| match sites.sites.iter().find(|site| site.polynomials.len() > 1) {
            Some(site) => Err(ExportError { site: site.site.clone(), library }),
            None => Ok(()),
        };
        let texts = match self {
            Library::Lattigo => vec![include_str!("lattigo.go").to_owned(), include_str!("lattigo_test.go").to_owned()],
            Library::Openfhe => vec![openfhe::header(sites), openfhe::MAIN.to_owned()],
            Library::Orion => {
                alone("Orion")?;
                vec![include_str!("orion.py").to_owned()]
            }
            Library::Heir => {
                alone("HEIR")?;
                vec![heir::module(sites)]
            }
            Library::Ace => vec![ace::option(sites)],
        };
        Ok(self.files().iter().zip(texts).map(|(name, text)| Source { name, text }).collect())
    }
}

/// What a site is, in one line.
fn said(site: &SitePolynomial) -> String {
    let SitePolynomial { site: name, kind, activation, range, worst, depth, mults, .. } = site;
    let [low, high] = range.unwrap_or_default();
    format!(
        "{name}, {kind} by {activation} on [{low}, {high}]: error {worst:.3e} at most, depth {depth}, {mults} products"
    )
}

/// The coefficients of sign as those of a step from 0 to 1 with the same interval: (1 + p)/2.
fn step(last: &[f64]) -> Vec<f64> {
    last.iter().enumerate().map(|(k, c)| if k == 0 { (1.0 + c) / 2.0 } else { c / 2.0 }).collect()
}
