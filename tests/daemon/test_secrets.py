"""No password is shown anywhere: in logs, on pages, in series, in the list of processes."""

import json
import re
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from exporter.simulator.faults import FAULTS
from exporter.simulator.fleet import ServedFleet, SimulatedFleet, build_fleet, serve_fleet
from tests.support import daemon_process
from tests.support.daemon_process import DaemonProcess, daemon
from tests.support.passwords import PASSWORD, assert_hidden, ha1s, secrets_of

OPEN_METRICS = {"Accept": "application/openmetrics-text;version=1.0.0"}


class JsonDaemon(DaemonProcess):
    @property
    def url(self) -> str:
        lines = [json.loads(line) for line in self.log if "web.listening" in line]
        return f"http://{lines[0]['address']}"


@asynccontextmanager
async def on_fleets(
    password: str, fleets: dict[str, SimulatedFleet], folder: Path, log_format: str
) -> AsyncIterator[DaemonProcess]:
    """Run the daemon at debug level on several fleets, one module each, all with one password."""
    async with AsyncExitStack() as stack:
        config: dict[str, Any] = {"modules": {}, "devices": []}
        for name, fleet in fleets.items():
            add_fleet(config, name, await stack.enter_async_context(serve_fleet(fleet)))
            config["modules"][name]["auth"]["password"] = password.replace("$", "$$")
        file = folder / "config.yaml"
        file.write_text(yaml.safe_dump(config))
        flags = ("--log.level=debug", f"--log.format={log_format}")
        listen = "--web.listen-address=127.0.0.1:0"
        running = await stack.enter_async_context(
            daemon(f"--config.file={file}", listen, *flags, wait_for="exporter.started")
        )
        if log_format == "json":
            running = JsonDaemon(running.process, running.session, running.log)
        yield running


def add_fleet(config: dict[str, Any], module: str, served: ServedFleet) -> None:
    one = served.exporter_config(interval="1s", timeout="1s")
    config["global"] = one["global"]
    config["modules"][module] = one["modules"]["default"]
    config["devices"] += [
        {**device, "module": module, "name": f"{module} {device['name']}"}
        for device in one["devices"]
    ]


async def collect_output(running: DaemonProcess) -> str:
    """Return everything that a daemon shows from its start to its end; stop it."""
    await running.ready()
    # Second polls reuse connections and nonces.
    await running.until(lambda found: min(found.by_device("axis_ntp_polls_total").values()) >= 2)
    paths = ("/", "/metrics", "/-/ready", "/-/healthy", "/config", "/x", "/device/lobby")
    pages = [(await running.get(path))[1] for path in paths]
    async with running.session.get(f"{running.url}/metrics", headers=OPEN_METRICS) as response:
        pages.append(await response.text())
    command_line = Path(f"/proc/{running.process.pid}/cmdline")
    if command_line.exists():  # no such file on other systems
        pages.append(command_line.read_text())
    await running.stop()
    return "\n".join([running.text, *pages])


@pytest.mark.parametrize("log_format", ["logfmt", "json"])
async def test_no_password_is_shown_over_every_fault_with_digest_and_basic(
    log_format: str, tmp_path: Path
) -> None:
    count = 1 + len(FAULTS)
    fleets = {
        "digest": build_fleet(count, "mixed", password=PASSWORD, scheme="http"),
        "basic": build_fleet(count, "mixed", password=PASSWORD, scheme="https", auth="basic"),
        "sha256": build_fleet(3, password=PASSWORD, auth="digest-sha256"),
    }
    async with on_fleets(PASSWORD, fleets, tmp_path, log_format) as running:
        output = await collect_output(running)
    for fleet in fleets.values():
        assert fleet.devices[0].requests.authorized, "the run must have used the password"
    assert_hidden(PASSWORD, list(fleets.values()), output)


@pytest.mark.parametrize("log_format", ["logfmt", "json"])
async def test_no_wrong_password_is_shown(log_format: str, tmp_path: Path) -> None:
    fleets = {
        "digest": build_fleet(2, password="another", scheme="http"),
        "basic": build_fleet(2, password="another", scheme="https", auth="basic"),
        "none": build_fleet(2, password="another", scheme="http", auth="basic"),
    }
    async with on_fleets(PASSWORD, fleets, tmp_path, log_format) as running:
        output = await collect_output(running)
    for fleet in fleets.values():
        assert fleet.devices[0].requests.authorized == 0
    assert output.count("device.failed") == 6
    assert_hidden(PASSWORD, list(fleets.values()), output)


WITH_BUGS = """#!{python}
# The command with two bugs, each in a function that has the plain password.
import sys
from exporter.vapix import http_auth as auth

def broken(text, *_, **__):
    at_hand = text.decode()
    raise RuntimeError("no such luck")

def broken_basic(self, credentials):
    at_hand = credentials.password
    raise RuntimeError("no such luck")

auth._HASHES["md5"] = broken
auth.BasicAuth.__init__ = broken_basic

from exporter.cli import main

sys.exit(main())
"""


@pytest.mark.parametrize("log_format", ["logfmt", "json"])
async def test_no_password_is_shown_in_the_traceback_of_a_bug(
    log_format: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = tmp_path / "command"
    command.write_text(WITH_BUGS.format(python=sys.executable))
    command.chmod(0o700)
    monkeypatch.setattr(daemon_process, "COMMAND", command)
    fleets = {
        "digest": build_fleet(1, password=PASSWORD, scheme="http"),
        "basic": build_fleet(1, password=PASSWORD, scheme="https", auth="basic"),
    }
    async with on_fleets(PASSWORD, fleets, tmp_path, log_format) as running:
        output = await collect_output(running)
    lines = [line for line in output.splitlines() if "poll.internal_error" in line]
    schemes = {scheme for scheme in ("http", "https") for line in lines if f"{scheme}://" in line}
    assert schemes == {"http", "https"}, "a fault of each device is logged"
    assert output.count("no such luck") >= 2, "the traceback is there"
    assert_hidden(PASSWORD, list(fleets.values()), output)


async def test_the_search_finds_a_password_in_every_spelling() -> None:
    fleets = [build_fleet(1, password=PASSWORD)]
    forms = secrets_of(PASSWORD, fleets)
    assert len(ha1s(PASSWORD, fleets)) == 2
    assert min(len(form) for form in forms.values()) >= 8
    for name, form in forms.items():
        with pytest.raises(AssertionError, match=re.escape(name)):
            assert_hidden(PASSWORD, fleets, f"before {form} after")


async def test_a_reload_does_not_show_an_unquoted_password(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text("devices: []")
    listen = "--web.listen-address=127.0.0.1:0"
    async with daemon(f"--config.file={file}", listen) as running:
        file.write_text("modules:\n  m:\n    auth:\n      password: !Sesam77x\n")
        status, output = await running.reload()
        assert status == 500
    assert ":4:17: a value that begins with ! must be quoted" in output
    assert "Sesam77x" not in output + running.text
