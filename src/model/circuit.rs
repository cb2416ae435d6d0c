//! What one image shows of a network: the shapes at its sites, and with them the network as the scheme sees it.

use tch::{Kind, Tensor};

use super::network::{Model, ModelError};
use super::sites::Sites;
use crate::ckks::{Circuit, Size};

impl Model {
    /// The shape that each site is given of one image of `size`, channels, height and width, without the batch; none of a site that
    /// does not run. One exact pass over an image of zeros shows them.
    ///
    /// # Errors
    /// [`ModelError::Forward`] where the network does not take images of this size.
    pub fn shapes(&self, size: [usize; 3]) -> Result<Vec<Option<Vec<i64>>>, ModelError> {
        let table = self.shown(size)?;
        let of_site = |site: usize| table.shape(site).map(|shape| shape.get(1..).unwrap_or_default().to_vec());
        Ok(self.sites().iter().map(|site| of_site(site.index)).collect())
    }

    /// The exact table behind a pass over one image of zeros of `size`.
    fn shown(&self, size: [usize; 3]) -> Result<Sites, ModelError> {
        let [channels, height, width] = size.map(|size| size as i64);
        let shape = [1, channels, height, width];
        let image = Tensor::f_zeros(shape, (Kind::Float, self.device()))
            .map_err(|error| ModelError::Forward { shape: shape.to_vec(), reason: error.to_string() })?;
        let table = self.exact();
        let _logits = self.forward(&image, &table)?;
        Ok(table)
    }

    /// The operations on ciphertexts, with as many numbers as an image of `size` has there; none where some are inside loops or
    /// branches.
    ///
    /// # Errors
    /// As [`Model::shapes`].
    pub fn circuit(&self, size: [usize; 3]) -> Result<Option<Circuit>, ModelError> {
        let Some(mut circuit) = self.graph().circuit() else { return Ok(None) };
        let table = self.shown(size)?;
        let count = |shape: &[i64]| shape.iter().skip(1).product::<i64>() as u64;
        let size =
            |site: usize| Some(Size { takes: count(table.shape(site)?), gives: count(table.result_shape(site)?) });
        circuit.measure(&(0..table.count()).map(size).collect::<Vec<_>>());
        Ok(Some(circuit))
    }
}
