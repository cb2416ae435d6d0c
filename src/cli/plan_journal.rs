//! The journal of `polyact plan`: what decides what a plan is worth, and the plans that were measured.

use std::path::{Path, PathBuf};

use rayon::prelude::*;

use super::Failure;
use super::options::{DeviceOptions, ReadingOptions};
use super::preparation::PreparationOptions;
use crate::activation::Spec;
use crate::ckks::Parameters;
use crate::dataset::{Dataset, Sample};
use crate::digest;
use crate::evaluation::{Configuration, Measurements};

/// Beside the plan at `out`: `plan.toml.journal`.
pub(super) fn journal_file(out: &Path) -> PathBuf {
    let mut name = out.as_os_str().to_owned();
    name.push(".journal");
    PathBuf::from(name)
}

/// What decides what plans are worth on the calibration images. Budget, batches and threads do not.
pub(super) struct Decisive<'a> {
    pub model_sha256: &'a str,
    pub dataset: &'a Dataset,
    pub calibration: &'a Sample,
    pub reading: &'a ReadingOptions,
    pub preparation: &'a PreparationOptions,
    pub device: &'a DeviceOptions,
    /// Ranges and densities, arithmetic, guard.
    pub configuration: &'a Configuration,
    /// For ReLUs and for pools.
    pub specs: [&'a [Spec]; 2],
    /// Whose noise comes in, if any.
    pub noise: Option<&'a Parameters>,
}

impl Decisive<'_> {
    /// The digest of all of it.
    fn digest(&self) -> String {
        let Decisive { dataset, calibration, device, configuration, .. } = self;
        let image = |&index: &usize| {
            let stored = dataset.stored_sha256(index).map_or_else(|reason| reason, |sha256| digest::shown(&sha256));
            format!("{index} {} {stored}", dataset.labels()[index])
        };
        let images: Vec<String> = calibration.images.par_iter().map(image).collect();
        let ranges = configuration.relu_range.as_ref().and_then(|ranges| ranges.source.as_ref());
        let decisive = [
            env!("CARGO_PKG_VERSION").to_owned(),
            self.model_sha256.to_owned(),
            format!("{} {:?} {} {:?}", device.name(), device.instructions, device.tf32, device.output),
            dataset.name().to_owned(),
            images.join("\n"),
            format!("{} {:?}", self.reading.strict, self.preparation),
            format!("{:?} {} {:?}", ranges.map(|source| &source.sha256), configuration.arithmetic, configuration.guard),
            format!("{:?} {:?}", self.specs, self.noise),
        ];
        digest::of_text(decisive.join("\n").as_bytes())
    }

    /// What was measured before, by the journal beside the plan at `out`; without `resume` there must be none.
    pub fn measurements(&self, out: &Path, resume: bool) -> Result<Measurements, Failure> {
        Ok(Measurements::open(&journal_file(out), self.digest(), resume)?)
    }
}
