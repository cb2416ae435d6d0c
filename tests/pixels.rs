//! Pictures against torchvision on Pillow, computed live: every byte and every float must be the same.
#![cfg(feature = "libtorch")]

mod common;

use std::collections::BTreeMap;
use std::path::Path;

use common::{python, read_f32, text};
use polyact::dataset::Preparation;
use polyact::dataset::picture::{Interpolation, Transform, decode};

const MEAN: [f32; 3] = [0.485, 0.456, 0.406];
const STD: [f32; 3] = [0.229, 0.224, 0.225];

/// A line of what the script expects.
struct Case<'a> {
    image: &'a str,
    transform: Transform,
    kind: &'a str,
    size: (usize, usize),
    file: &'a str,
}

impl<'a> Case<'a> {
    fn parse(line: &'a str) -> Case<'a> {
        let fields: Vec<&str> = line.split('\t').collect();
        let [image, resize, crop, interpolation, kind, width, height, file] = fields[..] else {
            panic!("{line}");
        };
        let interpolation = if interpolation == "bicubic" { Interpolation::Bicubic } else { Interpolation::Bilinear };
        let transform = Transform { resize: resize.parse().ok(), crop: crop.parse().ok(), interpolation };
        Case { image, transform, kind, size: (width.parse().unwrap(), height.parse().unwrap()), file }
    }

    /// What differs from what is expected, if anything does.
    fn difference(&self, folder: &Path) -> Option<String> {
        let image = std::fs::read(folder.join(self.image)).unwrap();
        let decoded = decode(&image).map(|picture| if self.kind == "l8" { picture.grey() } else { picture });
        let found = decoded.and_then(|picture| self.transform.apply(picture));
        let found = match (found, self.kind) {
            (Err(_), "refused") => return None,
            (Err(error), _) => return Some(format!("refused: {error}")),
            (Ok(_), "refused") => return Some("read, and Pillow refuses it".to_owned()),
            (Ok(found), _) => found,
        };
        if (found.width, found.height) != self.size {
            return Some(format!("{} x {} instead of {:?}", found.width, found.height, self.size));
        }
        let expected = folder.join(self.file);
        let wrong = match self.kind {
            "f32" => {
                let preparation = Preparation { transform: self.transform, mean: MEAN.to_vec(), std: STD.to_vec() };
                different(preparation.normalised(&found).iter().map(|x| x.to_bits()), &bits(&expected))
            }
            "l8" => {
                let planes = std::fs::read(&expected).unwrap();
                let all: Vec<u8> = planes.iter().flat_map(|&grey| [grey; 3]).collect();
                different(found.pixels.iter().copied(), &all)
            }
            _ => different(found.pixels.iter().copied(), &std::fs::read(&expected).unwrap()),
        };
        (wrong > 0).then(|| format!("{wrong} of {} values differ", found.pixels.len()))
    }
}

fn bits(path: &Path) -> Vec<u32> {
    read_f32(path).iter().map(|x| x.to_bits()).collect()
}

fn different<T: PartialEq>(found: impl ExactSizeIterator<Item = T>, expected: &[T]) -> usize {
    assert_eq!(found.len(), expected.len());
    found.zip(expected).filter(|(found, expected)| found != *expected).count()
}

#[test]
fn pictures_are_torchvision_s_bit_for_bit() {
    let folder = tempfile::tempdir().unwrap();
    python("pixels.py", &[text(folder.path())]);
    let lines = std::fs::read_to_string(folder.path().join("cases.tsv")).unwrap();
    let mut counts = BTreeMap::<&str, usize>::new();
    let mut wrong = Vec::new();
    for line in lines.lines() {
        let case = Case::parse(line);
        *counts.entry(case.kind).or_default() += 1;
        wrong.extend(case.difference(folder.path()).map(|difference| format!("{line}: {difference}")));
    }
    println!("compared: {counts:?}");
    assert!(counts["u8"] > 1000 && counts["l8"] > 1000 && counts["f32"] > 100 && counts["refused"] > 300, "{counts:?}");
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), lines.lines().count(), wrong.join("\n"));
}
