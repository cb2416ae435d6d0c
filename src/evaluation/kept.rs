//! What a session keeps of the images that it met: prepared inputs, and the logits of the exact network.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use super::Timing;
use crate::dataset::{Batch, ReadImages};

/// What the exact network says of a batch.
#[derive(Debug, Clone)]
pub(super) struct Exact {
    /// Image after image, a number a class.
    pub logits: Vec<f64>,
    /// Of the pass that gave them.
    pub timing: Timing,
}

/// What is kept, in bounded memory: logits before inputs, which can be read again.
#[derive(Debug)]
pub(super) struct Kept {
    /// Images in all.
    images: usize,
    /// Bytes at most.
    limit: usize,
    batches: Mutex<Batches>,
}

#[derive(Debug, Default)]
struct Batches {
    /// Of all inputs, and of all logits.
    bytes: [usize; 2],
    inputs: BTreeMap<[usize; 2], Arc<ReadImages>>,
    exact: BTreeMap<[usize; 2], Arc<Exact>>,
}

impl Kept {
    /// Of this many images at most `limit` bytes.
    pub fn new(images: usize, limit: usize) -> Kept {
        Kept { images, limit, batches: Mutex::default() }
    }

    /// The bytes that are in use.
    pub fn bytes(&self) -> usize {
        self.locked(|batches| batches.bytes.iter().sum())
    }

    /// The images in this range of those asked for.
    pub fn inputs(&self, range: &Range<usize>) -> Option<Arc<ReadImages>> {
        self.locked(|batches| batches.inputs.get(&[range.start, range.end]).cloned())
    }

    /// What the exact network says of them.
    pub fn exact(&self, range: &Range<usize>) -> Option<Arc<Exact>> {
        self.locked(|batches| batches.exact.get(&[range.start, range.end]).cloned())
    }

    /// Keep what the exact network says of `batch`, and its images, as far as there is room: for the logits of all images
    /// first.
    pub fn keep(&self, batch: &Batch, exact: Exact) -> Arc<Exact> {
        let exact = Arc::new(exact);
        let images = &batch.images;
        let inputs = size_of_val(images.pixels.as_slice());
        let logits = size_of_val(exact.logits.as_slice());
        let of_all = (logits / images.indices.len().max(1)).saturating_mul(self.images);
        let key = [batch.range.start, batch.range.end];
        self.locked(|batches| {
            if batches.bytes[0] + inputs <= self.limit.saturating_sub(of_all) {
                batches.bytes[0] += inputs;
                batches.inputs.insert(key, images.clone());
            }
            if batches.bytes[0] + batches.bytes[1] + logits <= self.limit {
                batches.bytes[1] += logits;
                batches.exact.insert(key, exact.clone());
            }
        });
        exact
    }

    fn locked<T>(&self, with: impl FnOnce(&mut Batches) -> T) -> T {
        with(&mut self.batches.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two images of 100 values, with ten classes: 800 bytes and 160 bytes.
    fn batch(number: usize) -> Batch {
        let images = ReadImages { indices: vec![0, 1], pixels: vec![0.0; 200], ..ReadImages::default() };
        Batch { number, range: 2 * number..2 * number + 2, images: Arc::new(images) }
    }

    fn kept(limit: usize) -> (Vec<bool>, Vec<bool>, usize) {
        let kept = Kept::new(8, limit);
        for number in 0..4 {
            kept.keep(&batch(number), Exact { logits: vec![0.0; 20], timing: Timing::default() });
        }
        let ranges = || (0..4).map(|number| batch(number).range);
        let inputs = ranges().map(|range| kept.inputs(&range).is_some()).collect();
        (inputs, ranges().map(|range| kept.exact(&range).is_some()).collect(), kept.bytes())
    }

    #[test]
    fn logits_go_before_inputs_and_memory_is_bounded() {
        assert_eq!(kept(usize::MAX), (vec![true; 4], vec![true; 4], 4 * 960));
        assert_eq!(kept(0), (vec![false; 4], vec![false; 4], 0));
        assert_eq!(kept(640 + 1700), (vec![true, true, false, false], vec![true; 4], 640 + 1600));
        assert_eq!(kept(500), (vec![false; 4], vec![true, true, true, false], 480));
    }
}
