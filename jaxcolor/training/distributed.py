"""Several processes that train as one: who they are, before JAX looks for devices."""

from __future__ import annotations

import os
from collections.abc import Mapping

import jax


def connect(
    coordinator: str | None = None, processes: int | None = None, process: int | None = None
) -> None:
    """Joins this process to the others of its run; call it before anything else of JAX.

    With a coordinator: as told. Without one: as the scheduler says whose variables are in the
    environment (SLURM's `srun`, Open MPI's `mpirun`, Cloud TPU pods and multislice, GKE); JAX knows
    where each keeps them. A process that none of them started is alone, and nothing is done.

    Args:
      coordinator: HOST:PORT of process 0, reachable by all.
      processes: how many there are.
      process: this one's number, from 0.

    Raises:
      ValueError: some of the three are given and not all, or they cannot be.
    """
    given = (coordinator, processes, process)
    if given == (None, None, None):
        if scheduled(os.environ):
            jax.distributed.initialize()
        return
    if coordinator is None or processes is None or process is None:
        raise ValueError("--coordinator, --processes and --process belong together")
    if ":" not in coordinator:
        raise ValueError(f"--coordinator: {coordinator!r} is not HOST:PORT")
    if not 0 <= process < processes:
        raise ValueError(f"--process: {process} is not in [0, --processes={processes})")
    jax.distributed.initialize(coordinator, processes, process)


def scheduled(environment: Mapping[str, str]) -> bool:
    """Whether a scheduler has started this process as one of several."""
    if "SLURM_STEP_NODELIST" in environment:  # srun's; a batch script alone has it not
        return int(environment.get("SLURM_NTASKS", "1")) > 1
    if "OMPI_COMM_WORLD_SIZE" in environment:
        return int(environment["OMPI_COMM_WORLD_SIZE"]) > 1
    if "MEGASCALE_COORDINATOR_ADDRESS" in environment:  # several TPU slices
        return True
    hosts = environment.get("TPU_WORKER_HOSTNAMES") or environment.get("TPU_PROCESS_ADDRESSES", "")
    return "," in hosts
