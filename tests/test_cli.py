"""Flags, help, exit codes."""

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from exporter import __version__
from exporter.cli import COMMANDS, import_command, make_parser, run
from exporter.commands.arguments import grafana_url, telemetry_path
from exporter.commands.path_flags import external_url, route_prefix
from exporter.system.addresses import listen_address
from exporter.web.paths import WebPaths, make_paths


@pytest.mark.parametrize("argv", [["--version"], ["run", "--version"], ["simulate", "--version"]])
def test_version_is_printed(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    try:
        code = run(argv)
    except SystemExit as end:
        code = int(end.code or 0)
    assert code == 0
    assert capsys.readouterr().out == f"axis-ntp-exporter {__version__}\n"


@pytest.mark.parametrize("argv", [["-h"], ["--help"], *([name, "-h"] for name in COMMANDS)])
def test_every_command_has_help(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        run(argv)
    assert end.value.code == 0
    assert "axis-ntp-exporter" in capsys.readouterr().out


def test_the_help_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        run(["-h"])
    out = capsys.readouterr().out
    assert all(f"  {name} " in out for name in COMMANDS)


@pytest.mark.parametrize(
    "argv",
    [
        ["--nonsense"],
        ["demo", "--devices=-1"],
        ["simulate", "--keepalive=-1"],
        ["simulate", "--nonce-lifetime=nan"],
        ["--config.fil=x"],
        ["--web.listen-address=nowhere"],
        ["--web.telemetry-path=metrics"],
        ["--web.max-connections=0"],
        ["--log.level=loud"],
        ["--config.file="],
        ["check", "--config.file", ""],
        ["configure", "--config.file="],
    ],
)
def test_a_usage_error_exits_with_2(argv: list[str]) -> None:
    with pytest.raises(SystemExit) as end:
        run(argv)
    assert end.value.code == 2


def test_an_empty_config_file_name_is_reported(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        run(["--config.file="])
    message = capsys.readouterr().err.splitlines()[-1]
    assert message == "axis-ntp-exporter: error: argument --config.file: must name a file"


@pytest.mark.parametrize("flags", [["--web.config.file="], ["--web.config.file", ""]])
def test_an_empty_web_config_file_name_means_none(
    flags: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "config.yaml"
    file.write_text("devices: [{address: a}]")
    assert run([f"--config.file={file}", "--config.check", *flags]) == 0
    assert capsys.readouterr().out == f"{file}: valid, 1 device\n"


def test_the_error_for_an_unknown_command_lists_the_commands(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run(["nonsense"]) == 2
    assert "no command 'nonsense', only run, " in capsys.readouterr().err


@pytest.mark.parametrize("prefix", [[], ["run"]])
def test_config_check_exits_with_0_for_a_valid_file(
    prefix: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "config.yaml"
    file.write_text("devices: [{address: 192.168.0.90}]")
    assert run([*prefix, f"--config.file={file}", "--config.check"]) == 0
    assert capsys.readouterr().out == f"{file}: valid, 1 device\n"


def test_config_check_prints_every_error_and_exits_with_1(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "config.yaml"
    file.write_text("devices: [{addres: x}]")
    assert run([f"--config.file={file}", "--config.check"]) == 1
    assert capsys.readouterr().err.splitlines() == [
        f"{file}:1: devices[0].address: is missing",
        f"{file}:1: devices[0].addres: unknown key (did you mean address?)",
    ]


def test_without_a_config_the_daemon_does_not_start_and_says_how_to_get_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run([f"--config.file={tmp_path / 'missing.yaml'}"]) == 1
    problem, advice = capsys.readouterr().err.splitlines()
    assert problem.endswith("missing.yaml: cannot be read: No such file or directory")
    assert advice == (
        "To have a config, write one with `axis-ntp-exporter init`, or look at simulated devices "
        "first with `axis-ntp-exporter demo`."
    )


@pytest.mark.parametrize(
    ("text", "address"),
    [
        (":10123", ("", 10123)),
        ("127.0.0.1:0", ("127.0.0.1", 0)),
        ("[::1]:10123", ("::1", 10123)),
        ("localhost:80", ("localhost", 80)),
    ],
)
def test_a_listen_address_is_host_and_port(text: str, address: tuple[str, int]) -> None:
    assert listen_address(text) == address


@pytest.mark.parametrize(
    "text", ["", "x", "10123", ":", ":x", ":65536", "::1:80", "a:b:1", "[::1]", "[x]:1"]
)
def test_an_invalid_listen_address_is_rejected(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError):
        listen_address(text)


@pytest.mark.parametrize(
    "text", ["metrics", "/", "/-/healthy", "/device/x", "/a b", "/{x}", "/probe", "/poll"]
)
def test_the_telemetry_path_must_not_hide_another_page(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError):
        telemetry_path(text)


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("", ""),
        ("https://grafana.example", "https://grafana.example"),
        ("http://[::1]:3000/sub/path/", "http://[::1]:3000/sub/path"),
    ],
)
def test_grafanas_url_may_have_a_path(text: str, url: str) -> None:
    assert grafana_url(text) == url


@pytest.mark.parametrize(
    "text",
    [
        "grafana.example",
        "/grafana",
        "https://",
        "https:///d",
        "javascript:alert(1)",
        "ftp://grafana.example",
        "https://root:pass@grafana.example",
        "https://grafana.example/?orgId=1",
        "https://grafana.example/#x",
        "https://grafana.example:x",
        "https://grafana.example:0",
        "https://[::1",
        "https://grafana.example/a b",
        'https://grafana.example/">',
        "https://grafana.example/\n",
    ],
)
def test_an_invalid_url_of_grafana_is_a_usage_error(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError):
        grafana_url(text)


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("", ""),
        ("https://h.example", "https://h.example"),
        ("http://h.example:8080/", "http://h.example:8080"),
        ("HTTPS://[::1]:3000/a-b/c_d.e~f//", "HTTPS://[::1]:3000/a-b/c_d.e~f"),
    ],
)
def test_the_external_url_may_have_a_path(text: str, url: str) -> None:
    assert external_url(text) == url


NO_PATHS = ["/a b", '/a"', "/a'", "/a?x", "/a#x", "/../a", "/a/..", "/./a", "/a//b", "/ä", "/a%2fb"]
NO_PATHS += ["/{a}", "/a;b", "/a\\b", "/a\n", "/<a>"]


@pytest.mark.parametrize(
    "text",
    [
        "h.example/clocks",
        "h.example",
        "/clocks",
        "//h.example/clocks",
        "https://",
        "https:///clocks",
        "https:h.example",
        "ftp://h.example",
        "javascript:alert(1)",
        '"https://h.example"',
        "'https://h.example'",
        " https://h.example",
        "https://h ost/",
        "https://hé.example",
        "https://root:secret@h.example",
        "https://h.example:0",
        "https://h.example:99999",
        "https://h.example:x",
        "https://[::1",
        "https://[::g]",
        *[f"https://h.example{path}" for path in NO_PATHS],
    ],
)
def test_an_invalid_external_url_is_a_usage_error(
    text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    for command in ("run", "demo", "healthcheck", "rules"):
        with pytest.raises(SystemExit) as end:
            run([command, f"--web.external-url={text}"])
        assert end.value.code == 2
        problem = " ".join(capsys.readouterr().err.split())
        assert "argument --web.external-url: " in problem
        assert "is not a URL such as https://monitoring.example/clocks: write http://" in problem
        assert "secret" not in problem


@pytest.mark.parametrize("text", [*NO_PATHS, "//h.example", "//", "..", "."])
def test_an_invalid_route_prefix_is_a_usage_error(
    text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as end:
        run(["run", f"--web.route-prefix={text}"])
    assert end.value.code == 2
    problem = " ".join(capsys.readouterr().err.split())
    assert "argument --web.route-prefix: " in problem
    assert "is not a path such as /clocks: write letters, digits" in problem


@pytest.mark.parametrize(
    ("external", "prefix", "paths"),
    [
        ("", None, WebPaths()),
        ("", "/", WebPaths()),
        ("", "clocks/", WebPaths("/clocks", "/clocks")),
        ("https://h.example", None, WebPaths("", "", "https://h.example")),
        ("https://h/a/b/", None, WebPaths("/a/b", "/a/b", "https://h")),
        ("https://h/a", "", WebPaths("/a", "/a", "https://h")),
        ("https://h/a", "/", WebPaths("", "/a", "https://h")),
        ("http://[::1]:81/a", "/b", WebPaths("/b", "/a", "http://[::1]:81")),
        ("HTTP://H:80/a", "/b", WebPaths("/b", "/a", "http://h")),
    ],
)
def test_routes_begin_with_the_path_of_the_external_url_unless_told(
    external: str, prefix: str | None, paths: WebPaths
) -> None:
    prefix_of_routes = None if prefix is None else route_prefix(prefix)
    assert make_paths(external_url(external), prefix_of_routes) == paths


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT"])
def test_a_signal_during_startup_ends_it_quietly(name: str) -> None:
    signal_while_importing = (
        "import importlib, os, signal, time, exporter.cli as cli\n"
        f"stop = lambda _: os.kill(os.getpid(), signal.{name}) or time.sleep(9)\n"
        "importlib.import_module = stop\n"
        "cli.main(['run'])"
    )
    done = subprocess.run(
        [sys.executable, "-c", signal_while_importing], capture_output=True, check=False, text=True
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize("problem", ["No space left on device", "Broken pipe"])
@pytest.mark.parametrize(
    "words", ["--help", "--version", "check --help", "--config.check", "check 127.0.0.1:1 --json"]
)
def test_an_output_that_cannot_be_written_is_one_line_and_exit_code_1(
    words: str, problem: str, tmp_path: Path
) -> None:
    (tmp_path / "config.yaml").write_text("devices: [{address: '127.0.0.1:1'}]")
    if problem == "Broken pipe":
        reading, output = os.pipe()
        os.close(reading)
    else:
        output = os.open("/dev/full", os.O_WRONLY)
    command = [str(Path(sys.executable).with_name("axis-ntp-exporter")), *words.split()]
    ran = subprocess.run(
        command, stdout=output, stderr=subprocess.PIPE, text=True, cwd=tmp_path, check=False
    )
    os.close(output)
    expected = f"axis-ntp-exporter: cannot write the output: {problem}\n"
    assert (ran.returncode, ran.stderr) == (1, expected)


SOURCES = {"file_sd_configs": [{"files": ["*.json"]}], "devices": [{"address": "10.0.0.1"}]}


def checked(folder: Path, capsys: pytest.CaptureFixture[str], *flags: str) -> tuple[int, str, str]:
    file = folder / "config.yaml"
    file.write_text(yaml.safe_dump(SOURCES))
    code = run([f"--config.file={file}", "--config.check", *flags])
    out, err = capsys.readouterr()
    return code, out.replace(f"{folder}/", ""), err.replace(f"{folder}/", "")


def test_config_check_asks_the_sources(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "cams.json").write_text(json.dumps([{"targets": ["10.0.0.2", "10.0.0.3"]}]))
    code, out, err = checked(tmp_path, capsys)
    expected = "config.yaml: valid, 3 devices (1 from the config, 2 from cams.json), 0 problems\n"
    assert (code, out, err) == (0, expected, "")


WRITERS = "`axis-ntp-exporter find` and `import` write such files"


@pytest.mark.parametrize(
    ("config", "said"),
    [
        (
            "file_sd_configs: "
            "[{files: [device/*.yaml, devices/*.json, 'devices/*.yaml', gone.yml]}]",
            f"discovery: no file matches device/*.yaml: {WRITERS}\n"
            "discovery: no file matches devices/*.json\n"
            f"discovery: no file matches gone.yml: {WRITERS}\n",
        ),
        (
            "file_sd_configs: [{files: ['devices/*.yaml']}]",
            "discovery: the sources list no devices, or `relabel_configs` drops them\n",
        ),
        (
            "global: {interval: 60s}",
            "discovery: the config has neither devices nor sources: list devices under `devices`, "
            "or name their files under `file_sd_configs`\n",
        ),
    ],
)
def test_config_check_says_why_there_are_no_devices(
    config: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "devices").mkdir()
    (tmp_path / "devices" / "a.yaml").write_text("[]")
    file = tmp_path / "config.yaml"
    file.write_text(config)
    code = run([f"--config.file={file}", "--config.check"])
    out, err = capsys.readouterr()
    assert (code, err.replace(f"{tmp_path}/", "")) == (0, said)
    assert out.startswith(f"{file}: valid, 0 devices")
    assert run(["check", f"--config.file={file}"]) == 2
    said_by_check = capsys.readouterr().err.replace(f"{tmp_path}/", "")
    assert said_by_check == f"{said}check: the config has no devices\n"


def test_config_check_says_which_pattern_of_several_matches_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a.yaml").write_text("[{targets: [10.0.0.2]}]")
    file = tmp_path / "config.yaml"
    file.write_text("file_sd_configs: [{files: ['a*.yaml']}, {files: ['devcies/*.yaml']}]")
    assert run([f"--config.file={file}", "--config.check"]) == 0
    out, err = capsys.readouterr()
    assert ("valid, 1 device" in out, "no file matches" in err) == (True, True)
    assert "devcies/*.yaml" in err


def test_config_check_fails_with_a_source(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "cams.json").write_text("[}")
    code, out, err = checked(tmp_path, capsys)
    assert code == 1
    assert out == "config.yaml: valid, 1 device (1 from the config), 1 problem\n"
    assert err.startswith("discovery: cams.json: not JSON: ")


def test_a_file_of_two_sections_counts_once_and_a_device_of_two_files_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a.json").write_text('[{"targets": ["10.0.0.2", "10.0.0.3"]}]')
    (tmp_path / "b.json").write_text('[{"targets": ["10.0.0.3"]}]')
    (tmp_path / "c.json").write_text("[}")
    file = tmp_path / "config.yaml"
    file.write_text("file_sd_configs: [{files: ['*.json', a.json]}, {files: ['*.json']}]")
    assert run([f"--config.file={file}", "--config.check"]) == 1
    out, err = capsys.readouterr()
    lines = err.replace(f"{tmp_path}/", "").splitlines()
    assert len(lines) == 2
    assert lines[0].startswith("discovery: c.json: not JSON: ")
    taken = "the name '10.0.0.3' is already used in a.json"
    assert lines[1] == f"discovery: b.json: target '10.0.0.3': {taken}"
    assert out.endswith(f"valid, 2 devices (2 from {tmp_path / 'a.json'}), 2 problems\n")


def test_config_check_reads_the_files_of_sources(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "config.yaml"
    section = "url: https://sd.example/, authorization: {credentials_file: token}"
    file.write_text(f"http_sd_configs:\n- {{{section}}}\n")
    assert run([f"--config.file={file}", "--config.check", "--offline"]) == 1
    place = f"{file}:2: http_sd_configs[0].authorization.credentials_file"
    problem = f"cannot read {tmp_path / 'token'}: No such file or directory"
    assert capsys.readouterr().err == f"{place}: {problem}\n"


def test_config_check_offline_asks_no_source(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "cams.json").write_text("[}")
    assert checked(tmp_path, capsys, "--offline") == (0, "config.yaml: valid, 1 device\n", "")


def test_the_daemon_is_never_offline(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--offline"]) == 2
    assert "--offline needs --config.check" in capsys.readouterr().err


@pytest.mark.parametrize("words", [["version"], ["--version"]])
def test_the_version_is_a_word_too(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(words) == 0
    assert capsys.readouterr().out == f"axis-ntp-exporter {__version__}\n"


@pytest.mark.parametrize(
    ("words", "usage"),
    [
        (["help"], "usage: axis-ntp-exporter [run]"),
        (["help", "check"], "usage: axis-ntp-exporter check"),
    ],
)
def test_help_is_a_word_too(
    words: list[str], usage: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as end:
        run(words)
    assert end.value.code == 0
    assert capsys.readouterr().out.startswith(usage)


def test_the_log_level_warning_means_warn() -> None:
    parser = make_parser("run", import_command("run"))
    assert parser.parse_args(["--log.level=warning"]).log_level == "warn"


@pytest.mark.parametrize("words", [["--password=s3cret"], ["--password", "s3cret"]])
@pytest.mark.parametrize(
    "command", [["check", "192.168.0.90", "--username=root"], *([name] for name in COMMANDS)]
)
def test_a_password_on_the_command_line_is_refused_and_not_repeated(
    command: list[str], words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as end:
        run([*command, *words])
    assert end.value.code == 2
    err = capsys.readouterr().err
    assert "no password on the command line" in err
    assert "s3cret" not in err


def test_garbage_is_collected_again_once_a_command_is_imported() -> None:
    code = (
        "import gc, exporter.cli\n"
        "exporter.cli.import_command('check')\n"
        "print(gc.isenabled(), gc.get_freeze_count() > 10_000)"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout == "True True\n"
