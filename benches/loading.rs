//! Images a second that reading, decoding and preparing alone reaches: `cargo bench --bench loading -- IMAGEFOLDER [RUNS]`.
//!
//! Prints the seconds of each run over all images, resize 256 and crop 224, in batches of 64, as JSON.
//! `scripts/time_loading.py` compares it with torchvision.

use std::path::Path;
use std::time::Instant;

use polyact::dataset::{Interpolation, OpenOptions, Preparation, Transform};

fn main() {
    // Cargo adds `--bench`.
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let Some(folder) = arguments.first() else {
        println!("loading: name a folder of class folders");
        return;
    };
    let runs: usize = arguments.get(1).and_then(|runs| runs.parse().ok()).unwrap_or(3);
    let dataset = OpenOptions::default().open(Path::new(folder)).expect("a folder of class folders");
    let transform = Transform { resize: Some(256), crop: Some(224), interpolation: Interpolation::Bilinear };
    let preparation = Preparation { transform, mean: vec![0.485, 0.456, 0.406], std: vec![0.229, 0.224, 0.225] };
    let all: Vec<usize> = (0..dataset.len()).collect();
    let mut seconds = Vec::new();
    for _ in 0..runs {
        let start = Instant::now();
        let mut images = 0;
        std::thread::scope(|threads| {
            for batch in dataset.read_ahead(threads, &preparation, &all, 64, Vec::new(), |_| None) {
                images += batch.images.indices.len();
            }
        });
        assert_eq!(images, dataset.len(), "every image can be read");
        seconds.push(start.elapsed().as_secs_f64());
    }
    println!("{seconds:?}");
}
