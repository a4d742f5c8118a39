"""An HTTP client on asyncio streams, with Digest written from RFC 7616 for these tests only.

It shares no code with the simulator, so that neither can hide the other's mistakes.
"""

import asyncio
import base64
import hashlib
import json
import re
import ssl
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Self

PATH = "/axis-cgi/ntp.cgi"
PATIENCE_SECONDS = 10.0


@dataclass(frozen=True)
class Response:
    status: int
    headers: list[tuple[str, str]]
    body: bytes

    def all(self, name: str) -> list[str]:
        return [value for key, value in self.headers if key.lower() == name.lower()]

    def one(self, name: str) -> str:
        (value,) = self.all(name)
        return value

    @property
    def document(self) -> Any:
        return json.loads(self.body)


@dataclass
class Connection:
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.writer.close()
        with suppress(OSError):  # the server has closed the connection first
            await self.writer.wait_closed()

    async def send(self, body: bytes, method: str = "POST", path: str = PATH, **more: str) -> None:
        headers = {
            "Host": "device",
            "Content-Type": "application/json",
            "Content-Length": str(len(body)),
            **{name.replace("_", "-"): value for name, value in more.items()},
        }
        lines = [f"{method} {path} HTTP/1.1", *(f"{k}: {v}" for k, v in headers.items() if v)]
        self.writer.write("\r\n".join(lines).encode() + b"\r\n\r\n" + body)
        await self.writer.drain()

    async def receive(self) -> Response:
        async with asyncio.timeout(PATIENCE_SECONDS):
            head = await self.reader.readuntil(b"\r\n\r\n")
            first, *lines = head.decode("latin-1").rstrip().split("\r\n")
            pairs = [line.split(": ", 1) for line in lines]
            headers = [(name, value) for name, value in pairs]
            length = next(int(v) for n, v in headers if n.lower() == "content-length")
            body = await self.reader.readexactly(length)
        return Response(int(first.split()[1]), headers, body)

    async def ask(self, body: bytes, **more: str) -> Response:
        await self.send(body, **more)
        return await self.receive()

    async def rest(self) -> bytes:
        """Return everything that is received until the server closes the connection."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            try:
                return await self.reader.read()
            except ConnectionError:
                return b""


async def connect(address: str, tls: ssl.SSLContext | None = None) -> Connection:
    host, _, port = address.rpartition(":")
    name = "" if tls else None
    return Connection(
        *await asyncio.open_connection(host.strip("[]"), int(port), ssl=tls, server_hostname=name)
    )


def trusting_context() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def call(method: str, **more: Any) -> bytes:
    return json.dumps({"apiVersion": "1.0", "method": method, **more}).encode()


def parameters(header: str) -> dict[str, str]:
    """Return the parameters of a challenge or of Authentication-Info."""
    pairs = re.findall(r'([\w-]+)=(?:"([^"]*)"|([^\s,]+))', header)
    return {name: quoted or token for name, quoted, token in pairs}


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not condition():
            await asyncio.sleep(0)


@dataclass
class Digest:
    """Answers challenges: RFC 7616, section 3.4; without qop, RFC 2069, section 2.1.2."""

    username: str = "root"
    password: str = "pass"
    cnonce: str = "0a4f113b"
    nc: str = "00000001"

    def hash(self, algorithm: str, *parts: str) -> str:
        name = {"MD5": "md5", "SHA-256": "sha256"}[algorithm]
        return hashlib.new(name, ":".join(parts).encode()).hexdigest()

    def response(self, given: dict[str, str], method: str, uri: str) -> str:
        algorithm = given.get("algorithm", "MD5")
        a1 = self.hash(algorithm, self.username, given["realm"], self.password)
        a2 = self.hash(algorithm, method, uri)
        if "qop" not in given:
            return self.hash(algorithm, a1, given["nonce"], a2)
        return self.hash(algorithm, a1, given["nonce"], self.nc, self.cnonce, "auth", a2)

    def authorization(self, challenge: str, method: str = "POST", uri: str = PATH) -> str:
        given = parameters(challenge)
        text = (
            f'Digest username="{self.username}", realm="{given["realm"]}", '
            f'nonce="{given["nonce"]}", uri="{uri}", '
            f'response="{self.response(given, method, uri)}"'
        )
        if "algorithm" in given:
            text += f", algorithm={given['algorithm']}"
        if "qop" in given:
            text += f', qop=auth, nc={self.nc}, cnonce="{self.cnonce}"'
        return text


def basic(username: str = "root", password: str = "pass") -> str:
    return "Basic " + base64.b64encode(f"{username}:{password}".encode()).decode()


async def log_in(connection: Connection, body: bytes, digest: Digest | None = None) -> Response:
    """Send a request, answer the challenge on the same connection, return the second response."""
    first = await connection.ask(body)
    assert first.status == 401
    challenge = next(c for c in first.all("WWW-Authenticate") if c.startswith("Digest"))
    return await connection.ask(body, Authorization=(digest or Digest()).authorization(challenge))
