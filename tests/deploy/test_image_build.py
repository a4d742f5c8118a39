"""The build of the image: its steps run here, on the copied files, without a container engine."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from tests.deploy.dockerfile import (
    BUILD_STAGE,
    DOCKERFILE,
    INSTRUCTIONS,
    LAST_STAGE,
    ROOT,
    all_of,
    commands,
    copy_as_the_build_stage_does,
    mounts,
    run_lines,
)

ENVIRONMENT: Final = "/opt/axis-ntp-exporter"
WHEELS: Final = "/wheels"
# Dependencies are not downloaded: these tests are about the project's own files.
OFFLINE: Final = {"PIP_NO_INDEX": "1", "PIP_NO_DEPS": "1", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}


@pytest.fixture(scope="module")
def context(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("context")
    copy_as_the_build_stage_does(folder)
    return folder


@pytest.fixture(scope="module")
def environment(context: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the virtual environment with the commands of the build stage."""
    place = tmp_path_factory.mktemp("image")
    for line in run_lines(BUILD_STAGE):
        done = subprocess.run(
            re.sub(f"({ENVIRONMENT}|{WHEELS})", rf"{place}\1", line),
            shell=True,
            cwd=context,
            env={"PATH": f"{Path(sys.executable).parent}:{os.defpath}", **OFFLINE},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
    return Path(f"{place}{ENVIRONMENT}")


def test_the_copied_files_build_the_whole_package(environment: Path) -> None:
    [installed] = environment.glob("lib/python*/site-packages/exporter")
    of_the_project = {
        file.relative_to(ROOT / "exporter")
        for file in (ROOT / "exporter").rglob("*")
        if file.is_file() and file.suffix != ".pyc"
    }
    assert of_the_project - {file.relative_to(installed) for file in installed.rglob("*")} == set()


def test_the_copied_files_include_the_license_and_the_constraints(
    environment: Path, context: Path
) -> None:
    assert list(environment.glob("lib/python*/site-packages/*.dist-info/licenses/LICENSE"))
    pins = (ROOT / "constraints.txt").read_bytes()
    assert (context / "constraints.txt").read_bytes() == pins


def test_the_environment_has_no_build_or_install_tools(environment: Path) -> None:
    installed = environment.glob("lib/python*/site-packages/*.dist-info")
    assert [each.name.partition("-")[0] for each in installed] == ["axis_ntp_exporter"]
    assert not list(environment.glob("bin/pip*"))


def test_both_stages_have_the_same_slim_python() -> None:
    images = [all_of("FROM", stage)[0].split()[0] for stage in (BUILD_STAGE, LAST_STAGE)]
    assert len(set(images)) == 1
    assert re.fullmatch(r"python:3\.\d+-slim", images[0])
    assert all_of("FROM", BUILD_STAGE)[0].endswith(" AS build")


def test_the_build_needs_only_the_package_registry() -> None:
    assert {words[0] for words in commands(BUILD_STAGE)} == {"python", "pip"}
    assert not all_of("ADD", INSTRUCTIONS)
    assert not [line for word, line in INSTRUCTIONS if word != "LABEL" and "://" in line]
    assert not [
        line for line in all_of("RUN", INSTRUCTIONS) if "index-url" in line or "git+" in line
    ]
    # A syntax line would make the engine download a parser.
    assert not re.search(r"^#\s*syntax\s*=", DOCKERFILE.read_text("utf-8"), re.MULTILINE)
    assert {word for word, _ in BUILD_STAGE} == {"FROM", "WORKDIR", "COPY", "RUN"}


def test_the_secrets_of_the_build_are_optional() -> None:
    secrets = [dict(each.split("=") for each in mount.split(",")) for mount in mounts(BUILD_STAGE)]
    assert secrets == [
        {"type": "secret", "id": "pip.conf", "target": "/etc/pip.conf"},
        {"type": "secret", "id": "ca.pem"},
    ]
    assert not mounts(LAST_STAGE)


def test_the_last_stage_keeps_no_bytecode_of_its_commands() -> None:
    words = [word for word, _ in LAST_STAGE]
    [variables] = all_of("ENV", LAST_STAGE)
    assert "PYTHONDONTWRITEBYTECODE=1" in variables.split()
    assert words.index("ENV") < words.index("RUN")


def test_every_downloaded_version_is_pinned() -> None:
    fetching = [
        words for words in commands(BUILD_STAGE) if words[0] == "pip" and "--no-index" not in words
    ]
    assert fetching
    for words in fetching:
        assert words[words.index("--constraint") + 1] == "constraints.txt", words
    # An isolated build would ignore pip's constraints.
    backend, build = fetching
    assert (backend[1], backend[-1]) == ("install", "hatchling")
    assert {"wheel", "--no-build-isolation", "--only-binary=:all:", ".[simulator]"} <= set(build)


def test_the_last_stage_has_the_environment_and_no_installer() -> None:
    assert all_of("COPY", LAST_STAGE) == [f"--from=build {ENVIRONMENT} {ENVIRONMENT}"]
    uninstall, remove = commands(LAST_STAGE)
    assert (uninstall[:2], uninstall[-1]) == (["pip", "uninstall"], "pip")
    assert remove[:2] == ["python", "-c"]
    assert "rmtree(ensurepip.__path__[0])" in remove[2]
