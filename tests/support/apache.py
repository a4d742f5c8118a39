"""Apache httpd, started as a device, its requests counted and its state changed by tests."""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.apache_config import (
    CGI,
    NTP_INFO,
    PASSWORD,
    ApacheSettings,
    Places,
    account_line,
    render_config,
)
from tests.support.programs import (
    LOOPBACK,
    Program,
    find_program,
    free_port,
    http_get,
    running,
    wait_until,
)


@dataclass(frozen=True)
class Request:
    """A request as the device logged it.

    `connection` tells connections apart, `kept` counts the requests before it on the same
    one; `authorization` and `challenge` are the headers of request and answer.
    """

    status: int
    user: str | None
    connection: int
    kept: int
    authorization: str | None
    challenge: str | None

    @classmethod
    def of_line(cls, line: str) -> Request:
        logged: dict[str, str] = json.loads(line)
        said = {name: value for name, value in logged.items() if value != "-"}
        return cls(
            status=int(logged["status"]),
            user=said.get("user"),
            connection=int(logged["connection"]),
            kept=int(logged["kept"]),
            authorization=said.get("authorization"),
            challenge=said.get("challenge"),
        )

    def digest(self, name: str) -> str:
        """A parameter of the `Authorization` header: nonce, nc, …"""
        found = re.search(rf'[ ,]{name}="?([^",]+)', self.authorization or "")
        assert found, f"no {name} in {self.authorization!r}"
        return found[1]


@dataclass(frozen=True)
class Apache:
    """A running device."""

    settings: ApacheSettings
    program: Program
    _places: Places

    @property
    def port(self) -> int:
        return self._places.port

    @property
    def address(self) -> str:
        return f"{LOOPBACK}:{self.port}"

    def set_password(self, password: str) -> None:
        """Give the account another password, from the next request on."""
        _publish(self._places.public / "users", account_line(self.settings.auth, password))

    def set_info(self, data: Mapping[str, Any]) -> None:
        """Answer getNTPInfo with another `data`."""
        answer = {"apiVersion": "1.5", "method": "getNTPInfo", "data": data}
        _publish(self._places.public / "info.json", json.dumps(answer))

    def requests(self) -> list[Request]:
        """Every request so far to the device: none is missing that was answered."""
        # Who is neither reading, writing nor logging has nothing left to log.
        wait_until(lambda: not self._workers("RWL"), "Apache has logged every request")
        log = (self._places.root / "requests.log").read_text()
        return [Request.of_line(line) for line in log.splitlines()]

    def wait_until_idle_connections_end(self) -> None:
        """Block until the device has closed every connection that it kept alive."""
        wait_until(lambda: not self._workers("RWLK"), "Apache has closed its connections")

    def _workers(self, states: str) -> int:
        """How many workers are in one of mod_status's states, all of them with W."""
        status = http_get(self._places.status_port, "/server-status?auto").text
        scoreboard = status.partition("\nScoreboard: ")[2]
        # One of those writing is writing this.
        return sum(map(scoreboard.count, states)) - 1


@contextmanager
def running_apache(settings: ApacheSettings, folder: Path) -> Iterator[Apache]:
    """Run a device; its configuration and logs go to a new folder in `folder`.

    Raises `PortTaken` where somebody was faster; see `enter_on_free_ports`.
    """
    command = find_program("apache2", "apache2-bin")
    root = Path(tempfile.mkdtemp(prefix="apache-", dir=folder))
    config = root / "apache.conf"
    with _public_folder() as public:
        places = Places(root, public, settings.port or free_port(), free_port())
        config.write_text(render_config(settings, places))
        run = [command, "-DFOREGROUND", "-f", str(config)]
        with running(run, root / "apache.log", places.has_ports, env=settings.env) as program:
            apache = Apache(settings, program, places)
            apache.set_password(PASSWORD)
            apache.set_info(NTP_INFO)
            yield apache


@contextmanager
def _public_folder() -> Iterator[Path]:
    """A folder that Apache's workers can read: they are not root where the tests are.

    Not within `tmp_path`: pytest closes its folders to everybody else.
    """
    with tempfile.TemporaryDirectory(prefix="axis-cgi-") as name:
        public = Path(name)
        public.chmod(0o755)
        _publish(public / "ntp.cgi", CGI, 0o755)
        yield public


def _publish(file: Path, text: str, mode: int = 0o644) -> None:
    file.write_text(text)
    file.chmod(mode)
