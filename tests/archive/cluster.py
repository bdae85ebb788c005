"""A cluster of Ray on this machine, in a process of its own: starting one forks.

python cluster.py STORE CORES...    prints the address; ends when standard input does

STORE is how many bytes each node's object store may have, CORES those of each node. A line "lose"
on standard input kills a node that is not the head, and "join" brings one more with as many cores;
each is answered by a line when that is done.
"""

from __future__ import annotations

import contextlib
import socket
import sys


def main() -> None:
    """Starts the nodes, does what it is told, and stops them at the end."""
    from ray.cluster_utils import Cluster

    store, *nodes = map(int, sys.argv[1:])
    cluster = Cluster()

    def join(cores: int) -> None:
        cluster.add_node(
            num_cpus=cores,
            object_store_memory=store,
            include_dashboard=False,
            include_log_monitor=False,
            no_monitor=True,  # which would ask for more nodes
            **free_ports(),
        )

    try:
        for cores in nodes:
            join(cores)
        print(cluster.address, flush=True)
        for line in sys.stdin:
            if line.strip() == "lose":
                cluster.remove_node(next(iter(cluster.worker_nodes)), allow_graceful=False)
            else:
                join(nodes[-1])
            print("done", flush=True)
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
