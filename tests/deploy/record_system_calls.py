"""Record which system calls the daemon makes, into `system_calls.txt`, which a test reads.

`python -m tests.deploy.record_system_calls`, by hand, where strace is installed.
"""

from __future__ import annotations

import asyncio
import platform
import re
import signal
import ssl
import stat
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import yaml

from exporter.simulator.fleet import build_fleet, serve_fleet
from tests.support import daemon_process
from tests.support.daemon_process import COMMAND, DaemonProcess, daemon_on
from tests.support.notify_socket import READY, WATCHDOG, notify_socket
from tests.web.web_config.certificates import authority
from tests.web.web_config.site import ALICE, AS_ALICE, TLS, write

FILE: Final = Path(__file__).with_name("system_calls.txt")
_PATHS: Final = ("/metrics", "/", "/config", "/discover", "/-/ready", "/probe?target=by-name")
_HEADER: Final = """\
# The system calls of the daemon and of the unit's ExecReload, as strace -f saw them: plain and TLS
# devices, one by a name, file_sd; a web-config with TLS and a password; every kind of page; good
# and broken reloads; the watchdog; SIGTERM.
# Made by `python -m tests.deploy.record_system_calls` with Python {python} and {libc} on {machine}.
"""


@asynccontextmanager
async def _devices() -> AsyncIterator[dict[str, Any]]:
    """A config with devices over HTTP and HTTPS, one by a name, and some of file_sd."""
    plain, secured = (build_fleet(5, "mixed", scheme=each) for each in ("http", "https"))
    async with serve_fleet(plain) as served, serve_fleet(secured) as served_securely:
        config = served.exporter_config(interval="1s", timeout="1s")
        more = served_securely.exporter_config()
        config["modules"]["secured"] = more["modules"]["default"]
        config["devices"] += [
            each | {"module": "secured", "name": f"secured {each['name']}"}
            for each in more["devices"]
        ]
        config["devices"].append({"address": "lobby.invalid", "name": "by-name"})
        config["file_sd_configs"] = [{"files": ["more.yaml"], "refresh_interval": "1s"}]
        yield config


async def _visit(running: DaemonProcess, folder: Path) -> None:
    """Ask for every kind of page, as Prometheus does and as a browser."""
    tls = ssl.create_default_context(cafile=folder / "ca.pem")
    for path in _PATHS:
        async with running.session.get(running.url + path, ssl=tls, headers=AS_ALICE) as response:
            await response.read()
            assert response.status in {200, 503}, (path, response.status)


async def _reload(running: DaemonProcess, folder: Path, trace: Path) -> None:
    """As the unit's ExecReload does, within the same filter; once with a broken file, once well."""
    for number, text in enumerate(["devices: 7", (folder / "config.yaml").read_text("utf-8")]):
        (folder / "config.yaml").write_text(text, "utf-8")
        words = ("strace", "-f", "-qq", "-o", f"{trace}.kill{number}", "/bin/kill", "-HUP")
        done = await asyncio.create_subprocess_exec(*words, str(running.process.pid))
        assert await done.wait() == 0
        await asyncio.sleep(1)


async def _life(folder: Path, trace: Path) -> None:
    authority(folder)
    (folder / "more.yaml").write_text(yaml.safe_dump([{"targets": ["127.0.0.1:1"]}]), "utf-8")
    flag = f"--web.config.file={write(folder, ALICE | TLS)}"
    with notify_socket(folder) as listening:
        under = {"NOTIFY_SOCKET": listening.name, "WATCHDOG_USEC": "500000"}
        async with _devices() as config, daemon_on(config, folder, flag, env=under) as running:
            assert await listening.next() == READY
            assert await listening.next() == WATCHDOG
            await asyncio.sleep(3)
            await _visit(running, folder)
            await _reload(running, folder, trace)
            await _visit(running, folder)
            assert await running.stop(signal.SIGTERM) == 0


def _traced(folder: Path, trace: Path) -> Path:
    """The command under strace, which with -D leaves it the process that signals go to."""
    script = folder / "traced"
    script.write_text(f'#!/bin/sh\nexec strace -D -f -qq -o {trace} {COMMAND} "$@"\n', "utf-8")
    script.chmod(stat.S_IRWXU)
    return script


def _calls(trace: Path) -> set[str]:
    text = trace.read_text("utf-8", errors="replace")
    return set(re.findall(r"^\d+ +(?:<\.\.\. )?(\w+)(?:\(| resumed>)", text, re.MULTILINE))


def record() -> str:
    """The file's text: a header, and a call a line."""
    with tempfile.TemporaryDirectory() as place:
        folder, trace = Path(place), Path(place) / "trace"
        daemon_process.COMMAND = _traced(folder, trace)
        asyncio.run(_life(folder, trace))
        found = set().union(*(_calls(each) for each in folder.glob("trace*") if each.is_file()))
    libc = " ".join(platform.libc_ver())
    header = _HEADER.format(python=platform.python_version(), libc=libc, machine=platform.machine())
    return header + "".join(f"{name}\n" for name in sorted(found))


if __name__ == "__main__":
    FILE.write_text(record(), "utf-8")
