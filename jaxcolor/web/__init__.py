"""A server on one's own machine: a page to drop photos on, and the same as an HTTP API.

`server.run` is what `jaxcolor serve` calls. A request goes through `hosts` (who asks), `admission`
(is there room for it) and `exchange`, which hands its photo to `jaxcolor.engine` and its colours
back; `api` owns the routes. The page in `page/` is static files that use the API as anybody would:
it has no way around the API's limits.
"""

from __future__ import annotations

import importlib.util

_PACKAGES = ("fastapi", "uvicorn", "httptools", "prometheus_client")  # those of the extra `web`


def missing_package() -> str | None:
    """One that the server needs and that is not installed."""
    return next((name for name in _PACKAGES if importlib.util.find_spec(name) is None), None)
