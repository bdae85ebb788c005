"""What every source of photos is: a list of encoded photos with names, read by index.

The order in which training sees them is computed, never stored.
"""

from __future__ import annotations

import abc
import logging
from collections.abc import Callable

from jaxcolor.training.host_tensorflow import tf

_LOG = logging.getLogger(__name__)


class Photos(abc.ABC):
    """Encoded photos that are read by index."""

    def __init__(self) -> None:
        self._passed_over: set[int] = set()

    @abc.abstractmethod
    def __len__(self) -> int:
        """How many there are."""

    @abc.abstractmethod
    def name(self, index: int) -> str:
        """What a person would look for: a path, or a place in a data set."""

    @abc.abstractmethod
    def encoded(self, index: tf.Tensor) -> tf.Tensor:
        """The bytes of a photo's file (a string tensor), inside a graph or outside."""

    def pass_over(self, index: int, reason: Callable[[], str]) -> None:
        """Names a photo of no use in the log, the first time only; just then a reason is needed."""
        if index not in self._passed_over:
            self._passed_over.add(index)
            _LOG.warning("passed over: %s: %s", self.name(index), reason())
