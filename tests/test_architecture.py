"""Which package may import which, and what only one module may know."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "exporter"

ORDER = (
    "__main__",
    "cli",
    "commands",
    "daemon",
    "web",
    "find",
    "evidence",
    "fleet",
    "discovery",
    "rules",
    "check",
    "configure",
    "polling",
    "metrics",
    "devices",
    "time_servers",
    "config",
    "vapix",
    "system",
    "clock",
    "simulator",
)
"""Packages and top-level modules; each imports only from those after it."""


def all_modules_after(statement: str) -> set[str]:
    code = f"{statement}; import sys; print(*sorted(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def modules_after(statement: str) -> set[str]:
    """The project's modules that a new interpreter has loaded after `statement`."""
    return {name for name in all_modules_after(statement) if name.startswith("exporter.")}


def files_with(word: str) -> set[str]:
    return {
        file.relative_to(PACKAGE).as_posix()
        for file in PACKAGE.rglob("*.py")
        if word in file.read_text() and "simulator" not in file.parts
    }


def imported_by(name: str) -> set[str]:
    """The project's modules that a module imports anywhere in its text, and what those import."""
    found, waiting = set(), [name]
    while waiting:
        file = module_file(waiting.pop())
        if file is None or file in found:
            continue
        found.add(file)
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Import):
                waiting.extend(alias.name for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.module is not None:
                waiting.append(node.module)
                waiting.extend(f"{node.module}.{alias.name}" for alias in node.names)
    return {file.relative_to(PACKAGE).as_posix() for file in found}


def module_file(name: str) -> Path | None:
    """The file of one of the project's modules; `None` for another name."""
    path = PACKAGE.parent.joinpath(*name.split("."))
    files = (path.with_suffix(".py"), path / "__init__.py")
    return next((f for f in files if name.startswith("exporter") and f.exists()), None)


def imports_of(file: Path) -> set[str]:
    """The packages and top-level modules of the project that a file imports."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module == "exporter":
            names |= {f"exporter.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            names.add(node.module)
    parts = [name.split(".") for name in names if name.startswith("exporter.")]
    return {part[1] for part in parts} - {"__version__", "PROGRAM"}


def test_the_top_level_has_two_modules_and_the_packages_of_the_table() -> None:
    modules = {file.stem for file in PACKAGE.glob("*.py")}
    packages = {file.parent.name for file in PACKAGE.glob("*/__init__.py")}
    assert modules == {"__init__", "__main__", "cli", "daemon"}
    assert modules | packages == {"__init__", *ORDER}


@pytest.mark.parametrize("name", ORDER)
def test_a_package_imports_only_from_those_after_it(name: str) -> None:
    path = PACKAGE / name
    files = path.rglob("*.py") if path.is_dir() else [path.with_suffix(".py")]
    upward = {
        f"{file.relative_to(PACKAGE)} imports {each}"
        for file in files
        for each in imports_of(file) - {name}
        if ORDER.index(each) < ORDER.index(name)
    }
    assert upward == set()


def test_no_class_name_is_used_twice() -> None:
    places: dict[str, list[str]] = {}
    for file in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.ClassDef):
                places.setdefault(node.name, []).append(str(file.relative_to(PACKAGE)))
    assert {name: where for name, where in places.items() if len(where) > 1} == {}


def test_private_parts_of_aiohttp_are_used_in_one_module_only() -> None:
    assert files_with("ResponseHandler)") == {"vapix/aiohttp_internals.py", "vapix/connection.py"}
    assert files_with("._factory") == {"vapix/aiohttp_internals.py"}
    assert files_with("aiohttp.ClientRequest") == {"vapix/aiohttp_internals.py"}
    for name in ("_parser", "_payload", "_buffer"):
        assert files_with(f".{name}") == {"vapix/aiohttp_internals.py"}


def test_the_daemon_cannot_change_a_device() -> None:
    loaded = modules_after("import exporter.commands.run")
    assert "exporter.vapix.client" in loaded
    assert "exporter.vapix.ntp_configuration" not in loaded
    assert not {name for name in loaded if name.startswith("exporter.configure")}


def test_check_cannot_change_a_device_either() -> None:
    reached = imported_by("exporter.commands.check")
    assert {"vapix/client.py", "devices/health.py"} <= reached
    assert "vapix/ntp_configuration.py" not in reached
    assert not {file for file in reached if file.startswith("configure/")}


def test_no_import_inside_a_function_lets_the_daemon_change_a_device() -> None:
    reached = imported_by("exporter.commands.run")
    assert {"vapix/client.py", "polling/poller.py", "web/routes.py"} <= reached
    assert "vapix/ntp_configuration.py" not in reached
    assert not {file for file in reached if file.startswith("configure/")}


def test_one_module_names_the_method_that_changes_a_device() -> None:
    assert files_with("setNTPClientConfiguration") == {"vapix/ntp_configuration.py"}
    assert files_with("SET_CONFIGURATION") == {"vapix/ntp_configuration.py"}


def test_only_configure_changes_a_device() -> None:
    assert files_with("set_configuration") == {
        "vapix/ntp_configuration.py",
        "configure/apply.py",
    }


def test_only_the_terminal_imports_rich() -> None:
    assert files_with("from rich") == {"system/terminal.py"}


def test_only_completion_imports_shtab() -> None:
    assert files_with("import shtab") == {"commands/completion.py"}
    assert "shtab" not in all_modules_after("import exporter.cli, exporter.commands.run")


def test_rich_is_loaded_for_a_terminal_only() -> None:
    # Apart from what structlog loads by itself: decision 0008.
    loaded = all_modules_after("import exporter.system.terminal")
    assert not {name for name in loaded if name.partition(".")[0] == "rich"}


@pytest.mark.parametrize(
    "words",
    [["--config.check"], ["configure"], ["check"]],
    ids=["run", "configure", "check"],
)
def test_no_progress_bar_is_loaded_without_a_terminal(words: list[str], tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text("devices: [{address: 192.0.2.1}]")
    call = f"import exporter.cli; exporter.cli.run({[*words, f'--config.file={file}']!r})"
    loaded = all_modules_after(call)
    assert "structlog" in loaded
    assert "rich.progress" not in loaded


def test_the_daemon_does_not_import_the_simulator() -> None:
    loaded = modules_after("import exporter.commands.run")
    assert not {name for name in loaded if "simulator" in name}


def test_the_simulator_imports_nothing_else_of_the_exporter() -> None:
    loaded = modules_after("import exporter.simulator.command")
    assert loaded
    assert not {name for name in loaded if "simulator" not in name}


def test_the_command_line_imports_no_command_before_it_runs() -> None:
    assert modules_after("import exporter.cli") == {
        "exporter.cli",
        "exporter.system",
        "exporter.system.process",
    }


def test_the_healthcheck_imports_nothing_slow() -> None:
    loaded = {
        name.partition(".")[0] for name in all_modules_after("import exporter.commands.healthcheck")
    }
    assert not loaded & {"aiohttp", "pydantic", "structlog", "uvloop", "yaml", "yarl"}


def test_one_module_knows_the_apis_names_of_a_reading() -> None:
    assert files_with("timeOffset") == {"vapix/ntp_info.py"}
    assert files_with("maxSupportedStaticServers") == {"vapix/ntp_info.py"}


def test_only_the_device_client_and_discovery_open_http_sessions() -> None:
    assert files_with("ClientSession") == {"vapix/connection.py", "discovery/http_get.py"}
