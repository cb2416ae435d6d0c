//! Rows and results files for the tests of what is made of them.

use super::{Results, Row, SavedResults, read};

/// A run on 1000 images with the range 16.
pub fn run(model: &str, relu: &str, (depth, mults): (u32, u32), top1: f64, top1_exact: f64) -> Row {
    Row {
        model: model.to_owned(),
        dataset: "data".to_owned(),
        images: 1000,
        relu: Some(relu.to_owned()),
        relu_range: Some("16.0".to_owned()),
        top1,
        top1_exact,
        top1_diff: top1 - top1_exact,
        agreement: 100.0,
        depth: Some(depth),
        mults: Some(mults),
        device: "cpu".to_owned(),
        dtype: "float32".to_owned(),
        model_sha256: format!("of {model}"),
        dataset_sha256: "of data".to_owned(),
        ..Row::default()
    }
}

/// `rows` written to a file of this name and read again.
pub fn saved(name: &str, rows: &[Row]) -> SavedResults {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    let results = Results::open(&path).unwrap();
    rows.iter().for_each(|row| results.append(row).unwrap());
    SavedResults { path: name.into(), ..read(&path).unwrap() }
}
