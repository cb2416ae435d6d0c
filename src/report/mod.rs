//! Results as people and programs read them: CSV rows, aligned tables, figures, source code.

pub mod composition;
pub mod plot;
mod results;
pub mod snippet;
mod table;
mod whole;

pub use results::{COLUMNS, Results, ResultsError, Row};
pub use table::{Align, table};
pub use whole::write_whole;
