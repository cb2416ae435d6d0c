//! From the bytes of an image file to a network's input, bit for bit as torchvision 0.28 with Pillow 13 does it:
//! `Image.open(file).convert("RGB")`, `Resize`, `CenterCrop`, `ToTensor`, `Normalize`.
//!
//! Like there, a file is what its bytes say, whatever its name, and an orientation noted in it is ignored.

mod jpeg;
mod png;
mod resize;

use std::ops::Range;

use serde::Deserialize;

/// Pillow's limit for an image: more is taken for an attempt to fill the memory.
pub const MAX_PIXELS: usize = 2 * (1024 * 1024 * 1024 / 4 / 3);

/// Why a file gave no picture.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum PictureError {
    #[error("this is {found}, and only JPEG and PNG are read")]
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
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
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
        if width.max(height) > MAX_PIXELS {
            return Err(PictureError::TooLarge { width, height });
        }
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

    /// The picture whose planes are `planes`, of `shape` = [channels, height, width]: red, green and blue, or grey, which
    /// becomes three equal planes; `None` for another number of channels.
    pub fn from_planes(planes: &[u8], shape: [usize; 3]) -> Option<Rgb> {
        let [channels, height, width] = shape;
        let area = height * width;
        let pixels = match channels {
            1 => planes.iter().flat_map(|&grey| [grey; 3]).collect(),
            3 => (0..area).flat_map(|at| [planes[at], planes[area + at], planes[2 * area + at]]).collect(),
            _ => return None,
        };
        Some(Rgb { width, height, pixels })
    }

    /// The picture in grey, all three planes equal: the luma of ITU-R 601 as Pillow's `convert("L")` computes it.
    pub fn grey(mut self) -> Rgb {
        for pixel in self.pixels.chunks_exact_mut(3) {
            let [red, green, blue] = [0, 1, 2].map(|channel| u32::from(pixel[channel]));
            // The weights add up to 2^16, so that this is at most 255.
            pixel.fill(((19_595 * red + 38_470 * green + 7_471 * blue + 0x8000) >> 16) as u8);
        }
        self
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
        [] => "an empty file",
        _ if begins(b"GIF8") => "a GIF",
        _ if begins(b"RIFF") && holds(8, b"WEBP") => "a WebP",
        _ if begins(b"BM") => "a BMP",
        _ if begins(b"II*\0") || begins(b"MM\0*") => "a TIFF",
        _ if holds(4, b"ftypavif") => "an AVIF",
        _ if holds(4, b"ftyp") => "a HEIF or a video",
        _ if begins(b"\0\0\0\x0cjP  ") || begins(b"\xff\x4f\xff\x51") => "a JPEG 2000",
        _ if begins(b"\0\0\0\x0cJXL ") || begins(b"\xff\x0a") => "a JPEG XL",
        _ if begins(b"8BPS") => "a Photoshop file",
        _ if begins(b"\0\0\x01\0") => "an icon",
        [b'P', b'1'..=b'7', b' ' | b'\n' | b'\r' | b'\t', ..] => "a PNM",
        _ if begins(b"%PDF") => "a PDF",
        _ if begins(b"<") => "a page or a drawing in HTML, XML or SVG",
        _ => "no picture of a known kind",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::{Compression, Crc, write::ZlibEncoder};
    use proptest::prelude::*;
    use std::io::Write;

    fn chunk(kind: &[u8; 4], data: &[u8]) -> Vec<u8> {
        let mut crc = Crc::new();
        crc.update(kind);
        crc.update(data);
        [&(data.len() as u32).to_be_bytes(), kind, data, &crc.sum().to_be_bytes()].concat()
    }

    /// An image of `kind`, bits a sample and type of colours, with `rows` as they are before compression.
    fn png(size: [u32; 2], kind: [u8; 2], interlaced: bool, rows: &[u8]) -> Vec<u8> {
        let sides = size.map(u32::to_be_bytes).concat();
        let header = [&sides[..], &kind, &[0, 0, interlaced.into()]].concat();
        let mut encoder = ZlibEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(rows).unwrap();
        let data = encoder.finish().unwrap();
        [&png::START[..], &chunk(b"IHDR", &header), &chunk(b"IDAT", &data), &chunk(b"IEND", b"")].concat()
    }

    fn jpeg_header(width: u16, height: u16, channels: u8) -> Vec<u8> {
        let (height, width) = (height.to_be_bytes(), width.to_be_bytes());
        let length = [0, 8 + 3 * channels];
        let mut file = [&jpeg::START[..], &[0xc0], &length, &[8], &height, &width, &[channels]].concat();
        (0..channels).for_each(|component| file.extend([component, 0x11, 0]));
        file.extend([0xff, 0xda, 0, 2]);
        file
    }

    fn reason(file: &[u8]) -> String {
        decode(file).unwrap_err().to_string()
    }

    #[test]
    fn files_of_other_kinds_are_named() {
        assert_eq!(reason(b""), "this is an empty file, and only JPEG and PNG are read");
        assert_eq!(reason(b"GIF89a\x01\0"), "this is a GIF, and only JPEG and PNG are read");
        assert!(reason(b"RIFF\x10\0\0\0WEBPVP8 ").contains("a WebP"));
        assert!(reason(b"<!DOCTYPE html>").contains("HTML"));
        assert!(reason(b"label,file").contains("no picture of a known kind"));
    }

    #[test]
    fn files_that_are_cut_short_are_refused() {
        let whole = png([3, 2], [8, 2], false, &[0; 20]);
        assert_eq!(decode(&whole), Ok(Rgb::black(3, 2)));
        // The checksums of the data and the end of the image may be missing.
        for length in png::START.len()..whole.len() - 20 {
            assert_eq!(decode(&whole[..length]), Err(PictureError::Truncated { format: "PNG" }), "{length}");
        }
        let jpeg = jpeg_header(8, 8, 3);
        for length in jpeg::START.len()..=jpeg.len() - 2 {
            assert_eq!(decode(&jpeg[..length]), Err(PictureError::Truncated { format: "JPEG" }), "{length}");
        }
    }

    #[test]
    fn damage_is_named() {
        assert!(reason(&jpeg_header(8, 8, 2)).contains("2 components"));
        assert!(reason(&jpeg_header(8, 0, 3)).contains("a side of 0 pixels"));
        let scan_of_nothing = [jpeg_header(8, 8, 3), vec![0; 8]].concat();
        assert_eq!(reason(&scan_of_nothing), "the JPEG is damaged: Bogus marker length");
        let mut checksum = png([1, 1], [8, 0], false, &[0, 7]);
        checksum[30] ^= 1;
        assert!(reason(&checksum).contains("the checksum of the chunk IHDR"));
        assert!(reason(&png([1, 1], [3, 0], false, &[0, 7])).contains("no PNG has 3 bits"));
        assert!(reason(&png([1, 1], [8, 0], false, &[5, 7])).contains("filters of type 5"));
    }

    #[test]
    fn headers_that_would_fill_the_memory_are_refused() {
        for file in [jpeg_header(65500, 65500, 3), png([u32::MAX; 2], [16, 6], false, &[])] {
            assert!(matches!(decode(&file), Err(PictureError::TooLarge { .. })));
        }
        let transform = Transform { resize: Some(20_000), crop: None, interpolation: Interpolation::Bilinear };
        let pixel = decode(&png([1, 1], [8, 0], false, &[0, 7])).unwrap();
        assert!(matches!(
            transform.apply(pixel.clone()),
            Err(PictureError::TooLarge { width: 20_000, height: 20_000 })
        ));
        assert_eq!(Transform { crop: Some(0), ..transform }.apply(pixel), Err(PictureError::Empty));
    }

    proptest! {
        #[test]
        fn no_bytes_make_decoding_panic(
            bytes in prop::collection::vec(any::<u8>(), 0..300), size in [1u16..50, 1u16..50], channels in 0u8..5,
        ) {
            let _ = decode(&bytes);
            let _ = decode(&[&jpeg::START[..], &bytes].concat());
            let _ = decode(&[&jpeg_header(size[0], size[1], channels)[..], &bytes].concat());
            let _ = decode(&[&png::START[..], &bytes].concat());
            for kind in [[1, 0], [4, 3], [16, 0], [16, 6], [8, 2]] {
                let _ = decode(&png(size.map(u32::from), kind, channels > 2, &bytes));
            }
        }

        /// What is of one colour stays so in every size; where the crop is larger, it has a black frame.
        #[test]
        fn one_colour_stays_one_colour(
            size in [1u32..40, 1u32..40], grey in 1u8..=255, resize in prop::option::of(1usize..60),
            crop in prop::option::of(1usize..80), bicubic: bool,
        ) {
            let rows = [&[0][..], &vec![grey; size[0] as usize]].concat().repeat(size[1] as usize);
            let interpolation = if bicubic { Interpolation::Bicubic } else { Interpolation::Bilinear };
            let transform = Transform { resize, crop, interpolation };
            let found = transform.apply(decode(&png(size, [8, 0], false, &rows)).unwrap()).unwrap();
            let [width, height] = transform.resized(size[0] as usize, size[1] as usize);
            let (seen_width, seen_height) = (width.min(crop.unwrap_or(width)), height.min(crop.unwrap_or(height)));
            prop_assert_eq!((found.width, found.height), (crop.unwrap_or(width), crop.unwrap_or(height)));
            prop_assert!(found.pixels.iter().all(|&value| value == grey || value == 0));
            let seen = found.pixels.iter().filter(|&&value| value == grey).count();
            prop_assert_eq!(seen, 3 * seen_width * seen_height);
        }
    }
}
