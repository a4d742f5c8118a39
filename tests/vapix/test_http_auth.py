"""Challenges in any order: the strongest is answered, and Basic never over plain HTTP."""

import base64
import contextlib
import hashlib
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.vapix.challenges import (
    MAX_CHALLENGES,
    MAX_CHARACTERS,
    Challenge,
    parse_challenges,
)
from exporter.vapix.errors import NoCommonScheme, Unauthorized
from exporter.vapix.http_auth import (
    Authenticator,
    DeviceCredentials,
    DigestAuth,
    Policy,
)

ROOT = DeviceCredentials("root", "correct horse")
DIGEST = 'Digest realm="AXIS_ACCC8E012345", nonce="bm9uY2U=", algorithm=MD5, qop="auth"'
DIGEST_SHA256 = DIGEST.replace("MD5", "SHA-256")
BASIC = 'Basic realm="AXIS_ACCC8E012345"'


def authenticator(
    policy: Policy = "auto", credentials: DeviceCredentials | None = ROOT, *, secure: bool = False
) -> Authenticator:
    return Authenticator(policy, credentials, secure=secure)


def fields(authorization: str | None) -> dict[str, str]:
    assert authorization is not None
    scheme, _, rest = authorization.partition(" ")
    pairs = re.findall(r'(\w+)=(?:"((?:[^"\\]|\\.)*)"|([^,\s]+))', rest)
    return {"scheme": scheme} | {name: quoted or plain for name, quoted, plain in pairs}


@pytest.mark.parametrize(
    ("algorithm", "response"),
    [
        ("MD5", "8ca523f5e9506fed4657c9700eebdbec"),
        ("SHA-256", "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"),
    ],
)
def test_the_examples_of_rfc_7616_give_the_responses_of_the_rfc(
    algorithm: str, response: str
) -> None:
    params = {
        "realm": "http-auth@example.org",
        "qop": "auth, auth-int",
        "algorithm": algorithm,
        "nonce": "7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v",
        "opaque": "FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS",
    }
    digest = DigestAuth(
        Challenge("digest", params),
        DeviceCredentials("Mufasa", "Circle of Life"),
        cnonce="f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ",
    )
    sent = fields(digest.authorization("GET", "/dir/index.html"))
    assert sent["response"] == response
    assert sent["opaque"] == params["opaque"]
    assert (sent["nc"], sent["qop"], sent["algorithm"]) == ("00000001", "auth", algorithm)


def test_a_challenge_without_qop_and_algorithm_is_answered_as_in_rfc_2069() -> None:
    params = {"realm": "testrealm@host.com", "nonce": "dcd98b7102dd2f0e8b11d0f600bfb0c093"}
    digest = DigestAuth(Challenge("digest", params), DeviceCredentials("Mufasa", "CircleOfLife"))
    sent = fields(digest.authorization("GET", "/dir/index.html"))
    assert sent["response"] == "1949323746fe6a43ef61f9606e7febea"
    assert not sent.keys() & {"qop", "nc", "cnonce", "algorithm"}


@pytest.mark.parametrize(
    ("algorithm", "hash_name"), [("MD5-sess", "md5"), ("SHA-256-SESS", "sha256")]
)
def test_a_session_algorithm_hashes_the_first_nonce_into_the_secret(
    algorithm: str, hash_name: str
) -> None:
    def h(text: str) -> str:
        return hashlib.new(hash_name, text.encode()).hexdigest()

    params = {"realm": "r", "nonce": "n1", "qop": "auth", "algorithm": algorithm}
    digest = DigestAuth(Challenge("digest", params), ROOT, cnonce="c")
    digest.use_nonce("n2")
    sent = fields(digest.authorization("POST", "/x"))
    secret = h(f"{h('root:r:correct horse')}:n1:c")
    assert sent["response"] == h(f"{secret}:n2:00000001:c:auth:{h('POST:/x')}")


def test_a_nonce_is_reused_with_a_rising_count() -> None:
    device = authenticator()
    device.handle_unauthorized([DIGEST], 1)
    counts = [fields(device.authorization("POST", "/"))["nc"] for _ in range(3)]
    assert counts == ["00000001", "00000002", "00000003"]


def test_the_next_nonce_is_used_and_its_count_starts_at_one() -> None:
    device = authenticator()
    device.handle_unauthorized([DIGEST], 1)
    device.authorization("POST", "/")
    device.handle_success('rspauth="0123", cnonce="c", nc=00000001, qop=auth, nextnonce="bmV4dA=="')
    sent = fields(device.authorization("POST", "/"))
    assert (sent["nonce"], sent["nc"]) == ("bmV4dA==", "00000001")


@pytest.mark.parametrize("info", [None, "", 'rspauth="0"', 'nextnonce=""', 'nextnonce="\udcff"'])
def test_a_response_without_a_usable_next_nonce_keeps_the_nonce(info: str | None) -> None:
    device = authenticator()
    device.handle_unauthorized([DIGEST], 1)
    device.handle_success(info)
    assert fields(device.authorization("POST", "/"))["nonce"] == "bm9uY2U="


@pytest.mark.parametrize(
    "headers",
    [
        [DIGEST],
        [BASIC, DIGEST],
        [DIGEST, BASIC],
        [f"{BASIC}, {DIGEST}"],
        [f"{DIGEST}, {BASIC}"],
        ["Negotiate", "NTLM TlRMTVNTUAAC==", DIGEST],
        [f"Negotiate, {DIGEST}"],
        [f'Negotiate, "neither scheme nor parameter", {DIGEST}'],
        [DIGEST.replace("MD5", "SHA-512-256"), DIGEST],
        [DIGEST.replace("Digest", "dIGEST").replace("realm", "REALM")],
        [DIGEST.replace(", ", ",")],
        ['Digest realm = "AXIS" , nonce\t="bm9uY2U=" ,qop= auth'],
        [f"  {DIGEST} ,"],
        ['Digest realm="a, b=\\"c\\", Basic realm=d", nonce="bm9uY2U=", qop="auth-int,auth"'],
        ['Digest realm="AXIS" nonce="bm9uY2U=" qop="auth"'],
        ["Digest realm=IP Camera, nonce=bm9uY2U=, qop=auth"],
        ["Digest realm=IP Camera nonce=bm9uY2U="],
        ['Digest realm="AXIS", nonce="bm9uY2U=", qop=""'],
        ['Digest realm="AXIS", nonce="bm9uY2U=", domain="\udcff"'],
        ['Basic realm="H\udcf6he"', DIGEST],
    ],
)
def test_a_digest_challenge_is_found_at_any_position(headers: list[str]) -> None:
    device = authenticator()
    device.handle_unauthorized(headers, 1)
    sent = fields(device.authorization("POST", "/"))
    assert (sent["scheme"], sent["nonce"]) == ("Digest", "bm9uY2U=")


def test_the_strongest_algorithm_is_chosen_in_any_order() -> None:
    for headers in ([DIGEST, DIGEST_SHA256], [DIGEST_SHA256, DIGEST]):
        device = authenticator()
        device.handle_unauthorized(headers, 1)
        assert fields(device.authorization("POST", "/"))["algorithm"] == "SHA-256"


@pytest.mark.parametrize(
    "broken",
    [
        'Digest realm="r"',
        'Digest nonce="n"',
        'Digest realm="r", nonce=""',
        'Digest realm="r", nonce="n", algorithm=SHA-512-256',
        'Digest realm="r", nonce="n", qop="auth-int"',
        'Digest realm="r\udcff", nonce="n"',
        'Digest realm="r", nonce="n", opaque="\x07"',
        "Digest",
        "",
        ",,,",
        '"',
        "=",
    ],
)
def test_a_challenge_that_cannot_be_answered_raises_unauthorized(broken: str) -> None:
    with pytest.raises(Unauthorized):
        authenticator().handle_unauthorized([broken], 1)


def test_basic_is_answered_over_tls() -> None:
    device = authenticator(secure=True)
    device.handle_unauthorized([BASIC], 1)
    expected = base64.b64encode(b"root:correct horse").decode()
    assert device.authorization("POST", "/") == f"Basic {expected}"


@pytest.mark.parametrize(
    "realm", ["'Sandstorm API'", "IP Camera", '"H\udcf6he"', "\udcf6", '"a', "", '""']
)
def test_basic_is_answered_whatever_its_realm_is(realm: str) -> None:
    device = authenticator(secure=True)
    device.handle_unauthorized([f"Basic realm={realm}"], 1)
    assert device.scheme == "basic"


def test_an_empty_qop_is_answered_as_if_there_were_none() -> None:
    device = authenticator()
    device.handle_unauthorized([DIGEST.replace('qop="auth"', 'qop=""')], 1)
    assert "qop" not in fields(device.authorization("POST", "/"))


@pytest.mark.parametrize(
    ("header", "quoted"),
    [
        ("", r"offered no login method \(WWW-Authenticate: \)"),
        ('Digest realm="r\udcff", nonce="n"', r"""Digest realm="r\\udcff", nonce="n"\)"""),
        ("Bearer " + "x" * 300, r"\(WWW-Authenticate: Bearer x{150,}…"),
    ],
)
def test_the_error_quotes_a_header_that_cannot_be_answered(header: str, quoted: str) -> None:
    with pytest.raises(NoCommonScheme, match=quoted):
        authenticator().handle_unauthorized([header], 1)


def test_challenges_beyond_the_limits_are_ignored() -> None:
    first = [f"Scheme{n} a=b" for n in range(MAX_CHALLENGES)]
    assert len(parse_challenges([*first, BASIC])) == MAX_CHALLENGES
    long = f'Digest realm="{"r" * MAX_CHARACTERS}", nonce="n"'
    assert parse_challenges([BASIC, long, DIGEST]) == parse_challenges([BASIC])


def test_digest_is_preferred_to_basic_even_over_tls() -> None:
    device = authenticator(secure=True)
    device.handle_unauthorized([BASIC, DIGEST], 1)
    assert device.scheme == "digest"


@pytest.mark.parametrize("policy", ["auto", "basic", "digest"])
def test_basic_is_never_answered_over_plain_http(policy: Policy) -> None:
    device = authenticator(policy)
    assert device.authorization("POST", "/") is None
    with pytest.raises(Unauthorized):
        device.handle_unauthorized([BASIC], 1)
    assert device.authorization("POST", "/") is None


def test_the_error_for_basic_over_plain_http_says_why_no_password_is_sent() -> None:
    with pytest.raises(Unauthorized, match="only Basic, which is never used over plain HTTP"):
        authenticator().handle_unauthorized([BASIC], 1)


def test_policy_digest_never_answers_basic() -> None:
    with pytest.raises(Unauthorized, match=r"offers only basic, which `auth\.scheme: digest`"):
        authenticator("digest", secure=True).handle_unauthorized([BASIC], 1)


def test_policy_basic_never_answers_digest() -> None:
    with pytest.raises(Unauthorized, match=r"offers only digest, which `auth\.scheme: basic`"):
        authenticator("basic", secure=True).handle_unauthorized([DIGEST], 1)


def test_policy_basic_over_tls_does_not_wait_for_a_challenge() -> None:
    authorization = authenticator("basic", secure=True).authorization("POST", "/")
    assert authorization is not None
    assert authorization.startswith("Basic ")


def test_refused_basic_credentials_are_not_sent_twice_in_one_call() -> None:
    device = authenticator("basic", secure=True)
    device.authorization("POST", "/")
    with pytest.raises(Unauthorized, match="refused the username or password"):
        device.handle_unauthorized([BASIC], 1)


def test_without_credentials_a_challenge_raises_unauthorized() -> None:
    with pytest.raises(Unauthorized, match="asks for a password, but none is configured"):
        authenticator(credentials=None).handle_unauthorized([DIGEST], 1)


def test_a_wrong_password_is_tried_once_a_call() -> None:
    device = authenticator()
    device.handle_unauthorized([DIGEST], 1)
    with pytest.raises(Unauthorized, match="refused the username or password"):
        device.handle_unauthorized([DIGEST], 2)
    assert device.authorization("POST", "/") is None


def test_a_stale_nonce_is_replaced_at_once_but_not_forever() -> None:
    stale = f"{DIGEST}, stale=TRUE"
    device = authenticator()
    device.handle_unauthorized([DIGEST], 1)
    device.handle_unauthorized([stale], 2)
    assert device.authorization("POST", "/") is not None
    with pytest.raises(Unauthorized, match="accepts the password but keeps refusing its own nonce"):
        device.handle_unauthorized([stale], 3)


def test_a_nonce_that_expired_between_polls_is_replaced_even_without_stale() -> None:
    device = authenticator()
    device.handle_unauthorized([DIGEST], 1)
    device.authorization("POST", "/")
    device.handle_unauthorized([DIGEST.replace("bm9uY2U=", "bmV3")], 1)
    assert fields(device.authorization("POST", "/"))["nonce"] == "bmV3"


def test_quotes_and_backslashes_in_username_and_realm_are_escaped() -> None:
    device = authenticator(credentials=DeviceCredentials('ro"ot\\', "p"))
    device.handle_unauthorized(['Digest realm="a\\"b", nonce="n"'], 1)
    authorization = device.authorization("POST", "/")
    assert authorization is not None
    assert 'username="ro\\"ot\\\\"' in authorization
    assert 'realm="a\\"b"' in authorization


def test_the_repr_of_credentials_shows_neither_username_nor_password() -> None:
    assert "horse" not in repr(ROOT)
    assert "root" not in repr(ROOT)


HOSTILE = st.text(alphabet='Digestbasc realmnonce=",\\ \t\udcff\x00', max_size=60)


@given(st.lists(HOSTILE, max_size=4))
def test_any_header_is_answered_or_raises_unauthorized(headers: list[str]) -> None:
    device = authenticator(secure=True)
    with contextlib.suppress(Unauthorized):
        device.handle_unauthorized(headers, 1)
        authorization = device.authorization("POST", "/")
        assert authorization is not None
        assert authorization.isprintable()


@given(st.text(max_size=200))
def test_any_authentication_info_leaves_a_usable_header(info: str) -> None:
    device = authenticator()
    device.handle_unauthorized([DIGEST], 1)
    device.handle_success(info)
    authorization = device.authorization("POST", "/")
    assert authorization is not None
    assert authorization.isprintable()
