"""What is kept of compiled functions: found by the next run, and never anything else."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.experimental import serialize_executable
from jax.experimental.compilation_cache import compilation_cache
from patience import until

from jaxcolor import compilation
from jaxcolor.compilation import Kept

ARRAY = np.linspace(0, 1, 12, dtype=np.float32).reshape(3, 4)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Of JAX's own cache, too, as `cache_in` has it."""
    before = jax.config.jax_compilation_cache_dir
    jax.config.update("jax_compilation_cache_dir", str(tmp_path))
    compilation_cache.reset_cache()
    monkeypatch.setattr(compilation, "_folder", tmp_path)
    yield tmp_path
    jax.config.update("jax_compilation_cache_dir", before)
    compilation_cache.reset_cache()


class Run:
    """A function as a new process has it: nothing of it is compiled, and its traces are counted."""

    def __init__(self, when_traced: Callable[[], object] = lambda: None) -> None:
        self.traces = 0

        def work(arrays: dict[str, Any], *, factor: float) -> jax.Array:
            self.traces += 1
            when_traced()
            return jnp.tanh(arrays["a"] @ arrays["a"].T) * factor

        self.work = Kept(jax.jit(work, static_argnames="factor"))

    def __call__(self, factor: float = 2.0) -> int:
        """Checks the result, and tells how often it was traced."""
        got = self.work({"a": jnp.asarray(ARRAY)}, factor=factor)
        np.testing.assert_allclose(got, np.tanh(ARRAY @ ARRAY.T) * factor, rtol=1e-5)
        return self.traces


def programs(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.program"))


def test_the_next_run_traces_nothing(folder: Path) -> None:
    run = Run()
    assert (run(), run(), run(3.0)) == (1, 1, 2)
    assert len(programs(folder)) == 2
    again = Run()
    assert (again(), again(3.0), again(2.0)) == (0, 0, 0)
    assert Run()(4.0) == 1
    assert (folder / "key").stat().st_mode & 0o77 == 0
    assert not list(folder.glob(".*"))


def test_compiled_ahead_for_shapes(folder: Path) -> None:
    run = Run()
    run.work.compile({"a": jax.ShapeDtypeStruct(ARRAY.shape, np.float32)}, factor=2.0)
    assert (len(programs(folder)), run()) == (1, 1)


@pytest.mark.parametrize("keeping", [True, False])
def test_who_comes_later_waits_for_who_compiles(
    keeping: bool, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two processes are two threads here: what counts is that each opens the lock itself."""
    fcntl = pytest.importorskip("fcntl")
    asked, flock = [], fcntl.flock
    monkeypatch.setattr(fcntl, "flock", lambda *how: (asked.append(how), flock(*how)))
    compiled: list[str] = []
    later = Run(lambda: compiled.append("later"))
    if not keeping:  # as on a GPU
        monkeypatch.setattr(compilation, "_keeping", lambda: None)
    shapes = {"a": jax.ShapeDtypeStruct(ARRAY.shape, np.float32)}
    thread = threading.Thread(target=lambda: later.work.compile(shapes, factor=2.0))

    def while_it_is_traced() -> None:
        thread.start()
        until(lambda: len(asked) == 2 or later.traces > 0)
        compiled.append("first")

    first = Run(while_it_is_traced)
    first.work.compile(shapes, factor=2.0)
    thread.join()
    # Machine code is found; JAX's own cache is met by a trace.
    assert compiled == (["first"] if keeping else ["first", "later"])


@pytest.mark.parametrize("way", ["cut", "flipped", "empty", "another key", "short key", "sources"])
def test_what_was_not_kept_so_is_compiled_again(
    way: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Run()()
    (file,) = programs(folder)
    content = file.read_bytes()
    key = folder / "key"
    if way == "another key":
        key.write_bytes(key.read_bytes()[::-1])
    elif way == "short key":
        key.write_bytes(b"")
    elif way == "sources":
        monkeypatch.setattr(compilation, "_sources", lambda: "a later version")
    else:
        flipped = content[:-100] + bytes([content[-100] ^ 1]) + content[-99:]
        file.write_bytes({"cut": content[:1000], "flipped": flipped, "empty": b""}[way])
    assert Run()() == 1
    assert programs(folder) == [file]
    assert Run()() == 0


def test_nothing_is_unpickled_before_its_signature_is_right(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Run()()
    (file,) = programs(folder)
    file.write_bytes(file.read_bytes()[:-1] + b"!")
    read = []
    monkeypatch.setattr(
        serialize_executable, "deserialize_and_load", lambda data, *_: read.append(data)
    )
    Run()()
    assert len(read) == 1  # what has just been compiled, to be tried


def test_those_who_keep_their_first_programs_at_once_sign_with_one_key(tmp_path: Path) -> None:
    """Otherwise all but the last one's would be compiled again by the next run."""
    for number in range(50):
        file = tmp_path / f"key{number}"
        start, keys = threading.Barrier(8), []

        def make(file: Path = file, start: Any = start, keys: list[bytes] = keys) -> None:
            start.wait()
            keys.append(compilation._key(file))

        threads = [threading.Thread(target=make) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert keys == 8 * [file.read_bytes()]
        assert len(keys[0]) == 32
    assert not list(tmp_path.glob("*.????????"))  # what they wrote first


def test_a_program_that_runs_otherwise_is_not_kept(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = Run()
    wrong = serialize_executable.serialize(
        other.work.function.lower({"a": jnp.asarray(ARRAY)}, factor=5.0).compile()
    )
    monkeypatch.setattr(serialize_executable, "serialize", lambda _: wrong)
    assert Run()() == 1
    assert programs(folder) == []


def test_a_program_that_does_not_run_is_not_kept(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As one that was serialized a second time: it loads, and then misses a function."""

    def missing(*_: Any) -> jax.Array:
        raise jax.errors.JaxRuntimeError("NOT_FOUND: Function dot_kernel not found")

    monkeypatch.setattr(serialize_executable, "deserialize_and_load", lambda *_: missing)
    assert Run()() == 1
    assert programs(folder) == []


def test_a_full_disk_is_no_matter(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(compilation, "open_whole", full)
    assert Run()() == 1
    assert programs(folder) == []


def test_under_a_transformation_it_is_the_function(folder: Path) -> None:
    run = Run()
    slope = jax.grad(lambda a: run.work({"a": a}, factor=1.0).sum())(jnp.asarray(ARRAY))
    assert slope.shape == ARRAY.shape
    assert programs(folder) == []


def test_without_the_command_nothing_is_kept(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(compilation, "_folder", None)
    run = Run()
    assert (run(), run()) == (1, 1)
