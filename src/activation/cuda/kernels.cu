// The kernels for CUDA, compiled at run time for each form of activation: src/activation/cuda/mod.rs puts before this text
//
//     using value = float;                             what tensors hold
//     using number = double;                           what is computed in
//     constexpr int parameters = 38;                   of the formula
//     formula(x, y, p)                                 the formula
//     #define ELEMENTWISE                              or MAX_POOL
//     constexpr int each = 4;                          values of a thread, if not of a max-pool
//     #define APART                                    where every channel has its own parameters
//     constexpr int kernel_height = 3, kernel_width = 3;  of a max-pool
//
// The operations and their order are those of the vector forms for CPUs; it must be compiled without contraction of
// products and sums, since what is fused is written as fma.

using count = unsigned long long;

// Parameters that are alike for all values.
struct Alike {
  const number (&numbers)[parameters];

  __device__ __forceinline__ number operator()(int at, int) const { return numbers[at]; }
};

// x moved into [low, high] if `clips`; what is not a number stays.
__device__ __forceinline__ value clipped(value x, value low, value high, bool clips) {
  if (!clips) return x;
  return x > high ? high : x < low ? low : x;
}

// What a thread met outside the range in one image.
struct Outside {
  count values = 0, not_a_number = 0;
  value worst = 0;

  // `low` and `high` are the ends of what is in range.
  __device__ __forceinline__ void see(value x, value low, value high) {
    if (!(x >= low && x <= high)) {
      values += 1;
      not_a_number += x != x;
      worst = fmax(worst, fabs(x));
    }
  }

  // counters: values, those of them that are no number, and for each image 1 + the bits of its worst |x| as f64, which are
  // ordered as the numbers are; 0 where nothing was outside. All threads of a block come here; one of them tells for all.
  __device__ __forceinline__ void tell(count* counters, long long image) const {
    // Most blocks met nothing.
    if (!__syncthreads_or(values != 0)) return;
    __shared__ count sums[2], largest;
    if (threadIdx.x == 0) sums[0] = sums[1] = largest = 0;
    __syncthreads();
    count all = values, no_numbers = not_a_number;
    count bits = values == 0 ? 0 : static_cast<count>(__double_as_longlong(worst)) + 1;
#pragma unroll
    for (int lanes = 16; lanes > 0; lanes /= 2) {
      all += __shfl_down_sync(~0u, all, lanes);
      no_numbers += __shfl_down_sync(~0u, no_numbers, lanes);
      const count other = __shfl_down_sync(~0u, bits, lanes);
      bits = other > bits ? other : bits;
    }
    if (threadIdx.x % 32 == 0 && all != 0) {
      atomicAdd(&sums[0], all);
      atomicAdd(&sums[1], no_numbers);
      atomicMax(&largest, bits);
    }
    __syncthreads();
    if (threadIdx.x == 0) {
      atomicAdd(&counters[0], sums[0]);
      if (sums[1] != 0) atomicAdd(&counters[1], sums[1]);
      atomicMax(&counters[2 + image], largest);
    }
  }
};

#ifdef ELEMENTWISE

struct Elementwise {
  const value* x;
  value* y;
  count* counters;
  const number* table;                // where channels are apart: parameter after parameter, each of all channels
  const value* ends;                  // where channels are apart: the low ends of all, then the high ones
  long long images, length;           // length: values of an image
  long long run;                      // values of one channel that follow each other
  double low, high;                   // where channels are alike: the ends of what is in range
  int channels;
  int clips;                          // whether inputs beyond the range are moved to its end, after they were counted
#ifndef APART
  number numbers[parameters];
#endif
};

#ifdef APART
// Parameters of the channels of a thread's values.
struct Apart {
  const number* table;
  int channels;
  const int (&channel)[each];

  __device__ __forceinline__ number operator()(int at, int k) const {
    return __ldg(table + static_cast<long long>(at) * channels + channel[k]);
  }
};
#endif

extern "C" __global__ void elementwise(const __grid_constant__ Elementwise job) {
  const long long step = static_cast<long long>(blockDim.x) * each;
  for (long long image = blockIdx.y; image < job.images; image += gridDim.y) {
    const value* from = job.x + image * job.length;
    value* to = job.y + image * job.length;
    Outside outside;
    for (long long at = blockIdx.x * step + threadIdx.x; at < job.length; at += gridDim.x * step) {
      number x[each], y[each];
#ifdef APART
      int channel[each];
#endif
#pragma unroll
      for (int k = 0; k < each; ++k) {
        const long long i = at + k * static_cast<long long>(blockDim.x);
        // What is behind the end is computed as the first value is, and not stored.
        const long long inside = i < job.length ? i : at;
#ifdef APART
        channel[k] = static_cast<int>(inside / job.run % job.channels);
        const value low = __ldg(job.ends + channel[k]), high = __ldg(job.ends + job.channels + channel[k]);
#else
        const value low = static_cast<value>(job.low), high = static_cast<value>(job.high);
#endif
        const value here = from[inside];
        if (i < job.length) outside.see(here, low, high);
        x[k] = static_cast<number>(clipped(here, low, high, job.clips));
      }
#ifdef APART
      formula(x, y, Apart{job.table, job.channels, channel});
#else
      formula(x, y, Alike{job.numbers});
#endif
#pragma unroll
      for (int k = 0; k < each; ++k) {
        const long long i = at + k * static_cast<long long>(blockDim.x);
        if (i < job.length) to[i] = static_cast<value>(y[k]);
      }
    }
    outside.tell(job.counters, image);
  }
}

#endif
#ifdef MAX_POOL

struct MaxPool {
  const value* x;
  value* y;
  count* counters;
  long long images;
  long long strides[4];           // of x: from image to image, channel to channel, row to row, column to column
  int channels, height, width;    // of x
  int output_height, output_width;
  int stride[2], padding[2], dilation[2];
  int channels_last;              // of y, which is dense
  int clips;                      // whether inputs beyond the range are moved to its end, after they were counted
  int spare;                      // keeps what follows in its place
  double low, high;               // the ends of what is in range
  double padding_value;
  number numbers[parameters];
};

// max(a, b) = b + r(a - b).
template <int n>
__device__ __forceinline__ void play(const number (&a)[n], const number (&b)[n], number (&winner)[n], const Alike& p) {
  number difference[n];
  EACH difference[k] = a[k] - b[k];
  formula(difference, winner, p);
  EACH winner[k] = b[k] + winner[k];
}

// The winner of n players: neighbours meet, a left-over waits.
template <int n>
__device__ __forceinline__ number tournament(const number (&z)[n], const Alike& p) {
  if constexpr (n == 1) {
    return z[0];
  } else {
    constexpr int pairs = n / 2, rest = n % 2;
    number a[pairs], b[pairs], winners[pairs], next[pairs + rest];
#pragma unroll
    for (int k = 0; k < pairs; ++k) {
      a[k] = z[2 * k];
      b[k] = z[2 * k + 1];
    }
    play(a, b, winners, p);
#pragma unroll
    for (int k = 0; k < pairs; ++k) next[k] = winners[k];
    if constexpr (rest == 1) next[pairs] = z[n - 1];
    return tournament(next, p);
  }
}

// The inputs along one axis that output `at` counts: those where its window starts and before the next one does, and at the
// ends whatever is left, so that every input is counted once.
struct Share {
  int begin, end;

  __device__ __forceinline__ Share(int at, int outputs, int inputs, int stride, int padding) {
    const int own = at * stride - padding;
    begin = own > 0 ? own : 0;
    end = at == outputs - 1 || own + stride > inputs ? inputs : own + stride;
  }
};

extern "C" __global__ void max_pool(const __grid_constant__ MaxPool job) {
  const long long length = static_cast<long long>(job.channels) * job.output_height * job.output_width;
  const long long step = blockDim.x;
  const value low = static_cast<value>(job.low), high = static_cast<value>(job.high);
  const number padding_value = static_cast<number>(job.padding_value);
  for (long long image = blockIdx.y; image < job.images; image += gridDim.y) {
    Outside outside;
    for (long long at = blockIdx.x * step + threadIdx.x; at < length; at += gridDim.x * step) {
      const unsigned i = static_cast<unsigned>(at);
      const unsigned inner = job.channels_last ? job.channels : job.output_width;
      const unsigned middle = job.channels_last ? job.output_width : job.output_height;
      const int inmost = i % inner, between = i / inner % middle, outmost = i / inner / middle;
      const int channel = job.channels_last ? inmost : outmost;
      const int row = job.channels_last ? outmost : between;
      const int column = job.channels_last ? between : inmost;
      const value* plane = job.x + image * job.strides[0] + channel * job.strides[1];

      const Share rows(row, job.output_height, job.height, job.stride[0], job.padding[0]);
      const Share columns(column, job.output_width, job.width, job.stride[1], job.padding[1]);
      for (int r = rows.begin; r < rows.end; ++r) {
        for (int c = columns.begin; c < columns.end; ++c) {
          outside.see(plane[r * job.strides[2] + c * job.strides[3]], low, high);
        }
      }

      number z[kernel_height * kernel_width];
#pragma unroll
      for (int a = 0; a < kernel_height; ++a) {
#pragma unroll
        for (int b = 0; b < kernel_width; ++b) {
          const int r = row * job.stride[0] - job.padding[0] + a * job.dilation[0];
          const int c = column * job.stride[1] - job.padding[1] + b * job.dilation[1];
          const bool inside = r >= 0 && r < job.height && c >= 0 && c < job.width;
          z[a * kernel_width + b] =
              inside ? static_cast<number>(clipped(plane[r * job.strides[2] + c * job.strides[3]], low, high, job.clips))
                     : padding_value;
        }
      }
      job.y[image * length + at] = static_cast<value>(tournament(z, Alike{job.numbers}));
    }
    outside.tell(job.counters, image);
  }
}

#endif
