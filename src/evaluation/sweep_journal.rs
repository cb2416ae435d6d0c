//! The journal of a sweep: what every finished batch gave, for each of its models.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::journal::{Journal, JournalError, Run};
use super::{Evaluation, Until};

/// The journal of a sweep, open and locked.
#[derive(Debug)]
pub struct SweepJournal(Journal);

/// What one batch gave, for one model of the sweep.
#[derive(Serialize, Deserialize)]
struct Line {
    model: usize,
    batch: Evaluation,
}

impl SweepJournal {
    /// Open the journal at `path` for the sweep of this name over so many models, whose configurations stop as `until` says. With
    /// `resume`, what it holds is added up, by model of the sweep.
    ///
    /// # Errors
    /// As [`Journal::open`].
    pub fn open(
        path: &Path,
        sweep: &str,
        resume: bool,
        models: usize,
        until: Option<&Until>,
    ) -> Result<(SweepJournal, Vec<Evaluation>), JournalError> {
        let mut done = vec![Evaluation::default(); models];
        let journal = Journal::open(path, &Run::Sweep(sweep.to_owned()), resume, |Line { model, batch }| {
            done.get_mut(model).map(|done| done.add(batch, until)).is_some()
        })?;
        Ok((SweepJournal(journal), done))
    }

    /// Write down what a batch gave.
    ///
    /// # Errors
    /// [`JournalError::Io`], such as a full disk.
    pub fn add(&mut self, model: usize, batch: &Evaluation) -> Result<(), JournalError> {
        self.0.add(&Line { model, batch: batch.clone() })
    }

    /// The sweep is done, or failed: its journal, to be removed.
    pub fn into_inner(self) -> Journal {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evaluation::Timing;
    use proptest::prelude::*;

    fn batch(image: u8) -> Evaluation {
        Evaluation { images: vec![([image; 32], 1)], exact: Timing::of_batch(0, 1, 0.5), ..Evaluation::default() }
    }

    fn written(path: &Path) -> Vec<u8> {
        let (mut journal, _) = SweepJournal::open(path, "s", false, 2, None).unwrap();
        for (model, image) in [(0, 1), (0, 2), (1, 3)] {
            journal.add(model, &batch(image)).unwrap();
        }
        drop(journal);
        std::fs::read(path).unwrap()
    }

    #[test]
    fn what_was_written_is_added_up_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("j");
        written(&path);
        assert!(matches!(SweepJournal::open(&path, "s", false, 2, None), Err(JournalError::Interrupted { .. })));
        assert!(matches!(SweepJournal::open(&path, "other", true, 2, None), Err(JournalError::Changed { .. })));
        let (journal, done) = SweepJournal::open(&path, "s", true, 2, None).unwrap();
        assert_eq!((done[0].images.len(), done[1].images.len(), done[0].exact.seconds()), (2, 1, 1.0));
        assert!(matches!(SweepJournal::open(&path, "s", true, 2, None), Err(JournalError::Locked { .. })));
        journal.into_inner().remove().unwrap();
        assert!(!path.exists());
    }

    proptest! {
        /// A kill may cut the file anywhere.
        #[test]
        fn a_cut_costs_the_last_line_and_no_more(cut in 0usize..2000) {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("j");
            let bytes = written(&path);
            let cut = cut.min(bytes.len());
            std::fs::write(&path, &bytes[..cut]).unwrap();
            let (mut journal, done) = SweepJournal::open(&path, "s", true, 2, None).unwrap();
            let lines = bytes[..cut].iter().filter(|&&byte| byte == b'\n').count();
            let images = done.iter().map(|done| done.images.len()).sum::<usize>();
            prop_assert_eq!(images, lines.saturating_sub(1));
            journal.add(1, &batch(9)).unwrap();
            drop(journal);
            let (_, again) = SweepJournal::open(&path, "s", true, 2, None).unwrap();
            prop_assert_eq!(again.iter().map(|done| done.images.len()).sum::<usize>(), images + 1);
        }
    }
}
