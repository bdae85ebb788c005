"""The one pipeline: the same bytes by every way in, and nothing that stops it."""

from __future__ import annotations

import asyncio
import io
import threading
from pathlib import Path

import httpx
import numpy as np
import pytest
import tiny_network
from patience import HANG
from PIL import Image

import jaxcolor
from jaxcolor import album, image_io
from jaxcolor.controls import Controls
from jaxcolor.engine import Engine, Settings
from jaxcolor.jobs import GivenUp, Wish
from jaxcolor.predict import stages
from jaxcolor.web.api import make_app
from jaxcolor.web.settings import Settings as ServerSettings

EXAMPLES = Path(__file__).parents[1] / "examples"


def tiny(size: int) -> jaxcolor.Params:
    return jaxcolor.Params(*tiny_network.make(size))


def grey(width: int, height: int, seed: int = 0) -> io.BytesIO:
    rng = np.random.default_rng(seed)
    file = io.BytesIO()
    Image.fromarray(rng.integers(0, 256, (height, width), np.uint8)).save(file, "PNG")
    return file


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Photos of examples/: JPEG as they are, one as PNG, one as TIFF of 16 bits."""
    folder = tmp_path_factory.mktemp("photos")
    names = sorted(path.name for path in EXAMPLES.glob("*.jpg"))
    assert len(names) == 5
    for name in names[:3]:
        (folder / name).write_bytes((EXAMPLES / name).read_bytes())
    Image.open(EXAMPLES / names[3]).convert("L").save(folder / "grey.png")
    deep = np.asarray(Image.open(EXAMPLES / names[4]).convert("L")).astype(np.uint16) * 257 + 3
    Image.fromarray(deep).save(folder / "deep.tif")
    return folder


def by_library(params: jaxcolor.Params, path: Path, batch: int, controls: Controls) -> bytes:
    photo = image_io.open_photo(path)
    options = {"saturation": controls.saturation, "refine": controls.refine}
    (rgb,) = jaxcolor.colorize_batch(params, [photo.pixels], batch_size=batch, **options)
    file = io.BytesIO()
    image_io.save_photo(file, photo, rgb)
    return file.getvalue()


def by_http(
    params: jaxcolor.Params, paths: list[Path], batch: int, controls: Controls
) -> list[bytes]:
    app = make_app({"tiny": params}, ServerSettings(batch=batch))
    options = {"saturation": controls.saturation, "refine": controls.refine}

    async def ask_all() -> list[httpx.Response]:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            requests = (
                client.post("/v1/colorize", params=options, content=path.read_bytes())
                for path in paths
            )
            return await asyncio.gather(*requests)

    app.state.engine.start({"tiny": params})
    try:
        return [answer.content for answer in asyncio.run(ask_all())]
    finally:
        app.state.engine.close()


@pytest.mark.parametrize("batch", [1, 4, 8])
def test_every_way_in_gives_the_same_bytes(folder: Path, tmp_path: Path, batch: int) -> None:
    """Whoever else is in the batch: alone, in a folder, by HTTP, by the library."""
    params, controls = tiny(32), Controls(saturation=1.3, refine=0.6)
    paths = sorted(folder.iterdir())
    expected = [by_library(params, path, batch, controls) for path in paths]
    assert by_http(params, paths, batch, controls) == expected
    jobs = album.plan([folder], str(tmp_path / "together"))
    settings = Settings(batch=batch)
    assert {o.status for o in album.colorize_files(lambda: params, jobs, settings, controls)} == {
        "done"
    }
    for path, content in zip(paths, expected, strict=True):
        assert (tmp_path / "together" / path.name).read_bytes() == content
        (job,) = album.plan([path], str(tmp_path / f"alone-{path.name}"))
        (outcome,) = album.colorize_files(lambda: params, [job], settings, controls)
        assert outcome.status == "done", outcome
        assert (tmp_path / f"alone-{path.name}").read_bytes() == content


def test_a_photo_that_is_given_up_stops_nobody() -> None:
    """Neither before it is decoded, nor between that and the network."""
    engine = Engine(Settings(batch=2, threads=1))
    jobs = [engine.submit(grey(20, 20), io.BytesIO(), Wish("a")) for _ in range(3)]
    jobs[2].give_up()
    while not all(job.photo or job.done.done() for job in jobs):
        threading.Event().wait(0.01)
    jobs[0].give_up()
    jobs[1].give_up()
    engine.start({"a": tiny(16)})
    for job in jobs:
        with pytest.raises(GivenUp):
            job.done.result(HANG)
    target = io.BytesIO()
    engine.submit(grey(30, 20), target, Wish("a")).done.result(HANG)
    assert Image.open(target).size == (30, 20)
    engine.close()
    assert engine.room.taken == 0


def test_photos_larger_than_the_room_pass_one_by_one() -> None:
    """Whoever waits for room waits for those who wait for the network, and it for nobody."""
    most: list[int] = []
    settings = Settings(batch=8, threads=3, held_pixels=3000)
    engine = Engine(settings, lambda *_: most.append(engine.room.taken))
    with engine:
        targets = [io.BytesIO() for _ in range(12)]
        jobs = [
            engine.submit(grey(60, 40 + 40 * (i % 3 == 0), i), target, Wish("a"))
            for i, target in enumerate(targets)
        ]
        engine.start({"a": tiny(16)})
        for job in jobs:
            job.done.result(HANG)
    assert engine.room.taken == 0
    assert [job.size for job in jobs[:2]] == [(80, 60), (40, 60)]


def test_photos_that_wait_for_room_do_not_wait_for_a_full_batch() -> None:
    """A decoded photo takes little of it, but leaves too little for the next one's first try."""
    with Engine(Settings(batch=8, threads=2, held_pixels=3000)) as engine:
        jobs = [engine.submit(grey(20, 20, i), io.BytesIO(), Wish("a")) for i in range(4)]
        engine.start({"a": tiny(16)})
        for job in jobs:
            job.done.result(HANG)
    assert engine.room.taken == 0


def test_batches_fill_up_where_there_is_patience() -> None:
    """And only photos for one colorizer share a pass."""
    passes: list[int] = []

    def observe(stage: str, seconds: float, photos: int) -> None:
        assert seconds >= 0
        if stage == "network":
            passes.append(photos)

    with Engine(Settings(batch=4, threads=2), observe) as engine:
        jobs = [
            engine.submit(grey(20, 20, i), io.BytesIO(), Wish("ab"[i % 3 == 2])) for i in range(12)
        ]
        engine.finish()
        engine.start({"a": tiny(16), "b": tiny(32)})
        for job in jobs:
            job.done.result(HANG)
    assert sorted(passes) == [4, 4, 4]


def test_what_cannot_be_made_ready_fails_every_photo(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("no device")

    monkeypatch.setattr("jaxcolor.predict.stages.compile_network", broken)
    engine = Engine(Settings())
    early = engine.submit(grey(20, 20), io.BytesIO(), Wish("a"))
    engine.start({"a": tiny(16)}, everything=True)
    for job in (early, engine.submit(grey(20, 20), io.BytesIO(), Wish("a"))):
        with pytest.raises(RuntimeError, match="no device"):
            job.done.result(HANG)
    assert not engine.ready.is_set()
    assert str(engine.failure) == "no device"
    engine.close()


class Ending(io.BytesIO):
    """A file that ends the thread that reads or writes it."""

    def read(self, *_: object) -> bytes:
        raise SystemExit

    def write(self, _: object) -> int:
        raise SystemExit


def test_what_ends_a_thread_fails_its_photo_only(monkeypatch: pytest.MonkeyPatch) -> None:
    def ends(*_: object, **__: object) -> None:
        raise SystemExit

    def no_thread(*_: object) -> None:
        raise RuntimeError("can't start new thread")

    ended = r"the thread that worked on it was ended \(SystemExit\)"
    engine = Engine(Settings(batch=1, threads=1))
    engine.start({"a": tiny(16)})
    for source, target, place, fault, words in (
        (Ending(), io.BytesIO(), None, None, ended),
        (grey(20, 20), Ending(), None, None, ended),
        (grey(20, 20), io.BytesIO(), (stages, "run_network"), ends, ended),
        (grey(20, 20), io.BytesIO(), (stages, "shrink"), ends, ended),
        (grey(20, 20), io.BytesIO(), (engine._encoders, "submit"), no_thread, "new thread"),
    ):
        with monkeypatch.context() as patch:
            if place is not None:
                patch.setattr(*place, fault)
            job = engine.submit(source, target, Wish("a"))
            with pytest.raises(RuntimeError, match=words):
                job.done.result(HANG)
        engine.submit(grey(20, 20), io.BytesIO(), Wish("a")).done.result(HANG)
    with monkeypatch.context() as patch:
        patch.setattr(engine._decoders, "submit", no_thread)
        with pytest.raises(RuntimeError, match="new thread"):
            engine.submit(grey(20, 20), io.BytesIO(), Wish("a"))
    engine.close()
    assert engine.room.taken == 0


def test_an_unknown_colorizer_is_the_photos_fault_alone() -> None:
    with Engine(Settings(batch=2)) as engine:
        wrong = engine.submit(grey(20, 20), io.BytesIO(), Wish("b"))
        engine.start({"a": tiny(16)})
        with pytest.raises(KeyError, match="b"):
            wrong.done.result(HANG)
        engine.submit(grey(20, 20), io.BytesIO(), Wish("a")).done.result(HANG)
