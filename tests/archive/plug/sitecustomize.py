"""What the workers of a test's cluster have more than others: a tiny network, and deadly photos.

Python imports a module of this name before anything else, from PYTHONPATH.
"""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import os
import signal
import sys
import time
from typing import Any


def _know_tiny_networks(module: Any) -> None:
    import tiny_network  # noqa: F401


def _read_deadly_photos(module: Any) -> None:
    """A photo called so ends its process, as a decoder's bug would, or never comes to an end."""
    fetched = module.fetched

    def deadly(source: Any) -> Any:
        name = str(source)
        if "poison" in name:
            os.kill(os.getpid(), signal.SIGKILL)
        while "endless" in name:
            time.sleep(1)
        return fetched(source)

    module.fetched = deadly


_AFTER = {
    "jaxcolor.models": _know_tiny_networks,
    "jaxcolor.image_io.reading": _read_deadly_photos,
}


class _Finder(importlib.abc.MetaPathFinder):
    def find_spec(self, name: str, path: Any, target: Any = None) -> Any:
        if name not in _AFTER:
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path)
        assert spec is not None
        assert spec.loader is not None
        run = spec.loader.exec_module

        def exec_module(module: Any) -> None:
            run(module)
            _AFTER[name](module)

        spec.loader.exec_module = exec_module  # type: ignore[method-assign]
        return spec


sys.meta_path.insert(0, _Finder())
