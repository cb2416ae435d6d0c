//! What stands in for ReLU and for max, and for which range: the options, and the table of sites they make.

use clap::Args;

use super::Failure;
use crate::activation::{Sign, Spec, check_range};
use crate::minimax::cost::Cost;
use crate::model::{Model, SiteKind, Sites};

/// The options of `eval` that say it.
#[derive(Debug, Args)]
pub(super) struct SubstitutionOptions {
    /// What stands in for ReLU: exact, paper:4 to paper:14, minimax:D,D,… or minimax:D,D,…@EPSILON
    #[arg(long, value_name = "SPEC", default_value = "paper:14")]
    pub relu: Spec,
    /// What stands in for max-pooling, in the same form [default: what stands in for ReLU]
    #[arg(long, value_name = "SPEC")]
    pub maxpool: Option<Spec>,
    /// Bound B of the absolute inputs of every ReLU; needed unless ReLU is exact
    #[arg(long, value_name = "B", value_parser = check_range, allow_negative_numbers = true)]
    pub relu_range: Option<f64>,
    /// Bound B of the absolute inputs of every max-pool [default: the one of ReLU]
    #[arg(long, value_name = "B", value_parser = check_range, allow_negative_numbers = true)]
    pub maxpool_range: Option<f64>,
}

/// One kind of site, and what stands in for it.
pub(super) struct Substitute {
    pub spec: Spec,
    /// The sign and the bound; none if exact.
    pub sign: Option<(Sign, f64)>,
    /// How many sites of this kind the model has.
    pub sites: usize,
}

/// What stands in for every site of a model.
pub(super) struct Substitution {
    pub relu: Substitute,
    pub maxpool: Substitute,
}

impl SubstitutionOptions {
    /// Design what is asked for, for the sites of `model`.
    ///
    /// # Errors
    /// [`Failure::Usage`]: a range that is missing, a model without a site; and a design that fails.
    pub fn resolve(&self, model: &Model) -> Result<Substitution, Failure> {
        let pools = model.sites().iter().filter(|site| matches!(site.kind, SiteKind::MaxPool { .. })).count();
        if model.sites().is_empty() {
            return Err(Failure::Usage(
                "the model has no ReLU and no max-pool; there is nothing to approximate".to_owned(),
            ));
        }
        let maxpool_spec = self.maxpool.clone().unwrap_or_else(|| self.relu.clone());
        let maxpool_range = self.maxpool_range.or(self.relu_range);
        Ok(Substitution {
            relu: substitute("--relu-range", &self.relu, self.relu_range, model.sites().len() - pools)?,
            maxpool: substitute("--maxpool-range", &maxpool_spec, maxpool_range, pools)?,
        })
    }
}

fn substitute(flag: &str, spec: &Spec, range: Option<f64>, sites: usize) -> Result<Substitute, Failure> {
    let sign = match Sign::design(spec)? {
        Some(sign) if sites > 0 => {
            let missing = || {
                Failure::Usage(format!(
                    "{flag} is needed: the bound B of the absolute inputs; one that is too small ruins images, one that is \
                     too large costs accuracy"
                ))
            };
            Some((sign, range.ok_or_else(missing)?))
        }
        _ => None,
    };
    Ok(Substitute { spec: spec.clone(), sign, sites })
}

impl Substitute {
    /// The bound; none if exact or without a site.
    pub fn range(&self) -> Option<f64> {
        self.sign.as_ref().map(|(_, range)| *range)
    }

    /// The text form; none without a site.
    pub fn name(&self) -> Option<String> {
        (self.sites > 0).then(|| self.spec.to_string())
    }

    fn borrowed(&self) -> Option<(&Sign, f64)> {
        self.sign.as_ref().map(|(sign, range)| (sign, *range))
    }
}

impl Substitution {
    /// The table of sites.
    ///
    /// # Errors
    /// What [`Model::approximate`] reports: a pool that cannot be approximated.
    pub fn apply(&self, model: &Model) -> Result<Sites, Failure> {
        Ok(model.approximate(self.relu.borrowed(), self.maxpool.borrowed())?)
    }

    /// The cost of one approximate ReLU, or of one max if only pools are approximated.
    pub fn cost(&self) -> Option<Cost> {
        self.relu.borrowed().or(self.maxpool.borrowed()).map(|(sign, _)| sign.cost())
    }
}
