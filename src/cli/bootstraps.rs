//! The bootstrappings of rows, under the parameter set of an option.

use clap::Args;

use super::Failure;
use crate::ckks::placement::fewest;
use crate::ckks::{Circuit, Parameters};
use crate::evaluation::Substitution;
use crate::model::Model;

/// What bootstrappings are counted under.
#[derive(Debug, Default, Args)]
pub(super) struct BootstrapOptions {
    /// Count the fewest bootstrappings under this parameter set, as `polyact cost --ckks` does, in the column `bootstraps`
    #[arg(long, value_name = "PARAMS")]
    pub bootstraps: Option<Parameters>,
}

/// The counts of configurations.
#[derive(Debug)]
pub(super) struct Bootstraps<'a> {
    /// The name of the set that they are counted under.
    pub parameters: &'a str,
    /// The fewest, of each configuration in order.
    pub counts: Vec<u64>,
}

impl BootstrapOptions {
    /// Of `model`, given images of `size`, with each of `substitutions`; none if it is not asked for.
    ///
    /// # Errors
    /// A network along which levels cannot be told, or in which an activation takes more than there are.
    pub fn of(
        &self,
        model: &Model,
        size: [usize; 3],
        substitutions: &[Substitution],
    ) -> Result<Option<Bootstraps<'_>>, Failure> {
        let Some(parameters) = &self.bootstraps else { return Ok(None) };
        let circuit = circuit(model, size)?;
        let count = |substitution: &Substitution| {
            fewest(&circuit, parameters, &substitution.forms(model.sites())).map(|placement| placement.bootstraps)
        };
        let counts = substitutions.iter().map(count).collect::<Result<_, _>>()?;
        Ok(Some(Bootstraps { parameters: &parameters.name, counts }))
    }
}

/// The network as the scheme sees it.
///
/// # Errors
/// Sites or layers inside loops or branches; a model that does not take images of this size.
pub(super) fn circuit(model: &Model, size: [usize; 3]) -> Result<Circuit, Failure> {
    model.circuit(size)?.ok_or_else(|| {
        Failure::Usage(
            "the network has sites or layers inside loops or branches, along which levels cannot be told; trace it, so \
             that they are unrolled"
                .to_owned(),
        )
    })
}
