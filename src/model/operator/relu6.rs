//! ReLU6, the difference of two ReLUs.

use tch::{TchError, Tensor};

use super::elementwise::Approximate;
use super::{Inputs, Misfit, Operator, Replacement};
use crate::activation::{Activation, Cost, Elementwise};
use crate::fitting::Target;
use crate::model::graph::{Graph, Node};

pub(super) const NAME: &str = "relu6";

/// min(max(x, 0), 6).
#[derive(Debug)]
pub(super) struct Relu6;

impl Relu6 {
    /// `relu6`, and clamps from 0 to 6.
    pub fn recognise(graph: &Graph, node: &Node) -> Option<Relu6> {
        let is = |operand: usize, number: f64| graph.number(node.inputs[operand]) == Some(number);
        let is_relu6 = match (node.function(), node.inputs.len()) {
            ("aten::relu6", _) => true,
            ("aten::clamp" | "aten::clip" | "aten::hardtanh", 3) => is(1, 0.0) && is(2, 6.0),
            _ => false,
        };
        is_relu6.then_some(Relu6)
    }
}

impl Operator for Relu6 {
    fn name(&self) -> &'static str {
        NAME
    }

    fn is_non_negative(&self) -> bool {
        true
    }

    fn target(&self) -> Target {
        Target::Relu6
    }

    fn cost(&self, activation: &Activation) -> Cost {
        let one = activation.cost();
        match activation {
            Activation::Fitted(_) => one,
            _ => Cost { multiplications: 2 * one.multiplications, ..one },
        }
    }

    fn exact(&self, x: &mut Tensor, in_place: bool) -> Result<Tensor, TchError> {
        if in_place { x.f_clamp_(0.0, 6.0) } else { x.f_clamp(0.0, 6.0) }
    }

    fn replacement(&self, activation: &Activation, inputs: Inputs) -> Result<Box<dyn Replacement>, Misfit> {
        match activation {
            Activation::Polynomial(polynomial) if polynomial.is_parabola() => Err(Misfit::Line),
            _ => {
                let six = Elementwise::relu6(activation, inputs.range.bound()).clipping(inputs.clip);
                Ok(Box::new(Approximate::new(six)))
            }
        }
    }
}
