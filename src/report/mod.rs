//! Results as people and programs read them: CSV rows and aligned tables.

mod results;
mod table;
mod whole;

pub use results::{COLUMNS, Results, ResultsError, Row};
pub use table::{Align, table};
pub use whole::write_whole;
