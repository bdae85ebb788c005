"""The command line, as real processes on real files."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import jaxcolor


@pytest.fixture
def album(tmp_path: Path, photos: dict[str, np.ndarray]) -> Path:
    """Two grey photos: one JPEG lying on its side, one PNG with transparency."""
    folder = tmp_path / "album"
    folder.mkdir()
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned: 120 wide on file, 80 wide upright
    lying = Image.fromarray(photos["coffee"][:80, :120]).convert("L")
    lying.save(folder / "lying.jpg", exif=exif)
    clear = Image.fromarray(photos["chelsea"][:50, :60]).convert("L").convert("LA")
    clear.putalpha(Image.linear_gradient("L").resize((60, 50)))
    clear.save(folder / "clear.png")
    return folder


def files(folder: Path) -> set[str]:
    return {str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file()}


def test_photos_become_colour_beside_themselves(run, album: Path) -> None:
    before = {p: p.read_bytes() for p in album.iterdir()}
    result = run("-m", "jaxcolor", "colorize", "lying.jpg", "clear.png", cwd=album)
    assert result.returncode == 0, result.stderr
    assert "lying.jpg -> lying.color.png" in result.stdout
    assert files(album) == {"lying.jpg", "clear.png", "lying.color.png", "clear.color.png"}
    assert all(path.read_bytes() == content for path, content in before.items())

    upright = Image.open(album / "lying.color.png")
    assert (upright.size, upright.mode) == ((80, 120), "RGB")
    assert upright.getexif().get(0x0112, 1) == 1
    expected = jaxcolor.colorize(
        jaxcolor.load(),
        Image.open(album / "lying.jpg").transpose(Image.Transpose.ROTATE_270),
    )
    assert np.abs(np.asarray(upright).astype(int) - np.asarray(expected)).max() <= 1

    clear = Image.open(album / "clear.color.png")
    assert clear.mode == "RGBA"
    np.testing.assert_array_equal(
        clear.getchannel("A"), Image.open(album / "clear.png").getchannel("A")
    )


@pytest.mark.parametrize("suffix", ["png", "tif", "jpg", "webp"])
def test_a_file_by_name(run, album: Path, suffix: str) -> None:
    target = album / f"out.{suffix}"
    result = run("-m", "jaxcolor", "colorize", album / "lying.jpg", "-o", target)
    assert result.returncode == 0, result.stderr
    with Image.open(target) as image:
        assert image.size == (80, 120)
        formats = {"tif": "TIFF", "jpg": "JPEG"}
        assert image.format == formats.get(suffix, suffix.upper())


def test_a_folder_is_made(run, album: Path) -> None:
    out = album / "new" / "colour"
    result = run("-m", "jaxcolor", "colorize", *sorted(album.glob("*.*")), "-o", out)
    assert result.returncode == 0, result.stderr
    assert files(out) == {"lying.color.png", "clear.color.png"}
    again = run("-m", "jaxcolor", "colorize", album / "lying.jpg", "-o", f"{album}/other/")
    assert again.returncode == 0, again.stderr
    assert files(album / "other") == {"lying.color.png"}


def test_one_bad_photo_of_ten(run, album: Path) -> None:
    good = [album / f"{i}.jpg" for i in range(9)]
    for path in good:
        path.write_bytes((album / "lying.jpg").read_bytes())
    bad = album / "bad.jpg"
    bad.write_bytes((album / "lying.jpg").read_bytes()[:600])
    out = album / "out"
    result = run("-m", "jaxcolor", "colorize", *good[:4], bad, *good[4:], "-o", out)
    assert result.returncode == 1
    assert files(out) == {f"{i}.color.png" for i in range(9)}
    lines = [line for line in result.stderr.splitlines() if "bad.jpg" in line]
    assert len(lines) == 1
    assert "damaged or cut short" in lines[0]
    assert "Traceback" not in result.stderr


def test_every_mistake_is_one_line_and_exit_code_two(run, album: Path) -> None:
    (album / "text.jpg").write_text("this is no picture")
    (album / "cut.jpg").write_bytes((album / "lying.jpg").read_bytes()[:600])
    (album / "notes.txt").write_text("not weights")
    (album / "sub").mkdir()
    (album / "sub" / "lying.jpg").write_bytes((album / "lying.jpg").read_bytes())
    before = files(album)
    mistakes = {
        ("missing.jpg",): "missing.jpg: no such file",
        ("text.jpg",): "text.jpg: not a picture",
        ("cut.jpg",): "cut.jpg: damaged or cut short",
        ("sub",): "sub: a folder",
        ("lying.jpg", "-o", "out.xyz"): "out.xyz: the suffix says the format",
        ("lying.jpg", "-o", "out"): "out: the suffix says the format",
        ("lying.jpg", "-o", "lying.jpg"): "lying.jpg: is one of the photos",
        ("lying.jpg", "-o", "nowhere/out.png"): "nowhere/out.png: cannot be written",
        ("lying.jpg", "clear.png", "-o", "out.png"): "out.png: for several photos",
        ("lying.jpg", "clear.png", "-o", "notes.txt"): "notes.txt: cannot be made",
        ("lying.jpg", "sub/lying.jpg", "-o", "sub"): "would both become",
        ("clear.png", "-o", "out.jpg"): "JPEG cannot hold",
        ("lying.jpg", "--weights", "nothing"): "nothing: no such weights file",
        ("lying.jpg", "--weights", "notes.txt"): "notes.txt: not a safetensors file",
    }
    for arguments, words in mistakes.items():
        result = run("-m", "jaxcolor", "colorize", *arguments, cwd=album)
        assert result.returncode == 2, (arguments, result.stderr)
        assert words in result.stderr, (arguments, result.stderr)
        told = [line for line in result.stderr.splitlines() if words.split(":")[0] in line]
        assert len(told) == 1, result.stderr
        assert "Traceback" not in result.stderr
        assert not result.stdout
    assert files(album) == before


def test_a_folder_that_cannot_be_written(run, album: Path) -> None:
    # Root may write everywhere but into the kernel's own folders.
    locked = album / "locked"
    locked.mkdir(mode=0o500)
    folder = Path("/proc") if os.getuid() == 0 else locked
    result = run("-m", "jaxcolor", "colorize", album / "lying.jpg", "-o", folder / "out.png")
    assert result.returncode == 2
    assert f"{folder / 'out.png'}: cannot be written" in result.stderr
    assert not list(locked.iterdir())


def test_models_and_version(run) -> None:
    result = run("-m", "jaxcolor", "models")
    assert [line.split("\t")[0] for line in result.stdout.splitlines()] == list(
        jaxcolor.available_models()
    )
    assert run("-m", "jaxcolor", "--version").stdout.split()[-1] == jaxcolor.__version__
