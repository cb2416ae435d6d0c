//! A loaded model: its sites, its preprocessing, its digest, and its forward pass.

use std::path::Path;
use std::sync::OnceLock;

use cxx::UniquePtr;
use tch::{Device, Kind, TchError, Tensor};

use super::bridge::{self, PartialPass};
use super::description::{described, raw};
use super::graph::{Graph, Layouts};
use super::libtorch;
use super::operator::Inputs;
use super::runs::Segment;
use super::site::{Foreign, Site, SiteError, found_in};
use super::sites::{Computation, Sites};
use super::stepping::Decided;
use crate::activation::{Activation, Interval};
use crate::dataset::{Preprocess, PreprocessError};

/// The extra file of an archive that says how its inputs are prepared.
const PREPROCESS: &str = "preprocess.json";

/// Why a model could not be loaded, swapped or run.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    #[error("model {path} {reason}")]
    Load { path: String, reason: String },
    #[error("model {path}: the extra file {PREPROCESS} {source}")]
    Preprocess { path: String, source: PreprocessError },
    #[error("model {path} cannot be read: {source}")]
    Read { path: String, source: std::io::Error },
    #[error(transparent)]
    Site(#[from] SiteError),
    #[error("the model fails on an input of shape {shape:?}: {reason}")]
    Forward { shape: Vec<i64>, reason: String },
    #[error(
        "the model returns a tensor of shape {shape:?}; a classifier returns [images, classes] for {images} images"
    )]
    Logits { shape: Vec<i64>, images: i64 },
}

/// Whether CUDA may use TF32 for the products of f32, in this process. It costs three digits of every product; without
/// a call libtorch allows it to convolutions.
pub fn allow_tf32(allowed: bool) {
    libtorch::allow_tf32(allowed);
}

/// `values`, as a tensor of this shape on `device`, without holding up what the device computes.
///
/// # Errors
/// What libtorch reports, such as too little memory on the device, or another number of values.
pub fn upload(values: &[f32], shape: &[i64], device: Device) -> Result<Tensor, TchError> {
    if device == Device::Cpu {
        return Tensor::f_from_slice(values)?.f_view(shape);
    }
    let all = [values.len() as i64];
    // SAFETY: a C_tensor is an at::Tensor, borrowed for the call; ownership of the result goes with the pointer. The one that
    // borrows the values does not outlive the call, which waits until they are on the device.
    unsafe {
        let tensor =
            Tensor::f_from_blob(values.as_ptr().cast(), &all, &[1], Kind::Float, Device::Cpu)?.f_view(shape)?;
        let copied = libtorch::upload(&*tensor.as_ptr().cast::<libtorch::Tensor>(), &named_device(device))
            .map_err(|error| TchError::Torch(error.what().to_owned()))?;
        Ok(Tensor::from_ptr(copied.into_raw().cast()))
    }
}

/// libtorch's name of a device.
fn named_device(device: Device) -> String {
    match device {
        Device::Cuda(index) => format!("cuda:{index}"),
        _ => "cpu".to_owned(),
    }
}

/// A TorchScript classifier, frozen and swapped.
pub struct Model {
    network: UniquePtr<bridge::Network>,
    graph: Graph,
    sites: Vec<Site>,
    foreign: Vec<Foreign>,
    preprocess: Preprocess,
    sha256: String,
    device: Device,
    /// The name of the output that is the logits; empty for the only one that can be.
    output: String,
    /// The name of the output that was taken; empty where the network returns one tensor.
    taken: OnceLock<String>,
    /// Found when they are first asked for.
    segments: OnceLock<Vec<Segment>>,
}

impl Model {
    /// Load the archive at `path` onto `device`.
    ///
    /// # Errors
    /// [`ModelError`], in one line: no such file, not TorchScript, damaged, more than one input without a default, results that
    /// depend on more than weights and images (training mode, random numbers, a state of its own).
    pub fn load(path: &Path, device: Device) -> Result<Model, ModelError> {
        let shown = path.display().to_string();
        let text = path
            .to_str()
            .ok_or_else(|| ModelError::Load { path: shown.clone(), reason: "has a name that is not UTF-8".into() })?;
        if path.is_dir() {
            return Err(ModelError::Load { path: shown, reason: "is a folder, not a TorchScript archive".into() });
        }
        let mut network = bridge::load(text, &named_device(device), PREPROCESS)
            .map_err(|error| ModelError::Load { path: shown.clone(), reason: error.what().to_owned() })?;
        let sha256 = crate::digest::of_file(path).map_err(|source| ModelError::Read { path: shown.clone(), source })?;
        let preprocess = Preprocess::parse(network.extra())
            .map_err(|source| ModelError::Preprocess { path: shown.clone(), source })?;
        let mut graph = described(network.graph());
        let (sites, nodes, foreign) = found_in(&graph);
        graph.set_sites(&nodes);
        network
            .pin_mut()
            .prepare(&nodes, &raw(Layouts::of(&graph), graph.len()))
            .map_err(|error| ModelError::Load { path: shown, reason: format!("cannot be loaded: {}", error.what()) })?;
        let (output, taken, segments) = (String::new(), OnceLock::new(), OnceLock::new());
        Ok(Model { network, graph, sites, foreign, preprocess, sha256, device, output, taken, segments })
    }

    /// The frozen graph.
    pub fn graph(&self) -> &Graph {
        &self.graph
    }

    /// All sites in execution order.
    pub fn sites(&self) -> &[Site] {
        &self.sites
    }

    /// What is left in the graph that is neither polynomial nor a site.
    pub fn foreign(&self) -> &[Foreign] {
        &self.foreign
    }

    /// What the archive says of its inputs.
    pub fn preprocess(&self) -> &Preprocess {
        &self.preprocess
    }

    /// SHA-256 of the archive, in hexadecimal.
    pub fn sha256(&self) -> &str {
        &self.sha256
    }

    /// Where the parameters are, and inputs must be.
    pub fn device(&self) -> Device {
        self.device
    }

    /// The table that leaves every site exact.
    pub fn exact(&self) -> Sites {
        Sites::new(self.sites.iter().map(|site| (site, Computation::Exact)))
    }

    /// The table that leaves every site exact and counts its inputs, among them those above each of `bounds`.
    pub fn observed(&self, bounds: &[f64]) -> Sites {
        Sites::observed(&self.sites, bounds)
    }

    /// The table in which each site, in order, computes what `choices` says. With `clip`, inputs beyond a range are counted
    /// and then moved to its end, as no encrypted circuit can.
    ///
    /// # Errors
    /// [`ModelError::Site`] for an activation that does not fit its site.
    pub fn table<'a>(
        &self,
        choices: impl IntoIterator<Item = Option<(&'a Activation, Interval)>>,
        clip: bool,
    ) -> Result<Sites, ModelError> {
        let computation = |(site, choice): (&Site, Option<(&Activation, Interval)>)| computation(site, choice, clip);
        self.tabled(self.sites.iter().zip(choices).map(computation))
    }

    /// The table in which each site is exact, and a pass of [`Model::weigh`] adds up what `choices` would change of the margins.
    ///
    /// # Errors
    /// As [`Model::table`].
    pub fn foreseeing<'a>(
        &self,
        choices: impl IntoIterator<Item = Option<(&'a Activation, Interval)>>,
    ) -> Result<Sites, ModelError> {
        let of_site = |(site, choice): (&Site, Option<(&Activation, Interval)>)| {
            computation(site, choice, false).map(|found| match found {
                Computation::Approximate(replacement) => Computation::Foreseen(replacement),
                other => other,
            })
        };
        self.tabled(self.sites.iter().zip(choices).map(of_site))
    }

    /// The table in which each site computes what is `decided`, and site `index` is exact and keeps its input.
    ///
    /// # Errors
    /// As [`Model::table`].
    pub(super) fn keeping(&self, index: usize, decided: Decided<'_>) -> Result<Sites, ModelError> {
        let of_site = |(site, choice): (&Site, &Option<(Activation, Interval)>)| match site.index == index {
            true => Ok(Computation::Kept),
            false => computation(site, choice.as_ref().map(|(activation, range)| (activation, *range)), false),
        };
        self.tabled(self.sites.iter().zip(decided).map(of_site))
    }

    /// The table of these computations, one a site, ready for the device.
    fn tabled(&self, computations: impl Iterator<Item = Result<Computation, SiteError>>) -> Result<Sites, ModelError> {
        let sites = Sites::new(self.sites.iter().zip(computations.collect::<Result<Vec<_>, _>>()?));
        sites.prepare(self.device);
        Ok(sites)
    }

    /// The same model, whose logits are the output of this name: `1` in a tuple, `scores` in a dictionary, `1.0` deeper.
    pub fn with_output(self, output: &str) -> Model {
        Model { output: output.to_owned(), ..self }
    }

    /// The name of the output that a pass took for the logits; none before the first, and where there is only one.
    pub fn output(&self) -> Option<&str> {
        self.taken.get().map(String::as_str).filter(|name| !name.is_empty())
    }

    /// Logits [N, classes] of `images` [N, C, H, W], on the model's device.
    ///
    /// # Errors
    /// [`ModelError::Forward`] with libtorch's reason, [`ModelError::Logits`] if the output is no batch of logits.
    pub fn forward(&self, images: &Tensor, sites: &Sites) -> Result<Tensor, ModelError> {
        self.finish(images, self.begin(images, sites)?, sites)
    }

    /// Run the exact network over `images` and back, and count in `sites` what every site is given, each value with the squared
    /// gradient at what the site makes of it: that of its image's margin, the largest less the second largest logit. To first
    /// order, the square of what an error there changes of the margin. Where `sites` foresee replacements, the sum of such changes
    /// is found for each image.
    ///
    /// # Errors
    /// [`ModelError::Forward`] with libtorch's reason: where the network has no gradient, or fewer than two logits.
    pub fn weigh(&self, images: &Tensor, sites: &Sites) -> Result<(), ModelError> {
        let wanted = self.taken.get().filter(|_| self.output.is_empty()).unwrap_or(&self.output);
        self.network.weigh(image(images), sites, wanted).map_err(|error| self.failed(error.what(), images))
    }

    /// What lies between the cuts at which passes can stop.
    pub(super) fn segments(&self, images: &Tensor) -> Result<&[Segment], ModelError> {
        if let Some(known) = self.segments.get() {
            return Ok(known);
        }
        let found = self.network.segments().map_err(|error| self.failed(error.what(), images))?;
        let segments = found.into_iter().map(|raw| Segment { sites: raw.sites, may_branch: raw.may_branch });
        Ok(self.segments.get_or_init(|| segments.collect()))
    }

    /// A pass over `images` with the table `sites` at its beginning.
    pub(super) fn begin(&self, images: &Tensor, sites: &Sites) -> Result<UniquePtr<PartialPass>, ModelError> {
        let drawn = sites.noise().map_or(Ok(None), |noise| noise.images(images));
        let noisy = drawn.map_err(|error| failure(images, error.to_string()))?;
        self.network.begin(image(noisy.as_ref().unwrap_or(images))).map_err(|error| self.failed(error.what(), images))
    }

    /// Another pass over `images` that goes on from where `pass` is, at the beginning of a segment where passes may branch.
    pub(super) fn branch(
        &self,
        images: &Tensor,
        pass: &UniquePtr<PartialPass>,
    ) -> Result<UniquePtr<PartialPass>, ModelError> {
        self.network.branch(pass).map_err(|error| self.failed(error.what(), images))
    }

    /// Run the pass over `images` until segment `to` begins.
    pub(super) fn advance(
        &self,
        images: &Tensor,
        pass: &mut UniquePtr<PartialPass>,
        to: usize,
        sites: &Sites,
    ) -> Result<(), ModelError> {
        self.network.advance(pass.pin_mut(), to, sites).map_err(|error| self.failed(error.what(), images))
    }

    /// Run the pass over `images` to its end, for the logits.
    pub(super) fn finish(
        &self,
        images: &Tensor,
        pass: UniquePtr<PartialPass>,
        sites: &Sites,
    ) -> Result<Tensor, ModelError> {
        let mut taken = String::new();
        // What was taken once is taken again, whatever else a batch of another size would fit.
        let wanted = self.taken.get().filter(|_| self.output.is_empty()).unwrap_or(&self.output);
        let output = self.network.finish(pass, sites, wanted, &mut taken);
        let output = output.map_err(|error| self.failed(error.what(), images))?;
        self.taken.get_or_init(|| taken);
        sites.collect().map_err(|error| failure(images, error.to_string()))?;
        // SAFETY: ownership goes with the pointer.
        let logits = unsafe { Tensor::from_ptr(output.into_raw().cast()) };
        let count = images.size().first().copied().unwrap_or(0);
        match logits.size()[..] {
            [of_images, classes] if of_images == count && classes > 0 => {
                let drawn = sites.noise().map_or(Ok(()), |noise| noise.logits(&logits));
                drawn.map(|()| logits).map_err(|error| failure(images, error.to_string()))
            }
            _ => Err(ModelError::Logits { shape: logits.size(), images: count }),
        }
    }

    /// That a pass over `images` failed, for this reason of libtorch's.
    fn failed(&self, reason: &str, images: &Tensor) -> ModelError {
        failure(images, self.explained(reason, images))
    }

    /// What libtorch says of a pass over `images` that failed, and what to do where that is known.
    fn explained(&self, reason: &str, images: &Tensor) -> String {
        if ["bad_alloc", "allocate memory", "out of memory"].iter().any(|part| reason.contains(part)) {
            return format!("{reason}; there is too little memory for so many images at once, take a smaller --batch");
        }
        if images.size().first().is_some_and(|&count| count > 1) && self.runs(&images.narrow(0, 0, 1)) {
            return format!(
                "{reason}; with one image it runs: it was traced with a batch of one, so take --batch 1, or export it with sizes \
                 that follow the input, as x.flatten(1) does"
            );
        }
        reason.to_owned()
    }

    /// Whether the exact network takes `images`.
    fn runs(&self, images: &Tensor) -> bool {
        let finish = |pass| self.network.finish(pass, &self.exact(), &self.output, &mut String::new());
        self.network.begin(image(images)).and_then(finish).is_ok()
    }
}

/// What `site` computes by `choice`.
fn computation(site: &Site, choice: Option<(&Activation, Interval)>, clip: bool) -> Result<Computation, SiteError> {
    let Some((activation, range)) = choice else { return Ok(Computation::Exact) };
    let inputs = Inputs { range, clip, non_negative: site.non_negative };
    Ok(Computation::Approximate(site.replacement(activation, inputs)?))
}

/// That the model fails on `images`, and why.
pub(super) fn failure(images: &Tensor, reason: String) -> ModelError {
    ModelError::Forward { shape: images.size(), reason }
}

/// As the bridge takes it.
fn image(images: &Tensor) -> &libtorch::Tensor {
    // SAFETY: a C_tensor is an at::Tensor; it is borrowed as long as the tensor.
    unsafe { &*images.as_ptr().cast::<libtorch::Tensor>() }
}
