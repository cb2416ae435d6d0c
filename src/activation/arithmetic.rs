//! What numbers a composition is computed in.

use std::fmt;
use std::str::FromStr;

/// What numbers a composition is computed in, and in which basis.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Arithmetic {
    /// f64, Horner's scheme on monomials.
    #[default]
    F64,
    /// f32, Clenshaw's recurrence on Chebyshev series.
    F32,
}

impl fmt::Display for Arithmetic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Arithmetic::F64 => "f64",
            Arithmetic::F32 => "f32",
        })
    }
}

impl FromStr for Arithmetic {
    type Err = String;

    fn from_str(text: &str) -> Result<Arithmetic, String> {
        match text {
            "f64" => Ok(Arithmetic::F64),
            "f32" => Ok(Arithmetic::F32),
            _ => Err("expected f64 or f32".to_owned()),
        }
    }
}
