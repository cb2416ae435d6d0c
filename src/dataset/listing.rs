//! What lies in a folder of images: images, folders, and what is left out of both and has to be told.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use super::DatasetError;

/// What torchvision's ImageFolder takes for an image.
pub(super) const EXTENSIONS: [&str; 9] = ["jpg", "jpeg", "png", "ppm", "bmp", "pgm", "tif", "tiff", "webp"];

/// Folders that systems and programs put beside one's own.
const SYSTEM: [&str; 8] = [
    "__MACOSX", "@eaDir", "#recycle", "#snapshot", "$RECYCLE.BIN", "System Volume Information", "lost+found",
    "__pycache__",
];

/// What lies in one folder, each list by name.
#[derive(Debug, Default)]
pub(super) struct Listing {
    pub folders: Vec<PathBuf>,
    /// Everything that has the name of an image and is no folder, links to nowhere too.
    pub images: Vec<PathBuf>,
    /// Hidden folders, and those of [`SYSTEM`].
    pub hidden: Vec<PathBuf>,
}

impl Listing {
    /// What lies in `folder`.
    ///
    /// # Errors
    /// [`DatasetError`]: an unreadable folder, or an entry that may be a folder and cannot be reached.
    pub fn read(folder: &Path) -> Result<Listing, DatasetError> {
        let read = |source| DatasetError::Read { path: folder.to_owned(), source };
        let entries: Result<Vec<PathBuf>, _> =
            std::fs::read_dir(folder).map_err(read)?.map(|entry| entry.map(|entry| entry.path())).collect();
        let mut entries = entries.map_err(read)?;
        entries.sort();
        let mut listing = Listing::default();
        for path in entries {
            match path.metadata() {
                Ok(metadata) if metadata.is_dir() && is_hidden(&path) => listing.hidden.push(path),
                Ok(metadata) if metadata.is_dir() => listing.folders.push(path),
                _ if is_image(&path) => listing.images.push(path),
                Err(_) if !is_hidden(&path) => {
                    let reason = "a link to nowhere, or not accessible; if it is a folder, its images are missing: \
                                  repair or remove it";
                    return Err(DatasetError::Content { path, reason: reason.to_owned() });
                }
                _ => {}
            }
        }
        Ok(listing)
    }
}

/// The images below a folder, and what was left out there.
#[derive(Debug, Default)]
pub(super) struct Walk {
    pub images: Vec<PathBuf>,
    /// Hidden folders.
    pub hidden: Vec<PathBuf>,
}

impl Walk {
    /// Files of `folder` by name, then those of its subfolders by name, as `os.walk` gives them when sorted.
    ///
    /// # Errors
    /// As [`Listing::read`], and a link to a folder that it lies in.
    pub fn below(folder: &Path) -> Result<Walk, DatasetError> {
        let mut walk = Walk::default();
        walk.add(folder)?;
        Ok(walk)
    }

    fn add(&mut self, folder: &Path) -> Result<(), DatasetError> {
        let listing = Listing::read(folder)?;
        self.images.extend(listing.images);
        self.hidden.extend(listing.hidden);
        for inner in listing.folders {
            refuse_circle(folder, &inner)?;
            let before = self.images.len();
            self.add(&inner)?;
            // An empty folder with the name of an image is an image that cannot be read.
            if self.images.len() == before && is_image(&inner) {
                self.images.push(inner);
            }
        }
        Ok(())
    }
}

/// A sentence about each of the folders `left_out` that holds images, `why` none of them is used.
pub(super) fn told(left_out: &[PathBuf], root: &Path, why: &str) -> Vec<String> {
    let told = |path: &PathBuf| {
        // What cannot be read there is not used either.
        let images = Walk::below(path).map_or(0, |walk| walk.images.len());
        let name = shown(path.strip_prefix(root).unwrap_or(path).as_os_str());
        (images > 0).then(|| format!("{images} image(s) in {name} are left out: {why}"))
    };
    left_out.iter().filter_map(told).collect()
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

fn is_hidden(path: &Path) -> bool {
    let name = file_name(path);
    name.starts_with('.') || SYSTEM.contains(&name.as_str())
}

pub(super) fn is_image(path: &Path) -> bool {
    let extension = path.extension().map(|extension| extension.to_string_lossy().to_ascii_lowercase());
    extension.is_some_and(|extension| EXTENSIONS.contains(&extension.as_str()))
}

/// The last part of `path`, as [`shown`].
pub(super) fn file_name(path: &Path) -> String {
    path.file_name().map(shown).unwrap_or_default()
}

/// `name` as text. Bytes that are not UTF-8 become `\xff`, so that two names never become one.
pub(super) fn shown(name: &OsStr) -> String {
    let mut text = String::new();
    for chunk in name.as_encoded_bytes().utf8_chunks() {
        text += chunk.valid();
        text.extend(chunk.invalid().iter().map(|byte| format!("\\x{byte:02x}")));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::ffi::OsStrExt;

    #[test]
    fn names_that_are_not_utf_8_stay_apart() {
        let names: [&[u8]; 4] = [b"caf\xe9", b"caf\xe8", "café".as_bytes(), b"\xff\xfe.png"];
        assert_eq!(
            names.map(|name| shown(OsStr::from_bytes(name))),
            ["caf\\xe9", "caf\\xe8", "café", "\\xff\\xfe.png"]
        );
    }

    #[test]
    fn links_to_nowhere_are_images_and_hidden_folders_are_not_classes() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["b", ".ipynb_checkpoints", "__MACOSX", "empty.png"] {
            std::fs::create_dir(folder.path().join(name)).unwrap();
        }
        for name in ["1.PNG", ".ipynb_checkpoints/1.png", "notes.txt"] {
            std::fs::write(folder.path().join(name), "").unwrap();
        }
        std::os::unix::fs::symlink("/nowhere/x", folder.path().join("0.jpg")).unwrap();
        let listing = Listing::read(folder.path()).unwrap();
        let names = |paths: &[PathBuf]| paths.iter().map(|path| file_name(path)).collect::<Vec<_>>();
        assert_eq!(names(&listing.images), ["0.jpg", "1.PNG"]);
        assert_eq!(names(&listing.folders), ["b", "empty.png"]);
        assert_eq!(names(&Walk::below(folder.path()).unwrap().images), ["0.jpg", "1.PNG", "empty.png"]);
        let told = told(&listing.hidden, folder.path(), "hidden");
        assert_eq!(told, ["1 image(s) in .ipynb_checkpoints are left out: hidden"]);
        std::os::unix::fs::symlink("/nowhere", folder.path().join("n01440764")).unwrap();
        assert!(Listing::read(folder.path()).unwrap_err().to_string().contains("n01440764: a link to nowhere"));
    }
}
