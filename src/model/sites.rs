//! The table of a pass: what every site computes in it, and what is counted meanwhile.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use tch::{Device, TchError, Tensor};

use super::Statistics;
use super::cuda::{Counters, Kernel};
use super::noise::{Drawn, Noise};
use super::operator::{Replacement, SiteKind};
use super::overflow::Overflow;
use super::site::Site;
use crate::digest;
use crate::fitting::Density;

/// What a site computes in one pass.
#[derive(Debug)]
pub(super) enum Computation {
    Exact,
    /// The function itself, after its inputs were counted.
    Observed,
    /// The function itself, whose inputs are kept.
    Kept,
    Approximate(Box<dyn Replacement>),
    /// The function itself; a pass that tells gradients adds up what this replacement would change of the margins.
    Foreseen(Box<dyn Replacement>),
}

impl Computation {
    /// A digest of all that decides what is computed and counted; none of what is counted in another way than outside a range.
    fn identity(&self) -> Option<[u8; 32]> {
        match self {
            Computation::Observed | Computation::Kept | Computation::Foreseen(_) => None,
            // The text has every field of a replacement, and of a number all digits that tell it from others.
            Computation::Exact | Computation::Approximate(_) => Some(digest::of_bytes(format!("{self:?}").as_bytes())),
        }
    }
}

/// What one site computes, and what it counted.
pub(super) struct Entry {
    pub kind: SiteKind,
    pub image_axis: Option<usize>,
    /// Whether no input is below zero.
    pub non_negative: bool,
    pub computation: Computation,
    identity: Option<[u8; 32]>,
    /// What computes it on CUDA.
    pub kernel: Kernel,
    pub overflow: Mutex<Overflow>,
    /// Of the inputs, if they are observed.
    pub statistics: Mutex<Statistics>,
    /// The same, by channel or by round.
    pub densities: Mutex<Vec<Density>>,
    /// The same of passes that told their gradients.
    pub weighted: Mutex<Vec<Density>>,
    /// The last input, if it is kept.
    pub kept: Mutex<Option<Tensor>>,
    /// By how much a replacement would change the margin of each image, to first order, if it is foreseen.
    pub changes: Mutex<Vec<f64>>,
    /// Shape of the first input seen.
    pub shape: OnceLock<Vec<i64>>,
    /// Of the first result.
    pub result_shape: OnceLock<Vec<i64>>,
}

/// The table of one kind of pass: what every site computes, and what it counted.
pub struct Sites {
    entries: Vec<Entry>,
    bounds: Vec<f64>,
    /// What the kernels on CUDA count until the pass has ended.
    counters: Counters,
    /// Random errors that come in.
    noise: Option<Drawn>,
    computed: AtomicUsize,
}

impl Sites {
    /// The table in which each of `sites` computes what stands beside it.
    pub(super) fn new<'a>(computations: impl IntoIterator<Item = (&'a Site, Computation)>) -> Sites {
        let entries = computations.into_iter().map(|(site, computation)| Entry {
            kind: site.kind.clone(),
            image_axis: site.image_axis,
            non_negative: site.non_negative,
            identity: computation.identity(),
            computation,
            kernel: Kernel::default(),
            overflow: Mutex::default(),
            statistics: Mutex::default(),
            densities: Mutex::default(),
            weighted: Mutex::default(),
            kept: Mutex::default(),
            changes: Mutex::default(),
            shape: OnceLock::new(),
            result_shape: OnceLock::new(),
        });
        let (bounds, counters) = (Vec::new(), Counters::default());
        Sites { entries: entries.collect(), bounds, counters, noise: None, computed: AtomicUsize::new(0) }
    }

    /// The same with random errors; [`Sites::about`] says for which images, before every pass.
    pub fn with_noise(mut self, noise: Noise) -> Sites {
        let drawn = Drawn::new(noise);
        for (index, entry) in self.entries.iter_mut().enumerate() {
            let with = |own: [u8; 32]| digest::of_bytes(&[&own, drawn.identity(index).as_bytes()].concat());
            entry.identity = entry.identity.map(with);
        }
        Sites { noise: Some(drawn), ..self }
    }

    /// The next passes are over the images with these digests, which errors are drawn for.
    pub fn about(&self, images: &Arc<[u64]>) {
        if let Some(drawn) = &self.noise {
            drawn.about(images);
        }
    }

    /// The random errors that come in.
    pub(super) fn noise(&self) -> Option<&Drawn> {
        self.noise.as_ref()
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

    /// How often a site was computed with this table; what other tables computed for it is not counted.
    pub fn computed(&self) -> usize {
        self.computed.load(Ordering::Relaxed)
    }

    /// What is to be computed at site `index`, now.
    pub(super) fn computing(&self, index: usize) -> &Entry {
        self.computed.fetch_add(1, Ordering::Relaxed);
        self.entry(index)
    }

    pub(super) fn entry(&self, index: usize) -> &Entry {
        &self.entries[index]
    }

    /// Whether site `index` computes, and counts, the same with `other`, of the same network.
    pub(super) fn is_same(&self, other: &Sites, index: usize) -> bool {
        let [own, other] = [self, other].map(|sites| sites.entry(index).identity);
        own.is_some() && own == other
    }

    /// Count what `leader` counted at site `index` since its last call of [`Sites::take_overflow`], in a pass that was also one
    /// with this table until there.
    pub(super) fn take_part(&self, leader: &Sites, index: usize) {
        let (own, led) = (self.entry(index), leader.entry(index));
        let counted = led.overflow.lock().unwrap_or_else(PoisonError::into_inner).clone();
        counted.add_to(&own.overflow);
        if let Some(shape) = led.shape.get() {
            own.shape.get_or_init(|| shape.clone());
        }
    }

    /// Compile what the sites need on `device`.
    pub(super) fn prepare(&self, device: Device) {
        for entry in &self.entries {
            if let Computation::Approximate(replacement) | Computation::Foreseen(replacement) = &entry.computation {
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

    /// How the inputs of site `index` were distributed since the last call, which sets it back to nothing: in each channel, or
    /// together where there are none; of a pool, the differences between what meets in each round of its tournaments.
    pub fn take_densities(&self, index: usize) -> Vec<Density> {
        std::mem::take(&mut *self.entries[index].densities.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The same with the weights of values, of passes of [`Model::weigh`].
    ///
    /// [`Model::weigh`]: super::Model::weigh
    pub fn take_weighted(&self, index: usize) -> Vec<Density> {
        std::mem::take(&mut *self.entries[index].weighted.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// By how much the replacements at all sites together would change the margin of each image, to first order, of one pass of
    /// [`Model::weigh`], which sets it back to nothing.
    ///
    /// [`Model::weigh`]: super::Model::weigh
    pub fn take_changes(&self, images: usize) -> Vec<f64> {
        let mut all = vec![0.0; images];
        for entry in &self.entries {
            let of_site = std::mem::take(&mut *entry.changes.lock().unwrap_or_else(PoisonError::into_inner));
            all.iter_mut().zip(of_site).for_each(|(all, change)| *all += change);
        }
        all
    }

    /// What site `index` was given last, if it is kept.
    pub(super) fn take_kept(&self, index: usize) -> Option<Tensor> {
        self.entries[index].kept.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// The shape of the first input that site `index` was given, if it ran.
    pub fn shape(&self, index: usize) -> Option<&[i64]> {
        self.entries[index].shape.get().map(Vec::as_slice)
    }

    /// The shape of the first result of site `index`, if it ran.
    pub fn result_shape(&self, index: usize) -> Option<&[i64]> {
        self.entries[index].result_shape.get().map(Vec::as_slice)
    }
}
