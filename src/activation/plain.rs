//! Formulas on numbers one by one.

use super::form::Machine;

/// The machine of numbers of type `T`, with these parameters; every operation is rounded.
pub(super) struct Plain<'a, T>(pub &'a [T]);

/// The same, with products and sums fused as the instructions of processors fuse them.
#[cfg(test)]
pub(super) struct Fused<'a, T>(pub &'a [T]);

/// The operations of a machine for a type, given that of a·b + c.
macro_rules! machine {
    ($machine:ident, $type:ty, $mul_add:expr) => {
        impl Machine for $machine<'_, $type> {
            type Value = $type;

            fn constant(&self, number: f64) -> $type {
                number as $type
            }

            fn parameter(&self, at: usize) -> $type {
                self.0[at]
            }

            fn add(&self, a: &$type, b: &$type) -> $type {
                a + b
            }

            fn sub(&self, a: &$type, b: &$type) -> $type {
                a - b
            }

            fn mul(&self, a: &$type, b: &$type) -> $type {
                a * b
            }

            fn mul_add(&self, &a: &$type, &b: &$type, &c: &$type) -> $type {
                $mul_add(a, b, c)
            }
        }
    };
}

machine!(Plain, f32, |a, b, c| a * b + c);
#[cfg(test)]
machine!(Plain, f64, |a, b, c| a * b + c);
#[cfg(test)]
machine!(Fused, f32, f32::mul_add);
#[cfg(test)]
machine!(Fused, f64, f64::mul_add);
