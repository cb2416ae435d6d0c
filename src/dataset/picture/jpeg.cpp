// The calls of Pillow's JpegDecode.c, in its order, with a file that is whole in memory.
//
// TurboJPEG's own interface would be shorter, but to it a file that ends early is like one with damage in the middle;
// Pillow refuses the first and reads the second.
#include "polyact/src/dataset/picture/jpeg.h"

#include <algorithm>
#include <csetjmp>
#include <cstdio>
#include <stdexcept>

#include <jpeglib.h>

#include "polyact/src/dataset/picture/jpeg.rs.h"

namespace polyact {

namespace {

struct Errors : jpeg_error_mgr {
  std::jmp_buf escape;
  char message[JMSG_LENGTH_MAX];
};

void escape(j_common_ptr info) {
  auto* errors = static_cast<Errors*>(info->err);
  errors->format_message(info, errors->message);
  std::longjmp(errors->escape, 1);
}

void nothing(j_common_ptr) {}
void nothing(j_decompress_ptr) {}

// The file in blocks of the size that Pillow reads. libjpeg stops at the end of each, and so, in files with damage
// behind the last row, the blocks decide whether it sees the damage.
struct Source : jpeg_source_mgr {
  size_t unread;
  size_t to_skip;
};

constexpr size_t block_size = 65536;

void skip_some(Source& source) {
  auto count = std::min(source.to_skip, source.bytes_in_buffer);
  source.next_input_byte += count;
  source.bytes_in_buffer -= count;
  source.to_skip -= count;
}

void skip(j_decompress_ptr info, long count) {
  auto& source = *static_cast<Source*>(info->src);
  source.to_skip = count > 0 ? static_cast<size_t>(count) : 0;
  skip_some(source);
}

boolean suspend(j_decompress_ptr) { return FALSE; }

// The next block too; false at the end of the file.
bool load(Source& source) {
  if (source.unread == 0) return false;
  auto count = std::min(source.unread, block_size);
  source.bytes_in_buffer += count;
  source.unread -= count;
  skip_some(source);
  return true;
}

enum class Outcome { whole, ends_early, refused };

// longjmp ends it wherever libjpeg finds an error, so nothing in it has a destructor.
Outcome decode(jpeg_decompress_struct& info, Errors& errors, Source& source, uint32_t width, uint32_t height,
               uint32_t channels, uint8_t* pixels) {
  info.err = jpeg_std_error(&errors);
  errors.error_exit = escape;
  errors.output_message = nothing;
  if (setjmp(errors.escape)) return Outcome::refused;
  jpeg_create_decompress(&info);
  source.init_source = nothing;
  source.fill_input_buffer = suspend;
  source.skip_input_data = skip;
  source.resync_to_restart = jpeg_resync_to_restart;
  source.term_source = nothing;
  info.src = &source;

  for (int header = JPEG_SUSPENDED; header != JPEG_HEADER_OK; header = jpeg_read_header(&info, FALSE)) {
    if (header == JPEG_SUSPENDED && !load(source)) return Outcome::ends_early;
  }
  info.out_color_space = channels == 1 ? JCS_GRAYSCALE : channels == 3 ? JCS_RGB : JCS_CMYK;
  while (!jpeg_start_decompress(&info)) {
    if (!load(source)) return Outcome::ends_early;
  }
  if (info.output_width != width || info.output_height != height ||
      static_cast<uint32_t>(info.output_components) != channels) {
    std::snprintf(errors.message, sizeof errors.message, "its headers disagree about the size");
    return Outcome::refused;
  }
  const size_t stride = static_cast<size_t>(width) * channels;
  while (info.output_scanline < height) {
    JSAMPROW row = pixels + info.output_scanline * stride;
    if (jpeg_read_scanlines(&info, &row, 1) != 1 && !load(source)) return Outcome::ends_early;
  }
  // Once every row is there, the end of the file may be missing, but not be damaged.
  jpeg_finish_decompress(&info);
  return Outcome::whole;
}

}  // namespace

bool decode_jpeg(rust::Slice<const uint8_t> file, uint32_t width, uint32_t height, uint32_t channels,
                 rust::Slice<uint8_t> pixels) {
  if (pixels.size() != static_cast<size_t>(width) * height * channels) {
    throw std::logic_error("the buffer has another size than the picture");
  }
  jpeg_decompress_struct info{};
  Errors errors{};
  Source source{};
  source.next_input_byte = file.data();
  source.unread = file.size();
  auto outcome = decode(info, errors, source, width, height, channels, pixels.data());
  jpeg_destroy_decompress(&info);
  if (outcome == Outcome::refused) throw std::runtime_error(errors.message);
  return outcome == Outcome::whole;
}

}  // namespace polyact
