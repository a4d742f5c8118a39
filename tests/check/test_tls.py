"""What `check` reports about a device's certificate, and why it is not trusted."""

import asyncio
import ssl
from pathlib import Path
from typing import Any

import pytest

from exporter.simulator.fleet import build_fleet
from tests.check.fingerprints import fingerprint_at
from tests.check.process import check_site
from tests.support.command_process import CommandSite, site


async def documents(here: CommandSite, tls: dict[str, Any]) -> Any:
    here.config["modules"]["default"]["tls_config"] = tls
    run = await check_site(here, "--json")
    [document] = run.documents.values()
    return run.code, document


async def test_a_self_signed_certificate_is_reported_with_the_setting_that_pins_it(
    tmp_path: Path,
) -> None:
    async with site(build_fleet(1, scheme="https"), tmp_path, expect={}) as here:
        pin = await fingerprint_at(here.served.addresses[0])
        code, document = await documents(here, {})
        assert here.devices[0].requests.total == 0, "nothing is sent to an untrusted device"
        here.config["modules"]["default"]["tls_config"] = {}
        run = await check_site(here)
        pinned_code, pinned = await documents(here, {"fingerprint_sha256": pin})
    subject = document["tls"].pop("subject")
    assert subject.startswith("CN=axis-")
    assert subject.endswith(f"serialNumber={subject[8:20].upper()}")
    assert document["tls"] == {
        "verified": False,
        "why": "self-signed certificate",
        "fingerprint_sha256": pin,
    }
    assert document["troubles"][0]["what"] == "tls"
    assert document["troubles"][0]["advice"] == (
        f"If this is the device's own certificate, pin it: "
        f"add fingerprint_sha256: {pin} to tls_config."
    )
    assert f"  certificate  {subject}\n  fingerprint  {pin}\n" in run.out
    assert "  TLS          not verified: self-signed certificate\n" in run.out
    assert (pinned_code, pinned["fine"]) == (0, True)
    assert (pinned["tls"]["verified"], pinned["tls"]["why"]) == (
        True,
        "has the pinned fingerprint",
    )
    assert code == 1


async def test_a_certificate_with_another_name_is_reported_with_both_fixes(tmp_path: Path) -> None:
    async with site(build_fleet(1, scheme="https"), tmp_path, expect={}) as here:
        address = here.served.addresses[0]
        authority = tmp_path / "device.pem"
        host, _, port = address.partition(":")
        own = await asyncio.to_thread(ssl.get_server_certificate, (host, int(port)))
        authority.write_text(own)
        pin = await fingerprint_at(address)
        _, document = await documents(here, {"ca_file": str(authority)})
    assert document["troubles"][0]["advice"] == (
        f"If this is the device's own certificate, pin it: add fingerprint_sha256: {pin} to "
        "tls_config instead of ca_file; "
        "if only the name differs, set server_name to the certificate's name."
    )


async def test_a_certificate_other_than_the_pinned_one_is_shown(tmp_path: Path) -> None:
    async with site(build_fleet(1, scheme="https"), tmp_path, expect={}) as here:
        pin = await fingerprint_at(here.served.addresses[0])
        code, document = await documents(here, {"fingerprint_sha256": "ab" * 32})
        assert here.devices[0].requests.total == 0
    assert document["tls"]["why"] == "another one is pinned"
    assert document["tls"]["fingerprint_sha256"] == pin
    assert pin in document["troubles"][0]["advice"]
    assert code == 1


async def test_with_insecure_skip_verify_a_device_is_fine_but_not_verified(
    tmp_path: Path,
) -> None:
    async with site(build_fleet(1, scheme="https"), tmp_path, expect={}) as here:
        code, document = await documents(here, {"insecure_skip_verify": True})
    assert document["tls"]["why"] == "insecure_skip_verify accepts any certificate"
    assert (document["tls"]["verified"], document["authentication"], code) == (False, "basic", 0)


async def test_each_device_is_reported_with_its_own_certificate(tmp_path: Path) -> None:
    async with site(build_fleet(20, scheme="https"), tmp_path, expect={}) as here:
        pins = [await fingerprint_at(address) for address in here.served.addresses]
        run = await check_site(here, "--json")
    seen = [document["tls"]["fingerprint_sha256"] for document in run.documents.values()]
    assert seen == pins
    assert len(set(pins)) == 20


@pytest.mark.parametrize("fault", ["hang", "drop", "close_after_401"])
async def test_the_certificate_is_reported_however_the_connection_ends(
    fault: str, tmp_path: Path
) -> None:
    fleet = build_fleet(1, f"fault:{fault}", scheme="https", auth="digest")
    async with site(fleet, tmp_path, timeout="2s", expect={}) as here:
        pin = await fingerprint_at(here.served.addresses[0])
        _, document = await documents(here, {"insecure_skip_verify": True})
    assert document["tls"]["fingerprint_sha256"] == pin


async def test_https_to_an_http_port_is_explained(tmp_path: Path) -> None:
    async with site(1, tmp_path, expect={}) as here:
        here.config["modules"]["default"]["scheme"] = "https"
        code, document = await documents(here, {})
    assert (document["tls"], document["error"]["reason"], code) == (None, "tls", 1)
    assert document["troubles"][0]["advice"] == (
        "Use the device's https port, or set `scheme: http` in its module."
    )
