"""The walls of the house: who may import whom, and what is known in one place only."""

import subprocess
import sys
from pathlib import Path

PACKAGE = Path(__file__).parents[1] / "exporter"


def modules_after(statement: str) -> set[str]:
    """The project's modules that a new interpreter has loaded after `statement`."""
    code = f"{statement}; import sys; print(*sorted(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return {name for name in done.stdout.split() if name.startswith("exporter.")}


def files_with(word: str) -> set[str]:
    return {
        file.relative_to(PACKAGE).as_posix()
        for file in PACKAGE.rglob("*.py")
        if word in file.read_text() and "simulator" not in file.parts
    }


def test_the_daemon_cannot_change_a_device() -> None:
    loaded = modules_after("import exporter.commands.run")
    assert "exporter.vapix.client" in loaded
    assert "exporter.vapix.ntp_configuration" not in loaded


def test_the_daemon_knows_nothing_of_the_simulator() -> None:
    loaded = modules_after("import exporter.commands.run")
    assert not {name for name in loaded if "simulator" in name}


def test_the_simulator_knows_nothing_of_our_client() -> None:
    loaded = modules_after("import exporter.simulator.command")
    assert loaded
    assert not {name for name in loaded if "simulator" not in name}


def test_the_version_is_told_without_loading_anything() -> None:
    assert modules_after("import exporter.cli") == {"exporter.cli"}


def test_the_wire_spelling_of_a_field_is_known_in_one_place() -> None:
    assert files_with("timeOffset") == {"vapix/ntp.py"}
    assert files_with("maxSupportedStaticServers") == {"vapix/ntp.py"}


def test_only_the_device_client_and_discovery_open_http_sessions() -> None:
    assert files_with("ClientSession") == {"vapix/session.py", "discovery/mechanisms.py"}
