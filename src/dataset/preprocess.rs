//! What a model's archive says of its inputs.

use serde::Deserialize;

use super::Interpolation;

/// How images are prepared for a model, as its archive says in an extra file in JSON. All fields may be left out.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Preprocess {
    /// Channels, height, width.
    pub input_size: Option<[usize; 3]>,
    /// Number of classes.
    pub classes: Option<usize>,
    /// Subtracted from pixels in [0, 1], a value a channel.
    pub mean: Option<Vec<f32>>,
    /// Divided by after that, a value a channel.
    pub std: Option<Vec<f32>>,
    /// Photographs are resized so that their short side has this many pixels; none are where this is left out.
    pub resize: Option<usize>,
    /// Side of the square cut from the centre after that; nothing is cut where this is left out.
    pub crop: Option<usize>,
    /// How pixels are resized; bilinear where this is left out.
    pub interpolation: Option<Interpolation>,
}

/// Why a description of inputs cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PreprocessError {
    #[error("is not as expected: {0}")]
    Json(#[from] serde_json::Error),
    #[error("says {0}; mend it by exporting the model again")]
    Value(String),
}

/// Whether there can be an input of these channels, height and width: more values in all are taken for an attempt to fill
/// the memory.
pub fn is_input_size(size: [usize; 3]) -> bool {
    let values = size.iter().try_fold(1usize, |product, &side| product.checked_mul(side));
    values.is_some_and(|values| (1..=1 << 31).contains(&values))
}

impl Preprocess {
    /// Read the JSON `text`; an empty one says nothing.
    ///
    /// # Errors
    /// [`PreprocessError`]: no JSON of this form, or a value that no input can have.
    pub fn parse(text: &str) -> Result<Preprocess, PreprocessError> {
        let preprocess = if text.is_empty() { Preprocess::default() } else { serde_json::from_str(text)? };
        preprocess.misfit().map_or(Ok(preprocess), |reason| Err(PreprocessError::Value(reason)))
    }

    /// What cannot be, in a few words.
    fn misfit(&self) -> Option<String> {
        let side = |size: &usize| (1..=16384).contains(size);
        let positive = |std: &f32| *std > 0.0 && std.is_finite();
        if let Some(size) = self.input_size.filter(|&size| !is_input_size(size)) {
            return Some(format!("an input of {size:?} values"));
        }
        if let Some(size) = [self.resize, self.crop].into_iter().flatten().find(|size| !side(size)) {
            return Some(format!("{size} pixels to resize or crop to, where 1 to 16384 are possible"));
        }
        if let Some(std) = self.std.iter().flatten().find(|std| !positive(std)) {
            return Some(format!("a standard deviation of {std}"));
        }
        let bad = self.mean.iter().flatten().find(|mean| !mean.is_finite())?;
        Some(format!("a mean of {bad}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_is_read_and_what_cannot_be_is_refused() {
        assert_eq!(Preprocess::parse("").unwrap(), Preprocess::default());
        let preprocess = Preprocess::parse(r#"{"input_size": [1, 28, 28], "interpolation": "bicubic"}"#).unwrap();
        assert_eq!(preprocess.input_size, Some([1, 28, 28]));
        assert_eq!(preprocess.interpolation, Some(Interpolation::Bicubic));
        for (wrong, part) in [
            (r#"{"input": 1}"#, "unknown field"),
            (r#"{"input_size": [3, 65536, 65536]}"#, "65536] values"),
            (r#"{"resize": 0}"#, "0 pixels"),
            (r#"{"crop": 20000}"#, "20000 pixels"),
            (r#"{"std": [0.5, 0.0]}"#, "deviation of 0"),
            (r#"{"interpolation": "nearest"}"#, "nearest"),
        ] {
            let error = Preprocess::parse(wrong).unwrap_err().to_string();
            assert!(error.contains(part), "{wrong}: {error}");
        }
    }
}
