"""Apache, nginx and Caddy as reverse proxies, with the blocks of docs/deployment.md.

In a block, only the port, the exporter's address, the files and Caddy's hash are replaced.
"""

from __future__ import annotations

import base64
import hashlib
import http.client
import os
import re
import socket
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import bcrypt

from tests.support.certificates import Authority, authority
from tests.support.programs import (
    LOOPBACK,
    START_SECONDS,
    HttpReply,
    Program,
    find_program,
    free_port,
    running,
)

USER: Final = "alice"
PASSWORD: Final = "wonderland"
AUTHORIZATION: Final = f"Basic {base64.b64encode(f'{USER}:{PASSWORD}'.encode()).decode()}"
DOCS: Final = Path(__file__).parents[2] / "docs/deployment.md"
_MODULES: Final = (
    "mpm_prefork",
    "auth_basic",
    "authn_core",
    "authn_file",
    "authz_core",
    "authz_user",
    "proxy",
    "proxy_http",
    "ssl",
)


def block(language: str, heading: str) -> str:
    """Return the block of the docs below a heading."""
    _, _, section = DOCS.read_text().partition(f"### {heading}\n")
    found = re.search(rf"```{language}\n(.*?)```", section.partition("\n### ")[0], re.DOTALL)
    assert found is not None
    return found[1]


@dataclass(frozen=True)
class ReverseProxy:
    """A running proxy for `host`."""

    program: Program
    host: str
    port: int
    ours: Authority

    def send(self, method: str, target: str, headers: Mapping[str, str] | None = None) -> HttpReply:
        """Send a request over TLS with the request target as it is, with the user's password."""
        connection = http.client.HTTPConnection(self.host)
        plain = socket.create_connection((LOOPBACK, self.port), START_SECONDS)
        context = self.ours.client_context()
        connection.sock = context.wrap_socket(plain, server_hostname=self.host)
        with closing(connection):
            sent = {"Authorization": AUTHORIZATION, **(headers or {})}
            connection.request(method, target, headers=sent)
            reply = connection.getresponse()
            return HttpReply(reply.status, dict(reply.headers), reply.read().decode())


@dataclass(frozen=True)
class Places:
    """The folder, which every user may read, and the ports of a proxy and of the exporter."""

    root: Path
    port: int
    exporter: str

    def fill(self, text: str) -> str:
        """Return a block of the docs with these places."""
        hashed = bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(4)).decode()
        replaced = {
            "127.0.0.1:10123": self.exporter,
            "/etc/ssl/": f"{self.root}/",
            "*:443": f"{LOOPBACK}:{self.port}",
            "listen 443": f"listen {LOOPBACK}:{self.port}",
            ".example {": f".example:{self.port} {{",
            "alice HASH": f"alice {hashed}",
        }
        for old, new in replaced.items():
            text = text.replace(old, new)
        return text


def _apache(places: Places, text: str) -> list[str]:
    config = places.root / "apache.conf"
    modules = [
        f"LoadModule {name}_module /usr/lib/apache2/modules/mod_{name}.so" for name in _MODULES
    ]
    lines = [
        f'ServerRoot "{places.root}"',
        f'DefaultRuntimeDir "{places.root}"',
        f'PidFile "{places.root}/pid"',
        f'ErrorLog "{places.root}/error.log"',
        f"ServerName {LOOPBACK}",
        *(["User www-data", "Group www-data"] if os.geteuid() == 0 else []),
        *modules,
        f"Listen {LOOPBACK}:{places.port}",
    ]
    config.write_text("\n".join([*lines, text]))
    return [find_program("apache2", "apache2-bin"), "-DFOREGROUND", "-f", str(config)]


def _nginx(places: Places, text: str) -> list[str]:
    config = places.root / "nginx.conf"
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    folders = "".join(f"{kind}_temp_path {places.root}/{kind};" for kind in kinds)
    user = "user root;" if os.geteuid() == 0 else ""
    main = f"{user} daemon off; pid {places.root}/pid; error_log stderr; events {{}}"
    config.write_text(f"{main}\nhttp {{ {folders} access_log off;\n{text}}}\n")
    files = ["-e", "stderr", "-p", str(places.root), "-c", str(config)]
    return [find_program("nginx", "nginx"), *files]


def _caddy(places: Places, text: str) -> list[str]:
    config = places.root / "Caddyfile"
    settings = "admin off\n auto_https disable_redirects\n default_bind 127.0.0.1"
    config.write_text(f"{{\n {settings}\n storage file_system {places.root}\n}}\n{text}")
    adapter = ["--adapter", "caddyfile", "--config", str(config)]
    return [find_program("caddy", "caddy"), "run", *adapter]


START: Final[Mapping[str, Callable[[Places, str], list[str]]]] = {
    "apache": _apache,
    "nginx": _nginx,
    "caddyfile": _caddy,
}
"""Write the configuration of a program around a block and return its command line."""


@contextmanager
def reverse_proxy(language: str, text: str, exporter: str) -> Iterator[ReverseProxy]:
    """Run a proxy with a block of the docs before an exporter, `host:port`."""
    [host] = re.findall(r"\b([\w-]+\.example)\b", text)[:1]
    with tempfile.TemporaryDirectory(prefix="proxy-") as name:
        root = Path(name)
        root.chmod(0o755)
        places = Places(root, free_port(), exporter)
        ours = authority(root)
        ours.issue("axis-ntp", host)
        digest = base64.b64encode(hashlib.sha1(PASSWORD.encode()).digest()).decode()
        (root / "axis-ntp.htpasswd").write_text(f"{USER}:{{SHA}}{digest}\n")
        command = START[language](places, places.fill(text))
        environment = {"HOME": name, "XDG_DATA_HOME": name, "XDG_CONFIG_HOME": name}
        with running(
            command, root / "error.log", lambda _: _accepts(places.port), env=environment
        ) as program:
            yield ReverseProxy(program, host, places.port, ours)


def _accepts(port: int) -> bool:
    with closing(socket.create_connection((LOOPBACK, port), 1)):
        return True
