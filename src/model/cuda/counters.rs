//! What the kernels counted in one pass, on the device until the pass has ended: so no site waits for it.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use tch::{Device, Kind, TchError, Tensor};

use crate::model::Overflow;

/// A row a site, as [`crate::activation`] has its kernels count: values outside, those of them that are no number, and for
/// each image 1 + the bits of its largest |x|, or 0 where nothing was outside.
#[derive(Default)]
pub struct Counters(Mutex<Vec<Tensor>>);

impl Counters {
    /// The address of row `site` of `sites`, with room for `images`, on `device`.
    ///
    /// # Errors
    /// What libtorch reports, such as too little memory.
    pub fn row(&self, site: usize, sites: usize, images: i64, device: Device) -> Result<u64, TchError> {
        let mut tables = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let fits = |table: &Tensor| table.device() == device && table.size()[1] >= 2 + images;
        if !tables.last().is_some_and(fits) {
            tables.push(Tensor::f_zeros([sites as i64, 2 + images], (Kind::Int64, device))?);
        }
        let table = &tables[tables.len() - 1];
        Ok(table.data_ptr() as u64 + 8 * (site as u64 * table.size()[1] as u64))
    }

    /// What was counted since the last call, by site.
    ///
    /// # Errors
    /// What libtorch reports, among it what went wrong on the device before.
    pub fn take(&self) -> Result<Vec<(usize, Overflow)>, TchError> {
        let tables = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        let mut counted = Vec::new();
        for table in tables {
            let width = table.size()[1] as usize;
            let numbers = Vec::<i64>::try_from(table.f_to_device(Device::Cpu)?.f_flatten(0, -1)?)?;
            let rows = numbers.chunks_exact(width).map(overflow).enumerate();
            counted.extend(rows.filter(|(_, overflow)| overflow.values > 0));
        }
        Ok(counted)
    }
}

/// What a row says.
fn overflow(row: &[i64]) -> Overflow {
    let worst = |&number: &i64| f64::from_bits(number as u64 - 1);
    let images = row.iter().skip(2).enumerate().filter(|&(_, &number)| number > 0);
    let images: BTreeMap<usize, f64> = images.map(|(image, number)| (image, worst(number))).collect();
    Overflow {
        values: row[0] as u64,
        not_a_number: row[1] as u64,
        worst: images.values().copied().fold(0.0, f64::max),
        images,
        unattributed: 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_read_as_the_kernels_write_them() {
        let counters = Counters::default();
        let fill = |address: u64, numbers: &[i64]| {
            // SAFETY: rows of tensors on the CPU, of this length or longer.
            unsafe { std::slice::from_raw_parts_mut(address as *mut i64, numbers.len()) }.copy_from_slice(numbers);
        };
        let bits = |x: f64| x.to_bits() as i64 + 1;
        fill(counters.row(1, 3, 2, Device::Cpu).unwrap(), &[5, 1, bits(7.5), 0]);
        // More images at a site whose first axis is another.
        fill(counters.row(2, 3, 3, Device::Cpu).unwrap(), &[2, 2, 0, bits(0.0), bits(f64::INFINITY)]);
        let taken = counters.take().unwrap();
        let expected = [
            (1, Overflow { values: 5, not_a_number: 1, worst: 7.5, images: [(0, 7.5)].into(), unattributed: 0 }),
            (
                2,
                Overflow {
                    values: 2,
                    not_a_number: 2,
                    worst: f64::INFINITY,
                    images: [(1, 0.0), (2, f64::INFINITY)].into(),
                    unattributed: 0,
                },
            ),
        ];
        assert_eq!(taken, expected);
        assert!(counters.take().unwrap().is_empty(), "taking sets back");
    }
}
