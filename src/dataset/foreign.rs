//! Datasets in forms that are not read: named for what they are, with what to do.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use flate2::read::MultiGzDecoder;

/// Enough to see what a file is: the header of a tar archive.
const BEGIN: usize = 512;

/// What a file is by its first bytes, and what to do.
const BY_CONTENT: [(&[u8], &str); 13] = [
    (b"PK\x03\x04", "a zip archive, in which images cannot be read in place; unpack it and name the folder"),
    (b"PAR1", "a Parquet file; save its images as files and their labels with --labels FILE"),
    (b"ARROW1", "an Arrow file; save its images as files and their labels with --labels FILE"),
    (b"\x89HDF", "an HDF5 file; save its images as files and their labels with --labels FILE"),
    (b"\x93NUMPY", "a NumPy array; save its images as files and their labels with --labels FILE"),
    (b"BZh", "compressed by bzip2; decompress it with `bunzip2 -k`"),
    (b"\xfd7zXZ", "compressed by xz; decompress it with `unxz -k`"),
    (b"\x28\xb5\x2f\xfd", "compressed by zstd; decompress it with `unzstd`"),
    (b"7z\xbc\xaf", "a 7z archive; unpack it and name the folder"),
    (b"Rar!", "a RAR archive; unpack it and name the folder"),
    (b"\xff\xd8\xff", "a single JPEG; name the folder of the images"),
    (b"\x89PNG", "a single PNG; name the folder of the images"),
    (b"\x1f\x9d", "compressed by compress; decompress it with `uncompress`"),
];

const PICKLE: &str = "CIFAR's Python version or another pickle; download the binary version (cifar-10-binary.tar.gz or \
                      cifar-100-binary.tar.gz)";

/// Files that lie alone in a folder of a form that is not read.
const BY_ENDING: [(&str, &str); 8] = [
    (".parquet", "Parquet files; save their images as files and their labels with --labels FILE"),
    (".arrow", "Arrow files; save their images as files and their labels with --labels FILE"),
    (".tfrecord", "TFRecord files; save their images as files and their labels with --labels FILE"),
    (".tar", "tar archives (shards of a WebDataset?); name one of them, or unpack them and name the folder"),
    (".tar.gz", "compressed tar archives; decompress them and name one, or unpack them and name the folder"),
    (".tgz", "compressed tar archives; decompress them and name one, or unpack them and name the folder"),
    (".zip", "zip archives; unpack them and name the folder"),
    (".npz", "NumPy arrays; save their images as files and their labels with --labels FILE"),
];

/// What lies at `path` and what to do, if it is a file of a known form that is not read.
pub(super) fn advice(path: &Path) -> Option<String> {
    if !path.is_file() {
        return None;
    }
    let begin = beginning(File::open(path).ok()?);
    if let Some((_, what)) = BY_CONTENT.iter().find(|(magic, _)| begin.starts_with(magic)) {
        return Some(format!("it is {what}"));
    }
    if is_pickle(&begin) {
        return Some(format!("it is {PICKLE}"));
    }
    let is_tar = |bytes: &[u8]| bytes.get(257..262) == Some(b"ustar");
    let inner = begin.starts_with(b"\x1f\x8b").then(|| File::open(path).ok()).flatten();
    if inner.is_some_and(|file| is_tar(&beginning(MultiGzDecoder::new(file)))) {
        return Some(
            "it is a compressed tar archive, in which images cannot be read in place; decompress it with `gunzip -k` and name \
             the .tar"
                .to_owned(),
        );
    }
    None
}

/// What lies in the folder `path` and what to do, if it is of a known form that is not read.
pub(super) fn advice_on_folder(path: &Path) -> Option<String> {
    let entries = std::fs::read_dir(path).ok()?;
    let mut names: Vec<String> =
        entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    for name in ["test_batch", "test", "data_batch_1"] {
        if File::open(path.join(name)).is_ok_and(|file| is_pickle(&beginning(file))) {
            return Some(format!("{name} in it is {PICKLE}"));
        }
    }
    for (ending, what) in BY_ENDING {
        // TFRecord files are numbered after the ending.
        let matches = |name: &&String| name.ends_with(ending) || name.contains(&format!("{ending}-"));
        if let Some(name) = names.iter().find(matches) {
            return Some(format!("it holds {what}: {name}"));
        }
    }
    None
}

/// Whether classes lie beside the first images of the tar archive at `path`, in files `.cls`.
pub(super) fn is_web_dataset(path: &Path) -> bool {
    let Ok(file) = File::open(path) else { return false };
    let mut archive = tar::Archive::new(file);
    let Ok(entries) = archive.entries_with_seek() else { return false };
    let is_class =
        |entry: tar::Entry<File>| entry.path().is_ok_and(|name| name.extension().is_some_and(|end| end == "cls"));
    entries.take(10).flatten().any(is_class)
}

/// Protocols 2 to 5 begin with their number.
fn is_pickle(begin: &[u8]) -> bool {
    matches!(begin, [0x80, 2..=5, ..])
}

/// The first bytes, as many as can be read.
fn beginning(file: impl Read) -> Vec<u8> {
    let mut bytes = Vec::new();
    // What cannot be read is no known form; reading it in earnest tells why.
    let _ = file.take(BEGIN as u64).read_to_end(&mut bytes);
    bytes
}
