//! Label files: which class each image of a folder or archive belongs to.
//!
//! Read are, recognised by their content:
//!
//! - one class a line: an index from 0 (`65`), a WordNet id (`n01751748`), or a name that `--classes` lists;
//! - either of them after the image's file name, separated by blanks, a comma, a tab or a semicolon;
//! - tables with a first line that names the columns, such as Kaggle's `LOC_val_solution.csv`.
//!
//! WordNet ids become class indices by their alphabetical order, which is that of torchvision's ImageFolder and of its
//! pretrained weights. The development kit's ground-truth file numbers the classes from 1 in an order of its own; it is
//! refused unless a list of its WordNet ids in that order is given.

use std::path::Path;

use super::DatasetError;
use super::classes::{Classes, text};
use super::label_text::{self, Class, LABELS, Labels, content};

/// Read a label file, in which names of `classes` are classes too.
///
/// # Errors
/// [`DatasetError`] that names the line which makes no sense.
pub(super) fn read(path: &Path, classes: Option<&Classes>) -> Result<Labels, DatasetError> {
    label_text::parse(&text(LABELS, path)?, path, classes)
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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn assigned(text: &str, names: &[&str]) -> Result<(Vec<u32>, Option<usize>), String> {
        let path = Path::new("labels.txt");
        let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
        let labels = label_text::parse(text, path, None).map_err(|error| error.to_string())?;
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
        let labels = label_text::parse(&names.join("\n"), path, None).unwrap();
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
