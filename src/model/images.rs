//! Which image of the batch a value at a site belongs to.

use tch::{TchError, Tensor};

/// How the images of a pass lie in the values that a site is given.
#[derive(Debug, Clone, Copy)]
pub(super) struct Images {
    /// Images in the pass.
    pub count: i64,
    /// The axis along which they follow each other, 0 too where they do row by row; none where the graph does not show it.
    pub axis: Option<usize>,
}

/// Which image the value at each position of a dense tensor's memory belongs to.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Owners {
    /// The first so many values are of the first image, and so on.
    Even(usize),
    /// Of each axis its stride and length, and by how much a step along it counts; so much makes an image.
    Axes(Vec<[usize; 3]>, usize),
    /// It cannot be told.
    Unknown,
}

impl Images {
    /// Of the values of `x`, which is dense.
    pub fn owners(self, x: &Tensor) -> Owners {
        let (sizes, strides) = (x.size(), x.stride());
        let (Some(axis), true) = (self.axis, self.count > 0) else { return Owners::Unknown };
        let steps: Vec<i64> = match axis {
            0 => (0..sizes.len()).map(|at| sizes[at + 1..].iter().product()).collect(),
            axis => (0..sizes.len()).map(|at| i64::from(at == axis)).collect(),
        };
        let all = if axis == 0 { x.numel() as i64 } else { sizes.get(axis).copied().unwrap_or(0) };
        if all % self.count != 0 || all == 0 {
            return Owners::Unknown;
        }
        let image = (all / self.count) as usize;
        if axis == 0 && (x.is_contiguous() || batch_major(&sizes, &strides, self.count)) {
            return Owners::Even(image);
        }
        let axes = strides.iter().zip(&sizes).zip(&steps).filter(|((_, size), _)| **size > 1);
        Owners::Axes(axes.map(|((&stride, &size), &step)| [stride, size, step].map(|v| v as usize)).collect(), image)
    }

    /// `x`, of any strides, as a matrix with a row of values for each image; none where it cannot be told.
    ///
    /// # Errors
    /// What libtorch reports, such as too little memory.
    pub fn rows(self, x: &Tensor) -> Result<Option<Tensor>, TchError> {
        let Some(axis) = self.axis else { return Ok(None) };
        let length = if axis == 0 { x.numel() as i64 } else { x.size().get(axis).copied().unwrap_or(0) };
        if self.count <= 0 || length == 0 || length % self.count != 0 {
            return Ok(None);
        }
        let leading = if axis == 0 { x.shallow_clone() } else { x.f_movedim_int(axis as i64, 0)? };
        Ok(Some(leading.f_reshape([self.count, -1])?))
    }
}

/// Whether each step along the first axis, which is a number of images, goes over all values of the others.
fn batch_major(sizes: &[i64], strides: &[i64], count: i64) -> bool {
    match (sizes.first(), strides.first()) {
        (Some(&size), Some(&stride)) => size % count == 0 && stride * size == sizes.iter().product::<i64>(),
        _ => false,
    }
}

impl Owners {
    /// The image of the value at `position`, and how many values from there on are surely of the same.
    pub fn at(&self, position: usize) -> Option<(usize, usize)> {
        match self {
            Owners::Even(image) => Some((position / image, image - position % image)),
            Owners::Axes(axes, image) => {
                let count = |[stride, size, step]: &[usize; 3]| position / stride % size * step;
                Some((axes.iter().map(count).sum::<usize>() / image, 1))
            }
            Owners::Unknown => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::{Device, Kind};

    /// Value i of a tensor of these lengths, read row by row, at the position that the order of its axes gives it.
    fn laid_out(sizes: &[i64], order: &[i64]) -> Tensor {
        let count: i64 = sizes.iter().product();
        let x = Tensor::arange(count, (Kind::Float, Device::Cpu)).view(sizes);
        let mut back = vec![0; order.len()];
        for (at, &axis) in order.iter().enumerate() {
            back[axis as usize] = at as i64;
        }
        x.permute(order).contiguous().permute(&back)
    }

    fn owners(x: &Tensor, count: i64, axis: usize) -> Vec<usize> {
        let owners = Images { count, axis: Some(axis) }.owners(x);
        (0..x.numel()).map(|position| owners.at(position).unwrap().0).collect()
    }

    #[test]
    fn every_layout_of_the_same_values_gives_them_the_same_images() {
        let (sizes, count) = ([6i64, 4, 3], 2);
        for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [2, 1, 0], [1, 2, 0], [2, 0, 1]] {
            let x = laid_out(&sizes, &order);
            let memory: Vec<f32> = Vec::try_from(x.permute(order).contiguous().flatten(0, -1)).unwrap();
            let expected: Vec<usize> = memory.iter().map(|&value| value as usize / 36).collect();
            assert_eq!(owners(&x, count, 0), expected, "{order:?}");
            let expected: Vec<usize> = memory.iter().map(|&value| value as usize / 3 % 4 / 2).collect();
            assert_eq!(owners(&x, count, 1), expected, "{order:?}");
        }
    }

    #[test]
    fn what_is_no_whole_number_of_images_has_no_owner() {
        let x = Tensor::zeros([6, 4], (Kind::Float, Device::Cpu));
        for (count, axis) in [(5, Some(0)), (3, Some(1)), (3, None), (0, Some(0)), (3, Some(2))] {
            let images = Images { count, axis };
            assert_eq!(images.owners(&x), Owners::Unknown, "{images:?}");
            assert!(images.rows(&x).unwrap().is_none());
        }
        assert_eq!(Images { count: 3, axis: Some(0) }.owners(&x), Owners::Even(8));
        assert_eq!(Images { count: 3, axis: Some(0) }.rows(&x).unwrap().unwrap().size(), [3, 8]);
    }
}
