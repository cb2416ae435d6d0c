//! Where results go: to stdout or into the files that flags name. What a file held stays until the whole new content is there.

use std::fs::{self, File, OpenOptions};
use std::io::Read;
use std::path::{Path, PathBuf};

use super::{Failure, print};
use crate::report::write_whole;

/// The files that a command reads and writes, to be looked at before any work is done for them.
#[derive(Default)]
pub(super) struct Files<'a> {
    inputs: Vec<(&'static str, &'a Path)>,
    outputs: Vec<Output<'a>>,
}

struct Output<'a> {
    flag: &'static str,
    path: &'a Path,
    /// How a file that may be replaced begins; nothing if a file that is there is not replaced.
    replaces: Option<&'static [&'static [u8]]>,
}

/// How many bytes of a file tell what it is.
const BEGINNING: usize = 64;

impl<'a> Files<'a> {
    /// The command reads the file or folder at `path`.
    #[cfg(feature = "libtorch")]
    pub fn reads(mut self, flag: &'static str, path: impl Into<Option<&'a Path>>) -> Self {
        self.inputs.extend(path.into().map(|path| (flag, path)));
        self
    }

    /// The command reads all of these.
    pub fn reads_all(mut self, flag: &'static str, paths: impl IntoIterator<Item = &'a Path>) -> Self {
        self.inputs.extend(paths.into_iter().map(|path| (flag, path)));
        self
    }

    /// The command adds to the file at `path`, and looks itself at what it is.
    #[cfg(feature = "libtorch")]
    pub fn appends(mut self, flag: &'static str, path: impl Into<Option<&'a Path>>) -> Self {
        self.outputs.extend(path.into().map(|path| Output { flag, path, replaces: None }));
        self
    }

    /// The command replaces the file at `path`, which it may do if that is text that begins with one of `replaces`, where `*`
    /// stands for anything, or with anything if there is none, or if it is empty.
    pub fn writes(
        mut self,
        flag: &'static str,
        path: impl Into<Option<&'a Path>>,
        replaces: &'static [&'static [u8]],
    ) -> Self {
        self.outputs.extend(path.into().map(|path| Output { flag, path, replaces: Some(replaces) }));
        self
    }

    /// See that no output is an input or another output, that none replaces a file of another kind, and that all can be
    /// written.
    ///
    /// # Errors
    /// [`Failure::Usage`] names flag and path; [`Failure::File`] for what cannot be written.
    pub fn check(&self) -> Result<(), Failure> {
        for (at, output) in self.outputs.iter().enumerate() {
            let Output { flag, path, .. } = output;
            // What is written to a terminal, a pipe or /dev/null is not kept.
            if fs::metadata(path).is_ok_and(|metadata| !metadata.is_file() && !metadata.is_dir()) {
                continue;
            }
            let shown = path.display();
            if let Some((other, _)) = self.inputs.iter().find(|(_, input)| same(path, input)) {
                return Err(Failure::Usage(format!("{flag} {shown}: {other} reads this file; name another")));
            }
            if let Some(other) = self.outputs[..at].iter().find(|other| same(path, other.path)) {
                return Err(Failure::Usage(format!(
                    "{flag} {shown}: {} writes this file; name another",
                    if other.flag == *flag { "the same option" } else { other.flag }
                )));
            }
            if output.replaces.is_some_and(|beginnings| !may_be_replaced(path, beginnings)) {
                return Err(Failure::Usage(format!(
                    "{flag} {shown}: the file that is there is of another kind; name another, or remove it"
                )));
            }
        }
        for Output { flag, path, replaces } in &self.outputs {
            if replaces.is_some() {
                check_writable(flag, path)?;
            }
        }
        Ok(())
    }
}

/// Whether two paths are one file, by whatever links and detours.
fn same(a: &Path, b: &Path) -> bool {
    #[cfg(unix)]
    if let (Ok(a), Ok(b)) = (fs::metadata(a), fs::metadata(b)) {
        use std::os::unix::fs::MetadataExt;
        return (a.dev(), a.ino()) == (b.dev(), b.ino());
    }
    matches!((resolved(a), resolved(b)), (Some(a), Some(b)) if a == b)
}

/// The path without links and detours; of a file that is not there yet, that of its folder with its name.
fn resolved(path: &Path) -> Option<PathBuf> {
    // As many links as Linux follows.
    const LINKS: usize = 40;
    let mut path = path.to_owned();
    for _ in 0..LINKS {
        if let Ok(path) = fs::canonicalize(&path) {
            return Some(path);
        }
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let folder = fs::canonicalize(folder).ok()?;
        match fs::read_link(&path) {
            // Writing makes the file that the link names.
            Ok(target) => path = folder.join(target),
            Err(_) => return Some(folder.join(path.file_name()?)),
        }
    }
    None
}

/// Whether there is no file, or an empty one, or text that begins with one of `beginnings`.
fn may_be_replaced(path: &Path, beginnings: &[&[u8]]) -> bool {
    let mut bytes = Vec::new();
    // What cannot be read is told when it cannot be written.
    let read = File::open(path).and_then(|file| file.take(BEGINNING as u64).read_to_end(&mut bytes));
    if read.is_err() || bytes.is_empty() {
        return true;
    }
    let bytes = bytes.strip_prefix("\u{feff}".as_bytes()).unwrap_or(&bytes);
    let text = !bytes.contains(&0);
    (text && beginnings.is_empty()) || beginnings.iter().any(|beginning| begins(bytes, beginning))
}

/// Whether `bytes` begin with `beginning`, in which `*` stands for whatever is between, such as the version that wrote it.
fn begins(bytes: &[u8], beginning: &[u8]) -> bool {
    let Some(star) = beginning.iter().position(|&byte| byte == b'*') else {
        return bytes.starts_with(beginning);
    };
    let (before, after) = (&beginning[..star], &beginning[star + 1..]);
    bytes.strip_prefix(before).is_some_and(|rest| rest.windows(after.len()).any(|window| window == after))
}

/// See that the file at `path` can be written, before there is anything to write; what it holds stays.
fn check_writable(flag: &'static str, path: &Path) -> Result<(), Failure> {
    let opened = OpenOptions::new().append(true).create(true).open(path);
    opened.map(drop).map_err(|source| failure(flag, path, source))
}

/// How a file of the polynomials of sites begins.
#[cfg(feature = "libtorch")]
pub(super) const FITS: &[&[u8]] = &[b"{\n  \"schema\": 1,\n  \"version\": \"*\",\n  \"model_sha256\": "];

/// Write the file at `path` in one step.
pub(super) fn write(flag: &'static str, path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    write_whole(path, bytes).map_err(|source| failure(flag, path, source))
}

/// Write the result; a file in one step.
pub(super) fn deliver(out: Option<&Path>, text: &str) -> Result<(), Failure> {
    match out {
        Some(path) => write("--out", path, text.as_bytes()),
        None => print(text),
    }
}

/// `source`, of the file at `path` that `flag` names.
pub(super) fn failure(flag: &'static str, path: &Path, source: std::io::Error) -> Failure {
    Failure::File { flag, path: path.display().to_string(), source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(feature = "libtorch")]
    fn refused(files: &Files) -> String {
        files.check().expect_err("one file for two purposes").to_string()
    }

    #[cfg(feature = "libtorch")]
    #[test]
    fn one_file_serves_one_purpose_by_whatever_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let (model, out) = (path("model.pt"), path("out.csv"));
        fs::write(&model, "PK").unwrap();
        let detour = path("../").join(folder.path().file_name().unwrap()).join("out.csv");
        let error = refused(&Files::default().writes("--out", &*out, &[]).writes("--json", &*detour, &[]));
        assert!(error.starts_with("--json ") && error.contains("--out writes this file"), "{error}");
        let error = refused(&Files::default().reads("--model", &*model).writes("--out", &*model, &[b"PK"]));
        assert!(error.contains("--model reads this file"), "{error}");
        #[cfg(unix)]
        for (name, link) in [("soft.pt", true), ("hard.pt", false)] {
            let linked = path(name);
            if link { std::os::unix::fs::symlink(&model, &linked) } else { fs::hard_link(&model, &linked) }.unwrap();
            let error = refused(&Files::default().reads("--model", &*model).appends("--out", &*linked));
            assert!(error.contains("--model reads this file"), "{error}");
        }
        #[cfg(unix)]
        for (name, target) in [("ahead.csv", "out.csv"), ("further.csv", "ahead.csv")] {
            std::os::unix::fs::symlink(target, path(name)).unwrap();
            let error = refused(&Files::default().appends("--out", &*out).writes("--json", &*path(name), &[]));
            assert!(error.contains("--out writes this file"), "{name}: {error}");
        }
        assert!(!out.exists(), "nothing is made before all is looked at");
        let null = Path::new("/dev/null");
        Files::default().writes("--out", null, &[]).writes("--json", null, &[]).check().unwrap();
    }

    #[test]
    fn only_a_file_of_the_same_kind_is_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.csv");
        let check =
            |beginnings: &'static [&'static [u8]]| Files::default().writes("--per-class", &*path, beginnings).check();
        check(&[b"class,"]).unwrap();
        for (content, fits) in [("class,images\n", true), ("\u{feff}class,images\n", true), ("index,image\n", false)] {
            fs::write(&path, content).unwrap();
            assert_eq!(check(&[b"class,"]).is_ok(), fits, "{content}");
            assert_eq!(fs::read_to_string(&path).unwrap(), content);
        }
        check(&[]).unwrap();
        for (content, fits) in [("{\"version\": \"0.1\", \"model\"", true), ("{\"version\": \"0.1\", \"for\"", false)] {
            fs::write(&path, content).unwrap();
            assert_eq!(check(&[b"{\"version\": \"*\", \"model\""]).is_ok(), fits, "{content}");
        }
        fs::write(&path, b"PK\x03\x04\0\0").unwrap();
        assert!(check(&[]).unwrap_err().to_string().contains("of another kind"));
    }
}
