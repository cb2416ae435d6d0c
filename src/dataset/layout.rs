//! Layouts of datasets: recognised by what lies at the path, or said.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use super::classes::Classes;
use super::files::{ClassFolders, Listed};
use super::labels;
use super::{BUNDLED, Dataset, DatasetError, Images, cifar, files, foreign, idx};

/// How images and labels lie on the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    /// A folder of class folders.
    ImageFolder,
    /// A folder of images, with a label file.
    Flat,
    /// A tar archive of images, with a label file.
    Tar,
    /// CIFAR-10 or CIFAR-100, binary version.
    Cifar,
    /// IDX files, gzipped or not.
    Idx,
}

const LAYOUTS: [(&str, Layout); 5] = [
    ("imagefolder", Layout::ImageFolder),
    ("flat", Layout::Flat),
    ("tar", Layout::Tar),
    ("cifar", Layout::Cifar),
    ("idx", Layout::Idx),
];

impl FromStr for Layout {
    type Err = String;

    fn from_str(text: &str) -> Result<Layout, String> {
        let found = LAYOUTS.iter().find(|(name, _)| *name == text).map(|&(_, layout)| layout);
        found.ok_or_else(|| format!("expected one of {}", LAYOUTS.map(|(name, _)| name).join(", ")))
    }
}

impl fmt::Display for Layout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = LAYOUTS.iter().find(|(_, layout)| layout == self).map_or("", |(name, _)| name);
        f.write_str(name)
    }
}

/// What is said of a dataset beside its path.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct OpenOptions {
    /// The layout; recognised if not said.
    pub layout: Option<Layout>,
    /// The label file of a folder or tar archive of images.
    pub labels: Option<PathBuf>,
    /// Class names (WordNet ids, class folders) in the order of the model's outputs, one a line. Otherwise they are
    /// numbered in alphabetical order.
    pub classes: Option<PathBuf>,
    /// WordNet ids in the order of the development kit's numbers, one a line.
    pub devkit_synsets: Option<PathBuf>,
}

impl OpenOptions {
    /// Open the dataset at `path`, or [`BUNDLED`].
    ///
    /// # Errors
    /// [`DatasetError`], naming the file or folder and what was expected there.
    pub fn open(&self, path: &Path) -> Result<Dataset, DatasetError> {
        if path == Path::new(BUNDLED) {
            return idx::bundled();
        }
        std::fs::metadata(path).map_err(|source| DatasetError::Read { path: path.to_owned(), source })?;
        if let Some(reason) = foreign::advice(path) {
            return Err(DatasetError::Content { path: path.to_owned(), reason });
        }
        let layout = match self.layout {
            Some(layout) => layout,
            None => self.recognise(path)?,
        };
        let own_labels = !matches!(layout, Layout::Flat | Layout::Tar);
        if own_labels && self.labels.is_some() {
            return Err(DatasetError::OwnLabels { path: path.to_owned(), layout });
        }
        match layout {
            Layout::Idx => idx::open(path),
            Layout::Cifar => {
                let unknown = || DatasetError::Content {
                    path: path.to_owned(),
                    reason: "no binary CIFAR here: expected test_batch.bin, test.bin, or a file of whole records"
                        .to_owned(),
                };
                let (file, kind) = cifar::recognise(path).ok_or_else(unknown)?;
                let (pixels, labels) = cifar::read(&file, kind)?;
                Ok(Dataset {
                    name: name_of(path),
                    images: Images::Pixels(pixels),
                    labels,
                    classes: None,
                    notes: Vec::new(),
                })
            }
            Layout::ImageFolder => self.image_folder(path),
            Layout::Flat => self.labelled(path, layout, files::flat_folder),
            Layout::Tar => self.labelled(path, layout, files::tar),
        }
    }

    fn recognise(&self, path: &Path) -> Result<Layout, DatasetError> {
        if cifar::recognise(path).is_some() {
            return Ok(Layout::Cifar);
        }
        if !path.is_dir() {
            return Ok(if files::is_tar(path) { Layout::Tar } else { Layout::Idx });
        }
        if idx::is_here(path) {
            return Ok(Layout::Idx);
        }
        if self.labels.is_none() && files::has_class_folders(path) {
            return Ok(Layout::ImageFolder);
        }
        // A folder that cannot be listed says so itself.
        files::flat_folder(path).map(|_| Layout::Flat).map_err(|error| match (error, foreign::advice_on_folder(path)) {
            (DatasetError::Content { .. }, Some(reason)) => DatasetError::Content { path: path.to_owned(), reason },
            (DatasetError::Content { path: at, reason }, None) if at != path => {
                DatasetError::Content { path: at, reason }
            }
            (DatasetError::Content { .. }, None) => DatasetError::Unknown { path: path.to_owned() },
            (error, _) => error,
        })
    }

    fn class_list(&self) -> Result<Option<Classes>, DatasetError> {
        self.classes.as_deref().map(|path| Classes::read("--classes", path)).transpose()
    }

    fn image_folder(&self, path: &Path) -> Result<Dataset, DatasetError> {
        let content = |reason: String| DatasetError::Content { path: path.to_owned(), reason };
        let listed = self.class_list()?;
        let ClassFolders { files, class_of, names, notes } = files::class_folders(path, listed.as_ref())?;
        let classes = listed.or_else(|| Classes::new(names));
        let classes = classes.ok_or_else(|| content("two class folders have the same name".to_owned()))?;
        let mut labels = Vec::with_capacity(files.len());
        for name in &class_of {
            labels.push(classes.of(name).ok_or_else(|| {
                content(format!("the class folder {name} is not among the {} of --classes", classes.len()))
            })?);
        }
        let images = Images::Files(files);
        Ok(Dataset { name: name_of(path), images, labels, classes: Some(classes.len()), notes })
    }

    fn labelled(
        &self,
        path: &Path,
        layout: Layout,
        list: fn(&Path) -> Result<Listed, DatasetError>,
    ) -> Result<Dataset, DatasetError> {
        let Some(label_file) = &self.labels else {
            if layout == Layout::Tar && foreign::is_web_dataset(path) {
                let reason = "it is a shard of a WebDataset, with labels in .cls files; write them to a file, image and class a line, \
                              for --labels FILE"
                    .to_owned();
                return Err(DatasetError::Content { path: path.to_owned(), reason });
            }
            return Err(DatasetError::NoLabels { path: path.to_owned(), layout });
        };
        let Listed { files, notes } = list(path)?;
        let names: Vec<String> = files.iter().map(|file| file.name.clone()).collect();
        let devkit = self.devkit_synsets.as_deref().map(|path| Classes::read("--devkit-synsets", path)).transpose()?;
        let listed = self.class_list()?;
        let read = labels::read(label_file, listed.as_ref())?;
        let (labels, classes) = labels::assign(&read, &names, listed.as_ref(), devkit.as_ref(), label_file)?;
        Ok(Dataset { name: name_of(path), images: Images::Files(files), labels, classes, notes })
    }
}

/// The last part of the path, resolved, so that `.` has a name too.
fn name_of(path: &Path) -> String {
    let resolved = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    resolved.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}
