//! Seconds of one batch through a network, on request: `cargo bench --bench network -- MODEL BATCH SIDE RANGE`.
//!
//! Loads the archive, says `ready`, and then reads words from standard input: for `exact`, and for `approximate`, in which
//! every ReLU and max-pool is paper:14 with this range, it runs a batch of random images and prints the seconds;
//! for `memory` it prints the peak of the process in MiB. Inputs out of range end it. `scripts/bench` lets it take turns
//! with PyTorch.

use std::io::BufRead;
use std::path::Path;
use std::time::Instant;

use polyact::activation::{Activation, Interval};
use polyact::model::{Model, Sites, keep_memory};
use tch::{Device, Kind, Tensor};

const WARM_UP: usize = 3;

fn main() {
    // Cargo adds `--bench`.
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let [archive, batch, side, range] = &arguments[..] else {
        println!("network: name an archive, the images of a batch, their side, and a range");
        return;
    };
    keep_memory();
    let model = Model::load(Path::new(archive), Device::Cpu).expect("an archive");
    let side: i64 = side.parse().expect("pixels");
    tch::manual_seed(0);
    let images = Tensor::randn([batch.parse().expect("images"), 3, side, side], (Kind::Float, Device::Cpu));
    let activation = Activation::design(&"paper:14".parse().expect("an activation")).expect("within reach");
    let range: f64 = range.parse().expect("a number");
    let choice = activation.as_ref().map(|activation| (activation, Interval::symmetric(range)));
    let approximate = model.table(model.sites().iter().map(|_| choice), false).expect("fits every site");
    let exact = model.exact();
    println!("ready");
    let mut warm = [false; 2];
    for word in std::io::stdin().lock().lines() {
        let (table, warm) = match word.expect("text").as_str() {
            "exact" => (&exact, &mut warm[0]),
            "approximate" => (&approximate, &mut warm[1]),
            _ => {
                println!("{}", peak_memory());
                continue;
            }
        };
        if !std::mem::replace(warm, true) {
            (0..WARM_UP).for_each(|_| run(&model, &images, table));
        }
        let start = Instant::now();
        run(&model, &images, table);
        println!("{}", start.elapsed().as_secs_f64());
    }
}

fn run(model: &Model, images: &Tensor, table: &Sites) {
    drop(model.forward(images, table).expect("logits"));
    let outside: u64 = (0..table.count()).map(|site| table.take_overflow(site).values).sum();
    assert_eq!(outside, 0, "inputs out of range");
}

/// MiB.
fn peak_memory() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("the peak");
    line.trim().trim_end_matches(" kB").parse::<f64>().expect("a number") / 1024.0
}
