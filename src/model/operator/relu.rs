//! ReLU, in whatever way a network writes it.

use tch::{Device, Kind, TchError, Tensor};

use super::counting::{Outside, clipped, count_by_tensors};
use super::tensors::{GRAIN, is_dense, spread};
use super::{Inputs, Misfit, Operator, Pass, Replacement};
use crate::activation::{self, Activation, Cost, Element, exact};
use crate::model::cuda::{self, Kernel};
use crate::model::graph::{Graph, Node};
use crate::model::images::Owners;

pub(super) const NAME: &str = "relu";

/// ReLU.
#[derive(Debug)]
pub(super) struct Relu;

impl Relu {
    /// `relu`, `threshold(0, 0)`, and clamps from zero without an end.
    pub fn recognise(graph: &Graph, node: &Node) -> Option<Relu> {
        let is_zero = |operand: usize| node.inputs.get(operand).is_some_and(|&value| graph.number(value) == Some(0.0));
        let is_none = |operand: usize| node.inputs.get(operand).is_some_and(|&value| graph.is_none(value));
        let is_relu = match (node.function(), node.inputs.len()) {
            ("aten::relu", _) => true,
            ("aten::threshold", 3) => is_zero(1) && is_zero(2),
            ("aten::clamp_min", 2) => is_zero(1),
            ("aten::clamp" | "aten::clip" | "aten::hardtanh", 3) => is_zero(1) && is_none(2),
            _ => false,
        };
        is_relu.then_some(Relu)
    }
}

impl Operator for Relu {
    fn name(&self) -> &'static str {
        NAME
    }

    fn is_non_negative(&self) -> bool {
        true
    }

    fn cost(&self, one: Cost) -> Cost {
        one
    }

    fn exact(&self, x: &mut Tensor, in_place: bool) -> Result<Tensor, TchError> {
        match (x.device(), x.f_kind()?) {
            (Device::Cpu, Kind::Float) if is_dense(x) => exact_relu(x, in_place),
            _ if in_place => x.f_relu_(),
            _ => x.f_relu(),
        }
    }

    fn replacement(&self, activation: &Activation, inputs: Inputs) -> Result<Box<dyn Replacement>, Misfit> {
        let relu = activation::Relu::new(activation.clone(), inputs.range).clipping(inputs.clip);
        Ok(Box::new(Approximate(relu)))
    }
}

fn exact_relu(x: &Tensor, in_place: bool) -> Result<Tensor, TchError> {
    let y = if in_place { x.shallow_clone() } else { x.f_empty_like()? };
    let (from, to) = (x.data_ptr() as usize, y.data_ptr() as usize);
    let count = x.numel();
    // SAFETY: both tensors are dense, of the same layout, and hold `count` values; threads have disjoint pieces.
    let piece = |begin, end| unsafe {
        exact::relu((from as *const f32).add(begin), (to as *mut f32).add(begin), end - begin);
    };
    spread(count, GRAIN, piece)?;
    Ok(y)
}

/// An approximate ReLU or ReLU6.
#[derive(Debug)]
pub(super) struct Approximate(pub activation::Relu);

impl Replacement for Approximate {
    fn apply(&self, mut x: Tensor, in_place: bool, pass: &Pass<'_>) -> Result<Tensor, TchError> {
        let relu = &self.0;
        let &Pass { images, overflow, kernel, counters } = pass;
        let counters = || counters(x.device());
        // New values lie as those of `x`, or, if these have gaps, as PyTorch closes them.
        let source = match is_dense(&x) {
            true => x.shallow_clone(),
            false => {
                let mut closed = x.f_empty_like()?;
                closed.f_copy_(&x)?;
                closed
            }
        };
        let mut target = if in_place || !is_dense(&x) { source.shallow_clone() } else { source.f_empty_like()? };
        let owners = images.owners(&source);
        let computed = match (x.device(), x.f_kind()?) {
            (Device::Cpu, Kind::Float) => run::<f32>(relu, &source, &target, &owners, pass)?,
            (Device::Cpu, Kind::Double) => run::<f64>(relu, &source, &target, &owners, pass)?,
            (Device::Cuda(_), kind) if matches!(owners, Owners::Even(_)) => match kind {
                Kind::Float => cuda::relu::<f32>(relu, &source, &target, images.count, kernel, counters)?,
                Kind::Double => cuda::relu::<f64>(relu, &source, &target, images.count, kernel, counters)?,
                _ => false,
            },
            _ => false,
        };
        if !computed {
            count_by_tensors(&source, relu.range(), images, overflow)?;
            target = relu.of_tensor(&clipped(relu.clip(), &source)?)?;
        }
        if in_place && target.data_ptr() != x.data_ptr() {
            x.f_copy_(&target)?;
            return Ok(x);
        }
        Ok(target)
    }

    fn prepare(&self, kernel: &Kernel, device: Device) {
        kernel.prepare_relu(&self.0, device);
    }
}

fn run<T: Element>(
    relu: &activation::Relu,
    x: &Tensor,
    y: &Tensor,
    owners: &Owners,
    pass: &Pass<'_>,
) -> Result<bool, TchError> {
    let (from, to) = (x.data_ptr() as usize, y.data_ptr() as usize);
    let overflow = pass.overflow;
    spread(x.numel(), GRAIN, |begin, end| {
        let mut outside = Outside::new(relu.range(), owners);
        let report = &mut |at: usize, block: &[T]| outside.see(begin + at, block);
        // SAFETY: both tensors are dense, of the same layout, and hold all values; threads have disjoint pieces.
        unsafe { relu.run((from as *const T).add(begin), (to as *mut T).add(begin), end - begin, report) };
        outside.found().add_to(overflow);
    })?;
    Ok(true)
}
