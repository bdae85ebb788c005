"""What XLA is told, in the tests' own process and in those that they start.

Compiling is most of the suite's time. The tests' own process computes little with what it compiles:
there LLVM optimizes nothing. What other processes run is compiled with the least of XLA's levels at
which photos are painted in reasonable time. Results differ from those of XLA's own level by
rounding; `.ci/newest` runs with that.
"""

from __future__ import annotations

import os

import jax
import jaxlib

# XLA says at every use of the tests' own cache that this machine might be another one (jax issue
# 38445): for processes of which every line is looked at.
QUIET = {"TF_CPP_MIN_LOG_LEVEL": "3"}

_LEVEL = "--xla_backend_optimization_level"
# Later ones do not know the flag, and end.
_EMITTERS = "--xla_cpu_use_fusion_emitters=false" if jaxlib.__version__ == "0.10.1" else ""


def compile_quickly() -> None:
    """To be called before JAX makes its devices; a level that is chosen already stays."""
    if _LEVEL in os.environ.get("XLA_FLAGS", ""):
        return
    others = _and(f"{_LEVEL}=1 {_EMITTERS}")
    os.environ |= compiled_at_once()
    jax.devices()  # now XLA has read them
    os.environ["XLA_FLAGS"] = others


def compiled_at_once() -> dict[str, str]:
    """The variable for a process that computes little with what it compiles."""
    return {"XLA_FLAGS": _and(f"{_LEVEL}=0 {_EMITTERS}")}


def with_devices(count: int) -> dict[str, str]:
    """The variable for a process that sees so many devices on this CPU."""
    return {"XLA_FLAGS": _and(f"--xla_force_host_platform_device_count={count}")}


def _and(flag: str) -> str:
    return f"{os.environ.get('XLA_FLAGS', '')} {flag}".strip()
