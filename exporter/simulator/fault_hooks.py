"""What faults do at the stages of a device's work: the functions of the table in `faults`. Pure."""

import json
import secrets
from collections.abc import Callable
from dataclasses import replace

from exporter.simulator.api import INVALID_PARAMETER, SET_CONFIGURATION, ApiFault, Call
from exporter.simulator.authentication import REFUSED, STALE, AuthResult, Verdict
from exporter.simulator.device_state import SimulatedState
from exporter.simulator.wire import DateStyle, Delivery, Reply, Request

FAULT_DRIFT_PPM = 50.0
"""How fast the clock of a `drifting` or `server_dead` device gains."""

FAULT_STEP_SECONDS = 3.0
"""How far the clock of a `stepped` device jumps."""

LATE_SECONDS = 2.0
"""How long after it was confirmed a `set_late` device makes a change."""

HUGE_BODY_BYTES = 4 * 1024 * 1024
"""How long a `huge_body` is."""

Undo = Callable[[], None]
"""Puts back what a fault changed."""


def undo_nothing() -> None:
    """Put nothing back."""


def change_nothing(_device: SimulatedState) -> Undo:
    """Leave the device as it is."""
    return undo_nothing


def let_pass(_request: Request) -> Reply | None:
    """Answer nothing: go on to the next stage."""
    return None


def agree(_device: SimulatedState, _request: Request, verdict: Verdict) -> Verdict:
    """Leave the verdict as it is."""
    return verdict


def carry_out(_call: Call) -> None:
    """Let the method be carried out."""


def as_it_is(reply: Reply) -> Reply:
    """Leave a 401 as it is."""
    return reply


def as_answered(reply: Reply, _api_method: str | None) -> Reply:
    """Leave ntp.cgi's reply as it is."""
    return reply


def changed(target: object, **values: object) -> Undo:
    """Set attributes; gives what sets them back."""
    before = {name: getattr(target, name) for name in values}
    for name, value in values.items():
        setattr(target, name, value)

    def undo() -> None:
        for name, value in before.items():
            setattr(target, name, value)

    return undo


def after_restart(device: SimulatedState, undo: Undo) -> Undo:
    """Let the NTP client start again with what was just changed, and again at the end."""
    device.client.restart()

    def undo_and_restart() -> None:
        undo()
        device.client.restart()

    return undo_and_restart


def not_synced(device: SimulatedState) -> Undo:
    """Let no time server answer since the last restart."""
    return after_restart(device, changed(device.client, servers_answer=False))


def client_disabled(device: SimulatedState) -> Undo:
    """Switch the NTP client off, and restart."""
    return after_restart(device, changed(device.client.configuration, enabled=False))


def no_servers(device: SimulatedState) -> Undo:
    """Take away every time server, and restart."""
    undo = changed(
        device.client.configuration,
        servers_source="static",
        nts_enabled=False,
        static_servers=[],
        advertised_servers=[],
    )
    return after_restart(device, undo)


def server_dead(device: SimulatedState) -> Undo:
    """Silence the time servers after a synchronisation, and let the clock drift."""
    device.client.synchronise(device.clock.host_nanoseconds())
    undo_drift = changed(device.clock, drift_ppm=FAULT_DRIFT_PPM)
    undo_silence = changed(device.client, servers_answer=False)

    def undo() -> None:
        undo_drift()
        undo_silence()

    return undo


def stepped(device: SimulatedState) -> Undo:
    """Put the clock forward, after a synchronisation."""
    device.client.synchronise(device.clock.host_nanoseconds())
    device.clock.step(FAULT_STEP_SECONDS)
    return lambda: device.clock.step(-FAULT_STEP_SECONDS)


def with_date_style(style: DateStyle) -> Callable[[SimulatedState], Undo]:
    """Write the Date header in that style."""
    return lambda device: changed(device, date_style=style)


def refuse(_device: SimulatedState, _request: Request, _verdict: Verdict) -> Verdict:
    """Refuse everybody."""
    return REFUSED


def call_stale(_device: SimulatedState, _request: Request, verdict: Verdict) -> Verdict:
    """Call the nonce of everybody with the right password stale."""
    return STALE if verdict.outcome is AuthResult.GRANTED else verdict


def refuse_from_set_on(device: SimulatedState, request: Request, verdict: Verdict) -> Verdict:
    """Change the password as soon as somebody tries to set anything."""
    if SET_CONFIGURATION.encode() not in request.body:
        return verdict
    device.gatekeeper.password = secrets.token_hex()
    return REFUSED


def always(reply: Reply) -> Callable[[Request], Reply]:
    """Answer every request alike."""
    return lambda _request: reply


def delivered(delivery: Delivery) -> Callable[[Reply, str | None], Reply]:
    """Send the reply in that way."""
    return lambda reply, _api_method: replace(reply, delivery=delivery)


def deliver_challenge_then_close(reply: Reply) -> Reply:
    """Close the connection right after a 401."""
    return replace(reply, delivery=Delivery.THEN_CLOSE)


def cut_json(reply: Reply, _api_method: str | None) -> Reply:
    """Cut the JSON in half; the HTTP around it stays right."""
    return replace(reply, body=reply.body[: len(reply.body) // 2])


def list_data(reply: Reply, _api_method: str | None) -> Reply:
    """Make `data` a list."""
    document = json.loads(reply.body)
    return replace(reply, body=json.dumps({**document, "data": [document.get("data")]}).encode())


def pad(reply: Reply, _api_method: str | None) -> Reply:
    """Add white space: the JSON stays right, only its size is wrong."""
    return replace(reply, body=reply.body.ljust(HUGE_BODY_BYTES))


def after_set(delivery: Delivery) -> Callable[[Reply, str | None], Reply]:
    """Send the confirmation of a change in that way."""

    def rewrite(reply: Reply, api_method: str | None) -> Reply:
        return replace(reply, delivery=delivery) if api_method == SET_CONFIGURATION else reply

    return rewrite


def failing(code: int) -> Callable[[Call], None]:
    """Answer every call with that error."""

    def fail(_call: Call) -> None:
        raise ApiFault(code)

    return fail


def failing_set(sub_code: int) -> Callable[[Call], None]:
    """Answer a change with error 4004 and that sub code."""

    def fail(call: Call) -> None:
        if call.method == SET_CONFIGURATION:
            raise ApiFault(INVALID_PARAMETER, sub_code)

    return fail
