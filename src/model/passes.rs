//! Passes over the same images with several tables, of which what they have in common is computed once.

use std::time::Instant;

use cxx::UniquePtr;
use tch::{Device, Tensor};

use super::bridge::PartialPass;
use super::network::{Model, ModelError, failure};
use super::runs::{Run, runs};
use super::sites::Sites;

/// What came out of a pass.
#[derive(Debug)]
pub struct Passed {
    /// Logits [N, classes], on the CPU.
    pub logits: Tensor,
    /// How long the pass took, all that it has in common with others included.
    pub seconds: f64,
}

impl Model {
    /// What [`Model::forward`] gives for `images` with each of `tables`, to the last bit, and what each table counts in a pass of
    /// its own. The tables are different ones. Values are kept at no more cuts at a time than log2 of their number.
    ///
    /// # Errors
    /// As [`Model::forward`]; then what the tables counted is of no pass.
    pub fn forward_all(&self, images: &Tensor, tables: &[&Sites]) -> Result<Vec<Passed>, ModelError> {
        // Most have nothing in common: then nothing is prepared for it.
        let begins_alike = |at: usize| tables[..at].iter().any(|other| other.is_same(tables[at], 0));
        let alike = tables.first().is_some_and(|table| table.count() > 0) && (1..tables.len()).any(begins_alike);
        let planned = match alike {
            true => runs(tables.len(), self.segments(images)?, |a, b, site| tables[a].is_same(tables[b], site)),
            false => (0..tables.len()).map(Run::alone).collect(),
        };
        let mut passes = Passes { model: self, images, tables, passed: tables.iter().map(|_| None).collect() };
        passes.make(&planned, None, 0.0)?;
        if alike {
            passes.share(&planned)?;
        }
        Ok(passes.passed.into_iter().flatten().collect())
    }
}

/// Passes that are being made.
struct Passes<'a> {
    model: &'a Model,
    images: &'a Tensor,
    tables: &'a [&'a Sites],
    passed: Vec<Option<Passed>>,
}

impl Passes<'_> {
    /// Make `runs`, which go on from one cut, with the values `from` there or from the beginning of the network, and what is
    /// behind them. What led there took so many seconds.
    fn make(&mut self, runs: &[Run], mut from: Option<UniquePtr<PartialPass>>, seconds: f64) -> Result<(), ModelError> {
        let (model, images) = (self.model, self.images);
        for (at, run) in runs.iter().enumerate() {
            let branch = match &from {
                Some(pass) if at + 1 < runs.len() => Some(model.branch(images, pass)?),
                _ => from.take(),
            };
            let sites = self.tables[run.tables[0]];
            let start = Instant::now();
            let mut pass = branch.map_or_else(|| model.begin(images, sites), Ok)?;
            if run.then.is_empty() {
                let logits = model.finish(images, pass, sites)?;
                // Copying them there waits for the device.
                let logits = logits.f_to_device(Device::Cpu).map_err(|error| failure(images, error.to_string()))?;
                let seconds = seconds + start.elapsed().as_secs_f64();
                for &table in &run.tables {
                    self.passed[table] = Some(Passed { logits: logits.shallow_clone(), seconds });
                }
            } else {
                model.advance(images, &mut pass, run.segments.end, sites)?;
                self.make(&run.then, Some(pass), seconds + start.elapsed().as_secs_f64())?;
            }
        }
        Ok(())
    }

    /// Hand what was counted in `runs` by the table that they were run with to the others.
    fn share(&self, runs: &[Run]) -> Result<(), ModelError> {
        let segments = self.model.segments(self.images)?;
        for run in runs {
            let (leader, others) = (self.tables[run.tables[0]], &run.tables[1..]);
            for site in segments[run.segments.clone()].iter().flat_map(|segment| &segment.sites) {
                others.iter().for_each(|&table| self.tables[table].take_part(leader, *site));
            }
            self.share(&run.then)?;
        }
        Ok(())
    }
}
