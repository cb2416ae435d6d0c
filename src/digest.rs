//! SHA-256 of models, datasets and other files, which every result row carries.

#[cfg(feature = "libtorch")]
use std::{fs::File, io::Read, path::Path};

use sha2::{Digest, Sha256};

/// SHA-256 of a file's bytes, in hexadecimal.
///
/// # Errors
/// What opening and reading the file reports.
#[cfg(feature = "libtorch")]
pub fn of_file(path: &Path) -> std::io::Result<String> {
    let mut file = File::open(path)?;
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 1 << 20];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(hexadecimal(hasher)),
            read => hasher.update(&buffer[..read]),
        }
    }
}

/// SHA-256 of some bytes, in hexadecimal.
pub fn of_text(bytes: &[u8]) -> String {
    hexadecimal(Sha256::new_with_prefix(bytes))
}

/// A digest in hexadecimal.
pub fn shown(sha256: &[u8; 32]) -> String {
    sha256.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// SHA-256 of some bytes.
#[cfg(feature = "libtorch")]
pub fn of_bytes(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

/// SHA-256 over labelled images, in hexadecimal, whatever their order: of their sorted digests, each followed by its
/// label.
#[cfg(feature = "libtorch")]
pub fn of_images(mut images: Vec<([u8; 32], u32)>) -> String {
    images.sort_unstable();
    let mut hasher = Sha256::new();
    for (sha256, label) in images {
        hasher.update(sha256);
        hasher.update(label.to_le_bytes());
    }
    hexadecimal(hasher)
}

fn hexadecimal(hasher: Sha256) -> String {
    shown(&hasher.finalize().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// FIPS 180-2, appendix B.1.
    #[test]
    fn digest_of_abc_is_the_published_one() {
        let expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(of_text(b"abc"), expected);
    }

    #[cfg(feature = "libtorch")]
    #[test]
    fn digest_of_images_does_not_depend_on_their_order_but_on_their_labels() {
        let (a, b) = (of_bytes(b"a"), of_bytes(b"b"));
        assert_eq!(of_images(vec![(a, 1), (b, 2)]), of_images(vec![(b, 2), (a, 1)]));
        assert_ne!(of_images(vec![(a, 1), (b, 2)]), of_images(vec![(a, 2), (b, 1)]));
    }
}
