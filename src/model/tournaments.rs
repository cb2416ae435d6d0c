//! What meets in the tournaments of a max-pool, as tensors on any device.

use tch::{TchError, Tensor};

use crate::activation::Window;

/// Values that meet in the tournaments of a pool, at one place of its windows.
pub(super) struct Met {
    pub round: usize,
    /// The first less the second.
    pub difference: Tensor,
    pub winner: Tensor,
}

/// What meets in the tournaments of a pool, in order. What lies over the edge is zero where no input is below, and otherwise
/// nothing.
pub(super) fn differences(x: &Tensor, window: &Window, non_negative: bool) -> Result<Vec<Met>, TchError> {
    if x.dim() == 3 {
        return differences(&x.f_unsqueeze(0)?, window, non_negative);
    }
    let (_, _, height, width) = x.size4()?;
    let Window { kernel, stride, padding, dilation, .. } = *window;
    let extent = [height as usize, width as usize];
    let output = [0, 1].map(|axis| window.output(axis, extent[axis]));
    if output.contains(&0) {
        return Ok(Vec::new());
    }
    // Behind the last value as many places as the last window reaches over.
    let behind = [0, 1].map(|axis| {
        let reach = (output[axis] - 1) * stride[axis] + (kernel[axis] - 1) * dilation[axis] + 1;
        reach.saturating_sub(padding[axis] + extent[axis]) as i64
    });
    let [top, left] = padding.map(|size| size as i64);
    let edge = if non_negative { 0.0 } else { f64::NEG_INFINITY };
    let padded = x.f_pad([left, behind[1], top, behind[0]], "constant", edge)?;
    let places = |axis: usize, at: usize| {
        let first = at * dilation[axis];
        (first as i64, (first + (output[axis] - 1) * stride[axis] + 1) as i64, stride[axis] as i64)
    };
    let mut players = Vec::with_capacity(window.len());
    for row in 0..kernel[0] {
        let (first, end, step) = places(0, row);
        let rows = padded.f_slice(2, first, end, step)?;
        for column in 0..kernel[1] {
            let (first, end, step) = places(1, column);
            players.push(rows.f_slice(3, first, end, step)?);
        }
    }
    let mut met = Vec::new();
    for round in 0..window.rounds() as usize {
        let mut winners = Vec::with_capacity(players.len().div_ceil(2));
        for pair in players.chunks(2) {
            match pair {
                [a, b] => {
                    let winner = a.f_maximum(b)?;
                    met.push(Met { round, difference: a.f_sub(b)?, winner: winner.shallow_clone() });
                    winners.push(winner);
                }
                rest => winners.push(rest[0].shallow_clone()),
            }
        }
        players = winners;
    }
    Ok(met)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fitting::Density;
    use tch::{Device, Kind};

    /// The differences that a tournament of numbers has, window by window.
    #[test]
    fn the_differences_of_a_pool_are_those_of_its_tournaments() {
        let x = Tensor::linspace(-3.0, 3.0, 2 * 3 * 9 * 8, (Kind::Float, Device::Cpu));
        let x = ((x * 7.13).sin() * 2.5).view([2, 3, 9, 8]);
        for (kernel, stride, padding, dilation, non_negative) in
            [([2, 2], 2, 0, 1, false), ([3, 3], 2, 1, 1, true), ([3, 2], 1, 1, 2, false), ([1, 3], 3, 0, 1, true)]
        {
            let x = if non_negative { x.relu() } else { x.shallow_clone() };
            let window = Window {
                kernel,
                stride: [stride; 2],
                padding: [if kernel[0] > 1 { padding } else { 0 }, padding],
                dilation: [dilation; 2],
                ceil_mode: kernel == [1, 3],
            };
            let mut expected = vec![Vec::new(); window.rounds() as usize];
            let output = [window.output(0, 9), window.output(1, 8)];
            for (plane, row, column) in (0..6)
                .flat_map(|plane| (0..output[0]).flat_map(move |row| (0..output[1]).map(move |at| (plane, row, at))))
            {
                let place = |axis: usize, at: usize, step: usize| {
                    let place = at * window.stride[axis] + step * window.dilation[axis];
                    place.checked_sub(window.padding[axis]).filter(|&place| place < [9, 8][axis])
                };
                let edge = if non_negative { 0.0 } else { f64::NEG_INFINITY };
                let mut players: Vec<f64> = (0..kernel[0] * kernel[1])
                    .map(|at| match (place(0, row, at / kernel[1]), place(1, column, at % kernel[1])) {
                        (Some(row), Some(column)) => x.double_value(&[plane / 3, plane % 3, row as i64, column as i64]),
                        _ => edge,
                    })
                    .collect();
                for met in &mut expected {
                    let pairs = players.chunks(2).filter(|pair| pair.len() == 2);
                    met.extend(pairs.map(|pair| (pair[0] - pair[1]) as f32).filter(|x| x.is_finite()));
                    players =
                        players.chunks(2).map(|pair| pair.iter().copied().fold(f64::NEG_INFINITY, f64::max)).collect();
                }
            }
            let mut found = vec![Density::default(); expected.len()];
            for Met { round, difference, .. } in differences(&x, &window, non_negative).unwrap() {
                found[round].add(Vec::<f32>::try_from(difference.contiguous().flatten(0, -1)).unwrap());
            }
            for (found, expected) in found.iter().zip(expected) {
                let mut density = Density::default();
                density.add(expected);
                assert!(found.stored() == density.stored(), "{window:?}");
            }
        }
    }
}
