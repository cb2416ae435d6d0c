//! Whatever bytes the files hold that the program reads, it neither panics, nor hangs, nor takes more memory than there are
//! data for: changes of the good files in tests/corpus, many at random, the same in every run.
//!
//! `FUZZ_RUNS=1000000` sets how many a target, `FUZZ_SEED=1` draws others, `FUZZ_TARGET=picture` chooses one. What fails is
//! kept as target/tmp/fuzz-TARGET and belongs into the corpus.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use polyact::activation::{Activation, Spec};
use polyact::report::{Comparison, Overflow, Results, View, figure, html, latex, markdown, merge};

/// Counts what a thread allocates.
struct Counting;

thread_local! {
    static HELD: Cell<usize> = const { Cell::new(0) };
    static MOST: Cell<usize> = const { Cell::new(0) };
}

// SAFETY: all work is the system allocator's; counting allocates nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size());
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(layout.size());
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // What another thread allocated may be given back here.
        let _ = HELD.try_with(|held| held.set(held.get().saturating_sub(layout.size())));
        unsafe { System.dealloc(pointer, layout) }
    }
}

fn count(size: usize) {
    let _ = HELD.try_with(|held| {
        held.set(held.get() + size);
        MOST.with(|most| most.set(most.get().max(held.get())));
    });
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// SplitMix64 (Steele, Lea, Flood, OOPSLA 2014).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// From 0 to below `end`.
    fn below(&mut self, end: usize) -> usize {
        (self.next() % end.max(1) as u64) as usize
    }

    fn pick<'a, T: ?Sized>(&mut self, list: &[&'a T]) -> &'a T {
        list[self.below(list.len())]
    }
}

/// What parsers stumble over.
const WORDS: [&[u8]; 34] = [
    b"0", b"-1", b"1e999", b"-1e-999", b"nan", b"inf", b"1.5", b"255", b"256", b"65536", b"4294967295", b"4294967296",
    b"9223372036854775808", b"18446744073709551615", b"18446744073709551616", b"\n", b"\r\n", b",", b"\"", b"\"\"",
    b"'", b"[", b"]", b"{", b"}", b"=", b"\xef\xbb\xbf", b"\xff", b"\0", b"\0\0\0\0", b"\xff\xff\xff\xff",
    b"\x7f\xff\xff\xff", b"\x80\0\0\0", b"\\u0000",
];

/// One of the corpus, changed in a few places.
fn mutated(random: &mut Random, corpus: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = corpus[random.below(corpus.len())].clone();
    for _ in 0..=random.below(6) {
        let length = bytes.len();
        let (at, other) = (random.below(length + 1), random.below(length + 1));
        let (from, to) = (at.min(other), at.max(other));
        match random.below(9) {
            0 if at < length => bytes[at] ^= 1 << random.below(8),
            1 if at < length => bytes[at] = random.next() as u8,
            2 => {
                let word = random.pick(&WORDS);
                let end = (at + word.len()).min(length);
                bytes.splice(at..end, word.iter().copied());
            }
            3 => drop(bytes.splice(at..at, random.pick(&WORDS).iter().copied())),
            4 => drop(bytes.drain(from..to.min(from + 1 + random.below(40)))),
            5 => bytes.truncate(at),
            6 => {
                let part = bytes[from..to.min(from + 100)].repeat(1 + random.below(3));
                bytes.splice(at..at, part);
            }
            7 => {
                let second = &corpus[random.below(corpus.len())];
                let part = second[random.below(second.len() + 1)..].to_vec();
                bytes.splice(from.., part);
            }
            _ if length >= 4 => {
                let at = random.below(length - 3);
                let number = (random.next() as u32) >> random.below(32);
                bytes[at..at + 4].copy_from_slice(&number.to_be_bytes());
            }
            _ => bytes.push(random.next() as u8),
        }
        bytes.truncate(1 << 16);
    }
    bytes
}

/// A folder in memory for the files, removed in the end.
struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Place {
        Place(tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap())
    }

    fn file(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.0.path().join(name);
        fs::write(&path, bytes).unwrap();
        path
    }
}

/// Reads bytes as files of one kind and does with them what the program does.
type Target = fn(&Place, &[u8]);

/// Of each target, its name, which is that of its corpus.
const WORKBENCH: [(&str, Target); 5] = [
    ("spec", |_, bytes| {
        if let Ok(spec) = String::from_utf8_lossy(bytes).parse::<Spec>()
            && !matches!(spec, Spec::Minimax { .. } | Spec::Chebyshev { .. } | Spec::LeastSquares { .. })
        {
            let _ = Activation::design(&spec);
        }
    }),
    ("coefficients", |place, bytes| {
        let path = place.file("c.json", bytes);
        activation(&format!("file:{}", path.display()));
    }),
    ("list", |place, bytes| {
        let path = place.file("c.txt", bytes);
        activation(&format!("file:{}@3,5", path.display()));
    }),
    ("results", |place, bytes| {
        let path = place.file("r.csv", bytes);
        if let Ok(results) = Results::open(&path) {
            let after = fs::read(&path).unwrap();
            assert!(after == bytes || bytes.is_empty(), "opening changes nothing");
            let _ = results.sweep_rows();
        }
        if Results::mend(&path).is_ok() {
            assert!(fs::read(&path).unwrap().ends_with(b"\n"));
        }
        fs::write(&path, bytes).unwrap();
        let Ok(saved) = polyact::report::read(&path) else { return };
        let files = [saved];
        let _ = merge(&files);
        if let Ok(comparison) = Comparison::of(&files) {
            let views = [View::Depth, View::Mults, View::Lost, View::Range, View::Agreement];
            markdown(&comparison);
            latex(&comparison);
            html(&comparison, &figure(&comparison, &views), &files);
        }
    }),
    ("overflow", |place, bytes| {
        if let Ok(overflow) = Overflow::read(&place.file("o.csv", bytes)) {
            overflow.panels();
        }
    }),
];

fn activation(spec: &str) {
    if let Ok(spec) = spec.parse()
        && let Ok(Some(Activation::Composition(sign))) = Activation::design(&spec)
    {
        assert!(sign.bound().is_finite());
    }
}

/// Runs the targets that are asked for; says how many inputs each met.
fn fuzz(targets: &[(&str, Target)]) {
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse::<u64>().unwrap());
    let (runs, seed) = (number("FUZZ_RUNS").unwrap_or(10_000), number("FUZZ_SEED").unwrap_or(0));
    let chosen = std::env::var("FUZZ_TARGET").ok();
    for &(name, target) in targets.iter().filter(|(name, _)| chosen.as_deref().is_none_or(|chosen| chosen == *name)) {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus").join(name);
        let mut paths: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        paths.sort();
        let corpus: Vec<Vec<u8>> = paths.iter().map(|path| fs::read(path).unwrap()).collect();
        let place = Place::new();
        let mut random = Random(seed);
        let start = Instant::now();
        let as_they_are = corpus.iter().cloned();
        let changed = std::iter::repeat_with(|| mutated(&mut random, &corpus)).take(runs as usize);
        for bytes in as_they_are.chain(changed) {
            check(name, target, &place, &bytes);
        }
        let (count, seconds) = (corpus.len() as u64 + runs, start.elapsed().as_secs_f64());
        println!("{name}: {count} inputs, {:.0} a second", count as f64 / seconds);
    }
}

fn check(name: &str, target: Target, place: &Place, bytes: &[u8]) {
    let before = HELD.get();
    MOST.set(before);
    let run = || {
        let start = Instant::now();
        (std::panic::catch_unwind(|| target(place, bytes)).is_err(), start.elapsed())
    };
    let (panicked, mut time) = run();
    let memory = MOST.get() - before;
    let (most_memory, most_time) = allowed(name);
    if time > most_time {
        // It may be the machine that stood still.
        time = time.min(run().1);
    }
    if panicked || memory > most_memory || time > most_time {
        let kept = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("fuzz-{name}"));
        fs::write(&kept, bytes).unwrap();
        panic!("{name}: panicked {panicked}, {memory} bytes, {time:?}: {}", kept.display());
    }
}

/// Bytes and time for one input.
fn allowed(name: &str) -> (usize, Duration) {
    match name {
        // Like Pillow, libjpeg decodes as many pixels as a picture claims, up to a limit, and whatever is missing as grey.
        "picture" => (4 << 30, Duration::from_secs(120)),
        // The file that a changed name names may be a device that never ends.
        "spec" => (128 << 20, Duration::from_secs(5)),
        // More than any of these small files needs.
        _ => (64 << 20, Duration::from_secs(5)),
    }
}

#[test]
fn no_coefficients_and_no_results_do_harm() {
    fuzz(&WORKBENCH);
}

#[cfg(feature = "libtorch")]
mod networks {
    use super::*;
    use flate2::Crc;
    use polyact::dataset::picture::{Interpolation, Transform, decode};
    use polyact::dataset::{Layout, OpenOptions, Preparation, Preprocess};
    use polyact::evaluation::{Plan, Ranges, Sourced, SweepJournal};
    use polyact::model::{Site, SiteKind};

    const TARGETS: [(&str, Target); 9] = [
        ("idx", |place, bytes| {
            place.file("x-labels-idx1-ubyte", b"\0\0\x08\x01\0\0\0\x03\0\x01\x02");
            open(Layout::Idx, &place.file("x-images-idx3-ubyte", bytes), None, None);
        }),
        ("cifar", |place, bytes| {
            open(Layout::Cifar, &place.file("c.bin", bytes), None, None);
        }),
        ("tar", |place, bytes| {
            let labels = place.file("labels", b"0\n1\n2\n");
            for bytes in [bytes.to_vec(), with_sums(bytes)] {
                open(Layout::Tar, &place.file("t.tar", &bytes), Some(&labels), None);
            }
        }),
        ("labels", |place, bytes| {
            let labels = place.file("labels", bytes);
            open(Layout::Flat, &images(place), Some(&labels), None);
        }),
        ("classes", |place, bytes| {
            let (classes, labels) = (place.file("classes", bytes), place.file("labels", b"n00000001\nn00000003\n7\n"));
            open(Layout::Flat, &images(place), Some(&labels), Some(&classes));
        }),
        ("picture", |_, bytes| {
            for bytes in [bytes.to_vec(), with_checksums(bytes)] {
                let Ok(picture) = decode(&bytes) else { continue };
                assert_eq!(picture.pixels.len(), 3 * picture.width * picture.height);
                // Large ones are slow and no different.
                if picture.pixels.len() < 1 << 20 {
                    for interpolation in [Interpolation::Bilinear, Interpolation::Bicubic] {
                        let transform = Transform { resize: Some(9), crop: Some(8), interpolation };
                        let _ = transform.apply(picture.clone());
                    }
                }
            }
        }),
        ("plan", |place, bytes| {
            if let Ok(plan) = Plan::read(&place.file("p.toml", bytes)) {
                let _ = plan.of(&sites());
            }
        }),
        ("ranges", |place, bytes| {
            let path = place.file("r.csv", bytes);
            if let Ok(ranges) = format!("file:{}", path.display()).parse::<Sourced<Ranges>>() {
                for site in sites() {
                    assert!(
                        ranges.of(&site).map_or(true, |range| range.bound > 0.0 && range.ends.low < range.ends.high)
                    );
                }
            }
        }),
        ("journal", |place, bytes| {
            let path = place.file("j", bytes);
            for resume in [false, true] {
                if let Ok((mut journal, done)) = SweepJournal::open(&path, "s", resume, 2, None) {
                    journal.add(1, &done[0]).unwrap();
                }
            }
        }),
    ];

    fn sites() -> Vec<Site> {
        let site = |(index, name): (usize, &str)| Site {
            index,
            name: name.to_owned(),
            kind: SiteKind::relu(),
            image_axis: Some(0),
            non_negative: false,
        };
        ["a.relu", "layer1.0.relu", "conv1.relu", "pool"].into_iter().enumerate().map(site).collect()
    }

    /// A folder of three files that are images by their names.
    fn images(place: &Place) -> PathBuf {
        let folder = place.0.path().join("images");
        if !folder.exists() {
            fs::create_dir(&folder).unwrap();
            ["1.png", "2.png", "3.png"].iter().for_each(|name| fs::write(folder.join(name), "").unwrap());
        }
        folder
    }

    /// Opens a dataset and reads its images.
    fn open(layout: Layout, path: &Path, labels: Option<&Path>, classes: Option<&Path>) {
        let options = OpenOptions {
            layout: Some(layout),
            labels: labels.map(Path::to_owned),
            classes: classes.map(Path::to_owned),
            devkit_synsets: classes.map(Path::to_owned),
        };
        let Ok(dataset) = options.open(path) else { return };
        assert!(!dataset.is_empty() && dataset.shape().is_none_or(|shape| !shape.contains(&0)));
        let channels = dataset.shape().map_or(3, |shape| shape[0]);
        // A set of many channels is no set of images that a network takes.
        if channels < 100 {
            let (mean, std) = (vec![0.0; channels], vec![1.0; channels]);
            let preparation = Preparation { transform: Transform::default(), mean, std };
            for index in 0..dataset.len().min(4) {
                let _ = dataset.prepare(index, &preparation);
            }
        }
    }

    /// The headers of a tar archive with the sums that belong to them, so that what is behind the sums is met as well.
    fn with_sums(bytes: &[u8]) -> Vec<u8> {
        let mut bytes = bytes.to_vec();
        for header in bytes.chunks_exact_mut(512).filter(|block| block[257..].starts_with(b"ustar")) {
            header[148..156].fill(b' ');
            let sum: u32 = header.iter().map(|&byte| u32::from(byte)).sum();
            header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        }
        bytes
    }

    /// The chunks of a PNG with the checksums that belong to them.
    fn with_checksums(bytes: &[u8]) -> Vec<u8> {
        let mut bytes = bytes.to_vec();
        let mut at = 8;
        while bytes.starts_with(b"\x89PNG") && bytes.len() >= at + 12 {
            let length = u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]) as usize;
            let Some(chunk) = bytes.get_mut(at + 4..).filter(|rest| rest.len() >= 8 + length) else { break };
            let mut crc = Crc::new();
            crc.update(&chunk[..4 + length]);
            chunk[4 + length..8 + length].copy_from_slice(&crc.sum().to_be_bytes());
            at += 12 + length;
        }
        bytes
    }

    #[test]
    fn no_dataset_and_no_setting_does_harm() {
        fuzz(&TARGETS);
    }

    #[test]
    fn what_an_archive_says_of_its_inputs_does_no_harm() {
        fuzz(&[("preprocess", |_, bytes| drop(serde_json::from_slice::<Preprocess>(bytes)))]);
    }
}
