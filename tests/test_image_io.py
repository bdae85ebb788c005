"""Photo files: read upright, written whole."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from jaxcolor import image_io


def picture() -> Image.Image:
    ramp = np.arange(40 * 60, dtype=np.uint32).reshape(40, 60) % 251
    return Image.fromarray(np.stack([ramp, ramp[::-1], ramp[:, ::-1]], -1).astype(np.uint8))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_is_applied_and_gone(tmp_path: Path, orientation: int) -> None:
    upright = picture()
    # What a camera held in this way stores: the inverse of what the flag asks for.
    turned = {
        1: [],
        2: [Image.Transpose.FLIP_LEFT_RIGHT],
        3: [Image.Transpose.ROTATE_180],
        4: [Image.Transpose.FLIP_TOP_BOTTOM],
        5: [Image.Transpose.TRANSPOSE],
        6: [Image.Transpose.ROTATE_90],
        7: [Image.Transpose.TRANSVERSE],
        8: [Image.Transpose.ROTATE_270],
    }[orientation]
    stored = upright
    for method in turned:
        stored = stored.transpose(method)
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored.save(tmp_path / "photo.png", exif=exif)
    got = image_io.read(tmp_path / "photo.png")
    np.testing.assert_array_equal(got, upright)
    assert got.getexif().get(0x0112, 1) == 1


@pytest.mark.parametrize("suffix", [".png", ".tif", ".TIFF", ".bmp"])
def test_lossless_formats_round_trip(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"photo{suffix}"
    image_io.write(path, picture())
    np.testing.assert_array_equal(image_io.read(path), picture())
    with Image.open(path) as image:
        assert image.format == {".png": "PNG", ".bmp": "BMP"}.get(suffix, "TIFF")


@pytest.mark.parametrize("suffix", [".jpg", ".webp"])
def test_lossy_formats_keep_colour(tmp_path: Path, suffix: str) -> None:
    smooth = picture().resize((6, 4)).resize((60, 40), Image.Resampling.BICUBIC)
    image_io.write(tmp_path / f"photo{suffix}", smooth)
    got = np.asarray(image_io.read(tmp_path / f"photo{suffix}")).astype(int)
    assert np.abs(got - np.asarray(smooth)).mean() < 3


def test_transparency_round_trips_or_is_refused(tmp_path: Path) -> None:
    image = picture()
    image.putalpha(77)
    for suffix in (".png", ".tif", ".webp"):
        image_io.write(tmp_path / f"a{suffix}", image)
        assert np.all(np.asarray(image_io.read(tmp_path / f"a{suffix}"))[..., 3] == 77)
    with pytest.raises(image_io.PhotoError, match=r"a\.jpg: JPEG cannot hold"):
        image_io.write(tmp_path / "a.jpg", image)
    assert not (tmp_path / "a.jpg").exists()


def test_sixteen_bits_are_not_clipped(tmp_path: Path) -> None:
    deep = (np.arange(256, dtype=np.uint16).reshape(16, 16) * 257)[..., :]
    for suffix in (".png", ".tif"):
        Image.fromarray(deep).save(tmp_path / f"deep{suffix}")
        pixels, alpha = image_io.to_pixels(image_io.read(tmp_path / f"deep{suffix}"))
        assert pixels.dtype == np.uint16
        assert alpha is None
        np.testing.assert_array_equal(pixels, deep)
    rgb = np.repeat(deep[..., None], 3, axis=-1)
    np.testing.assert_array_equal(image_io.from_pixels(rgb, None), rgb // 257)


def test_a_transparent_palette(tmp_path: Path) -> None:
    image = picture().convert("P")
    image.info["transparency"] = 3
    pixels, alpha = image_io.to_pixels(image)
    assert pixels.shape == (40, 60, 3)
    assert alpha is not None
    np.testing.assert_array_equal(alpha == 0, np.asarray(image) == 3)


def test_what_cannot_be_read_is_named(tmp_path: Path) -> None:
    picture().save(tmp_path / "whole.jpg")
    (tmp_path / "cut.jpg").write_bytes((tmp_path / "whole.jpg").read_bytes()[:700])
    (tmp_path / "text.jpg").write_text("no picture")
    (tmp_path / "empty.png").write_bytes(b"")
    for name, reason in {
        "cut.jpg": "damaged or cut short",
        "text.jpg": "not a picture",
        "empty.png": "not a picture",
        "missing.jpg": "no such file",
        ".": "a folder",
    }.items():
        with pytest.raises(image_io.PhotoError, match=reason) as caught:
            image_io.read(tmp_path / name)
        assert str(caught.value).startswith(str(tmp_path / name))
        assert "\n" not in str(caught.value)


def test_a_decompression_bomb_is_refused(tmp_path: Path, monkeypatch) -> None:
    picture().save(tmp_path / "bomb.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    with pytest.raises(image_io.PhotoError, match=r"bomb\.png: too large"):
        image_io.read(tmp_path / "bomb.png")


def test_a_failed_write_leaves_what_was_there(tmp_path: Path, monkeypatch) -> None:
    path = tmp_path / "photo.png"
    path.write_bytes(b"precious")

    def fail(self, file, *_args, **_options) -> None:
        file.write(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Image.Image, "save", fail)
    with pytest.raises(image_io.PhotoError, match="No space left"):
        image_io.write(path, picture())
    assert path.read_bytes() == b"precious"
    assert list(tmp_path.iterdir()) == [path]


def test_unknown_suffixes_are_refused(tmp_path: Path) -> None:
    for name in ("photo", "photo.xyz"):
        with pytest.raises(image_io.PhotoError, match="suffix"):
            image_io.write(tmp_path / name, picture())
    assert not list(tmp_path.iterdir())
