"""The command that the device page shows: a shell gives the device's name to it unchanged."""

from __future__ import annotations

import html
import re
import subprocess

import pytest
from aiohttp.test_utils import TestClient, TestServer
from hypothesis import example, given, settings
from hypothesis import strategies as st

from exporter.cli import import_command, make_parser
from exporter.web.pages.assets import device_url
from exporter.web.pages.links import evidence_command
from tests.web.pages.site import NOW_UNIX, app_of, device, polled

AT = "--at=2001-09-09T01:46:40Z"
URL = "--prometheus.url=http://prometheus.example:9090"
HOSTILE = (
    "lobby",
    "two words",
    "it's",
    "$(touch /tmp/pwned)`id`",
    "; rm -rf /",
    '"><script>alert(1)</script>&amp;',
    "-x",
    "--json",
    "--",
    "\\",
    "~",
    "#",
    "日本",
    "bidi\u202egnp.exe",
    "zero\u200bwidth",
    "tab\tand\nline\x1b[31m",
    "'\u202e\\'",
)


def words_of(command: str) -> list[str]:
    """Return the words that a shell makes of a command line."""
    script = command.replace("axis-ntp-exporter", "printf '%s\\0'", 1)
    done = subprocess.run(["bash", "-c", script], capture_output=True, check=True, cwd="/")
    return done.stdout.decode().split("\0")[:-1]


def device_of(command: str) -> str:
    """Return the device that the command line asks about."""
    name, *words = words_of(command)
    parser = make_parser(name, import_command(name))
    parse = parser.parse_args if "--" in words else parser.parse_intermixed_args
    return str(parse(words).device)


@pytest.mark.parametrize("name", HOSTILE)
def test_a_shell_gives_any_name_to_the_command_unchanged(name: str) -> None:
    command = evidence_command(name, NOW_UNIX)
    assert command.isprintable()
    assert device_of(command) == name


@settings(max_examples=25, deadline=None)
@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1))
@example("'")
def test_a_shell_gives_random_names_unchanged(name: str) -> None:
    assert device_of(evidence_command(name, NOW_UNIX)) == name


def test_an_ordinary_name_stands_as_it_is() -> None:
    expected = f"axis-ntp-exporter evidence lobby {URL} {AT}"
    assert evidence_command("lobby", NOW_UNIX) == expected


@pytest.mark.parametrize("name", HOSTILE)
async def test_the_page_of_a_device_shows_the_command(name: str) -> None:
    async with TestClient(TestServer(app_of([polled(device(name))]))) as client:
        reply = await client.get(device_url(name))
        page = await reply.text()
    [shown] = re.findall(r'<pre class="command">(.*?)</pre>', page, re.DOTALL)
    assert "<" not in shown
    assert html.unescape(shown) == evidence_command(name, NOW_UNIX)
    assert "this camera's clock at …?" in html.unescape(page)
