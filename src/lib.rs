//! What accuracy a trained CNN keeps when every ReLU and every max-pooling is replaced by a composition of small minimax
//! polynomials, as it must be under CKKS-style homomorphic encryption (Lee et al., arXiv 2105.10879).
//!
//! Calls go down only:
//!
//! - [`cli`]: the subcommands; arguments, one call into the library, printing.
//! - [`report`]: CSV rows, tables, figures, source code for other libraries.
//! - `evaluation`: a model over a dataset; accuracy, agreement, overflow.
//! - `model` and `dataset`, which do not know each other: a TorchScript network and its sites; images and labels.
//! - [`activation`]: what stands in for ReLU and max, and its kernels.
//! - [`fitting`]: polynomials of least squares under the density of a site's inputs.
//! - `ckks`: levels and bootstrappings of a network under the scheme.
//! - [`minimax`]: the mathematics, which knows no tensor.
//!
//! Without the feature `libtorch` only the mathematics, the activations, the reports and their subcommands are there.

pub mod activation;
mod bounded;
#[cfg(feature = "libtorch")]
pub mod ckks;
pub mod cli;
#[cfg(feature = "libtorch")]
pub mod dataset;
mod digest;
#[cfg(feature = "libtorch")]
pub mod evaluation;
pub mod fitting;
pub mod minimax;
#[cfg(feature = "libtorch")]
pub mod model;
pub mod report;
