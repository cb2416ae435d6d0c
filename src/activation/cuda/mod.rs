//! The kernels for CUDA as text: kernels.cu, and before it what it needs to know of one activation.
//!
//! Coefficients stand in the text as an array in constant memory, their number as a constant: so the loops over them are
//! unrolled, and each is one operand, where a literal f64 would take two moves. What changes from site to site with the
//! same activation, such as ranges, goes into the arguments, so that a network needs few compilations.

#[cfg(test)]
mod tests;

use std::fmt::{Display, LowerExp, Write};

use super::approximation::Form;
use super::{Activation, Element, MaxPool, Polynomial, Relu, Sign};

const KERNELS: &str = include_str!("kernels.cu");

/// Threads of a block.
pub const BLOCK: u32 = 256;
/// Values of a thread of the ReLU kernel.
const EACH: i64 = 4;

/// The largest grid along its second axis; the kernels go on over what is beyond.
const MAX_ROWS: i64 = 65_535;

/// Blocks of a grid, [x, y], for `images` of `length` threads each.
fn grid(images: i64, length: i64) -> [u32; 2] {
    let columns = (length.max(1) as u64).div_ceil(u64::from(BLOCK)).min(i32::MAX as u64);
    [columns as u32, images.clamp(1, MAX_ROWS) as u32]
}

/// What the kernel `relu` takes: `struct Relu` of kernels.cu. Addresses are those of the device.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub struct ReluJob {
    x: u64,
    y: u64,
    counters: u64,
    images: i64,
    length: i64,
    end: f64,
    shift: [f64; 2],
    range: [f64; 2],
    inverse: [f64; 2],
    terms: i32,
    clips: i32,
}

/// What the kernel `max_pool` takes: `struct MaxPool` of kernels.cu.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub struct MaxPoolJob {
    x: u64,
    y: u64,
    counters: u64,
    images: i64,
    strides: [i64; 4],
    channels: i32,
    height: i32,
    width: i32,
    output_height: i32,
    output_width: i32,
    stride: [i32; 2],
    padding: [i32; 2],
    dilation: [i32; 2],
    channels_last: i32,
    clips: i32,
    end: f64,
    padding_value: f64,
    scale: f64,
}

/// Addresses on the device of what a kernel reads and writes. `counters` has 2 + images numbers of 64 bits: values outside
/// the range, those of them that are no number, and for each image 1 + the bits of its largest |x| outside as f64, or 0.
#[derive(Debug, Clone, Copy)]
pub struct Addresses {
    pub x: u64,
    pub y: u64,
    pub counters: u64,
}

/// The input of a max-pool: its shape [N, C, H, W], its strides in values, and whether the channels of the output, which
/// is dense, lie side by side.
#[derive(Debug, Clone, Copy)]
pub struct Planes {
    pub shape: [i64; 4],
    pub strides: [i64; 4],
    pub channels_last: bool,
}

impl Relu {
    /// The text of the kernel `relu` for tensors of `T`.
    pub fn cuda_source<T: Element>(&self) -> String {
        let (form, coefficients) = match self.approximation() {
            Activation::Composition(sign) => ("COMPOSITION", of_sign(sign)),
            Activation::Polynomial(Polynomial { form: Form::Parabola(c), .. }) => {
                ("PARABOLA", array("double", [&c[..]]))
            }
            Activation::Polynomial(Polynomial { form: Form::Series(c), .. }) => ("SERIES", array("double", [&c[..]])),
        };
        let size = size_check::<ReluJob>("Relu");
        format!("using value = {};\n{coefficients}#define {form}\n#define RELU\n{KERNELS}{size}", T::C_NAME)
    }

    /// The grid and the arguments of the kernel `relu` for `images` of `length` values of `T` each, one after the other.
    pub fn cuda_job<T: Element>(&self, at: Addresses, images: i64, length: i64) -> ([u32; 2], ReluJob) {
        let terms: Vec<(f64, f64)> = self.terms().collect();
        let of_term = |value: fn(&(f64, f64)) -> f64| [0, 1].map(|i| terms.get(i).map_or(0.0, value));
        let job = ReluJob {
            x: at.x,
            y: at.y,
            counters: at.counters,
            images,
            length,
            end: T::at_most(self.range()).to_f64(),
            shift: of_term(|&(shift, _)| shift),
            range: of_term(|&(_, range)| range),
            inverse: of_term(|&(_, range)| 1.0 / range),
            terms: terms.len() as i32,
            clips: self.clip().is_some().into(),
        };
        (grid(images, (length + EACH - 1) / EACH), job)
    }
}

impl MaxPool {
    /// The text of the kernel `max_pool` for tensors of `T`.
    pub fn cuda_source<T: Element>(&self) -> String {
        let [height, width] = self.window().kernel;
        let constants = format!("constexpr int kernel_height = {height}, kernel_width = {width};\n");
        let (coefficients, size) = (of_sign(self.sign()), size_check::<MaxPoolJob>("MaxPool"));
        format!("using value = {};\n{coefficients}#define MAX_POOL\n{constants}{KERNELS}{size}", T::C_NAME)
    }

    /// The grid and the arguments of the kernel `max_pool` for `planes` of `T`. `None` where a number is too large for it:
    /// extents beyond 2^31, or an image of more than 2^32 outputs.
    pub fn cuda_job<T: Element>(&self, at: Addresses, planes: Planes) -> Option<([u32; 2], MaxPoolJob)> {
        let window = self.window();
        let [images, channels, height, width] = planes.shape;
        let [output_height, output_width] = [window.output(0, height as usize), window.output(1, width as usize)];
        let outputs =
            u64::try_from(channels).ok()?.checked_mul((output_height as u64).checked_mul(output_width as u64)?)?;
        u32::try_from(outputs).ok()?;
        let small = |x: usize| i32::try_from(x).ok();
        let pair = |[a, b]: [usize; 2]| Some([small(a)?, small(b)?]);
        let job = MaxPoolJob {
            x: at.x,
            y: at.y,
            counters: at.counters,
            images,
            strides: planes.strides,
            channels: channels.try_into().ok()?,
            height: height.try_into().ok()?,
            width: width.try_into().ok()?,
            output_height: small(output_height)?,
            output_width: small(output_width)?,
            stride: pair(window.stride)?,
            padding: pair(window.padding)?,
            dilation: pair(window.dilation)?,
            channels_last: planes.channels_last.into(),
            clips: self.clip().is_some().into(),
            end: T::at_most(self.range()).to_f64(),
            padding_value: self.padding_value(),
            scale: self.scale(),
        };
        Some((grid(images, outputs as i64), job))
    }
}

/// A line that fails to compile where the compiler for the device lays out the kernel's parameter otherwise.
fn size_check<J>(name: &str) -> String {
    format!("static_assert(sizeof({name}) == {}, \"the parameter is laid out otherwise\");\n", size_of::<J>())
}

fn of_sign(sign: &Sign) -> String {
    match sign.single() {
        None => array("double", sign.stages().iter().map(Vec::as_slice)),
        Some(single) => array("float", single.stages().iter().map(Vec::as_slice)),
    }
}

/// The coefficients of stages as constants of C++. The shortest decimal that reads back to the same number is exact.
fn array<'a, T: LowerExp + Display + 'a>(number: &str, stages: impl IntoIterator<Item = &'a [T]>) -> String {
    let suffix = if number == "float" { "f" } else { "" };
    let (mut lengths, mut numbers) = (String::new(), String::new());
    for stage in stages {
        let _ = write!(lengths, "{}, ", stage.len());
        stage.iter().for_each(|c| {
            let _ = write!(numbers, "{c:e}{suffix}, ");
        });
    }
    format!(
        "using number = {number};\nconstexpr int lengths[] = {{{lengths}}};\n\
         __constant__ number coefficients[] = {{{numbers}}};\n"
    )
}
