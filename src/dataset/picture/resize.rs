//! Pillow's bilinear and bicubic resizing, bit for bit (Resample.c of Pillow 13).
//!
//! Two passes with 8 bits in between. A pixel is a sum of weighted pixels of its row or column: the weights are the
//! filter at the distances, the filter stretched by the factor of a reduction, normalised in f64, then rounded to 22
//! fractional bits. Only a window of the result is computed.

use std::ops::Range;

use super::{Interpolation, Rgb};

const FRACTION_BITS: u32 = 22;
const HALF: i32 = 1 << (FRACTION_BITS - 1);

/// The weights of the pixels in a window of a resized row or column.
struct Taps {
    /// The first pixel of the source that counts, and how many do.
    spans: Vec<(usize, usize)>,
    /// `longest` a pixel.
    weights: Vec<i32>,
    longest: usize,
}

impl Taps {
    /// For the pixels of `window` when `from` become `to`.
    fn new(interpolation: Interpolation, from: usize, to: usize, window: &Range<usize>) -> Taps {
        let scale = from as f64 / to as f64;
        let stretch = scale.max(1.0);
        let support = interpolation.support() * stretch;
        let longest = (support.ceil() as usize * 2 + 1).min(from);
        let mut taps =
            Taps { spans: Vec::with_capacity(window.len()), weights: vec![0; window.len() * longest], longest };
        let mut exact = Vec::with_capacity(longest);
        for (index, weights) in window.clone().zip(taps.weights.chunks_exact_mut(longest)) {
            let center = (index as f64 + 0.5) * scale;
            let first = (center - support + 0.5).max(0.0) as usize;
            let behind = ((center + support + 0.5) as usize).min(from);
            exact.clear();
            exact.extend((first..behind).map(|x| interpolation.weight((x as f64 - center + 0.5) * (1.0 / stretch))));
            let sum: f64 = exact.iter().sum();
            for (weight, exact) in weights.iter_mut().zip(&exact) {
                let scaled = if sum == 0.0 { *exact } else { exact / sum } * f64::from(1 << FRACTION_BITS);
                *weight = (scaled + 0.5f64.copysign(scaled)) as i32;
            }
            taps.spans.push((first, behind - first));
        }
        taps
    }

    /// The pixels of the source that count in the window.
    fn source(&self) -> Range<usize> {
        match (self.spans.first(), self.spans.last()) {
            (Some(first), Some(last)) => first.0..last.0 + last.1,
            _ => 0..0,
        }
    }

    /// First pixel and weights of each pixel of the window.
    fn iter(&self) -> impl Iterator<Item = (usize, &[i32])> {
        let weights = self.weights.chunks_exact(self.longest);
        self.spans.iter().zip(weights).map(|(&(first, count), weights)| (first, &weights[..count]))
    }

    /// Weighted sums along each of `rows`; column 0 of `source` is the taps' `origin`.
    fn apply_across(&self, source: &Rgb, rows: Range<usize>, origin: usize) -> Rgb {
        let mut result = Rgb::black(self.spans.len(), rows.len());
        for (y, target) in rows.zip(result.pixels.chunks_exact_mut(3 * self.spans.len())) {
            let row = source.row(y);
            for ((first, weights), target) in self.iter().zip(target.chunks_exact_mut(3)) {
                let mut sums = [HALF; 3];
                for (pixel, &weight) in row[3 * (first - origin)..].chunks_exact(3).zip(weights) {
                    for (sum, &value) in sums.iter_mut().zip(pixel) {
                        *sum += i32::from(value) * weight;
                    }
                }
                target.copy_from_slice(&sums.map(round));
            }
        }
        result
    }

    /// Weighted sums along each of `columns`; row 0 of `source` is the taps' `origin`.
    fn apply_down(&self, source: &Rgb, columns: Range<usize>, origin: usize) -> Rgb {
        let mut result = Rgb::black(columns.len(), self.spans.len());
        let mut sums = vec![0; 3 * columns.len()];
        for ((first, weights), target) in self.iter().zip(result.pixels.chunks_exact_mut(3 * columns.len())) {
            sums.fill(HALF);
            for (y, &weight) in (first - origin..).zip(weights) {
                let row = &source.row(y)[3 * columns.start..3 * columns.end];
                for (sum, &value) in sums.iter_mut().zip(row) {
                    *sum += i32::from(value) * weight;
                }
            }
            for (target, &sum) in target.iter_mut().zip(&sums) {
                *target = round(sum);
            }
        }
        result
    }
}

impl Interpolation {
    /// Half the filter's width.
    fn support(self) -> f64 {
        match self {
            Interpolation::Bilinear => 1.0,
            Interpolation::Bicubic => 2.0,
        }
    }

    /// The filter, a triangle or the cubic of Keys with a = −0.5. The order of the operations decides the last bit.
    fn weight(self, distance: f64) -> f64 {
        const A: f64 = -0.5;
        let x = distance.abs();
        match self {
            Interpolation::Bilinear if x < 1.0 => 1.0 - x,
            Interpolation::Bicubic if x < 1.0 => ((A + 2.0) * x - (A + 3.0)) * x * x + 1.0,
            Interpolation::Bicubic if x < 2.0 => (((x - 5.0) * x + 8.0) * x - 4.0) * A,
            _ => 0.0,
        }
    }
}

/// The `columns` and `rows` of what `source` is in the size `width` x `height`.
///
/// No size is 0, and the window lies within the new one.
pub(super) fn resize(
    source: &Rgb,
    [width, height]: [usize; 2],
    interpolation: Interpolation,
    columns: Range<usize>,
    rows: Range<usize>,
) -> Rgb {
    if (width, height) == (source.width, source.height) {
        return source.window(columns, rows);
    }
    let across = Taps::new(interpolation, source.width, width, &columns);
    let down = Taps::new(interpolation, source.height, height, &rows);
    if width == source.width {
        return down.apply_down(source, columns, 0);
    }
    if height == source.height {
        return across.apply_across(source, rows, 0);
    }
    // The order that Pillow chooses; the rounding in between makes it visible.
    let lost = |before: usize, after: usize| before as i64 - after as i64;
    let (lost_columns, lost_rows) = (lost(source.width, width), lost(source.height, height));
    if lost_rows > 0 && lost_rows > 2 * lost_columns {
        let between = down.apply_down(source, across.source(), 0);
        across.apply_across(&between, 0..between.height, across.source().start)
    } else {
        let between = across.apply_across(source, down.source(), 0);
        down.apply_down(&between, 0..between.width, down.source().start)
    }
}

fn round(sum: i32) -> u8 {
    (sum >> FRACTION_BITS).clamp(0, 255) as u8
}
