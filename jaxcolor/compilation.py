"""The caches of compiled programs: for the command and the server, never behind a user's back."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import hmac
import os
import platform
import re
import secrets
import threading
import warnings
from collections.abc import Callable, Hashable, Iterator
from pathlib import Path
from typing import Any

try:
    import fcntl
except ImportError:  # Windows: each process compiles for itself
    fcntl = None  # type: ignore[assignment]

import jax
import numpy as np

from jaxcolor.atomic import open_whole

_DAMAGED = re.compile(r"Error reading persistent compilation cache entry for '([^']+)'")
_NOT_WRITTEN = "Error writing persistent compilation cache entry"
_KEY = "key"  # the file of what kept programs are signed with
_KEY_BYTES = 32
_HARMLESS = re.compile("cache|log|traceback")  # settings that change no program

_folder: Path | None = None  # of `cache_in`
_making_key = threading.Lock()  # threads exclude each other without `fcntl`, too


def cache_in(folder: Path) -> None:
    """Keeps every compiled program in `folder`, small ones too, for all runs to come.

    Compiling takes longer than colorizing: the second run finds it done. JAX does not write an
    entry at once, so that a run that is killed can leave half of one, and does not replace it: it
    would warn and compile again for ever. Here a damaged entry is removed when it is met, without a
    word, and what is compiled in its stead is kept. A full disk, which what becomes of the photos
    tells well enough, is no reason for a word either.
    """
    global _folder
    _folder = folder
    jax.config.update("jax_compilation_cache_dir", str(folder))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
    show = warnings.showwarning

    def remove_damaged(message: Warning | str, *rest: Any, **more: Any) -> None:
        if str(message).startswith(_NOT_WRITTEN):
            return
        damaged = _DAMAGED.search(str(message))
        if damaged is None:
            show(message, *rest, **more)
            return
        _remove(folder, f"{damaged[1]}-*-cache")

    warnings.showwarning = remove_damaged


class Kept:
    """A jitted function of which the command and the server keep the machine code.

    JAX's own cache spares the compiler, but a function is traced and lowered to be found there,
    which takes the network longer than to run. After `cache_in`, on a CPU, what is compiled is kept
    as `jax.experimental.serialize_executable` writes it, and a later run does neither. Before, and
    under a transformation, it is the jitted function.

    Attributes:
      function: the jitted one; gives one array. Its static arguments are passed by name.
    """

    def __init__(self, function: Any):
        functools.update_wrapper(self, function)
        self.function = function
        self._programs: dict[Hashable, Callable[..., jax.Array]] = {}

    def __call__(self, *arguments: Any, **static: Any) -> jax.Array:
        """What the function gives."""
        leaves = jax.tree.leaves(arguments)
        if _keeping() is None or any(isinstance(leaf, jax.core.Tracer) for leaf in leaves):
            result: jax.Array = self.function(*arguments, **static)
            return result
        return self.compile(*arguments, **static)(*arguments)

    def compile(self, *arguments: Any, **static: Any) -> Callable[..., jax.Array]:
        """What `__call__` needs for such arguments, which then finds it done.

        Args:
          arguments: arrays, or shapes and types.
          static: as they will be.
        """
        if _folder is None:
            return self._compiled(arguments, static)
        leaves, structure = jax.tree.flatten((arguments, {}))
        types = tuple((leaf.shape, np.dtype(leaf.dtype)) for leaf in leaves)
        key = structure, types, tuple(sorted(static.items()))
        if key in self._programs:
            return self._programs[key]
        name = f"{self.function.__name__}-{_digest(_machine(), *map(str, key))}.program"
        file = _folder / name
        if _keeping() is None:  # JAX's own cache has it
            with _one_at_a_time(file):
                return self._compiled(arguments, static)
        program = _load(file, structure)
        if program is None:
            with _one_at_a_time(file):
                program = _load(file, structure) or self._keep(file, arguments, static)
        self._programs[key] = program
        return program

    def _compiled(self, arguments: Any, static: Any) -> jax.stages.Compiled:
        return self.function.lower(*arguments, **static).compile()

    def _keep(self, file: Path, arguments: Any, static: Any) -> Callable[..., jax.Array]:
        """Compiles, and keeps what then runs the same."""
        from jax.experimental.serialize_executable import deserialize_and_load, serialize

        # What JAX finds in its own cache cannot be written again: functions would be missing.
        own = f"jit_{self.function.__name__}-*"
        _remove(file.parent, own)
        program = self._compiled(arguments, static)
        _remove(file.parent, own)
        # On a full disk, or by a JAX that cannot, it is compiled again the next time.
        with contextlib.suppress(Exception):
            data, structure, _ = serialize(program)
            again = deserialize_and_load(data, structure, jax.tree.structure(0))
            if _alike(program, again, arguments):
                file.parent.mkdir(parents=True, exist_ok=True)
                signed = _signature(file.parent, data) + data
                with open_whole(file) as stream:
                    stream.write(signed)
        return program


def _keeping() -> Path | None:
    """The folder for machine code, if it is kept."""
    return _folder if jax.default_backend() == "cpu" else None


@contextlib.contextmanager
def _one_at_a_time(file: Path) -> Iterator[None]:
    """One process of this machine compiles a program; the others wait, and find it done."""
    with contextlib.ExitStack() as stack:
        with contextlib.suppress(OSError):  # no place for a cache
            if fcntl:
                file.parent.mkdir(parents=True, exist_ok=True)
                lock = stack.enter_context(file.with_suffix(".lock").open("wb"))
                fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _load(file: Path, structure: Any) -> Any:
    """What is kept in a file, if this very machine, JAX and jaxcolor have kept it; else None."""
    from jax.experimental.serialize_executable import deserialize_and_load

    # Whatever is wrong with it, another one will take its place.
    with contextlib.suppress(Exception):
        content = file.read_bytes()
        signature, data = content[:32], content[32:]
        # It is unpickled: nothing but what was written with the key of the folder's owner.
        if hmac.compare_digest(signature, _signature(file.parent, data)):
            return deserialize_and_load(data, structure, jax.tree.structure(0))
    return None


def _alike(one: Any, other: Any, arguments: Any) -> bool:
    """Whether two programs give the same bits, for random numbers where only shapes are known."""
    rng = np.random.default_rng(0)

    def array(leaf: Any) -> jax.Array:
        if not isinstance(leaf, jax.ShapeDtypeStruct):
            return jax.device_put(leaf)
        return jax.device_put((100 * rng.random(leaf.shape)).astype(leaf.dtype))

    arrays = jax.tree.map(array, arguments)
    results = [jax.device_get(program(*arrays)) for program in (one, other)]
    return bool(results[0].tobytes() == results[1].tobytes())


def _remove(folder: Path, pattern: str) -> None:
    for entry in folder.glob(pattern):
        entry.unlink(missing_ok=True)


def _signature(folder: Path, data: bytes) -> bytes:
    """Of what this jaxcolor has kept in its folder."""
    return hmac.digest(_key(folder / _KEY), _sources().encode() + data, "sha256")


def _key(file: Path) -> bytes:
    """What is in a file, or a new key in it: the same for all who ask at once."""
    if key := _read_key(file):
        return key
    with _making_key, _one_at_a_time(file):
        if not (key := _read_key(file)):
            key = secrets.token_bytes(_KEY_BYTES)
            temporary = file.with_name(f"{file.name}.{secrets.token_hex(4)}")
            temporary.touch(0o600, exist_ok=False)
            temporary.write_bytes(key)
            temporary.replace(file)
    return key


def _read_key(file: Path) -> bytes:
    """A whole key, or nothing."""
    with contextlib.suppress(FileNotFoundError):
        key = file.read_bytes()
        if len(key) == _KEY_BYTES:
            return key
    return b""


def _machine() -> str:
    """What the machine code hangs on beside the function and its arguments' shapes."""
    values = jax.config.values.items()
    settings = [(name, str(value)) for name, value in values if not _HARMLESS.search(name)]
    versions = jax.__version__, jax.lib.__version__, jax.devices()[0].client.platform_version
    flags = os.environ.get("XLA_FLAGS", "")
    return _digest(*map(str, sorted(settings)), *versions, flags, processor())


@functools.cache
def processor() -> str:
    """A digest of what this machine's processor is, which machine code hangs on."""
    try:
        told = Path("/proc/cpuinfo").read_text().split("\n\n")[0]
        lines = [line for line in told.splitlines() if "MHz" not in line and "bogo" not in line]
    except OSError:  # another system than Linux
        lines = [platform.processor()]
    return _digest(platform.machine(), platform.node(), *lines)


@functools.cache
def _sources() -> str:
    """Which jaxcolor it is, changed by its developers or not."""
    package = Path(__file__).parent
    stats = ((path, path.stat()) for path in sorted(package.rglob("*.py")))
    return str([(str(path), stat.st_size, stat.st_mtime_ns) for path, stat in stats])


def _digest(*texts: str) -> str:
    return hashlib.sha256("\0".join(texts).encode()).hexdigest()
