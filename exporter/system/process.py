"""The process itself: standard streams, the limit on open files, the garbage collector.

With Python's default thresholds the collector runs at every second poll, takes an eighth of a
poll's CPU, and now and then walks through the state of all devices at once. Polls leave few
reference cycles, so it runs rarely here.
"""

import gc
import io
import os
import resource
import sys
from typing import Any, Final

import structlog

SPARE_FILES: Final = 128
"""Open files not used for devices or visitors: name servers, logs, config and password files."""

_log = structlog.get_logger()


class TooManyConnections(Exception):
    """The hard limit on open files is too low; `str()` says what is needed and what to do."""


def open_closed_streams() -> None:
    """Open the null device for each standard stream that is closed.

    Otherwise the next file or socket gets its number, and printed text goes there.
    """
    for name, mode in {"stdin": "r", "stdout": "w", "stderr": "w"}.items():
        if getattr(sys, name) is None:
            # In the order 0, 1, 2: `open` returns the lowest free number.
            opened = os.open(os.devnull, os.O_RDWR)
            setattr(sys, name, os.fdopen(opened, mode, closefd=False))


class OutputFailed(Exception):
    """Standard output cannot be written: a full disk, a closed pipe; `str()` says why.

    Not an `OSError`: argparse ignores those, and they do not say which file failed.
    """


class _Output(io.FileIO):
    """Standard output; its errors are `OutputFailed`."""

    def write(self, data: Any) -> int:  # noqa: ANN401 - any buffer, as for `FileIO`
        """Write bytes. Raises `OutputFailed`."""
        try:
            return super().write(data)
        except OSError as error:
            raise OutputFailed(f"cannot write the output: {error.strerror}") from None


def check_output() -> None:
    """Make every write to standard output raise `OutputFailed` if it fails."""
    before = sys.stdout
    if isinstance(before, io.TextIOWrapper):
        sys.stdout = io.TextIOWrapper(
            io.BufferedWriter(_Output(before.fileno(), "wb", closefd=False)),
            before.encoding,
            before.errors,
            line_buffering=before.line_buffering or before.write_through,
        )


def discard_output() -> None:
    """Drop what could not be written; otherwise Python would try again at its end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def raise_file_limit(connections: int) -> None:
    """Raise the soft limit on open files to the hard one.

    Raises `TooManyConnections` if the hard limit is too low for one file per connection.
    """
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


def warn_of_low_file_limit(devices: int, polls_at_once: int, visitors: int) -> None:
    """Log a warning if devices and visitors together may need more open files than are allowed.

    A poll may need two: it tries the next address of a name while the first one is silent. Names
    with more silent addresses need up to 8, which is too rare to ask for.
    """
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = devices + min(devices, polls_at_once) + visitors + SPARE_FILES
    if limit != resource.RLIM_INFINITY and needed > limit:
        _log.warning(
            "files.limit_low",
            limit=limit,
            needed=needed,
            advice="many visitors could make polls fail: raise the limit (systemd: LimitNOFILE=, "
            "shell: ulimit -Hn), or lower --web.max-connections or global.concurrency",
        )


def collect_rarely() -> None:
    """Run the garbage collector less often than Python does by default.

    At most 20,000 new objects are looked at in one step, which takes 7 ms.
    """
    gc.set_threshold(10_000, 1, 2000)


def freeze_existing_objects() -> None:
    """Exclude the objects that exist now, such as config and devices, from later collections."""
    gc.collect()
    gc.freeze()


def freeze_new_objects() -> None:
    """Do so for the objects that have come since, without looking at all: that takes seconds."""
    gc.collect(1)
    gc.freeze()
