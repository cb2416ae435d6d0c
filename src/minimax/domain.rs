//! Where a function is approximated: a union of closed intervals.

use std::fmt;

/// Ends of intervals lie within ± this: far enough for any activation, and near enough for every exponential.
const MAX_END: f64 = 1e6;

/// Disjoint closed intervals of positive length, ascending.
#[derive(Debug, Clone, PartialEq)]
pub struct Domain {
    intervals: Vec<(f64, f64)>,
}

/// Why intervals make no domain.
#[derive(Debug, Clone, thiserror::Error)]
pub enum DomainError {
    #[error("no interval; at least one is needed")]
    Empty,
    #[error("[{0},{1}] is no interval: its ends are numbers within ±{MAX_END:e}, the lower one first")]
    Ends(f64, f64),
    #[error("the intervals {0} and {1} overlap or touch; give them as one")]
    Overlap(Interval, Interval),
}

/// An interval as text.
#[derive(Debug, Clone, Copy)]
pub struct Interval(f64, f64);

impl fmt::Display for Interval {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{},{}]", self.0, self.1)
    }
}

impl Domain {
    /// The union of `intervals` (lower end, upper end), in any order.
    ///
    /// # Errors
    /// [`DomainError`]: no interval, ends that are out of order or out of reach, intervals that overlap or touch.
    pub fn new(mut intervals: Vec<(f64, f64)>) -> Result<Domain, DomainError> {
        if intervals.is_empty() {
            return Err(DomainError::Empty);
        }
        for &(low, high) in &intervals {
            if !(-MAX_END <= low && low < high && high <= MAX_END) {
                return Err(DomainError::Ends(low, high));
            }
        }
        intervals.sort_by(|a, b| a.0.total_cmp(&b.0));
        for pair in intervals.windows(2) {
            if pair[0].1 >= pair[1].0 {
                return Err(DomainError::Overlap(Interval(pair[0].0, pair[0].1), Interval(pair[1].0, pair[1].1)));
            }
        }
        Ok(Domain { intervals })
    }

    /// The intervals, ascending.
    pub fn intervals(&self) -> &[(f64, f64)] {
        &self.intervals
    }

    /// The smallest interval that holds all of it.
    pub fn hull(&self) -> (f64, f64) {
        (self.intervals[0].0, self.intervals[self.intervals.len() - 1].1)
    }

    /// Whether −x belongs to it for every x that does.
    pub fn is_symmetric(&self) -> bool {
        self.intervals.iter().zip(self.intervals.iter().rev()).all(|(a, b)| a.0 == -b.1)
    }

    /// What of it is not negative. Not empty for a symmetric domain.
    pub(super) fn upper_half(&self) -> Vec<(f64, f64)> {
        self.intervals.iter().filter(|&&(_, high)| high > 0.0).map(|&(low, high)| (low.max(0.0), high)).collect()
    }
}

impl fmt::Display for Domain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, &(low, high)) in self.intervals.iter().enumerate() {
            write!(f, "{}{}", if i == 0 { "" } else { " and " }, Interval(low, high))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_are_sorted_and_symmetry_is_seen() {
        let domain = Domain::new(vec![(0.1, 8.0), (-8.0, -0.1)]).unwrap();
        assert_eq!(domain.to_string(), "[-8,-0.1] and [0.1,8]");
        assert_eq!(domain.hull(), (-8.0, 8.0));
        assert!(domain.is_symmetric());
        assert_eq!(domain.upper_half(), [(0.1, 8.0)]);
        assert!(!Domain::new(vec![(-8.0, -0.1), (0.2, 8.0)]).unwrap().is_symmetric());
        assert_eq!(Domain::new(vec![(-1.0, 1.0)]).unwrap().upper_half(), [(0.0, 1.0)]);
    }

    #[test]
    fn what_is_no_domain_is_named() {
        let error = |intervals: &[(f64, f64)]| Domain::new(intervals.to_vec()).unwrap_err().to_string();
        assert!(error(&[]).contains("no interval"));
        assert!(error(&[(1.0, 1.0)]).contains("[1,1]"));
        assert!(error(&[(f64::NAN, 1.0)]).contains("[NaN,1]"));
        assert!(error(&[(0.0, f64::INFINITY)]).contains("[0,inf]"));
        assert!(error(&[(0.0, 2.0), (-1.0, 0.0)]).contains("[-1,0] and [0,2]"));
    }
}
