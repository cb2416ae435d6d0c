"""Images of every kind that a folder may hold, and what torchvision on Pillow makes of them.

    pixels.py FOLDER

Writes the images, what is expected of them as NUMBER.bin, and a line each in cases.tsv: image, resize, crop,
interpolation ("-" where there is none), what is expected (u8 [height, width, 3], f32 [3, height, width], l8 [height, width]
in grey, or refused), width, height, and the file of what is expected.
"""

import io
import random
import struct
import sys
import zlib
from itertools import count, cycle
from pathlib import Path

import numpy as np
from PIL import Image
from torchvision import transforms
from torchvision.transforms import InterpolationMode

MEAN, STD = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
TRANSFORMS = [
    (256, 224, "bilinear"),
    (232, 224, "bilinear"),
    (342, 299, "bicubic"),
    (256, None, "bicubic"),
    (None, 224, "bilinear"),
    (37, 61, "bicubic"),
    (224, 224, "bicubic"),
    (5, None, "bilinear"),
]
# Width and height: single pixels, around the blocks of a JPEG, wide and tall, and as photographs are.
SIZES = [(1, 1), (2, 3), (7, 8), (8, 7), (9, 17), (16, 16), (17, 33), (31, 64), (1, 60), (60, 1)]
SIZES += [(500, 375), (375, 500), (256, 256), (223, 225), (224, 300), (301, 256), (640, 90), (90, 640), (333, 500)]

rng = np.random.default_rng(7)
chance = random.Random(7)


class Cases:
    def __init__(self, folder: Path):
        self.folder, self.lines, self.numbers = folder, [], count()
        self.transforms, self.results = cycle(TRANSFORMS), count()

    def add(self, name: str, data: bytes, transformed: int = 1) -> None:
        """The image, decoded and after the next `transformed` of the transforms, in every fourth case also as a tensor."""
        name = f"{next(self.numbers):04}-{name}"
        (self.folder / name).write_bytes(data)
        try:
            with open(self.folder / name, "rb") as file:
                picture = Image.open(file).convert("RGB")
        except Exception:
            self.lines.append((name, "-", "-", "-", "refused", 0, 0, "-"))
            return
        self.expect(name, (None, None, None), "u8", picture.size, np.asarray(picture))
        # As it is stored, not by way of RGB: both must give the same.
        grey = Image.open(self.folder / name).convert("L")
        self.expect(name, (None, None, None), "l8", grey.size, np.asarray(grey))
        for _ in range(transformed):
            resize, crop, interpolation = next(self.transforms)
            if resize and max(picture.size) / min(picture.size) * resize > 20000:
                continue
            steps = [transforms.Resize(resize, InterpolationMode(interpolation))] if resize else []
            steps += [transforms.CenterCrop(crop)] if crop else []
            result = transforms.Compose(steps)(picture)
            self.expect(name, (resize, crop, interpolation), "u8", result.size, np.asarray(result))
            result_in_grey = transforms.Compose(steps)(grey)
            self.expect(name, (resize, crop, interpolation), "l8", result_in_grey.size, np.asarray(result_in_grey))
            if next(self.results) % 4 == 0:
                tensor = transforms.Normalize(MEAN, STD)(transforms.ToTensor()(result))
                self.expect(name, (resize, crop, interpolation), "f32", result.size, tensor.numpy())

    def expect(self, name, transform, kind, size, values) -> None:
        file = f"{next(self.numbers):04}.bin"
        values.tofile(self.folder / file)
        self.lines.append((name, *(step or "-" for step in transform), kind, *size, file))

    def close(self) -> None:
        text = "".join("\t".join(map(str, line)) + "\n" for line in self.lines)
        (self.folder / "cases.tsv").write_text(text)


def photograph(width: int, height: int, channels: int, levels: int = 256) -> np.ndarray:
    """Waves, an edge and noise, [height, width, channels] in [0, levels)."""
    y, x = np.mgrid[0:height, 0:width]
    planes = []
    for _ in range(channels):
        a, b, c = rng.uniform(0.002, 0.12, 3)
        plane = np.sin(a * x + b * y + rng.uniform(0, 6)) + 0.6 * np.sin(c * (x - y)) + 0.8 * (x > rng.uniform(0, width))
        planes.append(plane + rng.uniform(0, 0.8) * rng.standard_normal((height, width)))
    values = np.stack(planes, -1)
    values = (values - values.min()) / max(np.ptp(values), 1e-9)
    return np.clip(values * 1.1 - 0.05, 0, 1 - 1e-9) * levels


def picture(mode: str, size: tuple[int, int]) -> Image.Image:
    planes = photograph(*size, len(mode)).astype(np.uint8)
    return Image.merge(mode, [Image.fromarray(np.ascontiguousarray(plane)) for plane in np.moveaxis(planes, -1, 0)])


def jpeg(mode: str, size: tuple[int, int], **options) -> bytes:
    file = io.BytesIO()
    picture(mode, size).save(file, "jpeg", **options)
    return file.getvalue()


def segment(data: bytes, markers: bytes) -> int:
    """Where the first segment with one of the markers begins."""
    at = 2
    while data[at + 1] not in markers:
        at += 2 + struct.unpack(">H", data[at + 2 : at + 4])[0]
    return at


def patched(data: bytes, at: int, new: bytes) -> bytes:
    return data[:at] + new + data[at + len(new) :]


def resampled(data: bytes, size: tuple[int, int], factors: list[int]) -> bytes:
    """The same blocks in another order: other sampling factors in the frame header, and a size to match."""
    frame = segment(data, b"\xc0\xc1\xc2")
    data = patched(data, frame + 5, struct.pack(">HH", size[1], size[0]))
    for index, factor in enumerate(factors):
        data = patched(data, frame + 11 + 3 * index, bytes([factor]))
    return data


def inserted(data: bytes, marker: int, payload: bytes, at: int = 2) -> bytes:
    return data[:at] + struct.pack(">BBH", 0xFF, marker, len(payload) + 2) + payload + data[at:]


def add_jpegs(cases: Cases) -> None:
    for size in SIZES:
        for subsampling in (0, 1, 2):
            cases.add("rgb.jpg", jpeg("RGB", size, quality=chance.randint(20, 98), subsampling=subsampling), 2)
        cases.add("progressive.jpg", jpeg("RGB", size, quality=85, progressive=True, subsampling=2), 2)
        cases.add("grey.jpg", jpeg("L", size, quality=80), 1)
        cases.add("cmyk.jpg", jpeg("CMYK", size, quality=90), 1)
    for quality in (1, 5, 30, 60, 75, 95, 100):
        cases.add("quality.jpg", jpeg("RGB", (211, 157), quality=quality), 1)
        cases.add("quality.jpg", jpeg("RGB", (211, 157), quality=quality, progressive=True, optimize=True), 1)
        cases.add("quality-cmyk.jpg", jpeg("CMYK", (83, 61), quality=quality, progressive=quality > 50), 1)
    for mode in ("L", "RGB", "CMYK"):
        for blocks in (1, 3, 20):
            for progressive in (False, True):
                data = jpeg(mode, (150, 101), restart_marker_blocks=blocks, progressive=progressive)
                cases.add("restart-blocks.jpg", data, 1)
        cases.add("restart-rows.jpg", jpeg(mode, (150, 101), restart_marker_rows=1), 1)
    cases.add("kept-rgb.jpg", jpeg("RGB", (120, 77), keep_rgb=True), 1)
    cases.add("grey-progressive.jpg", jpeg("L", (120, 77), progressive=True), 1)

    # 6 blocks a unit: 4:1:1, 4:4:0 and others, also some that libjpeg does not know.
    six, four = jpeg("RGB", (128, 128), subsampling=2, quality=90), jpeg("RGB", (128, 128), subsampling=1, quality=90)
    for factors in ((0x41, 0x11, 0x11), (0x14, 0x11, 0x11), (0x21, 0x21, 0x21), (0x12, 0x12, 0x12), (0x11, 0x22, 0x11)):
        for size in ((120, 60), (61, 33), (64, 128)):
            cases.add("sampling.jpg", resampled(six, size, list(factors)), 1)
    cases.add("sampling.jpg", resampled(six, (90, 60), [0x31, 0x21, 0x11]))
    for factors in ((0x12, 0x11, 0x11), (0x11, 0x21, 0x11), (0x11, 0x11, 0x12)):
        for size in ((120, 60), (61, 33), (64, 128)):
            cases.add("sampling.jpg", resampled(four, size, list(factors)), 1)
    cmyk = jpeg("CMYK", (128, 128), quality=90)
    cases.add("sampling-cmyk.jpg", resampled(cmyk, (101, 50), [0x21, 0x11, 0x11, 0x11]), 1)

    # Adobe's marker: a byte says whether the colours are CMYK (0) or YCCK (2), RGB (0) or YCbCr (1).
    for progressive in (False, True):
        data = jpeg("CMYK", (140, 99), progressive=progressive)
        adobe = segment(data, b"\xee")
        for transform in (0, 1, 2, 9):
            cases.add("adobe.jpg", patched(data, adobe + 15, bytes([transform])), 1)
        cases.add("no-adobe.jpg", data[:adobe] + data[adobe + 16 :], 1)
    for transform in (0, 1, 2):
        bare = jpeg("RGB", (140, 99))
        adobe = b"Adobe" + struct.pack(">HHHB", 100, 0, 0, transform)
        cases.add("adobe-rgb.jpg", inserted(bare, 0xEE, adobe), 1)
        cases.add("adobe-without-jfif.jpg", inserted(bare[:2] + bare[20:], 0xEE, adobe), 1)
    cases.add("without-jfif.jpg", bare[:2] + bare[20:], 1)
    frame = segment(bare, b"\xc0")
    for ids in (b"RGB", b"\x00\x01\x02", b"\x01\x22\x23"):
        data = bare[:2] + bare[20:]
        frame = segment(data, b"\xc0")
        scan = segment(data, b"\xda")
        for index in range(3):
            data = patched(data, frame + 10 + 3 * index, ids[index : index + 1])
            data = patched(data, scan + 5 + 2 * index, ids[index : index + 1])
        cases.add("ids.jpg", data, 1)

    for orientation in range(1, 9):
        exif = Image.Exif()
        exif[0x0112] = orientation
        cases.add("exif.jpg", jpeg("RGB", (90, 60), exif=exif), 1)
    cases.add("comment.jpg", jpeg("RGB", (90, 60), comment=b"x" * 60000), 1)
    cases.add("profile.jpg", jpeg("RGB", (90, 60), icc_profile=bytes(150000)), 1)
    cases.add("fill-bytes.jpg", bare[:2] + b"\xff\xff\xff" + bare[2:], 1)
    cases.add("junk-between.jpg", bare[:2] + b"junk" + bare[2:], 1)
    cases.add("junk-behind.jpg", bare + b"junk" * 1000, 1)
    cases.add("thumbnail.jpg", inserted(bare, 0xE1, b"Exif\0\0" + jpeg("RGB", (16, 16))), 1)
    cases.add("two.jpg", bare + jpeg("RGB", (16, 16)), 1)
    file = io.BytesIO()
    picture("RGB", (50, 40)).save(file, "mpo", save_all=True, append_images=[picture("RGB", (30, 20))])
    cases.add("several.jpg", file.getvalue(), 1)
    cases.add("photograph.png", jpeg("RGB", (90, 60)), 1)
    for size in ((5000, 40), (40, 5000), (3000, 2000)):
        cases.add("large.jpg", jpeg("RGB", size, quality=70), 2)


def chunk(kind: bytes, data: bytes, checksum: int | None = None) -> bytes:
    checksum = zlib.crc32(kind + data) if checksum is None else checksum
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", checksum)


ADAM7 = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)]
SAMPLES = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}


def filtered(row: bytes, above: bytes, pixel: int, kind: int) -> bytes:
    result = bytearray([kind])
    for i, value in enumerate(row):
        a = row[i - pixel] if i >= pixel else 0
        b = above[i]
        c = above[i - pixel] if i >= pixel else 0
        p = a + b - c
        paeth = min((abs(p - a), 0, a), (abs(p - b), 1, b), (abs(p - c), 2, c))[2]
        result.append((value - (0, a, b, (a + b) // 2, paeth)[kind]) & 255)
    return bytes(result)


def rows_of(values: np.ndarray, bits: int, interlaced: bool) -> bytes:
    """The filtered rows of all passes."""
    height, width, channels = values.shape
    pixel = max(1, bits * channels // 8)
    rows = b""
    for x, y, step_x, step_y in ADAM7 if interlaced else [(0, 0, 1, 1)]:
        part = values[y::step_y, x::step_x]
        if part.size == 0:
            continue
        flat = part.reshape(part.shape[0], -1)
        if bits == 16:
            packed = [row.astype(">u2").tobytes() for row in flat]
        else:
            bit = (flat[..., None].astype(np.uint8) >> np.arange(bits - 1, -1, -1, dtype=np.uint8)) & 1
            packed = [np.packbits(row.reshape(-1)).tobytes() for row in bit]
        above = bytes(len(packed[0]))
        for index, row in enumerate(packed):
            rows += filtered(row, above, pixel, chance.randint(0, 4))
            above = row
    return rows


def png(
    size, bits, colour, interlaced=False, palette=None, before=b"", after=b"", rows=None, pieces=1, level=6
) -> bytes:
    """Rows of noise if none are given; `before` and `after` are chunks around the image data, which are in `pieces`."""
    if rows is None:
        rows = rows_of(photograph(*size, SAMPLES[colour], 1 << bits).astype(np.int64), bits, interlaced)
    header = struct.pack(">IIBBBBB", *size, bits, colour, 0, 0, int(interlaced))
    if colour == 3 and palette is None:
        palette = rng.integers(0, 256, 3 << bits, dtype=np.uint8).tobytes()
    data = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + (chunk(b"PLTE", palette) if palette else b"") + before
    compressed = zlib.compress(rows, level)
    cut = [len(compressed) * i // pieces for i in range(pieces + 1)]
    data += b"".join(chunk(b"IDAT", compressed[a:b]) for a, b in zip(cut, cut[1:]))
    return data + after + chunk(b"IEND", b"")


# Bits a sample, and the type of the colours: 0 grey, 2 RGB, 3 palette, 4 grey with alpha, 6 RGB with alpha.
KINDS = [(b, 0) for b in (1, 2, 4, 8, 16)] + [(b, 3) for b in (1, 2, 4, 8)] + [(b, c) for b in (8, 16) for c in (2, 4, 6)]


def add_pngs(cases: Cases) -> None:
    for bits, colour in KINDS:
        for interlaced in (False, True):
            for size in ((1, 1), (2, 5), (5, 2), (9, 7), (33, 18), (64, 41)):
                cases.add(f"{bits}-bit-{colour}.png", png(size, bits, colour, interlaced, pieces=chance.randint(1, 4)), 1)
        cases.add(f"{bits}-bit-{colour}.png", png((160, 131), bits, colour), 2)
        transparent = {0: 2, 2: 6, 3: 1 << min(bits, 8), 4: 2, 6: 2}[colour]
        for high in (b"\0", b"\xff"):
            before = chunk(b"tRNS", (high + bytes([chance.randint(0, 255)])) * (transparent // 2 or 1))
            cases.add(f"trns-{bits}-bit-{colour}.png", png((23, 31), bits, colour, before=before), 1)
    for mode in ("1", "L", "LA", "P", "RGB", "RGBA", "I;16"):
        wide = Image.fromarray(photograph(131, 90, 1, 65536).astype(np.uint16).squeeze(-1))
        image = wide if mode == "I;16" else picture("RGB", (131, 90)).convert(mode)
        for options in ({}, {"optimize": True}, {"compress_level": 0}):
            file = io.BytesIO()
            image.save(file, "png", **options)
            cases.add(f"pillow-{mode.replace(';', '-')}.png", file.getvalue(), 1)
    # 16-bit grey around the value where it is cut.
    values = np.arange(230, 290).reshape(6, 10, 1)
    cases.add("grey-16.png", png((10, 6), 16, 0, rows=rows_of(values, 16, False)), 1)
    for entries in (0, 1, 3, 100):
        palette = bytes(range(1, 3 * entries + 1)) if entries < 80 else bytes(3 * entries)
        cases.add("short-palette.png", png((40, 30), 8, 3, palette=palette), 1)
    cases.add("odd-palette.png", png((40, 30), 8, 3, palette=bytes(range(200))), 1)
    cases.add("long-palette.png", png((40, 30), 8, 3, palette=bytes(3 * 257)))
    cases.add("palette-of-rgb.png", png((40, 30), 8, 2, palette=bytes(3 * 257)), 1)
    palette = b"\x09\x08\x07" + bytes(range(45))
    cases.add("rows-of-colour-0.png", png((40, 30), 4, 3, palette=palette, rows=bytes(range(21)) * 7), 1)
    before = chunk(b"gAMA", struct.pack(">I", 45455)) + chunk(b"tEXt", b"a\0b") + chunk(b"eXIf", b"MM\0*\0\0\0\x08")
    cases.add("chunks.png", png((40, 30), 8, 2, before=before, after=before), 1)
    animated = chunk(b"acTL", struct.pack(">II", 1, 0))
    animated += chunk(b"fcTL", struct.pack(">IIIIIHHBB", 0, 40, 30, 0, 0, 1, 10, 0, 0))
    cases.add("animated.png", png((40, 30), 8, 2, before=animated), 1)
    cases.add("photograph.JPEG", png((90, 60), 8, 2), 1)
    file = io.BytesIO()
    picture("RGB", (2000, 1500)).save(file, "png")
    cases.add("large.png", file.getvalue(), 2)


def add_damage(cases: Cases) -> None:
    """What Pillow refuses must be refused, and what it reads over must be read to the same pixels."""
    files = [("jpg", jpeg("RGB", (65, 43), quality=60)), ("jpg", jpeg("L", (65, 43), restart_marker_rows=1))]
    files += [("jpg", jpeg("RGB", (65, 43), progressive=True)), ("jpg", jpeg("CMYK", (40, 43), restart_marker_blocks=3))]
    files += [("png", png((21, 17), 8, 2, pieces=3, after=chunk(b"tEXt", b"a\0b"))), ("png", png((21, 17), 8, 3))]
    files += [("png", png((21, 17), 4, 0, True)), ("png", png((40, 31), 8, 6, level=0))]
    for suffix, data in files:
        for at in sorted({*range(len(data) - 14, len(data)), *chance.sample(range(12, len(data)), 12)}):
            cases.add(f"cut.{suffix}", data[:at], 0)
        for at in (*range(2, 40, 3), *chance.sample(range(40, len(data)), 40)):
            cases.add(f"changed.{suffix}", patched(data, at, bytes([chance.randint(0, 255)])), 0)
    # Behind the last row it depends on the blocks that are read at once what is seen of the damage.
    for data in (jpeg("RGB", (600, 400), quality=95), jpeg("CMYK", (300, 400), quality=95, restart_marker_rows=2)):
        for _ in range(10):
            at = chance.randint(1000, len(data) - 2000)
            cases.add("missing.jpg", data[:at] + data[at + chance.randint(1, 100000) :], 0)
            cases.add("changed.jpg", patched(data, at, b"\xff" + bytes([chance.randint(0, 255)])), 0)
    size = (21, 17)
    rows = rows_of(photograph(*size, 3).astype(np.int64), 8, False)
    for kept in (0, 1, 64, 640, len(rows) - 64, len(rows) - 1):
        cases.add("fewer-rows.png", png(size, 8, 2, rows=rows[:kept]), 0)
    cases.add("more-rows.png", png(size, 8, 2, rows=rows * 2), 0)
    cases.add("filter.png", png(size, 8, 2, rows=b"\x05" + rows[1:]), 0)
    cases.add("checksum.png", png(size, 8, 2, before=chunk(b"tEXt", b"a\0b", 1)), 0)
    cases.add("checksum-behind.png", png(size, 8, 2, after=chunk(b"tEXt", b"a\0b", 1)), 0)
    for bits, colour in ((8, 2), (3, 0), (16, 3), (4, 2), (8, 5)):
        header = chunk(b"IHDR", struct.pack(">IIBBBBB", *size, bits, colour, 0, 0, 0))
        cases.add("no-data.png", b"\x89PNG\r\n\x1a\n" + header + chunk(b"IEND", b""), 0)
    for width, height in ((0, 5), (5, 0), (20000, 20000), (1 << 31, 1 << 31)):
        cases.add("size.png", png((width, height), 8, 2, rows=rows), 0)
        frame = segment(files[0][1], b"\xc0")
        size = struct.pack(">HH", height & 65535, width & 65535)
        cases.add("size.jpg", patched(files[0][1], frame + 5, size), 0)


def main() -> None:
    cases = Cases(Path(sys.argv[1]))
    add_jpegs(cases)
    add_pngs(cases)
    add_damage(cases)
    cases.close()


if __name__ == "__main__":
    main()
