"""A Debian that systemd has booted in a container without a network."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Final

import pytest

from tests.artifacts.debian import Suite, require_containers, root_of
from tests.support.programs import wait_until

_BOOT: Final = Path(__file__).with_name("boot.sh")
_PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_BOOT_SECONDS: Final = 60.0
_COMMAND_SECONDS: Final = 110.0


class Container:
    """A running container, by the process id of its systemd."""

    def __init__(self, init: int) -> None:
        self._init = init

    def sh(self, script: str, *, ok: bool = True, umask: str = "022") -> str:
        """Run a shell script as root; return its output. With `ok` it must succeed."""
        done = self._shell(f"umask {umask}\n{script}")
        output = done.stdout.decode("utf-8", "replace")
        assert done.returncode == 0 or not ok, f"{script}\nended with {done.returncode}:\n{output}"
        return output

    def code(self, script: str) -> int:
        """Run a shell script; return its exit code."""
        return self._shell(script).returncode

    def write(self, path: str, text: str, mode: str = "644") -> None:
        """Write a file and make its folder."""
        make = f"mkdir -p {Path(path).parent} && cat >{path} && chmod {mode} {path}"
        assert self._shell(make, text.encode()).returncode == 0

    def _shell(self, script: str, given: bytes = b"") -> subprocess.CompletedProcess[bytes]:
        enter = ["nsenter", f"--target={self._init}", "--all", "env", "-i"]
        variables = [f"PATH={_PATH}", "HOME=/root", "LANG=C.UTF-8"]
        return subprocess.run(
            [*enter, *variables, "sh", "-euc", script],
            input=given,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=_COMMAND_SECONDS,
            check=False,
        )

    def properties(self, unit: str, *names: str) -> dict[str, str]:
        """Return what systemd says about a unit."""
        shown = self.sh(f"systemctl show {unit} --property={','.join(names)}")
        return dict(line.split("=", 1) for line in shown.splitlines())

    def journal(self, unit: str) -> str:
        """Return what a unit and systemd about it have written, without times."""
        return self.sh(f"journalctl --sync; journalctl --output=cat --no-pager --unit={unit}")


@contextmanager
def booted(suite: Suite, binds: Mapping[Path, str]) -> Iterator[Container]:
    """Boot a container with these folders of this machine, read-only; end it with the block."""
    require_containers()
    cgroup = f"axis-ntp-exporter-{os.getpid()}"
    mounts = [f"--bind-ro={source}:{target}" for source, target in binds.items()]
    # The kernel ends all of it with this process: also after SIGKILL.
    isolated = ["--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "--propagation"]
    command = ["setpriv", "--pdeathsig=KILL", "unshare", *isolated, "private", "sh", str(_BOOT)]
    words = [*command, cgroup, str(root_of(suite)), "--machine=axis-ntp", *mounts]
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(
            words, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
        )
        try:
            yield _when_up(process, log.fileno())
        finally:
            process.kill()
            process.wait()
            _remove_cgroup(cgroup)


def _when_up(process: subprocess.Popen[bytes], log: int) -> Container:
    """Wait until systemd in the container has started everything."""

    def explain() -> str:
        return os.pread(log, 4000, 0).decode("utf-8", "replace")

    def is_up() -> bool:
        if process.poll() is not None:
            pytest.exit(f"systemd-nspawn failed: {explain()}", returncode=1)
        init = _grandchild(process.pid)
        return init is not None and Container(init).code("systemctl is-system-running") == 0

    wait_until(is_up, "the container is up", explain, _BOOT_SECONDS)
    init = _grandchild(process.pid)
    assert init is not None
    return Container(init)


def _grandchild(process: int) -> int | None:
    """Return the systemd that nspawn, the child of `process`, has started."""
    with suppress(OSError):  # nspawn has other children, which end, before it starts systemd
        for _ in range(2):
            children = Path(f"/proc/{process}/task/{process}/children").read_text().split()
            if len(children) != 1:
                return None
            process = int(children[0])
        if Path(f"/proc/{process}/comm").read_text().strip() == "systemd":
            return process
    return None


def _remove_cgroup(name: str) -> None:
    """Remove the container's cgroups, wherever cgroup v2 is mounted, when they are empty."""
    for tree in ("/sys/fs/cgroup", "/sys/fs/cgroup/unified"):
        top = Path(tree) / name
        events = top / "cgroup.events"
        if events.exists():
            wait_until(partial(_is_empty, events), f"no process is left in {top}")
            for folder, _, _ in os.walk(top, topdown=False):
                Path(folder).rmdir()


def _is_empty(events: Path) -> bool:
    return "populated 0" in events.read_text()
