//! Images that are stored as encoded files: in class folders, in one folder, or in a tar archive. Read in place, in the
//! order of their names.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::DatasetError;
use crate::bounded;

/// What torchvision's ImageFolder takes for an image.
const EXTENSIONS: [&str; 9] = ["jpg", "jpeg", "png", "ppm", "bmp", "pgm", "tif", "tiff", "webp"];

/// No picture of as many pixels as are read is longer.
const MAX_BYTES: u64 = 1 << 31;

/// One encoded image.
#[derive(Debug, Clone)]
pub(super) struct EncodedFile {
    /// File name, or path below the class folder's parent; unique, and what errors show.
    pub name: String,
    place: Place,
}

#[derive(Debug, Clone)]
enum Place {
    File(PathBuf),
    Part { archive: Arc<File>, offset: u64, length: u64 },
}

impl EncodedFile {
    /// The file's bytes.
    ///
    /// # Errors
    /// What opening and reading reports.
    pub fn read(&self) -> std::io::Result<Vec<u8>> {
        match &self.place {
            Place::File(path) => bounded::read(path, MAX_BYTES),
            Place::Part { archive, offset, length } => {
                if *length > MAX_BYTES {
                    return Err(bounded::too_long(MAX_BYTES));
                }
                let mut bytes = vec![0; *length as usize];
                archive.read_exact_at(&mut bytes, *offset)?;
                Ok(bytes)
            }
        }
    }
}

/// The class folders of `folder` in alphabetical order, and their images in torchvision's order: folder by folder, in
/// each the files of a directory by name before those of its subdirectories. The second part is the class of each.
///
/// # Errors
/// [`DatasetError`]: unreadable folders, or no image in any of them.
pub(super) fn class_folders(folder: &Path) -> Result<(Vec<EncodedFile>, Vec<String>), DatasetError> {
    let (mut files, mut classes) = (Vec::new(), Vec::new());
    for class in entries(folder)?.into_iter().filter(|path| path.is_dir()) {
        let name = file_name(&class);
        let mut found = Vec::new();
        walk(&class, &mut found)?;
        for path in found {
            let shown = path.strip_prefix(folder).unwrap_or(&path).to_string_lossy().into_owned();
            files.push(EncodedFile { name: shown, place: Place::File(path) });
            classes.push(name.clone());
        }
    }
    if files.is_empty() {
        let reason = format!("no image in any class folder; images are *.{}", EXTENSIONS.join(", *."));
        return Err(DatasetError::Content { path: folder.to_owned(), reason });
    }
    Ok((files, classes))
}

/// The names of all class folders, those without an image too.
///
/// # Errors
/// [`DatasetError::Read`].
pub(super) fn class_names(folder: &Path) -> Result<Vec<String>, DatasetError> {
    Ok(entries(folder)?.iter().filter(|path| path.is_dir()).map(|path| file_name(path)).collect())
}

/// Whether there is a class folder with an image in `folder`.
pub(super) fn has_class_folders(folder: &Path) -> bool {
    let entries = entries(folder).unwrap_or_default();
    entries.iter().filter(|path| path.is_dir()).any(|class| {
        let mut found = Vec::new();
        walk(class, &mut found).is_ok() && !found.is_empty()
    })
}

/// The images that lie in `folder` itself, by name.
///
/// # Errors
/// [`DatasetError`]: an unreadable folder, or no image in it.
pub(super) fn flat_folder(folder: &Path) -> Result<Vec<EncodedFile>, DatasetError> {
    let images = entries(folder)?.into_iter().filter(|path| is_image(path) && path.is_file());
    let files: Vec<EncodedFile> =
        images.map(|path| EncodedFile { name: file_name(&path), place: Place::File(path) }).collect();
    if files.is_empty() {
        let reason = format!("no image in this folder; images are *.{}", EXTENSIONS.join(", *."));
        return Err(DatasetError::Content { path: folder.to_owned(), reason });
    }
    Ok(files)
}

/// The images in a tar archive, by name.
///
/// # Errors
/// [`DatasetError`]: unreadable, damaged, or without an image.
pub(super) fn tar(path: &Path) -> Result<Vec<EncodedFile>, DatasetError> {
    let read = |source| DatasetError::Read { path: path.to_owned(), source };
    let archive = Arc::new(File::open(path).map_err(read)?);
    let size = archive.metadata().map_err(read)?.len();
    let mut files = Vec::new();
    let mut entries = tar::Archive::new(archive.as_ref());
    for entry in entries.entries_with_seek().map_err(read)? {
        let entry = entry.map_err(read)?;
        let name = entry.path().map_err(read)?.into_owned();
        if !entry.header().entry_type().is_file() || !is_image(&name) {
            continue;
        }
        let (offset, length) = (entry.raw_file_position(), entry.size());
        if offset.checked_add(length).is_none_or(|end| end > size) {
            let reason = format!("the archive is cut short inside {}", name.display());
            return Err(DatasetError::Content { path: path.to_owned(), reason });
        }
        files.push(EncodedFile {
            name: file_name(&name),
            place: Place::Part { archive: archive.clone(), offset, length },
        });
    }
    if files.is_empty() {
        return Err(DatasetError::Content { path: path.to_owned(), reason: "no image in this tar archive".to_owned() });
    }
    // Every archive ends in blocks of zeros; without them, further images may be missing.
    let mut end = [0; 512];
    archive.read_exact_at(&mut end, size.saturating_sub(512)).map_err(read)?;
    if end != [0; 512] {
        let reason = "the archive is cut short: the mark of its end is missing".to_owned();
        return Err(DatasetError::Content { path: path.to_owned(), reason });
    }
    files.sort_by(|a, b| a.name.cmp(&b.name));
    if let Some(pair) = files.windows(2).find(|pair| pair[0].name == pair[1].name) {
        let reason = format!("two images are named {}, and labels go by the name", pair[0].name);
        return Err(DatasetError::Content { path: path.to_owned(), reason });
    }
    Ok(files)
}

/// Whether the file begins with a tar header.
pub(super) fn is_tar(path: &Path) -> bool {
    let mut magic = [0; 5];
    File::open(path).and_then(|file| file.read_exact_at(&mut magic, 257)).is_ok() && &magic == b"ustar"
}

/// Files of `folder` by name, then those of its subdirectories by name, as `os.walk` gives them when sorted.
fn walk(folder: &Path, found: &mut Vec<PathBuf>) -> Result<(), DatasetError> {
    let entries = entries(folder)?;
    found.extend(entries.iter().filter(|path| path.is_file() && is_image(path)).cloned());
    for inner in entries.iter().filter(|path| path.is_dir()) {
        refuse_circle(folder, inner)?;
        walk(inner, found)?;
    }
    Ok(())
}

/// Fail if `inner`, in `folder`, is a link back to a folder that holds it: its images would come again and again.
fn refuse_circle(folder: &Path, inner: &Path) -> Result<(), DatasetError> {
    let read = |source| DatasetError::Read { path: inner.to_owned(), source };
    if inner.is_symlink() && folder.canonicalize().map_err(read)?.starts_with(inner.canonicalize().map_err(read)?) {
        let reason = "it is a link to a folder that it lies in; remove it".to_owned();
        return Err(DatasetError::Content { path: inner.to_owned(), reason });
    }
    Ok(())
}

/// What is in `folder`, by name.
fn entries(folder: &Path) -> Result<Vec<PathBuf>, DatasetError> {
    let read = |source| DatasetError::Read { path: folder.to_owned(), source };
    let entries: Result<Vec<PathBuf>, _> =
        std::fs::read_dir(folder).map_err(read)?.map(|entry| entry.map(|entry| entry.path())).collect();
    let mut entries = entries.map_err(read)?;
    entries.sort();
    Ok(entries)
}

fn is_image(path: &Path) -> bool {
    let extension = path.extension().map(|extension| extension.to_string_lossy().to_ascii_lowercase());
    extension.is_some_and(|extension| EXTENSIONS.contains(&extension.as_str()))
}

fn file_name(path: &Path) -> String {
    path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}
