"""Write the SBOM of a Debian package: `python -m tests.artifacts.package.sbom PACKAGE FILE`."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

from tests.artifacts.sbom import write_sbom


def main() -> None:
    """Unpack the package, write the file."""
    package, file = map(Path, sys.argv[1:])
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(["dpkg-deb", "--extract", package, folder], check=True)
        write_sbom(Path(folder) / "opt/axis-ntp-exporter", file)


if __name__ == "__main__":
    main()
