"""python with_tiny.py ARGS...    `jaxcolor ARGS...`, to whom the tiny network is known, too.

For what is proved of a process and needs no larger network.
"""

from jaxcolor.cli import main
from jaxcolor.commands import set_up_jax

set_up_jax()  # before anything imports JAX

import tiny_network  # noqa: E402, F401  # makes it known

if __name__ == "__main__":
    main(prog_name="jaxcolor")
