"""The API of `jaxcolor serve`, without a socket: what is answered, and what is held back."""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import struct
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from typing import Any

import httpx
import numpy as np
import pytest
import tifffile
import tiny_network
from fastapi import FastAPI
from patience import HANG
from PIL import Image

import jaxcolor
from jaxcolor import image_io
from jaxcolor.engine import Room
from jaxcolor.hints import CAPACITY
from jaxcolor.jobs import GivenUp, Job, Wish
from jaxcolor.predict import pure, stages
from jaxcolor.web import problem
from jaxcolor.web.api import make_app
from jaxcolor.web.exchange import Photograph
from jaxcolor.web.settings import Settings

Answers = list[httpx.Response]


@pytest.fixture(scope="module")
def models() -> dict[str, jaxcolor.Params]:
    """Two colorizers of two layers."""
    config, variables = tiny_network.make(32)
    other, _ = tiny_network.make(16)
    return {"first": jaxcolor.Params(config, variables), "other": jaxcolor.Params(other, variables)}


@contextlib.contextmanager
def running(models: Mapping[str, jaxcolor.Params], **settings: Any) -> Iterator[FastAPI]:
    app = make_app(models, Settings(**{"batch": 2, "threads": 2, **settings}))
    app.state.engine.start(models, everything=True)
    try:
        yield app
    finally:
        app.state.engine.close()


@pytest.fixture(scope="module")
def app(models: dict[str, jaxcolor.Params]) -> Iterator[FastAPI]:
    with running(models, max_bytes=1 << 20, max_pixels=2_000_000) as app:
        yield app


def ask(app: FastAPI, *requests: Mapping[str, Any]) -> Answers:
    """The answers to requests that are sent at once; to /v1/colorize unless a `url` is named."""

    async def all_of_them() -> Answers:
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            return await asyncio.gather(*(client.request(**_request(r)) for r in requests))

    return asyncio.run(all_of_them())


def _request(given: Mapping[str, Any]) -> dict[str, Any]:
    method = "POST" if "content" in given else "GET"
    return {"method": method, "url": "/v1/colorize", **given}


def encoded(image: Image.Image, format: str, **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, format, **options)
    return file.getvalue()


def grey(width: int, height: int, seed: int = 0) -> Image.Image:
    rng = np.random.default_rng(seed)
    return Image.fromarray(rng.integers(0, 256, (height, width), np.uint8))


def expected(params: jaxcolor.Params, content: bytes, **options: Any) -> bytes:
    """What the library makes of the photo, in batches of the server's size."""
    format = options.pop("format", None)
    photo = image_io.open_photo(io.BytesIO(content))
    (rgb,) = jaxcolor.colorize_batch(params, [photo.pixels], batch_size=2, **options)
    file = io.BytesIO()
    image_io.save_photo(file, photo, rgb, format=format)
    return file.getvalue()


def photo_files() -> dict[str, bytes]:
    exif = Image.Exif()
    exif[0x010E] = "harbour"
    exif[0x0112] = 6
    clear = grey(50, 40).convert("LA")
    clear.putalpha(Image.linear_gradient("L").resize((50, 40)))
    deep = Image.fromarray(np.arange(60 * 70, dtype=np.uint16).reshape(60, 70) * 15)
    return {
        "image/jpeg": encoded(grey(90, 60), "JPEG", exif=exif, dpi=(300, 300)),
        "image/png": encoded(clear, "PNG"),
        "image/tiff": encoded(deep, "TIFF"),
        "image/bmp": encoded(grey(33, 44), "BMP"),
        "image/webp": encoded(grey(700, 520), "WEBP"),
    }


# -- photos ----------------------------------------------------------------------------------------


def test_what_comes_back_is_what_the_library_makes(app: FastAPI, models) -> None:
    """Byte for byte, with everything that the photo carries, and whoever else is there."""
    files = photo_files()
    alone = [ask(app, {"content": content})[0] for content in files.values()]
    together = ask(app, *({"content": content} for content in [*files.values()] * 3))
    for answer, (kind, content) in zip([*alone, *together], [*files.items()] * 4, strict=True):
        assert answer.status_code == 200, answer.text
        assert answer.headers["content-type"] == kind
        assert answer.content == expected(models["first"], content)
    kept = Image.open(io.BytesIO(alone[0].content))
    assert (kept.size, kept.getexif()[0x010E], kept.info["dpi"]) == (
        (60, 90),
        "harbour",
        (300, 300),
    )
    assert alone[0].headers["jaxcolor-size"] == "60x90"
    assert image_io.open_photo(io.BytesIO(alone[2].content)).pixels.dtype == np.uint16
    assert Image.open(io.BytesIO(alone[1].content)).mode == "RGBA"


@pytest.mark.parametrize(
    "options",
    [{"saturation": 0.25}, {"refine": 0.0}, {"format": "png"}, {"saturation": 0}],
    ids=str,
)
def test_options_are_those_of_colorize(app: FastAPI, models, options: dict[str, Any]) -> None:
    content = photo_files()["image/bmp"]
    (answer,) = ask(app, {"content": content, "params": options})
    assert answer.content == expected(models["first"], content, **options)


SOME = [
    jaxcolor.Hint(0.25, 0.5, "#a03020"),
    jaxcolor.Hint(1.0, 0.0, "neutral", 0.2),
    jaxcolor.Hint(0.9, 1.0, (20, 40, 160)),
]


def test_hints_are_those_of_colorize(app: FastAPI, models) -> None:
    content = photo_files()["image/bmp"]
    lines = [hint.to_json() for hint in SOME]
    assert json.dumps(lines[1]).startswith('{"x": 1.0, "y": 0.0')
    told = json.dumps(lines).replace("1.0", "1").replace("0.0,", "0,")  # as JavaScript writes it
    plain, answer = ask(
        app, *({"content": content, "params": params} for params in ({}, {"hints": told}))
    )
    assert answer.content == expected(models["first"], content, hints=[SOME])
    assert answer.content != plain.content
    (none,) = ask(app, {"content": content, "params": {"hints": "[]"}})
    assert none.content == plain.content
    (small,) = ask(app, {"content": content, "params": {"hints": told, "fit": 32}})
    assert Image.open(io.BytesIO(small.content)).size == (24, 32)
    (document,) = ask(app, {"url": "/openapi.json"})
    (option,) = (
        option
        for option in document.json()["paths"]["/v1/colorize"]["post"]["parameters"]
        if option["name"] == "hints"
    )
    assert f"at most {CAPACITY}" in option["description"]


def test_as_many_hints_as_there_can_be_fit_into_a_request(app: FastAPI) -> None:
    fields = {"x": 0.12345678, "y": 0.87654321, "colour": "#a03020", "radius": 0.12345678}
    told = json.dumps([fields] * CAPACITY)
    (answer,) = ask(app, {"content": photo_files()["image/bmp"], "params": {"hints": told}})
    assert answer.status_code == 200


def test_a_model_is_chosen(app: FastAPI, models) -> None:
    content = photo_files()["image/webp"]
    both = ask(app, *({"content": content, "params": {"model": name}} for name in models))
    for answer, (name, params) in zip(both, models.items(), strict=True):
        assert answer.content == expected(params, content)
        assert answer.headers["jaxcolor-model"] == name
    assert both[0].content != both[1].content
    wrong, figures = (
        ask(app, request)[0]
        for request in ({"content": content, "params": {"model": "none"}}, {"url": "/metrics"})
    )
    assert wrong.status_code == 422
    assert 'jaxcolor_requests_total{status="422"}' in figures.text
    (listed,) = ask(app, {"url": "/v1/models"})
    assert listed.json()["default"] == "first"
    assert [(m["name"], m["size"]) for m in listed.json()["models"]] == [
        ("first", 32),
        ("other", 16),
    ]


def test_requests_that_come_together_share_passes_of_the_network(models) -> None:
    content = encoded(grey(20, 20), "PNG")
    with running(models, batch=4) as app:
        app.state.engine.ready.wait(HANG)
        compiled = pure.predict.function._cache_size()
        ask(app, *({"content": content} for _ in range(37)))
        for count in (1, 2):
            ask(app, *({"content": content} for _ in range(count)))
        assert pure.predict.function._cache_size() == compiled  # one shape for all of them
        (figures,) = ask(app, {"url": "/metrics"})
    values = dict(line.rsplit(" ", 1) for line in figures.text.splitlines() if line[:1] != "#")
    assert float(values["jaxcolor_batch_photos_sum"]) == 40
    assert float(values["jaxcolor_batch_photos_count"]) < 30
    assert float(values['jaxcolor_requests_total{status="200"}']) == 40
    assert float(values["jaxcolor_requests_inside"]) == 0
    assert float(values["jaxcolor_held_pixels"]) == 0


def test_a_preview_fits(app: FastAPI) -> None:
    files = photo_files()
    params = {"fit": 32, "format": "png"}
    for kind, size in {
        "image/jpeg": (21, 32),
        "image/tiff": (32, 27),
        "image/png": (32, 26),
    }.items():
        (answer,) = ask(app, {"content": files[kind], "params": params})
        image = Image.open(io.BytesIO(answer.content))
        assert (image.size, len(image.getexif()), "dpi" in image.info) == (size, 0, False)
        assert image.mode == ("RGBA" if kind == "image/png" else "RGB")
    (whole,) = ask(app, {"content": files["image/jpeg"], "params": {"fit": 8000}})
    assert Image.open(io.BytesIO(whole.content)).size == (60, 90)  # never made larger


def test_what_is_lost_is_said(app: FastAPI) -> None:
    content = photo_files()["image/jpeg"]
    (answer,) = ask(app, {"content": content, "params": {"format": "bmp"}})
    assert json.loads(answer.headers["jaxcolor-warnings"]) == ["BMP cannot hold its EXIF data"]


def test_bits_and_channels_that_are_lost_are_said(app: FastAPI) -> None:
    rgba = np.random.default_rng(0).integers(0, 65536, (20, 30, 4), np.uint16)
    file = io.BytesIO()
    unspecified = {"photometric": "rgb", "extrasamples": ["unspecified"], "metadata": None}
    tifffile.imwrite(file, rgba, **unspecified)
    requests = [{"content": file.getvalue(), "params": {"format": f}} for f in ("webp", "png")]
    shallower, whole = ask(app, *requests)
    channel = "a further channel, of unknown meaning (infrared, perhaps), left out"
    assert json.loads(shallower.headers["jaxcolor-warnings"]) == [
        channel,
        "WEBP cannot hold its 16 bits a channel: they become 8",
    ]
    assert json.loads(whole.headers["jaxcolor-warnings"]) == [channel]


# -- refusals --------------------------------------------------------------------------------------


def frames() -> bytes:
    pages = [Image.new("L", (8, 8), shade) for shade in (0, 255)]
    return encoded(pages[0], "GIF", save_all=True, append_images=pages[1:])


def test_what_is_said_of_an_empty_file_is_what_the_command_says() -> None:
    with pytest.raises(image_io.PhotoError) as caught:
        image_io.open_photo(io.BytesIO())
    refusal = problem.of_photo(caught.value, 1000)
    assert refusal.detail == f"The file is {caught.value.refusal}."
    assert str(caught.value).endswith(f": {caught.value.refusal}")


def _refused() -> dict[str, tuple[dict[str, Any], int, str, str]]:
    files = photo_files()
    png = files["image/png"]
    large = encoded(Image.new("1", (3000, 1000)), "PNG")
    return {
        "a text": ({"content": b"dear diary" * 50}, 415, "not-a-photo", "is not a photo"),
        "nothing": ({"content": b""}, 415, "empty", "The file is empty, not a picture."),
        "an address": ({"content": b"http://127.0.0.1/x.png"}, 415, "not-a-photo", "not a photo"),
        "a form": ({"files": {"photo": png}, "method": "POST"}, 415, "form", "--data-binary"),
        "pixels": ({"content": large}, 413, "too-many-pixels", "3,000 x 1,000 pixels"),
        "bytes": ({"content": bytes((1 << 20) + 1)}, 413, "too-many-bytes", "up to 1 MB"),
        "unannounced bytes": ({"content": _stream(3)}, 413, "too-many-bytes", "up to 1 MB"),
        "a PSD of 32 bits": (
            {"content": b"8BPS" + struct.pack(">H6xHIIHH", 1, 3, 9, 9, 32, 3) + bytes(999)},
            *(415, "not-a-photo", "a PSD of 32 bits, which is not read: save it as TIFF"),
        ),
        "JPEG-LS": (
            {"content": b"\xff\xd8\xff\xf7" + bytes(99)},
            *(415, "not-a-photo", "a JPEG of a kind that is not read (JPEG-LS)"),
        ),
        "half of it": ({"content": png[: len(png) // 2]}, 422, "cannot-be-read", "cut short"),
        "several": ({"content": frames()}, 422, "wrong-frame", "frame=0"),
        "no such frame": (
            {"content": frames(), "params": {"frame": 2}},
            *(422, "wrong-frame", "the number 2"),
        ),
        "transparency": (
            {"content": png, "params": {"format": "jpg"}},
            *(422, "cannot-be-written", "format=png"),
        ),
        **{
            f"{field}={value}": (
                {"content": png, "params": {field: value}},
                *(422, "wrong-option", f"{field}: "),
            )
            for field, value in {
                "saturation": "nan",
                "refine": 1.5,
                "format": "doc",
                "model": "../lite",
                "frame": -1,
                "fit": 1,
                "saturaton": 1,
                "hints": '[{"x": 2, "y": 0, "colour": "red"}]',
            }.items()
        },
    }


async def _stream(count: int) -> AsyncIterator[bytes]:
    for _ in range(count):
        yield bytes(1 << 19)


REFUSED = _refused()


@pytest.mark.parametrize("what", REFUSED)
def test_a_refusal_says_why(app: FastAPI, what: str) -> None:
    request, status, code, words = REFUSED[what]
    (answer,) = ask(app, request)
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert (answer.status_code, problem["status"], problem["code"]) == (status, status, code)
    assert words in problem["detail"]
    assert "--max" not in problem["detail"]  # the command's words
    assert problem["detail"].endswith(".")
    if code == "wrong-option":
        assert problem["field"] == what.partition("=")[0]
    assert app.state.door.inside == 0


def test_so_do_routes_that_are_not_there(app: FastAPI) -> None:
    for answer, status in zip(
        ask(app, {"url": "/nowhere"}, {"method": "GET"}), (404, 405), strict=True
    ):
        assert answer.status_code == answer.json()["status"] == status


def test_a_chosen_frame_is_coloured(app: FastAPI) -> None:
    (answer,) = ask(app, {"content": frames(), "params": {"frame": 1}})
    assert answer.headers["content-type"] == "image/png"  # GIF is not written


# -- bounds ----------------------------------------------------------------------------------------


PAINT = stages.paint


class Painting:
    """The painting of photos, which waits for a sign.

    Attributes:
      go: photos are finished only after it is set.
      strips: how many were painted since, of all photos.
    """

    def __init__(self) -> None:
        self.go, self.strips = threading.Event(), 0

    def paint(self, *arguments: Any) -> Any:
        for strip in PAINT(*arguments):
            assert self.go.wait(HANG)
            self.strips += 1
            yield strip


@pytest.fixture
def painting(monkeypatch: pytest.MonkeyPatch) -> Painting:
    painting = Painting()
    monkeypatch.setattr("jaxcolor.predict.stages.paint", painting.paint)
    return painting


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(HANG):
        while not true():
            await asyncio.sleep(0.01)


def colorize_while(app: FastAPI, count: int, then: Callable[[httpx.AsyncClient], Any]) -> Answers:
    """Sends photos, does something while they are worked on, and gives the answers to them."""
    content = encoded(grey(20, 20), "PNG")

    async def run() -> Answers:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            tasks = [
                asyncio.create_task(client.post("/v1/colorize", content=content))
                for _ in range(count)
            ]
            await until(lambda: app.state.door.inside == count)
            await then(client)
            return await asyncio.gather(*tasks)

    return asyncio.run(run())


def test_a_full_queue_turns_away(models, painting: Painting) -> None:
    content = encoded(grey(20, 20), "PNG")

    async def one_more(client: httpx.AsyncClient) -> None:
        answer = await client.post("/v1/colorize", content=content)
        assert (answer.status_code, answer.json()["code"]) == (429, "busy")
        assert int(answer.headers["retry-after"]) > 0
        assert (await client.get("/healthz")).status_code == 200  # others are still answered
        painting.go.set()

    with running(models, queue=3) as app:
        app.state.engine.ready.wait(HANG)
        assert [a.status_code for a in colorize_while(app, 3, one_more)] == [200] * 3
        assert ask(app, {"content": content})[0].status_code == 200


def test_uploads_are_bounded_together(models) -> None:
    """Four photos of the largest size fill the memory; the fifth is told to come back."""
    release = asyncio.Event()

    async def slow_upload() -> AsyncIterator[bytes]:
        yield bytes(1000)
        await release.wait()

    async def run(app: FastAPI) -> list[int]:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            tasks = [
                asyncio.create_task(client.post("/v1/colorize", content=slow_upload()))
                for _ in range(4)
            ]
            await until(lambda: app.state.door.inside == 4)
            await until(lambda: app.state.door._bytes == 4000)
            fifth = await client.post("/v1/colorize", content=bytes(1000))
            release.set()
            return [fifth.status_code, *(a.status_code for a in await asyncio.gather(*tasks))]

    with running(models, max_bytes=1000) as app:
        assert asyncio.run(run(app)) == [429, 415, 415, 415, 415]
        assert app.state.door._bytes == 0


def test_the_time_limit(models, painting: Painting) -> None:
    async def never() -> AsyncIterator[bytes]:
        yield b"x"
        await asyncio.sleep(60)

    with running(models, seconds=1) as app:
        app.state.engine.ready.wait(HANG)
        tall = encoded(grey(9, 3000), "PNG")  # six strips
        late, slow = ask(app, {"content": tall}, {"content": never()})
        assert (late.status_code, late.json()["code"]) == (504, "too-slow")
        assert (slow.status_code, slow.json()["code"]) == (408, "slow-upload")
        painting.go.set()
        held = app.state.engine.room
        asyncio.run(until(lambda: held.taken == 0))
        assert painting.strips <= 1  # the rest was given up
        assert app.state.door.inside == 0


def test_what_is_announced_too_large_is_not_waited_for(models) -> None:
    asked: list[bool] = []

    async def upload() -> AsyncIterator[bytes]:
        asked.append(True)
        yield bytes(1001)

    with running(models, max_bytes=1000) as app:
        (answer,) = ask(app, {"content": upload(), "headers": {"content-length": "1001"}})
        assert (answer.status_code, answer.json()["code"]) == (413, "too-many-bytes")
        assert asked == []


def test_a_client_that_goes_away_is_not_worked_for(models, painting: Painting) -> None:
    content = encoded(grey(20, 20), "PNG")
    sent: list[Any] = []

    async def run(app: FastAPI) -> None:
        gone = asyncio.Event()
        body = [{"type": "http.request", "body": content, "more_body": False}]

        async def receive() -> dict[str, Any]:
            if body:
                return body.pop()
            await gone.wait()
            return {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            sent.append(message)

        headers = [(b"host", b"localhost")]
        scope = {"type": "http", "method": "POST", "path": "/v1/colorize", "query_string": b""}
        task = asyncio.create_task(app({**scope, "headers": headers}, receive, send))  # type: ignore[arg-type]
        await until(lambda: app.state.door.inside == 1)
        gone.set()
        await task

    with running(models) as app:
        app.state.engine.ready.wait(HANG)
        asyncio.run(run(app))
        assert app.state.door.inside == 0
        painting.go.set()
        asyncio.run(until(lambda: app.state.engine.room.taken == 0))
        (figures,) = ask(app, {"url": "/metrics"})
        assert 'jaxcolor_requests_total{status="499"} 1.0' in figures.text


def test_a_stopping_server_finishes_and_takes_nothing_new(models, painting: Painting) -> None:
    async def stop(client: httpx.AsyncClient) -> None:
        app.state.door.closed = True
        refused = await client.post("/v1/colorize", content=b"x")
        assert (refused.status_code, refused.json()["code"]) == (503, "stopping")
        health = await client.get("/healthz")
        assert (health.status_code, health.json()["status"]) == (503, "stopping")
        painting.go.set()

    with running(models) as app:
        assert [a.status_code for a in colorize_while(app, 2, stop)] == [200] * 2


def test_health_says_when_the_first_photo_will_be_quick(models) -> None:
    app = make_app(models, Settings())
    (before,) = ask(app, {"url": "/healthz"})
    assert (before.status_code, before.json()["status"]) == (503, "starting")
    app.state.engine.start(models, everything=True)
    assert app.state.engine.ready.wait(HANG)
    (after,) = ask(app, {"url": "/healthz"})
    assert (after.status_code, after.json()["status"]) == (200, "ready")
    app.state.engine.close()


def test_larger_photos_wait_for_room(models) -> None:
    """Photos of 4.2 megapixels in a room for one: each is coloured, never two at once."""
    content = encoded(grey(2100, 2000), "BMP")
    most: list[int] = []
    with running(models, held_pixels=4_300_000, threads=4) as app:
        room = app.state.engine.room
        take = room.take

        def taking(job: Job, pixels: int) -> None:
            take(job, pixels)
            most.append(room.taken)

        room.take = taking
        answers = ask(app, *({"content": content, "params": {"fit": 32}} for _ in range(4)))
    assert [answer.status_code for answer in answers] == [200] * 4
    assert max(most) <= 4_300_000
    assert room.taken == 0


def test_room_is_given_in_turn() -> None:
    """A large photo is not overtaken for ever by small ones, and fills a room that is too small."""
    room = Room(10, threading.Condition())
    order: list[str] = []
    first, given_up = (Job(Wish("")) for _ in range(2))
    room.take(first, 6)

    def wait(name: str, pixels: int) -> None:
        job = Job(Wish(""))
        room.take(job, pixels)
        order.append(name)
        room.give_back(job)

    threads = []
    for name, pixels in (("large", 50), ("small", 1)):
        threads.append(threading.Thread(target=wait, args=(name, pixels)))
        threads[-1].start()
        asyncio.run(until(lambda: len(room.waiting) == len(threads)))
    given_up.give_up()
    with pytest.raises(GivenUp):
        room.take(given_up, 5)
    assert order == []
    room.give_back(first)
    for thread in threads:
        thread.join(HANG)
    assert order == ["large", "small"]
    assert room.taken == 0


def test_a_client_that_stops_reading_is_left() -> None:
    left: list[bool] = []

    async def stuck(message: Any) -> None:
        await asyncio.sleep(60 if message["type"] == "http.response.body" else 0)

    answer = Photograph(bytes(1000), {}, 0.05, lambda: left.append(True))
    asyncio.run(answer({"type": "http"}, stuck, stuck))  # type: ignore[arg-type]
    assert left == [True]


# -- who asks --------------------------------------------------------------------------------------


def test_only_known_names_are_answered(models) -> None:
    app = make_app(models, Settings(names=("photos.example.org",)))
    names = {
        "localhost:8000": 200,
        "127.0.0.1": 200,
        "[::1]:99": 200,
        "PHOTOS.example.org": 200,
        "evil.example.org": 421,
        "127.0.0.1.example.org": 421,
        "": 421,
    }
    answers = ask(app, *({"url": "/v1/models", "headers": {"host": name}} for name in names))
    assert [answer.status_code for answer in answers] == list(names.values())
    open_to_all = make_app(models, Settings(host="0.0.0.0"))
    (answer,) = ask(open_to_all, {"url": "/v1/models", "headers": {"host": "nas.home:8000"}})
    assert answer.status_code == 200


def test_pages_of_other_sites_are_refused(app: FastAPI, models) -> None:
    content = encoded(grey(9, 9), "PNG")

    def post(origin: str) -> dict[str, Any]:
        return {"content": content, "headers": {"origin": origin}}

    answers = ask(app, *map(post, ("https://example.org", "null", "http://localhost")))
    assert [answer.status_code for answer in answers] == [403, 403, 200]
    assert not any("access-control-allow-origin" in answer.headers for answer in answers)
    with running(models, cors=("https://example.org",)) as named:
        good, bad = ask(named, post("https://example.org"), post("https://example.com"))
        assert good.headers["access-control-allow-origin"] == "https://example.org"
        assert "Jaxcolor-Size" in good.headers["access-control-expose-headers"]
        assert bad.status_code == 403
        asked = {"origin": "https://example.org", "access-control-request-method": "POST"}
        (preflight,) = ask(named, {"method": "OPTIONS", "headers": asked})
        assert "POST" in preflight.headers["access-control-allow-methods"]


def test_everything_tells_browsers_to_load_nothing_from_elsewhere(app: FastAPI) -> None:
    for answer in ask(app, {"url": "/"}, {"url": "/static/page.js"}, {"url": "/nowhere"}):
        assert answer.headers["content-security-policy"].startswith("default-src 'self';")
        assert answer.headers["x-content-type-options"] == "nosniff"
