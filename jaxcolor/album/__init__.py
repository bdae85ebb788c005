"""Photo files -> colour files: albums of any size, unattended.

`plan` says which photo becomes which file, `places` what of it is there already or cannot be;
`run` has `jaxcolor.engine` make the rest, and `report` writes down what became of each.
"""

from jaxcolor.album.places import sort_out
from jaxcolor.album.plan import Job, PlanError, Shard, plan, somewhere, unread
from jaxcolor.album.report import Outcome, save_report
from jaxcolor.album.run import colorize_files
from jaxcolor.engine import Settings

__all__ = [
    "Job",
    "Outcome",
    "PlanError",
    "Settings",
    "Shard",
    "colorize_files",
    "plan",
    "save_report",
    "somewhere",
    "sort_out",
    "unread",
]
