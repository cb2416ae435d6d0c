//! Names of classes, in the order of the model's outputs.

use std::collections::{BTreeSet, HashMap};
use std::path::Path;

use super::DatasetError;
use crate::bounded;

/// Class names in the order of the model's outputs.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Classes {
    pub names: Vec<String>,
    index: HashMap<String, u32>,
}

impl Classes {
    /// In the order given; `None` if a name comes twice.
    pub fn new(names: Vec<String>) -> Option<Classes> {
        let index: HashMap<String, u32> = names.iter().cloned().zip(0..).collect();
        (index.len() == names.len()).then_some(Classes { names, index })
    }

    /// The names that occur, in alphabetical order.
    pub fn sorted<'a>(names: impl IntoIterator<Item = &'a str>) -> Classes {
        let names: BTreeSet<String> = names.into_iter().map(str::to_owned).collect();
        let names: Vec<String> = names.into_iter().collect();
        let index = names.iter().cloned().zip(0..).collect();
        Classes { names, index }
    }

    /// One name a line, as `--classes` and `--devkit-synsets` take it; `flag` is which of them. Names may have blanks; where the
    /// first words differ from line to line, what follows them is a comment as well (`n01440764 tench, Tinca tinca`).
    ///
    /// # Errors
    /// [`DatasetError`]: unreadable, empty, or a name that comes twice.
    pub fn read(flag: &'static str, path: &Path) -> Result<Classes, DatasetError> {
        let text = text(flag, path)?;
        let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
        let wrong = |reason: &str| DatasetError::List { flag, path: path.to_owned(), reason: reason.to_owned() };
        if lines.is_empty() {
            return Err(wrong("it names no class; expected one a line, in the order of the model's outputs"));
        }
        let words = lines.iter().filter_map(|line| line.split_whitespace().next()).map(str::to_owned).collect();
        let whole = || Classes::new(lines.iter().map(|&line| line.to_owned()).collect());
        let mut classes = Classes::new(words)
            .or_else(whole)
            .ok_or_else(|| wrong("a class comes twice; list each once, in the order of the model's outputs"))?;
        for (line, index) in lines.iter().zip(0..) {
            classes.index.entry((*line).to_owned()).or_insert(index);
        }
        Ok(classes)
    }

    pub fn len(&self) -> usize {
        self.names.len()
    }

    pub fn of(&self, name: &str) -> Option<u32> {
        self.index.get(name).copied()
    }
}

/// The text of the file at `path`, which `flag` names, without a byte-order mark.
///
/// # Errors
/// [`DatasetError`]: unreadable, too large, or not in UTF-8.
pub(super) fn text(flag: &'static str, path: &Path) -> Result<String, DatasetError> {
    let wrong = |reason: String| DatasetError::List { flag, path: path.to_owned(), reason };
    let bytes = bounded::read(path, bounded::TABLE).map_err(|source| wrong(source.to_string()))?;
    if bytes.starts_with(b"\xff\xfe") || bytes.starts_with(b"\xfe\xff") {
        return Err(wrong("it is text in UTF-16; save it in UTF-8".to_owned()));
    }
    let text = String::from_utf8(bytes).map_err(|_| wrong("it is not text in UTF-8".to_owned()))?;
    Ok(text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text))
}
