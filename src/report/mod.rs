//! Results as people and programs read them: CSV rows, tables, figures, a page, source code.

mod accuracy;
mod comparison;
pub mod composition;
mod export;
pub mod front;
pub mod levels;
mod merge;
mod overflow;
mod page;
pub mod plan_front;
pub mod plot;
pub mod ranges;
mod reader;
mod results;
mod row;
#[cfg(test)]
mod samples;
pub mod snippet;
mod table;
mod tables;
mod whole;

pub use accuracy::{View, figure};
pub use comparison::{Block, Comparison, Line, Model, Run};
pub use export::{ExportError, Library, Source, relu_vr};
pub use merge::{MergeError, merge};
pub use overflow::Overflow;
pub use page::html;
pub use reader::{ReadError, SavedResults, SavedRow, read};
pub use results::{Results, ResultsError};
pub use row::{COLUMNS, Column, Role, Row, SCHEMA};
pub use table::{Align, table};
pub use tables::{latex, markdown};
pub use whole::{WholeFile, write_whole};
