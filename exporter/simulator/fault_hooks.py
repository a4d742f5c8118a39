"""What faults change at each stage of a request: functions for the table in `faults`. No I/O."""

import json
import secrets
from collections.abc import Callable
from dataclasses import replace

from exporter.simulator.api import INVALID_PARAMETER, SET_CONFIGURATION, ApiFault, Call
from exporter.simulator.authentication import REFUSED, STALE, AuthResult, Verdict
from exporter.simulator.device_state import SimulatedState
from exporter.simulator.wire import DateStyle, Delivery, Reply, Request

FAULT_DRIFT_PPM = 50.0
"""The drift of a `drifting` or `server_dead` device."""

FAULT_STEP_SECONDS = 3.0
"""The step of a `stepped` device's clock."""

LATE_SECONDS = 2.0
"""The delay between the response and the change on a `set_late` device."""

HUGE_BODY_BYTES = 4 * 1024 * 1024
"""The size of a `huge_body`."""

Undo = Callable[[], None]
"""Restores what a fault changed."""


def change_nothing(_device: SimulatedState) -> Undo:
    """Change nothing."""
    return lambda: None


def answer_nothing(_request: Request) -> Reply | None:
    """Return no reply: the next stage handles the request."""
    return None


def keep_verdict(_device: SimulatedState, _request: Request, verdict: Verdict) -> Verdict:
    """Return the verdict unchanged."""
    return verdict


def allow_call(_call: Call) -> None:
    """Allow the call."""


def keep_challenge(reply: Reply) -> Reply:
    """Return a 401 unchanged."""
    return reply


def keep_reply(reply: Reply, _api_method: str | None) -> Reply:
    """Return ntp.cgi's reply unchanged."""
    return reply


def change(target: object, **values: object) -> Undo:
    """Set attributes; return a function that restores them."""
    before = {name: getattr(target, name) for name in values}
    for name, value in values.items():
        setattr(target, name, value)

    def undo() -> None:
        for name, value in before.items():
            setattr(target, name, value)

    return undo


def restart_with(device: SimulatedState, undo: Undo) -> Undo:
    """Restart the NTP client now, after a change, and again after its undo."""
    device.client.restart()

    def undo_and_restart() -> None:
        undo()
        device.client.restart()

    return undo_and_restart


def never_synchronize(device: SimulatedState) -> Undo:
    """Restart the NTP client and let no time server answer."""
    return restart_with(device, change(device.client, servers_answer=False))


def disable_client(device: SimulatedState) -> Undo:
    """Disable the NTP client and restart it."""
    return restart_with(device, change(device.client.configuration, enabled=False))


def remove_servers(device: SimulatedState) -> Undo:
    """Remove every time server and restart the NTP client."""
    undo = change(
        device.client.configuration,
        servers_source="static",
        nts_enabled=False,
        static_servers=[],
        advertised_servers=[],
    )
    return restart_with(device, undo)


def kill_servers(device: SimulatedState) -> Undo:
    """Stop the time servers after a synchronization and let the clock drift."""
    device.client.synchronize(device.clock.host_nanoseconds())
    undo_drift = change(device.clock, drift_ppm=FAULT_DRIFT_PPM)
    undo_silence = change(device.client, servers_answer=False)

    def undo() -> None:
        undo_drift()
        undo_silence()

    return undo


def step_once(device: SimulatedState) -> Undo:
    """Step the clock forward after a synchronization."""
    device.client.synchronize(device.clock.host_nanoseconds())
    device.clock.step(FAULT_STEP_SECONDS)
    return lambda: device.clock.step(-FAULT_STEP_SECONDS)


def use_date_style(style: DateStyle) -> Callable[[SimulatedState], Undo]:
    """Use that format for the Date header."""
    return lambda device: change(device, date_style=style)


def refuse(_device: SimulatedState, _request: Request, _verdict: Verdict) -> Verdict:
    """Refuse all credentials."""
    return REFUSED


def mark_stale(_device: SimulatedState, _request: Request, verdict: Verdict) -> Verdict:
    """Refuse the nonce of every request with the right password as stale."""
    return STALE if verdict.result is AuthResult.GRANTED else verdict


def change_password_at_set(device: SimulatedState, request: Request, verdict: Verdict) -> Verdict:
    """Change the password at the first attempt to change the configuration."""
    if SET_CONFIGURATION.encode() not in request.body:
        return verdict
    device.login.password = secrets.token_hex()
    return REFUSED


def always_answer(reply: Reply) -> Callable[[Request], Reply]:
    """Give the same reply to every request."""
    return lambda _request: reply


def send_as(delivery: Delivery) -> Callable[[Reply, str | None], Reply]:
    """Send every reply in that way."""
    return lambda reply, _api_method: replace(reply, delivery=delivery)


def close_after_challenge(reply: Reply) -> Reply:
    """Close the connection after a 401."""
    return replace(reply, delivery=Delivery.THEN_CLOSE)


def cut_json(reply: Reply, _api_method: str | None) -> Reply:
    """Keep only the first half of the JSON; Content-Length matches the half."""
    return replace(reply, body=reply.body[: len(reply.body) // 2])


def wrap_data_in_list(reply: Reply, _api_method: str | None) -> Reply:
    """Replace `data` with a list that contains it."""
    document = json.loads(reply.body)
    return replace(reply, body=json.dumps({**document, "data": [document.get("data")]}).encode())


def pad(reply: Reply, _api_method: str | None) -> Reply:
    """Add spaces: the JSON stays valid, only its size is wrong."""
    return replace(reply, body=reply.body.ljust(HUGE_BODY_BYTES))


def confirm_as(delivery: Delivery) -> Callable[[Reply, str | None], Reply]:
    """Send the response to a change in that way."""

    def rewrite(reply: Reply, api_method: str | None) -> Reply:
        return replace(reply, delivery=delivery) if api_method == SET_CONFIGURATION else reply

    return rewrite


def fail_with(code: int) -> Callable[[Call], None]:
    """Return that API error for every call."""

    def fail(_call: Call) -> None:
        raise ApiFault(code)

    return fail


def fail_set_with(sub_code: int) -> Callable[[Call], None]:
    """Return error 4004 with that sub code for every change."""

    def fail(call: Call) -> None:
        if call.method == SET_CONFIGURATION:
            raise ApiFault(INVALID_PARAMETER, sub_code)

    return fail
