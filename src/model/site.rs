//! Sites, the table that says what each computes, and what is counted while they do.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::{Mutex, OnceLock, PoisonError};

use crate::activation::{MaxPool, Relu, Window};

/// What a site computes when it is exact.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SiteKind {
    Relu,
    Relu6,
    /// `non_negative`: the graph shows that no input is below zero.
    MaxPool {
        window: Window,
        non_negative: bool,
    },
}

impl fmt::Display for SiteKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            SiteKind::Relu => "relu",
            SiteKind::Relu6 => "relu6",
            SiteKind::MaxPool { .. } => "maxpool",
        })
    }
}

/// One ReLU or max-pool of a network.
#[derive(Debug, Clone)]
pub struct Site {
    /// Position in execution order, from 0.
    pub index: usize,
    /// Module path, `layer1.0.relu`; `layer1.0.relu#2` for the second use of the same module.
    pub name: String,
    pub kind: SiteKind,
}

/// A node of the graph that is neither a site nor a polynomial, and stays as it is.
#[derive(Debug, Clone)]
pub struct Foreign {
    /// libtorch's name, `aten::sigmoid`.
    pub operator: String,
    /// Module path.
    pub name: String,
    /// Whether its result is the network's output, where an order-preserving function does not change top-1.
    pub at_output: bool,
}

/// What a site computes in one pass.
#[derive(Debug, Clone)]
pub(super) enum Computation {
    Exact,
    Relu(Relu),
    MaxPool(MaxPool),
}

/// Inputs of one site that were outside its range.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Overflow {
    /// How many, those that are no number included.
    pub values: u64,
    /// How many were no number.
    pub not_a_number: u64,
    /// The largest absolute value; 0 if there was none.
    pub worst: f64,
    /// Positions in the batch of the images they came from.
    pub images: BTreeSet<usize>,
}

/// What one site computes, and what it counted.
pub(super) struct Entry {
    pub kind: SiteKind,
    pub computation: Computation,
    pub overflow: Mutex<Overflow>,
    /// Shape of the first input seen.
    pub shape: OnceLock<Vec<i64>>,
}

/// The table of one kind of pass: what every site computes, and what it counted.
pub struct Sites {
    entries: Vec<Entry>,
}

impl Sites {
    pub(super) fn new(computations: impl Iterator<Item = (SiteKind, Computation)>) -> Sites {
        let entries = computations
            .map(|(kind, computation)| Entry { kind, computation, overflow: Mutex::default(), shape: OnceLock::new() })
            .collect();
        Sites { entries }
    }

    pub(super) fn entry(&self, index: usize) -> &Entry {
        &self.entries[index]
    }

    /// What site `index` counted since the last call, which sets it back to nothing.
    pub fn take_overflow(&self, index: usize) -> Overflow {
        std::mem::take(&mut *self.entries[index].overflow.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The shape of the first input that site `index` was given, if it ran.
    pub fn shape(&self, index: usize) -> Option<&[i64]> {
        self.entries[index].shape.get().map(Vec::as_slice)
    }
}
