"""Receives Alertmanager's e-mails: a mail server for one conversation at a time per connection."""

from __future__ import annotations

import asyncio
import email
import email.policy
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from email.message import EmailMessage

from tests.support.programs import LOOPBACK


@asynccontextmanager
async def receiving_mail(inbox: list[EmailMessage]) -> AsyncIterator[str]:
    """Append what arrives to `inbox` while the context lasts; yield `host:port`."""

    async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 ready\r\n")
        while line := await reader.readline():
            verb = line[:4].upper()
            writer.write({b"DATA": b"354 go\r\n", b"QUIT": b"221 bye\r\n"}.get(verb, b"250 ok\r\n"))
            if verb == b"DATA":
                content = await reader.readuntil(b"\r\n.\r\n")
                message = email.message_from_bytes(content[:-3], policy=email.policy.default)
                assert isinstance(message, EmailMessage)
                inbox.append(message)
                writer.write(b"250 ok\r\n")
        writer.close()

    server = await asyncio.start_server(converse, LOOPBACK, 0)
    try:
        yield "{}:{}".format(*server.sockets[0].getsockname())
    finally:
        server.close()
