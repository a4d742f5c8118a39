"""Inputs that reach much of the code: real answers, the reference's examples, and our own files."""

import json
from pathlib import Path
from typing import Any, Final

PASSWORD: Final = "Tr0ub4dor&3"
HASH: Final = "$2y$10$mDwo.lAisC94iLAyP81MCesa29IzH37oigHC/42V2pdJlUprsJPze"

MARKUP: Final = b"<z9>"
"""Text that must never be part of a page."""

_ROOT: Final = Path(__file__).parents[2]

_CLIENT: Final = {
    "enabled": True,
    "NTSEnabled": "false",
    "serversSource": "DHCP",
    "maxSupportedStaticServers": 5,
    "staticServers": ["192.168.0.80"],
    "advertisedServers": ["ntp.someserver.com", "12.7.232.11"],
    "staticNTSKEServers": ["ntske.someserver.com", "13.8.343.12"],
    "NTSKEServerCACerts": [],
    "synced": True,
    "timeToNextSync": 1234,
    "timeOffset": -12.34,
    "minpoll": 2,
    "maxpoll": 2,
}


def _body(**envelope: Any) -> bytes:
    return json.dumps({"apiVersion": "1.5", "method": "getNTPInfo", **envelope}).encode()


BODIES: Final = (
    _body(data={"client": _CLIENT}),
    _body(data={"client": {**_CLIENT, "staticServers": [""], "timeOffset": 1e99}}),
    _body(data={"client": {}, "server": {}}),
    _body(apiVersion="2.0", data={"client": {}}),
    _body(data={"apiVersions": ["1.0", "1.10", "2.0"]}),
    _body(error={"code": 1000, "message": "Internal error"}),
    _body(error={"code": 4004, "details": {"subCode": 3}}),
    _body(error={"code": 5555, "message": f"not {PASSWORD} \u202e\x1b[31m"}),
    b"\xef\xbb\xbf" + _body(data={}) + b"\0",
    b"<html><title>401",
    b"\x1f\x8b\x08",
    b"\xff\xfe{",
)


def _response(status: str, headers: str, body: bytes) -> bytes:
    head = f"HTTP/1.1 {status}\r\n{headers}Content-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


_DIGEST: Final = (
    'Digest realm="AXIS_ACCC8E012345", nonce="bCG0iB9TBgA=5f1c", algorithm=MD5, qop="auth"'
)

RESPONSES: Final = (
    _response("200 OK", "Date: Sun, 22 Nov 2026 12:00:00 GMT\r\n", BODIES[0]),
    _response("401 Unauthorized", f"WWW-Authenticate: {_DIGEST}\r\n", b"<html>"),
    _response("500 Internal Server Error", "Content-Type: application/json\r\n", BODIES[5]),
    _response("301 Moved Permanently", "Location: https://192.0.2.1/axis-cgi/ntp.cgi\r\n", b""),
    _response("302 Found", "Location: \xe9\r\n", b""),
    _response("503 Service Unavailable", "Retry-After: 5\r\n", b"busy"),
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
    b"HTTP/1.1 100 Continue\r\n\r\n" + _response("200 OK", "", BODIES[2]),
    b"HTTP/1.0 404 Not Found\r\nConnection: close\r\n\r\n<html>",
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n",
    b"RTSP/1.0 200 OK\r\n\r\n",
)

CHALLENGES: Final = tuple(
    choice + header.encode()
    for choice in (b"\x00", b"\x08", b"\x12", b"\x2a")
    for header in (
        _DIGEST,
        f'{_DIGEST}, opaque="o", stale=true',
        _DIGEST.replace("MD5", "SHA-256-sess"),
        f'Basic realm="AXIS", {_DIGEST}',
        "Basic realm='Sandstorm API'\nDigest realm=IP Camera nonce=abc qop=\"\"",
        'Negotiate TlRMTVNTUAABAAAA\nBearer\nDigest realm="\xe9\\"", nonce="a\\\\b", qop=auth-int',
        'Info nextnonce="bCG0iB9TBgA=5f1c", qop=auth',
    )
)

CLOCKS: Final = (
    b"Sun, 22 Nov 2026 12:00:00 GMT\n+FTCE1VHBgA=abc",
    b"Sunday, 22-Nov-26 12:00:60 GMT\nAAAAAAAAAAA=",
    b"Sun Nov  2 12:00:00 2026\n//////////8=",
    b"Thu, 01 Jan 1970 00:00:00 GMT\nAAAAAAAAAIA=",
    b"Fri, 31 Dec 9999 23:59:60 GMT\n",
    b"Mon, 29 Feb 2027 00:00:00 GMT\n\n",
)

ADDRESSES: Final = tuple(
    text.encode()
    for text in (
        "camera.example",
        "camera.example.:8443",
        "192.0.2.1:80",
        "[2001:db8::90]:8080",
        "[fe80::1%eth0]:80",
        "fe80::1%25",
        "::ffff:192.0.2.1",
        "bücher.example",
        "xn--bcher-kva.example",
        ":10123",
        "0.0.0.0:0",
        "https://root:pass@camera/axis-cgi",
        "1.2.3",
        "0x7f.1",
        "a" * 64,
        "\u2488com\u3002a",
    )
)

DURATIONS: Final = (b"0", b"30s", b"1m30s", b"500ms", b"1y2w3d4h5m6s7ms", b"999999999999y", b"1.5s")

LOG_VALUES: Final = (
    b"\x00timed out after 10 s\nlobby",
    b"\x01a \x1b[31m\r=\"'\nlobby\nx",
    b"\x02level=error\nevent=\xff\xfe",
    b"\x03\xe2\x80\xae\xf0\x9f\x98\x80 \xc2\x85\nb",
    b"\x00\nTraceback (most recent call last):",
)

ACCEPTS: Final = (
    b"application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,"
    b"application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;"
    b"escaping=values;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2\ngzip",
    b"text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\nbr;q=1.0, gzip;q=0.8, *;q=0",
    b'text/*;q=0,text/plain;x="a,b;q=1";q=.5\nidentity;q=0',
    b"Basic cm9vdDpwYXNz\n*",
)

QUERIES: Final = tuple(
    choice + text
    for choice in (b"\x00", b"\x40")
    for text in (
        b"q=camera&state=bad&sort=-offset&page=2",
        b"q=%s&page=1" % MARKUP,
        b"state=%s&page=0" % MARKUP,
        b"page=%31&state=%00&q=%ff&sort",
        b"q=a&q=b;page=9999999999",
    )
) + tuple(
    bytes([path + 64 * raw]) + text
    for path in (1, 2, 3, 4, 5)
    for raw in (0, 1)
    for text in (
        b"camera-1",
        b"camera-1.example",
        b"gate%2F..%2F\xc3\xa9",
        MARKUP,
        b"target=new&target=",
    )
)


def _request(line: str, *headers: str, body: str = "") -> bytes:
    return "\r\n".join([line, "Host: localhost", *headers, "", body]).encode()


REQUESTS: Final = (
    _request("GET /metrics HTTP/1.1", "Accept-Encoding: gzip", "Connection: close"),
    _request("GET /metrics HTTP/1.0", "Connection: keep-alive"),
    _request("POST /-/reload HTTP/1.1", "Origin: http://localhost", "Content-Length: 0"),
    _request(
        "PUT /-/reload HTTP/1.1", "Origin: null", "Transfer-Encoding: chunked", body="0\r\n\r\n"
    ),
    _request("HEAD /probe?target=new HTTP/1.1", "X-Prometheus-Scrape-Timeout-Seconds: 1e3"),
    _request("GET /probe?target=new HTTP/1.1", "X-Prometheus-Scrape-Timeout-Seconds: nan"),
    _request("GET /config HTTP/1.1", "Expect: 100-continue"),
    _request("GET /static/x/style.css HTTP/1.1", "If-None-Match: *", "Range: bytes=0-1"),
    _request("GET /device/camera-1 HTTP/1.1", "Cookie: a=b", "Upgrade: h2c"),
    _request("OPTIONS * HTTP/1.1"),
    _request("CONNECT a:1 HTTP/1.1"),
    _request("GET http://other/ HTTP/1.1") * 3,
    b"\x16\x03\x01\x02\x00\x01\x00",
)

_EXAMPLE: Final = (_ROOT / "config.example.yaml").read_bytes()

CONFIGS: Final = (
    _EXAMPLE,
    b"devices: [{address: 192.0.2.1, labels: {site: hq}}]\n",
    b"modules: {default: {auth: {username: root, password: '${AXIS_PASSWORD}'}, scheme: http}}\n",
    b"a: &a {b: 1}\nc:\n  <<: [*a, {d: 2}]\n  e: [*a, ~, 'null', \"\\x41\"]\n",
    b"global:\n\tinterval: 1m\n",
    b"devices:\n- address: {{ host }}\n",
    b"--- >-\n  folded\n...\n---\n",
    b"%YAML 1.1\n%TAG ! tag:x,2000:\n---\n!a b: |\n  c\n? [d]\n: e\n",
    b"modules: {default: {auth: {username: root, password_file: none}, tls_config: {ca_file: .}}}",
    b"file_sd_configs: [{files: ['*.json', a/b.yaml]}]\nhttp_sd_configs: [{url: 'http://a/?token=b'}]",
)

WEB_CONFIGS: Final = (
    b"tls_server_config: {cert_file: a, key_file: b, client_auth_type: NoClientCert}\n",
    b"tls_server_config:\n  cert_file: web.yaml\n  min_version: TLS13\n  max_version: TLS10\n"
    b"  cipher_suites: [TLS_AES_128_GCM_SHA256]\n  curve_preferences: [X25519]\n"
    b"  client_allowed_sans: [a]\n  cert: |\n    x\n",
    f"basic_auth_users:\n  root: {HASH}\n  'a:b': {HASH}x\n".encode(),
    b"http_server_config:\n  http2: off\n"
    b"  headers: {X-Frame-Options: deny, Content-Security-Policy: a}",
    b"basic_auth_users:\nrate_limit: {interval: 1s}\n",
    b"{}",
)

_GROUPS: Final = [
    {"targets": ["192.0.2.1", "[fe80::1%eth0]:80"], "labels": {"site": "hq", "__meta_x": "1"}},
    {"targets": ["a.example"], "labels": {"device": "lobby", "module": "default"}},
    {"targets": None, "labels": None},
    {"labels": {"source": "x", "0": "y"}, "targets": ["root:pass@a", "", "b"]},
    {},
]

GROUPS_JSON: Final = (
    json.dumps(_GROUPS).encode(),
    b'[{"targets": ["\\u0061\\ud83d\\ude00", 1], "source": "x"}]',
    b"null",
    b'[{"targets": [], "labels": {"a": 1e5, "b": true}}, {"targets": "a"}]',
    b"[[[[]]]]",
)

GROUPS_YAML: Final = (
    *GROUPS_JSON,
    b"- targets: [192.0.2.1, 'b:80']\n  labels: {site: hq}\n- targets:\n  - c\n",
    b"- &a {targets: [a]}\n- *a\n- <<: *a\n  labels: {device: x}\n",
    b"targets: [a]\n",
)
