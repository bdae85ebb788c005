"""LZW in TIFF files: whatever the codes are, no memory is read that was never written."""

from __future__ import annotations

import io
import struct
import subprocess
import sys
import time
import zlib
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
import tifffile

from jaxcolor import image_io
from jaxcolor.image_io.errors import Refused
from jaxcolor.image_io.tiff import lzw

CLEAR, END = 256, 257
ORDERS = ("big", "little")


class Bits:
    """Codes -> bytes, each as wide as the table needs, in TIFF's order of bits or the older one."""

    def __init__(self, order: str):
        self.order, self.bits, self.entries, self.first = order, [], 258, True

    def put(self, code: int) -> None:
        early = self.order == "big"
        width = 9 + sum(self.entries >= limit - early for limit in (512, 1024, 2048))
        digits = f"{code:0{width}b}"
        self.bits.append(digits if early else digits[::-1])
        if code == CLEAR:
            self.entries, self.first = 258, True
        elif self.first:
            self.first = False
        else:
            self.entries += 1

    def packed(self) -> bytes:
        bits = "".join(self.bits)
        octets = [bits[i : i + 8].ljust(8, "0") for i in range(0, len(bits), 8)]
        return bytes(int(o if self.order == "big" else o[::-1], 2) for o in octets)


def stream(rng: np.random.Generator, order: str, runs: int, bad: int | None) -> tuple[bytes, bytes]:
    """Random codes that make sense, and what they mean by TIFF 6.0, section 13.

    Args:
      rng: what is random.
      order: of the bits.
      runs: how often the table is cleared.
      bad: before which run a first code comes that is none; None: everywhere is sense.
    """
    out, meaning = Bits(order), bytearray()
    for run in range(runs):
        for _ in range(rng.integers(1, 3)):
            out.put(CLEAR)
        if run == bad:
            out.put(int(rng.integers(258, 512)))
        table = [bytes([i]) for i in range(256)] + [b"", b""]
        before = b""
        for _ in range(int(rng.choice([1, 5, 300, 1200, 3838]))):
            most = len(table) + (1 if before else 0)  # the entry that is just being made, too
            code = int(rng.integers(max(0, most - 600), most) if rng.random() < 0.5 else 300)
            if code in (CLEAR, END) or code >= most or (not before and code > 255):
                code = int(rng.integers(256))
            word = table[code] if code < len(table) else before + before[:1]
            if len(word) > 300:
                code = int(rng.integers(256))
                word = table[code]
            out.put(code)
            meaning += word
            if before:
                table.append(before + word[:1])
            before = word
    out.put(END)
    return out.packed(), bytes(meaning)


@pytest.mark.parametrize("order", ORDERS)
def test_what_makes_sense_is_decoded_and_first_codes_that_are_none_are_refused(order: str) -> None:
    rng = np.random.default_rng(6)
    for _ in range(12):
        runs = int(rng.integers(1, 5))
        data, meaning = stream(rng, order, runs, None)
        lzw.check(data, len(meaning))
        assert imagecodecs.lzw_decode(data, out=len(meaning)) == meaning
        lzw.check(data[: rng.integers(len(data))], len(meaning))
        bad, meaning = stream(rng, order, runs, int(rng.integers(runs)))
        with pytest.raises(Refused, match="makes no sense"):
            lzw.check(bad, len(meaning))


@pytest.mark.parametrize("order", ORDERS)
def test_what_comes_behind_the_pixels_does_not_matter(order: str) -> None:
    out = Bits(order)
    for code in (CLEAR, *range(100), CLEAR, 300, 65, 66):
        out.put(code)
    lzw.check(out.packed(), 100)
    with pytest.raises(Refused):
        lzw.check(out.packed(), 101)


def tiff(
    data: bytes,
    *,
    size: tuple[int, int] = (16, 16),
    compression: int = 5,
    fill_order: int = 1,
    strips: int = 1,
) -> bytes:
    """A grey picture of 8 bits in one strip, or in several that all lie in the same place."""
    height, width = size
    at = 8 + 2 + 12 * 10 + 4
    places = struct.pack(f"<{2 * strips}I", *[at] * strips, *[len(data)] * strips)
    lists = (at, len(data)) if strips == 1 else (at + len(data), at + len(data) + 4 * strips)
    entries = [(256, 1, width), (257, 1, height), (258, 1, 8), (259, 1, compression), (262, 1, 1)]
    entries += [(266, 1, fill_order), (273, strips, lists[0]), (277, 1, 1)]
    entries += [(278, 1, height // strips), (279, strips, lists[1])]
    head = struct.pack("<2sHIH", b"II", 42, 8, len(entries))
    head += b"".join(struct.pack("<HHII", tag, 4, count, value) for tag, count, value in entries)
    return head + bytes(4) + data + places


# As in a process that has run for long, the memory that the decoder gets for its table was used
# before: what stands in it are no addresses.
CRASH = """
import struct, sys
from jaxcolor import image_io
for path in sys.argv[1:]:
    for _ in range(5):
        blocks = [struct.pack("<Q", 16384) * (81_944 // 8) for _ in range(400)]
        kept = blocks[::2]
        del blocks
        try:
            said = f"{image_io.open_photo(path).size}"
        except image_io.PhotoError as error:
            said = str(error)
    print(said)
"""


def test_a_crafted_file_does_not_end_the_process(tmp_path: Path) -> None:
    paths = []
    for order in ORDERS:
        out = Bits(order)
        for code in (CLEAR, 300, *range(255), END):
            out.put(code)
        for fill_order in (1, 2):
            data = out.packed()
            if fill_order == 2:
                data = bytes(int(f"{byte:08b}"[::-1], 2) for byte in data)
            paths.append(tmp_path / f"{order}{fill_order}.tif")
            paths[-1].write_bytes(tiff(data, fill_order=fill_order))
    done = subprocess.run(
        [sys.executable, "-c", CRASH, *map(str, paths)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [f"{p}: damaged: its LZW data makes no sense" for p in paths]


def test_both_orders_of_bytes_are_read() -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (16, 16), np.uint8)
    for order in ORDERS:
        out = Bits(order)
        for code in (CLEAR, *pixels.ravel().tolist(), END):
            out.put(code)
        mirrored = bytes(int(f"{byte:08b}"[::-1], 2) for byte in out.packed())
        for file in (tiff(out.packed()), tiff(mirrored, fill_order=2)):
            np.testing.assert_array_equal(image_io.open_photo(io.BytesIO(file)).pixels, pixels)


def test_clear_codes_without_end_are_refused_in_little_time() -> None:
    out = Bits("big")
    for _ in range(8 * 36):
        out.put(CLEAR)
    clears = out.packed() * 4000  # 1.3 MB
    start = time.process_time()
    with pytest.raises(image_io.PhotoError, match="begins anew too often"):
        image_io.open_photo(io.BytesIO(tiff(clears, size=(1000, 1000))))
    assert time.process_time() - start < 1


@pytest.mark.parametrize("compression", [5, 8])
def test_strips_in_one_place_are_read_to_their_end_only(compression: int) -> None:
    encode = {5: imagecodecs.lzw_encode, 8: zlib.compress}
    data = encode[compression](bytes([9] * 8)) + bytes(4_000_000)
    file = tiff(data, size=(3000, 8), compression=compression, strips=3000)  # 12 GB, taken together
    start = time.process_time()
    photo = image_io.open_photo(io.BytesIO(file))
    assert (photo.size, photo.pixels.min(), photo.pixels.max()) == ((3000, 8), 9, 9)
    assert time.process_time() - start < 3


def test_a_strip_of_no_bytes_is_missing() -> None:
    file = io.BytesIO()
    pixels = np.full((64, 64), 99, np.uint8)
    tifffile.imwrite(file, pixels, compression="zlib", rowsperstrip=16, metadata=None)
    with tifffile.TiffFile(io.BytesIO(file.getvalue())) as found:
        at = found.pages[0].tags[279].valueoffset
    data = bytearray(file.getvalue())
    data[at + 6 : at + 8] = bytes(2)
    photo = image_io.open_photo(io.BytesIO(data))
    assert photo.warnings == ("it is cut short: 25 % of the picture is missing, and grey",)
    assert np.unique(photo.pixels[48:]).tolist() == [128]
    data[at : at + 2] = bytes(2)
    with pytest.raises(image_io.PhotoError, match="strips or tiles are missing"):
        image_io.open_photo(io.BytesIO(data))
