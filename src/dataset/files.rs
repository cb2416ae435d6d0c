//! Images that are stored as encoded files: in class folders, in one folder, or in a tar archive. Read in place, in the
//! order of their names.

use std::fs::File;
use std::io::{Error, ErrorKind};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::DatasetError;
use super::classes::Classes;
use super::listing::{EXTENSIONS, Listing, Walk, file_name, is_image, shown, told};
use crate::bounded;

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
    Part {
        archive: Arc<File>,
        offset: u64,
        length: u64,
    },
    /// A link or another special entry of an archive, which has no bytes of its own.
    Special,
}

impl EncodedFile {
    /// The file's bytes.
    ///
    /// # Errors
    /// What opening and reading reports.
    pub fn read(&self) -> std::io::Result<Vec<u8>> {
        match &self.place {
            Place::File(path) => read_regular(path),
            Place::Special => Err(Error::other("it is a link or a special entry in the archive, without content")),
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

/// The bytes of a file, which must not be a folder, a pipe or a device: these may never end, or never begin.
fn read_regular(path: &Path) -> std::io::Result<Vec<u8>> {
    match path.metadata() {
        Ok(metadata) if metadata.is_file() => bounded::read(path, MAX_BYTES),
        Ok(metadata) if metadata.is_dir() => Err(Error::other("it is a folder")),
        Ok(_) => Err(Error::other("it is neither a file nor a link to one")),
        Err(error) if error.kind() == ErrorKind::NotFound && path.is_symlink() => {
            let target = path.read_link().unwrap_or_default();
            Err(Error::other(format!("it is a link to {}, which does not exist", target.display())))
        }
        Err(error) => Err(error),
    }
}

/// Images without classes, by name.
#[derive(Debug)]
pub(super) struct Listed {
    pub files: Vec<EncodedFile>,
    /// What the user has to know of what is left out.
    pub notes: Vec<String>,
}

/// The images of a folder of class folders.
#[derive(Debug)]
pub(super) struct ClassFolders {
    /// Folder by folder, in each the files of a folder by name before those of its subfolders, as torchvision has them.
    pub files: Vec<EncodedFile>,
    /// The class folder of each.
    pub class_of: Vec<String>,
    /// All class folders in the order of their classes, those without an image too.
    pub names: Vec<String>,
    /// What the user has to know of the order and of what is left out.
    pub notes: Vec<String>,
}

/// The class folders of `folder`: in alphabetical order, or by number if each is named by a whole number. Hidden folders
/// are none, unless `listed` has their names.
///
/// # Errors
/// [`DatasetError`]: unreadable folders, or no image in any of them.
pub(super) fn class_folders(folder: &Path, listed: Option<&Classes>) -> Result<ClassFolders, DatasetError> {
    let content = |reason: String| DatasetError::Content { path: folder.to_owned(), reason };
    let listing = Listing::read(folder)?;
    let is_listed = |path: &PathBuf| listed.is_some_and(|classes| classes.of(&file_name(path)).is_some());
    let (wanted, hidden): (Vec<PathBuf>, Vec<PathBuf>) = listing.hidden.into_iter().partition(is_listed);
    let mut folders = [listing.folders, wanted].concat();
    folders.sort();
    let mut notes = told(&hidden, folder, "it is hidden and not taken for a class");
    if !listing.images.is_empty() {
        let (count, first) = (listing.images.len(), file_name(&listing.images[0]));
        notes.push(format!("{count} image(s) beside the class folders are left out, such as {first}"));
    }
    if by_number(&mut folders) && listed.is_none() {
        notes.push(
            "the class folders are numbers and taken in numeric order, 2 before 10; torchvision's ImageFolder would sort them \
             as text"
                .to_owned(),
        );
    }
    let names: Vec<String> = folders.iter().map(|path| file_name(path)).collect();
    let (mut files, mut class_of) = (Vec::new(), Vec::new());
    for (class, name) in folders.iter().zip(&names) {
        let walk = Walk::below(class)?;
        notes.extend(told(&walk.hidden, folder, "it is hidden"));
        for path in walk.images {
            let name_of_file = shown(path.strip_prefix(folder).unwrap_or(&path).as_os_str());
            files.push(EncodedFile { name: name_of_file, place: Place::File(path) });
            class_of.push(name.clone());
        }
    }
    if files.is_empty() {
        return Err(content(format!("no image in any class folder; images are *.{}", EXTENSIONS.join(", *."))));
    }
    Ok(ClassFolders { files, class_of, names, notes })
}

/// Sort `folders` by number if each is named by a whole number without leading zeros; whether this changed the order.
fn by_number(folders: &mut Vec<PathBuf>) -> bool {
    let number = |path: &PathBuf| {
        let name = file_name(path);
        name.parse::<u64>().ok().filter(|number| number.to_string() == name)
    };
    let numbers: Option<Vec<u64>> = folders.iter().map(number).collect();
    let Some(numbers) = numbers else { return false };
    let mut numbered: Vec<(u64, PathBuf)> = numbers.iter().copied().zip(std::mem::take(folders)).collect();
    numbered.sort();
    folders.extend(numbered.into_iter().map(|(_, path)| path));
    !numbers.is_sorted()
}

/// Whether there is a class folder with an image in `folder`.
pub(super) fn has_class_folders(folder: &Path) -> bool {
    let folders = Listing::read(folder).map(|listing| listing.folders).unwrap_or_default();
    folders.iter().any(|class| Walk::below(class).map_or(true, |walk| !walk.images.is_empty()))
}

/// The images that lie in `folder` itself, by name, and what the user has to know of others.
///
/// # Errors
/// [`DatasetError`]: an unreadable folder, or no image in it.
pub(super) fn flat_folder(folder: &Path) -> Result<Listed, DatasetError> {
    let Listing { folders, mut images, .. } = Listing::read(folder)?;
    let (unreadable, folders): (Vec<PathBuf>, Vec<PathBuf>) = folders.into_iter().partition(|path| is_image(path));
    images.extend(unreadable);
    images.sort();
    if images.is_empty() {
        let reason = format!("no image in this folder; images are *.{}", EXTENSIONS.join(", *."));
        return Err(DatasetError::Content { path: folder.to_owned(), reason });
    }
    let notes = told(&folders, folder, "only the images of the folder itself are used");
    let file = |path: PathBuf| EncodedFile { name: file_name(&path), place: Place::File(path) };
    Ok(Listed { files: images.into_iter().map(file).collect(), notes })
}

/// The images in a tar archive, by name.
///
/// # Errors
/// [`DatasetError`]: unreadable, damaged, or without an image.
pub(super) fn tar(path: &Path) -> Result<Listed, DatasetError> {
    let read = |source| DatasetError::Read { path: path.to_owned(), source };
    let archive = Arc::new(File::open(path).map_err(read)?);
    let size = archive.metadata().map_err(read)?.len();
    let mut files = Vec::new();
    let mut entries = tar::Archive::new(archive.as_ref());
    for entry in entries.entries_with_seek().map_err(read)? {
        let entry = entry.map_err(read)?;
        let name = entry.path().map_err(read)?.into_owned();
        let kind = entry.header().entry_type();
        if kind.is_dir() || !is_image(&name) {
            continue;
        }
        if !kind.is_file() {
            files.push(EncodedFile { name: file_name(&name), place: Place::Special });
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
    Ok(Listed { files, notes: Vec::new() })
}

/// Whether the file begins with a tar header.
pub(super) fn is_tar(path: &Path) -> bool {
    let mut magic = [0; 5];
    File::open(path).and_then(|file| file.read_exact_at(&mut magic, 257)).is_ok() && &magic == b"ustar"
}
