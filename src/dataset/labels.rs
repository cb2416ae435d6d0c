//! Label files: which class each image of a folder or archive belongs to.
//!
//! Read are, recognised by their content:
//!
//! - one class index a line, from 0 (`65`);
//! - one WordNet id a line (`n01751748`), as in ImageNet's synset-labels file;
//! - either of them after the image's file name (`ILSVRC2012_val_00000001.JPEG 65`);
//! - Kaggle's `LOC_val_solution.csv` (`ImageId,PredictionString`, then `ILSVRC2012_val_00000001,n01751748 111 108 …`).
//!
//! WordNet ids become class indices by their alphabetical order, which is that of torchvision's ImageFolder and of its
//! pretrained weights. The development kit's ground-truth file numbers the classes from 1 in an order of its own; it is
//! refused unless a list of its WordNet ids in that order is given.

use std::collections::{BTreeSet, HashMap};
use std::path::Path;

use super::DatasetError;
use crate::bounded;

/// Classes of the images of a dataset.
#[derive(Debug, PartialEq)]
pub(super) enum Labels {
    /// For the images in the order of their names.
    InOrder(Vec<Class>),
    /// By file name, with or without its extension.
    ByName(HashMap<String, Class>),
}

/// A class as a label file names it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Class {
    Index(u32),
    /// A WordNet id, or the name of a class folder.
    Name(String),
}

/// Class names in the order of the model's outputs.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Classes {
    names: Vec<String>,
    index: HashMap<String, u32>,
}

impl Classes {
    /// In the order given; `None` if a name comes twice.
    fn new(names: Vec<String>) -> Option<Classes> {
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

    /// One name a line, as `--classes` takes it; what follows the first blank is a comment.
    ///
    /// # Errors
    /// [`DatasetError`]: unreadable, empty, or a name that comes twice.
    pub fn read(path: &Path) -> Result<Classes, DatasetError> {
        let text = text(path)?;
        let names: Vec<String> =
            text.lines().filter_map(|line| line.split_whitespace().next()).map(str::to_owned).collect();
        if names.is_empty() {
            return Err(content(path, "it names no class; expected one a line, in the order of the model's outputs"));
        }
        Classes::new(names).ok_or_else(|| content(path, "a class comes twice"))
    }

    pub fn len(&self) -> usize {
        self.names.len()
    }

    pub fn of(&self, name: &str) -> Option<u32> {
        self.index.get(name).copied()
    }
}

/// Read a label file.
///
/// # Errors
/// [`DatasetError`] that names the line which makes no sense.
pub(super) fn read(path: &Path) -> Result<Labels, DatasetError> {
    parse(&text(path)?, path)
}

fn parse(text: &str, path: &Path) -> Result<Labels, DatasetError> {
    let lines: Vec<(usize, &str)> =
        (1..).zip(text.lines().map(str::trim)).filter(|(_, line)| !line.is_empty()).collect();
    let Some(&(_, first)) = lines.first() else { return Err(content(path, "the label file is empty")) };
    let wrong = |number: usize, line: &str| {
        let shown: String = line.chars().take(60).collect();
        content(
            path,
            &format!(
                "line {number}, `{shown}`, is no label; expected a class index from 0, a WordNet id, or either after a file name"
            ),
        )
    };
    let twice = |number: usize, image: &str| content(path, &format!("line {number}: a second class for {image}"));
    if first.starts_with("ImageId,") {
        let mut labels = HashMap::new();
        for &(number, line) in &lines[1..] {
            let (image, rest) = line.split_once(',').ok_or_else(|| wrong(number, line))?;
            let class = rest.split_whitespace().next().and_then(class).ok_or_else(|| wrong(number, line))?;
            insert(&mut labels, image.to_owned(), class).map_err(|image| twice(number, &image))?;
        }
        return Ok(Labels::ByName(labels));
    }
    if first.split_whitespace().count() >= 2 {
        let mut labels = HashMap::new();
        for &(number, line) in &lines {
            let mut words = line.split_whitespace();
            let pair = words.next().zip(words.next().and_then(class));
            let (image, class) = pair.ok_or_else(|| wrong(number, line))?;
            let image = Path::new(image).file_name().map_or(image.into(), |name| name.to_string_lossy());
            insert(&mut labels, image.into_owned(), class).map_err(|image| twice(number, &image))?;
        }
        return Ok(Labels::ByName(labels));
    }
    let classes: Result<Vec<Class>, _> =
        lines.iter().map(|&(number, line)| class(line).ok_or_else(|| wrong(number, line))).collect();
    Ok(Labels::InOrder(classes?))
}

/// The label of `image`, which may be there already if it is the same; otherwise the image comes back.
fn insert(labels: &mut HashMap<String, Class>, image: String, class: Class) -> Result<(), String> {
    match labels.get(&image) {
        Some(known) if *known != class => Err(image),
        _ => {
            labels.insert(image, class);
            Ok(())
        }
    }
}

fn class(word: &str) -> Option<Class> {
    if let Ok(index) = word.parse() {
        return Some(Class::Index(index));
    }
    let digits = word.strip_prefix('n')?;
    (digits.len() == 8 && digits.bytes().all(|b| b.is_ascii_digit())).then(|| Class::Name(word.to_owned()))
}

/// Whether these are the development kit's own numbers: from 1 to 1000, never 0.
fn is_devkit(labels: &[Class]) -> bool {
    let indices =
        || labels.iter().filter_map(|label| if let Class::Index(index) = label { Some(*index) } else { None });
    indices().count() == labels.len() && indices().all(|index| index >= 1) && indices().max() == Some(1000)
}

/// The class index of every image of `names`, which are sorted, and the number of classes where the labels say it.
///
/// `classes` is what `--classes` gave; `devkit` the WordNet ids in the development kit's order.
///
/// # Errors
/// [`DatasetError`]: too many or few labels, an image without one, a class that `classes` does not have, and the
/// development kit's numbering without `devkit`.
pub(super) fn assign(
    labels: &Labels,
    names: &[String],
    classes: Option<&Classes>,
    devkit: Option<&Classes>,
    path: &Path,
) -> Result<(Vec<u32>, Option<usize>), DatasetError> {
    let mut chosen: Vec<Class> = match labels {
        Labels::InOrder(list) if list.len() == names.len() => list.clone(),
        Labels::InOrder(list) => {
            return Err(content(path, &format!("{} labels for {} images", list.len(), names.len())));
        }
        Labels::ByName(map) => {
            let of = |name: &String| {
                let stem = Path::new(name).file_stem().map(|stem| stem.to_string_lossy().into_owned());
                map.get(name).or_else(|| map.get(&stem?)).cloned()
            };
            let found: Result<Vec<Class>, _> = names
                .iter()
                .map(|name| of(name).ok_or_else(|| content(path, &format!("it has no label for {name}"))))
                .collect();
            found?
        }
    };
    if let (Labels::InOrder(list), true) = (labels, is_devkit(&chosen)) {
        let Some(devkit) = devkit else {
            return Err(content(
                path,
                "its numbers run from 1 to 1000: this is the development kit's ground truth, which numbers the classes in an \
                 order of its own; give the WordNet ids in that order, one a line, by --devkit-synsets, or use a file of \
                 WordNet ids",
            ));
        };
        if devkit.len() != 1000 {
            return Err(content(path, &format!("--devkit-synsets has {} WordNet ids instead of 1000", devkit.len())));
        }
        chosen = list
            .iter()
            .map(|label| match label {
                Class::Index(index) => Class::Name(devkit.names[*index as usize - 1].clone()),
                name => name.clone(),
            })
            .collect();
        return indices(&chosen, classes.unwrap_or(&Classes::sorted(devkit.names.iter().map(String::as_str))), path);
    }
    match classes {
        Some(classes) => indices(&chosen, classes, path),
        None => indices(&chosen, &Classes::sorted(chosen.iter().filter_map(Class::name)), path),
    }
}

impl Class {
    fn name(&self) -> Option<&str> {
        match self {
            Class::Index(_) => None,
            Class::Name(name) => Some(name),
        }
    }
}

fn indices(labels: &[Class], classes: &Classes, path: &Path) -> Result<(Vec<u32>, Option<usize>), DatasetError> {
    let of = |label: &Class| match label {
        Class::Index(index) => Ok(*index),
        Class::Name(name) => classes
            .of(name)
            .ok_or_else(|| content(path, &format!("its class {name} is not among the {} of --classes", classes.len()))),
    };
    let found: Result<Vec<u32>, _> = labels.iter().map(of).collect();
    let named = labels.iter().any(|label| label.name().is_some());
    Ok((found?, named.then_some(classes.len())))
}

fn text(path: &Path) -> Result<String, DatasetError> {
    let read = bounded::read(path, bounded::TABLE);
    let bytes = read.map_err(|source| DatasetError::Read { path: path.to_owned(), source })?;
    String::from_utf8(bytes).map_err(|_| content(path, "it is no text file"))
}

fn content(path: &Path, reason: &str) -> DatasetError {
    DatasetError::Content { path: path.to_owned(), reason: reason.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn assigned(text: &str, names: &[&str]) -> Result<(Vec<u32>, Option<usize>), String> {
        let path = Path::new("labels.txt");
        let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
        let labels = parse(text, path).map_err(|error| error.to_string())?;
        assign(&labels, &names, None, None, path).map_err(|error| error.to_string())
    }

    #[test]
    fn every_form_gives_the_same_classes() {
        let names = ["a_1.JPEG", "a_2.JPEG", "a_3.JPEG"];
        let by_synset = Ok((vec![1, 0, 1], Some(2)));
        assert_eq!(assigned("1\n0\n1\n", &names), Ok((vec![1, 0, 1], None)));
        assert_eq!(assigned("n00000009\nn00000003\r\nn00000009\n", &names), by_synset);
        assert_eq!(assigned("a_3.JPEG n00000009\nval/a_1.JPEG n00000009\na_2.JPEG n00000003", &names), by_synset);
        let kaggle = "ImageId,PredictionString\na_2,n00000003 1 2 3 4 \na_1,n00000009 9 9 9 9 n00000009 1 1 1 1\na_3,n00000009 0 0 0 0\n";
        assert_eq!(assigned(kaggle, &names), by_synset);
    }

    #[test]
    fn what_does_not_fit_is_named() {
        assert!(assigned("1\n0\n", &["a", "b", "c"]).unwrap_err().contains("2 labels for 3 images"));
        assert!(assigned("1\nx7\n", &["a", "b"]).unwrap_err().contains("line 2, `x7`"));
        assert!(assigned("a.png 1\n", &["a.png", "b.png"]).unwrap_err().contains("no label for b.png"));
        assert!(assigned("", &["a"]).unwrap_err().contains("empty"));
        assert!(assigned("a 1\nb 2\nx/a 1\na 2\n", &["a", "b"]).unwrap_err().contains("line 4: a second class for a"));
    }

    #[test]
    fn the_development_kit_s_numbers_need_their_mapping() {
        let names: Vec<String> = (1..=1000).map(|i| format!("{i:04}")).collect();
        let path = Path::new("ILSVRC2012_validation_ground_truth.txt");
        let labels = parse(&names.join("\n"), path).unwrap();
        assert!(assign(&labels, &names, None, None, path).unwrap_err().to_string().contains("--devkit-synsets"));
        // The kit's order backwards: its number 1 is the last WordNet id.
        let devkit = Classes::new((0..1000).rev().map(|i| format!("n{i:08}")).collect()).unwrap();
        let (classes, count) = assign(&labels, &names, None, Some(&devkit), path).unwrap();
        assert_eq!((classes[0], classes[999], count), (999, 0, Some(1000)));
    }

    proptest! {
        #[test]
        fn no_text_makes_the_parser_panic(text in "[ -~\n]{0,200}") {
            let _ = assigned(&text, &["a", "b"]);
        }
    }
}
