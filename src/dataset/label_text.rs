//! The text of a label file, of whatever form, as labels.
//!
//! Fields are separated by commas, tabs or semicolons, quoted or not, or by blanks; a byte-order mark is skipped. A first
//! line of column names says which columns hold the image and the class, as in Kaggle's `ImageId,PredictionString`.

use std::collections::HashMap;
use std::path::Path;

use super::DatasetError;
use super::classes::Classes;
use super::listing::{file_name, is_image};
use crate::bounded::LineNumbers;

pub(super) const LABELS: &str = "--labels";

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

impl Class {
    /// The name, if it is one.
    pub fn name(&self) -> Option<&str> {
        match self {
            Class::Index(_) => None,
            Class::Name(name) => Some(name),
        }
    }
}

/// What is wrong with the label file at `path`.
pub(super) fn content(path: &Path, reason: &str) -> DatasetError {
    DatasetError::List { flag: LABELS, path: path.to_owned(), reason: reason.to_owned() }
}

/// Names of columns, compared by their letters and digits in lower case.
const IMAGE_COLUMNS: [&str; 14] = [
    "image", "imageid", "imagename", "imagepath", "images", "img", "imgname", "file", "fileid", "filename", "filepath",
    "path", "name", "id",
];
const CLASS_COLUMNS: [&str; 16] = [
    "label", "labels", "labelid", "labelindex", "class", "classid", "classindex", "classname", "category",
    "categoryid", "target", "predictionstring", "synset", "wnid", "wordnetid", "y",
];

/// One line, split into its fields.
struct Record {
    number: u64,
    fields: Vec<String>,
}

/// Which fields of a record are the image and the class.
#[derive(Debug, Clone, Copy)]
struct Columns {
    image: Option<usize>,
    class: usize,
}

/// What reading a label file needs beside its text.
struct Parser<'a> {
    path: &'a Path,
    classes: Option<&'a Classes>,
}

/// Read the `text` of the label file at `path`, in which names of `classes` are classes too.
///
/// # Errors
/// [`DatasetError`] that names the line which makes no sense.
pub(super) fn parse(text: &str, path: &Path, classes: Option<&Classes>) -> Result<Labels, DatasetError> {
    Parser { path, classes }.labels(text)
}

impl Parser<'_> {
    fn labels(&self, text: &str) -> Result<Labels, DatasetError> {
        let records = self.records(text)?;
        let Some(first) = records.first() else { return Err(content(self.path, "the label file is empty")) };
        let header = header(first);
        let columns = match header {
            Some(columns) => columns,
            None => self.columns(first, records.get(1))?,
        };
        let begin = usize::from(header.is_some() || self.is_unnamed_header(&records, columns));
        let Some(image) = columns.image else {
            let classes: Result<Vec<Class>, _> =
                records[begin..].iter().map(|record| self.class_of(record, columns)).collect();
            return Ok(Labels::InOrder(classes?));
        };
        let mut labels = HashMap::new();
        for record in &records[begin..] {
            let class = self.class_of(record, columns)?;
            let name = record.fields.get(image).map_or("", String::as_str);
            let name = file_name(Path::new(name));
            if labels.get(&name).is_some_and(|known| *known != class) {
                return Err(content(self.path, &format!("line {}: a second class for {name}", record.number)));
            }
            labels.insert(name, class);
        }
        Ok(Labels::ByName(labels))
    }

    fn records(&self, text: &str) -> Result<Vec<Record>, DatasetError> {
        let first = text.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default();
        let Some(delimiter) = self.delimiter(first) else {
            let lines = (1..).zip(text.lines().map(str::trim)).filter(|(_, line)| !line.is_empty());
            return Ok(lines.map(|(number, line)| Record { number, fields: by_blanks(line) }).collect());
        };
        let mut reader = csv::ReaderBuilder::new()
            .delimiter(delimiter)
            .has_headers(false)
            .flexible(true)
            .trim(csv::Trim::All)
            .from_reader(text.as_bytes());
        let mut lines = LineNumbers::of(text.as_bytes());
        let mut records = Vec::new();
        for record in reader.records() {
            let record = record.map_err(|error| content(self.path, &error.to_string()))?;
            let number = lines.number(record.position().map_or(0, csv::Position::byte));
            let fields: Vec<String> = record.iter().map(str::to_owned).collect();
            if fields.iter().any(|field| !field.is_empty()) {
                records.push(Record { number, fields });
            }
        }
        Ok(records)
    }

    /// What separates the fields, if it is not blanks. A name before a blank and a class may hold any of these itself.
    fn delimiter(&self, first: &str) -> Option<u8> {
        let by_blanks = by_blanks(first);
        if let [image, class] = &by_blanks[..]
            && is_image(Path::new(image))
            && self.class(class).is_some()
        {
            return None;
        }
        b",\t;".iter().copied().find(|&delimiter| first.as_bytes().contains(&delimiter))
    }

    /// The columns of a file without names of columns.
    fn columns(&self, first: &Record, second: Option<&Record>) -> Result<Columns, DatasetError> {
        let fields = second.map_or(first.fields.len(), |second| first.fields.len().max(second.fields.len()));
        match fields {
            1 => Ok(Columns { image: None, class: 0 }),
            2 => Ok(Columns { image: Some(0), class: 1 }),
            count => Err(content(
                self.path,
                &format!(
                    "line {}: {count} columns; expected the image and its class, or a first line that names the columns, such as \
                     image,label",
                    first.number
                ),
            )),
        }
    }

    /// Whether the first line names two columns in words of its own: it has neither an image nor a class, and the second has
    /// both.
    fn is_unnamed_header(&self, records: &[Record], columns: Columns) -> bool {
        let [first, second, ..] = records else { return false };
        let has_class =
            |record: &Record| record.fields.get(columns.class).and_then(|field| self.class(field)).is_some();
        let has_image = |record: &Record| record.fields.first().is_some_and(|field| is_image(Path::new(field)));
        columns.image.is_some() && !has_class(first) && !has_image(first) && has_class(second) && has_image(second)
    }

    fn class_of(&self, record: &Record, columns: Columns) -> Result<Class, DatasetError> {
        let field = record.fields.get(columns.class).map_or("", String::as_str);
        self.class(field).ok_or_else(|| {
            let line: String = record.fields.join(" ").chars().take(60).collect();
            let reason = "has no label; expected a class index from 0, a WordNet id, or a name listed in --classes FILE, alone or \
                          after a file name";
            content(self.path, &format!("line {}, `{line}`, {reason}", record.number))
        })
    }

    fn class(&self, field: &str) -> Option<Class> {
        if let Ok(index) = field.parse() {
            return Some(Class::Index(index));
        }
        if self.classes.is_some_and(|classes| classes.of(field).is_some()) {
            return Some(Class::Name(field.to_owned()));
        }
        // Kaggle has the boxes of objects after the id.
        let word = field.split_whitespace().next()?;
        let digits = word.strip_prefix('n')?;
        (digits.len() == 8 && digits.bytes().all(|b| b.is_ascii_digit())).then(|| Class::Name(word.to_owned()))
    }
}

/// A class alone, or what stands before the last blank and the class after it: names of files may have blanks.
fn by_blanks(line: &str) -> Vec<String> {
    match line.rsplit_once(char::is_whitespace) {
        Some((image, class)) => vec![unquoted(image.trim_end()), unquoted(class)],
        None => vec![unquoted(line)],
    }
}

fn unquoted(field: &str) -> String {
    let inner = field.strip_prefix('"').and_then(|field| field.strip_suffix('"'));
    inner.unwrap_or(field).to_owned()
}

/// The columns that a first line names, if it does.
fn header(first: &Record) -> Option<Columns> {
    let name = |field: &String| -> String {
        field.chars().filter(char::is_ascii_alphanumeric).map(|letter| letter.to_ascii_lowercase()).collect()
    };
    let names: Vec<String> = first.fields.iter().map(name).collect();
    let find = |known: &[&str]| known.iter().find_map(|known| names.iter().position(|name| name == known));
    let (image, class) = (find(&IMAGE_COLUMNS), find(&CLASS_COLUMNS)?);
    (image.is_some() || names.len() == 1).then_some(Columns { image, class })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn by_name(text: &str) -> Vec<(String, Class)> {
        let classes = Classes::new(vec!["tabby cat".into(), "dog".into()]).unwrap();
        match parse(text, Path::new("labels.txt"), Some(&classes)).unwrap() {
            Labels::ByName(map) => {
                let mut list: Vec<(String, Class)> = map.into_iter().collect();
                list.sort();
                list
            }
            Labels::InOrder(list) => list.into_iter().map(|class| (String::new(), class)).collect(),
        }
    }

    #[test]
    fn files_as_people_have_them_say_the_same() {
        let expected = [("a 1.png".to_owned(), Class::Index(3)), ("b,2.png".to_owned(), Class::Index(0))];
        for text in [
            "a 1.png 3\nb,2.png 0\n",
            "a 1.png\t3\r\nb,2.png\t0\r\n",
            "a 1.png,3\n\"b,2.png\",0\n",
            "filename,label\nval/a 1.png, 3\n\"val/b,2.png\", 0\n\n",
            ",path,split,class_id\n0,a 1.png,val,3\n1,\"b,2.png\",val,0\n",
            "label;image\n3;a 1.png\n0;b,2.png\n",
            "Bild,Klasse\na 1.png,3\n\"b,2.png\",0\n",
            "\"a 1.png\" \"3\"\n\"b,2.png\" \"0\"\n",
        ] {
            assert_eq!(by_name(text), expected, "{text}");
        }
        for text in ["3\n0\n", "3\r\n0", "label\n3\n0\n", "\"3\"\n\"0\"\n"] {
            assert_eq!(by_name(text), [(String::new(), Class::Index(3)), (String::new(), Class::Index(0))], "{text}");
        }
    }

    #[test]
    fn names_of_classes_are_classes_where_they_are_listed() {
        let name = |name: &str| Class::Name(name.to_owned());
        let expected = [("a.png".to_owned(), name("tabby cat")), ("b.png".to_owned(), name("dog"))];
        assert_eq!(by_name("a.png,tabby cat\nb.png,dog\n"), expected);
        let error = parse("a.png dog\n", Path::new("l.txt"), None).unwrap_err().to_string();
        assert!(error.contains("line 1, `a.png dog`, has no label") && error.contains("--classes FILE"), "{error}");
        let error = parse("a,1,2,3\nb,1,2,3\n", Path::new("l.txt"), None).unwrap_err().to_string();
        assert!(error.contains("line 1: 4 columns") && error.contains("image,label"), "{error}");
    }
}
