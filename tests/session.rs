//! A session: one configuration after another over the same images, which are decoded and passed through the exact network
//! once.
#![cfg(feature = "libtorch")]

mod common;

use std::fs::{self, File};
use std::io::BufWriter;
use std::path::Path;

use common::weights;
use polyact::activation::{Arithmetic, Interval, Spec};
use polyact::dataset::{Dataset, OpenOptions, Preparation, Transform};
use polyact::evaluation::{
    Configuration, Designs, Evaluation, EvaluationError, Plan, Ranges, Rule, Scope, Selector, Session, Substitution,
    Tally,
};
use polyact::model::Model;
use tch::Device;

const IMAGES: usize = 120;
const BATCH: usize = 32;

/// Noise of 28 by 28 pixels in ten class folders.
fn write_images(folder: &Path) {
    let mut state = 1u32;
    for image in 0..IMAGES {
        let class = folder.join(format!("{}", image % 10));
        fs::create_dir_all(&class).unwrap();
        let file = BufWriter::new(File::create(class.join(format!("{image:03}.png"))).unwrap());
        let mut encoder = png::Encoder::new(file, 28, 28);
        encoder.set_color(png::ColorType::Grayscale);
        let noise = |_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        };
        let pixels: Vec<u8> = (0..28 * 28).map(noise).collect();
        encoder.write_header().unwrap().write_image_data(&pixels).unwrap();
    }
}

fn preparation() -> Preparation {
    Preparation { transform: Transform::default(), mean: vec![0.2860], std: vec![0.3530] }
}

/// A configuration made in memory: an activation and a range for all sites, and one for the first.
fn substitution(model: &Model, alpha: u32, first: f64) -> Substitution {
    let rule = Rule { sites: Selector::Index(0), activation: None, range: Some(first) };
    let configuration = Configuration {
        relu: Spec::Paper { alpha },
        maxpool: None,
        relu_range: Some(Ranges::One(Interval::symmetric(16.0)).into()),
        maxpool_range: None,
        plan: Some(Plan { rules: vec![rule] }.into()),
        arithmetic: Arithmetic::F64,
        clip: false,
        guard: None,
    };
    configuration.resolve(model.sites(), &mut Designs::default()).unwrap()
}

fn evaluated(session: &Session<'_>, substitutions: &[Substitution]) -> Result<Evaluation, EvaluationError> {
    let mut evaluation = Evaluation::default();
    session.evaluate(substitutions, &mut evaluation, &mut ()).map(|()| evaluation)
}

/// What does not depend on time.
fn outcome(tally: &Tally) -> Tally {
    Tally { timing: Default::default(), ..tally.clone() }
}

fn with_session(keep: usize, test: impl FnOnce(&Path, &Model, &Session<'_>)) {
    let folder = tempfile::tempdir().unwrap();
    write_images(folder.path());
    let dataset: Dataset = OpenOptions::default().open(folder.path()).unwrap();
    let models = [Model::load(&weights("vgg-fashion.pt"), Device::Cpu).unwrap()];
    let images: Vec<usize> = (0..IMAGES).collect();
    let preparation = preparation();
    let scope = Scope {
        dataset: &dataset,
        preparation: &preparation,
        images: &images,
        batch: BATCH,
        strict: true,
        stop_at_overflow: false,
        until: None,
    };
    test(folder.path(), &models[0], &Session::keeping(&models, scope, keep));
}

#[test]
fn what_is_kept_is_neither_decoded_nor_computed_again() {
    with_session(usize::MAX, |folder, model, session| {
        let [crude, fine] = [(4, 9.0), (14, 16.0)].map(|(alpha, first)| substitution(model, alpha, first));
        let together = evaluated(session, &[crude.clone(), fine.clone()]).unwrap();
        assert_eq!(together.images.len(), IMAGES);
        assert!(together.tallies[0].score.agreement() < 100.0, "noise under alpha = 4");
        fs::remove_dir_all(folder).unwrap();
        for (one, tally) in [crude, fine].into_iter().zip(&together.tallies) {
            let alone = evaluated(session, &[one]).unwrap();
            assert_eq!(outcome(&alone.tallies[0]), outcome(tally));
            assert_eq!((alone.images, alone.exact), (together.images.clone(), together.exact.clone()));
        }
        fs::create_dir(folder).unwrap();
    });
}

#[test]
fn logits_are_kept_where_there_is_no_room_for_images() {
    // 120 images of ten classes, and 28·28 values of four bytes each.
    let logits = IMAGES * 10 * 8;
    with_session(logits + 28 * 28 * 4 * (BATCH + 1), |folder, model, session| {
        let fine = [substitution(model, 14, 16.0)];
        let before = evaluated(session, &fine).unwrap();
        assert_eq!(session.kept_bytes(), logits + 28 * 28 * 4 * BATCH);
        let again = evaluated(session, &fine).unwrap();
        assert_eq!((outcome(&again.tallies[0]), again.exact), (outcome(&before.tallies[0]), before.exact));
        // The images behind the first batch are wanted again.
        fs::remove_dir_all(folder).unwrap();
        let error = evaluated(session, &fine).expect_err("the images are gone");
        assert!(matches!(error, EvaluationError::Broken { .. }), "{error}");
        fs::create_dir(folder).unwrap();
    });
}

/// What configurations have in common is in the time of each, and once in that of all passes.
#[test]
fn configurations_that_begin_alike_share_their_beginning() {
    with_session(0, |_, model, session| {
        let mut last = substitution(model, 14, 16.0);
        last.sites.last_mut().unwrap().approximation = None;
        let substitutions = [substitution(model, 14, 16.0), last.clone(), substitution(model, 14, 9.0)];
        let together = evaluated(session, &substitutions).unwrap();
        for (one, tally) in substitutions.iter().zip(&together.tallies) {
            let alone = evaluated(session, std::slice::from_ref(one)).unwrap();
            assert_eq!(outcome(&alone.tallies[0]), outcome(tally));
        }
        let seconds = |evaluation: &Evaluation| {
            let each: f64 = evaluation.tallies.iter().map(|tally| tally.timing.seconds()).sum();
            (evaluation.passes.seconds(), each + evaluation.exact.seconds())
        };
        let (all, each) = seconds(&together);
        assert!(all < each, "{all} {each}");
        let (all, each) = seconds(&evaluated(session, &[substitutions[2].clone(), last]).unwrap());
        assert!(all >= each, "{all} {each}");
    });
}

#[test]
fn nothing_is_kept_where_that_is_not_asked_for() {
    with_session(0, |_, model, session| {
        evaluated(session, &[substitution(model, 14, 16.0)]).unwrap();
        assert_eq!(session.kept_bytes(), 0);
    });
}
