//! The mathematics: minimax polynomials for sign, their composition, its errors and its cost, and the search for the
//! cheapest one.
//!
//! Knows no tensor and no file. Everything reported is computed in arbitrary precision and rounded at the end; what the
//! search looks at on its way it estimates in f64.

mod chebyshev;
mod composite;
pub mod cost;
mod paper;
mod real;
mod remez;
mod search;

pub use composite::{Composite, DEFAULT_BITS, DesignError, Epsilon, MAX_DEGREE, MAX_STAGES, Stage, check_degrees};
pub use paper::{ALPHAS, PaperSet, paper_set};
pub use real::{Real, decimal, exact_decimal, real, to_f64};
pub use remez::{Minimax, RemezError};
pub use search::{Found, LEAST_EPSILON, LEAST_TARGET, MAX_SEARCHED_DEGREE, Objective, Purpose, Search, SearchError};
