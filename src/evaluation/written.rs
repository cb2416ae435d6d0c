//! What stands at the sites of a network, as it is written down: by polynomials and the names of compositions.

use std::collections::HashMap;

use super::configuration::{Substitute, Substitution};
use crate::activation::{
    Activation, ChannelPolynomial, Interval, MaxPool, Series, SiteComposition, SitePolynomial, SitePolynomials, Spec,
};
use crate::fitting::Target;
use crate::minimax::DesignError;
use crate::model::Site;

/// Why what stands at a site cannot be written down.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    #[error(
        "{spec} at site {site}: the coefficients of a composition stand in their own file; name the degrees, as in minimax:7,7@0.045"
    )]
    File { spec: String, site: String },
    #[error("{spec} at site {site}: ReLU6 takes the difference of two of these polynomials; fitted:31 fits one to it")]
    Difference { spec: String, site: String },
    #[error(transparent)]
    Design(#[from] DesignError),
}

/// The stages of compositions that were designed.
type Stages = HashMap<String, Vec<Vec<f64>>>;

impl Substitution {
    /// What stands at each of `sites`, of the archive with this SHA-256.
    ///
    /// # Errors
    /// [`WriteError`]: a composition from a file, the difference of two polynomials, a composition that cannot be designed.
    pub fn polynomials(&self, sites: &[Site], model_sha256: &str) -> Result<SitePolynomials, WriteError> {
        let mut designed = Stages::new();
        let written = sites.iter().zip(&self.sites).map(|(site, substitute)| written(site, substitute, &mut designed));
        Ok(SitePolynomials::new(model_sha256, written.collect::<Result<_, _>>()?))
    }
}

fn written(site: &Site, substitute: &Substitute, designed: &mut Stages) -> Result<SitePolynomial, WriteError> {
    let named = || (substitute.spec.to_string(), site.name.clone());
    let mut written = SitePolynomial {
        site: site.name.clone(),
        kind: site.kind.name().to_owned(),
        activation: Spec::Exact.to_string(),
        range: None,
        depth: 0,
        mults: 0,
        rms: None,
        mean: None,
        worst: 0.0,
        composition: None,
        polynomials: Vec::new(),
    };
    let Some((activation, range)) = &substitute.approximation else { return Ok(written) };
    let bound = bound(site, activation, *range);
    match activation {
        Activation::Fitted(fitted) => written.polynomials = fitted.series().iter().map(polynomial).collect(),
        Activation::Polynomial(_) if site.kind.target() == Target::Relu6 => {
            let (spec, site) = named();
            return Err(WriteError::Difference { spec, site });
        }
        Activation::Polynomial(single) => written.polynomials = vec![polynomial(&single.series(bound))],
        Activation::Composition(_) => {
            let Some(spec) = &substitute.composition else {
                let (spec, site) = named();
                return Err(WriteError::File { spec, site });
            };
            written.composition =
                Some(SiteComposition { spec: spec.to_string(), bound, stages: stages(spec, designed)? });
        }
    }
    let cost = activation.cost();
    written.activation = substitute.spec.to_string();
    written.range = Some(range.ends());
    (written.depth, written.mults) = (cost.depth, cost.multiplications);
    written.rms = substitute.certificate.map(|certificate| certificate.rms);
    written.mean = substitute.certificate.map(|certificate| certificate.mean);
    written.worst =
        substitute.certificate.map_or(activation.bound() * scale(site, bound), |certificate| certificate.worst);
    Ok(written)
}

/// The bound of the absolute inputs of the activation: those of the site, or the differences in the tournaments of a pool.
pub(super) fn bound(site: &Site, activation: &Activation, range: Interval) -> f64 {
    let differences = site.kind.window().and_then(|window| MaxPool::differences(range, window, activation.bound()));
    differences.unwrap_or(range.bound())
}

/// What an error on [−1, 1] is multiplied by: of ReLU6, those of both its ReLUs add up.
fn scale(site: &Site, bound: f64) -> f64 {
    match site.kind.target() {
        Target::Relu => bound,
        Target::Relu6 => 2.0 * bound + 6.0,
    }
}

fn polynomial(series: &Series) -> ChannelPolynomial {
    ChannelPolynomial { interval: [series.low, series.high], chebyshev: series.coefficients.clone() }
}

/// The stages of the composition behind `spec`, designed once.
fn stages(spec: &Spec, designed: &mut Stages) -> Result<Vec<Vec<f64>>, DesignError> {
    let name = spec.to_string();
    if let Some(known) = designed.get(&name) {
        return Ok(known.clone());
    }
    let stages = SiteComposition::designed(spec)?;
    designed.insert(name, stages.clone());
    Ok(stages)
}
