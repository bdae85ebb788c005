"""python with_tiny.py ARGS...    `jaxcolor ARGS...`, to whom the tiny network is known, too.

For what is proved of a process and needs no larger network.
"""

import tiny_network  # noqa: F401  # makes it known

from jaxcolor.cli import main

if __name__ == "__main__":
    main(prog_name="jaxcolor")
