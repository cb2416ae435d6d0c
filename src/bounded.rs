//! Files read whole up to a length: a device that never ends, or a wrong file that is far too long, must not fill the
//! memory.

use std::fs::File;
use std::io::{Error, Read};
use std::path::Path;

/// What a text that people write by hand never reaches: plans, ranges, settings, coefficients.
pub const TEXT: u64 = 1 << 25;
/// What tables and lists that programs write never reach.
pub const TABLE: u64 = 1 << 30;

/// The bytes of the file at `path`, of which there may be `most`.
///
/// # Errors
/// What opening and reading reports, and a file that is longer.
pub fn read(path: &Path, most: u64) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    if File::open(path)?.take(most + 1).read_to_end(&mut bytes)? as u64 > most {
        return Err(too_long(most));
    }
    Ok(bytes)
}

/// As [`read`], as text without a byte-order mark.
///
/// # Errors
/// As [`read`], and bytes that are not UTF-8.
#[cfg(feature = "libtorch")]
pub fn read_text(path: &Path, most: u64) -> std::io::Result<String> {
    let bytes = read(path, most)?;
    let text = text(&bytes).map_err(|_| Error::other("it is not UTF-8 text"))?;
    Ok(text.to_owned())
}

/// `bytes` as text without the byte-order mark that spreadsheet programs and some editors put before it.
///
/// # Errors
/// Bytes that are not UTF-8.
pub fn text(bytes: &[u8]) -> Result<&str, std::str::Utf8Error> {
    std::str::from_utf8(bytes).map(|text| text.strip_prefix('\u{feff}').unwrap_or(text))
}

/// Numbers of lines, from 1, at places of a text that are asked for in their order. A CSV reader's own are one too small
/// behind line breaks of CR LF and empty lines.
#[derive(Debug)]
pub struct LineNumbers<'a> {
    rest: &'a [u8],
    /// Where `rest` begins, and in which line.
    at: usize,
    line: u64,
}

impl LineNumbers<'_> {
    /// Those of `text`.
    pub fn of(text: &[u8]) -> LineNumbers<'_> {
        LineNumbers { rest: text, at: 0, line: 1 }
    }

    /// Of the first line with something in it, from byte `place` on.
    pub fn number(&mut self, place: u64) -> u64 {
        let place = usize::try_from(place).unwrap_or(usize::MAX).saturating_sub(self.at).min(self.rest.len());
        let breaks = self.rest[place..].iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
        let (behind, rest) = self.rest.split_at(place + breaks);
        self.line += behind.iter().filter(|&&byte| byte == b'\n').count() as u64;
        self.at += behind.len();
        self.rest = rest;
        self.line
    }
}

/// The error of a file of more than `most` bytes.
pub fn too_long(most: u64) -> Error {
    Error::other(format!("it is longer than {most} bytes, the most that is read"))
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn what_never_ends_is_refused() {
        assert_eq!(read(Path::new("/dev/null"), 0).unwrap(), b"");
        assert!(read(Path::new("/dev/zero"), 1000).unwrap_err().to_string().contains("longer than 1000 bytes"));
    }
}
