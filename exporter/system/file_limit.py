"""The limit on open files: each device's connection takes one."""

from __future__ import annotations

import resource
from typing import Final

SPARE_FILES: Final = 128
"""For what is no device: who scrapes, name servers, the log, files that are read."""


class TooManyConnections(Exception):
    """The hard limit on open files is too low; `str()` says what is needed and what to do."""


def raise_file_limit(connections: int) -> None:
    """Raise the soft limit to the hard one. Raises `TooManyConnections` if that is too low."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    needed = connections + SPARE_FILES
    if hard != resource.RLIM_INFINITY and needed > hard:
        raise TooManyConnections(
            f"{connections} devices need {needed} open files, the hard limit is {hard}: "
            "raise it (systemd: LimitNOFILE=, shell: ulimit -Hn), "
            "or divide the devices with --poll.shard"
        )
