"""Programs that are compiled ahead of their use, each once, beside whatever else goes on."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Hashable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import NamedTuple

import numpy as np

from jaxcolor.image_io import Photo
from jaxcolor.models.colorizer import Params
from jaxcolor.predict import stages
from jaxcolor.predict.stages import Kind
from jaxcolor.predict.view import Shape, answer_shape, shape_for, shapes


class Needs(NamedTuple):
    """What one photo needs.

    Attributes:
      shape: of its view; those of one shape go through the network together.
      network: done when the network is compiled for that.
      painting: done when painting it is; as long as the photo is not known, when the network is.
      hints: done when what hints need beside is; None: it has none.
    """

    shape: Shape
    network: Future[None]
    painting: Future[None]
    hints: Future[None] | None = None


class Programs:
    """What the stages need, for batches of one size.

    `stages` would compile it when it is first called, and twice where two threads call it at once.
    """

    def __init__(self, batch_size: int):
        self._batch_size = batch_size
        self._lock = threading.Lock()
        self._begun: dict[Hashable, Future[None]] = {}
        self._threads = ThreadPoolExecutor(2, "compile")

    def needed(
        self, params: Params, photo: Photo | None, *, hinted: bool = False, painted: bool = True
    ) -> Needs | None:
        """Begins to compile what a photo needs.

        Args:
          params: the colorizer.
          photo: None: not decoded yet.
          hinted: whether it has hints.
          painted: whether it is painted, too.

        Returns:
          None where that hangs on the photo's shape: a wrong guess would cost more than the wait.
        """
        if photo is None:
            shape, *others = shapes(params)
            if others:
                return None
            network = self._network(params, shape)
            return Needs(shape, network, network)
        shape = shape_for(params, photo.size)
        # Painting first: its trace is short, and it is compiled while the network is traced.
        answer, hints = answer_shape(params, shape), None
        if hinted:
            grid = stages.grid_for(answer, photo.size)
            hints, answer = self._hints(answer, grid), grid
        painting = self._painting(answer, stages.kind_of(photo.pixels)) if painted else None
        network = self._network(params, shape)
        return Needs(shape, network, painting or network, hints)

    def compile_all(self, colorizers: Iterable[Params]) -> None:
        """Compiles all that photos of 8 and of 16 bits can need, and runs it once."""
        for params in colorizers:
            for shape in shapes(params):
                answer = answer_shape(params, shape)
                grid = stages.grid_for(answer, shape)
                programs = [
                    *(self._painting(s, kind) for s in {answer, grid} for kind in stages.KINDS),
                    self._hints(answer, grid),
                    self._network(params, shape),
                ]
                for program in programs:
                    program.result()
                view = stages.shrink(params, np.zeros(shape, np.uint8))
                stages.run_network(params, [view], batch_size=self._batch_size)

    def compiling(self) -> bool:
        """Whether something of what was begun is not compiled yet."""
        with self._lock:
            return not all(program.done() for program in self._begun.values())

    def close(self) -> None:
        """Ends the threads; what is being compiled is waited for."""
        self._threads.shutdown(cancel_futures=True)

    def _network(self, params: Params, shape: Shape) -> Future[None]:
        work = functools.partial(stages.compile_network, params, shape, batch_size=self._batch_size)
        return self._begin((params.config, shape), work)

    def _painting(self, answer: Shape, kind: Kind) -> Future[None]:
        return self._begin((answer, kind), lambda: stages.compile_painting(answer, kind))

    def _hints(self, answer: Shape, grid: Shape) -> Future[None]:
        key = "hints", answer, grid
        return self._begin(key, lambda: stages.compile_hints(answer, grid))

    def _begin(self, key: Hashable, work: Callable[[], None]) -> Future[None]:
        with self._lock:
            if key not in self._begun:
                self._begun[key] = self._threads.submit(work)
            return self._begun[key]
