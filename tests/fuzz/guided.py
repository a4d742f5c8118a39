"""Fuzz one target in this process, guided by coverage (atheris, libFuzzer).

`python -m tests.fuzz.guided TARGET [flags of libFuzzer] FOLDER`: see `python -m tests.fuzz`.
"""

import importlib
import sys
from typing import Any

if __name__ == "__main__":
    atheris: Any = importlib.import_module("atheris")
    # Before anything imports the exporter: its code is changed to report what runs.
    with atheris.instrument_imports(include=["exporter"]):
        from tests.fuzz.targets import TARGETS
    from tests.support.log_lines import log_to

    name, *arguments = sys.argv[1:]
    (target,) = (each for each in TARGETS if each.name == name)
    log_to("error")
    atheris.Setup([sys.argv[0], *arguments], target.check)
    atheris.Fuzz()
