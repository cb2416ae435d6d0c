//! CIFAR-10 and CIFAR-100 in their binary version.
//!
//! A record is one label byte (CIFAR-10) or a coarse and a fine one (CIFAR-100), then 3072 bytes: 32×32 red, green, blue
//! (<https://www.cs.toronto.edu/~kriz/cifar.html>). The test part is read: `test_batch.bin` or `test.bin`.

use std::path::{Path, PathBuf};

use super::DatasetError;
use super::pixels::Pixels;
use crate::bounded;

const SHAPE: [usize; 3] = [3, 32, 32];
const PIXELS: usize = 3 * 32 * 32;

/// More than any real set, and a bound for what a wrong file can fill.
const MAX_BYTES: u64 = 1 << 34;

/// Which of the two, by the number of label bytes in a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cifar {
    Ten,
    Hundred,
}

impl Cifar {
    fn label_bytes(self) -> usize {
        match self {
            Cifar::Ten => 1,
            Cifar::Hundred => 2,
        }
    }
}

/// The file of test images at `path`, a folder or the file itself, and which CIFAR it is; `None` if it is neither.
pub(super) fn recognise(path: &Path) -> Option<(PathBuf, Cifar)> {
    if path.is_dir() {
        let candidates = [("test_batch.bin", Cifar::Ten), ("test.bin", Cifar::Hundred)];
        let found = candidates.iter().find(|(name, _)| path.join(name).is_file());
        return found.map(|&(name, kind)| (path.join(name), kind));
    }
    let bin = path.extension().is_some_and(|extension| extension == "bin");
    let length = path.metadata().ok().filter(|_| bin)?.len() as usize;
    // Files of the same length as both have a multiple of 3073·3074 bytes; the sets have 10,000 and 50,000 records.
    let fits = |kind: Cifar| length > 0 && length.is_multiple_of(PIXELS + kind.label_bytes());
    [Cifar::Ten, Cifar::Hundred].into_iter().find(|&kind| fits(kind)).map(|kind| (path.to_owned(), kind))
}

/// Read `file`: images, and the labels (the fine ones of CIFAR-100).
///
/// # Errors
/// [`DatasetError`]: unreadable, empty, or not a whole number of records.
pub(super) fn read(file: &Path, kind: Cifar) -> Result<(Pixels, Vec<u32>), DatasetError> {
    let read = bounded::read(file, MAX_BYTES);
    let bytes = read.map_err(|source| DatasetError::Read { path: file.to_owned(), source })?;
    let record = PIXELS + kind.label_bytes();
    if bytes.is_empty() || !bytes.len().is_multiple_of(record) {
        let reason = format!("{} bytes are no whole number of records of {record} bytes", bytes.len());
        return Err(DatasetError::Content { path: file.to_owned(), reason });
    }
    let mut pixels = Vec::with_capacity(bytes.len() / record * PIXELS);
    let mut labels = Vec::with_capacity(bytes.len() / record);
    for record in bytes.chunks_exact(record) {
        let (label, image) = record.split_at(kind.label_bytes());
        labels.extend(label.last().map(|&label| u32::from(label)));
        pixels.extend(image);
    }
    Ok((Pixels::new(SHAPE, pixels), labels))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(folder: &Path, name: &str, records: &[(&[u8], u8)]) -> PathBuf {
        let path = folder.join(name);
        let bytes: Vec<u8> =
            records.iter().flat_map(|(label, grey)| [label.to_vec(), vec![*grey; PIXELS]].concat()).collect();
        std::fs::write(&path, bytes).unwrap();
        path
    }

    #[test]
    fn both_sets_are_told_apart_and_read() {
        let folder = tempfile::tempdir().unwrap();
        let ten = file(folder.path(), "test_batch.bin", &[(&[3], 7), (&[9], 8)]);
        assert_eq!(recognise(folder.path()), Some((ten.clone(), Cifar::Ten)));
        let (pixels, labels) = read(&ten, Cifar::Ten).unwrap();
        assert_eq!((pixels.shape(), labels), (SHAPE, vec![3, 9]));
        assert_eq!(pixels.image(1)[0], 8);
        let hundred = file(folder.path(), "any.bin", &[(&[4, 99], 1)]);
        assert_eq!(recognise(&hundred), Some((hundred.clone(), Cifar::Hundred)));
        assert_eq!(read(&hundred, Cifar::Hundred).unwrap().1, [99]);
    }

    #[test]
    fn a_file_that_is_cut_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = file(folder.path(), "test_batch.bin", &[(&[3], 7)]);
        std::fs::write(&path, &std::fs::read(&path).unwrap()[..3000]).unwrap();
        assert!(read(&path, Cifar::Ten).unwrap_err().to_string().contains("3000 bytes"));
        assert_eq!(recognise(&folder.path().join("missing.bin")), None);
    }
}
