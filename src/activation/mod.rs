//! What stands in for ReLU and max: its text form, the polynomials behind it, and the kernels that compute it.
//!
//! ReLU with range B is B·r(x/B), r(x) = (x + x·p(x))/2; ReLU6 is ReLU(x) − ReLU(x−6); max-pooling is a tournament of
//! max(a, b) = b + r(a − b) (Lee et al., arXiv 2105.10879, sections 3 and 4). p is the composition of [`crate::minimax`]; a
//! single polynomial can stand for r as well, and a Chebyshev series for any function, in each channel another. Nothing is clipped:
//! outside the range the polynomials are evaluated as they would be under encryption, and the inputs there are counted. What is
//! computed of each value stands once, in `form`, for all instruction sets, tensors and CUDA, in f64 or f32 ([`Arithmetic`]);
//! docs/arithmetic.md compares them. `exact` has the functions themselves, for networks in which they stay.

mod accuracy;
mod approximation;
mod arithmetic;
mod clenshaw;
mod coefficients;
#[cfg(feature = "libtorch")]
mod cuda;
mod elementwise;
#[cfg(feature = "libtorch")]
pub(crate) mod exact;
mod file;
mod fitted;
mod form;
#[cfg(feature = "libtorch")]
mod gaussian;
mod interval;
mod isa;
mod lanes;
mod operations;
mod plain;
mod pool;
mod registers;
mod sign;
mod site_polynomials;
mod spec;
#[cfg(feature = "libtorch")]
mod tensor;

pub use accuracy::{relu_error_f32, relu_error_f64};
pub use approximation::{Activation, Polynomial};
pub use arithmetic::Arithmetic;
pub use clenshaw::Clenshaw;
pub use coefficients::{Coefficients, CoefficientsError, GainForm, plain_list};
#[cfg(feature = "libtorch")]
pub(crate) use cuda::{Addresses, BLOCK, Job, Planes};
pub use elementwise::{Channels, Elementwise, Series};
pub use file::{CoefficientFile, FileError};
pub use fitted::Fitted;
#[cfg(feature = "libtorch")]
pub use gaussian::{Counters, Key, add_normal};
pub use interval::{Interval, RangeError};
pub use isa::Isa;
pub use lanes::Element;
pub use operations::Operations;
pub use pool::{MAX_WINDOW, MaxPool, Plane, Window};
pub use sign::Sign;
pub use site_polynomials::{ChannelPolynomial, SiteComposition, SitePolynomial, SitePolynomials};
pub use spec::{DEFAULT_SHARE, FittedSpec, Spec, SpecError, parse_degrees, parse_epsilon};

pub use crate::minimax::cost::Cost;

/// Told of every block of inputs of which at least one is outside the range or not a number, or in f32 so near its end that
/// rounding may hide it: the position of its first value, and its values.
pub type Report<'a, T> = &'a mut dyn FnMut(usize, &[T]);
