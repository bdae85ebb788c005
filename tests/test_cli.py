"""The command line, as real processes on real files."""

from __future__ import annotations

import gc
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tiny_network
from PIL import Image, ImageOps

import jaxcolor


@pytest.fixture(scope="module")
def params(tiny_file: Path) -> jaxcolor.Params:
    """A network of three layers: the command's words are the same for all."""
    return jaxcolor.load(str(tiny_file))


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
    assert "lying.jpg -> lying.color.jpg" in result.stdout
    assert files(album) == {"lying.jpg", "clear.png", "lying.color.jpg", "clear.color.png"}
    assert all(path.read_bytes() == content for path, content in before.items())

    upright = Image.open(album / "lying.color.jpg")
    assert (upright.size, upright.mode) == ((80, 120), "RGB")
    assert upright.getexif().get(0x0112, 1) == 1
    expected = jaxcolor.colorize(
        jaxcolor.load(),
        ImageOps.exif_transpose(Image.open(album / "lying.jpg")),
    )
    assert np.abs(np.asarray(upright).astype(int) - np.asarray(expected)).mean() < 1

    clear = Image.open(album / "clear.color.png")
    assert clear.mode == "RGBA"
    np.testing.assert_array_equal(
        clear.getchannel("A"), Image.open(album / "clear.png").getchannel("A")
    )


@pytest.mark.parametrize("suffix", ["tif", "webp"])
def test_a_file_by_name(colorize, album: Path, suffix: str) -> None:
    target = album / f"out.{suffix}"
    result = colorize(album / "lying.jpg", "-o", target)
    assert result.exit_code == 0, result.output
    with Image.open(target) as image:
        assert image.size == (80, 120)
        assert image.format == {"tif": "TIFF", "webp": "WEBP"}[suffix]


def test_controls_reach_the_colours(colorize, album: Path, params: jaxcolor.Params) -> None:
    """Each option gives what the same keyword of `colorize` gives."""
    image = Image.open(album / "clear.png")
    plain = np.asarray(jaxcolor.colorize(params, image)).astype(int)
    for i, options in enumerate(({"saturation": 0.5}, {"refine": 0.0, "size": 96})):
        words = [word for name, value in options.items() for word in (f"--{name}", value)]
        target = album / f"{i}.png"
        result = colorize(*words, album / "clear.png", "-o", target)
        assert result.exit_code == 0, result.output
        expected = np.asarray(jaxcolor.colorize(params, image, **options)).astype(int)
        assert np.abs(np.asarray(Image.open(target)) - expected).max() <= 1
        assert np.abs(plain - expected).max() > 3


def test_hints_reach_the_colours(colorize, album: Path, params: jaxcolor.Params) -> None:
    photo = np.asarray(Image.open(album / "clear.png").convert("L"))
    some = [jaxcolor.Hint(30, 25, "#a03020"), jaxcolor.Hint(0.1, 0.9, "navy", 0.3)]

    def made(*arguments: object) -> np.ndarray:
        result = colorize(album / "clear.png", "-o", album / "out.png", *arguments)
        assert result.exit_code == 0, result.output
        said.append(result.output)
        return np.asarray(Image.open(album / "out.png").convert("RGB"))

    said: list[str] = []
    expected = jaxcolor.colorize(params, photo, hints=some)
    words = ("--hint", "30,25=#a03020", "--hint", "0.1,0.9,0.3=navy")
    np.testing.assert_array_equal(made(*words), expected)
    assert "out.png (2 hints)" in said[-1]
    (album / "some.json").write_text(jaxcolor.hints.to_json(some[1:]))
    both = ("--hint", "30,25=#a03020", "--hints", album / "some.json")
    np.testing.assert_array_equal(made(*both), expected)
    (album / "clear.hints.json").write_text(jaxcolor.hints.to_json(some[:1]))
    np.testing.assert_array_equal(
        made("--report", album / "r.json"), jaxcolor.colorize(params, photo, hints=some[:1])
    )
    assert f"out.png (1 hint of {album / 'clear.hints.json'})" in said[-1]
    (line,) = json.loads((album / "r.json").read_text())
    assert (line["hints"], line["hints_file"]) == (1, str(album / "clear.hints.json"))
    np.testing.assert_array_equal(made(*words), expected)  # in the place of the file beside it
    layer = Image.new("RGBA", (60, 50), (0, 0, 0, 0))
    layer.putpixel((30, 25), (160, 48, 32, 255))
    layer.save(album / "layer.png")
    np.testing.assert_array_equal(
        made("--hints", album / "layer.png"), jaxcolor.colorize(params, photo, hints=some[:1])
    )


def test_hints_beside_the_photos_of_an_album(
    colorize, album: Path, params: jaxcolor.Params
) -> None:
    hint = jaxcolor.Hint(0.5, 0.5, "#a03020")
    (album / "lying.jpg.hints.json").write_text(jaxcolor.hints.to_json([hint]))
    result = colorize(album, "-o", album / "out", "--format", "png")
    assert result.exit_code == 0, result.output
    assert "lying.png (1 hint of " in result.output
    assert "clear.png (" not in result.output
    upright = np.asarray(ImageOps.exif_transpose(Image.open(album / "lying.jpg")))
    (expected,) = jaxcolor.colorize_batch(params, [upright], hints=[[hint]])
    got = np.asarray(Image.open(album / "out" / "lying.png")).astype(int)
    np.testing.assert_array_equal(got, expected)
    (plain,) = jaxcolor.colorize_batch(params, [upright])
    assert np.abs(got - plain).max() > 30


def test_a_folder_is_made(colorize, album: Path) -> None:
    out = album / "new" / "colour"
    result = colorize(*sorted(album.glob("*.*")), "-o", out)
    assert result.exit_code == 0, result.output
    assert files(out) == {"lying.jpg", "clear.png"}
    result = colorize(album / "lying.jpg", "-o", f"{album}/other/")
    assert result.exit_code == 0, result.output
    assert files(album / "other") == {"lying.jpg"}


def test_one_bad_photo_of_ten(run, album: Path) -> None:
    good = [album / f"{i}.jpg" for i in range(9)]
    for path in good:
        path.write_bytes((album / "lying.jpg").read_bytes())
    bad = album / "bad.jpg"
    bad.write_bytes((album / "lying.jpg").read_bytes()[:500])
    out = album / "out"
    result = run("-m", "jaxcolor", "colorize", *good[:4], bad, *good[4:], "-o", out)
    assert result.returncode == 1
    assert files(out) == {f"{i}.jpg" for i in range(9)}
    lines = [line for line in result.stderr.splitlines() if "bad.jpg" in line]
    assert len(lines) == 1
    assert "damaged or cut short" in lines[0]
    assert "Traceback" not in result.stderr


def test_a_photo_that_is_cut_short_is_done_with_a_word(colorize, album: Path) -> None:
    (album / "cut.jpg").write_bytes((album / "lying.jpg").read_bytes()[:600])
    result = colorize(album / "cut.jpg", "--report", album / "report.json")
    assert result.exit_code == 0, result.output
    word = "it is cut short: 41 % of the picture is missing, and grey"
    assert result.stderr == f"jaxcolor: {album / 'cut.jpg'}: {word}\n"
    (line,) = json.loads((album / "report.json").read_text())
    assert (line["status"], line["warnings"]) == ("done", [word])
    with Image.open(album / "cut.color.jpg") as image:
        assert image.size == (80, 120)


MISTAKES = {
    ("missing.jpg",): "missing.jpg: no such file",
    ("text.jpg",): "text.jpg: not a picture",
    ("void.jpg",): "void.jpg: empty, not a picture",
    ("cut.jpg",): "cut.jpg: damaged or cut short",
    ("empty",): "empty: no photo in it",
    ("moving.gif",): "moving.gif: holds several pictures: choose one (--frame 0",
    ("moving.gif", "--frame", "2"): "moving.gif: has no picture with the number 2",
    ("lying.jpg", "--max-pixels", "9000"): "lying.jpg: too large: 120x80 pixels",
    ("lying.jpg", "-o", "out.xyz"): "out.xyz: the suffix says the format",
    ("lying.jpg", "-o", "out"): "out: the suffix says the format",
    ("lying.jpg", "-o", "lying.jpg"): "lying.jpg: is one of the photos",
    ("lying.jpg", "-o", "nowhere/out.png"): "nowhere/out.png: cannot be written",
    ("lying.jpg", "clear.png", "-o", "out.png"): "out.png: for several photos",
    ("lying.jpg", "clear.png", "-o", "notes.txt"): "notes.txt: for several photos",
    ("lying.jpg", "sub/lying.jpg", "-o", "out"): "would both become",
    ("clear.png", "-o", "out.jpg"): "JPEG cannot hold",
    ("lying.jpg", "--format", "doc"): "doc: no format that can be written",
    ("lying.jpg", "--saturation", "nan"): "nan is not a number to work with",
    ("lying.jpg", "--hint", "9,9"): "'--hint': \"9,9\": a hint is X,Y=COLOUR or X,Y,RADIUS=COLOUR",
    ("lying.jpg", "--hint", "9,9=rad"): 'colour: "rad" is none; write #RRGGBB',
    ("lying.jpg", "--hint", "80,9=red"): "lying.jpg: hint 1: x: 80 is outside of the photo",
    ("lying.jpg", "clear.png", "--hint", "9,9=red"): "--hint and --hints are for one photo",
    ("lying.jpg", "--hints", "notes.txt"): "notes.txt: no JSON",
    ("lying.jpg", "--hints", "layer.png"): "layer.png: it has 60x50 pixels, and the photo, upright",
    ("sub/lying.jpg",): "sub/lying.jpg: sub/lying.hints.json: hint 1: y is missing",
    ("lying.jpg", "--report", "nowhere/r.json"): "nowhere/r.json: cannot be written",
    ("lying.jpg", "--report", "lying.color.jpg"): "lying.color.jpg: is a photo, or becomes one",
}
MISTAKES_OF_A_PROCESS = {
    ("lying.jpg", "--size", "100"): "size: 100 is not a positive multiple of 32, which this network"
    " needs: 96 and 128 are",
    ("lying.jpg", "--weights", "nothing"): "nothing: no such weights file",
    ("lying.jpg", "--weights", "notes.txt"): "notes.txt: not a safetensors file",
}


@pytest.fixture
def odd_album(album: Path) -> Path:
    """The album with files in it that cannot be colorized."""
    (album / "text.jpg").write_text("this is no picture")
    (album / "cut.jpg").write_bytes((album / "lying.jpg").read_bytes()[:500])
    (album / "void.jpg").touch()
    (album / "notes.txt").write_text("not weights")
    (album / "sub").mkdir()
    (album / "sub" / "lying.jpg").write_bytes((album / "lying.jpg").read_bytes())
    (album / "sub" / "lying.hints.json").write_text('[{"x": 1}]')
    Image.open(album / "clear.png").save(album / "layer.png")
    (album / "empty").mkdir()
    frames = [Image.new("L", (8, 8), shade) for shade in (0, 255)]
    frames[0].save(album / "moving.gif", save_all=True, append_images=frames[1:])
    return album


def assert_one_line(arguments: tuple[str, ...], stderr: str, stdout: str, words: str) -> None:
    told = [line for line in stderr.splitlines() if words in line]
    assert len(told) == 1, (arguments, stderr)
    assert "Traceback" not in stderr
    assert not stdout


@pytest.mark.parametrize("arguments", MISTAKES_OF_A_PROCESS)
def test_a_mistake_is_one_line_and_exit_code_two(
    run, odd_album: Path, arguments: tuple[str, ...]
) -> None:
    before = files(odd_album)
    result = run("-m", "jaxcolor", "colorize", *arguments, cwd=odd_album)
    assert result.returncode == 2, result.stderr
    assert_one_line(arguments, result.stderr, result.stdout, MISTAKES_OF_A_PROCESS[arguments])
    assert files(odd_album) == before


def test_so_is_every_other(colorize, odd_album: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same within this process."""
    monkeypatch.chdir(odd_album)
    before = files(odd_album)
    for arguments, words in MISTAKES.items():
        result = colorize(*arguments)
        assert result.exit_code == 2, (arguments, result.output)
        assert_one_line(arguments, result.stderr, result.stdout, words)
    assert files(odd_album) == before


@pytest.mark.skipif(sys.platform == "win32", reason="permissions of POSIX")
def test_a_folder_that_cannot_be_written(colorize, album: Path) -> None:
    # Root may write everywhere but into the kernel's own folders.
    locked = album / "locked"
    locked.mkdir(mode=0o500)
    folder = Path("/proc") if os.getuid() == 0 else locked
    result = colorize(album / "lying.jpg", "-o", folder / "out.png")
    assert result.exit_code == 2
    assert f"{folder / 'out.png'}: cannot be written" in result.stderr
    assert not list(locked.iterdir())


def test_models_and_version(run) -> None:
    result = run("-m", "jaxcolor", "models")
    assert [line.split("\t")[0] for line in result.stdout.splitlines()] == list(
        jaxcolor.available_models()
    )
    assert run("-m", "jaxcolor", "--version").stdout.split()[-1] == jaxcolor.__version__


def test_garbage_is_collected_again_after_a_command(colorize, album: Path) -> None:
    assert gc.isenabled()
    for wrong in ({"--format": "docx"}, {"-o": album / "lying.jpg"}):
        words = [word for pair in wrong.items() for word in pair]
        assert colorize(album / "clear.png", *words).exit_code == 2
        assert gc.isenabled()


def test_half_a_compiled_program_is_replaced_in_silence(
    tmp_path: Path, photos: dict[str, np.ndarray], tiny_file: Path
) -> None:
    """A full disk or a crash leaves it."""
    Image.fromarray(photos["coffee"]).save(tmp_path / "a.png")
    command = [sys.executable, tiny_network.COMMAND, "colorize"]
    words = [*command, tmp_path / "a.png", "--weights", tiny_file, "--overwrite"]
    environment = {**os.environ, "JAXCOLOR_CACHE": str(tmp_path / "cache")}
    cache = tmp_path / "cache" / "xla"

    def files() -> dict[str, float]:
        done = subprocess.run(words, env=environment, capture_output=True, text=True)
        assert (done.returncode, done.stderr) == (0, "")
        found = (entry for entry in cache.iterdir() if entry.suffix != ".lock")  # held to compile
        return {entry.name: entry.stat().st_mtime_ns for entry in found}

    whole = files()
    assert files() == whole  # nothing was compiled
    largest = max(cache.glob("*.program"), key=lambda entry: entry.stat().st_size)
    largest.write_bytes(largest.read_bytes()[:1000])
    healed = files()
    assert {name for name in whole if whole[name] != healed[name]} == {largest.name}
    assert largest.stat().st_size > 1000
