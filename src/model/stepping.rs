//! Passes that halt before every site: to see what a site is given, to decide what stands there, and to go on.
//!
//! Two passes over the same images go side by side, one of the exact network and one of the network as it is so far. What a site
//! computes in the second can so follow from what it is given there and what the exact network makes of the same values.

use cxx::UniquePtr;
use tch::Tensor;

use super::bridge::PartialPass;
use super::images::Images;
use super::network::{Model, ModelError, failure};
use super::observation::observe_pairs;
use super::sites::Sites;
use crate::activation::{Activation, Interval};
use crate::fitting::Density;

/// The passes over one batch of images, halted before a segment of the network.
pub struct Stepping {
    images: Tensor,
    /// Of the exact network, and of the one with what was decided.
    passes: [UniquePtr<PartialPass>; 2],
}

impl Stepping {
    /// The images that the passes are over.
    pub fn images(&self) -> &Tensor {
        &self.images
    }
}

/// What stands at each site as far as it is decided; the others are exact.
pub type Decided<'a> = &'a [Option<(Activation, Interval)>];

impl Model {
    /// The sites of each segment of the network, in the order of execution. A pass over `images`, as any will be, finds them.
    ///
    /// # Errors
    /// [`ModelError::Forward`] where the network cannot be cut at a site, since a list or the like lives there that changes later.
    pub fn steps(&self, images: &Tensor) -> Result<Vec<Vec<usize>>, ModelError> {
        let segments = self.segments(images)?;
        if segments.iter().any(|segment| !segment.may_branch) {
            let reason =
                "it cannot be halted before each of its sites, as lists of tensors live there that change later";
            return Err(failure(images, reason.to_owned()));
        }
        Ok(segments.iter().map(|segment| segment.sites.clone()).collect())
    }

    /// The passes over `images`, before the first segment.
    ///
    /// # Errors
    /// [`ModelError::Forward`].
    pub fn stepping(&self, images: Tensor) -> Result<Stepping, ModelError> {
        let exact = self.exact();
        let passes = [self.begin(&images, &exact)?, self.begin(&images, &exact)?];
        Ok(Stepping { images, passes })
    }

    /// The tables for [`Model::look`] at site `index`: of the exact network, and of the one in which what is `decided` stands.
    ///
    /// # Errors
    /// [`ModelError::Site`].
    pub fn looking(&self, index: usize, decided: Decided<'_>) -> Result<[Sites; 2], ModelError> {
        Ok([self.keeping(index, &vec![None; self.sites().len()])?, self.keeping(index, decided)?])
    }

    /// The same for [`Model::step`].
    ///
    /// # Errors
    /// [`ModelError::Site`].
    pub fn standing(&self, decided: Decided<'_>) -> Result<[Sites; 2], ModelError> {
        let choices = decided.iter().map(|choice| choice.as_ref().map(|(activation, range)| (activation, *range)));
        Ok([self.exact(), self.table(choices, false)?])
    }

    /// Count in `densities` what site `index`, in segment `segment` before which the passes of `batch` are halted, is given by
    /// the second of `tables`: each value with what the exact network makes of it there less what the site's function makes of
    /// the value itself.
    ///
    /// # Errors
    /// [`ModelError::Forward`].
    pub fn look(
        &self,
        batch: &Stepping,
        segment: usize,
        index: usize,
        tables: &[Sites; 2],
        densities: &mut Vec<Density>,
    ) -> Result<(), ModelError> {
        let images = &batch.images;
        let given = |which: usize| -> Result<Option<Tensor>, ModelError> {
            let mut pass = self.branch(images, &batch.passes[which])?;
            self.advance(images, &mut pass, segment + 1, &tables[which])?;
            Ok(tables[which].take_kept(index))
        };
        let (exact, found) = (given(0)?, given(1)?);
        // In a branch that is not taken nothing is given.
        let (Some(exact), Some(found)) = (exact, found) else { return Ok(()) };
        let site = &self.sites()[index];
        let axis = Images { count: images.size().first().copied().unwrap_or(0), axis: site.image_axis };
        observe_pairs(&found, &exact, axis, &site.kind, densities).map_err(|error| failure(images, error.to_string()))
    }

    /// Go on with the passes of `batch` over `segment`, each with its table.
    ///
    /// # Errors
    /// [`ModelError::Forward`].
    pub fn step(&self, batch: &mut Stepping, segment: usize, tables: &[Sites; 2]) -> Result<(), ModelError> {
        let Stepping { images, passes } = batch;
        passes.iter_mut().zip(tables).try_for_each(|(pass, sites)| self.advance(images, pass, segment + 1, sites))
    }
}
