//! JPEG as Pillow reads it: its own walk over the header, then libjpeg.
//!
//! The mode comes from the number of components alone: 1 is grey, 3 is what libjpeg makes RGB of, and 4 is CMYK, which
//! Pillow takes for inverted in every file, with Adobe's marker or without.

// Only a crate that is named here is linked, and libjpeg is in this one.
use turbojpeg_sys as _;

use super::{PictureError, Rgb, check_size};

#[cxx::bridge(namespace = "polyact")]
mod ffi {
    unsafe extern "C++" {
        include!("polyact/src/dataset/picture/jpeg.h");

        /// Decode into `pixels`, [height, width, channels]: grey, RGB, or CMYK as stored. False if the file ends early.
        fn decode_jpeg(file: &[u8], width: u32, height: u32, channels: u32, pixels: &mut [u8]) -> Result<bool>;
    }
}

pub(super) const START: [u8; 3] = [0xff, 0xd8, 0xff];

const START_OF_SCAN: u8 = 0xda;
const QUANTISATION: u8 = 0xdb;

#[derive(Debug, Clone, Copy, PartialEq)]
struct Frame {
    width: u16,
    height: u16,
    channels: u8,
}

/// The pixels of a file that begins with [`START`].
///
/// # Errors
/// [`PictureError`] for what Pillow refuses: damage that libjpeg does not decode over, and a file that ends early.
pub(super) fn decode(file: &[u8]) -> Result<Rgb, PictureError> {
    let Frame { width, height, channels } = frame(file)?;
    let (columns, rows) = (usize::from(width), usize::from(height));
    check_size(columns, rows)?;
    let mut stored = vec![0; columns * rows * usize::from(channels)];
    let whole = ffi::decode_jpeg(file, width.into(), height.into(), channels.into(), &mut stored)
        .map_err(|error| damaged(error.what()))?;
    if !whole {
        return Err(PictureError::Truncated { format: "JPEG" });
    }
    let pixels = match channels {
        1 => stored.iter().flat_map(|&grey| [grey; 3]).collect(),
        3 => stored,
        _ => stored.chunks_exact(4).flat_map(rgb_of_inverted_cmyk).collect(),
    };
    Ok(Rgb { width: columns, height: rows, pixels })
}

fn damaged(reason: impl Into<String>) -> PictureError {
    PictureError::Damaged { format: "JPEG", reason: reason.into() }
}

/// Pillow's Convert.c: with k and the inks in [0, 255], (255 − k)·(1 − ink/255), the product rounded.
fn rgb_of_inverted_cmyk(inverted: &[u8]) -> [u8; 3] {
    let light = u32::from(inverted[3]);
    [0, 1, 2].map(|ink| {
        let product = u32::from(255 - inverted[ink]) * light + 128;
        (light - (((product >> 8) + product) >> 8)) as u8
    })
}

/// Size and components as Pillow's JpegImagePlugin finds them: the last frame header before the first scan.
fn frame(file: &[u8]) -> Result<Frame, PictureError> {
    let truncated = || PictureError::Truncated { format: "JPEG" };
    let mut bytes = file[START.len() - 1..].iter();
    let mut frame = None;
    loop {
        if *bytes.next().ok_or_else(truncated)? != 0xff {
            continue;
        }
        let marker = *bytes.find(|&&byte| byte != 0xff).ok_or_else(truncated)?;
        match marker {
            0x00 | 0xc8 | 0xd0..=0xd9 | 0xf0..=0xfd => continue,
            0x01..=0xbf => return Err(damaged(format!("no marker has the number {marker:#04x}"))),
            _ => {}
        }
        let segment = segment(&mut bytes).ok_or_else(truncated)?;
        match marker {
            START_OF_SCAN => break,
            QUANTISATION => check_tables(segment)?,
            0xc0..=0xc3 | 0xc5..=0xc7 | 0xc9..=0xcb | 0xcd..=0xcf | 0xde => frame = Some(parse_frame(segment)?),
            _ => {}
        }
    }
    match frame {
        None => Err(damaged("a scan without a frame header")),
        Some(Frame { width: 0, .. } | Frame { height: 0, .. }) => Err(damaged("a side of 0 pixels")),
        Some(frame) => Ok(frame),
    }
}

/// What the two bytes of length announce; `bytes` goes behind it. None if the file ends first.
fn segment<'a>(bytes: &mut std::slice::Iter<'a, u8>) -> Option<&'a [u8]> {
    let length = usize::from(u16::from_be_bytes([*bytes.next()?, *bytes.next()?])).saturating_sub(2);
    let (segment, rest) = bytes.as_slice().split_at_checked(length)?;
    *bytes = rest.iter();
    Some(segment)
}

fn parse_frame(segment: &[u8]) -> Result<Frame, PictureError> {
    let &[bits, y1, y0, x1, x0, channels, ref components @ ..] = segment else {
        return Err(damaged("a frame header that is too short"));
    };
    if bits != 8 {
        return Err(damaged(format!("{bits} bits a sample; only 8 are read")));
    }
    if ![1, 3, 4].contains(&channels) || components.len() % 3 != 0 {
        return Err(damaged(format!("{channels} components; only 1, 3 or 4 are read")));
    }
    Ok(Frame { width: u16::from_be_bytes([x1, x0]), height: u16::from_be_bytes([y1, y0]), channels })
}

fn check_tables(mut segment: &[u8]) -> Result<(), PictureError> {
    while let &[kind, ..] = segment {
        let length = if kind < 16 { 65 } else { 129 };
        segment = segment.get(length..).ok_or_else(|| damaged("a quantisation table that is too short"))?;
    }
    Ok(())
}
