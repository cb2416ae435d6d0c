//! What plans are worth on the calibration images: kept in memory and in a journal, so that no plan is measured twice, and none again
//! by a run that goes on after a kill.

use std::collections::HashMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::journal::{Journal, JournalError, Run};

/// What a plan is worth.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Measurement {
    /// In percent.
    pub agreement: f64,
    /// In points of top-1.
    pub difference: f64,
    pub overflow_images: usize,
}

/// All that was measured so far.
#[derive(Debug)]
pub struct Measurements {
    journal: Journal,
    margins: Vec<f64>,
    known: HashMap<String, Measurement>,
}

/// A line of the journal; margins come before plans.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Line {
    /// As bits, since a margin may be infinite.
    Margins(Vec<u64>),
    Plan {
        activations: String,
        measured: Measurement,
    },
}

impl Measurements {
    /// Those in the journal at `path`, with `resume`; none yet without. `plan` is the digest of all that decides them.
    ///
    /// # Errors
    /// As [`Journal::open`].
    pub fn open(path: &Path, plan: String, resume: bool) -> Result<Measurements, JournalError> {
        let (mut margins, mut known) = (Vec::new(), HashMap::new());
        let journal = Journal::open(path, &Run::Plan(plan), resume, |line| match line {
            Line::Margins(bits) => {
                margins = bits.into_iter().map(f64::from_bits).collect();
                true
            }
            Line::Plan { activations, measured } => {
                known.insert(activations, measured);
                !margins.is_empty()
            }
        })?;
        Ok(Measurements { journal, margins, known })
    }

    /// What the plan with these `activations` is worth, if it was measured.
    pub fn of(&self, activations: &str) -> Option<Measurement> {
        self.known.get(activations).copied()
    }

    /// The margins of the exact network, an image each; none before the first plan.
    pub fn margins(&self) -> &[f64] {
        &self.margins
    }

    /// Keep the margins, which are the same for all plans.
    ///
    /// # Errors
    /// [`JournalError::Io`], such as a full disk.
    pub fn keep_margins(&mut self, margins: Vec<f64>) -> Result<(), JournalError> {
        if self.margins.is_empty() {
            self.journal.add(&Line::Margins(margins.iter().map(|margin| margin.to_bits()).collect()))?;
            self.margins = margins;
        }
        Ok(())
    }

    /// Keep what the plan with these `activations` is worth.
    ///
    /// # Errors
    /// [`JournalError::Io`], such as a full disk.
    pub fn keep(&mut self, activations: String, measured: Measurement) -> Result<(), JournalError> {
        self.journal.add(&Line::Plan { activations: activations.clone(), measured })?;
        self.known.insert(activations, measured);
        Ok(())
    }

    /// The search is done, or failed: its journal, to be removed.
    pub fn into_journal(self) -> Journal {
        self.journal
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MEASURED: Measurement = Measurement { agreement: 99.1 / 3.0, difference: -0.1, overflow_images: 3 };

    #[test]
    fn what_was_measured_is_read_back_to_the_last_bit() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("j");
        let open = |plan: &str, resume| Measurements::open(&path, plan.to_owned(), resume);
        let margins = vec![0.1 + 0.2, f64::INFINITY, 0.0];
        let mut first = open("a", false).unwrap();
        first.keep_margins(margins.clone()).unwrap();
        first.keep_margins(vec![7.0]).unwrap();
        first.keep("exact fitted:7".to_owned(), MEASURED).unwrap();
        drop(first);
        let again = open("a", true).unwrap();
        assert_eq!((again.margins(), again.of("exact fitted:7")), (&margins[..], Some(MEASURED)));
        assert_eq!(again.of("exact exact"), None);
        drop(again);
        assert!(matches!(open("b", true), Err(JournalError::Changed { kind: "plan", .. })));
        assert!(matches!(open("a", false), Err(JournalError::Interrupted { kind: "plan", .. })));
    }

    /// Without the margins nothing can be predicted.
    #[test]
    fn plans_without_margins_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("j");
        Measurements::open(&path, "a".to_owned(), false).unwrap().keep("exact".to_owned(), MEASURED).unwrap();
        assert!(matches!(Measurements::open(&path, "a".to_owned(), true), Err(JournalError::Changed { .. })));
    }
}
