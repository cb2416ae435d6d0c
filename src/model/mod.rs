//! TorchScript classifiers: load, freeze, find the sites of ReLU and max-pooling, swap them, run.
//!
//! A site is one ReLU or max-pool node of the frozen graph. The graph is rewritten once, when the model is loaded: every
//! site becomes an operator that asks a table of activations, [`Sites`], what to compute. So one loaded model serves the
//! exact pass and any number of approximate ones, which compute what they have in common once.

mod apply;
mod bridge;
mod circuit;
mod cuda;
mod description;
mod graph;
mod images;
mod libtorch;
mod machine;
mod network;
mod noise;
mod observation;
mod operator;
mod overflow;
mod passes;
mod runs;
mod scan;
mod site;
mod sites;
mod statistics;
mod stepping;
mod tournaments;

pub use graph::Graph;
pub use libtorch::keep_memory;
pub use machine::{Machine, no_device};
pub use network::{Model, ModelError, allow_tf32, upload};
pub use noise::Noise;
pub use operator::{Misfit, SiteKind};
pub use overflow::Overflow;
pub use passes::Passed;
pub use site::{Foreign, Site, SiteError};
pub use sites::Sites;
pub use statistics::Statistics;
pub use stepping::{Decided, Stepping};
