//! What left the range of a site.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

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
