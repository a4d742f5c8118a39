"""The installed command at a pseudo-terminal."""

import asyncio
import os
import pty
import re
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from tests.support.daemon_process import COMMAND, PATIENCE_SECONDS

CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


@dataclass
class Terminal:
    """A command at a terminal: its output, and a way to type keys."""

    process: asyncio.subprocess.Process
    master: int
    shown: bytearray = field(default_factory=bytearray)

    @property
    def screen(self) -> str:
        return self.shown.decode(errors="ignore")  # the last character may be half there

    @property
    def text(self) -> str:
        return CONTROL.sub("", self.screen)

    def keys(self, text: str) -> None:
        os.write(self.master, text.encode())

    def hang_up(self) -> None:
        """Close the window."""
        asyncio.get_running_loop().remove_reader(self.master)
        null = os.open(os.devnull, os.O_RDONLY)
        os.dup2(null, self.master)
        os.close(null)

    async def until(self, met: Callable[[], bool]) -> None:
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not met():
                assert self.process.returncode is None, f"it ended:\n{self.screen}"
                await asyncio.sleep(0.02)

    async def shows(self, words: str) -> None:
        """Wait for words; the command may already have ended."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while words not in self.text:
                await asyncio.sleep(0.02)

    async def asks(self) -> None:
        await self.until(lambda: "[y/N]" in self.text)

    async def end(self) -> int:
        async with asyncio.timeout(PATIENCE_SECONDS):
            return await self.process.wait()


@asynccontextmanager
async def at_terminal(
    *words: str,
    typed_before: str = "",
    stdout: int | None = None,
    environment: Mapping[str, str] = MappingProxyType({}),
    folder: Path | None = None,
    program: str | Path = COMMAND,
) -> AsyncIterator[Terminal]:
    """Run the command, or another program; it is killed when the context ends."""
    master, slave = pty.openpty()
    os.write(master, typed_before.encode())
    process = await asyncio.create_subprocess_exec(
        program,
        *words,
        stdin=slave,
        stdout=slave if stdout is None else stdout,
        stderr=slave,
        env={**os.environ, "TERM": "xterm-256color", **environment},
        cwd=folder,
        start_new_session=True,
    )
    os.close(slave)
    terminal = Terminal(process, master)
    loop = asyncio.get_running_loop()
    loop.add_reader(master, _show, terminal, loop)
    try:
        yield terminal
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()
        loop.remove_reader(master)
        os.close(master)


def _show(terminal: Terminal, loop: asyncio.AbstractEventLoop) -> None:
    try:
        terminal.shown += os.read(terminal.master, 65_536)
    except OSError:  # the command has closed the terminal
        loop.remove_reader(terminal.master)
