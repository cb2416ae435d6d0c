//! The mathematics: minimax polynomials for sign, their composition, its errors and its cost, and the search for the
//! cheapest one; and single polynomials for other functions.
//!
//! Knows no tensor and no file. Everything reported is computed in arbitrary precision and rounded at the end; what the
//! search looks at on its way it estimates in f64.

mod approximation;
mod chebyshev;
mod composite;
pub mod cost;
mod cost_table;
mod domain;
mod exchange;
mod extrema;
mod function;
mod gain;
mod least_squares;
mod noise;
mod paper;
mod real;
mod remez;
mod search;
mod series;

pub use approximation::{Approximation, ApproximationError, Method};
pub use composite::{
    Composite, DEFAULT_BITS, DesignError, Epsilon, MAX_DEGREE, MAX_MARGIN, MAX_STAGES, Stage, check_degrees,
};
pub use cost_table::CostTable;
pub use domain::{Domain, DomainError, Interval};
pub use function::{Function, FunctionError, Parity, UnknownFunction};
pub use gain::{INSIDE, NoiseGain};
pub use noise::{fresh_noise, least_scales_of_polynomial};
pub use paper::{ALPHAS, PaperSet, paper_set};
pub use real::{Real, decimal, exact_decimal, real, to_f64};
pub use remez::{Minimax, RemezError};
pub use search::{Found, LEAST_EPSILON, LEAST_TARGET, MAX_SEARCHED_DEGREE, Objective, Purpose, Search, SearchError};
pub use series::Series;
