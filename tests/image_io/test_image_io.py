"""Photos in and out: names, streams, what is refused, and how much memory it takes."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from jaxcolor import image_io

GREY = (np.arange(40 * 60).reshape(40, 60) % 251).astype(np.uint8)
RGB = np.stack([GREY, GREY[::-1], GREY[:, ::-1]], axis=-1)
PHOTO = image_io.Photo(GREY)


def test_what_cannot_be_read_is_named(tmp_path: Path) -> None:
    Image.fromarray(RGB).save(tmp_path / "whole.jpg")
    (tmp_path / "cut.jpg").write_bytes((tmp_path / "whole.jpg").read_bytes()[:700])
    (tmp_path / "text.jpg").write_text("no picture")
    (tmp_path / "empty.png").write_bytes(b"")
    (tmp_path / "loop.jpg").symlink_to(tmp_path / "loop.jpg")
    for name, reason in {
        "cut.jpg": "damaged or cut short",
        "text.jpg": "not a picture",
        "empty.png": "not a picture",
        "missing.jpg": "no such file",
        ".": "a folder",
        "loop.jpg": r"cannot be read \(Too many levels of symbolic links",
    }.items():
        with pytest.raises(image_io.PhotoError, match=reason) as caught:
            image_io.open_photo(tmp_path / name)
        assert str(caught.value).startswith(str(tmp_path / name))
        assert "\n" not in str(caught.value)


def test_the_content_says_the_format_and_not_the_name(tmp_path: Path) -> None:
    Image.fromarray(RGB).save(tmp_path / "photo.png")
    (tmp_path / "photo.png").rename(tmp_path / "photo.jpg")
    photo = image_io.open_photo(tmp_path / "photo.jpg")
    assert photo.metadata.format == "PNG"
    np.testing.assert_array_equal(photo.pixels, RGB)


def test_heic_without_its_package_says_what_to_install() -> None:
    import pillow_heif

    file = io.BytesIO()
    pillow_heif.from_pillow(Image.fromarray(RGB)).save(file)
    code = """
import sys
sys.modules["pillow_heif"] = None
from jaxcolor import image_io
try:
    image_io.open_photo(sys.stdin.buffer)
except image_io.PhotoError as error:
    print(error)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], input=file.getvalue(), capture_output=True, check=True
    )
    assert done.stdout.strip() == (
        b"<stdin>: HEIC needs one more package: pip install 'jaxcolor[heif]'"
    )
    file.seek(0)
    assert image_io.open_photo(file).size == (40, 60)


def test_pipes(tmp_path: Path) -> None:
    """`-` of the command line: neither end can be sought in."""
    code = """
import sys
from jaxcolor import image_io
photo = image_io.open_photo(sys.stdin.buffer)
image_io.save_photo(sys.stdout.buffer, photo, photo.pixels)
"""
    for suffix in ("png", "tif"):
        file = io.BytesIO()
        image_io.save_photo(file, PHOTO, RGB.astype(np.uint16) * 257, format=suffix)
        with subprocess.Popen(
            [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        ) as process:
            out, _ = process.communicate(file.getvalue())
        assert process.returncode == 0
        assert out == file.getvalue()


def test_open_files_take_the_format_of_the_photo() -> None:
    for name in ("JPEG", "PNG", "TIFF", "WEBP", "BMP", "AVIF"):
        file = io.BytesIO()
        photo = image_io.Photo(GREY, metadata=image_io.Metadata(format=name))
        image_io.save_photo(file, photo, RGB)
        with Image.open(file) as image:
            assert image.format == name
    for name in ("GIF", "HEIF", "PPM"):
        file = io.BytesIO()
        image_io.save_photo(file, image_io.Photo(GREY, metadata=image_io.Metadata(name)), RGB)
        with Image.open(file) as image:
            assert image.format == "PNG"


@pytest.mark.parametrize("suffix", image_io.SUFFIXES)
def test_the_suffix_says_the_format(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"photo{suffix.upper()}"
    image_io.save_photo(path, PHOTO, RGB)
    with Image.open(path) as image:
        assert image.format == image_io.format_of(path).name
        assert image.size == (60, 40)
    assert list(tmp_path.iterdir()) == [path]


def test_unknown_formats_are_refused(tmp_path: Path) -> None:
    for name in ("photo", "photo.xyz"):
        with pytest.raises(image_io.PhotoError, match="the suffix says the format") as caught:
            image_io.save_photo(tmp_path / name, PHOTO, RGB)
        assert str(caught.value).startswith(str(tmp_path / name))
    with pytest.raises(image_io.PhotoError, match="gif: no format that can be written"):
        image_io.save_photo(tmp_path / "photo.png", PHOTO, RGB, format="gif")
    assert not list(tmp_path.iterdir())


def test_names_of_results() -> None:
    for photo, format, suffix in (
        ("a.jpg", None, ".jpg"),
        ("a.JPEG", None, ".JPEG"),
        ("a.TIF", None, ".TIF"),
        ("a.webp", None, ".webp"),
        ("a.gif", None, ".png"),
        ("a.HEIC", None, ".jpg"),
        ("a", None, ".png"),
        ("a.JPG", "jpeg", ".JPG"),
        ("a.JPG", "png", ".png"),
        ("a.tiff", "tif", ".tiff"),
        ("a.png", "jpeg", ".jpg"),
        ("a.gif", "TIFF", ".tif"),
    ):
        assert image_io.result_suffix(photo, format) == suffix
    with pytest.raises(ValueError, match="gif: no format"):
        image_io.result_suffix("a.jpg", "gif")
    assert set(image_io.SUFFIXES) < set(image_io.PHOTO_SUFFIXES)
    assert [image_io.named(name).suffixes[0] for name in image_io.NAMES] == [
        f".{name}" for name in image_io.NAMES
    ]


def test_what_a_format_cannot_hold_is_known_before_the_work() -> None:
    wide = image_io.Photo(np.zeros((1, 70_000), np.uint8))
    for format in ("jpg", "webp", "avif"):
        with pytest.raises(image_io.PhotoError, match=r"at most \d+ pixels a side"):
            image_io.check_writable("a.out", wide, format=format)
    for format in ("png", "tif", "bmp"):
        image_io.check_writable("a.out", wide, format=format)
        file = io.BytesIO()
        image_io.save_photo(file, wide, np.zeros((1, 70_000, 3), np.uint8), format=format)
        assert image_io.open_photo(file).size == (1, 70_000)


def test_what_would_take_too_much_memory_is_refused_before_the_work() -> None:
    def photo(pixels: int) -> image_io.Photo:
        return image_io.Photo(np.broadcast_to(np.uint8(0), (8_000, pixels // 8_000)))  # no memory

    for format, most in (("webp", 50_000_000), ("avif", 40_000_000)):
        image_io.check_writable("a.out", photo(most), format=format)
        with pytest.raises(image_io.PhotoError, match=rf"a\.out: too large .* {most:,}.*\.png$"):
            image_io.save_photo("a.out", photo(most + 8_000), (), format=format)
    for format in ("png", "tif", "jpg", "bmp"):
        image_io.check_writable("a.out", photo(200_000_000), format=format)


@pytest.mark.parametrize("suffix", [".png", ".tif", ".jpg"])
def test_a_failed_write_leaves_what_was_there(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"photo{suffix}"
    path.write_bytes(b"precious")

    def strips(error: Exception):
        yield RGB[:20]
        raise error

    with pytest.raises(image_io.PhotoError, match=r"cannot be written \(No space left"):
        image_io.save_photo(path, PHOTO, strips(OSError(28, "No space left on device")))
    with pytest.raises(KeyboardInterrupt):
        image_io.save_photo(path, PHOTO, strips(KeyboardInterrupt()))  # type: ignore[arg-type]
    for wrong in (RGB[:39], RGB[:, :59], RGB[..., :2], np.concatenate([RGB, RGB]), RGB[:0]):
        with pytest.raises(ValueError, match="rows"):
            image_io.save_photo(path, PHOTO, wrong)
    with pytest.raises(image_io.PhotoError, match="cannot be written"):
        image_io.save_photo(tmp_path / "nowhere" / "photo.png", PHOTO, RGB)
    assert path.read_bytes() == b"precious"
    assert list(tmp_path.iterdir()) == [path]


def test_the_photo_itself_is_not_touched(tmp_path: Path) -> None:
    path = tmp_path / "photo.tif"
    tifffile.imwrite(path, GREY, photometric="minisblack")
    os.utime(path, (1000, 1000))
    path.chmod(0o444)
    before = path.read_bytes()
    image_io.open_photo(path)
    assert path.read_bytes() == before
    assert path.stat().st_mtime == 1000


@pytest.mark.parametrize("dtype", ["u1", "u2", "f4"])
def test_depths(dtype: str) -> None:
    """16 bits where the format and the colours have more than 8; rounded to the nearest."""
    rgb = RGB if dtype == "u1" else (RGB.astype(np.uint32) * 263 % 65536).astype(np.uint16)
    exact = rgb / np.iinfo(rgb.dtype).max
    rgb = exact.astype(np.float32) if dtype == "f4" else rgb
    for format, deep in (("png", True), ("tif", True), ("bmp", False), ("webp", False)):
        file = io.BytesIO()
        image_io.save_photo(file, PHOTO, rgb, format=format)
        got = image_io.open_photo(file).pixels
        top = 65535 if deep and dtype != "u1" else 255
        assert got.dtype == (np.uint16 if top > 255 else np.uint8)
        np.testing.assert_array_equal(got, np.rint(exact * top))


def test_threads_do_not_disturb_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    files = []
    for i in range(24):
        file = io.BytesIO()
        Image.fromarray(np.roll(RGB, i, axis=0)).save(file, ("PNG", "BMP", "TIFF", "GIF")[i % 4])
        files.append(file.getvalue())
    alone = [image_io.open_photo(io.BytesIO(data)).pixels for data in files]
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(lambda d: image_io.open_photo(io.BytesIO(d)).pixels, files * 4))
    for one, other in zip(alone * 4, together, strict=True):
        np.testing.assert_array_equal(one, other)
    assert Image.MAX_IMAGE_PIXELS == 100


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_a_picture_is_held_once(tmp_path: Path, suffix: str) -> None:
    """Reading takes the pixels' memory and little more, writing in strips next to none."""
    side, rows = 3000, 200
    source = tmp_path / f"in{suffix}"
    pixels = np.random.default_rng(0).integers(0, 300, (side, side), np.uint16) * np.uint16(200)
    if suffix == ".tif":
        tifffile.imwrite(source, pixels, photometric="minisblack", compression="lzw")
    else:
        Image.fromarray(pixels).save(source, compress_level=1)
    tracemalloc.start()
    photo = image_io.open_photo(source)
    _, peak = tracemalloc.get_traced_memory()
    np.testing.assert_array_equal(photo.pixels, pixels)
    assert peak < 1.5 * pixels.nbytes + 30e6
    tracemalloc.reset_peak()
    before, _ = tracemalloc.get_traced_memory()
    strips = (np.stack([pixels[top : top + rows]] * 3, axis=-1) for top in range(0, side, rows))
    image_io.save_photo(tmp_path / f"out{suffix}", photo, strips)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak - before < 45e6  # the result has 54 MB
