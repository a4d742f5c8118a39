"""The config file: what is read, and every error word for word with its path."""

import re
from pathlib import Path

import pytest
import yaml

from exporter.config import Config, ConfigError, config_text, load_config, parse_config
from exporter.config.load import KNOWN_KEYS
from exporter.config.text import NotYaml, parse_yaml

FINGERPRINT = ":".join(["ab"] * 32)


def load(document: str, directory: Path = Path(), **environ: str) -> Config:
    return parse_config(parse_yaml(document), environ, directory)


def problems(document: str, directory: Path = Path(), **environ: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load(document, directory, **environ)
    return caught.value.problems


def test_the_defaults_are_those_of_the_contract() -> None:
    config = load("devices: [{address: 192.168.0.90}]")
    assert config.global_.interval == 60
    assert config.global_.timeout == 10
    assert config.global_.concurrency == 1000
    assert config.module("default").scheme == "https"
    assert config.module("default").auth.scheme == "auto"
    assert config.devices[0].label == "192.168.0.90"


def test_a_whole_config_is_read() -> None:
    config = load(
        f"""
        global: {{interval: 30s, timeout: 5s, concurrency: 8}}
        modules:
          default: {{}}
          old:
            scheme: http
            auth: {{scheme: digest, username: root, password: pass}}
            interval: 5m
            timeout: 1m30s
          pinned:
            tls_config: {{fingerprint_sha256: "{FINGERPRINT}", server_name: x, min_version: TLS10}}
        devices:
          - {{address: "[::1]:8080", name: "lobby \\"1/2\\"", module: old, labels: {{floor: 03}}}}
        """
    )
    old, pinned = config.module("old"), config.module("pinned")
    assert (old.scheme, old.interval, old.timeout) == ("http", 300, 90)
    assert old.auth.credentials() is not None
    assert pinned.tls_config.fingerprint_sha256 == bytes([0xAB] * 32)
    assert config.devices[0].labels == {"floor": "03"}
    assert config.devices[0].label == 'lobby "1/2"'


def test_a_devices_expectation_is_laid_over_its_modules() -> None:
    config = load(
        """
        modules: {default: {expect: {enabled: true, minpoll: 6, static_servers: [a, b]}}}
        devices: [{address: d, expect: {minpoll: 4}}, {address: e}]
        """
    )
    first, second = (config.expect(device).named() for device in config.devices)
    assert first == second | {"minpoll": 4}
    assert (second["enabled"], second["minpoll"]) == (True, 6)


@pytest.mark.parametrize(
    "address",
    ["192.168.0.90", "camera.example", "camera.example:443", "[::1]", "[fe80::1]:80", "::1", "a_b"],
)
def test_an_address_is_host_or_host_and_port(address: str) -> None:
    assert load(f"devices: [{{address: '{address}'}}]").devices[0].address == address


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        ("", ["the config is empty"]),
        ("[]", ["the config is no mapping"]),
        ("text", ["the config is no mapping"]),
        ("global: {intervall: 1s}", ["global.intervall: unknown key (did you mean interval?)"]),
        ("zzz: 1", ["zzz: unknown key"]),
        (
            "global: {interval: 60}",
            ["global.interval: '60' is not a duration such as 30s, 1m30s or 500ms"],
        ),
        ("global: {interval: 0s}", ["global.interval: must be longer than 0s"]),
        ("global: {interval: [1s]}", ["global.interval: must be a duration such as 30s"]),
        ("global: {concurrency: 0}", ["global.concurrency: must be at least 1"]),
        ("global: {concurrency: many}", ["global.concurrency: must be a whole number"]),
        ("global: []", ["global: must be a mapping"]),
        ("modules: {a: text}", ["modules.a: must be a mapping"]),
        ("modules: {a: {scheme: ftp}}", ["modules.a.scheme: must be one of 'http' or 'https'"]),
        (
            "modules: {a: {auth: {scheme: ntlm}}}",
            ["modules.a.auth.scheme: must be one of 'auto', 'digest' or 'basic'"],
        ),
        (
            "modules: {a: {auth: {username: root}}}",
            ["modules.a.auth: a username and a password belong together: one is missing"],
        ),
        (
            "modules: {a: {auth: {username: 'a:b', password: x}}}",
            [
                "modules.a.auth.username: must not contain a colon: "
                "HTTP authentication cannot carry it"
            ],
        ),
        (
            "modules: {a: {auth: {username: a, password: x, password_file: /dev/null}}}",
            ["modules.a.auth: give password or password_file, not both"],
        ),
        (
            "modules: {a: {auth: {username: a, password_file: /dev/null}}}",
            ["modules.a.auth: /dev/null is empty"],
        ),
        (
            "modules: {a: {auth: {username: a, password_file: nowhere}}}",
            ["modules.a.auth.password_file: cannot read nowhere: No such file or directory"],
        ),
        (
            "modules: {a: {scheme: http, auth: {scheme: basic, username: a, password: x}}}",
            [
                "modules.a: auth.scheme basic needs scheme https: "
                "over plain HTTP it shows the password"
            ],
        ),
        (
            "modules: {a: {tls_config: {insecure_skip_verify: perhaps}}}",
            ["modules.a.tls_config.insecure_skip_verify: must be true or false"],
        ),
        (
            "modules: {a: {tls_config: {min_version: SSL3}}}",
            [
                "modules.a.tls_config.min_version: "
                "must be one of 'TLS10', 'TLS11', 'TLS12' or 'TLS13'"
            ],
        ),
        (
            "modules: {a: {tls_config: {fingerprint_sha256: abc}}}",
            [
                "modules.a.tls_config.fingerprint_sha256: "
                "is not a SHA-256 fingerprint: 64 hex digits, with or without colons"
            ],
        ),
        (
            "modules: {a: {tls_config: {key_file: /dev/null}}}",
            ["modules.a.tls_config: key_file needs a cert_file"],
        ),
        (
            "modules: {a: {expect: {minpoll: 25, maxpoll: -1, servers_source: gps}}}",
            [
                "modules.a.expect.servers_source: must be one of 'static' or 'dhcp'",
                "modules.a.expect.minpoll: must be at most 24",
                "modules.a.expect.maxpoll: must be at least 0",
            ],
        ),
        (
            "modules: {a: {expect: {minpoll: 9, maxpoll: 8}}}",
            ["modules.a.expect: minpoll 9 exceeds maxpoll 8"],
        ),
        (
            "modules: {a: {expect: {minpoll: 9}}}\n"
            "devices: [{address: d, module: a, expect: {maxpoll: 8}}]",
            ["devices[0].expect: with that of module 'a': minpoll 9 exceeds maxpoll 8"],
        ),
        (
            "devices: [{address: d, expect: {static_servers: {servers: x, order: true}}}]",
            [
                "devices[0].expect.static_servers.servers: must be a list",
                "devices[0].expect.static_servers.order: unknown key (did you mean ordered?)",
            ],
        ),
        (
            "devices: [{address: d, expect: {static_servers: ['']}}]",
            ["devices[0].expect.static_servers.servers[0]: must not be empty"],
        ),
        ("devices: x", ["devices: must be a list"]),
        ("devices: [x]", ["devices[0]: must be a mapping"]),
        ("devices: [{name: x}]", ["devices[0].address: is missing"]),
        (
            "devices: [{address: 'https://a/'}]",
            [
                "devices[0].address: 'https://a/' is not host, host:port or [v6]:port "
                "(http or https is the module's scheme)"
            ],
        ),
        ("devices: [{address: 'a:0'}]", ["devices[0].address: port 0 is not within 1 to 65535"]),
        (
            "devices: [{address: 'root:pass@a'}]",
            ["devices[0].address: 'root:pass@a' is not host, host:port or [v6]:port"],
        ),
        *(
            (f"devices: [{{address: '{name}'}}]", [f"devices[0].address: {name!r} is no host name"])
            for name in ('a"b', "a<b", "..", "a..b", "a" * 64, "\u00fc" * 70, "xn--\u00fc")
        ),
        ("global_: {}", ["global_: unknown key (did you mean global?)"]),
        (
            "global: {interval: 9999999999999999s}",
            ["global.interval: '9999999999999999s' is not a duration such as 30s, 1m30s or 500ms"],
        ),
        ("devices: [{address: a, name: ' '}]", ["devices[0].name: must not be empty"]),
        (
            "devices: [{address: a, name: " + "\u00fc" * 251 + "}]",
            ["devices[0].name: must have at most 500 bytes as UTF-8"],
        ),
        (
            f"devices: [{{address: {'a.' * 251}}}]",
            ["devices[0].address: must have at most 500 bytes as UTF-8"],
        ),
        (
            "file_sd_configs: [{files: []}]",
            ["file_sd_configs[0].files: must have at least 1 entry"],
        ),
        *(
            (
                f"file_sd_configs: [{{files: ['{pattern}']}}]",
                ["file_sd_configs[0].files[0]: must end with one of .json, .yml, .yaml"],
            )
            for pattern in ("a.YAMLX", "a.Json", "yaml", "**", "a/")
        ),
        *(
            (
                f"file_sd_configs: [{{files: ['{pattern}']}}]",
                ["file_sd_configs[0].files[0]: may have * in its last part only"],
            )
            for pattern in ("*/a.yaml", "**/a.yaml", "a*/b*.json", "a[b]/c.yml")
        ),
        (
            'file_sd_configs: [{files: ["a\\0.yml"]}]',
            ["file_sd_configs[0].files[0]: must be one line without control characters"],
        ),
        ("devices: [{address: a, module: m}]", ["devices[0].module: there is no module 'm'"]),
        (
            "devices: [{address: a}, {address: b, name: a}]",
            ["devices[1].name: 'a' is already the name of devices[0]"],
        ),
        (
            "devices: [{address: a}, {address: a}]",
            ["devices[1].address: 'a' is already the name of devices[0]"],
        ),
        (
            "devices: [{address: a, labels: {1a: x}}]",
            [
                "devices[0].labels.1a: "
                "is not a label name: letters, digits and underscores, no digit first"
            ],
        ),
        (
            "devices: [{address: a, labels: {__meta: x}}]",
            [
                "devices[0].labels.__meta: "
                "starts with two underscores, which Prometheus keeps for itself"
            ],
        ),
        (
            "devices: [{address: a, labels: {reason: x}}]",
            ["devices[0].labels.reason: is a label that the exporter sets itself"],
        ),
        (
            "devices: [{address: a, labels: {site: [x]}}]",
            ["devices[0].labels.site: must be a single text"],
        ),
    ],
)
def test_an_error_names_its_path_and_what_to_do(document: str, expected: list[str]) -> None:
    assert problems(document) == expected


def test_all_errors_are_told_at_once() -> None:
    document = """
        global: {interval: soon, concurrency: -1}
        modules: {m: {scheme: gopher, auth: {username: "${USER_NAME}", password: x}}}
        devices: [{address: a, name: n}, {address: "b/c", name: n, module: nope}]
        """
    assert problems(document) == [
        "modules.m.auth.username: the environment variable USER_NAME is not set",
        "global.interval: 'soon' is not a duration such as 30s, 1m30s or 500ms",
        "global.concurrency: must be at least 1",
        "modules.m.scheme: must be one of 'http' or 'https'",
        "devices[1].address: 'b/c' is not host, host:port or [v6]:port",
        "devices[1].module: there is no module 'nope'",
        "devices[1].name: 'n' is already the name of devices[0]",
    ]


def test_no_error_shows_a_password() -> None:
    document = "modules: {a: {auth: {username: [x], password: hunter2, scheme: x}, scheme: y}}"
    assert "hunter2" not in "\n".join(problems(document))
    assert "hunter2" not in "\n".join(problems("modules: {a: {auth: hunter2}}"))
    assert "hunter2" not in "\n".join(problems("modules: {a: {auth: {password: [hunter2]}}}"))


INDICATORS = [*"-?:,[]{}#&*!|>'\"%@`<=~.\\$", "!!", "!<", "${", "<<", "&a *"]
BLUNDERS = (
    "{0}",
    " {0}",
    "\n{0}",
    "{0}: y",
    "{0}: [",
    "{0}!y",
    "{0}>",
    "{0}, {0}}}",
    "{0}: 1, {0}: 2}}",
    "!{0}",
    "\\{0}",
    "{0}'",
)


def told_of(document: str) -> str:
    try:
        config = load(document)
    except (NotYaml, ConfigError) as problem:
        return str(problem)
    return f"{config!r} {config_text(config)}"


@pytest.mark.parametrize("loader", ["CSafeLoader", "SafeLoader"])
@pytest.mark.parametrize("first", INDICATORS)
def test_no_problem_shows_a_password_that_nobody_quoted(
    first: str, loader: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(yaml, "CSafeLoader", getattr(yaml, loader), raising=False)
    for rest in BLUNDERS:
        password = first + rest.format("Sesam77x")
        document = f"modules:\n  m:\n    auth:\n      username: a\n      password: {password}\n"
        assert "Sesam77x" not in told_of(document)


def test_a_loaded_config_does_not_show_its_password() -> None:
    config = load("modules: {default: {auth: {username: root, password: hunter2}}}")
    assert "hunter2" not in f"{config!r} {config}"
    assert "hunter2" not in str(config.model_dump())
    assert "hunter2" not in config.model_dump_json()
    assert "<secret>" in repr(config)


def test_a_variable_that_is_no_utf_8_is_told() -> None:
    found = problems("devices: [{address: a, labels: {site: '${BAD}'}}]", BAD="a\udcffb")
    assert found == ["devices[0].labels.site: the environment variable BAD is not UTF-8 text"]


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("root\n\n", "must be one line without control characters"),
        ("ro\0ot", "must be one line without control characters"),
        ("a:b", "must not contain a colon: HTTP authentication cannot carry it"),
        ("", "is empty"),
    ],
)
def test_a_name_in_a_file_is_checked_like_one_in_the_config(
    content: str, problem: str, tmp_path: Path
) -> None:
    (tmp_path / "name").write_text(content)
    found = problems("modules: {m: {auth: {username_file: name, password: x}}}", tmp_path)
    assert len(found) == 1
    assert found[0].startswith(f"modules.m.auth: {tmp_path / 'name'}")
    assert found[0].endswith(problem)


@pytest.mark.parametrize(
    "pattern", ["**.yaml", "a*.json", "sd/*.*.yml", "a.JSON", "b/*.YML", "*.YAML", "a?[0-9].json"]
)
def test_files_are_named_as_prometheus_takes_them(pattern: str) -> None:
    config = load(f"file_sd_configs: [{{files: ['{pattern}']}}]", Path("/x"))
    assert config.file_sd_configs[0].files == (Path("/x", pattern),)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("http://a/b?site=x&token=t0k3n", "http://a/b?site=x&token=<secret>"),
        ("http://a/b?api-Key=t0k3n&x=y#z", "http://a/b?api-Key=<secret>&x=y#z"),
        ("http://a/b?x_auth=t0k3n;y=t0k", "http://a/b?x_auth=<secret>;y=t0k"),
        ("http://a/token=1?site=x", "http://a/token=1?site=x"),
    ],
)
def test_what_a_urls_query_hands_over_as_a_secret_does_not_show(url: str, shown: str) -> None:
    config = load(f"http_sd_configs: [{{url: '{url}'}}]")
    assert config.http_sd_configs[0].url == url
    assert f"url: {shown}\n" in config_text(config)


def test_relative_paths_are_relative_to_the_config_file(tmp_path: Path) -> None:
    (tmp_path / "pw").write_text("p\n\n")
    file = tmp_path / "config.yaml"
    file.write_text("modules: {default: {auth: {username: root, password_file: pw}}}")
    credentials = load_config(file, {}).module("default").auth.credentials()
    assert credentials is not None
    assert credentials.password == "p\n", "one trailing newline is not part of the password"


def test_a_password_may_come_from_the_environment() -> None:
    config = load("modules: {m: {auth: {username: root, password: '${PW}'}}}", PW="a$$b${c}")
    credentials = config.module("m").auth.credentials()
    assert credentials is not None
    assert credentials.password == "a$$b${c}"


def test_a_file_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    missing = tmp_path / "config.yaml"
    with pytest.raises(ConfigError, match="cannot be read: No such file or directory"):
        load_config(missing, {})
    missing.write_bytes(b"a: \xff")
    with pytest.raises(ConfigError, match="is not UTF-8 text"):
        load_config(missing, {})
    missing.write_text("a: [")
    with pytest.raises(ConfigError, match=r"config\.yaml: line 2, column 1: "):
        load_config(missing, {})


def test_a_broken_certificate_file_is_told(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("no certificate")
    found = problems("modules: {m: {tls_config: {ca_file: ca.pem}}}", tmp_path)
    assert found == [
        "modules.m.tls_config: the certificate files cannot be used: NO_CERTIFICATE_OR_CRL_FOUND"
    ]


EXAMPLE = Path(__file__).parents[2] / "config.example.yaml"


def test_the_example_config_loads() -> None:
    assert len(load_config(EXAMPLE, {"AXIS_PASSWORD": "x"}).devices) == 3


def test_the_example_config_shows_every_key() -> None:
    text = EXAMPLE.read_text()
    missing = [key for key in KNOWN_KEYS if not re.search(rf"\b{key}:", text)]
    assert missing == []


def test_devices_without_a_module_share_one_default() -> None:
    config = parse_config({"devices": [{"address": "a"}, {"address": "b"}]}, {}, Path())
    assert config.module("default") is config.module("default")
    assert config.expect(config.devices[0]) == config.expect(config.devices[1])
