//! Images that are stored as plain pixels, all of one shape, and held in memory.

/// Images of unsigned bytes, each [channels, height, width].
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Pixels {
    shape: [usize; 3],
    bytes: Vec<u8>,
}

impl Pixels {
    /// `bytes` holds a whole number of images of `shape`, which is not empty.
    pub fn new(shape: [usize; 3], bytes: Vec<u8>) -> Pixels {
        debug_assert!(bytes.len().is_multiple_of(shape.iter().product::<usize>().max(1)));
        Pixels { shape, bytes }
    }

    /// Channels, height, width.
    pub fn shape(&self) -> [usize; 3] {
        self.shape
    }

    pub fn image(&self, index: usize) -> &[u8] {
        &self.bytes[index * self.image_len()..(index + 1) * self.image_len()]
    }

    fn image_len(&self) -> usize {
        self.shape.iter().product()
    }
}
