"""The faults of simulated devices: one table, by name. No I/O."""

from collections.abc import Callable
from dataclasses import dataclass

from exporter.simulator import fault_hooks as hooks
from exporter.simulator.api import INTERNAL_ERROR, MESSAGES, UNSUPPORTED_VERSION, Call
from exporter.simulator.authentication import Verdict
from exporter.simulator.clock import NANOSECONDS
from exporter.simulator.device_state import SimulatedState
from exporter.simulator.wire import HTML, DateStyle, Delivery, Reply, Request, html_reply

ELSEWHERE = "http://192.0.2.1/elsewhere"
"""The target of a `redirect`: an address reserved for documentation (RFC 5737)."""

NONCE_SHIFT_MICROSECONDS = 3_600_000_000
"""The difference between the times in the nonces of `foreign_nonce` and the device's clock."""


class UnknownFaultError(ValueError):
    """No fault has that name."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault: its name, its description for --help, and a function for each stage.

    `begin`: changes the device when the fault is set; returns the undo. `intercept`: may reply
    before authentication. `authenticate`: may change the verdict on the credentials.
    `rewrite_challenge`: may change a 401. `instead`: may reply in place of ntp.cgi, after
    authentication. `call`: may raise ApiFault before a method is carried out. `rewrite`: may change
    ntp.cgi's reply.
    """

    name: str
    description: str
    begin: Callable[[SimulatedState], hooks.Undo] = hooks.change_nothing
    intercept: Callable[[Request], Reply | None] = hooks.answer_nothing
    authenticate: Callable[[SimulatedState, Request, Verdict], Verdict] = hooks.keep_verdict
    rewrite_challenge: Callable[[Reply], Reply] = hooks.keep_challenge
    instead: Callable[[Request], Reply | None] = hooks.answer_nothing
    call: Callable[[Call], None] = hooks.allow_call
    rewrite: Callable[[Reply, str | None], Reply] = hooks.keep_reply


HEALTHY = Fault("healthy", "no fault")


def find_fault(name: str) -> Fault:
    """Find a fault by its name. Raises UnknownFaultError."""
    try:
        return FAULTS[name]
    except KeyError:
        raise UnknownFaultError(f"unknown fault {name!r}") from None


_STATE_FAULTS = (
    Fault("not_synced", "has not synchronized since its restart", hooks.never_synchronize),
    Fault("client_disabled", "its NTP client is disabled", hooks.disable_client),
    Fault(
        "no_client_section",
        "getNTPInfo returns no client section",
        lambda device: hooks.change(device.api, has_client_section=False),
    ),
    Fault(
        "drifting",
        f"its clock gains {hooks.FAULT_DRIFT_PPM:g} ppm",
        lambda device: hooks.change(device.clock, drift_ppm=hooks.FAULT_DRIFT_PPM),
    ),
    Fault(
        "stepped", f"its clock steps {hooks.FAULT_STEP_SECONDS:g} s ahead, once", hooks.step_once
    ),
    Fault(
        "server_dead",
        "lost its time server: still reports synced and its last timeOffset, drifts",
        hooks.kill_servers,
    ),
    Fault(
        "string_booleans",
        'writes booleans as "true" and "false"',
        lambda device: hooks.change(device.api, string_booleans=True),
    ),
    Fault("no_servers", "has no time server configured", hooks.remove_servers),
)

_AUTHENTICATION_FAULTS = (
    Fault("unauthorized", "returns 401 even for the right password", authenticate=hooks.refuse),
    Fault("stale_every_request", "refuses every nonce as stale", authenticate=hooks.mark_stale),
    Fault(
        "wrong_role_403",
        "returns 403: the account is not an administrator",
        instead=hooks.always_answer(html_reply(403)),
    ),
    Fault(
        "factory_new",
        "has no user yet: returns 401 with Axis-Setup: vapix and no challenge",
        intercept=hooks.always_answer(html_reply(401, (("Axis-Setup", "vapix"),))),
    ),
    Fault(
        "close_after_401",
        "closes the connection after a 401 without Connection: close",
        rewrite_challenge=hooks.close_after_challenge,
    ),
    Fault(
        "basic_before_digest",
        "offers Basic first, then Digest, in separate headers",
        lambda device: hooks.change(device, auth="basic+digest"),
    ),
    Fault(
        "foreign_nonce",
        "the times in its nonces are not from its clock",
        lambda device: hooks.change(
            device.login, nonce_shift_microseconds=NONCE_SHIFT_MICROSECONDS
        ),
    ),
)

_HTTP_FAULTS = (
    Fault(
        "not_found",
        "has no ntp.cgi: returns 404 with HTML",
        instead=hooks.always_answer(html_reply(404)),
    ),
    Fault(
        "http_503",
        "is overloaded: returns 503 with HTML",
        intercept=hooks.always_answer(html_reply(503, (("Retry-After", "10"),))),
    ),
    Fault(
        "redirect",
        f"redirects (302) to {ELSEWHERE}",
        intercept=hooks.always_answer(html_reply(302, (("Location", ELSEWHERE),))),
    ),
    Fault(
        "not_json",
        "returns 200 with HTML",
        instead=hooks.always_answer(
            Reply(200, (("Content-Type", HTML),), b"<html>Live view</html>\n")
        ),
    ),
    Fault("truncated_json", "sends half of the JSON as a complete body", rewrite=hooks.cut_json),
    Fault(
        "truncated_body",
        "closes the connection after half of the body",
        rewrite=hooks.send_as(Delivery.CUT),
    ),
    Fault("wrong_shape", "returns a list as `data`", rewrite=hooks.wrap_data_in_list),
    Fault(
        "huge_body",
        f"pads its response to {hooks.HUGE_BODY_BYTES >> 20} MiB",
        rewrite=hooks.pad,
    ),
    Fault(
        "slow_headers",
        "sends an endless header, one byte at a time",
        intercept=hooks.always_answer(Reply(200, delivery=Delivery.SLOW_HEADERS)),
    ),
    Fault(
        "slow_body",
        "sends an endless body, one byte at a time",
        rewrite=hooks.send_as(Delivery.SLOW_BODY),
    ),
    Fault(
        "hang",
        "reads the request and never responds",
        intercept=hooks.always_answer(Reply(200, delivery=Delivery.HANG)),
    ),
    Fault(
        "drop",
        "closes the connection on each request",
        intercept=hooks.always_answer(Reply(200, delivery=Delivery.DROP)),
    ),
)

_DATE_FAULTS = tuple(
    Fault(
        f"date_{style.name.lower()}",
        description,
        hooks.use_date_style(style),
    )
    for style, description in (
        (DateStyle.RFC850, "sends Date in the obsolete format of RFC 850"),
        (DateStyle.ASCTIME, "sends Date in the obsolete format of asctime"),
        (DateStyle.ABSENT, "sends no Date"),
        (DateStyle.NONSENSE, "sends a Date that is not a date"),
    )
)

_API_FAULTS = (
    *(
        Fault(
            f"api_error_{code}",
            f"error {code}, {message}" + (", with HTTP 500" if code == INTERNAL_ERROR else ""),
            call=hooks.fail_with(code),
        )
        for code, message in MESSAGES.items()
        if code != UNSUPPORTED_VERSION
    ),
    Fault(
        "api_error_4001",
        f"error 4001, {MESSAGES[UNSUPPORTED_VERSION]}: it supports only 2.0",
        lambda device: hooks.change(device.api, versions=("2.0",)),
    ),
    Fault(
        "version_negotiation",
        "error 4001 except for the versions that getSupportedVersions lists",
        lambda device: hooks.change(device.api, strict_versions=True),
    ),
)

_SETTING_FAULTS = (
    *(
        Fault(
            f"set_error_subcode_{sub_code}",
            f"refuses every change with error 4004, sub code {sub_code}",
            call=hooks.fail_set_with(sub_code),
        )
        for sub_code in range(1, 10)
    ),
    Fault(
        "set_ignored",
        "accepts changes but ignores them",
        lambda device: hooks.change(device.client, ignores_settings=True),
    ),
    Fault(
        "set_late",
        f"confirms a change at once but makes it {hooks.LATE_SECONDS:g} s later",
        lambda device: hooks.change(
            device.client, settings_delay_nanoseconds=round(hooks.LATE_SECONDS * NANOSECONDS)
        ),
    ),
    Fault(
        "set_drop",
        "makes the change, then closes the connection without a response",
        rewrite=hooks.confirm_as(Delivery.DROP),
    ),
    Fault(
        "set_hang",
        "makes the change, then never responds",
        rewrite=hooks.confirm_as(Delivery.HANG),
    ),
    Fault(
        "set_unauthorized",
        "changes its password at the first attempt to change its settings",
        lambda device: hooks.change(device.login, password=device.login.password),
        authenticate=hooks.change_password_at_set,
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
"""All faults by name, in the order of --help."""
