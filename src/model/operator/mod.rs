//! Functions of a network that are no polynomials and have replacements: one file each, and a line each in [`recognised`].

mod counting;
mod elementwise;
mod max_pool;
mod relu;
mod relu6;
mod tensors;

use std::fmt;
use std::sync::{Arc, Mutex};

use tch::{Device, TchError, Tensor};

use super::cuda::Kernel;
use super::graph::{Graph, Node};
use super::images::Images;
use super::overflow::Overflow;
use crate::activation::{Activation, Cost, Interval, MAX_WINDOW, Window};
use crate::ckks::Form;
use crate::fitting::Target;
use max_pool::MaxPool;
use relu::Relu;
use relu6::Relu6;
pub(super) use tensors::{GRAIN, is_dense, spread};

/// One function: how it is found, computed, costed and replaced.
pub(super) trait Operator: fmt::Debug + Send + Sync {
    /// As results and files name it: `relu`.
    fn name(&self) -> &'static str;

    /// The geometry of a pool; none of what is computed value by value.
    fn window(&self) -> Option<&Window> {
        None
    }

    /// Whether no result is negative, whatever the inputs are.
    fn is_non_negative(&self) -> bool;

    /// What is fitted in its place; for a pool, to the differences of two values.
    fn target(&self) -> Target;

    /// The cost for one ciphertext where `activation` stands in.
    fn cost(&self, activation: &Activation) -> Cost;

    /// The function itself; into `x` if `in_place`. Where `x` takes part in a gradient, so does the result.
    fn exact(&self, x: &mut Tensor, in_place: bool) -> Result<Tensor, TchError>;

    /// What stands in for it where all inputs are in the range, and with `non_negative` not below 0. With `clip`, inputs beyond are
    /// moved to the end of the range.
    fn replacement(&self, activation: &Activation, inputs: Inputs) -> Result<Box<dyn Replacement>, Misfit>;
}

/// What is known of the inputs of a replacement.
#[derive(Debug, Clone, Copy)]
pub(super) struct Inputs {
    /// What they are to stay within; what knows one bound of absolute values is given an interval that is symmetric.
    pub range: Interval,
    /// Whether those beyond are moved to the end of the range.
    pub clip: bool,
    /// Whether none is below zero.
    pub non_negative: bool,
}

/// What stands in for a function at one site.
pub(super) trait Replacement: fmt::Debug + Send + Sync {
    /// What it makes of `x`, into `x` itself if `in_place`; what is outside the range is counted.
    fn apply(&self, x: Tensor, in_place: bool, pass: &Pass<'_>) -> Result<Tensor, TchError>;

    /// Compile what it needs for f32 on `device`, before anybody waits for it.
    fn prepare(&self, kernel: &Kernel, device: Device);
}

/// What a replacement is told of the pass that it is part of.
pub(super) struct Pass<'a> {
    pub images: Images,
    /// What was outside the range in the pass.
    pub overflow: &'a Mutex<Overflow>,
    /// The kernel on CUDA of this site.
    pub kernel: &'a Kernel,
    /// Where a kernel on this device counts.
    pub counters: &'a dyn Fn(Device) -> Result<u64, TchError>,
}

/// Why an activation cannot stand in for a function.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Misfit {
    #[error(
        "square and aq are no max; leave max-pools exact (--maxpool exact), or take another activation, as paper:14"
    )]
    NoMax,
    #[error("ReLU6 is ReLU(x) - ReLU(x-6), which of parabolas is a line; take another activation than square and aq")]
    Line,
    #[error("max of two values takes one polynomial for all channels; say --maxpool fitted:15, without /channel")]
    Channels,
    #[error("a window of {height}x{width} is too large to approximate; up to {MAX_WINDOW} values are possible")]
    Window { height: usize, width: usize },
    #[error("the error bound {bound:.3} of the activation leaves no room for a tournament of {values} values")]
    NoRoom { bound: f64, values: usize },
}

/// What a site computes when it is exact.
#[derive(Clone)]
pub struct SiteKind(Arc<dyn Operator>);

/// The function that `node` computes, if it is one that has replacements and its geometry is one that PyTorch runs; what
/// PyTorch refuses is left to it, with its message.
pub(super) fn recognised(graph: &Graph, node: &Node) -> Option<SiteKind> {
    let found: Option<Arc<dyn Operator>> = None
        .or_else(|| Relu::recognise(graph, node).map(|found| Arc::new(found) as _))
        .or_else(|| Relu6::recognise(graph, node).map(|found| Arc::new(found) as _))
        .or_else(|| MaxPool::recognise(graph, node).map(|found| Arc::new(found) as _));
    found.map(SiteKind)
}

impl SiteKind {
    /// The names of all kinds, and whether they are pools.
    pub const NAMES: [(&'static str, bool); 3] = [(relu::NAME, false), (relu6::NAME, false), (max_pool::NAME, true)];

    /// Of a ReLU.
    pub fn relu() -> SiteKind {
        SiteKind(Arc::new(Relu))
    }

    /// As results and files name it: `relu`, `relu6`, `maxpool`.
    pub fn name(&self) -> &'static str {
        self.0.name()
    }

    /// Whether it is a max-pool; a ReLU otherwise.
    pub fn is_pool(&self) -> bool {
        self.window().is_some()
    }

    /// The geometry of a pool.
    pub fn window(&self) -> Option<&Window> {
        self.0.window()
    }

    /// What is fitted in its place; for a pool, to the differences of two values.
    pub fn target(&self) -> Target {
        self.0.target()
    }

    /// The cost of the site for one ciphertext where `activation` stands in. ReLU6 is two ReLUs beside each other, unless it was
    /// fitted as it is. A pool over n values, packed into one ciphertext, is ⌈log2 n⌉ rounds of max, between a ciphertext and
    /// itself rotated.
    pub fn cost(&self, activation: &Activation) -> Cost {
        self.0.cost(activation)
    }

    /// `activation` at the site, as far as levels go.
    pub fn form(&self, activation: &Activation) -> Form {
        let beside = self.target() == Target::Relu6 && !matches!(activation, Activation::Fitted(_));
        Form {
            degrees: activation.degrees(),
            product: matches!(activation, Activation::Composition(_)),
            rounds: self.window().map_or(1, Window::rounds),
            parallel: if beside { 2 } else { 1 },
        }
    }

    pub(super) fn operator(&self) -> &dyn Operator {
        &*self.0
    }
}

impl fmt::Debug for SiteKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for SiteKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
