"""Checkpoints of a training run. The only module that knows Orbax."""

from __future__ import annotations

import dataclasses
import itertools
import json
import logging
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp
from jax.experimental import multihost_utils

from jaxcolor.training import checksums

_LOG = logging.getLogger(__name__)

_STATE = "default"  # Orbax' names: the folder of a step's only item,
_METADATA = "_METADATA"  # and the file that says what is in it


class Checkpoints:
    """The latest states of a run and the best one, each written whole or not at all.

    A context: saving goes on in the background, and the end waits for it. On several processes
    each calls every method, with the same step, and sees the same folder.
    """

    def __init__(self, folder: Path, keep: int, best: str = "loss") -> None:
        """Opens `folder`, which need not be there; each step gets a folder of its number in it.

        Args:
          folder: of this run alone.
          keep: how many of the latest states stay.
          best: the figure whose smallest value marks the best state, which stays too.
        """
        if keep < 1:
            raise ValueError(f"keep_checkpoints: {keep} is less than 1")
        self.folder = folder.absolute()
        self._best = best
        self._retention = _LatestAndBest(keep)
        self._manager: _Manager | None = None

    def __enter__(self) -> Checkpoints:
        logging.getLogger("absl").addFilter(_not_from_orbax)
        self._retention.scores = {step: self._read_score(step) for step in self._steps()}
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self._close()
        finally:
            logging.getLogger("absl").removeFilter(_not_from_orbax)

    def save(self, step: int, state: Any, figures: Mapping[str, float] | None = None) -> None:
        """Saves a state under its step, unless that step is there.

        Returns when the write before it is done and the arrays are copied off the devices: the
        state may then be donated.

        Args:
          step: steps done.
          state: pytree of arrays.
          figures: of this state's validation; without them it is never the best.

        Raises:
          OSError: this write or the one before it failed.
        """
        metadata = {name: float(value) for name, value in (figures or {}).items()}
        score = metadata[self._best] if metadata else math.nan
        with self._writing(), jax.transfer_guard("allow"):  # to the host is what it is for
            manager = self._open()
            if step in _as_process_0(manager.all_steps()):
                return
            self._retention.scores[step] = score
            item = ocp.args.StandardSave(state, custom_metadata=metadata)
            manager.save(step, args=item, force=True)  # force: at any step

    def wait(self) -> None:
        """Returns when everything is on disk; raises an OSError if a write failed."""
        if self._manager:
            with self._writing():
                self._manager.wait_until_finished()

    def latest_step(self) -> int | None:
        """The newest step on disk."""
        return max(self._steps(), default=None)

    def restore_latest(self, like: Any) -> Any | None:
        """The newest state that is not damaged, the same one on all processes.

        Damaged ones are named in the log and, once another is restored, kept as `STEP.damaged`.

        Args:
          like: pytree of `jax.Array`s with the structure, shapes, dtypes and shardings wanted. The
            state may have been saved on other numbers of devices and processes.

        Returns:
          The state; None if the folder holds no checkpoint.

        Raises:
          ValueError: the state is another network's, or every checkpoint is damaged.
        """
        if jax.process_index() == 0:
            for path in sorted(self.folder.glob(f"*{ocp.utils.TMP_DIR_SUFFIX}*")):
                _LOG.warning("%s is passed over: it was not written to the end", path)
        steps = _as_process_0(self._steps())[::-1]
        damaged = list(itertools.takewhile(self._is_damaged, steps))
        if not steps:
            return None
        if damaged == steps:
            raise ValueError(
                f"{self.folder}: every checkpoint is damaged; to start from the beginning, move "
                "this folder away"
            )
        folder = self._state_folder(steps[len(damaged)])
        target = jax.tree.map(ocp.utils.to_shape_dtype_struct, like)
        self._check_network(folder, target)
        state = _Handler().restore(folder, args=ocp.args.StandardRestore(target))
        if damaged:
            self._move_aside(damaged)
        return state

    # -- Writing -----------------------------------------------------------------------------

    def _open(self) -> _Manager:
        if self._manager is None:
            registry = ocp.handlers.DefaultCheckpointHandlerRegistry()
            registry.add(_STATE, ocp.args.StandardSave, _Handler())
            options = ocp.CheckpointManagerOptions(
                preservation_policy=self._retention,
                cleanup_tmp_directories=True,
                lightweight_initialize=True,  # or a damaged file of an old step stops it
            )
            self._manager = _Manager(self.folder, options=options, handler_registry=registry)
        return self._manager

    def _close(self) -> None:
        manager, self._manager = self._manager, None
        if manager:
            with self._writing():
                try:
                    manager.wait_until_finished()
                finally:
                    manager.close()

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """Makes one line of whatever Orbax and TensorStore raise."""
        try:
            yield
        except Exception as error:
            reason = str(error).partition("\n")[0]
            raise OSError(f"{self.folder}: a checkpoint is not written: {reason}") from error

    # -- Reading -----------------------------------------------------------------------------

    def _steps(self) -> list[int]:
        """The steps on disk, ascending: Orbax gives a folder its number when all is written."""
        paths = self.folder.iterdir() if self.folder.is_dir() else ()
        return sorted(int(path.name) for path in paths if path.name.isdecimal())

    def _state_folder(self, step: int) -> Path:
        return self.folder / str(step) / _STATE

    def _read_score(self, step: int) -> float:
        try:
            metadata = json.loads((self._state_folder(step) / _METADATA).read_text())
            return float(metadata["custom_metadata"][self._best])
        except (OSError, ValueError, LookupError, TypeError):  # no figures, or damaged
            return math.nan

    def _is_damaged(self, step: int) -> bool:
        """Whether any process finds damage; the first of those names it in the log."""
        damage = checksums.damage(self._state_folder(step))
        found = multihost_utils.process_allgather(np.array(damage is not None))
        if damage and jax.process_index() == np.argmax(found):
            _LOG.warning("%s is passed over: %s", self.folder / str(step), damage)
        return bool(found.any())

    def _check_network(self, folder: Path, target: Any) -> None:
        saved, wanted = _shapes(_Handler().metadata(folder).tree), _shapes(target)
        for name in sorted(saved.keys() | wanted.keys()):
            there, here = saved.get(name, "nothing"), wanted.get(name, "nothing")
            if there != here:
                raise ValueError(
                    f"{self.folder} holds checkpoints of another network or optimizer ({name}: "
                    f"{there} there, {here} here); choose another workdir"
                )

    def _move_aside(self, steps: Sequence[int]) -> None:
        self._close()  # its list of steps is no longer true
        for step in steps if jax.process_index() == 0 else ():
            names = (self.folder / f"{step}.damaged{n or ''}" for n in itertools.count())
            unused = next(path for path in names if not path.exists())
            (self.folder / str(step)).rename(unused)
        multihost_utils.sync_global_devices("damaged checkpoints are moved aside")


@dataclasses.dataclass
class _LatestAndBest:
    """Which steps stay, as Orbax' `PreservationPolicy`: the `keep` latest and the best."""

    keep: int
    scores: dict[int, float] = dataclasses.field(default_factory=dict)  # NaN: without figures

    def best(self, steps: Iterable[int]) -> int | None:
        scored = [step for step in steps if math.isfinite(self.scores.get(step, math.nan))]
        return min(scored, key=self.scores.__getitem__, default=None)

    def should_preserve(self, checkpoints: Sequence[Any], *, context: Any) -> list[bool]:
        steps = [checkpoint.step for checkpoint in checkpoints]
        kept = {*sorted(steps)[-self.keep :], self.best(steps)}
        return [step in kept for step in steps]


class _Manager(ocp.CheckpointManager):
    def reached_preemption(self, step: int) -> bool:
        """Never: JAX stops all processes after the last step it was asked about, by the loop.

        Orbax would ask again, in the background, about a step long past.
        """
        return False


class _Handler(ocp.StandardCheckpointHandler):
    """With checksums: reading meets a short file with many tracebacks, and bad bits unawares."""

    def finalize(self, directory: Path) -> None:
        """On process 0, when all have written, before the folder gets its name."""
        super().finalize(directory)
        checksums.write(Path(directory))


def _shapes(tree: Any) -> dict[str, str]:
    """{"trainable/D1/kernel": "float32 (3, 3, 256, 128)"} of arrays or their metadata."""
    flat = ocp.utils.to_flat_dict(tree)
    return {"/".join(path): f"{leaf.dtype} {tuple(leaf.shape)}" for path, leaf in flat.items()}


def _as_process_0(steps: Sequence[int]) -> list[int]:
    count = multihost_utils.broadcast_one_to_all(np.int32(len(steps)))
    same_length = np.resize(np.array(steps, np.int32), int(count))
    return [int(step) for step in multihost_utils.broadcast_one_to_all(same_length)]


def _not_from_orbax(record: logging.LogRecord) -> bool:
    """Orbax tells every rename, and logs what it then raises."""
    return "orbax" not in Path(record.pathname).parts
