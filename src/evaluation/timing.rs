//! How long the passes with one table of sites take: on each device, and with each batch.

use serde::{Deserialize, Serialize};

/// Seconds in passes through the network, waiting for images not included.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Timing {
    /// Of each device, the images that passed there and the seconds that took.
    devices: Vec<(usize, f64)>,
    /// Images of a full batch: the most that were in one so far.
    full: usize,
    /// Seconds of each full batch.
    batches: Vec<f64>,
}

impl Timing {
    /// Of one batch on the device with this number.
    pub(super) fn of_batch(device: usize, images: usize, seconds: f64) -> Timing {
        let mut devices = vec![(0, 0.0); device];
        devices.push((images, seconds));
        Timing { devices, full: images, batches: vec![seconds] }
    }

    /// Add the batches of `later`.
    pub(super) fn merge(&mut self, later: Timing) {
        self.devices.resize(self.devices.len().max(later.devices.len()), (0, 0.0));
        for ((images, seconds), (more_images, more_seconds)) in self.devices.iter_mut().zip(later.devices) {
            *images += more_images;
            *seconds += more_seconds;
        }
        if later.full > self.full {
            (self.full, self.batches) = (later.full, later.batches);
        } else if later.full == self.full {
            self.batches.extend(later.batches);
        }
    }

    /// Seconds by the clock on the wall. Devices work at the same time, so they are those of the device that was at work
    /// longest.
    pub fn seconds(&self) -> f64 {
        self.devices.iter().map(|(_, seconds)| *seconds).fold(0.0, f64::max)
    }

    /// Images of a full batch; 0 before the first.
    pub fn full_batch(&self) -> usize {
        self.full
    }

    /// How many full batches there were.
    pub fn full_batches(&self) -> usize {
        self.batches.len()
    }

    /// The median of the seconds of a full batch; 0 before the first. Batches of fewer images, such as the last, take less
    /// time, or more where libtorch must prepare itself for their size.
    pub fn median(&self) -> f64 {
        self.quantile(0.5)
    }

    /// The quartiles of the seconds of a full batch: half of the batches took between the first and the second of them.
    /// None for fewer than four batches.
    pub fn quartiles(&self) -> Option<[f64; 2]> {
        (self.batches.len() >= 4).then(|| [self.quantile(0.25), self.quantile(0.75)])
    }

    /// The third quartile less the first.
    pub fn spread(&self) -> Option<f64> {
        self.quartiles().map(|[first, third]| third - first)
    }

    /// How long `images` would take on `devices` devices that work as fast as those that worked here, all at once.
    pub fn forecast(&self, images: usize, devices: usize) -> f64 {
        let speeds: Vec<f64> =
            self.devices.iter().filter(|(images, _)| *images > 0).map(|(i, s)| *i as f64 / s).collect();
        let together = speeds.iter().sum::<f64>() / speeds.len().max(1) as f64 * devices as f64;
        if together > 0.0 { images as f64 / together } else { 0.0 }
    }

    /// Interpolated between the two batches nearest to it.
    fn quantile(&self, share: f64) -> f64 {
        let mut sorted = self.batches.clone();
        sorted.sort_by(f64::total_cmp);
        let place = share * sorted.len().saturating_sub(1) as f64;
        let at = |index: usize| sorted.get(index).copied().unwrap_or_default();
        let (below, above) = (at(place.floor() as usize), at(place.ceil() as usize));
        below + place.fract() * (above - below)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of batches (device, images, seconds).
    fn timing(batches: &[(usize, usize, f64)]) -> Timing {
        let mut all = Timing::default();
        for &(device, images, seconds) in batches {
            all.merge(Timing::of_batch(device, images, seconds));
        }
        all
    }

    #[test]
    fn median_and_quartiles_are_those_of_full_batches() {
        let all =
            timing(&[(0, 8, 9.0), (0, 64, 2.0), (0, 64, 1.0), (0, 64, 4.0), (0, 64, 3.0), (0, 64, 5.0), (0, 7, 9.0)]);
        assert_eq!((all.full_batch(), all.full_batches(), all.median()), (64, 5, 3.0));
        assert_eq!(all.quartiles(), Some([2.0, 4.0]));
        assert_eq!(all.seconds(), 33.0);
        let few = timing(&[(0, 4, 1.0), (0, 4, 2.0), (0, 4, 4.0), (0, 3, 8.0)]);
        assert_eq!((few.median(), few.quartiles()), (2.0, None));
        assert_eq!(Timing::default().median(), 0.0);
    }

    #[test]
    fn devices_that_work_at_the_same_time_take_as_long_as_the_slowest() {
        let one = timing(&[(0, 10, 1.0), (0, 10, 1.0), (0, 10, 1.0), (0, 10, 1.0)]);
        let two = timing(&[(0, 10, 1.0), (1, 10, 1.5), (0, 10, 1.0), (1, 10, 1.5)]);
        assert_eq!((one.seconds(), two.seconds()), (4.0, 3.0));
    }

    #[test]
    fn parts_add_up_to_the_whole_in_whatever_pieces() {
        let batches = [(0, 8, 1.0), (1, 8, 2.0), (1, 8, 3.0), (0, 5, 4.0)];
        let mut pieces = timing(&batches[..1]);
        pieces.merge(timing(&batches[1..3]));
        pieces.merge(timing(&batches[3..]));
        assert_eq!(pieces, timing(&batches));
    }

    #[test]
    fn a_forecast_adds_up_the_speeds_of_the_devices() {
        // Ten images a second and two.
        let both = timing(&[(0, 10, 1.0), (1, 10, 5.0)]);
        assert_eq!(both.forecast(120, 2), 10.0);
        // The second device had nothing to do: it is taken to be like the first.
        assert_eq!(timing(&[(0, 10, 1.0)]).forecast(120, 2), 6.0);
        assert_eq!(timing(&[(1, 10, 1.0)]).forecast(120, 2), 6.0);
        assert_eq!(Timing::default().forecast(120, 2), 0.0);
    }
}
