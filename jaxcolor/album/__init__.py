"""Photo files -> colour files: albums of any size, unattended.

`plan` says which photo becomes which file; `run` does it, with decoding and encoding in threads
beside the network; `report` writes down what became of each.
"""

from jaxcolor.album.plan import Job, PlanError, plan
from jaxcolor.album.report import save_report
from jaxcolor.album.run import Outcome, Settings, colorize_files, sort_out

__all__ = [
    "Job",
    "Outcome",
    "PlanError",
    "Settings",
    "colorize_files",
    "plan",
    "save_report",
    "sort_out",
]
