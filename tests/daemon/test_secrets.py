"""No password shows anywhere: not in a log line, not on a page, not to who lists processes."""

import base64
import hashlib
import html
import itertools
import json
import re
import sys
import urllib.parse
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

# Each way to write it down differs: quotes, markup, a backslash, a space, beyond ASCII.
PASSWORD = "S3cret-pa$$ \"quoted\" 'n' <b>&\\-\u00fc"
USERNAME = "root"
OPEN_METRICS = {"Accept": "application/openmetrics-text;version=1.0.0"}


def secrets_of(password: str, fleets: list[SimulatedFleet]) -> dict[str, str]:
    """Every form in which a password could get out, by what the form is called."""
    pair = f"{USERNAME}:{password}".encode()
    forms = {
        "plain": password,
        "beginning": password[:8],
        "end": password[-8:],
        "repr": repr(password)[1:-1],
        "repr of bytes": repr(password.encode())[2:-1],
        "ascii": ascii(password)[1:-1],
        "ascii of ascii": ascii(ascii(password)[1:-1])[1:-1],
        "JSON": json.dumps(password)[1:-1],
        "JSON in UTF-8": json.dumps(password, ensure_ascii=False)[1:-1],
        "JSON of repr": json.dumps(repr(password)[1:-1])[1:-1],
        "HTML": html.escape(password),
        "in a URL": urllib.parse.quote(password),
        "in a URL, all of it": urllib.parse.quote(password, safe=""),
        "in a form": urllib.parse.quote_plus(password),
        "Basic": base64.b64encode(pair).decode(),
        # Whatever stands before it: three bytes of it at a time, at each of the three places.
        "base64": base64.b64encode(password.encode())[:-4].decode(),
        "base64 after one byte": base64.b64encode(b"." + password.encode())[4:-4].decode(),
        "base64 after two bytes": base64.b64encode(b".." + password.encode())[4:-4].decode(),
        "hex": password.encode().hex(),
    }
    return forms | {f"HA1 {ha1}": ha1 for ha1 in ha1s(password, fleets)}


def ha1s(password: str, fleets: list[SimulatedFleet]) -> set[str]:
    """What a Digest stands on (RFC 7616, section 3.4.2): as good as the password there."""
    realms = {device.login.realm for fleet in fleets for device in fleet.devices}
    secrets = [f"{USERNAME}:{realm}:{password}".encode() for realm in realms]
    hashes = [hashlib.md5, hashlib.sha256]
    return {h(secret).hexdigest() for h, secret in itertools.product(hashes, secrets)}


class JsonDaemon(DaemonProcess):
    @property
    def url(self) -> str:
        lines = [json.loads(line) for line in self.log if "web.listening" in line]
        return f"http://{lines[0]['address']}"


@asynccontextmanager
async def on_fleets(
    password: str, fleets: dict[str, SimulatedFleet], folder: Path, log_format: str
) -> AsyncIterator[DaemonProcess]:
    """The daemon at debug level on several fleets, one module each, all with one password."""
    async with AsyncExitStack() as stack:
        config: dict[str, Any] = {"modules": {}, "devices": []}
        for name, fleet in fleets.items():
            take_in(config, name, await stack.enter_async_context(serve_fleet(fleet)))
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


def take_in(config: dict[str, Any], module: str, served: ServedFleet) -> None:
    one = served.exporter_config(interval="1s", timeout="1s")
    config["global"] = one["global"]
    config["modules"][module] = one["modules"]["default"]
    config["devices"] += [
        {**device, "module": module, "name": f"{module} {device['name']}"}
        for device in one["devices"]
    ]


async def all_that_it_tells(running: DaemonProcess) -> str:
    """Everything that comes out of a daemon over its whole life; ends it."""
    await running.ready()
    # The second polls: with what the first ones left behind.
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


def assert_hidden(password: str, fleets: list[SimulatedFleet], told: str) -> None:
    shown = {name for name, form in secrets_of(password, fleets).items() if form in told}
    # The names alone: a test's report is a log too.
    assert not shown, f"shown: {sorted(shown)}"


@pytest.mark.parametrize("log_format", ["logfmt", "json"])
async def test_no_password_shows_in_a_run_over_every_fault_with_digest_and_basic(
    log_format: str, tmp_path: Path
) -> None:
    count = 1 + len(FAULTS)
    fleets = {
        "digest": build_fleet(count, "mixed", password=PASSWORD, scheme="http"),
        "basic": build_fleet(count, "mixed", password=PASSWORD, scheme="https", auth="basic"),
        "sha256": build_fleet(3, password=PASSWORD, auth="digest-sha256"),
    }
    async with on_fleets(PASSWORD, fleets, tmp_path, log_format) as running:
        told = await all_that_it_tells(running)
    for fleet in fleets.values():
        assert fleet.devices[0].requests.authorized, "the run must have used the password"
    assert_hidden(PASSWORD, list(fleets.values()), told)


@pytest.mark.parametrize("log_format", ["logfmt", "json"])
async def test_no_password_shows_when_it_is_wrong(log_format: str, tmp_path: Path) -> None:
    fleets = {
        "digest": build_fleet(2, password="another", scheme="http"),
        "basic": build_fleet(2, password="another", scheme="https", auth="basic"),
        "none": build_fleet(2, password="another", scheme="http", auth="basic"),
    }
    async with on_fleets(PASSWORD, fleets, tmp_path, log_format) as running:
        told = await all_that_it_tells(running)
    for fleet in fleets.values():
        assert fleet.devices[0].requests.authorized == 0
    assert told.count("device.failed") == 6
    assert_hidden(PASSWORD, list(fleets.values()), told)


WITH_FAULTS_OF_OURS = """#!{python}
# The command with two faults of ours, each where the password is at hand in the clear.
import sys
from exporter.vapix import http_auth as auth

def broken(text, *_, **__):
    at_hand = text.decode()
    raise RuntimeError("no such luck")

class Broken:
    b64encode = staticmethod(broken)

auth._HASHES["md5"] = broken
auth.base64 = Broken

from exporter.cli import main

sys.exit(main())
"""


@pytest.mark.parametrize("log_format", ["logfmt", "json"])
async def test_no_password_shows_in_the_traceback_of_a_fault_of_ours(
    log_format: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = tmp_path / "command"
    command.write_text(WITH_FAULTS_OF_OURS.format(python=sys.executable))
    command.chmod(0o700)
    monkeypatch.setattr(daemon_process, "COMMAND", command)
    fleets = {
        "digest": build_fleet(1, password=PASSWORD, scheme="http"),
        "basic": build_fleet(1, password=PASSWORD, scheme="https", auth="basic"),
    }
    async with on_fleets(PASSWORD, fleets, tmp_path, log_format) as running:
        told = await all_that_it_tells(running)
    lines = [line for line in told.splitlines() if "poll.internal_error" in line]
    assert {name for name in fleets for line in lines if f'"{name} sim-00001"' in line} == {*fleets}
    assert told.count("no such luck") >= 2, "the traceback is there"
    assert_hidden(PASSWORD, list(fleets.values()), told)


async def test_the_search_finds_a_password_in_each_form_that_it_looks_for() -> None:
    fleets = [build_fleet(1, password=PASSWORD)]
    forms = secrets_of(PASSWORD, fleets)
    assert len(ha1s(PASSWORD, fleets)) == 2
    assert min(len(form) for form in forms.values()) >= 8
    for name, form in forms.items():
        with pytest.raises(AssertionError, match=re.escape(name)):
            assert_hidden(PASSWORD, fleets, f"before {form} after")


async def test_a_reload_does_not_show_a_password_that_nobody_quoted(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text("devices: []")
    listen = "--web.listen-address=127.0.0.1:0"
    async with daemon(f"--config.file={file}", listen) as running:
        file.write_text("modules:\n  m:\n    auth:\n      password: !Sesam77x\n")
        async with running.session.post(f"{running.url}/-/reload") as response:
            told = await response.text()
        assert response.status == 500
    assert "line 4, column 17: a value that begins with ! must be quoted" in told
    assert "Sesam77x" not in told + running.text
