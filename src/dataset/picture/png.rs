//! PNG as Pillow reads it (<https://www.w3.org/TR/png-3/>).
//!
//! Pillow's own reader is followed, in what it makes of a pixel and in what it refuses: checksums count up to the first
//! image data and no further, 16 bits become 8 by their high byte, but 16-bit grey is cut at 255, alpha is dropped, and
//! a palette entry that is not there is black. Of chunks that do not say what the pixels are, only the checksum counts.
//! The one exception is an animation whose first frame is smaller than the picture, against the standard: it is refused.

use flate2::{Crc, Decompress, FlushDecompress, Status};

use super::{PictureError, Rgb, check_size};

pub(super) const START: [u8; 8] = *b"\x89PNG\r\n\x1a\n";

/// First column, first row, and the steps, of the seven passes of an interlaced image.
const ADAM7: [[usize; 4]; 7] =
    [[0, 0, 8, 8], [4, 0, 8, 8], [0, 4, 4, 8], [2, 0, 4, 4], [0, 2, 2, 4], [1, 0, 2, 2], [0, 1, 1, 2]];
const ALL: [[usize; 4]; 1] = [[0, 0, 1, 1]];

/// What Pillow decompresses at once. It shows in damaged files: what is wrong behind the last row is not always seen.
const BLOCK: usize = 1 << 16;

#[derive(Debug, Clone, Copy)]
struct Header {
    width: usize,
    height: usize,
    /// Of one sample.
    bits: usize,
    colour: Colour,
    interlaced: bool,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Colour {
    Grey,
    Rgb,
    Palette,
    GreyAlpha,
    RgbAlpha,
}

impl Colour {
    fn samples(self) -> usize {
        match self {
            Colour::Grey | Colour::Palette => 1,
            Colour::GreyAlpha => 2,
            Colour::Rgb => 3,
            Colour::RgbAlpha => 4,
        }
    }
}

/// A pass: where it begins, how far apart its pixels are, and the bytes of a row without that of its filter.
struct Pass {
    x: usize,
    y: usize,
    step_x: usize,
    step_y: usize,
    bytes: usize,
}

struct Chunk<'a> {
    kind: [u8; 4],
    /// Shorter than the chunk says where the file ends early.
    data: &'a [u8],
    length: usize,
    /// Of kind and data, as the file has it.
    checksum: Option<u32>,
}

/// The pixels of a file that begins with [`START`].
///
/// # Errors
/// [`PictureError`] for what Pillow refuses.
pub(super) fn decode(file: &[u8]) -> Result<Rgb, PictureError> {
    let mut rest = &file[START.len()..];
    let (mut header, mut palette, mut first_frame) = (None, Vec::new(), None);
    let data = loop {
        let chunk = take_chunk(&mut rest)?.ok_or(TRUNCATED)?;
        match &chunk.kind {
            b"IDAT" => break chunk.data,
            b"IEND" => return Err(damaged("it has no image data")),
            _ => check(&chunk)?,
        }
        match &chunk.kind {
            b"IHDR" => header = Some(parse_header(chunk.data)?),
            b"PLTE" => palette = chunk.data.to_vec(),
            b"fcTL" => first_frame = chunk.data.get(4..20),
            _ => {}
        }
    };
    let header = header.ok_or_else(|| damaged("it has no header"))?;
    check_size(header.width, header.height)?;
    if header.colour == Colour::Palette && palette.len() / 3 > 256 {
        return Err(damaged("a palette of more than 256 colours"));
    }
    let whole = [header.width as u32, header.height as u32, 0, 0].map(u32::to_be_bytes);
    if first_frame.is_some_and(|frame| frame != whole.as_flattened()) {
        return Err(damaged("its first frame is not the whole picture"));
    }
    palette.truncate(palette.len() / 3 * 3);
    palette.resize(3 * 256, 0);
    let mut rows = Rows { inflater: Decompress::new(true), ended: false, block: &[], data, rest };
    let picture = unpack(&mut rows, &header, &palette)?;
    check_presence(rows.rest)?;
    Ok(picture)
}

/// The chunks up to the end of the image must be there; what they hold does not count.
fn check_presence(mut rest: &[u8]) -> Result<(), PictureError> {
    while let Ok(Some(chunk)) = take_chunk(&mut rest)
        && chunk.kind != *b"IEND"
    {
        if chunk.data.len() < chunk.length {
            return Err(TRUNCATED);
        }
    }
    Ok(())
}

const TRUNCATED: PictureError = PictureError::Truncated { format: "PNG" };

fn damaged(reason: impl Into<String>) -> PictureError {
    PictureError::Damaged { format: "PNG", reason: reason.into() }
}

/// The next chunk; `rest` goes behind it. None at the end of the file.
fn take_chunk<'a>(rest: &mut &'a [u8]) -> Result<Option<Chunk<'a>>, PictureError> {
    let Some((&[l3, l2, l1, l0, ref kind @ ..], body)) = rest.split_first_chunk::<8>() else {
        return Ok(None);
    };
    if !kind.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'_') {
        return Err(damaged(format!("no chunk is named \"{}\"", kind.escape_ascii())));
    }
    let length = u32::from_be_bytes([l3, l2, l1, l0]) as usize;
    let (data, behind) = body.split_at(length.min(body.len()));
    let checksum = behind.first_chunk::<4>().map(|bytes| u32::from_be_bytes(*bytes));
    *rest = behind.get(4..).unwrap_or_default();
    Ok(Some(Chunk { kind: *kind, data, length, checksum }))
}

fn check(chunk: &Chunk) -> Result<(), PictureError> {
    let Some(expected) = chunk.checksum else { return Err(TRUNCATED) };
    let mut crc = Crc::new();
    crc.update(&chunk.kind);
    crc.update(chunk.data);
    if crc.sum() == expected {
        Ok(())
    } else {
        Err(damaged(format!("the checksum of the chunk {} does not match", chunk.kind.escape_ascii())))
    }
}

fn parse_header(data: &[u8]) -> Result<Header, PictureError> {
    let &[w3, w2, w1, w0, h3, h2, h1, h0, bits, colour, _compression, filter, interlaced, ..] = data else {
        return Err(damaged("a header that is too short"));
    };
    let colour = match (colour, bits) {
        (0, 1 | 2 | 4 | 8 | 16) => Colour::Grey,
        (2, 8 | 16) => Colour::Rgb,
        (3, 1 | 2 | 4 | 8) => Colour::Palette,
        (4, 8 | 16) => Colour::GreyAlpha,
        (6, 8 | 16) => Colour::RgbAlpha,
        _ => return Err(damaged(format!("no PNG has {bits} bits with colours of type {colour}"))),
    };
    if filter != 0 {
        return Err(damaged(format!("filters of type {filter} are not known")));
    }
    let side = |bytes| u32::from_be_bytes(bytes) as usize;
    let (width, height) = (side([w3, w2, w1, w0]), side([h3, h2, h1, h0]));
    if width == 0 || height == 0 {
        return Err(damaged("a side of 0 pixels"));
    }
    Ok(Header { width, height, bits: bits.into(), colour, interlaced: interlaced != 0 })
}

/// The filtered rows in the image data, in their order.
struct Rows<'a> {
    inflater: Decompress,
    /// The compressed data said so.
    ended: bool,
    /// What is being decompressed, then the rest of its chunk, then the rest of the file.
    block: &'a [u8],
    data: &'a [u8],
    rest: &'a [u8],
}

impl Rows<'_> {
    /// The next row, behind the byte that names its filter. False if the compressed data end before it.
    fn next(&mut self, row: &mut [u8]) -> Result<bool, PictureError> {
        let mut filled = 0;
        while filled < row.len() && !self.ended {
            if self.block.is_empty() {
                self.next_block()?;
            }
            let before = (self.inflater.total_in(), self.inflater.total_out());
            let status = self
                .inflater
                .decompress(self.block, &mut row[filled..], FlushDecompress::None)
                .map_err(|_| damaged("the compressed data do not decompress"))?;
            self.block = &self.block[(self.inflater.total_in() - before.0) as usize..];
            filled += (self.inflater.total_out() - before.1) as usize;
            match status {
                Status::Ok => {}
                Status::StreamEnd => self.ended = true,
                Status::BufError => return Err(damaged("the compressed data do not decompress")),
            }
        }
        match filled {
            0 => Ok(false),
            _ if filled < row.len() => Err(TRUNCATED),
            _ => Ok(true),
        }
    }

    fn next_block(&mut self) -> Result<(), PictureError> {
        while self.data.is_empty() {
            match take_chunk(&mut self.rest)? {
                Some(Chunk { kind: [b'I', b'D', b'A', b'T'], data, .. }) => self.data = data,
                _ => return Err(TRUNCATED),
            }
        }
        (self.block, self.data) = self.data.split_at(self.data.len().min(BLOCK));
        Ok(())
    }
}

fn unpack(rows: &mut Rows, header: &Header, palette: &[u8]) -> Result<Rgb, PictureError> {
    let (width, height) = (header.width, header.height);
    let mut picture = Rgb::black(width, height);
    if header.colour == Colour::Palette && palette[..3] != [0; 3] {
        picture.pixels.chunks_exact_mut(3).for_each(|pixel| pixel.copy_from_slice(&palette[..3]));
    }
    for pass in header.passes() {
        let (mut row, mut previous) = (vec![0; pass.bytes + 1], vec![0; pass.bytes + 1]);
        for y in (pass.y..height).step_by(pass.step_y) {
            if !rows.next(&mut row)? {
                // Like Pillow: where the compressed data end with a row, the others are of colour 0.
                return if (pass.x, y) == (0, 0) { Err(TRUNCATED) } else { Ok(picture) };
            }
            unfilter(row[0], &mut row[1..], &previous[1..], header.pixel_bits().div_ceil(8))?;
            let line = picture.pixels[3 * width * y..][..3 * width].chunks_exact_mut(3);
            header.convert(&row[1..], palette, line.skip(pass.x).step_by(pass.step_x));
            std::mem::swap(&mut row, &mut previous);
        }
    }
    Ok(picture)
}

impl Header {
    /// The passes that hold a pixel.
    fn passes(&self) -> impl Iterator<Item = Pass> {
        let steps = if self.interlaced { &ADAM7[..] } else { &ALL[..] };
        steps.iter().filter(|pass| pass[0] < self.width && pass[1] < self.height).map(|&[x, y, step_x, step_y]| Pass {
            x,
            y,
            step_x,
            step_y,
            bytes: ((self.width - x).div_ceil(step_x) * self.pixel_bits()).div_ceil(8),
        })
    }

    fn pixel_bits(&self) -> usize {
        self.bits * self.colour.samples()
    }

    /// `row` in RGB, into `targets`.
    fn convert<'a>(&self, row: &[u8], palette: &[u8], targets: impl Iterator<Item = &'a mut [u8]>) {
        let bits = self.bits;
        for (x, target) in targets.enumerate() {
            // Of this pixel; of 16 bits the high byte.
            let sample = |index: usize| {
                if bits < 8 {
                    row[x * bits / 8] >> (8 - bits - x * bits % 8) & (u8::MAX >> (8 - bits))
                } else {
                    row[(x * self.pixel_bits() + index * bits) / 8]
                }
            };
            target.copy_from_slice(&match self.colour {
                Colour::Grey if bits == 16 => [if sample(0) == 0 { row[2 * x + 1] } else { u8::MAX }; 3],
                Colour::Grey if bits < 8 => [sample(0) * (u8::MAX / (u8::MAX >> (8 - bits))); 3],
                Colour::Grey | Colour::GreyAlpha => [sample(0); 3],
                Colour::Rgb | Colour::RgbAlpha => [sample(0), sample(1), sample(2)],
                Colour::Palette => {
                    let entry = 3 * usize::from(sample(0));
                    [palette[entry], palette[entry + 1], palette[entry + 2]]
                }
            });
        }
    }
}

/// Undo the filter of `row`, given the row before it in the same pass.
fn unfilter(filter: u8, row: &mut [u8], previous: &[u8], pixel: usize) -> Result<(), PictureError> {
    let length = row.len();
    match filter {
        0 => {}
        1 => (pixel..length).for_each(|i| row[i] = row[i].wrapping_add(row[i - pixel])),
        2 => row.iter_mut().zip(previous).for_each(|(byte, above)| *byte = byte.wrapping_add(*above)),
        3 => {
            for i in 0..length {
                let left = if i < pixel { 0 } else { row[i - pixel] };
                row[i] = row[i].wrapping_add(((u16::from(left) + u16::from(previous[i])) / 2) as u8);
            }
        }
        4 => {
            for i in 0..length {
                let (left, corner) = if i < pixel { (0, 0) } else { (row[i - pixel], previous[i - pixel]) };
                row[i] = row[i].wrapping_add(paeth(left, previous[i], corner));
            }
        }
        _ => return Err(damaged(format!("filters of type {filter} are not known"))),
    }
    Ok(())
}

/// Of left, above and the corner between them, the one nearest to left + above − corner; the earlier on a tie.
fn paeth(left: u8, above: u8, corner: u8) -> u8 {
    let (a, b, c) = (i16::from(left), i16::from(above), i16::from(corner));
    let (pa, pb, pc) = ((b - c).abs(), (a - c).abs(), (a + b - 2 * c).abs());
    if pa <= pb && pa <= pc {
        left
    } else if pb <= pc {
        above
    } else {
        corner
    }
}
