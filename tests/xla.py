"""What XLA is told, in the tests' own process and in those that they start.

Compiling is most of the suite's time, and most tests compute little with what is compiled: so LLVM
optimizes nothing, in all processes, as tests ask for the same bytes from several of them. Results
differ from those of XLA's own level by rounding; `.ci/newest` runs with that.
"""

from __future__ import annotations

import os

import jaxlib

# XLA says at every use of the tests' own cache that this machine might be another one (jax issue
# 38445): for processes of which every line is looked at.
QUIET = {"TF_CPP_MIN_LOG_LEVEL": "3"}

_LEVEL = "--xla_backend_optimization_level"
_EMITTERS = "--xla_cpu_use_fusion_emitters"
_KNOWS_EMITTERS = jaxlib.__version__ == "0.10.1"  # later ones do not know the flag, and end


def compile_quickly() -> None:
    """To be called before JAX makes its devices; a level that is chosen already stays."""
    if _LEVEL not in os.environ.get("XLA_FLAGS", ""):
        os.environ["XLA_FLAGS"] = _and(_flags(level=0, emitters="false"))


def optimized() -> dict[str, str]:
    """The variable for a process that paints large photos or trains a real network.

    At the other level that takes up to ten times as long.
    """
    return {"XLA_FLAGS": _and(_flags(level=1, emitters="true"))}


def with_devices(count: int) -> dict[str, str]:
    """The variable for a process that sees so many devices on this CPU."""
    return {"XLA_FLAGS": _and(f"--xla_force_host_platform_device_count={count}")}


def _flags(level: int, emitters: str) -> str:
    return f"{_LEVEL}={level} {_EMITTERS}={emitters}" if _KNOWS_EMITTERS else f"{_LEVEL}={level}"


def _and(flags: str) -> str:
    """What is told already, and more; of two values of a flag the last one counts."""
    return f"{os.environ.get('XLA_FLAGS', '')} {flags}".strip()
