//! IDX, the format of MNIST and Fashion-MNIST: a file of images and a file of labels, plain or gzipped.
//!
//! Big-endian: two zero bytes, the type (8: unsigned byte), the number of dimensions, their sizes as u32, the bytes
//! (<http://yann.lecun.com/exdb/mnist/>). Images are [N, height, width] or [N, channels, height, width].

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use flate2::read::MultiGzDecoder;

use super::pixels::Pixels;
use super::{BUNDLED, Dataset, DatasetError, Images};

/// How files of images and of their labels are named at their ends: as they were published, and as some programs unpack them.
const NAMES: [[&str; 2]; 2] = [["images-idx3-ubyte", "labels-idx1-ubyte"], ["images.idx3-ubyte", "labels.idx1-ubyte"]];
const UNSIGNED_BYTE: u8 = 8;
const GZIP: [u8; 2] = [0x1f, 0x8b];
/// More than any real set, and a bound for what a damaged header can claim.
const MAX_BYTES: usize = 1 << 36;

/// The bytes of an IDX file and the sizes of its dimensions.
struct Idx {
    sizes: Vec<usize>,
    bytes: Vec<u8>,
}

pub(super) fn open(path: &Path) -> Result<Dataset, DatasetError> {
    let images = find_images(path)?;
    let labels = labels_beside(&images)?;
    let name = images.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    assemble(name, (&images, opened(&images)?), (&labels, opened(&labels)?))
}

/// Part of the program, so that it is there wherever the program is.
pub(super) fn bundled() -> Result<Dataset, DatasetError> {
    let images = include_bytes!("../../datasets/fashion-mnist/t10k-images-idx3-ubyte.gz");
    let labels = include_bytes!("../../datasets/fashion-mnist/t10k-labels-idx1-ubyte.gz");
    let path = Path::new(BUNDLED);
    assemble(BUNDLED.to_owned(), (path, &images[..]), (path, &labels[..]))
}

fn opened(path: &Path) -> Result<BufReader<File>, DatasetError> {
    let file = File::open(path).map_err(|source| DatasetError::Read { path: path.to_owned(), source })?;
    Ok(BufReader::new(file))
}

/// Whether `folder` holds IDX images.
pub(super) fn is_here(folder: &Path) -> bool {
    !matches!(find_images(folder), Err(DatasetError::Unknown { .. } | DatasetError::Read { .. }))
}

fn find_images(path: &Path) -> Result<PathBuf, DatasetError> {
    let read_error = |source| DatasetError::Read { path: path.to_owned(), source };
    if !std::fs::metadata(path).map_err(read_error)?.is_dir() {
        return Ok(path.to_owned());
    }
    let mut found = Vec::new();
    for entry in std::fs::read_dir(path).map_err(read_error)? {
        let entry = entry.map_err(read_error)?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if NAMES.iter().any(|[images, _]| name.trim_end_matches(".gz").ends_with(images)) {
            found.push(entry.path());
        }
    }
    found.sort();
    match found.len() {
        0 => Err(DatasetError::Unknown { path: path.to_owned() }),
        1 => Ok(found.remove(0)),
        _ => {
            let names: Vec<_> = found.iter().filter_map(|p| p.file_name()).map(|n| n.to_string_lossy()).collect();
            Err(DatasetError::Several { path: path.to_owned(), found: names.join(", ") })
        }
    }
}

/// The file of the same name with `labels` for `images`, gzipped or not.
fn labels_beside(images: &Path) -> Result<PathBuf, DatasetError> {
    let content = |reason: String| DatasetError::Content { path: images.to_owned(), reason };
    let name = images.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let plain = name.trim_end_matches(".gz");
    let Some(stem) = NAMES.iter().find_map(|[images, _]| plain.strip_suffix(images)) else {
        return Err(content(format!(
            "the name of an IDX file of images must end in {}, so that its labels can be found",
            NAMES[0][0]
        )));
    };
    let candidates: Vec<PathBuf> = NAMES
        .iter()
        .flat_map(|[_, labels]| [format!("{stem}{labels}"), format!("{stem}{labels}.gz")])
        .map(|name| images.with_file_name(name))
        .collect();
    let found = candidates.iter().find(|path| path.exists());
    found.cloned().ok_or_else(|| content(format!("its labels are missing: {}[.gz]", candidates[0].display())))
}

fn assemble<R: BufRead>(name: String, images: (&Path, R), labels: (&Path, R)) -> Result<Dataset, DatasetError> {
    let wrap = |path: &Path| {
        let path = path.to_owned();
        move |reason: String| DatasetError::Content { path, reason }
    };
    let pictures = parse(images.1).map_err(wrap(images.0))?;
    let classes = parse(labels.1).map_err(wrap(labels.0))?;
    let shape = match pictures.sizes[..] {
        [_, height, width] => [1, height, width],
        [_, channels, height, width] => [channels, height, width],
        _ => {
            return Err(wrap(images.0)(format!("{} dimensions; images have 3 or 4", pictures.sizes.len())));
        }
    };
    let (count, size) = (pictures.sizes[0], shape.iter().product::<usize>());
    if count == 0 || size == 0 {
        return Err(wrap(images.0)(format!("it holds no image: {count} of {shape:?}")));
    }
    if classes.sizes.len() != 1 {
        return Err(wrap(labels.0)(format!("{} dimensions; labels have 1", classes.sizes.len())));
    }
    if classes.bytes.len() != count {
        return Err(wrap(labels.0)(format!("{} labels for {count} images", classes.bytes.len())));
    }
    let labels = classes.bytes.iter().map(|&label| u32::from(label)).collect();
    Ok(Dataset {
        name,
        images: Images::Pixels(Pixels::new(shape, pictures.bytes)),
        labels,
        classes: None,
        notes: Vec::new(),
    })
}

fn parse(mut file: impl BufRead) -> Result<Idx, String> {
    let begin = file.fill_buf().map_err(|error| error.to_string())?;
    if begin.starts_with(&GZIP) {
        let damaged = |error| format!("the gzip data are damaged or cut short: {error}");
        read(MultiGzDecoder::new(file), damaged)
    } else {
        read(file, |error| error.to_string())
    }
}

/// No more is read than the header claims, and no more memory taken than there are data.
fn read(mut file: impl Read, damaged: impl Fn(std::io::Error) -> String) -> Result<Idx, String> {
    let mut next = |most: usize| {
        let mut bytes = Vec::new();
        file.by_ref().take(most as u64).read_to_end(&mut bytes).map_err(&damaged)?;
        Ok::<Vec<u8>, String>(bytes)
    };
    let [0, 0, kind, dimensions] = next(4)?[..] else {
        return Err("not an IDX file: it does not begin with two zero bytes".to_owned());
    };
    if kind != UNSIGNED_BYTE {
        return Err(format!("IDX data of type {kind:#04x}; only unsigned bytes (0x08) are images or labels"));
    }
    let dimensions = usize::from(dimensions);
    let header = next(4 * dimensions)?;
    if dimensions == 0 || header.len() < 4 * dimensions {
        return Err(format!("not an IDX file: the header ends before its {dimensions} dimensions"));
    }
    let sizes: Vec<usize> =
        header.chunks_exact(4).map(|size| u32::from_be_bytes([size[0], size[1], size[2], size[3]]) as usize).collect();
    let shape = sizes.iter().map(usize::to_string).collect::<Vec<_>>().join("x");
    let expected = sizes.iter().try_fold(1usize, |product, &size| product.checked_mul(size));
    let Some(expected) = expected.filter(|&count| count <= MAX_BYTES) else {
        return Err(format!("the header says {shape}, more than the {MAX_BYTES} bytes of data that are read"));
    };
    let bytes = next(expected + 1)?;
    match bytes.len() {
        found if found > expected => Err(format!("more bytes of data than the {shape} that the header says")),
        found if found < expected => Err(format!("{found} bytes of data, but the header says {shape}")),
        _ => Ok(Idx { sizes, bytes }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::{Preparation, Transform};
    use flate2::{Compression, write::GzEncoder};
    use proptest::prelude::*;
    use std::io::Write;

    fn idx(sizes: &[u32], bytes: &[u8]) -> Vec<u8> {
        let mut file = vec![0, 0, 8, sizes.len() as u8];
        sizes.iter().for_each(|size| file.extend(size.to_be_bytes()));
        file.extend(bytes);
        file
    }

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn dataset(images: &[u8], labels: &[u8]) -> Result<Dataset, DatasetError> {
        assemble("test".into(), (Path::new("images"), images), (Path::new("labels"), labels))
    }

    #[test]
    fn bundled_images_are_the_ten_thousand_of_fashion_mnist() {
        let dataset = bundled().unwrap();
        assert_eq!((dataset.len(), dataset.shape()), (10_000, Some([1, 28, 28])));
        // Each of the ten classes has a thousand; the first image is an ankle boot.
        assert!((0..10).all(|class| { dataset.labels().iter().filter(|&&label| label == class).count() == 1000 }));
        assert_eq!(dataset.labels()[0], 9);
    }

    #[test]
    fn plain_and_gzipped_files_are_the_same_dataset() {
        let (images, labels) = (idx(&[2, 2, 2], &[0, 51, 102, 255, 1, 2, 3, 4]), idx(&[2], &[1, 0]));
        let plain = dataset(&images, &labels).unwrap();
        let packed = dataset(&gzip(&images), &gzip(&labels)).unwrap();
        let preparation = Preparation { transform: Transform::default(), mean: vec![0.5], std: vec![0.5] };
        let first = plain.prepare(0, &preparation).unwrap();
        assert_eq!(first, packed.prepare(0, &preparation).unwrap());
        assert_eq!((first.shape, plain.labels()), ([1, 2, 2], [1, 0].as_slice()));
        assert_eq!(first.pixels, [-1.0, (0.2 - 0.5) / 0.5, (0.4 - 0.5) / 0.5, 1.0]);
    }

    #[test]
    fn damage_is_named() {
        let (images, labels) = (idx(&[2, 1, 1], &[0, 1]), idx(&[2], &[1, 0]));
        let reason = |images: &[u8], labels: &[u8]| dataset(images, labels).unwrap_err().to_string();
        let cut = gzip(&images);
        assert!(reason(&cut[..cut.len() - 6], &labels).contains("damaged or cut short"));
        assert!(reason(&images[..images.len() - 1], &labels).contains("1 bytes of data, but the header says 2x1x1"));
        assert!(reason(&images, &idx(&[1], &[1])).contains("1 labels for 2 images"));
        assert!(reason(b"GIF89a", &labels).contains("not an IDX file"));
        assert!(reason(&[0, 0, 13, 1, 0, 0, 0, 0], &labels).contains("type 0x0d"));
        assert!(reason(&idx(&[0, 28, 28], &[]), &labels).contains("no image"));
        assert!(reason(&idx(&[u32::MAX; 4], &[1]), &labels).contains("header says"));
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_parser_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = parse(&bytes[..]);
            let mut header = vec![0, 0, 8];
            header.extend(&bytes);
            let _ = parse(&header[..]);
        }
    }
}
