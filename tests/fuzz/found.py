"""Inputs that have shown a defect, each with what was wrong. They run as plain tests."""

from typing import Final, NamedTuple


class Found(NamedTuple):
    """An input of a target, and the defect that it showed before the fix."""

    target: str
    data: bytes
    defect: str


FOUND: Final[tuple[Found, ...]] = (
    Found(
        "web-config", b"\xf1\x80\x80\x80tls_server_config: {}", "unprintable character in an error"
    ),
    Found("config", b'"\\e[31m": 1', "escape sequence in an error"),
    Found("challenges", b"\0%s\n%s\n%s" % (b"a" * 190, b"b" * 190, b"c" * 190), "a long error"),
    Found(
        "web-request",
        b"GET /-/healthy HTTP/1.1\r\nHost: a\r\nExpect: \xe0\r\n\r\n",
        "an internal error by a header that is not UTF-8",
    ),
    Found("duration", b"5100ms", "not the same as 5s100ms, by a rounding error"),
)
