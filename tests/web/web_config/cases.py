"""Valid and invalid web-configs, with the errors of each."""

from __future__ import annotations

import sys
from dataclasses import dataclass

HASH = "$2y$10$mDwo.lAisC94iLAyP81MCesa29IzH37oigHC/42V2pdJlUprsJPze"


TLS = "cert_file: server.crt, key_file: server.key"

# Debian 12's Python 3.11.2 cannot set the last one.
CURVES = ("CurveP256", "CurveP384", "CurveP521", "X25519")[
    : 4 if sys.version_info > (3, 11, 3) else 3
]


@dataclass(frozen=True)
class Case:
    """A web-config, its errors, and whether promtool accepts it nevertheless.

    With `newer` that depends on promtool's version: Debian's does not know the key yet.
    """

    document: str
    problems: tuple[str, ...] = ()
    promtool_accepts: bool = False
    newer: bool = False


def tls(more: str) -> str:
    return f"tls_server_config: {{{TLS}, {more}}}"


def header(line: str) -> str:
    return f"http_server_config: {{headers: {{{line}}}}}"


VALID = [
    Case("{}"),
    Case("tls_server_config:\nhttp_server_config:\n"),
    Case("basic_auth_users: {}"),
    Case(f"tls_server_config: {{{TLS}}}"),
    Case(f'tls_server_config: {{{TLS}, client_ca_file: "", client_auth_type: ""}}'),
    Case(tls("client_auth_type: NoClientCert")),
    Case(tls("client_auth_type: RequestClientCert")),
    Case(tls("client_auth_type: RequestClientCert, client_ca_file: ca.pem")),
    Case(tls("client_auth_type: VerifyClientCertIfGiven, client_ca_file: ca.pem")),
    Case(tls("client_auth_type: RequireAndVerifyClientCert, client_ca_file: ca.pem")),
    Case(tls("client_auth_type: RequireAndVerifyClientCert")),
    *(Case(tls(f"min_version: {version}")) for version in ("TLS10", "TLS11", "TLS12", "TLS13")),
    Case(tls("min_version: TLS10, max_version: TLS12")),
    Case(tls("cipher_suites: []")),
    Case(
        tls(
            "min_version: TLS10, cipher_suites: [TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA, "
            "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, TLS_AES_128_GCM_SHA256]"
        )
    ),
    Case(tls("prefer_server_cipher_suites: false")),
    Case(tls("prefer_server_cipher_suites: Off")),
    *(Case(tls(f"curve_preferences: [{curve}]")) for curve in CURVES),
    Case(
        tls(
            "client_auth_type: RequireAndVerifyClientCert, client_ca_file: ca.pem, "
            "client_allowed_sans: [prometheus.example]"
        ),
        newer=True,
    ),
    Case("http_server_config: {http2: true}"),
    Case("http_server_config: {http2: , headers: }"),
    Case("http_server_config: {http2: no}"),
    *(Case(f"http_server_config: {{http2: {spelled}}}") for spelled in ("y", "N", "on")),
    Case(f"basic_auth_users: {{yes: {HASH}}}"),
    Case(header("Strict-Transport-Security: max-age=31536000")),
    Case(header('X-Frame-Options: deny, X-Content-Type-Options: nosniff, X-XSS-Protection: "0"')),
    Case(header("X-Frame-Options: sameorigin, Content-Security-Policy: ''")),
    *(
        Case(f"basic_auth_users: {{alice: {HASH.replace('2y', letter)}}}")
        for letter in ("2a", "2b", "2x", "2y")
    ),
    Case(f"basic_auth_users: {{alice: {HASH}, 'böb s': {HASH}, 12: {HASH}}}"),
]


INVALID = [
    Case("", ("is empty; write {} for neither TLS nor passwords",), promtool_accepts=True),
    Case("[]", ("must be a mapping",)),
    Case("text", ("must be a mapping",)),
    Case("a: [", ("2:1: did not find expected node content",)),
    Case("{}: 1", ("1:1: a key must be a string",), promtool_accepts=True),
    Case("~: 1", ("~: unknown key",)),
    Case(
        "tls_server_confg: {}", ("tls_server_confg: unknown key (did you mean tls_server_config?)",)
    ),
    Case("rate_limit: {burst: 1}", ("rate_limit: is not supported",), newer=True),
    Case(
        "tls_server_config: {}",
        ("tls_server_config.cert_file: is missing", "tls_server_config.key_file: is missing"),
        promtool_accepts=True,
    ),
    Case(
        "tls_server_config: {min_version: TLS13, cert_file: server.crt}",
        ("tls_server_config.key_file: is missing",),
    ),
    Case("tls_server_config: true", ("tls_server_config: must be a mapping",)),
    Case(
        "tls_server_config: {cert_file: nowhere, key_file: [a]}",
        (
            "tls_server_config.cert_file: cannot read {folder}/nowhere: No such file or directory",
            "tls_server_config.key_file: must be a file path",
        ),
    ),
    Case(
        "tls_server_config: {cert_file: server.key, key_file: server.crt}",
        (
            "tls_server_config.cert_file: {folder}/server.key contains no PEM certificate",
            "tls_server_config.key_file: {folder}/server.crt contains no PEM private key",
        ),
    ),
    Case(
        "tls_server_config: {cert_file: server.crt, key_file: other.key}",
        (
            "tls_server_config: cert_file and key_file cannot be used: "
            "the key does not match the certificate",
        ),
    ),
    Case(
        "tls_server_config: {cert_file: server.crt, key_file: cut.key}",
        ("tls_server_config: cert_file and key_file cannot be used: it is not valid PEM",),
    ),
    Case(
        "tls_server_config: {cert_file: server.crt, key_file: encrypted.key}",
        ("tls_server_config: key_file is encrypted; only keys without a passphrase are supported",),
    ),
    Case(
        tls("client_ca_file: ca.pem"),
        ("tls_server_config: client_ca_file requires a client_auth_type other than NoClientCert",),
    ),
    Case(
        tls("client_auth_type: RequireAndVerifyClientCert, client_ca_file: server.key"),
        ("tls_server_config.client_ca_file: {folder}/server.key contains no PEM certificate",),
        promtool_accepts=True,
    ),
    Case(
        tls("client_auth_type: RequireAndVerifyClientCert, client_ca_file: cut.pem"),
        ("tls_server_config: client_ca_file cannot be used: it is not valid PEM",),
        promtool_accepts=True,
    ),
    Case(
        tls("client_auth_type: Require"),
        (
            "tls_server_config.client_auth_type: must be one of 'NoClientCert', "
            "'RequestClientCert', 'RequireClientCert', 'RequireAnyClientCert', "
            "'VerifyClientCertIfGiven' or 'RequireAndVerifyClientCert'",
        ),
    ),
    *(
        Case(
            tls(f"client_auth_type: {name}"),
            (
                f"tls_server_config.client_auth_type: {name} is not supported because it accepts "
                "certificates of any issuer; use RequireAndVerifyClientCert with a client_ca_file",
            ),
            promtool_accepts=True,
        )
        for name in ("RequireClientCert", "RequireAnyClientCert")
    ),
    Case(
        tls("client_allowed_sans: [a]"),
        (
            "tls_server_config: client_allowed_sans requires "
            "client_auth_type RequireAndVerifyClientCert",
        ),
        newer=True,
    ),
    Case(
        tls("client_auth_type: RequireAndVerifyClientCert, client_allowed_sans: []"),
        ("tls_server_config: client_allowed_sans is empty: no client could connect",),
        newer=True,
    ),
    Case(
        tls("client_allowed_sans: ['']"),
        ("tls_server_config.client_allowed_sans[0]: must not be empty",),
        newer=True,
    ),
    Case(
        tls("min_version: TLS14, max_version: 1"),
        (
            "tls_server_config.min_version: must be one of 'TLS10', 'TLS11', 'TLS12' or 'TLS13'",
            "tls_server_config.max_version: must be one of 'TLS10', 'TLS11', 'TLS12' or 'TLS13'",
        ),
    ),
    Case(
        tls("max_version: TLS11"),
        ("tls_server_config: min_version TLS12 exceeds max_version TLS11",),
        promtool_accepts=True,
    ),
    Case(
        tls("cipher_suites: [TLS_RSA_WITH_AES_128_CBC_SHA256]"),
        (
            "tls_server_config.cipher_suites[0]: unknown cipher "
            "'TLS_RSA_WITH_AES_128_CBC_SHA256'; use Go's names, "
            "for example TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA",
        ),
    ),
    *(
        Case(
            tls(f"cipher_suites: [{name}]"),
            (
                f"tls_server_config.cipher_suites[0]: {name} is not supported: "
                "no forward secrecy; use for example TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA",
            ),
            promtool_accepts=True,
        )
        for name in (
            "TLS_RSA_WITH_AES_128_CBC_SHA",
            "TLS_RSA_WITH_AES_256_CBC_SHA",
            "TLS_RSA_WITH_AES_128_GCM_SHA256",
            "TLS_RSA_WITH_AES_256_GCM_SHA384",
        )
    ),
    Case(
        tls("cipher_suites: [TLS_AES_128_GCM_SHA256]"),
        (
            "tls_server_config: cipher_suites lists only TLS 1.3 ciphers, "
            "which are always enabled; set min_version: TLS13 to disable all others",
        ),
        promtool_accepts=True,
    ),
    Case(
        tls("curve_preferences: [P256]"),
        (
            "tls_server_config.curve_preferences[0]: must be one of "
            "'CurveP256', 'CurveP384', 'CurveP521' or 'X25519'",
        ),
    ),
    Case(
        tls("curve_preferences: [X25519, CurveP256]"),
        ("tls_server_config: curve_preferences supports only one curve",),
        promtool_accepts=True,
    ),
    Case(
        tls("prefer_server_cipher_suites: 1"),
        ("tls_server_config.prefer_server_cipher_suites: must be true or false",),
    ),
    *(
        Case(
            tls(f"prefer_server_cipher_suites: {text}"),
            ("tls_server_config.prefer_server_cipher_suites: must be true or false",),
        )
        for text in ('"true"', "'no'", '"t"')
    ),
    *(
        Case(
            f"http_server_config: {{http2: {text}}}",
            ("http_server_config.http2: must be true or false",),
        )
        for text in ('"true"', "'off'", '"y"')
    ),
    Case(
        tls("cert: PEM, key: s3cret, client_ca: PEM"),
        tuple(
            f"tls_server_config.{key}: is not supported; write the PEM to a file and set {key}_file"
            for key in ("cert", "key", "client_ca")
        ),
        newer=True,
    ),
    Case(
        "http_server_config: {http2: t, http3: true}",
        (
            "http_server_config.http2: must be true or false",
            "http_server_config.http3: unknown key (did you mean http2?)",
        ),
    ),
    Case(
        header("X-Powered-By: us, x-frame-options: deny"),
        (
            "http_server_config.headers.X-Powered-By: unknown key",
            "http_server_config.headers.x-frame-options: "
            "unknown key (did you mean X-Frame-Options?)",
        ),
    ),
    Case(
        header("X-Frame-Options: DENY, X-Content-Type-Options: ''"),
        (
            "http_server_config.headers.X-Content-Type-Options: must be 'nosniff'",
            "http_server_config.headers.X-Frame-Options: must be one of 'deny' or 'sameorigin'",
        ),
    ),
    Case(
        header('Content-Security-Policy: "a\\r\\nSet-Cookie: b"'),
        (
            "http_server_config.headers.Content-Security-Policy: "
            "must be one line of printable ASCII",
        ),
        promtool_accepts=True,
    ),
    *(
        Case(
            f"basic_auth_users: {empty}",
            ("basic_auth_users: is empty; write {} to disable passwords",),
            promtool_accepts=True,
        )
        for empty in ("", "~", "null")
    ),
    Case("basic_auth_users: [alice]", ("basic_auth_users: must be a mapping",)),
    Case("basic_auth_users: {alice: }", ("basic_auth_users.alice: must be a string",)),
    Case(
        "basic_auth_users: {alice: s3cret}",
        ("basic_auth_users.alice: is not a bcrypt hash; create one with `htpasswd -nBC 10 NAME`",),
    ),
    *(
        Case(
            f"basic_auth_users: {{alice: {wrong}}}",
            (
                "basic_auth_users.alice: is not a bcrypt hash; "
                "create one with `htpasswd -nBC 10 NAME`",
            ),
            promtool_accepts=accepted,
        )
        for wrong, accepted in [
            (HASH[:-1], True),
            (HASH + "x", True),
            (HASH.replace("$10$", "$03$"), False),
            (HASH.replace("$10$", "$32$"), False),
            (HASH.replace("2y", "2"), True),
            (HASH.replace("2y", "1"), True),
        ]
    ),
    *(
        Case(
            document,
            (f"{line}: basic_auth_users.alice: has whitespace before or after the bcrypt hash",),
            promtool_accepts=accepted,
        )
        for document, line, accepted in [
            (f"basic_auth_users:\n  alice: |\n    {HASH}\n", 2, True),
            (f"basic_auth_users: {{alice: '{HASH} '}}", 1, True),
            (f"basic_auth_users: {{alice: ' {HASH}'}}", 1, False),
        ]
    ),
    Case(
        f"basic_auth_users: {{alice: {HASH.replace('$10$', '$17$')}}}",
        ("basic_auth_users.alice: bcrypt cost 17 is too slow for scrapes; use 16 at most",),
        promtool_accepts=True,
    ),
    Case(
        f"basic_auth_users: {{'a:b': {HASH}, '': {HASH}}}",
        (
            "basic_auth_users.a:b: must not contain a colon: "
            "HTTP authentication cannot transmit it",
            "basic_auth_users.: must not be empty",
        ),
        promtool_accepts=True,
    ),
    Case(
        f"basic_auth_users: {{alice: {HASH}, alice: {HASH}}}",
        ("1:89: duplicate key",),
    ),
]
