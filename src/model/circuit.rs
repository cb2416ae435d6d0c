//! The network as the scheme sees it, with the sizes that one image shows.

use tch::{Kind, Tensor};

use super::network::{Model, ModelError};
use crate::ckks::Circuit;

impl Model {
    /// The operations on ciphertexts, with as many numbers as an image of `size`, channels, height and width, has there; none where
    /// some are inside loops or branches. One exact pass over an image of zeros shows the sizes.
    ///
    /// # Errors
    /// [`ModelError::Forward`] where the network does not take images of this size.
    pub fn circuit(&self, size: [usize; 3]) -> Result<Option<Circuit>, ModelError> {
        let Some(mut circuit) = self.graph().circuit() else { return Ok(None) };
        let shape = [1, size[0] as i64, size[1] as i64, size[2] as i64];
        let image = Tensor::f_zeros(shape, (Kind::Float, self.device()))
            .map_err(|error| ModelError::Forward { shape: shape.to_vec(), reason: error.to_string() })?;
        let table = self.exact();
        let _logits = self.forward(&image, &table)?;
        let elements = |site: usize| Some(table.shape(site)?.iter().skip(1).product::<i64>() as u64);
        circuit.measure(&self.sites().iter().map(|site| elements(site.index)).collect::<Vec<_>>());
        Ok(Some(circuit))
    }
}
