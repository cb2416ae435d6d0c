//! The kernels for CUDA as text: kernels.cu, and before it the formula of one form of activation.
//!
//! The numbers of a formula are not in the text: they come with each launch, alike in all channels as part of the arguments,
//! which the device reads like constants, and apart as a table in its memory. So sites with the same form, type of values and
//! window share one compiled kernel, whatever their coefficients and ranges are.

#[cfg(test)]
mod tests;
mod text;

use super::{Arithmetic, Channels, Element, Elementwise, MaxPool};

const KERNELS: &str = include_str!("kernels.cu");

/// Threads of a block.
pub const BLOCK: u32 = 256;
/// Values of a thread of the elementwise kernel, which hide each other's latency; fewer where so many parameters are on their way
/// that there would be no registers left.
fn each(site: &Elementwise) -> usize {
    if site.parameters().count() <= 96 { 4 } else { 2 }
}

/// The largest grid along its second axis; the kernels go on over what is beyond.
const MAX_ROWS: i64 = 65_535;

/// Blocks of a grid, [x, y], for `images` of `length` threads each.
fn grid(images: i64, length: i64) -> [u32; 2] {
    let columns = (length.max(1) as u64).div_ceil(u64::from(BLOCK)).min(i32::MAX as u64);
    [columns as u32, images.clamp(1, MAX_ROWS) as u32]
}

/// The argument of a kernel, as its parameter is laid out on the device: what its struct in kernels.cu begins with, and then the
/// parameters of the formula, if they are alike.
#[derive(Debug, Clone)]
pub struct Job(Vec<u64>);

impl Job {
    fn new<H: Copy>(head: &H, parameters: &[f64], arithmetic: Arithmetic) -> Job {
        const { assert!(size_of::<H>().is_multiple_of(8) && align_of::<H>() == 8) };
        let words = size_of::<H>() / 8;
        let mut job = vec![0u64; words + tail(parameters.len(), arithmetic)];
        // SAFETY: the head is plain numbers without gaps, of as many words.
        unsafe { std::ptr::copy_nonoverlapping((&raw const *head).cast::<u64>(), job.as_mut_ptr(), words) };
        match arithmetic {
            Arithmetic::F64 => {
                job[words..].iter_mut().zip(parameters).for_each(|(word, number)| *word = number.to_bits())
            }
            Arithmetic::F32 => {
                for (word, pair) in job[words..].iter_mut().zip(parameters.chunks(2)) {
                    let bits = |at: usize| u64::from(pair.get(at).map_or(0, |&number| (number as f32).to_bits()));
                    *word = bits(0) | bits(1) << 32;
                }
            }
        }
        Job(job)
    }

    /// Where it begins, as long as it lives.
    pub fn as_ptr(&self) -> *const u64 {
        self.0.as_ptr()
    }
}

/// Words that so many parameters take.
fn tail(parameters: usize, arithmetic: Arithmetic) -> usize {
    match arithmetic {
        Arithmetic::F64 => parameters,
        Arithmetic::F32 => parameters.div_ceil(2),
    }
}

/// The beginning of `struct Elementwise` of kernels.cu. Addresses are those of the device.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
struct ElementwiseHead {
    x: u64,
    y: u64,
    counters: u64,
    table: u64,
    ends: u64,
    images: i64,
    length: i64,
    run: i64,
    low: f64,
    high: f64,
    channels: i32,
    clips: i32,
}

/// The beginning of `struct MaxPool` of kernels.cu.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
struct MaxPoolHead {
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
    /// So that there is no gap.
    spare: i32,
    low: f64,
    high: f64,
    padding_value: f64,
}

/// Addresses on the device of what a kernel reads and writes. `counters` has 2 + images numbers of 64 bits: values outside
/// the range, those of them that are no number, and for each image 1 + the bits of its largest |x| outside as f64, or 0.
#[derive(Debug, Clone, Copy)]
pub struct Addresses {
    pub x: u64,
    pub y: u64,
    pub counters: u64,
    /// Where channels are not alike, [`Elementwise::cuda_table`] as the numbers that are computed in, and
    /// [`Elementwise::cuda_ends`] as values; otherwise nothing.
    pub table: u64,
    pub ends: u64,
}

/// The input of a max-pool: its shape [N, C, H, W], its strides in values, and whether the channels of the output, which
/// is dense, lie side by side.
#[derive(Debug, Clone, Copy)]
pub struct Planes {
    pub shape: [i64; 4],
    pub strides: [i64; 4],
    pub channels_last: bool,
}

/// The text of a kernel for values of `T`, of a parameter that begins with `H` and is named `parameter`, with these lines before it.
fn source<T: Element, H>(site: &Elementwise, parameter: &str, lines: &str) -> String {
    let (arithmetic, count) = (site.arithmetic(), site.parameters().count());
    let alike = if site.channels().is_none() { tail(count, arithmetic) } else { 0 };
    let size = size_of::<H>() + 8 * alike;
    format!(
        "using value = {};\n{}{lines}{KERNELS}\
         static_assert(sizeof({parameter}) == {size}, \"the parameter is laid out otherwise\");\n",
        T::C_NAME,
        text::of(site.form(), arithmetic)
    )
}

impl Elementwise {
    /// The text of the kernel `elementwise` for tensors of `T`.
    pub fn cuda_source<T: Element>(&self) -> String {
        let apart = if self.channels().is_some() { "#define APART\n" } else { "" };
        let each = each(self);
        let lines = format!("#define ELEMENTWISE\nconstexpr int each = {each};\n{apart}");
        source::<T, ElementwiseHead>(self, "Elementwise", &lines)
    }

    /// Parameter after parameter, each of all channels; nothing where they are alike.
    pub fn cuda_table(&self) -> Vec<f64> {
        let (parameters, channels) = (self.parameters(), self.channels().unwrap_or(0));
        let at = |i: usize| parameters.all()[i % channels * parameters.count() + i / channels];
        (0..parameters.count() * channels).map(at).collect()
    }

    /// The least numbers of `T` in range of all channels, and then the largest; nothing where they are alike.
    pub fn cuda_ends<T: Element>(&self) -> Vec<T> {
        let channels = || 0..self.channels().unwrap_or(0);
        let low = channels().map(|channel| T::at_least(self.bounds(channel)[0]));
        low.chain(channels().map(|channel| T::at_most(self.bounds(channel)[1]))).collect()
    }

    /// The grid and the arguments of the kernel `elementwise` for `images` of `length` values of `T` each, one after the other,
    /// whose channels lie as `channels` says.
    pub fn cuda_job<T: Element>(&self, at: Addresses, images: i64, length: i64, channels: Channels) -> ([u32; 2], Job) {
        let [low, high] = self.bounds(0);
        let head = ElementwiseHead {
            x: at.x,
            y: at.y,
            counters: at.counters,
            table: at.table,
            ends: at.ends,
            images,
            length,
            run: channels.run as i64,
            low: T::at_least(low).to_f64(),
            high: T::at_most(high).to_f64(),
            channels: channels.count as i32,
            clips: self.clips().into(),
        };
        let parameters = if self.channels().is_none() { self.parameters().all() } else { &[] };
        let threads = (length as u64).div_ceil(each(self) as u64) as i64;
        (grid(images, threads), Job::new(&head, parameters, self.arithmetic()))
    }
}

impl MaxPool {
    /// The text of the kernel `max_pool` for tensors of `T`.
    pub fn cuda_source<T: Element>(&self) -> String {
        let [height, width] = self.window().kernel;
        let constants = format!("constexpr int kernel_height = {height}, kernel_width = {width};\n");
        source::<T, MaxPoolHead>(self.relu(), "MaxPool", &format!("#define MAX_POOL\n{constants}"))
    }

    /// The grid and the arguments of the kernel `max_pool` for `planes` of `T`. `None` where a number is too large for it:
    /// extents beyond 2^31, or an image of more than 2^32 outputs.
    pub fn cuda_job<T: Element>(&self, at: Addresses, planes: Planes) -> Option<([u32; 2], Job)> {
        let window = self.window();
        let [images, channels, height, width] = planes.shape;
        let [output_height, output_width] = [window.output(0, height as usize), window.output(1, width as usize)];
        let outputs =
            u64::try_from(channels).ok()?.checked_mul((output_height as u64).checked_mul(output_width as u64)?)?;
        u32::try_from(outputs).ok()?;
        let small = |x: usize| i32::try_from(x).ok();
        let pair = |[a, b]: [usize; 2]| Some([small(a)?, small(b)?]);
        let head = MaxPoolHead {
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
            clips: self.clips().into(),
            spare: 0,
            low: T::at_least(self.range().low).to_f64(),
            high: T::at_most(self.range().high).to_f64(),
            padding_value: self.padding_value(),
        };
        let relu = self.relu();
        Some((grid(images, outputs as i64), Job::new(&head, relu.parameters().all(), relu.arithmetic())))
    }
}
