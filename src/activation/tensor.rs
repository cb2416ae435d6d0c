//! Formulas on tensors, for devices and kinds of numbers that have no kernel.

use std::cell::RefCell;

use tch::{Kind, TchError, Tensor};

use super::elementwise::Elementwise;
use super::form::{Blocked, Formula, Machine, Visitor, Whole, max};
use super::{Arithmetic, Element, MaxPool};

/// A tensor, or a number in the place of one that holds nothing else.
enum Value {
    Tensor(Tensor),
    Number(f64),
}

impl Clone for Value {
    fn clone(&self) -> Value {
        match self {
            Value::Tensor(tensor) => Value::Tensor(tensor.shallow_clone()),
            Value::Number(number) => Value::Number(*number),
        }
    }
}

/// The machine of tensors: every operation is one of libtorch.
struct Tensors {
    parameters: Vec<Value>,
    /// What went wrong first. What is computed after it is thrown away.
    failure: RefCell<Option<TchError>>,
}

impl Tensors {
    fn new(parameters: Vec<Value>) -> Tensors {
        Tensors { parameters, failure: RefCell::new(None) }
    }

    /// What libtorch made; in place of what it could not make, a number.
    fn made(&self, result: Result<Tensor, TchError>) -> Value {
        result.map_or_else(
            |error| {
                self.failure.borrow_mut().get_or_insert(error);
                Value::Number(0.0)
            },
            Value::Tensor,
        )
    }

    /// `value` as a tensor such as `like`, if nothing went wrong.
    fn finish(self, value: Value, like: &Tensor) -> Result<Tensor, TchError> {
        match (self.failure.into_inner(), value) {
            (Some(error), _) => Err(error),
            (None, Value::Tensor(tensor)) => Ok(tensor),
            (None, Value::Number(number)) => like.f_full_like(number),
        }
    }
}

impl Machine for Tensors {
    type Value = Value;

    fn constant(&self, number: f64) -> Value {
        Value::Number(number)
    }

    fn parameter(&self, at: usize) -> Value {
        self.parameters[at].clone()
    }

    fn add(&self, a: &Value, b: &Value) -> Value {
        match (a, b) {
            (Value::Tensor(a), Value::Tensor(b)) => self.made(a.f_add(b)),
            (Value::Tensor(tensor), &Value::Number(number)) | (&Value::Number(number), Value::Tensor(tensor)) => {
                self.made(tensor.f_add_scalar(number))
            }
            (Value::Number(a), Value::Number(b)) => Value::Number(a + b),
        }
    }

    fn sub(&self, a: &Value, b: &Value) -> Value {
        match (a, b) {
            (Value::Tensor(a), Value::Tensor(b)) => self.made(a.f_sub(b)),
            (Value::Tensor(a), &Value::Number(b)) => self.made(a.f_sub_scalar(b)),
            (&Value::Number(a), Value::Tensor(b)) => self.made(b.f_neg().and_then(|b| b.f_add_scalar(a))),
            (Value::Number(a), Value::Number(b)) => Value::Number(a - b),
        }
    }

    fn mul(&self, a: &Value, b: &Value) -> Value {
        match (a, b) {
            (Value::Tensor(a), Value::Tensor(b)) => self.made(a.f_mul(b)),
            (Value::Tensor(tensor), &Value::Number(number)) | (&Value::Number(number), Value::Tensor(tensor)) => {
                self.made(tensor.f_mul_scalar(number))
            }
            (Value::Number(a), Value::Number(b)) => Value::Number(a * b),
        }
    }

    fn mul_add(&self, a: &Value, b: &Value, c: &Value) -> Value {
        self.add(&self.mul(a, b), c)
    }
}

impl Arithmetic {
    /// The kind of its numbers.
    pub(crate) fn kind(self) -> Kind {
        match self {
            Arithmetic::F64 => Kind::Double,
            Arithmetic::F32 => Kind::Float,
        }
    }
}

impl Elementwise {
    /// The machine with the parameters of this for `x`, whose channels, if they are not alike, lie along its second axis.
    fn machine(&self, x: &Tensor) -> Result<Tensors, TchError> {
        let parameters = self.parameters();
        let Some(channels) = self.channels() else {
            return Ok(Tensors::new(parameters.all().iter().copied().map(Value::Number).collect()));
        };
        let mut shape = vec![channels as i64];
        shape.resize(x.dim().saturating_sub(1).max(1), 1);
        let side_by_side = |at: usize| {
            let numbers: Vec<f64> = parameters.all().iter().copied().skip(at).step_by(parameters.count()).collect();
            let tensor =
                Tensor::f_from_slice(&numbers)?.f_to_device(x.device())?.f_to_kind(self.arithmetic().kind())?;
            Ok(Value::Tensor(tensor.f_view(shape.as_slice())?))
        };
        Ok(Tensors::new((0..parameters.count()).map(side_by_side).collect::<Result<_, TchError>>()?))
    }

    /// What [`Elementwise::run_channels`] computes, without clipping, for a tensor [N, channels, …] of any kind and device, or of
    /// any shape where channels are alike; of the same shape and kind.
    ///
    /// # Errors
    /// What libtorch reports, such as too little memory, or another number of channels.
    pub fn of_tensor(&self, x: &Tensor) -> Result<Tensor, TchError> {
        let wide = x.f_to_kind(self.arithmetic().kind())?;
        let job = Values { machine: self.machine(&wide)?, x: wide };
        self.form().visit(self.arithmetic(), job)?.f_to_kind(x.f_kind()?)
    }

    /// The least and the largest number in range of the kind of `x`, and such that they can be compared with it.
    ///
    /// # Errors
    /// What libtorch reports.
    pub(crate) fn ends(&self, x: &Tensor) -> Result<[Tensor; 2], TchError> {
        let ends: Vec<[f64; 2]> = (0..self.channels().unwrap_or(1)).map(|channel| self.bounds(channel)).collect();
        of_ends(x, &ends)
    }
}

/// The ends of a range, of all or of each of the channels along the second axis, as tensors that can be compared with `x`: the
/// least and the largest number of its kind in range.
fn of_ends(x: &Tensor, ends: &[[f64; 2]]) -> Result<[Tensor; 2], TchError> {
    let mut shape = vec![ends.len() as i64];
    if ends.len() > 1 {
        shape.resize(x.dim().saturating_sub(1).max(1), 1);
    }
    let kind = x.f_kind()?;
    let within = |&[low, high]: &[f64; 2]| match kind {
        Kind::Float => [f32::at_least(low).into(), f32::at_most(high).into()],
        _ => [low, high],
    };
    let within: Vec<[f64; 2]> = ends.iter().map(within).collect();
    let side = |side: usize| {
        let ends: Vec<f64> = within.iter().map(|ends| ends[side]).collect();
        Tensor::f_from_slice(&ends)?.f_to_device(x.device())?.f_to_kind(kind)?.f_view(shape.as_slice())
    };
    Ok([side(0)?, side(1)?])
}

/// A formula of one tensor.
struct Values {
    machine: Tensors,
    x: Tensor,
}

impl Visitor for Values {
    type Result = Result<Tensor, TchError>;

    fn visit<F: Blocked>(self, formula: Whole<F>) -> Self::Result {
        let x = Value::Tensor(self.x.shallow_clone());
        let (value, _) = formula.value(&self.machine, 0, &x);
        self.machine.finish(value, &self.x)
    }
}

impl MaxPool {
    /// As [`Elementwise::ends`].
    ///
    /// # Errors
    /// What libtorch reports.
    pub(crate) fn ends(&self, x: &Tensor) -> Result<[Tensor; 2], TchError> {
        of_ends(x, &[self.range().ends()])
    }

    /// What [`MaxPool::run`] computes, for `x` of shape [N, C, H, W].
    ///
    /// # Errors
    /// What libtorch reports, such as too little memory.
    pub fn of_tensor(&self, x: &Tensor) -> Result<Tensor, TchError> {
        let window = self.window();
        let (_, _, height, width) = x.size4()?;
        let output = [window.output(0, height as usize) as i64, window.output(1, width as usize) as i64];
        // Right and bottom: as far as the last window reaches.
        let after = |axis: usize, input: i64| {
            let reach = (output[axis] - 1) * window.stride[axis] as i64
                + (window.dilation[axis] * (window.kernel[axis] - 1)) as i64
                + 1;
            (reach - input - window.padding[axis] as i64).max(0)
        };
        let [top, left] = window.padding.map(|padding| padding as i64);
        let padded = x.f_to_kind(self.relu().arithmetic().kind())?.f_pad(
            [left, after(1, width), top, after(0, height)],
            "constant",
            self.padding_value(),
        )?;
        let pick = |axis: usize, at: usize| {
            let first = (at * window.dilation[axis]) as i64;
            let stride = window.stride[axis] as i64;
            (first, first + (output[axis] - 1) * stride + 1, stride)
        };
        let mut players = Vec::with_capacity(window.len());
        for i in 0..window.kernel[0] {
            let (first, end, stride) = pick(0, i);
            let rows = padded.f_slice(2, first, end, stride)?;
            for j in 0..window.kernel[1] {
                let (first, end, stride) = pick(1, j);
                players.push(Value::Tensor(rows.f_slice(3, first, end, stride)?));
            }
        }
        let tournament = Tournament { machine: self.relu().machine(&padded)?, players, like: padded };
        self.relu().form().visit(self.relu().arithmetic(), tournament)?.f_to_kind(x.f_kind()?)
    }
}

/// A tournament between tensors, by the formula of ReLU.
struct Tournament {
    machine: Tensors,
    players: Vec<Value>,
    like: Tensor,
}

impl Visitor for Tournament {
    type Result = Result<Tensor, TchError>;

    fn visit<F: Blocked>(self, formula: Whole<F>) -> Self::Result {
        let Tournament { machine, mut players, like } = self;
        while players.len() > 1 {
            let winner = |pair: &[Value]| match pair {
                [a, b] => max(&machine, formula, a, b),
                rest => rest[0].clone(),
            };
            players = players.chunks(2).map(winner).collect();
        }
        machine.finish(players.remove(0), &like)
    }
}
