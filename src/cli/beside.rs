//! The CSV files beside the results: predictions, classes, and sites whose inputs left their range.

use std::path::Path;

use super::Failure;
use super::decisions::Decision;
use super::output::failure;
use super::summary::{by_harm, needed};
use crate::dataset::Dataset;
use crate::evaluation::{ClassScore, Substitution, Tally};
use crate::model::Site;
use crate::report::WholeFile;

/// A CSV file beside the results.
pub(super) struct Table<'a> {
    flag: &'static str,
    path: &'a Path,
    writer: csv::Writer<WholeFile>,
}

impl<'a> Table<'a> {
    /// If it is asked for. A file that is there stays until [`Table::finish`].
    pub fn create(flag: &'static str, path: Option<&'a Path>) -> Result<Option<Table<'a>>, Failure> {
        let Some(path) = path else { return Ok(None) };
        let file = WholeFile::create(path).map_err(|source| failure(flag, path, source))?;
        Ok(Some(Table { flag, path, writer: csv::Writer::from_writer(file) }))
    }

    pub fn line<const N: usize>(&mut self, fields: [String; N]) -> Result<(), Failure> {
        self.writer.write_record(fields).map_err(|error| failure(self.flag, self.path, error.into()))
    }

    pub fn finish(self) -> Result<(), Failure> {
        let (flag, path) = (self.flag, self.path);
        let written = self.writer.into_inner().map_err(csv::IntoInnerError::into_error);
        written.and_then(WholeFile::finish).map_err(|source| failure(flag, path, source))
    }

    pub fn classes(mut self, classes: &[ClassScore]) -> Result<(), Failure> {
        self.line(["class", "images", "top1_exact", "top1"].map(str::to_owned))?;
        for (class, counts) in classes.iter().enumerate() {
            let percent = |right: usize| match counts.images {
                0 => String::new(),
                images => format!("{:.3}", 100.0 * right as f64 / images as f64),
            };
            let fields =
                [class.to_string(), counts.images.to_string(), percent(counts.exact), percent(counts.approximate)];
            self.line(fields)?;
        }
        self.finish()
    }

    /// Images that may be decided otherwise, each with the change of its margin that is foreseen.
    pub fn near(mut self, dataset: &Dataset, near: &[(&Decision, f64)]) -> Result<(), Failure> {
        self.line(["index", "image", "margin", "predicted", "change", "differs"].map(str::to_owned))?;
        for (decision, predicted) in near {
            let &Decision { index, margin, change, differs } = *decision;
            let [margin, predicted, change] = [margin, *predicted, change].map(|number| format!("{number:.6}"));
            let differs = u8::from(differs).to_string();
            self.line([index.to_string(), dataset.image_name(index), margin, predicted, change, differs])?;
        }
        self.finish()
    }

    pub fn overflows(
        mut self,
        dataset: &Dataset,
        sites: &[Site],
        substitution: &Substitution,
        tally: &Tally,
    ) -> Result<(), Failure> {
        let header = [
            "index", "site", "kind", "activation", "range", "values", "not_a_number", "images", "first_here",
            "first_image", "worst", "needed_range", "unattributed",
        ];
        self.line(header.map(str::to_owned))?;
        for overflow in by_harm(tally) {
            let (site, said) = (&sites[overflow.site], &substitution.sites[overflow.site]);
            let range = said.approximation.as_ref().map(|(_, range)| range.to_string());
            self.line([
                site.index.to_string(),
                site.name.clone(),
                site.kind.to_string(),
                said.spec.to_string(),
                range.unwrap_or_default(),
                overflow.values.to_string(),
                overflow.not_a_number.to_string(),
                overflow.images.to_string(),
                overflow.first_here.to_string(),
                overflow.first_image.map(|image| dataset.image_name(image)).unwrap_or_default(),
                format!("{:e}", overflow.worst),
                needed(overflow).map(|range| range.to_string()).unwrap_or_default(),
                overflow.unattributed.to_string(),
            ])?;
        }
        self.finish()
    }
}
