//! The estimated time in the answer of `polyact cost`, where the parameter set has times.

use serde::Serialize;

use crate::ckks::Parameters;
use crate::ckks::times::Estimate;

/// Seconds by a published table, not measured. Products with weights and rotations are not counted.
#[derive(Serialize)]
pub(super) struct Seconds {
    source: String,
    /// Of all bootstrappings; none if the table lacks the level.
    bootstrapping: Option<f64>,
    /// Of the products of ciphertexts in activations, with relinearization and rescaling; none if the table lacks them.
    products: Option<f64>,
    /// Of one rotation of a ciphertext without levels and of one with all of them.
    rotation: Option<[f64; 2]>,
    #[serde(skip)]
    levels: u32,
}

impl Seconds {
    pub(super) fn new(parameters: &Parameters, Estimate { bootstrapping, products }: Estimate) -> Option<Seconds> {
        let times = parameters.times.as_ref()?;
        let levels = parameters.levels;
        let rotation = times.rotation(0).zip(times.rotation(levels)).map(<[f64; 2]>::from);
        Some(Seconds { source: times.source.clone(), bootstrapping, products, rotation, levels })
    }

    pub(super) fn text(&self) -> String {
        let Seconds { source, bootstrapping, products, rotation, levels } = self;
        let mut lines = match bootstrapping {
            Some(seconds) => format!("{seconds:.0} s for bootstrappings"),
            None => format!("bootstrappings to {levels} levels are not in the table"),
        };
        lines += &match products {
            Some(seconds) => format!(", {seconds:.0} s for products of ciphertexts in activations"),
            None => "; products of ciphertexts are not in the table".to_owned(),
        };
        let one = rotation
            .map_or_else(String::new, |[least, most]| format!("; one rotation takes {least:.2} to {most:.2} s"));
        format!(
            "estimated time  {lines}\n                by {source}\n                \
             rotations and products with weights are not counted, as they depend on the packing{one}\n"
        )
    }
}
