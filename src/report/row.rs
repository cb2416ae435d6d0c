//! The row of one run, defined once: the header of results files, their fields, JSON, what makes two rows one run, and the
//! table in docs/columns.md all follow from the list of columns here.

use serde_json::{Map, Number, Value};

/// What a column says of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// What decides what comes out. Rows that agree in all of these are of one run.
    Setting,
    /// A name of what a setting identifies, or how the work was divided, which decides nothing.
    Label,
    /// What came out.
    Outcome,
    /// How long it took.
    Time,
}

/// One column of the results.
#[derive(Debug, Clone, Copy)]
pub struct Column {
    pub name: &'static str,
    pub role: Role,
    /// In Markdown, for docs/columns.md.
    pub meaning: &'static str,
}

/// How a number is written.
#[derive(Debug, Clone, Copy)]
enum Digits {
    /// With as many digits as it has; text as it is.
    All,
    /// With so many decimals.
    Decimals(usize),
    /// With three decimals and a power of ten.
    Scientific,
}

use Digits::{All, Decimals, Scientific};

/// A field of a row.
#[derive(Debug, Clone, PartialEq)]
enum Field {
    /// The column does not apply.
    Empty,
    Text(String),
    Number(String),
}

impl Field {
    fn text(self) -> String {
        match self {
            Field::Empty => String::new(),
            Field::Text(text) | Field::Number(text) => text,
        }
    }

    /// JSON has no infinite numbers: they are text there.
    fn json(self) -> Value {
        match self {
            Field::Empty => Value::Null,
            Field::Text(text) => Value::String(text),
            Field::Number(text) => {
                let number = text.parse::<u64>().map(Number::from).ok();
                let number = number.or_else(|| text.parse().ok().and_then(Number::from_f64));
                number.map_or(Value::String(text), Value::Number)
            }
        }
    }
}

/// What can stand in a column.
trait Content {
    fn field(&self, digits: Digits) -> Field;
}

impl Content for String {
    fn field(&self, _: Digits) -> Field {
        Field::Text(self.clone())
    }
}

impl Content for f64 {
    fn field(&self, digits: Digits) -> Field {
        Field::Number(match digits {
            All => self.to_string(),
            Scientific => format!("{self:.3e}"),
            Decimals(decimals) => {
                let text = format!("{self:.decimals$}");
                // A difference of -0.0004 is none.
                let is_zero = text.bytes().all(|byte| matches!(byte, b'-' | b'0' | b'.'));
                if is_zero { text.trim_start_matches('-').to_owned() } else { text }
            }
        })
    }
}

macro_rules! whole_numbers {
    ($($kind:ty)+) => {
        $(impl Content for $kind {
            fn field(&self, _: Digits) -> Field {
                Field::Number(self.to_string())
            }
        })+
    };
}

whole_numbers!(usize u64 u32);

impl<T: Content> Content for Option<T> {
    fn field(&self, digits: Digits) -> Field {
        self.as_ref().map_or(Field::Empty, |content| content.field(digits))
    }
}

/// The columns in their order, each `role, digits, name: type, "meaning";`.
macro_rules! columns {
    ($($role:ident, $digits:expr, $name:ident: $kind:ty, $meaning:literal;)+) => {
        /// One run. Percent have three decimals; `None` is an empty field, where a column does not apply.
        #[derive(Debug, Clone, Default, PartialEq)]
        pub struct Row {
            $(#[doc = $meaning] pub $name: $kind,)+
        }

        /// The columns, in order. Later versions add theirs at the end, so that files of older ones can be read.
        pub const SCHEMA: &[Column] =
            &[$(Column { name: stringify!($name), role: Role::$role, meaning: $meaning }),+];

        /// The names of the columns, in order.
        pub const COLUMNS: [&str; SCHEMA.len()] = [$(stringify!($name)),+];

        impl Row {
            fn content(&self) -> Vec<Field> {
                vec![$(self.$name.field($digits)),+]
            }
        }
    };
}

columns! {
    Label, All, model: String, "name of the archive";
    Label, All, dataset: String, "name of the dataset";
    Setting, All, images: usize, "images evaluated";
    Setting, All, relu: Option<String>, "the SPEC for ReLU, a file with the beginning of its SHA-256; empty if the model has no ReLU";
    Setting, All, maxpool: Option<String>, "the same for max-pooling";
    Setting, All, relu_range: Option<String>, "the bound B of the inputs of ReLU, or `LO:HI`, or `file:NAME#…` with the beginning of the file's SHA-256, where something is fitted of its and its densities'; empty if exact";
    Setting, All, maxpool_range: Option<String>, "the same for max-pooling";
    Outcome, Decimals(3), top1: f64, "percent of the images whose label has the largest logit of the approximate pass";
    Outcome, Decimals(3), top1_exact: f64, "the same of the exact pass";
    Outcome, Decimals(3), top1_diff: f64, "`top1` − `top1_exact`, in points";
    Outcome, Decimals(3), top5: Option<f64>, "percent of the images whose label is among the five largest logits; empty for fewer than six classes";
    Outcome, Decimals(3), top5_exact: Option<f64>, "the same of the exact pass";
    Outcome, Decimals(3), top5_diff: Option<f64>, "`top5` − `top5_exact`, in points";
    Outcome, Decimals(3), agreement: f64, "percent of the images to which both passes give the same class";
    Outcome, Scientific, max_logit_error: f64, "largest absolute difference of a logit between the passes";
    Outcome, All, overflow_images: usize, "images with an input out of range (or NaN) at any site";
    Outcome, All, overflow_values: u64, "such inputs in all";
    Outcome, All, overflow_site: Option<String>, "the site at which most images left a range for the first time";
    Outcome, All, depth: Option<u32>, "levels of the dearest approximate ReLU (of the dearest max of two values, if only pools are approximated)";
    Outcome, All, mults: Option<u32>, "its products of two ciphertexts";
    Time, Decimals(3), seconds: f64, "of the approximate passes by the clock on the wall, without waiting for images. Devices work at the same time, so with several it is what the device that was busy longest took. What passes of a sweep have in common is computed once and counts in each: it is the time that this configuration would take alone";
    Time, Decimals(3), images_per_second: f64, "`images` / `seconds`";
    Setting, All, device: String, "where it ran, several devices joined by +";
    Setting, All, dtype: String, "what the network's products were computed in: `float32`, or `tf32` where `--tf32` was given and a device is CUDA";
    Label, All, batch: usize, "images in one pass through the network";
    Setting, All, model_sha256: String, "SHA-256 of the archive";
    Setting, All, dataset_sha256: String, "SHA-256 over the evaluated images as stored and their labels, in any order";
    Label, All, version: String, "of polyact";
    Time, Decimals(3), seconds_exact: f64, "as `seconds`, of the exact passes";
    Outcome, Decimals(3), top1_se: f64, "standard error of `top1` in points, √(p(1−p)/n)";
    Outcome, All, broken_images: usize, "images left out because they cannot be read; `images` counts the others";
    Setting, All, plan: Option<String>, "the plan with activations and ranges of single sites, as `file:NAME#…`";
    Setting, All, on_overflow: String, "what happened to inputs out of range: `count` (nothing) or `clip`";
    Label, All, sweep: Option<String>, "of a sweep's row: the beginning of a digest over all that decides the grid, and which of its rows it is, `1a2b3c4d5e6f:3/24`";
    Setting, All, arithmetic: String, "what activations were computed in, `f64` or `f32` ([arithmetic.md](arithmetic.md)); empty in files of older versions is `f64`";
    Setting, All, sampled: String, "how the images were chosen: `all`, `first N` (`--first`) or `N by seed S` (`--limit`), then ` without H by seed S` if `--holdout` kept H images apart; empty in files of older versions, in which `--limit` took the first images";
    Outcome, All, not_polynomial: usize, "operators on values of the images that are neither polynomial nor replaced, and so would not run under encryption. One at the output that keeps the order, such as softmax, is not counted, since it changes no class";
    Outcome, All, not_polynomial_ops: Option<String>, "which ones, `aten::sigmoid x2, prim::If`";
    Outcome, All, not_run: usize, "sites that no pass came to, such as those in a branch that is never taken; nothing was replaced there";
    Time, Decimals(6), batch_seconds: f64, "of the approximate pass over one full batch on one device: the median. Full batches are those of as many images as the largest";
    Time, Decimals(6), batch_seconds_spread: Option<f64>, "the third less the first quartile of the same, within which half of the batches lie; empty for fewer than four";
    Time, Decimals(6), batch_seconds_exact: f64, "as `batch_seconds`, of the exact pass";
    Time, Decimals(6), batch_seconds_exact_spread: Option<f64>, "as `batch_seconds_spread`, of the exact pass";
    Setting, All, input: String, "the network's input for an image, channels x height x width";
    Setting, All, resize: Option<usize>, "pixels of the shorter side to which images were resized; empty where they were not";
    Setting, All, crop: Option<usize>, "pixels of the side of the square that was cut from the middle then; empty where nothing was cut";
    Setting, All, interpolation: Option<String>, "how pixels were interpolated, `bilinear` or `bicubic`, where images were resized";
    Setting, All, mean: String, "what was subtracted from each channel, with commas";
    Setting, All, std: String, "what each channel was divided by then, with commas";
    Setting, All, output: Option<String>, "which output of a network with several are the logits: its place in a tuple or its key in a dictionary; empty where there is one";
    Outcome, All, top1_lost: usize, "images that the exact pass has right and the approximate pass wrong";
    Outcome, All, top1_won: usize, "images that the approximate pass has right and the exact pass wrong";
    Outcome, Decimals(3), top1_diff_se: f64, "standard error of `top1_diff` in points, √(b + c − (b − c)²/n) / n with b = `top1_lost` and c = `top1_won`: both passes see the same images, so that only these count";
    Outcome, All, total_depth: Option<u32>, "levels that the approximate sites take along the longest path through the network; convolutions and other products are not counted. Empty if nothing is approximated";
    Outcome, All, total_mults: Option<u64>, "products of two ciphertexts of all approximate sites together, for one ciphertext each: a pool over n values, packed into one ciphertext, takes ⌈log2 n⌉ rounds, ReLU6 two ReLUs";
    Setting, All, until: Option<f64>, "`--until`: the width in points within which `top1_diff` was to be known; empty where all images were used in any case";
    Outcome, All, available: Option<usize>, "of a run with `--until`: the images there were, of which it took `images` and `broken_images` before it stopped, in an order drawn by the seed";
    Outcome, Decimals(3), top1_diff_low: Option<f64>, "of the same: the lower end of the interval that holds with 95 % the `top1_diff` that all these images would give, wherever the run stops";
    Outcome, Decimals(3), top1_diff_high: Option<f64>, "its upper end";
    Setting, All, guard: Option<f64>, "`--guard`: the most that a fitted polynomial may stray anywhere on its range, as a part of half the range; empty for no limit";
    Outcome, All, bootstraps: Option<u64>, "with `--bootstraps`: the fewest bootstrappings of one image, counted by ciphertexts, wherever they go";
    Label, All, parameters: Option<String>, "the parameter set that they are counted under";
    Setting, All, ckks: Option<String>, "`--ckks`: the parameter set whose noise was added ([noise.md](noise.md)), a file with the beginning of a digest; empty without noise";
    Setting, All, trials: Option<usize>, "`--trials`: how often the noise was drawn. All columns but the next four are of the first draw; empty without noise";
    Outcome, Decimals(3), top1_mean: Option<f64>, "mean of `top1` over the draws; empty without noise";
    Outcome, Decimals(3), top1_spread: Option<f64>, "standard deviation of `top1` between draws; empty for one";
    Outcome, Decimals(3), agreement_mean: Option<f64>, "mean of `agreement` over the draws; empty without noise";
    Outcome, Decimals(3), agreement_spread: Option<f64>, "standard deviation of `agreement` between draws; empty for one";
    Outcome, Decimals(2), precision_bits: Option<f64>, "bits of precision that the results of all sites need, so that 99.9 % of the calibration's decisions stay, as `polyact cost` tells them ([cost.md](cost.md)); empty unless something is fitted to a calibration with `--weight margin`";
}

/// Whether the column of this name decides which run a row is of. Of columns that this version does not know all do, so
/// that no setting of a later version is forgotten.
pub(super) fn is_setting(name: &str) -> bool {
    SCHEMA.iter().find(|column| column.name == name).is_none_or(|column| column.role == Role::Setting)
}

impl Row {
    /// The fields of the row as text, one a column.
    pub fn fields(&self) -> Vec<String> {
        self.content().into_iter().map(Field::text).collect()
    }

    /// The row as a JSON object: numbers are numbers, with the digits that the CSV file has; what does not apply is null, and
    /// an infinite number, which JSON does not have, is the text `inf`.
    pub fn json(&self) -> Value {
        let fields = COLUMNS.iter().zip(self.content());
        Value::Object(fields.map(|(column, field)| ((*column).to_owned(), field.json())).collect::<Map<_, _>>())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_numbers_in_json() {
        let row = Row {
            model: "net".into(),
            images: 7,
            top1: 93.2,
            top1_diff: -0.0001,
            max_logit_error: f64::INFINITY,
            batch_seconds: 1.5e-7,
            depth: Some(15),
            ..Row::default()
        };
        let json = row.json();
        assert_eq!((&json["model"], &json["images"], &json["depth"]), (&"net".into(), &7.into(), &15.into()));
        assert_eq!((&json["top1"], &json["top1_diff"]), (&93.2.into(), &0.0.into()));
        assert_eq!((json["max_logit_error"].as_str(), json["top5"].is_null()), (Some("inf"), true));
        assert_eq!(json["batch_seconds"], 0.0);
        assert_eq!(json.as_object().unwrap().len(), COLUMNS.len());
    }

    #[test]
    fn fields_have_the_digits_of_their_column() {
        let row = Row { top1: 93.2, top1_diff: -0.0004, max_logit_error: 0.0125, ..Row::default() };
        let fields = row.fields();
        let field = |name: &str| fields[COLUMNS.iter().position(|&column| column == name).unwrap()].as_str();
        assert_eq!((field("top1"), field("top1_diff"), field("top5")), ("93.200", "0.000", ""));
        assert_eq!((field("max_logit_error"), field("batch_seconds"), field("images")), ("1.250e-2", "0.000000", "0"));
    }

    /// The table in the documentation is made of the columns.
    #[test]
    fn the_documentation_has_every_column() {
        let lines: Vec<String> =
            SCHEMA.iter().map(|column| format!("| `{}` | {} |", column.name, column.meaning)).collect();
        let table = format!("| column | meaning |\n|---|---|\n{}\n\n", lines.join("\n"));
        let text = include_str!("../../docs/columns.md");
        assert!(text.contains(&table), "docs/columns.md must have this table:\n{table}");
    }
}
