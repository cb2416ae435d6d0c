//! The geometry of a pool, as PyTorch's `max_pool2d` has it.

/// Geometry of a pool over [height, width], as PyTorch's `max_pool2d` takes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    pub kernel: [usize; 2],
    pub stride: [usize; 2],
    pub padding: [usize; 2],
    pub dilation: [usize; 2],
    pub ceil_mode: bool,
}

impl Window {
    /// The output's extent for an input of `input` along axis 0 (height) or 1 (width), as PyTorch computes it; zero
    /// where the window does not fit.
    pub fn output(&self, axis: usize, input: usize) -> usize {
        let stride = self.stride[axis];
        // Rounding up, a last window may reach beyond the input and its padding, even if it is the only one.
        let room = input + 2 * self.padding[axis] + if self.ceil_mode { stride - 1 } else { 0 };
        let Some(room) = room.checked_sub(self.reach(axis)) else { return 0 };
        let mut output = room / stride + 1;
        // A last window that would start in the padding on the right is dropped.
        if self.ceil_mode && (output - 1) * stride >= input + self.padding[axis] {
            output -= 1;
        }
        output
    }

    /// Where, along axis 0 or 1 with `input` places, the values of window number `at` stand that are no padding.
    #[cfg(feature = "libtorch")]
    pub(in crate::activation) fn inside(
        &self,
        axis: usize,
        at: usize,
        input: usize,
    ) -> impl Iterator<Item = usize> + Clone + use<> {
        let (begin, padding, dilation) = (at * self.stride[axis], self.padding[axis], self.dilation[axis]);
        let places = (0..self.kernel[axis]).map(move |i| begin + i * dilation);
        places.filter_map(move |place| place.checked_sub(padding).filter(|&place| place < input))
    }

    /// From the first to the last value of a window along axis 0 or 1, both included.
    pub(super) fn reach(&self, axis: usize) -> usize {
        self.dilation[axis] * (self.kernel[axis] - 1) + 1
    }

    /// Values in a window.
    pub fn len(&self) -> usize {
        self.kernel[0] * self.kernel[1]
    }

    /// Rounds of a tournament between the values of a window.
    pub fn rounds(&self) -> u32 {
        self.len().next_power_of_two().trailing_zeros()
    }

    /// Whether the window holds no value; no pool has such.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// What a pool runs over at once: one channel of an image, or an image whose channels lie last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Plane {
    /// Rows and columns.
    pub extent: [usize; 2],
    /// Values of a pixel: 1 where every channel is a plane of its own, otherwise the channels.
    pub depth: usize,
}

impl Plane {
    /// One channel.
    pub fn of_channel(extent: [usize; 2]) -> Plane {
        Plane { extent, depth: 1 }
    }

    /// Values of the plane.
    pub fn len(&self) -> usize {
        self.extent[0] * self.extent[1] * self.depth
    }

    /// Whether the plane holds no value.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// torch.nn.functional.max_pool2d's own output sizes.
    #[test]
    fn output_sizes_are_those_of_pytorch() {
        let window = |kernel, stride, padding, dilation, ceil_mode| Window {
            kernel: [kernel; 2],
            stride: [stride; 2],
            padding: [padding; 2],
            dilation: [dilation; 2],
            ceil_mode,
        };
        assert_eq!(window(3, 2, 1, 1, false).output(0, 112), 56);
        assert_eq!(window(3, 2, 0, 1, true).output(0, 112), 56);
        assert_eq!(window(3, 2, 0, 1, false).output(0, 112), 55);
        assert_eq!(window(2, 2, 0, 1, true).output(0, 7), 4);
        assert_eq!(window(2, 2, 1, 1, true).output(0, 2), 2);
        assert_eq!(window(3, 1, 0, 2, false).output(0, 4), 0);
        assert_eq!(window(3, 1, 1, 2, false).output(0, 4), 2);
    }
}
