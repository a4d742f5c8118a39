"""Build the Debian package: `make deb`. No debhelper; needs only pip and dpkg-deb.

The package contains a virtual environment below /opt/axis-ntp-exporter. That works only with the
Python that made it, so the package is for the Debian release on which it was built.
"""

from __future__ import annotations

import email.utils
import gzip
import hashlib
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

from exporter import __version__

CHECKOUT: Final = Path(__file__).parents[2]
HERE: Final = Path(__file__).parent
NAME: Final = "axis-ntp-exporter"
MAINTAINER: Final = f"{NAME} maintainers <{NAME}@users.noreply.github.com>"
PYTHON: Final = "/usr/bin/python3"
HOME: Final = f"opt/{NAME}"
SCRIPTS: Final = ("preinst", "postinst", "prerm", "postrm")
COMMAND: Final = f"""#!/{HOME}/bin/python3
import sys

from axis_ntp_exporter import main

sys.exit(main())
"""
COMPLETIONS: Final = {
    "bash": f"usr/share/bash-completion/completions/{NAME}",
    "zsh": f"usr/share/zsh/vendor-completions/_{NAME}",
    "fish": f"usr/share/fish/vendor_completions.d/{NAME}.fish",
}


def build(folder: Path) -> Path:
    """Build the package into `folder`; return its file."""
    for program, package in ((PYTHON, "python3"), ("dpkg-deb", "dpkg")):
        if shutil.which(program) is None:
            sys.exit(f"make deb needs {program}: apt-get install {package}")
    # Whatever the umask of the caller is, every account can read the files.
    os.umask(0o022)
    os.environ.setdefault("SOURCE_DATE_EPOCH", last_change())
    with tempfile.TemporaryDirectory() as temporary:
        root = Path(temporary, "root")
        install_environment(root / HOME, Path(temporary))
        write_files(root)
        write_control(root)
        return pack(root, folder)


def last_change() -> str:
    """Return when the source changed last, Unix time: every file of the package gets that."""
    asked = ["git", "-C", str(CHECKOUT), "log", "-1", "--format=%ct"]
    shown = subprocess.run(asked, capture_output=True, text=True, check=False)
    return shown.stdout.strip() or str(int((CHECKOUT / "CHANGELOG.md").stat().st_mtime))


def install_environment(home: Path, temporary: Path) -> None:
    """Make the virtual environment with the pinned libraries, as if it were in its final place."""
    run(PYTHON, "-m", "venv", "--without-pip", home)
    # The build backend of this environment has the pinned version.
    pip = (sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check")
    run(*pip, "wheel", "--no-build-isolation", "--no-deps", "--wheel-dir", temporary, CHECKOUT)
    [wheel] = temporary.glob("*.whl")
    constraint = f"--constraint={CHECKOUT / 'constraints.txt'}"
    target = ("--python", home / "bin/python3", "install", "--no-compile")
    run(*pip, *target, "--only-binary=:all:", constraint, f"{wheel}[simulator]")
    forget_the_build(home)


def forget_the_build(home: Path) -> None:
    """Remove what names the folder of the build, and scripts that nobody needs."""
    for file in (home / "bin").iterdir():
        if not file.name.startswith("python"):
            file.unlink()
    (home / "bin" / NAME).write_text(COMMAND)
    (home / "bin" / NAME).chmod(0o755)
    config = (home / "pyvenv.cfg").read_text()
    (home / "pyvenv.cfg").write_text(re.sub(r"(?m)^command = .*\n", "", config))
    for source in home.rglob("direct_url.json"):
        source.unlink()
    for record in home.rglob("*.dist-info/RECORD"):
        kept = [line for line in record.read_text().splitlines() if not gone(line)]
        record.write_text("".join(f"{line}\n" for line in kept))


def gone(line: str) -> bool:
    """Return whether a line of a RECORD lists what `forget_the_build` has removed."""
    return line.startswith("../../../bin/") or "/direct_url.json," in line


def write_files(root: Path) -> None:
    """Write everything that is not the environment."""
    copy(CHECKOUT / f"deploy/systemd/{NAME}.service", root / "usr/lib/systemd/system")
    copy(CHECKOUT / "config.example.yaml", root / f"etc/{NAME}")
    copy(HERE / "copyright", root / f"usr/share/doc/{NAME}")
    copy(HERE / "lintian-overrides", root / "usr/share/lintian/overrides", NAME)
    changes = gzip.compress(changelog().encode(), 9, mtime=0)
    (root / f"usr/share/doc/{NAME}/changelog.gz").write_bytes(changes)
    (root / "usr/bin").mkdir(parents=True)
    (root / "usr/bin" / NAME).symlink_to(f"/{HOME}/bin/{NAME}")
    python = (root / HOME / "bin/python3", "-B", "-m", "exporter", "completion")
    for shell, path in COMPLETIONS.items():
        (root / path).parent.mkdir(parents=True)
        (root / path).write_text(run(*python, shell))


def changelog() -> str:
    """Return the entry of this version as Debian writes it."""
    day = email.utils.formatdate(int(os.environ["SOURCE_DATE_EPOCH"]))
    text = "  * https://github.com/axis-ntp-exporter/axis-ntp-exporter/blob/main/CHANGELOG.md"
    return f"{NAME} ({version()}) unstable; urgency=medium\n\n{text}\n\n -- {MAINTAINER}  {day}\n"


def copy(source: Path, folder: Path, name: str = "") -> None:
    """Copy a file into a folder, which is made."""
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, folder / (name or source.name))


def write_control(root: Path) -> None:
    """Write what dpkg needs: the description, the scripts, conffiles and checksums."""
    files = sorted(file for file in root.rglob("*") if file.is_file() and not file.is_symlink())
    sums = [f"{checksum(file)}  {file.relative_to(root)}\n" for file in files]
    control = root / "DEBIAN"
    control.mkdir()
    size = sum(file.stat().st_size for file in files) // 1024
    (control / "control").write_text(description(size))
    (control / "conffiles").write_text(f"/etc/{NAME}/config.example.yaml\n")
    (control / "md5sums").write_text("".join(sums))
    for script in SCRIPTS:
        shutil.copyfile(HERE / script, control / script)
        (control / script).chmod(0o755)


def checksum(file: Path) -> str:
    """Return the checksum by which dpkg finds damaged files."""
    return hashlib.md5(file.read_bytes(), usedforsecurity=False).hexdigest()


def description(kilobytes: int) -> str:
    """Return the control file for this machine's Python and architecture."""
    major, minor = run(PYTHON, "-c", "import sys; print(*sys.version_info[:2])").split()
    return (
        (HERE / "control.in")
        .read_text("utf-8")
        .format(
            version=version(),
            maintainer=MAINTAINER,
            architecture=run("dpkg", "--print-architecture").strip(),
            installed_kilobytes=kilobytes,
            python=f"{major}.{minor}",
            next_python=f"{major}.{int(minor) + 1}",
        )
    )


def version() -> str:
    """Return the version as Debian sorts it, with the release that the package is for."""
    release = platform.freedesktop_os_release()
    before_the_release = re.sub(r"\.?(a|b|rc|dev)(\d+)", r"~\1\2", __version__)
    return f"{before_the_release}+{release['ID']}{release.get('VERSION_ID', '')}"


def pack(root: Path, folder: Path) -> Path:
    """Build the package file; all its files belong to root."""
    folder.mkdir(exist_ok=True)
    # xz takes ten times as long for a quarter less.
    run("dpkg-deb", "--root-owner-group", "-Zgzip", "--build", root, folder)
    [architecture] = re.findall(r"Architecture: (.+)", (root / "DEBIAN/control").read_text())
    return folder / f"{NAME}_{version()}_{architecture}.deb"


def run(*words: str | Path) -> str:
    """Run a program and return its output; end with its errors if it fails."""
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"{words[0]} failed: {done.stderr or done.stdout}")
    return done.stdout


if __name__ == "__main__":
    print(build(CHECKOUT / "dist"))
