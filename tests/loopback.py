"""Servers on this machine: for what is fetched in tests, and object storage."""

from __future__ import annotations

import contextlib
import functools
import http.server
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest


class Server(http.server.ThreadingHTTPServer):
    """Answers at a free port of 127.0.0.1 while it is `running`."""

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


@contextlib.contextmanager
def storage() -> Iterator[Any]:
    """A client of an S3 server, to which this process's environment leads meanwhile."""
    import boto3
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    try:
        with pytest.MonkeyPatch.context() as patch:
            for name, value in {
                "AWS_ENDPOINT_URL": f"http://{host}:{port}",
                "AWS_ALLOW_HTTP": "true",
                "AWS_ACCESS_KEY_ID": "anybody",
                "AWS_SECRET_ACCESS_KEY": "anything",
                "AWS_REGION": "us-east-1",
            }.items():
                patch.setenv(name, value)
            yield boto3.client("s3")
    finally:
        server.stop()
