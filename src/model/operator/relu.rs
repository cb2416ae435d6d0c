//! ReLU, in whatever way a network writes it.

use tch::{Device, Kind, TchError, Tensor};

use super::elementwise::Approximate;
use super::tensors::{GRAIN, is_dense, spread};
use super::{Inputs, Misfit, Operator, Replacement};
use crate::activation::{Activation, Cost, Elementwise, exact};
use crate::fitting::Target;
use crate::model::graph::{Graph, Node};

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

    fn target(&self) -> Target {
        Target::Relu
    }

    fn cost(&self, activation: &Activation) -> Cost {
        activation.cost()
    }

    fn exact(&self, x: &mut Tensor, in_place: bool) -> Result<Tensor, TchError> {
        match (x.device(), x.f_kind()?) {
            (Device::Cpu, Kind::Float) if is_dense(x) && !x.requires_grad() => exact_relu(x, in_place),
            _ if in_place => x.f_relu_(),
            _ => x.f_relu(),
        }
    }

    fn replacement(&self, activation: &Activation, inputs: Inputs) -> Result<Box<dyn Replacement>, Misfit> {
        let relu = Elementwise::relu(activation, inputs.range.bound()).clipping(inputs.clip);
        Ok(Box::new(Approximate::new(relu)))
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
