"""The sdist and the wheel: built, complete, installed and run."""

from __future__ import annotations

import re
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

from exporter import __version__
from tests.support import daemon_process
from tests.support.daemon_process import daemon

ROOT: Final = Path(__file__).parents[2]
NAME: Final = f"axis_ntp_exporter-{__version__}"
GENERATED_FILES: Final = {"PKG-INFO"}
# One build for all tests, in one process.
pytestmark = pytest.mark.xdist_group("packages")


@dataclass(frozen=True)
class Packages:
    """The sdist and the wheel."""

    sdist: Path
    wheel: Path

    def in_sdist(self) -> set[str]:
        with tarfile.open(self.sdist) as archive:
            names = [each.name for each in archive.getmembers() if each.isfile()]
        assert all(name.startswith(f"{NAME}/") for name in names)
        return {name.removeprefix(f"{NAME}/") for name in names}

    def in_wheel(self) -> set[str]:
        return set(zipfile.ZipFile(self.wheel).namelist())


def python(*words: str | Path, folder: Path, of: Path = Path(sys.executable)) -> str:
    """Run Python without this checkout on its path; return its output."""
    done = subprocess.run(
        [of, *words], cwd=folder, env=NO_PYTHONPATH, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


NO_PYTHONPATH: Final = {"PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin"}


def git_files(*options: str) -> set[str]:
    """Return the files that git lists; skip the test outside a git checkout."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", *options], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if listed.returncode:
        pytest.skip("not a git checkout")
    return {name for name in listed.stdout.split("\0") if name and (ROOT / name).exists()}


@pytest.fixture(scope="session")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Packages:
    """Build both, the wheel from the sdist, with the installed backend and without a registry."""
    folder = tmp_path_factory.mktemp("packages")
    python("-m", "build", "--no-isolation", "--outdir", folder, ROOT, folder=folder)
    [sdist], [wheel] = folder.glob("*.tar.gz"), folder.glob("*.whl")
    return Packages(sdist, wheel)


@pytest.fixture(scope="session")
def installed(packages: Packages, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Install the wheel in a new environment with its dependencies; return its command."""
    folder = tmp_path_factory.mktemp("installed")
    python("-m", "venv", "--without-pip", folder, folder=folder)
    interpreter = folder / "bin/python"
    install = ("install", "--quiet", "--no-index", "--no-deps", packages.wheel)
    python("-m", "pip", "--python", interpreter, *install, folder=folder)
    dependencies = sysconfig.get_path("purelib")
    place = python(
        "-c",
        "import sysconfig; print(sysconfig.get_path('purelib'))",
        folder=folder,
        of=interpreter,
    )
    # A .pth file finds the packages of that folder but not its editable installs.
    (Path(place.strip()) / "dependencies.pth").write_text(dependencies)
    return folder / "bin/axis-ntp-exporter"


def test_twine_accepts_the_descriptions(packages: Packages) -> None:
    checked = python(
        "-m", "twine", "check", "--strict", packages.sdist, packages.wheel, folder=ROOT
    )
    assert checked.count("PASSED") == 2


def test_the_sdist_contains_exactly_the_project(packages: Packages) -> None:
    contents = packages.in_sdist() - GENERATED_FILES
    assert git_files() - contents == set()
    # Untracked files may be included, ignored files must not.
    assert contents - git_files("--cached", "--others", "--exclude-standard") == set()


def test_the_wheel_contains_exactly_the_package(packages: Packages) -> None:
    contents = {name for name in packages.in_wheel() if ".dist-info/" not in name}
    assert contents == {name for name in packages.in_sdist() if name.startswith("exporter/")}
    assert {"exporter/py.typed", "exporter/web/routes.py"} <= contents
    assert {Path(name).suffix for name in contents} >= {".py", ".html"}


def test_the_license_is_included(packages: Packages) -> None:
    assert f"{NAME}.dist-info/licenses/LICENSE" in packages.in_wheel()
    assert "LICENSE" in packages.in_sdist()


def test_the_tests_run_from_the_sdist_alone(packages: Packages, tmp_path: Path) -> None:
    with tarfile.open(packages.sdist) as archive:
        archive.extractall(tmp_path, filter="data")
    found = python("-m", "pytest", "--collect-only", "-q", "-n0", folder=tmp_path / NAME)
    assert "error" not in found.splitlines()[-1]
    quick = python("-m", "pytest", "-q", "-n0", "tests/system/test_text.py", folder=tmp_path / NAME)
    assert "passed" in quick.splitlines()[-1]


def test_the_installed_command_prints_its_version(installed: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        [installed, "--version"], cwd=tmp_path, env=NO_PYTHONPATH, capture_output=True, check=True
    )
    assert done.stdout.decode() == f"axis-ntp-exporter {__version__}\n"


def test_the_installed_command_prints_the_rules(installed: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        [installed, "rules"], cwd=tmp_path, env=NO_PYTHONPATH, capture_output=True, check=True
    )
    assert done.stdout == (ROOT / "grafana/rules/axis-ntp.rules.yml").read_bytes()


def test_the_installed_command_comes_from_the_wheel(installed: Path, tmp_path: Path) -> None:
    interpreter = installed.with_name("python")
    file = python(
        "-c", "import exporter; print(exporter.__file__)", folder=tmp_path, of=interpreter
    )
    assert Path(file).is_relative_to(installed.parents[1])


async def test_the_installed_daemon_serves_its_pages(
    installed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(daemon_process, "COMMAND", installed)
    monkeypatch.delenv("PYTHONPATH", raising=False)
    flags = ("demo", "--devices=3", "--web.listen-address=127.0.0.1:0")
    async with daemon(*flags, wait_for="Press Ctrl-C to stop") as running:
        status, page = await running.get("/")
        assert (status, "</html>" in page) == (200, True)
        for file in re.findall(r'(?:src|href)="(/[^"]+\.\w+)"', page):
            assert (await running.get(file))[0] == 200
