//! Files that are there whole or not at all.

use std::fs::File;
use std::io::{BufWriter, Seek, Write};
use std::path::{Path, PathBuf};

/// Replace the file at `path` by one with these bytes, in one step: at any moment the old or the new one is there. What is
/// no regular file, such as a pipe, is written to; a link, such as /dev/stdout, stays one.
///
/// # Errors
/// What writing reports; the old file is then as it was.
pub fn write_whole(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    replace(path, |file| file.write_all(bytes))
}

/// A file that is written bit by bit, and takes the place of the one at its path when it is finished. Until then it has no
/// name, so that nothing is left of it after a kill.
#[derive(Debug)]
pub struct WholeFile {
    path: PathBuf,
    file: BufWriter<File>,
}

impl WholeFile {
    /// Begin the file that will stand at `path`.
    ///
    /// # Errors
    /// No file can be made in its folder.
    pub fn create(path: &Path) -> std::io::Result<WholeFile> {
        let special = std::fs::metadata(path).is_ok_and(|metadata| !metadata.is_file());
        let file = if special { tempfile::tempfile()? } else { tempfile::tempfile_in(folder(&target(path)))? };
        Ok(WholeFile { path: path.to_owned(), file: BufWriter::new(file) })
    }

    /// Put it in its place, as [`write_whole`] does.
    ///
    /// # Errors
    /// What writing reports; the old file is then as it was.
    pub fn finish(self) -> std::io::Result<()> {
        let mut written = self.file.into_inner().map_err(std::io::IntoInnerError::into_error)?;
        written.rewind()?;
        replace(&self.path, |file| std::io::copy(&mut written, file).map(drop))
    }
}

impl Write for WholeFile {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.file.flush()
    }
}

/// Where a link leads.
fn target(path: &Path) -> PathBuf {
    std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned())
}

fn folder(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn replace(path: &Path, fill: impl FnOnce(&mut File) -> std::io::Result<()>) -> std::io::Result<()> {
    if std::fs::metadata(path).is_ok_and(|metadata| !metadata.is_file()) {
        return fill(&mut std::fs::OpenOptions::new().write(true).open(path)?);
    }
    let path = target(path);
    let mut file = tempfile::NamedTempFile::new_in(folder(&path))?;
    // Of the file itself, whose errors do not name a temporary place.
    fill(file.as_file_mut())?;
    file.as_file().sync_all()?;
    // A temporary file is its maker's alone; results are as readable as any other file.
    let permissions = std::fs::metadata(&path).map(|metadata| metadata.permissions());
    #[cfg(unix)]
    let permissions = permissions.unwrap_or(std::os::unix::fs::PermissionsExt::from_mode(0o644));
    file.as_file().set_permissions(permissions)?;
    file.persist(path)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_and_nothing_else_is_left_in_its_folder() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.csv");
        for text in ["one", "two"] {
            write_whole(&path, text.as_bytes()).unwrap();
            assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
        }
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
        assert!(write_whole(&folder.path().join("no/such/a.csv"), b"").is_err());
    }

    #[test]
    fn a_file_that_is_not_finished_leaves_the_old_one_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.csv");
        std::fs::write(&path, "old").unwrap();
        let begun = || {
            let mut file = WholeFile::create(&path).unwrap();
            file.write_all(b"new").unwrap();
            file
        };
        drop(begun());
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "old");
        begun().finish().unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "new");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[cfg(unix)]
    #[test]
    fn a_link_stays_one_and_what_it_points_to_is_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let [file, link] = ["a.csv", "link.csv"].map(|name| folder.path().join(name));
        std::fs::write(&file, "one").unwrap();
        std::os::unix::fs::symlink(&file, &link).unwrap();
        write_whole(&link, b"two").unwrap();
        assert!(std::fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "two");
    }
}
