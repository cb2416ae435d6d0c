//! From the bytes of an image file to a network's input, bit for bit as torchvision 0.28 with Pillow 13 does it:
//! `Image.open(file).convert("RGB")`, `Resize`, `CenterCrop`, `ToTensor`, `Normalize`.
//!
//! Like there, a file is what its bytes say, whatever its name, and an orientation noted in it is ignored.

mod jpeg;
mod png;
mod resize;

use std::ops::Range;

/// Pillow's limit for an image: more is taken for an attempt to fill the memory.
pub const MAX_PIXELS: usize = 2 * (1024 * 1024 * 1024 / 4 / 3);

/// Why a file gave no picture.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum PictureError {
    #[error("{found}; JPEG and PNG are read, convert it to PNG")]
    Format { found: &'static str },
    #[error("the {format} ends early: the file is cut short")]
    Truncated { format: &'static str },
    #[error("the {format} is damaged: {reason}")]
    Damaged { format: &'static str, reason: String },
    #[error("{width} x {height} pixels are more than the {MAX_PIXELS} that are read")]
    TooLarge { width: usize, height: usize },
    #[error("a picture cannot be resized or cropped to 0 pixels")]
    Empty,
}

/// A picture of 8-bit RGB.
#[derive(Debug, Clone, PartialEq)]
pub struct Rgb {
    pub width: usize,
    pub height: usize,
    /// [height, width, 3].
    pub pixels: Vec<u8>,
}

/// How resizing weighs the pixels, always over the whole area that becomes one (antialiased).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Interpolation {
    #[default]
    Bilinear,
    Bicubic,
}

/// What becomes of a picture before it is normalised.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Transform {
    /// The shorter side after resizing, in pixels; the other side keeps the proportion, rounded down.
    pub resize: Option<usize>,
    /// The sides of the square that is cut from the middle, in pixels; black where the picture is smaller.
    pub crop: Option<usize>,
    pub interpolation: Interpolation,
}

impl Transform {
    /// Whether nothing is resized or cropped.
    pub fn is_identity(&self) -> bool {
        self.resize.is_none() && self.crop.is_none()
    }

    /// Resize and crop `picture`.
    ///
    /// # Errors
    /// [`PictureError`] for a size of 0 or beyond [`MAX_PIXELS`].
    pub fn apply(&self, picture: Rgb) -> Result<Rgb, PictureError> {
        if self.is_identity() {
            return Ok(picture);
        }
        if self.resize == Some(0) || self.crop == Some(0) {
            return Err(PictureError::Empty);
        }
        let [width, height] = self.resized(picture.width, picture.height);
        let (across, down) = (Cut::new(width, self.crop), Cut::new(height, self.crop));
        check_size(across.side, down.side)?;
        let part = resize::resize(&picture, [width, height], self.interpolation, across.kept(), down.kept());
        if (part.width, part.height) == (across.side, down.side) {
            return Ok(part);
        }
        let mut padded = Rgb::black(across.side, down.side);
        for y in 0..part.height {
            let start = 3 * ((down.black + y) * padded.width + across.black);
            padded.pixels[start..start + 3 * part.width].copy_from_slice(part.row(y));
        }
        Ok(padded)
    }

    /// Width and height after resizing; the quotient is rounded as a double before it is cut off.
    fn resized(&self, width: usize, height: usize) -> [usize; 2] {
        let Some(short) = self.resize else { return [width, height] };
        let long = |long: usize, old_short: usize| ((short as f64 * long as f64) / old_short as f64) as usize;
        if width <= height { [short, long(height, width)] } else { [long(width, height), short] }
    }
}

/// What a crop keeps of one side of a picture.
struct Cut {
    /// Pixels before the first one kept: cut off, and black ones added.
    start: usize,
    black: usize,
    count: usize,
    /// Of the result.
    side: usize,
}

impl Cut {
    fn new(side: usize, crop: Option<usize>) -> Cut {
        let crop = crop.unwrap_or(side);
        // Python's rounding: a half goes to the even neighbour.
        let excess = side.saturating_sub(crop);
        let start = excess / 2 + usize::from(excess % 4 == 3);
        Cut { start, black: crop.saturating_sub(side) / 2, count: side.min(crop), side: crop }
    }

    fn kept(&self) -> Range<usize> {
        self.start..self.start + self.count
    }
}

impl Rgb {
    fn black(width: usize, height: usize) -> Rgb {
        Rgb { width, height, pixels: vec![0; 3 * width * height] }
    }

    fn row(&self, y: usize) -> &[u8] {
        &self.pixels[3 * self.width * y..][..3 * self.width]
    }

    fn window(&self, columns: Range<usize>, rows: Range<usize>) -> Rgb {
        let (width, height) = (columns.len(), rows.len());
        let pixels = rows.flat_map(|y| &self.row(y)[3 * columns.start..3 * columns.end]).copied().collect();
        Rgb { width, height, pixels }
    }

    /// The picture whose red, green and blue planes are `planes`, of `shape` = [3, height, width]; `None` for another
    /// number of channels.
    pub fn from_planes(planes: &[u8], shape: [usize; 3]) -> Option<Rgb> {
        let [3, height, width] = shape else { return None };
        let area = height * width;
        let pixels = (0..area).flat_map(|at| [planes[at], planes[area + at], planes[2 * area + at]]).collect();
        Some(Rgb { width, height, pixels })
    }
}

/// The pixels of a JPEG or a PNG of any kind, in RGB.
///
/// # Errors
/// [`PictureError`] if the bytes are neither, cut short, damaged, or claim more than [`MAX_PIXELS`] pixels.
pub fn decode(file: &[u8]) -> Result<Rgb, PictureError> {
    if file.starts_with(&jpeg::START) {
        jpeg::decode(file)
    } else if file.starts_with(&png::START) {
        png::decode(file)
    } else {
        Err(PictureError::Format { found: format_of(file) })
    }
}

fn check_size(width: usize, height: usize) -> Result<(), PictureError> {
    match width.checked_mul(height) {
        Some(pixels) if pixels <= MAX_PIXELS => Ok(()),
        _ => Err(PictureError::TooLarge { width, height }),
    }
}

/// What a file is that is not read here, for the user.
fn format_of(file: &[u8]) -> &'static str {
    let begins = |start: &[u8]| file.starts_with(start);
    let holds = |at: usize, text: &[u8]| file.get(at..).is_some_and(|rest| rest.starts_with(text));
    match file {
        [] => "the file is empty",
        _ if begins(b"GIF8") => "this is a GIF",
        _ if begins(b"RIFF") && holds(8, b"WEBP") => "this is a WebP",
        _ if begins(b"BM") => "this is a BMP",
        _ if begins(b"II*\0") || begins(b"MM\0*") => "this is a TIFF",
        _ if holds(4, b"ftypavif") => "this is an AVIF",
        _ if holds(4, b"ftyp") => "this is a HEIF or a video",
        _ if begins(b"\0\0\0\x0cjP  ") || begins(b"\xff\x4f\xff\x51") => "this is a JPEG 2000",
        _ if begins(b"\0\0\0\x0cJXL ") || begins(b"\xff\x0a") => "this is a JPEG XL",
        _ if begins(b"8BPS") => "this is a Photoshop file",
        _ if begins(b"\0\0\x01\0") => "this is an icon",
        [b'P', b'1'..=b'7', b' ' | b'\n' | b'\r' | b'\t', ..] => "this is a PNM",
        _ if begins(b"%PDF") => "this is a PDF",
        _ if begins(b"<") => "this is a page or a drawing in HTML, XML or SVG",
        _ => "this is no picture",
    }
}
