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


def pip(command: str, *words: str | Path, of: Path) -> None:
    """Run pip for the environment of an interpreter, without a registry."""
    offline = {"install": ("--no-index", "--no-deps"), "uninstall": ("--yes",)}[command]
    python("-m", "pip", "--python", of, command, "--quiet", *offline, *words, folder=of.parent)


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
    return install(packages.wheel, tmp_path_factory.mktemp("installed"))


def install(wheel: Path, folder: Path) -> Path:
    """Install the wheel in a new environment with its dependencies; return its command."""
    python("-m", "venv", "--without-pip", folder, folder=folder)
    interpreter = folder / "bin/python"
    pip("install", wheel, of=interpreter)
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


def test_each_link_of_the_description_is_absolute_and_leads_to_a_file(packages: Packages) -> None:
    metadata = zipfile.ZipFile(packages.wheel).read(f"{NAME}.dist-info/METADATA").decode()
    addresses = set(re.findall(r"\]\(([^)]+)\)", metadata))
    pictures = re.findall(r"!\[[^\]]*\]\(([^)]+)\)", metadata)
    assert len(addresses) > 20
    assert {address for address in addresses if not address.startswith("https://")} == set()
    own = [address for address in addresses if "/axis-ntp-exporter/axis-ntp-exporter/" in address]
    files = {address: re.split("/main/|#", address)[1] for address in own}
    assert {name for name in files.values() if not (ROOT / name).exists()} == set()
    assert all(address.startswith("https://raw.githubusercontent.com/") for address in pictures)


def test_the_sdist_contains_exactly_the_project(packages: Packages) -> None:
    contents = packages.in_sdist() - GENERATED_FILES
    assert git_files() - contents == set()
    # Untracked files may be included, ignored files must not.
    assert contents - git_files("--cached", "--others", "--exclude-standard") == set()


def test_the_wheel_contains_exactly_the_package(packages: Packages) -> None:
    contents = {name for name in packages.in_wheel() if ".dist-info/" not in name}
    of_the_package = {name for name in packages.in_sdist() if name.startswith("exporter/")}
    assert contents == {*of_the_package, "axis_ntp_exporter.py"}
    assert {"exporter/py.typed", "exporter/web/routes.py"} <= contents
    assert {Path(name).suffix for name in contents} >= {".py", ".html"}


def test_the_license_is_included(packages: Packages) -> None:
    assert f"{NAME}.dist-info/licenses/LICENSE" in packages.in_wheel()
    assert "LICENSE" in packages.in_sdist()


def test_the_tests_run_from_the_sdist_alone(packages: Packages, tmp_path: Path) -> None:
    unpack = ("tar", "--extract", "--file", packages.sdist, "--directory", tmp_path)
    subprocess.run(unpack, check=True)
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


def other_package(folder: Path, contents: str) -> Path:
    """Make the wheel of another distribution whose package is called `exporter`."""
    wheel = folder / "exporter-9.9-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("exporter/__init__.py", contents)
        for name, text in {
            "METADATA": "Metadata-Version: 2.1\nName: exporter\nVersion: 9.9\n",
            "WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
            "RECORD": "exporter/__init__.py,,\n",
        }.items():
            archive.writestr(f"exporter-9.9.dist-info/{name}", text)
    return wheel


def refusal(*words: str | Path, folder: Path, path: str = "") -> str:
    """Run a command line that must fail with one sentence; return that."""
    environment = NO_PYTHONPATH | ({"PYTHONPATH": path} if path else {})
    done = subprocess.run(
        words, cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.count("\n") == 1
    assert "Install axis-ntp-exporter again, into an environment of its own" in done.stderr
    return done.stderr


@pytest.mark.parametrize(
    "contents", ["__version__ = '9.9'", "import a_missing_module", "print 'for Python 2'"]
)
def test_another_package_called_exporter_over_ours_is_said(
    packages: Packages, tmp_path: Path, contents: str
) -> None:
    command = install(packages.wheel, tmp_path)
    interpreter = command.with_name("python")
    pip("install", other_package(tmp_path, contents), of=interpreter)
    [replaced] = tmp_path.glob("lib/python*/site-packages/exporter/__init__.py")
    for words in ((command, "--version"), (command,), (interpreter, "-m", "axis_ntp_exporter")):
        assert str(replaced) in refusal(*words, folder=tmp_path)
    # Without the other package, ours lacks what that has replaced.
    pip("uninstall", "exporter", of=interpreter)
    assert "(Python finds nothing)" in refusal(command, "--version", folder=tmp_path)
    pip("install", "--force-reinstall", packages.wheel, of=interpreter)
    assert __version__ in python("-m", "exporter", "--version", folder=tmp_path, of=interpreter)


def test_a_package_called_exporter_that_hides_ours_is_said(installed: Path, tmp_path: Path) -> None:
    (tmp_path / "exporter").mkdir()
    other = tmp_path / "exporter/__init__.py"
    other.write_text("")
    module = (installed.with_name("python"), "-m", "axis_ntp_exporter", "--version")
    assert str(other) in refusal(*module, folder=tmp_path)
    assert str(other) in refusal(installed, "--version", folder=tmp_path.parent, path=str(tmp_path))
    # The command itself does not look for packages in the current folder.
    assert __version__ in python(installed, "--version", folder=tmp_path)


def test_a_module_that_another_package_has_replaced_is_said(
    packages: Packages, tmp_path: Path
) -> None:
    command = install(packages.wheel, tmp_path)
    [package] = tmp_path.glob("lib/python*/site-packages/exporter")
    (package / "commands/run.py").unlink()
    assert str(package) in refusal(command, "--config.check", folder=tmp_path)
    for contents in ("", "def main(:"):
        (package / "cli.py").write_text(contents)
        assert str(package) in refusal(command, "--version", folder=tmp_path)
