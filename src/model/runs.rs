//! How passes with several tables go through the segments of a network, so that what they have in common is run once.
//!
//! Tables that compute the same in all segments before a cut have the same values there, and go on from one run of these
//! segments. So the runs are trees, one for each way to compute the first segment: behind a run, each part of its tables goes
//! on by itself, from values that are kept until the last part takes them. That is the part with most ends, so that whoever
//! waits for the values has at most half of the ends behind the cut: of n ends in all, values of at most log2 n cuts are kept
//! at a time. What lies before the first cut is run for each part; the cut before the first site would keep a network's largest
//! values to save its first layer.

use std::ops::Range;

/// What lies between two cuts of a network.
#[derive(Debug)]
pub(super) struct Segment {
    pub sites: Vec<usize>,
    /// Whether several passes may go on from its beginning.
    pub may_branch: bool,
}

/// Segments that are run once for all of some tables.
#[derive(Debug)]
pub(super) struct Run {
    /// The numbers of the tables, the one that it is run with first.
    pub tables: Vec<usize>,
    pub segments: Range<usize>,
    /// What goes on behind it, the run with most ends last; nothing where the network ends.
    pub then: Vec<Run>,
}

impl Run {
    /// A pass of one table through all of the network.
    pub fn alone(table: usize) -> Run {
        Run { tables: vec![table], segments: 0..0, then: Vec::new() }
    }

    /// How many runs in and behind this one end the network.
    fn ends(&self) -> usize {
        self.then.iter().map(Run::ends).sum::<usize>().max(1)
    }
}

/// The runs of so many tables through `segments`, of which `same(a, b, site)` says whether two compute the same at a site.
pub(super) fn runs(tables: usize, segments: &[Segment], same: impl Fn(usize, usize, usize) -> bool) -> Vec<Run> {
    let all: Vec<usize> = (0..tables).collect();
    if all.is_empty() { Vec::new() } else { Planning { segments, same }.behind(0, all) }
}

struct Planning<'a, S> {
    segments: &'a [Segment],
    same: S,
}

impl<S: Fn(usize, usize, usize) -> bool> Planning<'_, S> {
    /// The runs of `tables`, which are the same in all segments before `begin`, from there on.
    fn behind(&self, begin: usize, tables: Vec<usize>) -> Vec<Run> {
        let end = self.segments.len();
        let all_same = |segment: &usize| tables.iter().all(|&table| self.are_same(tables[0], table, *segment));
        let differ = (begin..end).find(|segment| !all_same(segment)).unwrap_or(end);
        if differ == end {
            return vec![Run { tables, segments: begin..end, then: Vec::new() }];
        }
        if let Some(cut) = (begin + 1..=differ).rev().find(|&cut| self.segments[cut].may_branch) {
            let then = self.behind(cut, tables.clone());
            return vec![Run { tables, segments: begin..cut, then }];
        }
        let mut parts: Vec<Vec<usize>> = Vec::new();
        for table in tables {
            match parts.iter_mut().find(|part| self.are_same(part[0], table, differ)) {
                Some(part) => part.push(table),
                None => parts.push(vec![table]),
            }
        }
        let mut runs: Vec<Run> = parts.into_iter().flat_map(|part| self.behind(begin, part)).collect();
        runs.sort_by_key(Run::ends);
        runs
    }

    fn are_same(&self, a: usize, b: usize, segment: usize) -> bool {
        self.segments[segment].sites.iter().all(|&site| (self.same)(a, b, site))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashSet;

    /// A segment a site.
    fn chain(sites: usize) -> Vec<Segment> {
        (0..sites).map(|site| Segment { sites: vec![site], may_branch: true }).collect()
    }

    /// The runs of tables that compute these numbers at their sites.
    fn planned(tables: &[Vec<u8>], segments: &[Segment]) -> Vec<Run> {
        runs(tables.len(), segments, |a, b, site| tables[a][site] == tables[b][site])
    }

    /// How many segments are run.
    fn work(runs: &[Run]) -> usize {
        runs.iter().map(|run| run.segments.len() + work(&run.then)).sum()
    }

    /// The most cuts whose values are kept at a time, for later runs, behind `held` others.
    fn most_kept(runs: &[Run], held: usize) -> usize {
        let last = runs.len().saturating_sub(1);
        let of = |(at, run): (usize, &Run)| most_kept(&run.then, held + usize::from(at < last));
        runs.iter().enumerate().map(of).max().unwrap_or(held)
    }

    /// Put down which segments each table runs through, with whom.
    fn trace(runs: &[Run], paths: &mut [Vec<(usize, usize)>]) {
        for run in runs {
            for &table in &run.tables {
                paths[table].extend(run.segments.clone().map(|segment| (segment, run.tables[0])));
            }
            trace(&run.then, paths);
        }
    }

    #[test]
    fn tables_with_nothing_in_common_run_alone() {
        let found = planned(&[vec![0; 3], vec![1; 3], vec![2; 3]], &chain(3));
        assert_eq!((found.len(), work(&found)), (3, 9));
        assert!(planned(&[], &chain(3)).is_empty());
        assert_eq!(work(&planned(&[vec![], vec![]], &[Segment { sites: vec![], may_branch: true }])), 1);
    }

    /// The exact network, and one for each site in which that one is replaced: 19 + 19, and 18 + 17 + … + 1 behind them.
    #[test]
    fn one_site_in_turn_takes_about_half() {
        let one = |replaced: Option<usize>| (0..19).map(|site| u8::from(replaced == Some(site))).collect();
        let tables: Vec<Vec<u8>> = std::iter::once(one(None)).chain((0..19).map(|site| one(Some(site)))).collect();
        let found = planned(&tables, &chain(19));
        assert_eq!(work(&found), 19 + 19 + 18 * 19 / 2);
        assert_eq!(most_kept(&found, 0), 1);
    }

    #[test]
    fn where_passes_may_not_branch_they_do_before() {
        let tables = [vec![0, 0, 0, 0], vec![0, 0, 0, 1], vec![0, 0, 2, 1]];
        let mut segments = chain(4);
        assert_eq!(work(&planned(&tables, &segments)), 2 + 1 + 1 + 1 + 2);
        segments[2].may_branch = false;
        // The first two have segment 2 in common, the third goes alone from cut 1.
        assert_eq!(work(&planned(&tables, &segments)), 1 + 2 + 1 + 1 + 3);
        segments[1].may_branch = false;
        segments[3].may_branch = false;
        assert_eq!(work(&planned(&tables, &segments)), 12);
    }

    fn segments_of(sites: &[usize], may_branch: &[bool]) -> Vec<Segment> {
        let mut next = 0;
        let segment = |(&count, &may_branch): (&usize, &bool)| {
            next += count;
            Segment { sites: (next - count..next).collect(), may_branch }
        };
        sites.iter().zip(may_branch).map(segment).collect()
    }

    proptest! {
        #[test]
        fn every_table_runs_through_all_with_its_likes_and_few_values_are_kept(
            tables in prop::collection::vec(prop::collection::vec(0u8..3, 12), 1..40),
            sites in prop::collection::vec(0usize..3, 1..6),
            may_branch in prop::collection::vec(prop::bool::weighted(0.7), 6),
            everywhere in any::<bool>(),
        ) {
            let may_branch: Vec<bool> = may_branch.into_iter().map(|may| may || everywhere).collect();
            let segments = segments_of(&sites, &may_branch);
            let found = planned(&tables, &segments);
            let mut paths = vec![Vec::new(); tables.len()];
            trace(&found, &mut paths);
            for (table, path) in paths.iter().enumerate() {
                prop_assert_eq!(path.iter().map(|&(segment, _)| segment).collect::<Vec<_>>(), (0..segments.len()).collect::<Vec<_>>());
                for &(segment, leader) in path {
                    let upto: usize = sites[..=segment].iter().sum();
                    prop_assert_eq!(&tables[leader][..upto], &tables[table][..upto]);
                }
            }
            let prefixes = (1..=segments.len()).map(|length| {
                let upto: usize = sites[..length].iter().sum();
                tables.iter().map(|table| &table[..upto]).collect::<HashSet<_>>().len()
            });
            let least: usize = prefixes.sum();
            let bound = tables.len().ilog2() as usize;
            prop_assert!(most_kept(&found, 0) <= bound, "{} > {bound}", most_kept(&found, 0));
            prop_assert!(work(&found) >= least && (!everywhere || work(&found) == least), "{} {least}", work(&found));
        }
    }
}
