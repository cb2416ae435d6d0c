//! The same mathematics as the kernels in plain tensor operations, for devices and kinds of numbers that have no kernel.

use tch::{Kind, TchError, Tensor};

use super::approximation::{Form, Polynomial};
use super::{Activation, Clenshaw, MaxPool, Relu, Sign};

impl Sign {
    /// The kind of numbers that it is computed in.
    fn kind(&self) -> Kind {
        if self.single().is_some() { Kind::Float } else { Kind::Double }
    }

    /// p(y), elementwise; `y` is of its kind.
    fn of_tensor(&self, y: Tensor) -> Result<Tensor, TchError> {
        if let Some(single) = self.single() {
            return single.of_tensor(y);
        }
        self.stages().iter().try_fold(y, |y, stage| {
            let u = y.f_square()?;
            let mut sum = y.f_zeros_like()?;
            for &coefficient in stage.iter().rev() {
                sum = sum.f_mul(&u)?.f_add_scalar(coefficient)?;
            }
            y.f_mul(&sum)
        })
    }

    /// ((a+b) + (a−b)·p(a−b))/2, elementwise.
    fn max(&self, a: &Tensor, b: &Tensor) -> Result<Tensor, TchError> {
        let difference = a.f_sub(b)?;
        let p = self.of_tensor(difference.shallow_clone())?;
        difference.f_mul(&p)?.f_add(a)?.f_add(b)?.f_mul_scalar(0.5)
    }
}

impl Clenshaw {
    /// p(y), elementwise; `y` is f32.
    fn of_tensor(&self, y: Tensor) -> Result<Tensor, TchError> {
        self.stages().iter().try_fold(y, |y, stage| {
            let u = y.f_square()?.f_mul_scalar(4.0)?.f_sub_scalar(2.0)?;
            let (mut next, mut after) = (y.f_zeros_like()?, y.f_zeros_like()?);
            for &coefficient in stage.iter().rev() {
                let value = u.f_mul(&next)?.f_sub(&after)?.f_add_scalar(f64::from(coefficient))?;
                (next, after) = (value, next);
            }
            y.f_mul(&next.f_sub(&after)?)
        })
    }
}

impl Activation {
    /// The kind of numbers that it is computed in.
    fn kind(&self) -> Kind {
        match self {
            Activation::Composition(sign) => sign.kind(),
            Activation::Polynomial(_) => Kind::Double,
        }
    }

    /// The approximate ReLU of x in [−range, range], elementwise; `x` is of its kind.
    fn of_tensor(&self, x: &Tensor, range: f64) -> Result<Tensor, TchError> {
        match self {
            Activation::Composition(sign) => {
                let half = x.f_mul_scalar(0.5)?;
                let p = sign.of_tensor(half.f_mul_scalar(2.0 / range)?)?;
                half.f_mul(&p)?.f_add(&half)
            }
            Activation::Polynomial(polynomial) => polynomial.of_tensor(x, range),
        }
    }
}

impl Polynomial {
    fn of_tensor(&self, x: &Tensor, range: f64) -> Result<Tensor, TchError> {
        match &self.form {
            &Form::Parabola([constant, slope, square]) => {
                x.f_mul_scalar(square)?.f_add_scalar(slope)?.f_mul(x)?.f_add_scalar(constant)
            }
            Form::Series(coefficients) => {
                let v = x.f_mul_scalar(1.0 / range)?.f_square()?.f_mul_scalar(2.0)?.f_sub_scalar(1.0)?;
                let (mut next, mut after) = (v.f_zeros_like()?, v.f_zeros_like()?);
                for &coefficient in coefficients.iter().skip(1).rev() {
                    let value = v.f_mul_scalar(2.0)?.f_mul(&next)?.f_sub(&after)?.f_add_scalar(coefficient)?;
                    (next, after) = (value, next);
                }
                let first = coefficients.first().copied().unwrap_or_default();
                let sum = v.f_mul(&next)?.f_sub(&after)?.f_add_scalar(first)?;
                sum.f_mul_scalar(range)?.f_add(&x.f_mul_scalar(0.5)?)
            }
        }
    }
}

impl Relu {
    /// What [`Relu::run`] computes, for a tensor of any shape, kind and device; of the same shape and kind.
    ///
    /// # Errors
    /// What libtorch reports, such as too little memory.
    pub fn of_tensor(&self, x: &Tensor) -> Result<Tensor, TchError> {
        let wide = x.f_to_kind(self.approximation().kind())?;
        let mut terms = Vec::new();
        for (shift, range) in self.terms() {
            terms.push(self.approximation().of_tensor(&wide.f_sub_scalar(shift)?, range)?);
        }
        let first = terms.remove(0);
        terms.iter().try_fold(first, |sum, term| sum.f_sub(term))?.f_to_kind(x.f_kind()?)
    }
}

impl MaxPool {
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
        let padded = x.f_to_kind(self.sign().kind())?.f_pad(
            [left, after(1, width), top, after(0, height)],
            "constant",
            self.padding_value(),
        )?;
        let z = padded.f_mul_scalar(self.scale())?.f_add_scalar(0.5)?;
        let pick = |axis: usize, at: usize| {
            let first = (at * window.dilation[axis]) as i64;
            let stride = window.stride[axis] as i64;
            (first, first + (output[axis] - 1) * stride + 1, stride)
        };
        let mut players = Vec::with_capacity(window.len());
        for i in 0..window.kernel[0] {
            let (first, end, stride) = pick(0, i);
            let rows = z.f_slice(2, first, end, stride)?;
            for j in 0..window.kernel[1] {
                let (first, end, stride) = pick(1, j);
                players.push(rows.f_slice(3, first, end, stride)?);
            }
        }
        while players.len() > 1 {
            let mut winners = Vec::with_capacity(players.len().div_ceil(2));
            for pair in players.chunks(2) {
                winners.push(match pair {
                    [a, b] => self.sign().max(a, b)?,
                    _ => pair[0].shallow_clone(),
                });
            }
            players = winners;
        }
        players.remove(0).f_sub_scalar(0.5)?.f_mul_scalar(1.0 / self.scale())?.f_to_kind(x.f_kind()?)
    }
}
