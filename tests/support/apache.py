"""Apache httpd as a device: tests can read its request log and change its state."""

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
    Program,
    find_program,
    free_port,
    http_get,
    running,
    wait_until,
)


@dataclass(frozen=True)
class LoggedRequest:
    """A request in the device's log.

    `connection` identifies the connection, `kept` is the number of earlier requests on it;
    `authorization`, `host` and `challenge` are headers of the request and of the response.
    """

    status: int
    user: str | None
    connection: int
    kept: int
    authorization: str | None
    challenge: str | None
    host: str | None

    @classmethod
    def parse(cls, line: str) -> LoggedRequest:
        logged: dict[str, str] = json.loads(line)
        present = {name: value for name, value in logged.items() if value != "-"}
        return cls(
            status=int(logged["status"]),
            user=present.get("user"),
            connection=int(logged["connection"]),
            kept=int(logged["kept"]),
            authorization=present.get("authorization"),
            challenge=present.get("challenge"),
            host=present.get("host"),
        )

    def digest(self, name: str) -> str:
        """Return a parameter of the `Authorization` header, such as nonce or nc."""
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
        return f"{self.settings.host}:{self.port}"

    def set_password(self, password: str) -> None:
        """Change the password of the account, from the next request on."""
        _publish(self._places.public / "users", account_line(self.settings.auth, password))

    def set_info(self, data: Mapping[str, Any]) -> None:
        """Change the `data` of getNTPInfo."""
        document = {"apiVersion": "1.5", "method": "getNTPInfo", "data": data}
        _publish(self._places.public / "info.json", json.dumps(document))

    def requests(self) -> list[LoggedRequest]:
        """Return all requests to the device, including the last one that got a response."""
        # A worker that is not reading, writing or logging has logged its requests.
        wait_until(lambda: not self._workers("RWL"), "Apache has logged every request")
        log = (self._places.root / "requests.log").read_text()
        return [LoggedRequest.parse(line) for line in log.splitlines()]

    def wait_until_idle_connections_end(self) -> None:
        """Block until the device has closed every idle connection."""
        wait_until(lambda: not self._workers("RWLK"), "Apache has closed its connections")

    def _workers(self, states: str) -> int:
        """Return the number of workers in these states of mod_status, which must include W."""
        status = http_get(self._places.status_port, "/server-status?auto").text
        scoreboard = status.partition("\nScoreboard: ")[2]
        # One worker in state W sends this status page.
        return sum(map(scoreboard.count, states)) - 1


@contextmanager
def running_apache(settings: ApacheSettings, folder: Path) -> Iterator[Apache]:
    """Run a device; its configuration and logs go to a new folder in `folder`.

    Raises `PortTaken` if another program took the port first; see `enter_on_free_ports`.
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
    """Make a folder that Apache's workers can read, even if the tests run as root.

    It is not in `tmp_path`: pytest's folders are closed to other users.
    """
    with tempfile.TemporaryDirectory(prefix="axis-cgi-") as name:
        public = Path(name)
        public.chmod(0o755)
        _publish(public / "ntp.cgi", CGI, 0o755)
        yield public


def _publish(file: Path, text: str, mode: int = 0o644) -> None:
    file.write_text(text)
    file.chmod(mode)
