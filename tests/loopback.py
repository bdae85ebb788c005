"""HTTP servers on this machine, for what is fetched in tests."""

from __future__ import annotations

import contextlib
import functools
import http.server
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any


class Server(http.server.ThreadingHTTPServer):
    """Answers at a free port of 127.0.0.1 while it is used as a context."""

    daemon_threads = True

    def __init__(self, handler: Callable[..., Any]):
        super().__init__(("127.0.0.1", 0), handler)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        thread = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield
        finally:
            self.shutdown()
            self.server_close()
            thread.join()


class Handler(http.server.BaseHTTPRequestHandler):
    """Says nothing of the requests that it answers."""

    def log_message(self, *_: object) -> None:
        pass


@contextlib.contextmanager
def folder(path: Path) -> Iterator[str]:
    """The address of a server that hands out a folder's files, as any static host does."""

    class Files(Handler, http.server.SimpleHTTPRequestHandler):
        pass

    server = Server(functools.partial(Files, directory=str(path)))
    with server.running():
        yield server.url
