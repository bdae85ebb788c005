"""What XLA is told, in the tests' own process and in those that they start.

Compiling is most of the suite's time. The level below takes a fifth less of it than XLA's own, for
programs that are as fast and the same but for rounding; `.ci/newest` runs with XLA's own.
"""

from __future__ import annotations

import os

# XLA says at every use of the tests' own cache that this machine might be another one (jax issue
# 38445): for processes of which every line is looked at.
QUIET = {"TF_CPP_MIN_LOG_LEVEL": "3"}

_LEVEL = "--xla_backend_optimization_level"


def compile_quickly() -> None:
    """To be called before JAX makes its devices; a level that is chosen already stays."""
    if _LEVEL not in os.environ.get("XLA_FLAGS", ""):
        os.environ["XLA_FLAGS"] = _and(f"{_LEVEL}=1")


def with_devices(count: int) -> dict[str, str]:
    """The variable for a process that sees so many devices on this CPU."""
    return {"XLA_FLAGS": _and(f"--xla_force_host_platform_device_count={count}")}


def _and(flag: str) -> str:
    return f"{os.environ.get('XLA_FLAGS', '')} {flag}".strip()
