//! How many operations a formula takes, by a machine that only counts them.

use std::cell::Cell;

use super::Elementwise;
use super::form::{Blocked, Formula, Machine, Visitor, Whole};

/// What a formula takes, by the instructions of a processor that fuses products and sums.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Operations {
    /// Multiplications with an addition.
    pub fused: usize,
    /// Multiplications alone.
    pub products: usize,
    /// Additions and subtractions alone.
    pub sums: usize,
}

#[derive(Default)]
struct Counter(Cell<Operations>);

impl Counter {
    fn count(&self, of: impl FnOnce(&mut Operations) -> &mut usize) {
        let mut operations = self.0.get();
        *of(&mut operations) += 1;
        self.0.set(operations);
    }
}

impl Machine for Counter {
    type Value = ();

    fn constant(&self, _: f64) {}

    fn parameter(&self, _: usize) {}

    fn add(&self, _: &(), _: &()) {
        self.count(|operations| &mut operations.sums);
    }

    fn sub(&self, _: &(), _: &()) {
        self.count(|operations| &mut operations.sums);
    }

    fn mul(&self, _: &(), _: &()) {
        self.count(|operations| &mut operations.products);
    }

    fn mul_add(&self, _: &(), _: &(), _: &()) {
        self.count(|operations| &mut operations.fused);
    }
}

struct Count;

impl Visitor for Count {
    type Result = Operations;

    fn visit<F: Blocked>(self, formula: Whole<F>) -> Operations {
        let counter = Counter::default();
        formula.value(&counter, 0, &());
        counter.0.get()
    }
}

impl Elementwise {
    /// The operations of one value.
    pub fn operations(&self) -> Operations {
        self.form().visit(self.arithmetic(), Count)
    }
}
