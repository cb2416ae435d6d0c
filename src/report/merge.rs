//! The shards of one sweep as one results file.

use std::collections::{BTreeSet, HashMap};
use std::path::PathBuf;

use super::reader::SavedResults;
use super::row::is_setting;

/// Why files cannot become one.
#[derive(Debug, thiserror::Error)]
pub enum MergeError {
    #[error("{first} and {second} have different columns: {difference}; merge files of one version of polyact")]
    Columns { first: PathBuf, second: PathBuf, difference: String },
    #[error(
        "{second}, line {second_line}: the run of {first}, line {first_line}, once more; remove one of the two lines"
    )]
    Twice { first: PathBuf, first_line: u64, second: PathBuf, second_line: u64 },
    #[error("{missing} of the {rows} rows of sweep {sweep} are missing: {}; evaluate their shards, or go on with --resume", listed(.first, *.missing))]
    Missing { sweep: String, rows: usize, missing: usize, first: Vec<usize> },
    #[error("a row cannot be written as CSV: {0}")]
    Csv(#[from] csv::Error),
}

fn listed(first: &[usize], all: usize) -> String {
    let shown: Vec<String> = first.iter().map(usize::to_string).collect();
    shown.join(", ") + if all > shown.len() { ", …" } else { "" }
}

/// The rows of `files` in their order under one header, as CSV; those of a sweep in the sweep's order, where its first row
/// stands, whatever the order of the files.
///
/// # Errors
/// [`MergeError`]: files with different columns, a run that is there twice, or a sweep of which rows are missing.
pub fn merge(files: &[SavedResults]) -> Result<Vec<u8>, MergeError> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    let mut places: HashMap<Vec<&str>, (&SavedResults, u64)> = HashMap::new();
    let mut sweeps: HashMap<&str, SweptRows> = HashMap::new();
    let mut rows = Vec::new();
    for (i, file) in files.iter().enumerate() {
        if i == 0 {
            writer.write_record(&file.columns)?;
        } else if let Some(difference) = difference(&files[0].columns, &file.columns) {
            return Err(MergeError::Columns { first: files[0].path.clone(), second: file.path.clone(), difference });
        }
        for row in &file.rows {
            let settings = file.columns.iter().zip(&row.fields).filter(|(column, _)| is_setting(column));
            let run: Vec<&str> = settings.map(|(_, field)| field.as_str()).collect();
            if let Some((first, first_line)) = places.insert(run, (file, row.line)) {
                return Err(MergeError::Twice {
                    first: first.path.clone(),
                    first_line,
                    second: file.path.clone(),
                    second_line: row.line,
                });
            }
            let place = match swept(file.field(row, "sweep")) {
                None => (rows.len(), 0),
                Some((sweep, number, of)) => {
                    let begins = SweptRows { at: rows.len(), of, numbers: BTreeSet::new() };
                    let known = sweeps.entry(sweep).or_insert(begins);
                    known.numbers.insert(number);
                    (known.at, number)
                }
            };
            rows.push((place, &row.fields));
        }
    }
    for (sweep, SweptRows { of, numbers, .. }) in sweeps {
        // What a damaged file says of the whole may be any number, so what is missing is not listed in full.
        let missing = of - numbers.range(..=of).count();
        if missing > 0 {
            let first = (1..=of).filter(|number| !numbers.contains(number)).take(10).collect();
            return Err(MergeError::Missing { sweep: sweep.to_owned(), rows: of, missing, first });
        }
    }
    rows.sort_by_key(|(place, _)| *place);
    for (_, fields) in rows {
        writer.write_record(fields)?;
    }
    Ok(writer.into_inner().map_err(|error| csv::Error::from(error.into_error()))?)
}

/// The rows of one sweep: where the first stands, how many it has, and which are there.
struct SweptRows {
    at: usize,
    of: usize,
    numbers: BTreeSet<usize>,
}

/// What the column `sweep` says: which sweep, which of its rows, of how many; nothing for a single run.
fn swept(text: &str) -> Option<(&str, usize, usize)> {
    let (sweep, row) = text.split_once(':')?;
    let (number, of) = row.split_once('/')?;
    let (number, of) = (number.parse().ok()?, of.parse().ok()?);
    (1..=of).contains(&number).then_some((sweep, number, of))
}

fn difference(first: &[String], second: &[String]) -> Option<String> {
    let at = (0..first.len().max(second.len())).find(|&i| first.get(i) != second.get(i))?;
    let name = |list: &[String]| list.get(at).map_or("nothing".to_owned(), |name| format!("`{name}`"));
    Some(format!("{} and {} in place {}", name(first), name(second), at + 1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::row::{Role, SCHEMA};
    use crate::report::{Row, samples};

    fn run(relu: &str) -> Row {
        samples::run("net, \"the\" first", relu, (4, 4), 90.0, 91.0)
    }

    #[test]
    fn rows_follow_each_other_under_one_header() {
        let (first, second) = ([run("paper:4"), run("paper:5")], [run("paper:6")]);
        let merged = merge(&[samples::saved("a.csv", &first), samples::saved("b.csv", &second)]).unwrap();
        let whole = samples::saved("c.csv", &[&first[..], &second].concat());
        assert_eq!(merged, merge(&[whole]).unwrap());
        assert_eq!(merged.iter().filter(|&&byte| byte == b'\n').count(), 4);
    }

    fn of_sweep(relu: &str, place: &str) -> Row {
        Row { sweep: Some(format!("1a2b:{place}")), ..run(relu) }
    }

    #[test]
    fn shards_in_any_order_are_the_sweep_in_its_own() {
        let parts = [of_sweep("paper:4", "1/3"), of_sweep("paper:5", "2/3"), of_sweep("paper:6", "3/3")];
        let whole = merge(&[samples::saved("whole.csv", &parts)]).unwrap();
        let turned = [samples::saved("b.csv", &parts[2..]), samples::saved("a.csv", &parts[..2])];
        assert_eq!(merge(&turned).unwrap(), whole);
    }

    #[test]
    fn a_sweep_with_rows_missing_is_refused_with_their_numbers() {
        let parts = [of_sweep("paper:4", "1/4"), of_sweep("paper:5", "3/4")];
        let error = merge(&[samples::saved("a.csv", &parts), samples::saved("b.csv", &[run("paper:6")])]).unwrap_err();
        assert!(error.to_string().contains("2 of the 4 rows of sweep 1a2b are missing: 2, 4;"), "{error}");
    }

    #[test]
    fn a_run_that_is_there_twice_is_refused_with_both_places() {
        let other_batch = Row { batch: 7, seconds: 1.0, version: "later".into(), ..run("paper:5") };
        let files =
            [samples::saved("a.csv", &[run("paper:4"), run("paper:5")]), samples::saved("b.csv", &[other_batch])];
        let error = merge(&files).unwrap_err().to_string();
        assert!(error.contains("b.csv, line 2: the run of a.csv, line 3"), "{error}");
    }

    #[test]
    fn any_other_setting_makes_another_run_and_nothing_else_does() {
        let one = samples::saved("a.csv", &[run("paper:4")]);
        for (at, column) in SCHEMA.iter().enumerate() {
            let mut other = SavedResults { path: "b.csv".into(), ..one.clone() };
            other.rows[0].fields[at] = "other".to_owned();
            assert_eq!(merge(&[one.clone(), other]).is_ok(), column.role == Role::Setting, "{}", column.name);
        }
        let mut later = [one.clone(), SavedResults { path: "b.csv".into(), ..one }];
        later.iter_mut().for_each(|file| file.columns.push("of a later version".to_owned()));
        later[0].rows[0].fields.push("1".to_owned());
        later[1].rows[0].fields.push("2".to_owned());
        assert!(merge(&later).is_ok());
    }

    #[test]
    fn files_of_different_versions_are_refused() {
        let (first, mut second) = (samples::saved("a.csv", &[]), samples::saved("b.csv", &[]));
        let last = second.columns.pop().unwrap();
        let error = merge(&[first, second]).unwrap_err().to_string();
        assert!(error.contains(&format!("a.csv and b.csv have different columns: `{last}` and nothing")), "{error}");
    }
}
