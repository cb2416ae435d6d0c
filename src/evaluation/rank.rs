//! How far two figures put things into the same order.

/// Spearman's rank correlation of pairs, those of equal value sharing the mean of their ranks; none where one of both does not vary.
pub fn rank_correlation(pairs: &[(f64, f64)]) -> Option<f64> {
    let [first, second] = [ranks(pairs.iter().map(|pair| pair.0)), ranks(pairs.iter().map(|pair| pair.1))];
    let mean = (pairs.len() as f64 + 1.0) / 2.0;
    let product = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| (a - mean) * (b - mean)).sum::<f64>();
    let varies = product(&first, &first) * product(&second, &second);
    (varies > 0.0).then(|| product(&first, &second) / varies.sqrt())
}

/// From 1; equal values share the mean of theirs.
fn ranks(values: impl Iterator<Item = f64>) -> Vec<f64> {
    let values: Vec<f64> = values.collect();
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|&a, &b| values[a].total_cmp(&values[b]));
    let mut ranks = vec![0.0; values.len()];
    let mut below = 0;
    for equal in order.chunk_by(|&a, &b| values[a] == values[b]) {
        let rank = below as f64 + (equal.len() as f64 + 1.0) / 2.0;
        equal.iter().for_each(|&at| ranks[at] = rank);
        below += equal.len();
    }
    ranks
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Ranks 1, 2.5, 2.5, 4, 5 and 2, 1, 3, 4.5, 4.5: products of the deviations from 3 add up to 7.5, squares to 9.5 twice.
    #[test]
    fn ties_share_their_ranks() {
        let pairs = [(1.0, 2.0), (2.0, 1.0), (2.0, 3.0), (4.0, 5.0), (5.0, 5.0)];
        let found = rank_correlation(&pairs).unwrap();
        assert!((found - 7.5 / 9.5).abs() < 1e-12, "{found}");
        let opposite: Vec<(f64, f64)> = (0..7).map(|i| (f64::from(i).exp(), -f64::from(i).powi(3))).collect();
        assert!((rank_correlation(&opposite).unwrap() + 1.0).abs() < 1e-12);
        assert_eq!(rank_correlation(&[(1.0, 2.0), (1.0, 3.0)]), None);
        assert_eq!(rank_correlation(&[]), None);
    }
}
