"""Write the SBOM (CycloneDX, JSON) of a virtual environment: what is installed in it.

`python -m tests.artifacts.sbom ENVIRONMENT FILE`; the environment may come from another root, such
as an image or a .deb: its Python is not run.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
import venv
from importlib import metadata
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]


def write_sbom(environment: Path, file: Path) -> None:
    """Write what is installed in a virtual environment. Raises ValueError if it is none.

    The file depends on the environment only: it has no time and no random number.
    """
    found = list(environment.glob("lib/python3.*/site-packages"))
    if len(found) != 1:
        raise ValueError(
            f"{environment} is not a virtual environment: no lib/python3.*/site-packages"
        )
    file.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as name:
        packages, folder = found[0].resolve(), Path(name)
        _run_cyclonedx(_with_our_python(folder, packages), _project(folder, packages), file)


def _with_our_python(folder: Path, packages: Path) -> Path:
    """Return the Python of a new environment with these packages."""
    venv.create(folder)
    [own] = folder.glob("lib/python3.*/site-packages")
    shutil.rmtree(own)
    own.symlink_to(packages)
    return folder / "bin/python"


def _project(folder: Path, packages: Path) -> Path:
    """Return a pyproject.toml with the installed version; ours leaves it to the build."""
    installed = metadata.distributions(name="axis-ntp-exporter", path=[str(packages)])
    version = f'version = "{next(iter(installed)).version}"'
    file = folder / "pyproject.toml"
    ours = (ROOT / "pyproject.toml").read_text("utf-8")
    file.write_text(re.sub(r"(?m)^dynamic = .*$", version, ours), "utf-8")
    return file


def _run_cyclonedx(python: Path, project: Path, file: Path) -> None:
    program = Path(sys.executable).with_name("cyclonedx-py")
    options = ("--output-reproducible", "--pyproject", project, "-o", file)
    subprocess.run([program, "environment", *options, python], check=True)


def main() -> None:
    """Read the command line and write the file."""
    parser = argparse.ArgumentParser(description="Write the SBOM of a virtual environment.")
    parser.add_argument("environment", type=Path)
    parser.add_argument("file", type=Path)
    arguments = parser.parse_args()
    write_sbom(arguments.environment, arguments.file)


if __name__ == "__main__":
    main()
