//! How tensors lie in memory, and sharing them out among threads.

use tch::{TchError, Tensor};

use crate::model::libtorch::{self, parallel_for};

/// Values that one thread takes at least: below, waking a thread costs more than it saves.
pub(in super::super) const GRAIN: usize = 8192;

/// Whether every place of the memory that `x` spans holds one of its values.
pub(in super::super) fn is_dense(x: &Tensor) -> bool {
    if x.is_contiguous() {
        return true;
    }
    let mut axes: Vec<(i64, i64)> = x.stride().into_iter().zip(x.size()).filter(|&(_, size)| size != 1).collect();
    axes.sort_unstable();
    let mut expected = 1;
    axes.iter().all(|&(stride, size)| {
        let fits = stride == expected;
        expected *= size;
        fits
    })
}

/// Whether PyTorch makes channels-last outputs of `x`.
pub(in super::super) fn suggests_channels_last(x: &Tensor) -> bool {
    // SAFETY: a C_tensor is an at::Tensor, borrowed for the call.
    unsafe { libtorch::suggests_channels_last(&*x.as_ptr().cast::<libtorch::Tensor>()) }
}

/// `x` [N, C, H, W] with the channels of a pixel side by side.
pub(in super::super) fn in_channels_last(x: &Tensor) -> Result<Tensor, TchError> {
    x.f_permute([0, 2, 3, 1])?.f_contiguous()?.f_permute([0, 3, 1, 2])
}

/// Run `task(begin, end)` over pieces of [0, total), at least `grain` long, on libtorch's threads.
pub(in super::super) fn spread(total: usize, grain: usize, task: impl Fn(usize, usize) + Sync) -> Result<(), TchError> {
    parallel_for(total, grain, task).map_err(|error| TchError::Torch(error.to_string()))
}
