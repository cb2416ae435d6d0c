// The calls of Pillow's JpegDecode.c, in its order, with a file that is whole in memory.
//
// TurboJPEG's own interface would be shorter, but to it a file that ends early is like one with damage in the middle;
// Pillow refuses the first and reads the second.
#include "polyact/src/dataset/picture/jpeg.h"

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

// There is never more than the file, so libjpeg stops here where the file ends early.
boolean suspend(j_decompress_ptr) { return FALSE; }

void skip(j_decompress_ptr info, long count) {
  if (count <= 0) return;
  auto skipped = std::min(static_cast<size_t>(count), info->src->bytes_in_buffer);
  info->src->next_input_byte += skipped;
  info->src->bytes_in_buffer -= skipped;
}

enum class Outcome { whole, ends_early, refused };

// What longjmp leaves behind has no destructor: everything here is a plain value of the caller's.
Outcome decode(jpeg_decompress_struct& info, Errors& errors, const uint8_t* file, size_t size, uint32_t width,
               uint32_t height, uint32_t channels, uint8_t* pixels) {
  info.err = jpeg_std_error(&errors);
  errors.error_exit = escape;
  errors.output_message = nothing;
  if (setjmp(errors.escape)) return Outcome::refused;
  jpeg_create_decompress(&info);

  jpeg_source_mgr source{};
  source.next_input_byte = file;
  source.bytes_in_buffer = size;
  source.init_source = nothing;
  source.fill_input_buffer = suspend;
  source.skip_input_data = skip;
  source.resync_to_restart = jpeg_resync_to_restart;
  source.term_source = nothing;
  info.src = &source;

  int header;
  do header = jpeg_read_header(&info, FALSE);
  while (header == JPEG_HEADER_TABLES_ONLY);
  if (header == JPEG_SUSPENDED) return Outcome::ends_early;

  info.out_color_space = channels == 1 ? JCS_GRAYSCALE : channels == 3 ? JCS_RGB : JCS_CMYK;
  if (!jpeg_start_decompress(&info)) return Outcome::ends_early;
  if (info.output_width != width || info.output_height != height ||
      static_cast<uint32_t>(info.output_components) != channels) {
    std::snprintf(errors.message, sizeof errors.message, "the header says two different sizes");
    return Outcome::refused;
  }
  const size_t stride = static_cast<size_t>(width) * channels;
  while (info.output_scanline < height) {
    JSAMPROW row = pixels + info.output_scanline * stride;
    if (jpeg_read_scanlines(&info, &row, 1) != 1) return Outcome::ends_early;
  }
  // Once every row is there, the end of the file may be missing, but not be damaged.
  jpeg_finish_decompress(&info);
  return Outcome::whole;
}

}  // namespace

bool decode_jpeg(rust::Slice<const uint8_t> file, uint32_t width, uint32_t height, uint32_t channels,
                 rust::Slice<uint8_t> pixels) {
  if (pixels.size() != static_cast<size_t>(width) * height * channels) throw std::logic_error("a buffer of another size");
  jpeg_decompress_struct info{};
  Errors errors{};
  auto outcome = decode(info, errors, file.data(), file.size(), width, height, channels, pixels.data());
  jpeg_destroy_decompress(&info);
  if (outcome == Outcome::refused) throw std::runtime_error(errors.message);
  return outcome == Outcome::whole;
}

}  // namespace polyact
