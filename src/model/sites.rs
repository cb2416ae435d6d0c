//! The table of a pass: what every site computes in it, and what is counted meanwhile.

use std::sync::{Mutex, OnceLock, PoisonError};

use tch::{Device, TchError};

use super::Statistics;
use super::cuda::{Counters, Kernel};
use super::operator::{Replacement, SiteKind};
use super::overflow::Overflow;
use super::site::Site;

/// What a site computes in one pass.
#[derive(Debug)]
pub(super) enum Computation {
    Exact,
    /// The function itself, after its inputs were counted.
    Observed,
    Approximate(Box<dyn Replacement>),
}

/// What one site computes, and what it counted.
pub(super) struct Entry {
    pub kind: SiteKind,
    pub image_axis: Option<usize>,
    pub computation: Computation,
    /// What computes it on CUDA.
    pub kernel: Kernel,
    pub overflow: Mutex<Overflow>,
    /// Of the inputs, if they are observed.
    pub statistics: Mutex<Statistics>,
    /// Shape of the first input seen.
    pub shape: OnceLock<Vec<i64>>,
}

/// The table of one kind of pass: what every site computes, and what it counted.
pub struct Sites {
    entries: Vec<Entry>,
    bounds: Vec<f64>,
    /// What the kernels on CUDA count until the pass has ended.
    counters: Counters,
}

impl Sites {
    /// The table in which each of `sites` computes what stands beside it.
    pub(super) fn new<'a>(computations: impl IntoIterator<Item = (&'a Site, Computation)>) -> Sites {
        let entries = computations.into_iter().map(|(site, computation)| Entry {
            kind: site.kind.clone(),
            image_axis: site.image_axis,
            computation,
            kernel: Kernel::default(),
            overflow: Mutex::default(),
            statistics: Mutex::new(Statistics::default()),
            shape: OnceLock::new(),
        });
        Sites { entries: entries.collect(), bounds: Vec::new(), counters: Counters::default() }
    }

    /// The table that leaves every site exact and counts its inputs, among them those above each of `bounds`.
    pub(super) fn observed(sites: &[Site], bounds: &[f64]) -> Sites {
        let table = Sites::new(sites.iter().map(|site| (site, Computation::Observed)));
        Sites { bounds: bounds.to_vec(), ..table }
    }

    /// The bounds above which inputs are counted.
    pub(super) fn bounds(&self) -> &[f64] {
        &self.bounds
    }

    /// How many sites there are.
    pub fn count(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn entry(&self, index: usize) -> &Entry {
        &self.entries[index]
    }

    /// Compile what the sites need on `device`.
    pub(super) fn prepare(&self, device: Device) {
        for entry in &self.entries {
            if let Computation::Approximate(replacement) = &entry.computation {
                replacement.prepare(&entry.kernel, device);
            }
        }
    }

    /// Where a kernel on `device` counts for site `index` and this many images.
    pub(super) fn counters(&self, index: usize, images: i64, device: Device) -> Result<u64, TchError> {
        self.counters.row(index, self.count(), images, device)
    }

    /// Take over what kernels counted on their device in a pass that ended.
    pub(super) fn collect(&self) -> Result<(), TchError> {
        for (index, more) in self.counters.take()? {
            self.entries[index].overflow.lock().unwrap_or_else(PoisonError::into_inner).merge(more);
        }
        Ok(())
    }

    /// What site `index` counted since the last call, which sets it back to nothing.
    pub fn take_overflow(&self, index: usize) -> Overflow {
        std::mem::take(&mut *self.entries[index].overflow.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// What site `index` was given since the last call, which sets it back to nothing. Images are counted by their position
    /// in the batch.
    pub fn take_statistics(&self, index: usize) -> Statistics {
        std::mem::take(&mut *self.entries[index].statistics.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The shape of the first input that site `index` was given, if it ran.
    pub fn shape(&self, index: usize) -> Option<&[i64]> {
        self.entries[index].shape.get().map(Vec::as_slice)
    }
}
