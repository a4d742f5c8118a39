"""What `check` reports about a device's certificate, and why it is not trusted."""

import asyncio
import ssl
from pathlib import Path
from typing import Any

import pytest

from exporter.simulator.fleet import build_fleet
from tests.check.fingerprints import fingerprint_at
from tests.check.process import check, check_site, empty_folder
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


async def test_a_summary_says_how_to_pin_and_names_no_fingerprint_of_one_device(
    tmp_path: Path,
) -> None:
    async with site(build_fleet(6, scheme="https"), tmp_path, expect={}) as here:
        pinned, changed, *_ = here.served.addresses
        (here.folder / "pins.yaml").write_text(
            f"'{pinned}': {await fingerprint_at(pinned)}\n'{changed}': {'ab' * 32}\n"
        )
        here.config["modules"]["default"]["tls_config"] = {"pins_file": "pins.yaml"}
        here.config["devices"][2]["fingerprint_sha256"] = "cd" * 32
        here.devices[0].fault = "factory_new"
        run = await check_site(here)
        words = ["--scheme=https", *here.served.addresses[3:]]
        by_flags = await check(*words, folder=empty_folder(tmp_path))
    assert run.out.splitlines()[-9:] == [
        "6 devices: 6 with a problem",
        "      3 tls, certificate not pinned: sim-00004, sim-00005, sim-00006",
        "        If this is the device's own certificate, run `axis-ntp-exporter check --pin`.",
        "      1 unauthorized 401, factory-new device: sim-00001",
        "        Set the device's first password in its web interface.",
        "      1 tls, certificate changed: sim-00002",
        "        If the device was given a new certificate, run "
        "`axis-ntp-exporter check --pin --replace` with its name.",
        "      1 tls, certificate changed: sim-00003",
        "        If the device was given a new certificate, set its fingerprint_sha256 in the "
        "config.",
    ]
    assert by_flags.out.splitlines()[-2].startswith("      3 tls, certificate not trusted: ")
    assert by_flags.out.splitlines()[-1] == "        Add --ca-file or --fingerprint-sha256."


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
