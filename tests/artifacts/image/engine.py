"""buildah and podman with a store of their own, and the base image, made from Debian's packages.

No registry of images is asked. The base is kept below the user's cache folder; the rest is removed.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import resource
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.artifacts.image.pip_settings import pip_secrets
from tests.artifacts.machine import cache_folder, debian_mirror
from tests.deploy.dockerfile import BUILD_STAGE, ROOT, all_of
from tests.support.programs import wait_until

IMAGE: Final = "localhost/axis-ntp-exporter"
ENVIRONMENT: Final = "/opt/axis-ntp-exporter"
NOBODY: Final = 65534
PACKAGES: Final = {
    "buildah": "buildah",
    "mmdebstrap": "mmdebstrap",
    "podman": "podman",
    "runc": "runc",
}
"""What `make image-test` needs: program and its Debian package."""

_RELEASE: Final = "trixie"
"""Debian 13: its Python is 3.13, as in the Dockerfile."""

_BASE: Final = (
    "--mode=root",
    "--variant=minbase",
    "--format=tar",
    "--include=ca-certificates,python3,python3-venv",
    # `python` and `pip` in /usr/local, as in the official image, whose pip may install anywhere.
    '--customize-hook=chroot "$1" python3 -m venv /usr/local',
    # The official image has no bytecode either.
    '--customize-hook=find "$1/usr" -name "*.pyc" -delete',
)
_LIMIT: Final = min(4096, *resource.getrlimit(resource.RLIMIT_NOFILE))
_CONTAINERS: Final = f"""\
[containers]
default_ulimits = ["nofile={_LIMIT}:{_LIMIT}", "nproc=4096:4096"]
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
lock_type = "file"
runtime = "runc"
tmp_dir = "{{0}}/tmp"
"""
_STORAGE: Final = """\
[storage]
graphroot = "{0}/store"
runroot = "{0}/run"
"""


def missing() -> str:
    """Return in one sentence what is missing on this machine; "" if nothing is."""
    if packages := [
        each for name, each in PACKAGES.items() if not shutil.which(name, path=_path())
    ]:
        return f"images are built and run with Debian's {' '.join(packages)}: apt-get install them"
    if os.geteuid() != 0:
        return "images are built and run as root: use sudo, or a root shell"
    return ""


class CommandFailed(Exception):
    """A command of buildah, podman or mmdebstrap failed; `str()` shows its output."""


def run(*words: str | Path, environment: Mapping[str, str] | None = None) -> str:
    """Run a command and return its output. Raises `CommandFailed`."""
    done = subprocess.run(
        words,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise CommandFailed(f"{words} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    return done.stdout.strip()


@dataclass(frozen=True)
class Engine:
    """buildah and podman with the settings in `folder`."""

    folder: Path
    environment: Mapping[str, str]

    def buildah(self, *words: str | Path) -> str:
        return run("buildah", *words, environment=self.environment)

    def podman(self, *words: str | Path) -> str:
        return run("podman", *words, environment=self.environment)

    def succeeds(self, *words: str) -> bool:
        """Return whether a command of podman ends with 0."""
        done = subprocess.run(
            ("podman", *words), env=self.environment, capture_output=True, check=False
        )
        return done.returncode == 0

    def wait_for(self, container: str, *command: str) -> None:
        """Block until a command of podman succeeds.

        Raises `CommandFailed` if the container ends before, `TimeoutError` if it never does; both
        with its logs.
        """
        what = f"podman {' '.join(command)} succeeds"
        wait_until(lambda: self._done(container, command), what, lambda: self.logs(container), 120)

    def _done(self, container: str, command: tuple[str, ...]) -> bool:
        if self.podman("inspect", "--format={{.State.Running}}", container) != "true":
            raise CommandFailed(f"{container} ended:\n{self.logs(container)}")
        return self.succeeds(*command)

    def logs(self, container: str) -> str:
        done = subprocess.run(
            ("podman", "logs", container),
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        return done.stdout

    def execute(self, container: str, *command: str) -> str:
        return self.podman("exec", container, *command)

    def size(self, image: str) -> int:
        """Return an image's size in bytes, without compression."""
        return int(self.podman("image", "inspect", "--format={{.Size}}", image))

    def build(self, revision: str = "unknown") -> None:
        """Build the image of the Dockerfile as `IMAGE`."""
        secrets = pip_secrets(self.folder)
        self.buildah(
            "bud",
            "--pull-never",
            "--no-cache",
            "--isolation=chroot",
            # The other format has no health check.
            "--format=docker",
            *(f"--secret=id={name},src={file}" for name, file in secrets.items()),
            f"--build-arg=REVISION={revision}",
            f"--tag={IMAGE}",
            ROOT,
        )

    def copy_environment(self, folder: Path) -> None:
        """Copy the image's Python environment into a folder that does not exist yet."""
        container = self.podman("create", "--pull=never", "--network=none", IMAGE)
        self.podman("cp", f"{container}:{ENVIRONMENT}", folder)
        self.podman("rm", container)


@contextmanager
def engine() -> Iterator[Engine]:
    """Yield an engine that has nothing but the base image. One at a time on this machine."""
    cache = cache_folder() / "image"
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        made = _engine(cache / "engine")
        _remove(made)  # what a killed run left
        made.folder.mkdir()
        (made.folder / "containers.conf").write_text(_CONTAINERS.format(made.folder))
        storage = made.folder / "storage.conf"
        storage.write_text(_STORAGE.format(made.folder))
        # overlay, or vfs where the kernel allows no overlay here, as inside of another container.
        driver = made.podman("info", "--format={{.Store.GraphDriverName}}")
        storage.write_text(f'{storage.read_text()}driver = "{driver}"\n')
        try:
            made.podman("import", _base(cache), base_image())
            yield made
        finally:
            _remove(made)


def base_image() -> str:
    """Return the full name of the image in the Dockerfile's FROM."""
    return f"docker.io/library/{all_of('FROM', BUILD_STAGE)[0].split()[0]}"


def _engine(folder: Path) -> Engine:
    settings = {
        "CONTAINERS_CONF": str(folder / "containers.conf"),
        "CONTAINERS_STORAGE_CONF": str(folder / "storage.conf"),
        # Health checks run when a test asks, not by timers of systemd.
        "DISABLE_HC_SYSTEMD": "true",
    }
    return Engine(folder, {**os.environ, **settings, "PATH": _path()})


def _path() -> str:
    """Return PATH with /usr/sbin, where Debian has runc, and which ordinary users lack."""
    return os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin"])


def _remove(engine: Engine) -> None:
    if engine.folder.exists():
        with suppress(CommandFailed):
            engine.podman("rm", "--all", "--force", "--time=0")
        for line in Path("/proc/self/mounts").read_text().splitlines():
            if (place := Path(line.split()[1])).is_relative_to(engine.folder):
                run("umount", place)  # the overlay driver leaves its folder mounted on itself
        shutil.rmtree(engine.folder)


def _base(cache: Path) -> Path:
    """Return the file system of the base image; make it if the cache does not have it."""
    recipe = hashlib.sha256(" ".join((_RELEASE, *_BASE)).encode()).hexdigest()[:12]
    file = cache / f"base-{recipe}.tar"
    if not file.exists():
        part = file.with_suffix(".part")
        run("mmdebstrap", *_BASE, _RELEASE, part, *debian_mirror())
        part.replace(file)
    return file
