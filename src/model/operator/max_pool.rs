//! Max-pooling in two dimensions.

use tch::{Device, Kind, TchError, Tensor};

use super::counting::{Ends, Outside, counted_by_tensors};
use super::tensors::{GRAIN, in_channels_last, spread, suggests_channels_last};
use super::{Inputs, Misfit, Operator, Pass, Replacement};
use crate::activation::{self, Activation, Cost, Element, MAX_WINDOW, Plane, Window, exact};
use crate::fitting::Target;
use crate::model::cuda::{self, Kernel};
use crate::model::graph::{Graph, Node};

pub(super) const NAME: &str = "maxpool";

/// Max-pooling with this geometry.
#[derive(Debug)]
pub(super) struct MaxPool(Window);

impl MaxPool {
    /// `max_pool2d`, with positions if nobody asks for them, of a fixed geometry that PyTorch runs.
    pub fn recognise(graph: &Graph, node: &Node) -> Option<MaxPool> {
        let with_indices = node.operator == "aten::max_pool2d_with_indices" && !graph.is_used(*node.outputs.get(1)?);
        let &[_, kernel, stride, padding, dilation, ceil_mode] = node.inputs.as_slice() else { return None };
        if node.operator != "aten::max_pool2d" && !with_indices {
            return None;
        }
        let kernel = pair(graph, kernel, None)?;
        let stride = pair(graph, stride, Some(kernel))?;
        let padding = pair(graph, padding, None)?;
        let dilation = pair(graph, dilation, None)?;
        let ceil_mode = graph.boolean(ceil_mode)?;
        let fits = (0..2).all(|axis| {
            const MOST: i64 = i32::MAX as i64;
            let [kernel, stride, padding, dilation] = [kernel, stride, padding, dilation].map(|pair| pair[axis]);
            (1..=MOST).contains(&kernel)
                && (1..=MOST).contains(&stride)
                && (1..=MOST).contains(&dilation)
                && (0..=kernel / 2).contains(&padding)
                && (kernel - 1) * dilation < MOST
        });
        if !fits || kernel[0] * kernel[1] > i64::from(i32::MAX) {
            return None;
        }
        let [kernel, stride, padding, dilation] =
            [kernel, stride, padding, dilation].map(|pair| pair.map(|size| size as usize));
        Some(MaxPool(Window { kernel, stride, padding, dilation, ceil_mode }))
    }
}

/// A list of two whole numbers, or one for both; `otherwise` for an empty one.
fn pair(graph: &Graph, value: usize, otherwise: Option<[i64; 2]>) -> Option<[i64; 2]> {
    match graph.integers(value)?[..] {
        [] => otherwise,
        [both] => Some([both; 2]),
        [height, width] => Some([height, width]),
        _ => None,
    }
}

impl Operator for MaxPool {
    fn name(&self) -> &'static str {
        NAME
    }

    fn window(&self) -> Option<&Window> {
        Some(&self.0)
    }

    fn is_non_negative(&self) -> bool {
        false
    }

    fn target(&self) -> Target {
        Target::Relu
    }

    fn cost(&self, activation: &Activation) -> Cost {
        activation.cost() * self.0.rounds()
    }

    fn exact(&self, x: &mut Tensor, _in_place: bool) -> Result<Tensor, TchError> {
        let window = &self.0;
        let here = (x.device(), x.f_kind()?) == (Device::Cpu, Kind::Float) && !x.requires_grad();
        if here && x.numel() > 0 && suggests_channels_last(x) {
            return exact_max_pool(x, window);
        }
        let list = |pair: [usize; 2]| pair.map(|v| v as i64);
        x.f_max_pool2d(
            list(window.kernel),
            list(window.stride),
            list(window.padding),
            list(window.dilation),
            window.ceil_mode,
        )
    }

    fn replacement(&self, activation: &Activation, inputs: Inputs) -> Result<Box<dyn Replacement>, Misfit> {
        let window = self.0;
        match activation {
            Activation::Polynomial(polynomial) if polynomial.is_parabola() => return Err(Misfit::NoMax),
            Activation::Fitted(fitted) if fitted.series().len() > 1 => return Err(Misfit::Channels),
            _ => {}
        }
        let [height, width] = window.kernel;
        if window.len() > MAX_WINDOW {
            return Err(Misfit::Window { height, width });
        }
        let pool = activation::MaxPool::new(activation, inputs.range, window, inputs.non_negative);
        let pool = pool.ok_or(Misfit::NoRoom { bound: activation.bound(), values: window.len() })?;
        Ok(Box::new(Approximate(pool.clipping(inputs.clip))))
    }
}

fn exact_max_pool(x: &Tensor, window: &Window) -> Result<Tensor, TchError> {
    let (images, channels, height, width) = x.size4()?;
    let (extent, depth) = ([height as usize, width as usize], channels as usize);
    let [rows, columns] = output_size(window, extent)?;
    let x = x.f_permute([0, 2, 3, 1])?.f_contiguous()?;
    let y = Tensor::f_empty([images, rows, columns, channels], (Kind::Float, Device::Cpu))?;
    let (from, to) = (x.data_ptr() as usize, y.data_ptr() as usize);
    let values = columns as usize * depth * window.len();
    spread((images * rows) as usize, (GRAIN / values.max(1)).max(1), |begin, end| {
        // SAFETY: both tensors hold `images` planes without gaps; threads have disjoint rows of outputs.
        unsafe { exact::max_pool(from as *const f32, to as *mut f32, Plane { extent, depth }, window, begin..end) };
    })?;
    y.f_permute([0, 3, 1, 2])
}

/// Rows and columns of the output of a max-pool.
fn output_size(window: &Window, input: [usize; 2]) -> Result<[i64; 2], TchError> {
    let output = [0, 1].map(|axis| window.output(axis, input[axis]) as i64);
    if output.contains(&0) {
        let [height, width] = input;
        return Err(TchError::Torch(format!("a max-pool's window is larger than its input of {height}x{width}")));
    }
    Ok(output)
}

/// A tournament of approximate maxima.
#[derive(Debug)]
struct Approximate(activation::MaxPool);

impl Replacement for Approximate {
    fn apply(&self, x: Tensor, _in_place: bool, pass: &Pass<'_>) -> Result<Tensor, TchError> {
        // PyTorch takes [C, H, W] for a single image.
        if x.dim() == 3 {
            return self.apply(x.f_unsqueeze(0)?, false, pass)?.f_squeeze_dim(0);
        }
        let pool = &self.0;
        let &Pass { images, overflow, kernel, counters } = pass;
        let (_, _, height, width) = x.size4()?;
        let output = output_size(pool.window(), [height as usize, width as usize])?;
        let counters = || counters(x.device());
        let computed = match (x.device(), x.f_kind()?) {
            (Device::Cpu, Kind::Float) => Some(run::<f32>(pool, &x, output, pass)?),
            (Device::Cpu, Kind::Double) => Some(run::<f64>(pool, &x, output, pass)?),
            (Device::Cuda(_), kind) if images.axis == Some(0) && x.size()[0] == images.count => match kind {
                Kind::Float => cuda::max_pool::<f32>(pool, &x, output, kernel, counters)?,
                Kind::Double => cuda::max_pool::<f64>(pool, &x, output, kernel, counters)?,
                _ => None,
            },
            _ => None,
        };
        if let Some(y) = computed {
            return Ok(y);
        }
        let counted = counted_by_tensors(&x, |x| pool.ends(x), pool.clips(), images, overflow)?;
        let y = pool.of_tensor(&counted)?.f_to_kind(x.f_kind()?)?;
        if suggests_channels_last(&x) { in_channels_last(&y) } else { y.f_contiguous() }
    }

    fn prepare(&self, kernel: &Kernel, device: Device) {
        kernel.prepare_max_pool(&self.0, device);
    }
}

fn run<T: Element>(
    pool: &activation::MaxPool,
    x: &Tensor,
    output: [i64; 2],
    pass: &Pass<'_>,
) -> Result<Tensor, TchError> {
    let (count, channels, height, width) = x.size4()?;
    let kind = x.f_kind()?;
    // Threads share out planes, and an image whose channels lie last is one.
    let last = suggests_channels_last(x);
    let as_last = last && count >= i64::from(tch::get_num_threads());
    let extent = [height as usize, width as usize];
    let (source, x, y, plane) = if as_last {
        let x = x.f_permute([0, 2, 3, 1])?.f_contiguous()?;
        let y = Tensor::f_empty([count, output[0], output[1], channels], (kind, Device::Cpu))?;
        let (source, y) = (x.f_permute([0, 3, 1, 2])?, y.f_permute([0, 3, 1, 2])?);
        (source, x, y, Plane { extent, depth: channels as usize })
    } else {
        let y = Tensor::f_empty([count, channels, output[0], output[1]], (kind, Device::Cpu))?;
        let x = x.f_contiguous()?;
        (x.shallow_clone(), x, y, Plane::of_channel(extent))
    };
    let owners = pass.images.owners(&source);
    let overflow = pass.overflow;
    let planes = x.numel() / plane.len().max(1);
    let (from, to) = (x.data_ptr() as usize, y.data_ptr() as usize);
    spread(planes, (GRAIN / plane.len().max(1)).max(1), |begin, end| {
        let mut outside = Outside::new(Ends::Alike(pool.range().ends()), &owners);
        let report = &mut |at: usize, row: &[T]| outside.see(at, row);
        // SAFETY: both tensors hold `planes` planes without gaps; threads have disjoint planes.
        unsafe { pool.run(from as *const T, to as *mut T, plane, begin..end, report) };
        outside.found().add_to(overflow);
    })?;
    if last && !as_last { in_channels_last(&y) } else { Ok(y) }
}
