"""A cluster of Ray on this machine, in a process of its own: starting one forks.

python cluster.py STORE CORES...    prints the address; ends when standard input does

STORE is how many bytes each node's object store may have, CORES those of each node.
"""

from __future__ import annotations

import contextlib
import socket
import sys


def main() -> None:
    """Starts the nodes, and stops them at the end."""
    from ray.cluster_utils import Cluster

    store, *nodes = map(int, sys.argv[1:])
    cluster = Cluster()
    try:
        for cores in nodes:
            cluster.add_node(
                num_cpus=cores, include_dashboard=False, object_store_memory=store, **free_ports()
            )
        print(cluster.address, flush=True)
        sys.stdin.read()
    finally:
        cluster.shutdown()


def free_ports() -> dict[str, int]:
    """Where a node's helpers listen: a node ends itself where they say so too late."""
    names = "metrics_agent", "metrics_export", "dashboard_agent_listen", "runtime_env_agent"
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in names]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        found = [one.getsockname()[1] for one in sockets]
    return {f"{name}_port": port for name, port in zip(names, found, strict=True)}


if __name__ == "__main__":
    main()
