//! Sites: what they compute, exact and approximate, and what leaves their range.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Mutex, PoisonError};

use crate::activation::{Activation, Cost, MaxPool, Relu, Window};

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

impl SiteKind {
    /// Whether it is a max-pool; a ReLU otherwise.
    pub fn is_pool(self) -> bool {
        matches!(self, SiteKind::MaxPool { .. })
    }

    /// The cost of the site for one ciphertext, where `one` is that of one ReLU or max of two values. ReLU6 is two ReLUs beside
    /// each other. A pool over n values, packed into one ciphertext, is ⌈log2 n⌉ rounds of max, between a ciphertext and
    /// itself rotated.
    pub fn cost(self, one: Cost) -> Cost {
        match self {
            SiteKind::Relu => one,
            SiteKind::Relu6 => Cost { multiplications: 2 * one.multiplications, ..one },
            SiteKind::MaxPool { window, .. } => one * window.rounds(),
        }
    }
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
    /// The axis of the input along which the images of a batch follow each other, 0 too where they do row by row; none where
    /// the graph does not show it.
    pub image_axis: Option<usize>,
}

/// Why an activation does not fit a site.
#[derive(Debug, Clone, thiserror::Error)]
pub enum SiteError {
    #[error(
        "site {index} ({name}): one polynomial is no max; leave max-pools exact (--maxpool exact), or take a composition such \
         as paper:14"
    )]
    NoMax { index: usize, name: String },
    #[error(
        "site {index} ({name}): ReLU6 is ReLU(x) - ReLU(x-6), which of parabolas is a line; take another activation than \
         square and aq"
    )]
    Line { index: usize, name: String },
}

impl Site {
    /// Whether `activation` can stand in here.
    ///
    /// # Errors
    /// [`SiteError`] for one polynomial in the place of max, and for a parabola in the place of ReLU6.
    pub fn check(&self, activation: &Activation) -> Result<(), SiteError> {
        match (self.kind, activation) {
            (SiteKind::MaxPool { .. }, Activation::Polynomial(_)) => Err(self.no_max()),
            (SiteKind::Relu6, Activation::Polynomial(polynomial)) if polynomial.is_parabola() => {
                Err(SiteError::Line { index: self.index, name: self.name.clone() })
            }
            _ => Ok(()),
        }
    }

    pub(super) fn no_max(&self) -> SiteError {
        SiteError::NoMax { index: self.index, name: self.name.clone() }
    }
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
    /// The function itself, after its inputs were counted.
    Observed,
    Relu(Relu),
    MaxPool(MaxPool),
}

/// Inputs of one site that were outside its range.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Overflow {
    /// How many, those that are not a number included.
    pub values: u64,
    /// How many were not a number.
    pub not_a_number: u64,
    /// The largest absolute value among them; 0 if none is a number.
    pub worst: f64,
    /// The images they came from, by position in the batch, and the largest absolute value of each.
    pub images: BTreeMap<usize, f64>,
    /// How many came from an image that cannot be told, since the graph does not show where the batch is at this site.
    pub unattributed: u64,
}

impl Overflow {
    /// Count `values`, of which some are not a number, with the largest absolute value `worst`, of one image or of one that
    /// cannot be told.
    pub(super) fn add(&mut self, image: Option<usize>, values: u64, not_a_number: u64, worst: f64) {
        self.values += values;
        self.not_a_number += not_a_number;
        self.worst = self.worst.max(worst);
        match image {
            Some(image) => {
                let known = self.images.entry(image).or_default();
                *known = known.max(worst);
            }
            None => self.unattributed += values,
        }
    }

    /// Add this to what was counted in the same batch.
    pub(super) fn add_to(self, counted: &Mutex<Overflow>) {
        if self.values > 0 {
            counted.lock().unwrap_or_else(PoisonError::into_inner).merge(self);
        }
    }

    /// Add what was counted in the same batch.
    pub(super) fn merge(&mut self, more: Overflow) {
        self.values += more.values;
        self.not_a_number += more.not_a_number;
        self.worst = self.worst.max(more.worst);
        self.unattributed += more.unattributed;
        for (image, worst) in more.images {
            let known = self.images.entry(image).or_default();
            *known = known.max(worst);
        }
    }
}
