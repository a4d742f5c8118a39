"""The image that the Dockerfile describes, held against the project; hadolint reads it."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any, Final

import yaml

from exporter import __version__
from exporter.cli import make_parser
from exporter.commands import healthcheck, run
from exporter.system.listen_address import DEFAULT_PORT
from tests.deploy.dockerfile import DOCKERFILE, LAST_STAGE, ROOT, all_of

SERVICE: Final = yaml.safe_load((ROOT / "deploy/compose.yaml").read_text("utf-8"))["services"][
    "exporter"
]


def the(instruction: str) -> str:
    [found] = all_of(instruction, LAST_STAGE)
    return found


def labels() -> dict[str, str]:
    pairs = (word.partition("=") for word in shlex.split(the("LABEL")))
    return {name.removeprefix("org.opencontainers.image."): value for name, _, value in pairs}


def project() -> dict[str, Any]:
    found: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    return found


def test_hadolint_finds_nothing() -> None:
    program = Path(sys.executable).with_name("hadolint")
    done = subprocess.run([program, DOCKERFILE], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


def test_it_runs_as_nobody() -> None:
    assert the("USER") == "65534:65534"


def test_the_labels_are_the_projects() -> None:
    told = labels()
    assert told["title"] == project()["name"]
    assert told["licenses"] == project()["license"]
    assert told["source"] == project()["urls"]["Source"]
    assert f"VERSION={__version__}" in all_of("ARG", LAST_STAGE)
    assert (told["version"], told["revision"]) == ("$VERSION", "$REVISION")


def test_its_command_is_understood() -> None:
    assert json.loads(the("ENTRYPOINT")) == [project()["name"]]
    assert the("EXPOSE") == str(DEFAULT_PORT)
    arguments = make_parser("run", run).parse_args(json.loads(the("CMD")))
    assert arguments.config_file == Path("/etc/axis-ntp-exporter/config.yaml")


def test_its_health_is_asked_where_it_listens() -> None:
    options, _, command = the("HEALTHCHECK").partition("CMD ")
    program, name, *flags = json.loads(command)
    assert [program] == json.loads(the("ENTRYPOINT"))
    assert name == "healthcheck"
    arguments = make_parser(name, healthcheck).parse_args(flags)
    assert arguments.listen == ("", DEFAULT_PORT)
    timeout = re.search(r"--timeout=(\d+)s", options)
    assert timeout is not None
    assert int(timeout[1]) > healthcheck.TIMEOUT_SECONDS


def test_compose_gives_it_no_privilege_and_nothing_to_write_to() -> None:
    assert SERVICE["read_only"] is True
    assert SERVICE["cap_drop"] == ["ALL"]
    assert SERVICE["security_opt"] == ["no-new-privileges:true"]
    assert not {"healthcheck", "privileged", "user", "cap_add", "tmpfs"} & SERVICE.keys()
