import re
from typing import Any

import pytest

from exporter.simulator.authentication import POLICIES
from exporter.simulator.wire import Reply
from tests.simulator.conftest import START, Bench, BenchMaker, header, nonce_microseconds
from tests.simulator.raw_client import Digest, basic, call, parameters

INFO = call("getNTPInfo")
DIGEST_POLICIES = [name for name in POLICIES if "digest" in name]


def challenges(reply: Reply) -> list[str]:
    return [value for name, value in reply.headers if name == "WWW-Authenticate"]


def solvable(reply: Reply) -> str:
    """Return the first Digest challenge with an algorithm that these tests support."""
    offered = "\n".join(challenges(reply))
    found: list[str] = re.findall(r"Digest (?:(?!, Basic|, Digest).)*", offered)
    return next(challenge for challenge in found if "SHA-512" not in challenge)


def authorized(bench: Bench, digest: Digest | None = None, **more: Any) -> Reply:
    challenge = solvable(bench.reply(INFO))
    return bench.reply(INFO, authorization=(digest or Digest()).authorization(challenge), **more)


@pytest.mark.parametrize("auth", DIGEST_POLICIES)
def test_every_digest_policy_accepts_the_right_password(make_bench: BenchMaker, auth: str) -> None:
    assert authorized(make_bench(auth=auth)).status == 200


@pytest.mark.parametrize("auth", DIGEST_POLICIES)
@pytest.mark.parametrize("digest", [Digest(password="wrong"), Digest(username="admin")])
def test_every_digest_policy_rejects_other_accounts(
    make_bench: BenchMaker, auth: str, digest: Digest
) -> None:
    reply = authorized(make_bench(auth=auth), digest)
    assert reply.status == 401
    assert "stale" not in "".join(challenges(reply))


CHALLENGES = {
    "digest": [r'Digest realm="R", nonce="N", algorithm=MD5, qop="auth"'],
    "digest-sha256": [r'Digest realm="R", nonce="N", algorithm=SHA-256, qop="auth"'],
    "digest-no-algorithm": [r'Digest realm="R", nonce="N", qop="auth"'],
    "digest-no-qop": [r'Digest realm="R", nonce="N", algorithm=MD5'],
    "digest-rfc2069": [r'Digest realm="R", nonce="N"'],
    "digest-unknown-first": [
        r'Digest realm="R", nonce="N", algorithm=SHA-512-256, qop="auth"',
        r'Digest realm="R", nonce="N", algorithm=MD5, qop="auth"',
    ],
    "digest-sha256+md5": [
        r'Digest realm="R", nonce="N", algorithm=SHA-256, qop="auth"',
        r'Digest realm="R", nonce="N", algorithm=MD5, qop="auth"',
    ],
    "basic": ['Basic realm="R"'],
    "basic+digest": [
        'Basic realm="R"',
        r'Digest realm="R", nonce="N", algorithm=MD5, qop="auth"',
    ],
    "digest+basic": [
        r'Digest realm="R", nonce="N", algorithm=MD5, qop="auth"',
        'Basic realm="R"',
    ],
    "basic+digest-one-header": [
        r'Basic realm="R", Digest realm="R", nonce="N", algorithm=MD5, qop="auth"'
    ],
    "recommended": [r'Digest realm="R", nonce="N", algorithm=MD5, qop="auth"'],
}


@pytest.mark.parametrize("auth", CHALLENGES)
def test_each_policy_writes_its_challenges(make_bench: BenchMaker, auth: str) -> None:
    bench = make_bench(auth=auth)
    reply = bench.reply(INFO)
    realm = f"AXIS_{bench.device.mac.upper()}"
    seen = [
        re.sub(r'nonce="[^"]{52}"', 'nonce="N"', text.replace(realm, "R"))
        for text in challenges(reply)
    ]
    assert seen == CHALLENGES[auth]


def test_every_policy_is_tested() -> None:
    assert CHALLENGES.keys() | {"none"} == POLICIES.keys()


def test_the_realm_holds_the_twelve_digits_of_the_mac(make_bench: BenchMaker) -> None:
    challenge = challenges(make_bench(auth="digest").reply(INFO))[0]
    assert re.search(r'realm="AXIS_B8A44F[0-9A-F]{6}"', challenge)


def test_recommended_offers_basic_only_over_tls(make_bench: BenchMaker) -> None:
    bench = make_bench(auth="recommended")
    assert bench.reply(INFO, authorization=basic()).status == 401
    assert bench.reply(INFO, authorization=basic(), secure=True).status == 200
    assert challenges(bench.reply(INFO, secure=True))[0].startswith("Basic")


@pytest.mark.parametrize(
    "authorization",
    ["Basic", "Basic !", "Basic /w==", basic("root", "no"), "Bearer cm9vdDpwYXNz", basic("x")],
)
def test_basic_rejects_everything_else(make_bench: BenchMaker, authorization: str) -> None:
    assert make_bench(auth="basic").reply(INFO, authorization=authorization).status == 401


def test_an_algorithm_that_was_not_offered_is_rejected(make_bench: BenchMaker) -> None:
    bench = make_bench(auth="digest")
    challenge = solvable(bench.reply(INFO)).replace("MD5", "SHA-256")
    reply = bench.reply(INFO, authorization=Digest().authorization(challenge))
    assert reply.status == 401


def test_an_unsupported_algorithm_is_rejected(make_bench: BenchMaker) -> None:
    bench = make_bench(auth="digest-unknown-first")
    answer = Digest().authorization(solvable(bench.reply(INFO)))
    reply = bench.reply(INFO, authorization=answer.replace("MD5", "SHA-512-256"))
    assert reply.status == 401


def test_digest_credentials_are_valid_only_for_their_uri(make_bench: BenchMaker) -> None:
    assert authorized(make_bench(auth="digest"), target="/axis-cgi/param.cgi").status == 401


def test_the_nonce_and_the_date_contain_the_devices_time(make_bench: BenchMaker) -> None:
    bench = make_bench(auth="digest", offset_seconds=-3.25)
    reply = bench.reply(INFO)
    nonce = parameters(challenges(reply)[0])["nonce"]
    assert nonce_microseconds(nonce) == (START - 3_250_000_000) // 1_000
    assert header(reply, "Date") == "Tue, 14 Nov 2023 22:13:16 GMT"


def test_a_nonce_is_valid_for_many_requests_within_its_lifetime(make_bench: BenchMaker) -> None:
    bench = make_bench(auth="digest")
    answer = Digest().authorization(solvable(bench.reply(INFO)))
    for _ in range(5):
        bench.host.advance(50)
        assert bench.reply(INFO, authorization=answer).status == 200


@pytest.mark.parametrize(("after", "stale"), [(300, False), (300.001, True), (-0.001, True)])
def test_a_nonce_is_stale_outside_its_lifetime(
    make_bench: BenchMaker, after: float, *, stale: bool
) -> None:
    bench = make_bench(auth="digest")
    answer = Digest().authorization(solvable(bench.reply(INFO)))
    bench.host.advance(after)
    reply = bench.reply(INFO, authorization=answer)
    assert (reply.status == 401) is stale
    assert ("stale=true" in "".join(challenges(reply))) is stale


def test_a_stale_response_carries_a_valid_nonce(make_bench: BenchMaker) -> None:
    bench = make_bench(auth="digest")
    answer = Digest().authorization(solvable(bench.reply(INFO)))
    bench.host.advance(301)
    second = solvable(bench.reply(INFO, authorization=answer))
    assert bench.reply(INFO, authorization=Digest().authorization(second)).status == 200


def test_a_wrong_password_is_never_stale(make_bench: BenchMaker) -> None:
    bench = make_bench(auth="digest")
    answer = Digest(password="wrong").authorization(solvable(bench.reply(INFO)))
    bench.host.advance(301)
    assert "stale" not in "".join(challenges(bench.reply(INFO, authorization=answer)))


def test_a_foreign_nonce_with_the_right_password_is_stale(make_bench: BenchMaker) -> None:
    bench = make_bench(auth="digest")
    challenge = re.sub(r'nonce="[^"]*"', 'nonce="other"', solvable(bench.reply(INFO)))
    reply = bench.reply(INFO, authorization=Digest().authorization(challenge))
    assert "stale=true" in challenges(reply)[0]


@pytest.mark.parametrize(
    ("lifetime", "after", "follows"),
    [(300, 0, False), (300, 269.9, False), (300, 270, True), (300, 300, True), (30, 0, True)],
)
def test_the_next_nonce_is_sent_in_the_last_thirty_seconds(
    make_bench: BenchMaker, lifetime: float, after: float, *, follows: bool
) -> None:
    bench = make_bench(auth="digest", nonce_lifetime_seconds=lifetime)
    answer = Digest().authorization(solvable(bench.reply(INFO)))
    bench.host.advance(after)
    info = parameters(header(bench.reply(INFO, authorization=answer), "Authentication-Info"))
    assert ("nextnonce" in info) is follows
    if follows:
        assert nonce_microseconds(info["nextnonce"]) == bench.host.nanoseconds // 1_000


def test_the_next_nonce_is_valid(make_bench: BenchMaker) -> None:
    bench = make_bench(auth="digest", nonce_lifetime_seconds=10)
    challenge = solvable(bench.reply(INFO))
    bench.host.advance(9)
    reply = bench.reply(INFO, authorization=Digest().authorization(challenge))
    following = parameters(header(reply, "Authentication-Info"))["nextnonce"]
    challenge = re.sub(r'nonce="[^"]*"', f'nonce="{following}"', challenge)
    bench.host.advance(9)
    assert bench.reply(INFO, authorization=Digest().authorization(challenge)).status == 200


def test_without_qop_only_the_next_nonce_is_sent(make_bench: BenchMaker) -> None:
    info = header(
        authorized(make_bench(auth="digest-rfc2069", nonce_lifetime_seconds=10)),
        "Authentication-Info",
    )
    assert parameters(info).keys() == {"nextnonce"}


def test_rspauth_proves_that_the_device_knows_the_password(make_bench: BenchMaker) -> None:
    bench = make_bench(auth="digest")
    challenge = solvable(bench.reply(INFO))
    digest = Digest()
    reply = bench.reply(INFO, authorization=digest.authorization(challenge))
    info = parameters(header(reply, "Authentication-Info"))
    assert info["rspauth"] == digest.response(parameters(challenge), "", "/axis-cgi/ntp.cgi")
    assert (info["cnonce"], info["nc"], info["qop"]) == (digest.cnonce, digest.nc, "auth")


def test_a_new_password_takes_effect_at_once(make_bench: BenchMaker) -> None:
    bench = make_bench(auth="digest")
    assert authorized(bench).status == 200
    bench.device.login.password = "new"
    assert authorized(bench).status == 401
    assert authorized(bench, Digest(password="new")).status == 200


def test_without_authentication_every_request_is_accepted(make_bench: BenchMaker) -> None:
    assert make_bench(auth="none").reply(INFO).status == 200


def test_an_unknown_policy_raises_a_key_error(make_bench: BenchMaker) -> None:
    with pytest.raises(KeyError):
        make_bench(auth="telepathy")


def test_the_repr_of_a_device_hides_its_password(make_bench: BenchMaker) -> None:
    bench = make_bench(password="s3cret")
    assert repr(bench.device) == "SimulatedDevice('cam-1', fault=None)"
