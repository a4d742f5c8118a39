"""Every error of a config names the path of its key and what to do."""

from pathlib import Path

import pytest

from exporter.config.errors import ModuleNames
from tests.config.documents import problems

SHORT_FILE = Path(__file__).parents[2] / ".gitignore"


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        ("", ["the config is empty"]),
        ("[]", ["the config is not a mapping"]),
        ("text", ["the config is not a mapping"]),
        ("global: {intervall: 1s}", ["global.intervall: unknown key (did you mean interval?)"]),
        ("zzz: 1", ["zzz: unknown key"]),
        ("auth: {}", ["auth: unknown key (belongs under modules.NAME)"]),
        (
            "devices: [{address: d, auth: {}, interval: 5s}]",
            [
                "devices[0].auth: unknown key (belongs under modules.NAME)",
                "devices[0].interval: unknown key "
                "(belongs under global or modules.NAME or time_servers)",
            ],
        ),
        (
            "modules: {auth: {password: x, labels: {}}}",
            [
                "modules.auth.password: unknown key "
                "(belongs under modules.NAME.auth or http_sd_configs[N].basic_auth)",
                "modules.auth.labels: unknown key (belongs under devices[N])",
            ],
        ),
        (
            "modules: {a: {auth: {ca_file: x, expect: {}}}}",
            [
                "modules.a.auth.ca_file: unknown key "
                "(belongs under modules.NAME.tls_config or http_sd_configs[N].tls_config)",
                "modules.a.auth.expect: unknown key (belongs under modules.NAME or devices[N])",
            ],
        ),
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
            ["modules.a.auth: set both username and password"],
        ),
        (
            "modules: {a: {auth: {username: 'a:b', password: x}}}",
            [
                "modules.a.auth.username: must not contain a colon: "
                "HTTP authentication cannot transmit it"
            ],
        ),
        (
            f"modules: {{a: {{auth: {{username: a, password: x, password_file: {SHORT_FILE}}}}}}}",
            ["modules.a.auth: set password or password_file, not both"],
        ),
        (
            "modules: {a: {auth: {username: a, password_file: nowhere}}}",
            ["modules.a.auth.password_file: cannot read nowhere: No such file or directory"],
        ),
        (
            "modules: {a: {scheme: http, auth: {scheme: basic, username: a, password: x}}}",
            [
                "modules.a: auth.scheme basic needs scheme https: "
                "plain HTTP would expose the password"
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
            f"modules: {{a: {{tls_config: {{key_file: {__file__}}}}}}}",
            ["modules.a.tls_config: key_file needs a cert_file"],
        ),
        (
            "modules: {a: {clock_only: true, expect: {minpoll: 6}}}",
            ["modules.a: clock_only devices report no settings to compare: remove `expect`"],
        ),
        (
            "modules: {a: {clock_only: true}}\n"
            "devices: [{address: x, module: a, expect: {minpoll: 6}}]",
            ["devices[0].expect: module 'a' has clock_only: there is nothing to compare"],
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
            ["devices[0].expect: with `expect` of module 'a': minpoll 9 exceeds maxpoll 8"],
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
                "devices[0].address: is a URL: write host, host:port or [v6]:port here, and "
                "`scheme: https` in its module"
            ],
        ),
        (
            "devices: [{address: 'HTTP://a:80/?password=s3cret'}]",
            [
                "devices[0].address: is a URL: write host, host:port or [v6]:port here, and "
                "`scheme: http` in its module"
            ],
        ),
        (
            "devices: [{address: 'ftp://a'}]",
            ["devices[0].address: is a URL: write host, host:port or [v6]:port here"],
        ),
        ("devices: [{address: 'a:0'}]", ["devices[0].address: port 0 is not within 1 to 65535"]),
        (
            "devices: [{address: 'root:pass@a'}]",
            ["devices[0].address: must not contain a user name or password: put them into auth"],
        ),
        *(
            (
                f"devices: [{{address: '{name}'}}]",
                [f"devices[0].address: {name!r} is not a host name"],
            )
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
            ["devices[0].name: must be at most 500 bytes long in UTF-8"],
        ),
        (
            f"devices: [{{address: {'a.' * 251}}}]",
            ["devices[0].address: must be at most 500 bytes long in UTF-8"],
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
                ["file_sd_configs[0].files[0]: may contain * only in the file name"],
            )
            for pattern in ("*/a.yaml", "**/a.yaml", "a*/b*.json", "a[b]/c.yml")
        ),
        (
            'file_sd_configs: [{files: ["a\\0.yml"]}]',
            ["file_sd_configs[0].files[0]: must be one line without control characters"],
        ),
        (
            "devices: [{address: a, module: m}]",
            ["devices[0].module: there is no module 'm'; the only module is default"],
        ),
        (
            "modules: {camera: {}, door: {}}\ndevices: [{address: a, module: cameras}]",
            [
                "devices[0].module: there is no module 'cameras' (did you mean 'camera'?); "
                "the modules are: camera, default, door"
            ],
        ),
        (
            f"modules: {{{', '.join(f'm{n}: {{}}' for n in range(9))}}}\n"
            "devices: [{address: a, module: http}]",
            [
                "devices[0].module: there is no module 'http'; "
                "the modules are: default, m0, m1, m2, m3, m4, m5, m6, …"
            ],
        ),
        (
            "devices: [{address: a}, {address: b, name: a}]",
            ["devices[1].name: 'a' is already the name of devices[0]"],
        ),
        (
            "devices: [{address: a}, {address: a}]",
            ["devices[1].address: 'a' is already the name of devices[0]"],
        ),
        (
            "devices: [{address: a, labels: {'': x}}]",
            [
                "devices[0].labels.: "
                "is not a label name: use letters, digits and underscores, and no digit first"
            ],
        ),
        *(
            (
                f"relabel_configs: [{{action: hashmod, target_label: a, modulus: {modulus}}}]",
                [f"relabel_configs[0].modulus: {problem}"],
            )
            for modulus, problem in (
                (2**64, "must be at most 18446744073709551615"),
                (10**30, "must be at most 18446744073709551615"),
                (-1, "must be at least 0"),
                (1.5, "must be a whole number"),
            )
        ),
        (
            "devices: [{address: a, labels: {site.name: x, site_name: y}}]",
            ["devices[0].labels: 'site.name' and 'site_name' both become the name 'site_name'"],
        ),
        (
            "devices: [{address: a, labels: {api.version: x}}]",
            ["devices[0].labels.api_version: is a label that the exporter sets itself"],
        ),
        (
            "devices: [{address: a, labels: {..x: y}}]",
            ["devices[0].labels.__x: starts with two underscores, which Prometheus reserves"],
        ),
        (
            "devices: [{address: a, labels: {__meta: x}}]",
            ["devices[0].labels.__meta: starts with two underscores, which Prometheus reserves"],
        ),
        (
            "devices: [{address: a, labels: {reason: x}}]",
            ["devices[0].labels.reason: is a label that the exporter sets itself"],
        ),
        (
            "devices: [{address: a, labels: {site: [x]}}]",
            ["devices[0].labels.site: must be a string"],
        ),
    ],
)
def test_an_error_names_its_path_and_what_to_do(document: str, expected: list[str]) -> None:
    assert problems(document) == expected


def test_of_many_unknown_modules_the_first_are_compared_with_those_there_are() -> None:
    names = ModuleNames([f"camera-{number}" for number in range(10_000)])
    found = [names.problem_of(f"cam-{number}") for number in range(1_000)]
    assert found[0].startswith("there is no module 'cam-0' (did you mean 'camera-0'?); the modules")
    assert found[999] == "there is no module 'cam-999'"
    assert names.problem_of("cam-0") == found[0]


def test_a_very_long_name_of_a_module_is_not_compared() -> None:
    [problem] = problems(
        f"modules: {{{'m' * 500}: {{}}}}\ndevices: [{{address: a, module: {'m' * 501}}}]"
    )
    assert "did you mean" not in problem
    assert problem.endswith(f"; the modules are: default, {'m' * 100}")


def test_all_errors_are_reported_at_once() -> None:
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
        "devices[1].module: there is no module 'nope'; the modules are: default, m",
        "devices[1].name: 'n' is already the name of devices[0]",
    ]
