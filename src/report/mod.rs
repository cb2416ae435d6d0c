//! Results as people and programs read them: CSV rows and aligned tables.

mod results;
mod table;

pub use results::{COLUMNS, Results, ResultsError, Row};
pub use table::{Align, table};
