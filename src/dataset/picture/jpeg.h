// libjpeg, called as Pillow calls it.
#pragma once

#include <cstdint>

#include "rust/cxx.h"

namespace polyact {

bool decode_jpeg(rust::Slice<const uint8_t> file, uint32_t width, uint32_t height, uint32_t channels,
                 rust::Slice<uint8_t> pixels);

}  // namespace polyact
