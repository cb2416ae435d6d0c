//! A configuration: what stands in for ReLU and max, and for which ranges; and what it means for the sites of a model.

use std::collections::HashMap;

use super::fits::{Compositions, FitOptions, SiteFit, SiteFitError, fit_site};
use super::plan::{Plan, PlanError, Said};
use super::ranges::{Ranges, RangesError, SiteRange};
use super::source::Sourced;
use crate::activation::{Activation, Arithmetic, CoefficientFile, FittedSpec, Interval, Spec, SpecError};
use crate::ckks::Form;
use crate::fitting::Certificate;
use crate::minimax::cost::Cost;
use crate::model::{Graph, Model, ModelError, Noise, Site, SiteError, Sites};

/// What to evaluate a model with.
#[derive(Debug, Clone, PartialEq)]
pub struct Configuration {
    pub relu: Spec,
    /// As for ReLU where it is left out.
    pub maxpool: Option<Spec>,
    /// Needed unless every ReLU is exact or has a range by the plan.
    pub relu_range: Option<Sourced<Ranges>>,
    /// As for ReLU where it is left out.
    pub maxpool_range: Option<Sourced<Ranges>>,
    /// Counts over all of the above, site by site.
    pub plan: Option<Sourced<Plan>>,
    /// What all activations are computed in.
    pub arithmetic: Arithmetic,
    /// Whether inputs beyond a range are moved to its end after they were counted.
    pub clip: bool,
    /// The most that a fitted polynomial may stray anywhere on its range, as a part of half the range; none for no limit.
    pub guard: Option<f64>,
}

/// Why a configuration does not fit a model.
#[derive(Debug, thiserror::Error)]
pub enum ConfigurationError {
    #[error("the model has no ReLU and no max-pool; there is nothing to approximate")]
    NoSite,
    #[error(
        "{flag} is needed for site {site}: the bound B of the absolute inputs; one that is too small ruins images, one that \
         is too large costs accuracy; `polyact calibrate` measures it"
    )]
    NoRange { flag: &'static str, site: String },
    #[error(transparent)]
    Ranges(#[from] RangesError),
    #[error(transparent)]
    Plan(#[from] PlanError),
    #[error(transparent)]
    Site(#[from] SiteError),
    #[error(transparent)]
    Activation(#[from] SpecError),
    #[error(transparent)]
    Fit(#[from] SiteFitError),
    #[error("{file} says nothing of site {site}; it was made for another network")]
    NotInFile { file: String, site: String },
    #[error("{file} has polynomials for {said} at site {site}, which is {kind}; it was made for another network")]
    OtherKind { file: String, site: String, kind: &'static str, said: String },
    #[error(
        "{flag} is to be file:ranges.csv, as `polyact calibrate` writes it: {spec} at site {site} is fitted to the densities beside it, \
         in ranges.csv.densities"
    )]
    NoDensities { flag: &'static str, spec: String, site: String },
}

/// Designs made once, however many configurations use them; a clone shares those of compositions.
#[derive(Debug, Clone, Default)]
pub struct Designs {
    known: HashMap<(String, Arithmetic), Option<Activation>>,
    compositions: Compositions,
}

impl Designs {
    /// All that `specs` have in common for every site. What cannot be designed is left to fail at a site.
    pub fn of<'a>(specs: impl IntoIterator<Item = &'a Spec>, arithmetic: Arithmetic) -> Designs {
        let mut designs = Designs::default();
        for spec in specs {
            let _ = match spec {
                Spec::Fitted(FittedSpec { degrees, .. }) if degrees.len() > 1 => {
                    designs.compositions.of(degrees, arithmetic).map(drop)
                }
                Spec::Fitted(_) => Ok(()),
                _ => designs.get(spec, arithmetic).map(drop),
            };
        }
        designs
    }

    fn get(&mut self, spec: &Spec, arithmetic: Arithmetic) -> Result<Option<Activation>, SpecError> {
        let key = (spec.to_string(), arithmetic);
        if let Some(known) = self.known.get(&key) {
            return Ok(known.clone());
        }
        let designed = Activation::design_in(spec, arithmetic)?;
        self.known.insert(key, designed.clone());
        Ok(designed)
    }
}

/// What stands in at one site.
#[derive(Debug, Clone)]
pub struct Substitute {
    pub spec: Spec,
    /// None if the site stays exact.
    pub approximation: Option<(Activation, Interval)>,
    /// Of what was fitted, how good it is.
    pub certificate: Option<Certificate>,
    /// The composition that it is designed from, if it is one.
    pub composition: Option<Spec>,
}

/// What the approximate sites of a network cost together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TotalCost {
    /// Levels of the sites along the longest path through the network; none where the graph does not tell how often a loop
    /// with sites runs.
    pub depth: Option<u32>,
    /// Products of two ciphertexts, for one ciphertext at each site; none in the same case.
    pub multiplications: Option<u64>,
}

/// A configuration, resolved for the sites of one model.
#[derive(Debug, Clone)]
pub struct Substitution {
    /// Of each site, in order.
    pub sites: Vec<Substitute>,
    /// Whether inputs beyond a range are moved to its end after they were counted.
    pub clip: bool,
    /// Random errors that come in.
    pub noise: Option<Noise>,
}

impl Configuration {
    /// What it means for `sites`.
    ///
    /// # Errors
    /// [`ConfigurationError`]: nothing to approximate, a range that is missing, a plan or file that does not fit, an
    /// activation that does not fit its site, a design that fails.
    pub fn resolve(&self, sites: &[Site], designs: &mut Designs) -> Result<Substitution, ConfigurationError> {
        if sites.is_empty() {
            return Err(ConfigurationError::NoSite);
        }
        let planned = match &self.plan {
            Some(plan) => plan.of(sites)?,
            None => vec![Said::default(); sites.len()],
        };
        let mut substitutes = Vec::with_capacity(sites.len());
        for (site, Said { activation, range }) in sites.iter().zip(planned) {
            let general = if site.kind.is_pool() { self.maxpool_spec() } else { &self.relu };
            let spec = activation.unwrap_or_else(|| general.clone());
            let range = range.map(SiteRange::symmetric);
            let substitute = match &spec {
                Spec::Fitted(fitted) => self.fitted(fitted, site, range, &mut designs.compositions)?,
                Spec::File(file) if file.sites().is_some() => self.written(&spec, file, site, designs)?,
                _ => self.designed(spec, site, range, designs)?,
            };
            if let Some((activation, range)) = &substitute.approximation {
                site.check(activation, *range)?;
            }
            substitutes.push(substitute);
        }
        Ok(Substitution { sites: substitutes, clip: self.clip, noise: None })
    }

    /// What `spec` puts at `site`, on the range of the plan or that of the kind of site.
    fn designed(
        &self,
        spec: Spec,
        site: &Site,
        planned: Option<SiteRange>,
        designs: &mut Designs,
    ) -> Result<Substitute, ConfigurationError> {
        let approximation = match designs.get(&spec, self.arithmetic)? {
            None => None,
            Some(activation) => {
                let range = planned.map_or_else(|| self.range_of(site), Ok)?;
                Some((activation, Interval::symmetric(range.bound)))
            }
        };
        let composition = spec.composition().map(|_| spec.clone());
        Ok(Substitute { spec, approximation, certificate: None, composition })
    }

    /// The same of what is fitted to the site.
    fn fitted(
        &self,
        spec: &FittedSpec,
        site: &Site,
        planned: Option<SiteRange>,
        compositions: &mut Compositions,
    ) -> Result<Substitute, ConfigurationError> {
        let (flag, ranges) = self.ranges_of(site);
        let densities = ranges.and_then(Sourced::densities).ok_or_else(|| {
            let (spec, site) = (spec.to_string(), site.name.clone());
            ConfigurationError::NoDensities { flag, spec, site }
        })?;
        let range = planned.map_or_else(|| self.range_of(site), Ok)?.ends;
        let options = FitOptions { guard: self.guard.unwrap_or(f64::INFINITY), arithmetic: self.arithmetic };
        let fit = fit_site(spec, site, range, densities, options, compositions)?;
        let SiteFit { activation, range, certificate, composition } = fit;
        let (spec, approximation) = (Spec::Fitted(spec.clone()), Some((activation, range)));
        Ok(Substitute { spec, approximation, certificate: Some(certificate), composition })
    }

    /// The same of what a file says of the site, range included.
    fn written(
        &self,
        spec: &Spec,
        file: &CoefficientFile,
        site: &Site,
        designs: &mut Designs,
    ) -> Result<Substitute, ConfigurationError> {
        let named = || (file.path().display().to_string(), site.name.clone());
        let said = file.sites().and_then(|sites| sites.site(&site.name)).ok_or_else(|| {
            let (file, site) = named();
            ConfigurationError::NotInFile { file, site }
        })?;
        if said.kind != site.kind.name() {
            let ((file, site), kind) = (named(), site.kind.name());
            return Err(ConfigurationError::OtherKind { file, site, kind, said: said.kind.clone() });
        }
        let composition = said.composition.as_ref().map(|composition| composition.spec.parse::<Spec>()).transpose()?;
        let activation = match &composition {
            Some(composition) => designs.get(composition, self.arithmetic)?,
            None => said.fitted(self.arithmetic).map(Activation::Fitted),
        };
        let certificate = said.rms.zip(said.mean).map(|(rms, mean)| Certificate { rms, mean, worst: said.worst });
        let approximation = activation.zip(said.interval());
        Ok(Substitute { spec: spec.clone(), approximation, certificate, composition })
    }

    /// Whether something in it is fitted to the inputs of sites.
    fn is_fitted(&self) -> bool {
        let rules = self.plan.iter().flat_map(|plan| &plan.value.rules);
        let mut all = rules.filter_map(|rule| rule.activation.as_ref()).chain(&self.maxpool).chain([&self.relu]);
        all.any(|spec| matches!(spec, Spec::Fitted(_)))
    }

    /// The same with the densities that it needs, each file of which is read once into `known`.
    ///
    /// # Errors
    /// [`ConfigurationError::Ranges`] for densities that cannot be read.
    pub fn with_densities(mut self, known: &mut Vec<Sourced<Ranges>>) -> Result<Configuration, ConfigurationError> {
        if self.is_fitted() {
            for ranges in [&mut self.relu_range, &mut self.maxpool_range].into_iter().flatten() {
                let read = known.iter().find(|read| read.path().is_some() && read.path() == ranges.path());
                *ranges = match read {
                    Some(read) => read.clone(),
                    None => ranges.clone().with_densities()?,
                };
                known.push(ranges.clone());
            }
        }
        Ok(self)
    }

    /// What stands in for max where no plan says otherwise.
    pub fn maxpool_spec(&self) -> &Spec {
        self.maxpool.as_ref().unwrap_or(&self.relu)
    }

    /// The ranges of max-pools where no plan says otherwise.
    pub fn maxpool_ranges(&self) -> Option<&Sourced<Ranges>> {
        self.maxpool_range.as_ref().or(self.relu_range.as_ref())
    }

    /// The ranges of such sites where no plan says otherwise, and the flag that gives them.
    fn ranges_of(&self, site: &Site) -> (&'static str, Option<&Sourced<Ranges>>) {
        match site.kind.is_pool() {
            true => ("--maxpool-range", self.maxpool_ranges()),
            false => ("--relu-range", self.relu_range.as_ref()),
        }
    }

    fn range_of(&self, site: &Site) -> Result<SiteRange, ConfigurationError> {
        let (flag, ranges) = self.ranges_of(site);
        let missing = || ConfigurationError::NoRange { flag, site: site.name.clone() };
        Ok(ranges.ok_or_else(missing)?.of(site)?)
    }
}

impl Substitution {
    /// The table of sites.
    ///
    /// # Errors
    /// What [`Model::table`] reports: a pool that cannot be approximated.
    pub fn table(&self, model: &Model) -> Result<Sites, ModelError> {
        let choices = self.sites.iter().map(|site| site.approximation.as_ref().map(|(found, range)| (found, *range)));
        let table = model.table(choices, self.clip)?;
        Ok(match &self.noise {
            Some(noise) => table.with_noise(noise.clone()),
            None => table,
        })
    }

    /// What stands at each site, as far as levels go; nothing where it stays exact.
    pub fn forms(&self, sites: &[Site]) -> Vec<Form> {
        let of_site = |(site, substitute): (&Site, &Substitute)| match &substitute.approximation {
            Some((activation, _)) => site.kind.form(activation),
            None => Form::default(),
        };
        sites.iter().zip(&self.sites).map(of_site).collect()
    }

    /// What each site costs for one ciphertext; nothing where it stays exact.
    pub fn costs(&self, sites: &[Site]) -> Vec<Cost> {
        let of_site = |(site, substitute): (&Site, &Substitute)| match &substitute.approximation {
            Some((activation, _)) => site.kind.cost(activation),
            None => Cost::default(),
        };
        sites.iter().zip(&self.sites).map(of_site).collect()
    }

    /// What all sites of a network with this `graph` cost together; none if all stay exact.
    pub fn total(&self, sites: &[Site], graph: &Graph) -> Option<TotalCost> {
        self.sites.iter().any(|site| site.approximation.is_some()).then(|| {
            let costs = self.costs(sites);
            let levels: Vec<u32> = costs.iter().map(|cost| cost.depth).collect();
            let products: Vec<u64> = costs.iter().map(|cost| u64::from(cost.multiplications)).collect();
            TotalCost { depth: graph.longest_path(&levels), multiplications: graph.sum(&products) }
        })
    }

    /// The cost of the dearest approximate ReLU, or of the dearest max of two values if only pools are approximated.
    pub fn cost(&self, sites: &[Site]) -> Option<Cost> {
        let dearest = |pools: bool| {
            let of_kind = sites.iter().zip(&self.sites).filter(|(site, _)| pools == site.kind.is_pool());
            let costs = of_kind.filter_map(|(_, substitute)| Some(substitute.approximation.as_ref()?.0.cost()));
            costs.max_by_key(|cost| (cost.depth, cost.multiplications))
        };
        dearest(false).or_else(|| dearest(true))
    }
}
