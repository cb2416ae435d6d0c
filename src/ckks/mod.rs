//! Levels and bootstrappings: what a network takes under CKKS.
//!
//! A ciphertext has a number of levels left, and most operations take some. Where too few are left, a bootstrapping gives it as many
//! as the parameters provide, at a price that outweighs everything else. [`Circuit`] is the network as the scheme sees it,
//! [`Parameters`] say what each operation takes, [`placement`] finds where the fewest bootstrappings go and [`rule`] where those of the
//! literature go, who bootstrap when nothing is left. [`Noise`] is what the scheme adds to the numbers, and [`errors()`] where it comes in;
//! [`security`] is how large a ring the moduli ask for, and [`times`] how long it takes.

pub mod additive;
mod amplification;
mod circuit;
mod errors;
mod form;
mod noise;
mod parameters;
pub mod placement;
pub mod rule;
pub mod security;
pub mod times;

pub use amplification::{Amplification, amplification};
pub use circuit::{Circuit, Node, Operand, Operation, Size};
pub use errors::{Errors, Replaced, SiteErrors, errors};
pub use form::Form;
pub use noise::Noise;
pub use parameters::{Parameters, ParametersError, SETS};
