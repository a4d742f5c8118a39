"""Everything that can be wrong with a simulated device: one table of named faults. Pure."""

from collections.abc import Callable
from dataclasses import dataclass

from exporter.simulator import fault_hooks as hooks
from exporter.simulator.api import INTERNAL_ERROR, MESSAGES, UNSUPPORTED_VERSION, Call
from exporter.simulator.authentication import Verdict
from exporter.simulator.clock import NANOSECONDS
from exporter.simulator.device_state import SimulatedState
from exporter.simulator.wire import HTML, DateStyle, Delivery, Reply, Request, html_reply

ELSEWHERE = "http://192.0.2.1/elsewhere"
"""Where a `redirect` points: an address that is nobody's (RFC 5737)."""

NONCE_SHIFT_MICROSECONDS = 3_600_000_000
"""How far the times in the nonces of `foreign_nonce` are from the device's clock."""


class UnknownFaultError(ValueError):
    """There is no fault of that name."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault: a name for command lines and tests, a line for --help, and what it does.

    `begin`: on the device when it comes; gives what undoes it. `intercept`: answers before
    authentication. `judge`: has the last word on authentication. `rewrite_challenge`: changes a
    401. `instead`: answers in place of ntp.cgi, after authentication. `call`: may raise ApiError
    before a method is carried out. `rewrite`: changes ntp.cgi's reply.
    """

    name: str
    description: str
    begin: Callable[[SimulatedState], hooks.Undo] = hooks.change_nothing
    intercept: Callable[[Request], Reply | None] = hooks.let_pass
    judge: Callable[[SimulatedState, Request, Verdict], Verdict] = hooks.agree
    rewrite_challenge: Callable[[Reply], Reply] = hooks.as_it_is
    instead: Callable[[Request], Reply | None] = hooks.let_pass
    call: Callable[[Call], None] = hooks.carry_out
    rewrite: Callable[[Reply, str | None], Reply] = hooks.as_answered


HEALTHY = Fault("healthy", "nothing is wrong")


def find_fault(name: str) -> Fault:
    """Find a fault by its name. Raises UnknownFaultError."""
    try:
        return FAULTS[name]
    except KeyError:
        raise UnknownFaultError(f"no fault is called {name!r}") from None


_STATE_FAULTS = (
    Fault("not_synced", "has not synchronised since its restart", hooks.not_synced),
    Fault("client_disabled", "its NTP client is switched off", hooks.client_disabled),
    Fault(
        "no_client_section",
        "getNTPInfo answers without a client section",
        lambda device: hooks.changed(device.api, has_client_section=False),
    ),
    Fault(
        "drifting",
        f"its clock gains {hooks.FAULT_DRIFT_PPM:g} ppm",
        lambda device: hooks.changed(device.clock, drift_ppm=hooks.FAULT_DRIFT_PPM),
    ),
    Fault("stepped", f"its clock jumps {hooks.FAULT_STEP_SECONDS:g} s ahead, once", hooks.stepped),
    Fault(
        "server_dead",
        "lost its time server: says synced, keeps its last timeOffset, drifts",
        hooks.server_dead,
    ),
    Fault(
        "string_booleans",
        'writes booleans as "true" and "false"',
        lambda device: hooks.changed(device.api, string_booleans=True),
    ),
    Fault("no_servers", "has no time server configured", hooks.no_servers),
)

_AUTHENTICATION_FAULTS = (
    Fault("unauthorized", "answers 401 to the right password too", judge=hooks.refuse),
    Fault("stale_every_request", "calls every nonce stale", judge=hooks.call_stale),
    Fault(
        "wrong_role_403",
        "the account is no administrator: 403",
        instead=hooks.always(html_reply(403)),
    ),
    Fault(
        "factory_new",
        "has no user yet: 401 with Axis-Setup: vapix and no challenge",
        intercept=hooks.always(html_reply(401, (("Axis-Setup", "vapix"),))),
    ),
    Fault(
        "close_after_401",
        "closes the connection right after a 401, unannounced",
        rewrite_challenge=hooks.deliver_challenge_then_close,
    ),
    Fault(
        "basic_before_digest",
        "offers Basic first, then Digest, a header each",
        lambda device: hooks.changed(device, auth="basic+digest"),
    ),
    Fault(
        "foreign_nonce",
        "its nonces hold a time that isn't its clock's",
        lambda device: hooks.changed(
            device.gatekeeper, nonce_shift_microseconds=NONCE_SHIFT_MICROSECONDS
        ),
    ),
)

_HTTP_FAULTS = (
    Fault("not_found", "has no ntp.cgi: 404 with HTML", instead=hooks.always(html_reply(404))),
    Fault(
        "http_503",
        "is overloaded: 503 with HTML",
        intercept=hooks.always(html_reply(503, (("Retry-After", "10"),))),
    ),
    Fault(
        "redirect",
        f"answers 302 to {ELSEWHERE}",
        intercept=hooks.always(html_reply(302, (("Location", ELSEWHERE),))),
    ),
    Fault(
        "not_json",
        "answers 200 with HTML",
        instead=hooks.always(Reply(200, (("Content-Type", HTML),), b"<html>Live view</html>\n")),
    ),
    Fault("truncated_json", "sends half of the JSON as if it were all", rewrite=hooks.cut_json),
    Fault(
        "truncated_body",
        "closes after half of the announced body",
        rewrite=hooks.delivered(Delivery.CUT),
    ),
    Fault("wrong_shape", "`data` is a list", rewrite=hooks.list_data),
    Fault(
        "huge_body",
        f"pads its answer to {hooks.HUGE_BODY_BYTES >> 20} MiB",
        rewrite=hooks.pad,
    ),
    Fault(
        "slow_headers",
        "sends its headers a byte now and then, without end",
        intercept=hooks.always(Reply(200, delivery=Delivery.SLOW_HEADERS)),
    ),
    Fault(
        "slow_body",
        "sends its body a byte now and then, without end",
        rewrite=hooks.delivered(Delivery.SLOW_BODY),
    ),
    Fault(
        "hang",
        "reads the request and never answers",
        intercept=hooks.always(Reply(200, delivery=Delivery.HANG)),
    ),
    Fault(
        "drop",
        "closes the connection on each request",
        intercept=hooks.always(Reply(200, delivery=Delivery.DROP)),
    ),
)

_DATE_FAULTS = tuple(
    Fault(
        f"date_{style.name.lower()}",
        description,
        hooks.with_date_style(style),
    )
    for style, description in (
        (DateStyle.RFC850, "writes Date in the obsolete format of RFC 850"),
        (DateStyle.ASCTIME, "writes Date in the obsolete format of asctime"),
        (DateStyle.ABSENT, "sends no Date"),
        (DateStyle.NONSENSE, "sends a Date that is none"),
    )
)

_API_FAULTS = (
    *(
        Fault(
            f"api_error_{code}",
            f"error {code}, {message}" + (", with HTTP 500" if code == INTERNAL_ERROR else ""),
            call=hooks.failing(code),
        )
        for code, message in MESSAGES.items()
        if code != UNSUPPORTED_VERSION
    ),
    Fault(
        "api_error_4001",
        f"error 4001, {MESSAGES[UNSUPPORTED_VERSION]}: it lists 2.0 only",
        lambda device: hooks.changed(device.api, versions=("2.0",)),
    ),
    Fault(
        "version_negotiation",
        "error 4001 until asked in a version that getSupportedVersions lists",
        lambda device: hooks.changed(device.api, strict_versions=True),
    ),
)

_SETTING_FAULTS = (
    *(
        Fault(
            f"set_error_subcode_{sub_code}",
            f"refuses every change with error 4004, sub code {sub_code}",
            call=hooks.failing_set(sub_code),
        )
        for sub_code in range(1, 10)
    ),
    Fault(
        "set_ignored",
        "accepts changes but makes none",
        lambda device: hooks.changed(device.client, ignores_settings=True),
    ),
    Fault(
        "set_late",
        f"confirms a change {hooks.LATE_SECONDS:g} s before it shows",
        lambda device: hooks.changed(
            device.client, settings_delay_nanoseconds=round(hooks.LATE_SECONDS * NANOSECONDS)
        ),
    ),
    Fault(
        "set_drop",
        "makes the change, then closes the connection without an answer",
        rewrite=hooks.after_set(Delivery.DROP),
    ),
    Fault(
        "set_hang",
        "makes the change, then never answers that request",
        rewrite=hooks.after_set(Delivery.HANG),
    ),
    Fault(
        "set_unauthorized",
        "changes its password as soon as one tries to set anything",
        lambda device: hooks.changed(device.gatekeeper, password=device.gatekeeper.password),
        judge=hooks.refuse_from_set_on,
    ),
)

FAULTS: dict[str, Fault] = {
    fault.name: fault
    for fault in (
        *_STATE_FAULTS,
        *_AUTHENTICATION_FAULTS,
        *_HTTP_FAULTS,
        *_DATE_FAULTS,
        *_API_FAULTS,
        *_SETTING_FAULTS,
    )
}
"""All faults by name, in the order in which --help lists them."""
