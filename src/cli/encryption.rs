//! What configurations meet under encryption: bootstrappings, and noise drawn in several trials.

use clap::Args;

use super::Failure;
use crate::ckks::placement::fewest;
use crate::ckks::{Circuit, Parameters};
use crate::digest;
use crate::evaluation::{Met, Substitution, Tally};
use crate::model::Model;

/// Under which parameter sets.
#[derive(Debug, Default, Args)]
pub(super) struct EncryptionOptions {
    /// Count the fewest bootstrappings under this parameter set, as `polyact cost --ckks` does, in the column `bootstraps`
    /// [default: the one of --ckks]
    #[arg(long, value_name = "PARAMS")]
    pub bootstraps: Option<Parameters>,
    /// Add the noise that CKKS has under this parameter set, wherever it has it: lattigo:N16QP1546H192H32, orion, or
    /// file:params.toml, with other numbers behind, as in orion,scale=30,bootstrapping=19
    #[arg(long, value_name = "PARAMS")]
    pub ckks: Option<Parameters>,
    /// Draw the noise so often; the row is that of the first draw, and has means and spreads over all [default: 1]
    #[arg(long, value_name = "N", requires = "ckks", value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub trials: Option<u16>,
}

/// Configurations under encryption.
pub(super) struct Encrypted<'a> {
    /// The name of the set that bootstrappings are counted under, and of each configuration the fewest.
    pub bootstraps: Option<(&'a str, Vec<u64>)>,
    /// What is evaluated: of each configuration one for every draw of the noise, side by side.
    pub substitutions: Vec<Substitution>,
    /// What each configuration meets.
    pub met: Vec<Met>,
    /// The set that the noise is of.
    pub noise: Option<String>,
    /// Draws of each configuration.
    pub trials: usize,
}

impl EncryptionOptions {
    /// Of `model`, given images of `size`, with each of `substitutions`.
    ///
    /// # Errors
    /// A network along which levels cannot be told, an activation that takes more than there are, a set without noise.
    pub fn of(
        &self,
        model: &Model,
        size: [usize; 3],
        substitutions: Vec<Substitution>,
    ) -> Result<Encrypted<'_>, Failure> {
        let mut all =
            Encrypted { bootstraps: None, substitutions, met: Vec::new(), noise: None, trials: self.trials() };
        let Some(counted) = self.bootstraps.as_ref().or(self.ckks.as_ref()) else { return Ok(all) };
        let circuit = circuit(model, size)?;
        if let Some(parameters) = &self.ckks {
            let met = |substitution: &Substitution| substitution.met(model.sites(), &circuit, parameters);
            all.met = all.substitutions.iter().map(met).collect::<Result<_, _>>()?;
        }
        let count = |substitution: &Substitution| {
            fewest(&circuit, counted, &substitution.forms(model.sites())).map(|placement| placement.bootstraps)
        };
        let counts = match self.bootstraps {
            Some(_) => all.substitutions.iter().map(count).collect::<Result<_, _>>()?,
            // Where the noise comes in follows from the same placement.
            None => all.met.iter().map(|met| met.placement.bootstraps).collect(),
        };
        all.bootstraps = Some((&counted.name, counts));
        if self.ckks.is_some() {
            let drawn = |(substitution, met): (&Substitution, &Met)| {
                (0..self.trials() as u64).map(|trial| substitution.with_noise(&met.noise, trial)).collect::<Vec<_>>()
            };
            all.substitutions = all.substitutions.iter().zip(&all.met).flat_map(drawn).collect();
            all.noise = self.name();
            tell_elsewhere(&circuit, &all.met);
        }
        Ok(all)
    }

    /// How often the noise is drawn; 1 without noise.
    pub fn trials(&self) -> usize {
        self.trials.map_or(1, usize::from)
    }

    /// The set that the noise is of, a file with the beginning of a digest of what it says.
    pub fn name(&self) -> Option<String> {
        let parameters = self.ckks.as_ref()?;
        Some(match parameters.name.starts_with("file:") {
            true => format!("{}#{}", parameters.name, &digest::of_text(format!("{parameters:?}").as_bytes())[..12]),
            false => parameters.name.clone(),
        })
    }
}

/// The mean of what the trials of a configuration gave, and its standard deviation, none of a single one.
pub(super) fn over(trials: &[Tally], of: impl Fn(&Tally) -> f64) -> (f64, Option<f64>) {
    let count = trials.len() as f64;
    let mean = trials.iter().map(&of).sum::<f64>() / count;
    let squares: f64 = trials.iter().map(|tally| (of(tally) - mean).powi(2)).sum();
    (mean, (trials.len() > 1).then(|| (squares / (count - 1.0)).sqrt()))
}

/// What is bootstrapped and has no range that tells whether its numbers are in [−1, 1] then.
fn tell_elsewhere(circuit: &Circuit, met: &[Met]) {
    let outside = circuit.outside_of_ranges();
    let told = |node: &usize| outside[*node] && met.iter().any(|met| met.placement.nodes[*node].bootstrapped);
    let mut names: Vec<&str> =
        (0..circuit.nodes.len()).filter(told).map(|node| circuit.nodes[node].name.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    if !names.is_empty() {
        eprintln!(
            "warning: what is bootstrapped behind {} is neither the input nor the result of a site, nor means of one, so that no range tells \
             whether it fits into a bootstrapping's interval; it is taken to",
            names.join(", ")
        );
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
