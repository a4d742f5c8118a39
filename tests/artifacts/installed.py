"""The exporter in a container, installed as docs/deployment.md says, with simulated cameras."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from tests.artifacts.container import Container, booted
from tests.artifacts.debian import CHECKOUT, Suite, require_containers, wheels_for
from tests.support.programs import wait_until

UNIT: Final = "axis-ntp-exporter"
CONFIG: Final = "/etc/axis-ntp-exporter/config.yaml"
PASSWORD: Final = "made-up-password-of-the-cameras"
COMMAND: Final = "/opt/axis-ntp-exporter/bin/axis-ntp-exporter"
URL: Final = "http://127.0.0.1:10123"
_PAGE: Final = (CHECKOUT / "docs/deployment.md").read_text("utf-8")
_TEXTS: Final = "/root/texts"
# What the page's `editor` does here: it writes the text that the test has prepared.
_EDITOR: Final = f'#!/bin/sh\ncat {_TEXTS}/"$(basename "$1")" >"$1"\n'


def block(heading: str, beginning: str) -> str:
    """Return the block of docs/deployment.md below a heading that begins like this."""
    section = re.split(rf"^#+ {heading}\n", _PAGE, flags=re.MULTILINE)[1]
    section = re.split(r"^#+ ", section, flags=re.MULTILINE)[0]
    blocks = re.findall(r"(?:^    .*\n)+", section, re.MULTILINE)
    [found] = [each for each in map(textwrap.dedent, blocks) if each.startswith(beginning)]
    return found


def config(devices: int = 3) -> str:
    """Return a config of simulated cameras, with the module that the page prints."""
    [module] = re.findall(r"^```yaml\n(.*?)^```$", _PAGE, re.MULTILINE | re.DOTALL)
    lines = [f"  - address: 127.0.0.1:{8080 + number}\n" for number in range(devices)]
    return f"{module}    scheme: http\nglobal: {{interval: 1s}}\ndevices:\n{''.join(lines)}"


@contextmanager
def container(suite: Suite) -> Iterator[Container]:
    """Boot a container with the checkout, wheels instead of a network, and an editor."""
    require_containers()
    with booted(suite, {CHECKOUT: "/checkout", wheels_for(suite): "/wheels"}) as running:
        running.write("/usr/local/bin/editor", _EDITOR, "755")
        running.write(f"{_TEXTS}/axis-password", f"{PASSWORD}\n")
        running.write(f"{_TEXTS}/config.yaml", config())
        yield running


def install(running: Container, umask: str) -> None:
    """Run what the page prints for the environment, in a shell with that umask."""
    offline = "export PIP_NO_INDEX=1 PIP_FIND_LINKS=/wheels PIP_ROOT_USER_ACTION=ignore\n"
    # The lines after these check a config and run the exporter in the foreground.
    commands, _, _ = block("A virtual environment", "").partition(f"{COMMAND} --config")
    running.sh(f"cd /checkout\n{offline}{commands}", umask=umask)


def install_unit(running: Container, umask: str) -> None:
    """Run what the page prints for systemd, in a shell with that umask."""
    running.sh(f"cd /checkout\n{block('systemd', 'install -d')}", umask=umask)


def start_cameras(running: Container) -> None:
    """Simulate three cameras that take the account of the config."""
    running.write("/root/cameras-password", PASSWORD)
    simulate = f"{COMMAND} simulate --devices=3"
    account = "--username=ntp-exporter --password-file=/root/cameras-password"
    running.sh(f"systemd-run --quiet --unit=cameras {simulate} {account}")


def metrics(running: Container) -> str:
    """Return the exporter's metrics; nothing if it does not answer."""
    ask = f"import urllib.request as r; print(r.urlopen('{URL}/metrics').read().decode())"
    return running.sh(f'python3 -c "{ask}" 2>/dev/null', ok=False)


def wait_for_metric(running: Container, line: str, times: int = 1) -> None:
    """Wait until a line of the metrics that begins and ends like this is there so often."""
    start, _, end = line.partition("…")

    def is_there() -> bool:
        lines = metrics(running).splitlines()
        return sum(each.startswith(start) and each.endswith(end) for each in lines) == times

    wait_until(is_there, line, lambda: running.journal(UNIT) + metrics(running)[-3000:])


def add_drop_in(running: Container, text: str) -> None:
    """Do what `systemctl edit` does with this text."""
    running.write(f"/etc/systemd/system/{UNIT}.service.d/override.conf", text)
    running.sh("systemctl daemon-reload")
