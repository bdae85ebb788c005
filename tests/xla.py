"""What XLA is told, in the tests' own process and in those that they start.

Compiling is most of the suite's time, and most tests compute little with what is compiled: so LLVM
optimizes little, in all processes, as tests ask for the same bytes from several of them. Results
differ from those of XLA's own level by rounding; `.ci/newest` runs with that.

Level 1 is what photos are painted at: level 0 would take twice as long and more. Where hardly
anything is computed it compiles in half the time and less, in modules that say `unoptimized` and in
processes of many devices or of training (`with_devices`).
"""

from __future__ import annotations

import os

import jax
import jaxlib

# XLA says at every use of the tests' own cache that this machine might be another one (jax issue
# 38445): for processes of which every line is looked at.
QUIET = {"TF_CPP_MIN_LOG_LEVEL": "3"}

_LITTLE = "jax_disable_most_optimizations"  # level 0
_LEVEL = "--xla_backend_optimization_level"
_QUICK = f"{_LEVEL}=1"
# Fusions without what writes them by way of MLIR compile faster, and faster still where LLVM leaves
# loops as they stand and looks for vectors in loops alone: of the default network a third less in
# all, though painting takes more than twice the time. Who does not know one of these flags ends, as
# jaxlib after 0.10.1 does for the first.
if jaxlib.__version__ == "0.10.1":
    _QUICK += " --xla_cpu_use_fusion_emitters=false"
    _QUICK += " --xla_backend_extra_options=-disable-lsr,-vectorize-slp=false"


def compile_quickly() -> None:
    """To be called before JAX makes its devices; a level that is chosen already stays."""
    if _LEVEL not in os.environ.get("XLA_FLAGS", ""):
        os.environ["XLA_FLAGS"] = _and(_QUICK)


def optimize(much: bool) -> None:
    """Our level, or 0, for what this process compiles from now on.

    What it compiled at the other one is let go of.
    """
    if _quick() and jax.config.values[_LITTLE] is much:
        jax.clear_caches()
        jax.config.update(_LITTLE, not much)


def with_devices(count: int, *, unoptimized: bool = True) -> dict[str, str]:
    """The variable for a process that sees so many devices on this CPU."""
    flags = f"--xla_force_host_platform_device_count={count}"
    if unoptimized and _quick():
        flags += f" {_LEVEL}=0"
    return {"XLA_FLAGS": _and(flags)}


def _quick() -> bool:
    """Whether the level is ours."""
    return _QUICK in os.environ.get("XLA_FLAGS", "")


def _and(flags: str) -> str:
    """What is told already, and more; of two values of a flag the last one counts."""
    return f"{os.environ.get('XLA_FLAGS', '')} {flags}".strip()
