//! Polynomials that are fitted to what a network gives them: densities of inputs, and weighted least squares under them.
//!
//! The worst input decides a minimax polynomial, and most inputs of an activation lie in a tenth of its range. A polynomial that
//! is good where the values are, and does not stray far elsewhere, does at a lower depth what a minimax composition does at a
//! higher one. Knows no tensor and no file; docs/mathematics.md derives the fits.

mod density;
mod least_squares;
mod moments;
mod target;

pub use density::{Bin, Density, DensityError, Stored};
pub use least_squares::{Certificate, Fit, FitError, Fitting};
pub use target::Target;
