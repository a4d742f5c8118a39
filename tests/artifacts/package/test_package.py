"""The Debian package: built, checked by lintian, and installed, upgraded and removed."""

from __future__ import annotations

import hashlib
import os
import platform
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

from tests.artifacts.container import Container, booted
from tests.artifacts.debian import (
    BOOKWORM,
    CHECKOUT,
    TRIXIE,
    require,
    require_containers,
    wheels_for,
)
from tests.artifacts.installed import (
    CONFIG,
    PASSWORD,
    UNIT,
    config,
    start_cameras,
    wait_for_metric,
)

ETC: Final = "/etc/axis-ntp-exporter"
FILE: Final = "/packages/first.deb"
NEWER: Final = "/packages/newer.deb"
BUILD: Final = """
import sys
from pathlib import Path
sys.path.insert(0, "deploy/debian")
import build
print(build.build(Path(sys.argv[1])))
"""


@dataclass(frozen=True)
class Packages:
    """The package, and the same as a newer version with another example config."""

    folder: Path
    first: Path
    newer: Path


def built_in(folder: Path) -> Path:
    """Build the package, from the wheels of the cache, with the strictest umask."""
    offline = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(wheels_for(BOOKWORM))}
    done = subprocess.run(
        ["sh", "-c", 'umask 077; exec "$@"', "sh", sys.executable, "-c", BUILD, str(folder)],
        cwd=CHECKOUT,
        env={**os.environ, **offline},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return Path(done.stdout.strip())


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Packages:
    require_containers()
    if platform.freedesktop_os_release().get("VERSION_CODENAME") != BOOKWORM.name:
        pytest.exit(
            "make deb-test needs Debian 12: the package is for the Debian that builds it", 1
        )
    folder = tmp_path_factory.mktemp("packages")
    first = built_in(tmp_path_factory.mktemp("built")).rename(folder / "first.deb")
    return Packages(folder, first, newer_than(first, tmp_path_factory.mktemp("newer")))


def newer_than(first: Path, work: Path) -> Path:
    """Return a copy of a package with a higher version and another example config."""
    root, newer = work / "root", first.with_name("newer.deb")
    run("dpkg-deb", "--raw-extract", str(first), str(root))
    control = root / "DEBIAN/control"
    control.write_text(control.read_text().replace("Version: ", "Version: 99."))
    with (root / f"{ETC[1:]}/config.example.yaml").open("a") as example:
        example.write("# newer\n")
    run("dpkg-deb", "--root-owner-group", "-Znone", "--build", str(root), str(newer))
    return newer


def run(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def debian(packages: Packages) -> Iterator[Container]:
    """A Debian 12 without the package."""
    with booted(BOOKWORM, {packages.folder: "/packages"}) as running:
        # The root was made without documentation; packages that are installed from now on have it.
        running.sh("rm /etc/dpkg/dpkg.cfg.d/99mmdebstrap")
        yield running


def test_lintian_finds_no_error(packages: Packages) -> None:
    lintian = require("lintian", "lintian")
    run(lintian, "--allow-root", "--fail-on=error", str(packages.first))


def test_a_second_build_gives_the_same_file(packages: Packages, tmp_path: Path) -> None:
    again = built_in(tmp_path)
    sums = [hashlib.sha256(each.read_bytes()).hexdigest() for each in (packages.first, again)]
    assert sums[0] == sums[1]


def test_it_names_no_folder_of_the_build(packages: Packages, tmp_path: Path) -> None:
    run("dpkg-deb", "--extract", str(packages.first), str(tmp_path))
    texts = [file for file in tmp_path.rglob("*") if file.is_file() and not file.is_symlink()]
    strange = (str(CHECKOUT).encode(), b"/tmp/tmp")
    assert [f for f in texts if any(word in f.read_bytes() for word in strange)] == []


def test_dpkg_refuses_it_on_another_release_of_debian(packages: Packages) -> None:
    with booted(TRIXIE, {packages.folder: "/packages"}) as running:
        said = running.sh(f"dpkg --install {FILE}", ok=False)
        assert "depends on python3 (<< 3.12)" in said
        assert "install ok installed" not in running.sh("dpkg --status axis-ntp-exporter", ok=False)


def active(running: Container) -> str:
    return running.properties(UNIT, "ActiveState")["ActiveState"]


# The following tests are the life of one installation, in this order.


def test_it_does_not_mix_with_an_environment_that_was_made_by_hand(debian: Container) -> None:
    debian.sh("mkdir /opt/axis-ntp-exporter && touch /opt/axis-ntp-exporter/pyvenv.cfg")
    said = debian.sh(f"dpkg --install {FILE}", ok=False)
    assert "/opt/axis-ntp-exporter is an environment made by hand" in said
    assert debian.sh("ls /opt/axis-ntp-exporter") == "pyvenv.cfg\n"
    debian.sh("rm -r /opt/axis-ntp-exporter; dpkg --purge axis-ntp-exporter")


def test_a_first_installation_starts_nothing_and_says_what_to_do(debian: Container) -> None:
    said = debian.sh(f"apt-get install {FILE}", umask="077")
    assert "systemctl enable --now axis-ntp-exporter" in said
    assert active(debian) == "inactive"
    assert debian.sh(f"ls {ETC}").split() == ["config.example.yaml"]
    assert debian.sh("axis-ntp-exporter --version").startswith("axis-ntp-exporter ")


def test_every_library_finds_what_it_needs(debian: Container) -> None:
    libraries = "find /opt/axis-ntp-exporter -name '*.so*' -exec ldd {} +"
    assert "not found" not in debian.sh(libraries)


def test_no_file_is_changed_or_missing(debian: Container) -> None:
    assert debian.sh("dpkg --verify axis-ntp-exporter") == ""


def test_it_polls_after_what_the_message_says(debian: Container) -> None:
    start_cameras(debian)
    debian.write(CONFIG, config())
    debian.write(f"{ETC}/axis-password", PASSWORD, "600")
    debian.sh("systemctl enable --now axis-ntp-exporter")
    wait_for_metric(debian, "axis_ntp_up{…} 1.0", 3)


def test_an_upgrade_restarts_it_and_keeps_the_config(debian: Container) -> None:
    before = debian.properties(UNIT, "MainPID")
    debian.sh(f"dpkg --install {NEWER}")
    assert active(debian) == "active"
    assert debian.properties(UNIT, "MainPID") != before
    assert debian.sh(f"cat {CONFIG}") == config()
    assert debian.sh(f"tail -n 1 {ETC}/config.example.yaml") == "# newer\n"
    wait_for_metric(debian, "axis_ntp_up{…} 1.0", 3)


def test_an_upgrade_does_not_start_what_was_stopped(debian: Container) -> None:
    debian.sh(f"systemctl stop {UNIT}")
    debian.sh(f"dpkg --install {NEWER}")
    assert active(debian) == "inactive"
    debian.sh(f"systemctl start {UNIT}")


def test_an_upgrade_that_does_not_start_says_where_to_look(debian: Container) -> None:
    debian.write(CONFIG, "devices: 7")
    said = debian.sh(f"dpkg --install {NEWER}")
    assert "axis-ntp-exporter does not start: journalctl -u axis-ntp-exporter says why" in said
    debian.write(CONFIG, config())
    debian.sh(f"systemctl restart {UNIT}")


def test_an_environment_that_somebody_has_removed_does_not_prevent_a_removal(
    debian: Container,
) -> None:
    debian.sh("rm -r /opt/axis-ntp-exporter; dpkg --remove axis-ntp-exporter")
    debian.sh(f"dpkg --install {NEWER}; systemctl start {UNIT}")
    assert active(debian) == "active"


def test_removal_stops_it_and_keeps_the_files_of_the_user(debian: Container) -> None:
    debian.sh("dpkg --remove axis-ntp-exporter")
    assert active(debian) == "inactive"
    assert debian.code("test -e /opt/axis-ntp-exporter") == 1
    assert debian.sh(f"cat {CONFIG}") == config()


def test_after_a_new_installation_it_starts_with_the_same_files(debian: Container) -> None:
    debian.sh(f"dpkg --install {FILE}; systemctl start {UNIT}")
    wait_for_metric(debian, "axis_ntp_up{…} 1.0", 3)


def test_purging_keeps_only_the_files_of_the_user(debian: Container) -> None:
    debian.sh("dpkg --purge axis-ntp-exporter")
    assert sorted(debian.sh(f"ls {ETC}").split()) == ["axis-password", "config.yaml"]
    assert debian.sh("find /etc/systemd /usr/lib/systemd -name 'axis-ntp-exporter*'") == ""
