"""A film in, a film out: what must stay stays, and colours hold."""

from __future__ import annotations

import os
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import av
import click.testing
import clips
import numpy as np
import pytest
import tiny_network
from patience import HANG, until

import jaxcolor
from jaxcolor import hints
from jaxcolor.cli import main
from jaxcolor.film import reading, run
from jaxcolor.film.reading import FilmError

LONG = os.environ.get("JAXCOLOR_FILM") == "long"


@pytest.fixture(scope="module")
def params() -> jaxcolor.Params:
    """A tiny network; its colours are none that a photo has, and it does not matter."""
    return jaxcolor.Params(*tiny_network.make(64))


def colorized(
    params: jaxcolor.Params, source: Path, target: Path, **wish: object
) -> tuple[Path, list[str]]:
    told: list[str] = []
    wished = run.Wish(**{"codec": "ffv1", **wish})  # type: ignore[arg-type]
    run.colorize(params, reading.probed(source), target, wished, tell=told.append)
    return target, told


# -- luma ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("bits", "space", "full"),
    [(8, 1, False), (8, 6, True), (10, 1, True), (10, 6, False)],
)
def test_luma_and_what_its_numbers_mean_stay(
    tmp_path: Path, params: jaxcolor.Params, bits: int, space: int, full: bool
) -> None:
    lumas = [np.clip(luma, 3, 252) for luma in clips.pan(3)]
    if bits == 10:
        lumas = [luma.astype(np.uint16) * 4 + 1 for luma in lumas]
    format = "yuv420p" if bits == 8 else "yuv420p10le"
    source = clips.save(tmp_path / "a.mkv", lumas, format=format, space=space, full=full)
    for codec, options in (("ffv1", {}), ("h264", {"crf": 0})):
        target, _ = colorized(params, source, tmp_path / f"{codec}.mkv", codec=codec, **options)
        for luma, there in zip(lumas, clips.lumas_of(target), strict=True):
            np.testing.assert_array_equal(there, luma)
        with av.open(str(target)) as film:
            (frame, *_) = film.decode(video=0)
            assert frame.format.name.replace("yuvj", "yuv") == format
            assert (frame.colorspace, frame.color_range) == (space, 2 if full else 1)
        chroma = np.concatenate([p.ravel() for p in clips.planes_of(target)[0][1:]])
        assert (chroma != 1 << (bits - 1)).mean() > 0.5


def test_a_film_of_one_frame_has_the_photo_s_colours(
    tmp_path: Path, params: jaxcolor.Params
) -> None:
    luma = np.clip(clips.ground(0, (96, 128)), 40, 215)
    source = clips.save(tmp_path / "a.mkv", [luma], format="yuv444p", space=1, full=True)
    target, _ = colorized(params, source, tmp_path / "b.mkv")
    y, cb, cr = (plane.astype(np.float64) for plane in clips.planes_of(target)[0])
    red, blue = y + 1.5748 * (cr - 128), y + 1.8556 * (cb - 128)  # BT.709, full range
    green = (y - 0.2126 * red - 0.0722 * blue) / 0.7152
    film = np.stack([red, green, blue], axis=-1) / 255
    photo = jaxcolor.colorize(params, luma)
    ours, theirs = (skimage_ab(rgb) for rgb in (film.clip(0, 1), photo / 255))
    assert np.linalg.norm(theirs, axis=-1).mean() > 3
    distance = np.linalg.norm(ours - theirs, axis=-1)
    print(distance.mean(), np.percentile(distance, 99), np.linalg.norm(theirs, axis=-1).mean())
    assert distance.mean() < 0.7
    assert np.percentile(distance, 99) < 2.5


def skimage_ab(rgb: np.ndarray) -> np.ndarray:
    from skimage.color import rgb2lab

    return rgb2lab(rgb)[..., 1:]


# -- all else --------------------------------------------------------------------------------------


def test_all_else_stays(tmp_path: Path, params: jaxcolor.Params) -> None:
    times = [0, 40, 55, 120, 121, 200, 280]  # in milliseconds: of a variable rate
    chapters = [
        {
            "id": 1,
            "start": 0,
            "end": 100,
            "time_base": Fraction(1, 1000),
            "metadata": {"title": "A"},
        },
        {
            "id": 2,
            "start": 100,
            "end": 280,
            "time_base": Fraction(1, 1000),
            "metadata": {"title": "B"},
        },
    ]
    plain = clips.save(
        tmp_path / "plain.mkv",
        clips.pan(7),
        codec="libx264",
        times=times,
        base=Fraction(1, 1000),
        aspect=Fraction(16, 15),
        sound=True,
        chapters=chapters,
        attachment=b"what it is about",
    )
    (tmp_path / "s.srt").write_text("1\n00:00:00,050 --> 00:00:00,200\nWords.\n")
    source = with_subtitles(plain, tmp_path / "s.srt", tmp_path / "a.mkv")
    for codec, name in (
        ("ffv1", "b.mkv"),
        ("h264", "c.mkv"),
        ("h264", "d.mp4"),
        ("prores", "e.mov"),
    ):
        target, _ = colorized(params, source, tmp_path / name, codec=codec)
        assert clips.times_of(target) == [Fraction(t, 1000) for t in times]
        assert clips.packets_of(target, "audio") == clips.packets_of(source, "audio")
        with av.open(str(target)) as film:
            if codec != "ffv1":  # which holds it in its frames
                assert film.streams.video[0].sample_aspect_ratio == Fraction(16, 15)
            assert [c["metadata"]["title"] for c in film.chapters()] == ["A", "B"]
            starts = [c["start"] * c["time_base"] for c in film.chapters()]
            assert starts == [0, Fraction(1, 10)]
            assert film.metadata["title"] == "A film"
            assert film.streams.video[0].metadata["language"] == "fra"
            attachments = [s for s in film.streams if s.type == "attachment"]
            assert len(attachments) == (target.suffix == ".mkv")
        if target.suffix == ".mkv":
            assert clips.packets_of(target, "subtitle") == clips.packets_of(source, "subtitle")
        else:
            film = reading.probed(source)
            lines = run.writing.unfit(film, run.writing.planned(film, target, codec, 18))
            assert [line.split(" (")[0] for line in lines] == ["stream 2", "stream 3"]


def with_subtitles(film: Path, subtitles: Path, target: Path) -> Path:
    with (
        av.open(str(film)) as one,
        av.open(str(subtitles)) as other,
        av.open(str(target), "w") as sink,
    ):
        streams = {s.index: sink.add_stream_from_template(s, opaque=True) for s in one.streams}
        streams[0].metadata.update(one.streams[0].metadata)
        text = sink.add_stream_from_template(other.streams[0])
        sink.set_chapters(one.chapters())
        sink.metadata.update(one.metadata)
        for packet in other.demux():
            if packet.size:
                packet.stream = text
                sink.mux(packet)
        for packet in one.demux():
            if packet.size:
                if packet.dts is None:  # of the first ones, Matroska does not say it
                    packet.dts = packet.pts - 300
                packet.stream = streams[packet.stream.index]
                sink.mux(packet)
    return target


@pytest.mark.parametrize("suffix", [".mkv", ".mp4"])
def test_words_that_are_no_utf8_stay(tmp_path: Path, params: jaxcolor.Params, suffix: str) -> None:
    source = clips.save(tmp_path / f"a{suffix}", clips.pan(1), codec="libx264")
    old = source.read_bytes().replace(b"A film", b"A f\xeflm")  # of ISO 8859-1
    source.write_bytes(old)
    target, _ = colorized(params, source, tmp_path / f"b{suffix}", codec="h264")
    assert b"A f\xeflm" in target.read_bytes()


def test_a_turned_film_comes_upright(tmp_path: Path, params: jaxcolor.Params) -> None:
    lumas = clips.pan(2)
    source = clips.save(
        tmp_path / "a.mp4",
        lumas,
        codec="libx264",
        turned=90,
        aspect=Fraction(4, 3),
        options={"qp": "0"},
    )
    target, _ = colorized(params, source, tmp_path / "b.mp4", codec="h264", crf=0)
    for luma, there in zip(lumas, clips.lumas_of(target), strict=True):
        np.testing.assert_array_equal(there, np.rot90(luma))
    with av.open(str(target)) as film:
        assert film.streams.video[0].sample_aspect_ratio == Fraction(3, 4)
        assert next(film.decode(video=0)).rotation == 0


def test_a_part_of_it(tmp_path: Path, params: jaxcolor.Params) -> None:
    lumas = clips.pan(20)
    source = clips.save(tmp_path / "a.mkv", lumas, sound=True)
    target, _ = colorized(params, source, tmp_path / "b.mkv", start=0.2, end=0.6)
    for luma, there in zip(lumas[5:15], clips.lumas_of(target), strict=True):
        np.testing.assert_array_equal(there, luma)
    assert clips.times_of(target) == [Fraction(i, 25) for i in range(10)]
    old, new = (clips.packets_of(path, "audio") for path in (source, target))
    assert new == [(t - Fraction(1, 5), data) for t, data in old if 0.2 <= t < 0.6]
    with pytest.raises(FilmError, match="no frame"):
        colorized(params, source, tmp_path / "c.mkv", start=5.0)
    assert not (tmp_path / "c.mkv").exists()


def test_interlaced_films(tmp_path: Path, params: jaxcolor.Params) -> None:
    lumas = clips.pan(8, step=6)
    woven = [luma.copy() for luma in lumas[:-1]]
    for luma, later in zip(woven, lumas[1:], strict=True):
        luma[::2] = later[::2]  # the lower lines are the earlier ones
    options = {"x264-params": "interlaced=1:tff=1", "qp": "0"}
    source = clips.save(tmp_path / "a.mkv", woven, codec="libx264", options=options)
    film = reading.probed(source)
    assert film.interlaced
    target, _ = colorized(params, source, tmp_path / "b.mkv")
    assert clips.times_of(target) == clips.times_of(source)
    for now, here, there in zip(lumas, woven, clips.lumas_of(target), strict=False):
        calm, comb = (np.abs(p[2:-2] * 1.0 - now[2:-2]).mean() for p in (there, here))
        assert calm < comb / 2
    words = ["film", source, "-o", tmp_path / "c.mkv", "--interlaced", "refuse"]
    result = click.testing.CliRunner().invoke(main, [str(word) for word in words])
    assert result.exit_code == 2
    assert "is interlaced" in result.stderr


# -- scenes ----------------------------------------------------------------------------------------


def test_nothing_crosses_a_cut(tmp_path: Path, params: jaxcolor.Params) -> None:
    one, other = clips.pan(8), clips.pan(8, 1)
    alone = [clips.save(tmp_path / f"{i}.mkv", part) for i, part in enumerate((one, other))]
    both = clips.save(tmp_path / "both.mkv", one + other)
    apart = [
        planes
        for i, part in enumerate(alone)
        for planes in clips.planes_of(colorized(params, part, tmp_path / f"c{i}.mkv")[0])
    ]
    together = clips.planes_of(colorized(params, both, tmp_path / "c.mkv")[0])
    for mine, theirs in zip(together, apart, strict=True):
        for plane, there in zip(mine, theirs, strict=True):
            np.testing.assert_array_equal(plane, there)


def test_hints_hold_for_their_scene(tmp_path: Path, params: jaxcolor.Params) -> None:
    source = clips.save(tmp_path / "a.mkv", clips.pan(6) + clips.pan(6, 1))
    plain = clips.planes_of(colorized(params, source, tmp_path / "b.mkv")[0])
    hint = hints.Hint(0.5, 0.5, "#d02020", 0.2, time=0.35)
    marked = clips.planes_of(colorized(params, source, tmp_path / "c.mkv", hints=(hint,))[0])
    for number, (before, after) in enumerate(zip(plain, marked, strict=True)):
        reddened = after[2].astype(int) - before[2]
        if number < 6:
            assert np.abs(reddened).max() == 0
        else:
            x = 32 - (number - 8)  # the window moves to the right, and the place to the left
            assert reddened[22:27, x - 2 : x + 3].mean() > 15
    with pytest.raises(hints.HintError, match="hint 1: x: 500 is outside"):
        colorized(params, source, tmp_path / "d.mkv", hints=(hints.Hint(500, 2, "red", time=0),))


# -- runs that end early ---------------------------------------------------------------------------


class Ended(Exception):
    pass


def test_a_run_that_was_ended_is_taken_up(
    tmp_path: Path, params: jaxcolor.Params, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run, "_SEGMENT", 5)
    lumas = [luma for seed in range(4) for luma in clips.pan(6, seed)]
    source = clips.save(tmp_path / "a.mkv", lumas, sound=True)
    whole, _ = colorized(params, source, tmp_path / "whole.mkv")
    film, target = reading.probed(source), tmp_path / "b.mkv"
    wish = run.Wish(codec="ffv1", resume=True)
    steps: list[int] = []

    def progress(count: int) -> None:
        steps.append(count)
        if sum(steps) == 14:
            raise Ended

    with pytest.raises(Ended):
        run.colorize(params, film, target, wish, progress=progress)
    assert not target.exists()
    assert len(list((tmp_path / ".b.mkv.parts").glob("*.segment"))) == 2
    steps.clear()
    assert run.colorize(params, film, target, wish, progress=steps.append) == 24
    assert steps[0] == 12
    for mine, theirs in zip(clips.planes_of(target), clips.planes_of(whole), strict=True):
        for plane, there in zip(mine, theirs, strict=True):
            np.testing.assert_array_equal(plane, there)
    assert clips.packets_of(target, "audio") == clips.packets_of(source, "audio")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.mkv", "b.mkv", "whole.mkv"]

    steps.clear()
    with pytest.raises(Ended):  # without --resume nothing stays
        run.colorize(params, film, tmp_path / "c.mkv", run.Wish(codec="ffv1"), progress=progress)
    assert not list(tmp_path.glob(".c*"))


def test_a_killed_run_leaves_no_film(tmp_path: Path, run: object) -> None:
    lumas = [luma for seed in range(40) for luma in clips.pan(6, seed)]
    source = clips.save(tmp_path / "a.mkv", lumas)
    code = (
        "import sys, tiny_network, jaxcolor\n"
        "from jaxcolor.film import reading, run\n"
        "run._SEGMENT = 5\n"
        "params = jaxcolor.Params(*tiny_network.make(64))\n"
        "run.colorize(params, reading.probed(jaxcolor.film.reading.Path(sys.argv[1])),"
        " jaxcolor.film.reading.Path(sys.argv[2]), run.Wish(codec='ffv1'))\n"
    )
    target = tmp_path / "b.mkv"
    paths = [str(Path(__file__).parents[1]), *sys.path]
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(source), str(target)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))},
    )
    try:
        until(
            lambda: process.poll() is not None or any((tmp_path / ".b.mkv.parts").glob("*.segment"))
        )
        assert process.poll() is None
    finally:
        process.kill()
        process.wait(HANG)
    assert not target.exists()


# -- films that are damaged ------------------------------------------------------------------------


def test_damaged_frames_are_named_and_repeated(tmp_path: Path, params: jaxcolor.Params) -> None:
    lumas = clips.pan(10)
    source = clips.save(tmp_path / "a.mov", lumas, codec="png", format="gray", full=True)
    with av.open(str(source)) as film:
        fourth = [bytes(packet) for packet in film.demux(video=0) if packet.size][4]
    data = source.read_bytes()
    place = data.index(fourth) + len(fourth) // 2
    broken = tmp_path / "broken.mov"
    broken.write_bytes(data[:place] + bytes(64) + data[place + 64 :])
    target, told = colorized(params, broken, tmp_path / "b.mkv")
    assert [line.split(" is")[0] for line in told] == ["the frame at 0.160 s"]
    there = clips.lumas_of(target)
    expected = [*lumas[:4], lumas[3], *lumas[5:]]
    for luma, now in zip(expected, there, strict=True):
        np.testing.assert_array_equal(now, luma)
    assert clips.times_of(target) == clips.times_of(source)


@pytest.mark.parametrize("seed", range(150 if LONG else 4))
def test_mutated_films(
    tmp_path: Path, params: jaxcolor.Params, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    monkeypatch.setattr("jaxcolor.commands.load", lambda weights, size: params)
    rng = np.random.default_rng(seed)
    kinds = (("libx264", ".mp4"), ("libx264", ".mkv"), ("mpeg4", ".avi"), ("ffv1", ".mkv"))
    codec, suffix = kinds[seed % len(kinds)]
    source = clips.save(tmp_path / f"a{suffix}", clips.pan(12, seed), codec=codec, sound=True)
    data = bytearray(source.read_bytes())
    for _ in range(rng.integers(1, 40)):
        place, kind = rng.integers(len(data)), rng.integers(4)
        if kind == 0:
            data[place] ^= 1 << rng.integers(8)
        elif kind == 1:
            data[place : place + 30] = rng.bytes(30)
        elif kind == 2:
            del data[place : place + int(rng.integers(1, 200))]
        elif seed % 5 == 0:
            del data[len(data) // 2 + place // 2 :]
    source.write_bytes(data)
    words = ["film", str(source), "-o", str(tmp_path / "b.mkv"), "--codec", "ffv1"]
    result = click.testing.CliRunner().invoke(main, words)
    assert result.exit_code in (0, 2), result.output
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    assert "Traceback" not in result.output
    if result.exit_code == 0:
        assert clips.lumas_of(tmp_path / "b.mkv")
    else:
        assert not (tmp_path / "b.mkv").exists()
        assert len(result.stderr.strip().splitlines()[-1]) < 500


# -- the command -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["a.mkv", "-o", "b.avi"], "written as .mp4, .mkv, .mov"),
        (["a.mkv", "-o", "b.mp4", "--codec", "ffv1"], "ffv1 is written as .mkv"),
        (["a.mkv", "-o", "a.mkv"], "is the film itself"),
        (["a.mkv", "-o", "none/b.mkv"], "no folder none"),
        (["n.txt", "-o", "b.mkv"], "cannot be read as a film"),
        (["a.mkv", "-o", "b.mkv", "--start", "soon"], "neither seconds nor"),
        (["a.mkv", "-o", "b.mkv", "--hints", "h.json"], "hint 1: time is missing"),
        (["s.mkv", "-o", "b.mkv"], "no film in it"),
    ],
)
def test_what_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    clips.save(tmp_path / "a.mkv", clips.pan(1))
    Path("n.txt").write_text("no film")
    Path("h.json").write_text('[{"x": 1, "y": 1, "colour": "red"}]')
    with av.open("s.mkv", "w") as sink:
        audio = sink.add_stream("aac", rate=48000, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), "fltp", "mono")
        frame.sample_rate, frame.pts = 48000, 0
        sink.mux(audio.encode(frame))
        sink.mux(audio.encode(None))
    result = click.testing.CliRunner().invoke(main, ["film", *words])
    assert result.exit_code == 2
    assert said in result.stderr
    assert not Path("b.mkv").exists()


def test_a_photo_s_hints_have_no_time() -> None:
    with pytest.raises(hints.HintError, match="only the hints of a film"):
        hints.check([hints.Hint(0.5, 0.5, "red", time=1)])
    with pytest.raises(hints.HintError, match="before the film"):
        hints.Hint(0.5, 0.5, "red", time=-1)


# -- long films ------------------------------------------------------------------------------------


@pytest.mark.skipif(not LONG, reason="JAXCOLOR_FILM=long: 20,000 frames")
@pytest.mark.slow
def test_memory_does_not_grow_with_the_film(tmp_path: Path, params: jaxcolor.Params) -> None:
    ground = clips.ground(0, (256, 512))

    def lumas(count: int) -> list[np.ndarray]:
        return [ground[:240, t % 190 : t % 190 + 320] for t in range(count)]

    source = clips.save(
        tmp_path / "a.mkv", lumas(20_000), codec="libx264", options={"preset": "ultrafast"}
    )
    used: list[int] = []

    def progress(_: int) -> None:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        used.append(pages * os.sysconf("SC_PAGE_SIZE"))
        if len(used) % 1000 == 0:
            print(f"{len(used)} frames: {used[-1] / 1e6:.0f} MB", flush=True)

    run.colorize(params, reading.probed(source), tmp_path / "b.mp4", run.Wish(), progress=progress)
    early, late = max(used[1900:2000]), max(used[-100:])
    print(
        f"{len(used) - 1} frames: {early / 1e6:.0f} MB after 2,000, {late / 1e6:.0f} MB at the end"
    )
    assert late < 1.05 * early
