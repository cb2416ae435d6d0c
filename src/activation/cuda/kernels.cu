// The kernels of ReLU and max-pooling for CUDA, compiled at run time for each activation: src/activation/cuda/mod.rs puts
// before this text
//
//     using value = float;                             what tensors hold
//     using number = double;                           what is computed in
//     #define COMPOSITION                              or SERIES, or PARABOLA: what stands in for ReLU
//     constexpr int lengths[] = {8, 14, 15};           coefficients of each stage
//     __constant__ number coefficients[] = {…};        of all stages, one after the other
//     #define RELU                                     or MAX_POOL
//     constexpr int kernel_height = 3, kernel_width = 3;  of a max-pool
//
// The operations and their order are those of the vector forms for CPUs; it must be compiled without contraction of
// products and sums, since what is fused is written as fma.
//
// No thread needs another, so that the text is also a program for one processor.

using count = unsigned long long;

constexpr int stages = sizeof(lengths) / sizeof(lengths[0]);

// y ← the odd polynomial with `length` coefficients from `first` on, of y; n values at a time, to hide latency.
// In f64 Horner's scheme on c_1, c_3, …; in f32 Clenshaw's recurrence on d_1, d_3, … of T_1, T_3, ….
template <int first, int length, int n>
__device__ __forceinline__ void stage(double (&y)[n]) {
  double u[n], sum[n];
#pragma unroll
  for (int k = 0; k < n; ++k) {
    u[k] = y[k] * y[k];
    sum[k] = coefficients[first + length - 1];
  }
#pragma unroll
  for (int i = length - 2; i >= 0; --i) {
#pragma unroll
    for (int k = 0; k < n; ++k) sum[k] = fma(sum[k], u[k], coefficients[first + i]);
  }
#pragma unroll
  for (int k = 0; k < n; ++k) y[k] = y[k] * sum[k];
}

template <int first, int length, int n>
__device__ __forceinline__ void stage(float (&y)[n]) {
  float u[n], next[n], after[n];
#pragma unroll
  for (int k = 0; k < n; ++k) {
    u[k] = fma(4.0f * y[k], y[k], -2.0f);
    next[k] = coefficients[first + length - 1];
    after[k] = 0.0f;
  }
#pragma unroll
  for (int i = length - 2; i >= 0; --i) {
#pragma unroll
    for (int k = 0; k < n; ++k) {
      const float here = fma(u[k], next[k], coefficients[first + i] - after[k]);
      after[k] = next[k];
      next[k] = here;
    }
  }
#pragma unroll
  for (int k = 0; k < n; ++k) y[k] = y[k] * (next[k] - after[k]);
}

// y ← p(y).
template <int at, int first, int n>
__device__ __forceinline__ void sign(number (&y)[n]) {
  if constexpr (at < stages) {
    stage<first, lengths[at], n>(y);
    sign<at + 1, first + lengths[at], n>(y);
  }
}

// x moved into [−end, end] if `clips`; what is not a number stays.
__device__ __forceinline__ value clipped(value x, value end, bool clips) {
  if (!clips) return x;
  return x > end ? end : x < -end ? -end : x;
}

// What a thread met outside the range in one image.
struct Outside {
  count values = 0, not_a_number = 0;
  value worst = 0;

  // `end` is the largest value that is not beyond the range.
  __device__ __forceinline__ void see(value x, value end) {
    const value size = fabs(x);
    if (!(size <= end)) {
      values += 1;
      not_a_number += size != size;
      worst = fmax(worst, size);
    }
  }

  // counters: values, those of them that are no number, and for each image 1 + the bits of its worst |x| as f64, which are
  // ordered as the numbers are; 0 where nothing was outside.
  __device__ __forceinline__ void tell(count* counters, long long image) const {
    if (values == 0) return;
    atomicAdd(&counters[0], values);
    if (not_a_number != 0) atomicAdd(&counters[1], not_a_number);
    atomicMax(&counters[2 + image], static_cast<count>(__double_as_longlong(worst)) + 1);
  }
};

#ifdef RELU

constexpr int each = 4;

struct Relu {
  const value* x;
  value* y;
  count* counters;
  long long images, length;           // length: values of an image
  double end;                         // the largest value that is not beyond the range
  double shift[2], range[2];          // of the ReLUs that are summed, the second subtracted
  double inverse[2];                  // 1/range
  int terms;
  int clips;                          // whether inputs beyond the range are moved to its end, after they were counted
};

// y ← the approximate ReLU of x in [−range, range].
__device__ __forceinline__ void relu_of(const number (&x)[each], number range, number inverse, number (&y)[each]) {
#if defined(COMPOSITION)
  const number scale = number(2) * inverse;
  number half[each];
#pragma unroll
  for (int k = 0; k < each; ++k) {
    half[k] = x[k] * number(0.5);
    y[k] = half[k] * scale;
  }
  sign<0, 0, each>(y);
#pragma unroll
  for (int k = 0; k < each; ++k) y[k] = fma(half[k], y[k], half[k]);
#elif defined(PARABOLA)
#pragma unroll
  for (int k = 0; k < each; ++k) y[k] = fma(fma(x[k], coefficients[2], coefficients[1]), x[k], coefficients[0]);
#elif defined(SERIES)
#pragma unroll
  for (int k = 0; k < each; ++k) {
    const number t = x[k] * inverse;
    const number v = t * t * number(2) - number(1);
    number next = 0, after = 0;
#pragma unroll
    for (int i = lengths[0] - 1; i > 0; --i) {
      const number here = fma(v + v, next, coefficients[i] - after);
      after = next;
      next = here;
    }
    y[k] = fma(fma(v, next, coefficients[0] - after), range, x[k] * number(0.5));
  }
#endif
}

extern "C" __global__ void relu(const __grid_constant__ Relu job) {
  const long long step = static_cast<long long>(blockDim.x) * each;
  const value end = static_cast<value>(job.end);
  for (long long image = blockIdx.y; image < job.images; image += gridDim.y) {
    const value* from = job.x + image * job.length;
    value* to = job.y + image * job.length;
    Outside outside;
    for (long long at = blockIdx.x * step + threadIdx.x; at < job.length; at += gridDim.x * step) {
      value x[each];
      number sum[each];
#pragma unroll
      for (int k = 0; k < each; ++k) {
        const long long i = at + k * static_cast<long long>(blockDim.x);
        x[k] = i < job.length ? from[i] : value(0);
        outside.see(x[k], end);
        x[k] = clipped(x[k], end, job.clips);
        sum[k] = 0;
      }
      number sign = 1;
#pragma unroll 1
      for (int term = 0; term < job.terms; ++term) {
        number shifted[each], y[each];
#pragma unroll
        for (int k = 0; k < each; ++k) shifted[k] = static_cast<number>(x[k]) - static_cast<number>(job.shift[term]);
        relu_of(shifted, static_cast<number>(job.range[term]), static_cast<number>(job.inverse[term]), y);
#pragma unroll
        for (int k = 0; k < each; ++k) sum[k] = fma(sign, y[k], sum[k]);
        sign = -1;
      }
#pragma unroll
      for (int k = 0; k < each; ++k) {
        const long long i = at + k * static_cast<long long>(blockDim.x);
        if (i < job.length) to[i] = static_cast<value>(sum[k]);
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
  double end, padding_value, scale;
};

// ((a+b) + (a−b)·p(a−b))/2.
template <int n>
__device__ __forceinline__ void play(const number (&a)[n], const number (&b)[n], number (&winner)[n]) {
  number p[n];
#pragma unroll
  for (int k = 0; k < n; ++k) p[k] = a[k] - b[k];
  sign<0, 0, n>(p);
#pragma unroll
  for (int k = 0; k < n; ++k) winner[k] = fma(a[k] - b[k], p[k], a[k] + b[k]) * number(0.5);
}

// The winner of n players: neighbours meet, a left-over waits.
template <int n>
__device__ __forceinline__ number tournament(const number (&z)[n]) {
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
    play(a, b, winners);
#pragma unroll
    for (int k = 0; k < pairs; ++k) next[k] = winners[k];
    if constexpr (rest == 1) next[pairs] = z[n - 1];
    return tournament(next);
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
  const value end = static_cast<value>(job.end);
  const number padding_value = static_cast<number>(job.padding_value), scale = static_cast<number>(job.scale);
  for (long long image = blockIdx.y; image < job.images; image += gridDim.y) {
    Outside outside;
    for (long long at = blockIdx.x * step + threadIdx.x; at < length; at += gridDim.x * step) {
      const unsigned i = static_cast<unsigned>(at);
      const unsigned inner = job.channels_last ? job.channels : job.output_width;
      const unsigned middle = job.channels_last ? job.output_width : job.output_height;
      const int low = i % inner, mid = i / inner % middle, high = i / inner / middle;
      const int channel = job.channels_last ? low : high;
      const int row = job.channels_last ? high : mid;
      const int column = job.channels_last ? mid : low;
      const value* plane = job.x + image * job.strides[0] + channel * job.strides[1];

      const Share rows(row, job.output_height, job.height, job.stride[0], job.padding[0]);
      const Share columns(column, job.output_width, job.width, job.stride[1], job.padding[1]);
      for (int r = rows.begin; r < rows.end; ++r) {
        for (int c = columns.begin; c < columns.end; ++c) {
          outside.see(plane[r * job.strides[2] + c * job.strides[3]], end);
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
          const number x =
              inside ? static_cast<number>(clipped(plane[r * job.strides[2] + c * job.strides[3]], end, job.clips))
                     : padding_value;
          z[a * kernel_width + b] = x * scale + number(0.5);
        }
      }
      job.y[image * length + at] = static_cast<value>((tournament(z) - number(0.5)) / scale);
    }
    outside.tell(job.counters, image);
  }
}

#endif
