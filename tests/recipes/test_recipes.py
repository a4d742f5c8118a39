"""The recipes run as docs/recipes.md prints them, on files that the real programs have written.

dnsmasq, Kea and ISC dhcpd wrote the lease files in `samples/`: see its README. `ansible-inventory`,
`jq` and `awk` run here.
"""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Final, NamedTuple

import pytest
import yaml

from exporter.config import load_config
from exporter.discovery.manager import discover_once
from exporter.discovery.target_groups import read_groups
from exporter.simulator.fleet import build_fleet, serve_fleet
from tests.discovery.inventory import TOKEN, netbox_device, serving_inventory
from tests.recipes.page import PAGE, sections, steps
from tests.support.daemon_process import COMMAND
from tests.support.programs import faked_wall_clock, find_program, free_port

SAMPLES: Final = Path(__file__).parent / "samples"
SECTIONS: Final = sections()
NO_RECIPE: Final = {"Before you start", "Keep a list up to date", "Addresses that change"}

WHEN_LEASED: Final = {"FAKETIME": "@2026-11-28 16:00:00", "TZ": "UTC"}
A_DAY_LATER: Final = {"FAKETIME": "@2026-11-29 16:00:00", "TZ": "UTC"}

FOUR: Final = {
    "axis-00408c123456": "192.168.0.98",
    "axis-accc8e012345": "192.168.0.61",
    "axis-b8a44fabcdef": "192.168.0.56",
    "axis-e82725001122": "192.168.0.91",
}


class Recipe(NamedTuple):
    """What a recipe needs, and the devices that it must find.

    `files`: samples by the name under which the script finds them in the folder.
    `path`: what the page has instead of that name.
    """

    heading: str
    files: Mapping[str, str]
    devices: Mapping[str, str]
    output: str
    path: str | None = None
    programs: tuple[str, ...] = ()


def leases_in_order(first: int) -> dict[str, str]:
    """The cameras that Kea and dhcpd gave addresses to, one after another."""
    macs = ("00408c123456", "accc8e012345", "b8a44fabcdef", "e82725001122")
    addresses = {f"axis-{mac}": f"192.168.0.{first + n}" for n, mac in enumerate(macs)}
    return {**addresses, "axis-00408c000002": "192.168.0.56"}


INVENTORY: Final = {
    "lobby": "192.168.0.90",
    "gate": "192.168.0.91",
    "roof.example": "roof.example",
}

RECIPES: Final = (
    Recipe(
        "CSV file",
        {"devices.csv": "devices.csv"},
        {
            "AXIS P3245-LV - Lobby": "192.168.0.90",
            "AXIS Q6135-LE - Zufahrt Süd": "192.168.0.91",
        },
        "devices/cameras.yaml",
    ),
    Recipe(
        "dnsmasq",
        {"dnsmasq.leases": "dnsmasq.leases"},
        FOUR,
        "devices/dhcp.yaml",
        path="/var/lib/misc/dnsmasq.leases",
    ),
    Recipe(
        "Kea",
        {"kea-leases4.csv": "kea-leases4.csv", "kea-leases4.csv.2": "kea-leases4.csv.2"},
        {**leases_in_order(51)},
        "devices/dhcp.yaml",
        path="/var/lib/kea/kea-leases4.csv",
    ),
    Recipe(
        "ISC dhcpd",
        {"dhcpd.leases": "dhcpd.leases"},
        {**leases_in_order(51)},
        "devices/dhcp.yaml",
        path="/var/lib/dhcp/dhcpd.leases",
    ),
    Recipe(
        "Ansible",
        {"inventory": "inventory.ini"},
        INVENTORY,
        "devices/ansible.yaml",
        programs=("jq", "ansible-inventory"),
    ),
    Recipe(
        "Plain list",
        {"addresses.txt": "addresses.txt"},
        {address: address for address in ("192.168.0.90", "roof.example", "[2001:db8::90]:8443")},
        "devices/addresses.yaml",
    ),
)

LEASES: Final = [recipe for recipe in RECIPES if recipe.path]


def by_heading(recipe: Recipe) -> str:
    return recipe.heading


class Site:
    """A folder in which commands run as a user types them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._environment = {
            **os.environ,
            "HOME": str(folder),
            "PATH": f"{COMMAND.parent}{os.pathsep}{os.environ['PATH']}",
        }

    def run(
        self, command: str, clock: Mapping[str, str] | None = None, *, typed: str = ""
    ) -> subprocess.CompletedProcess[str]:
        """Run a command; its output has the standard error too."""
        faked = faked_wall_clock(**clock) if clock else {}
        return subprocess.run(
            ["sh", "-c", command],
            cwd=self.folder,
            env={**self._environment, **faked},
            input=typed,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )

    def devices(self, file: str) -> dict[str, tuple[str, Mapping[str, str]]]:
        """The devices of a file by name: address and labels."""
        document = (self.folder / file).read_bytes()
        devices, problems = read_groups(document, is_json=False)
        assert problems == ()
        return {each.name or each.address: (each.address, each.labels) for each in devices}

    def addresses(self, file: str) -> dict[str, str]:
        return {name: address for name, (address, _) in self.devices(file).items()}

    def prepare(self, recipe: Recipe) -> None:
        """Save the recipe's script, and the files where it looks for them."""
        for program in recipe.programs:
            find_program(program, {"ansible-inventory": "ansible-core"}.get(program, program))
        script = SECTIONS[recipe.heading].blocks["sh"]
        if recipe.path:
            script = replaced(script, recipe.path, next(iter(recipe.files)))
        (self.folder / "update-devices").write_text(script)
        for name, sample in recipe.files.items():
            shutil.copyfile(SAMPLES / sample, self.folder / name)

    def add(self, file: str, text: str) -> None:
        with (self.folder / file).open("a", encoding="utf-8") as opened:
            opened.write(text)


def replaced(text: str, old: str, new: str) -> str:
    """Replace the one place in a block that no test can have as it is printed."""
    assert text.count(old) == 1, f"{old} is not there once"
    return text.replace(old, new)


@pytest.fixture(scope="session")
def new_site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that `init` made."""
    folder = tmp_path_factory.mktemp("new")
    made = Site(folder).run("axis-ntp-exporter init --username=root", typed="pass\n")
    assert made.returncode == 0, made.stdout
    return folder


@pytest.fixture
def site(new_site: Path, tmp_path: Path) -> Site:
    return Site(shutil.copytree(new_site, tmp_path / "site"))


def test_every_recipe_is_run() -> None:
    others = NO_RECIPE | {"No list", "NetBox"}
    assert set(SECTIONS) == others | {recipe.heading for recipe in RECIPES}


@pytest.mark.parametrize("recipe", RECIPES, ids=by_heading)
def test_a_recipe_prints_what_the_page_says(recipe: Recipe, site: Site) -> None:
    site.prepare(recipe)
    clock = WHEN_LEASED if recipe.path else None
    printed = steps(SECTIONS[recipe.heading].blocks["console"])
    assert [step.command for step in printed] == [
        "sh update-devices",
        "axis-ntp-exporter --config.check",
    ]
    ran = [site.run(step.command, clock) for step in printed]
    assert [each.stdout.strip() for each in ran] == [step.output.strip() for step in printed]
    assert ran[-1].returncode == 0
    assert site.addresses(recipe.output) == recipe.devices


@pytest.mark.parametrize("recipe", RECIPES, ids=by_heading)
def test_the_lines_that_the_page_shows_are_in_the_sample(recipe: Recipe) -> None:
    shown = SECTIONS[recipe.heading].blocks.get("text", "")
    files = [(SAMPLES / name).read_bytes().decode("cp1252") for name in recipe.files.values()]
    lines = [line.strip() for file in files for line in file.splitlines()]
    assert [line for line in shown.splitlines() if line.strip() not in lines] == []


def test_the_config_that_the_page_shows_is_the_one_of_init(site: Site) -> None:
    shown = yaml.safe_load(SECTIONS["Before you start"].blocks["yaml"])
    config = yaml.safe_load((site.folder / "config.yaml").read_text())
    assert config == {**config, **shown}


@pytest.mark.parametrize("recipe", RECIPES, ids=by_heading)
def test_a_list_that_is_gone_leaves_the_devices(recipe: Recipe, site: Site) -> None:
    site.prepare(recipe)
    output = site.folder / recipe.output
    output.write_text("- targets: [192.168.0.1]\n")
    (site.folder / next(iter(recipe.files))).unlink()
    for name in recipe.files:
        (site.folder / name).unlink(missing_ok=True)
    assert site.run("sh update-devices", WHEN_LEASED).returncode != 0
    assert output.read_text() == "- targets: [192.168.0.1]\n"


@pytest.mark.parametrize("recipe", LEASES, ids=by_heading)
def test_leases_that_have_ended_are_no_devices(recipe: Recipe, site: Site) -> None:
    site.prepare(recipe)
    run = site.run("sh update-devices", A_DAY_LATER)
    if recipe.heading == "dnsmasq":  # has a lease without end
        assert site.addresses(recipe.output) == {"axis-accc8e012345": "192.168.0.61"}
    else:
        assert (run.returncode, "is not written" in run.stdout) == (1, True)


NEW_LEASES: Final = {
    "dnsmasq": ("1795990000 b8:a4:4f:ab:cd:ef 192.168.7.7 lobby *\n", "192.168.0.56"),
    "Kea": ("192.168.7.7,b8:a4:4f:ab:cd:ef,,43200,1795990000,7,0,0,,0,\n", "192.168.0.53"),
    "ISC dhcpd": (
        "lease 192.168.7.7 {\n  ends never;\n  binding state active;\n"
        "  hardware ethernet b8:a4:4f:ab:cd:ef;\n  on expiry {\n  }\n}\n",
        "192.168.0.53",
    ),
}
"""A second lease of a camera, as after a move to another network, and its first address."""


@pytest.mark.parametrize("recipe", LEASES, ids=by_heading)
def test_a_camera_with_two_leases_has_the_address_of_the_later_one(
    recipe: Recipe, site: Site
) -> None:
    text, before = NEW_LEASES[recipe.heading]
    site.prepare(recipe)
    assert recipe.devices["axis-b8a44fabcdef"] == before
    site.add(next(iter(recipe.files)), text)
    assert site.run("sh update-devices", WHEN_LEASED).returncode == 0
    assert site.addresses(recipe.output) == {**recipe.devices, "axis-b8a44fabcdef": "192.168.7.7"}


RELEASED: Final = {
    "Kea": "192.168.0.53,b8:a4:4f:ab:cd:ef,,0,1795924355,1,0,0,lobby,0,\n",
    "ISC dhcpd": (
        "lease 192.168.0.53 {\n  ends 6 2026/11/28 15:55:00;\n  binding state free;\n"
        "  hardware ethernet b8:a4:4f:ab:cd:ef;\n}\n"
    ),
}


@pytest.mark.parametrize("heading", RELEASED)
def test_an_address_that_was_given_back_is_no_device(heading: str, site: Site) -> None:
    [recipe] = [each for each in RECIPES if each.heading == heading]
    site.prepare(recipe)
    site.add(next(iter(recipe.files)), RELEASED[heading])
    assert site.run("sh update-devices", WHEN_LEASED).returncode == 0
    left = {name: each for name, each in recipe.devices.items() if name != "axis-b8a44fabcdef"}
    assert site.addresses(recipe.output) == left


def test_an_inventory_in_yaml_has_the_same_devices_and_only_their_site(site: Site) -> None:
    [recipe] = [each for each in RECIPES if each.heading == "Ansible"]
    site.prepare(recipe._replace(files={"inventory": "inventory.yaml"}))
    assert site.run("sh update-devices").returncode == 0
    assert site.devices(recipe.output) == {
        "lobby": ("192.168.0.90", {"site": "lund"}),
        "gate": ("192.168.0.91", {"site": "lund"}),
        "roof.example": ("roof.example", {}),
    }
    written = (site.folder / "inventory.csv", site.folder / recipe.output)
    assert not [file for file in written if "a-secret" in file.read_text()]


def test_a_csv_file_gives_serial_numbers_and_the_labels_that_the_page_names(site: Site) -> None:
    [recipe] = [each for each in RECIPES if each.heading == "CSV file"]
    site.prepare(recipe)
    site.run("sh update-devices")
    [_, labels] = site.devices(recipe.output)["AXIS Q6135-LE - Zufahrt Süd"]
    assert labels == {"serial": "B8A44FABCDEF", "model": "AXIS Q6135-LE"}


def test_cron_runs_the_script_in_the_folder_of_the_config(site: Site) -> None:
    [recipe] = [each for each in RECIPES if each.heading == "Plain list"]
    site.prepare(recipe)
    path, line = SECTIONS["Keep a list up to date"].blocks["cron"].splitlines()
    installed = path.removeprefix("PATH=").partition("/bin:")[0]
    assert f"python3 -m venv {installed}\n" in (PAGE.parent / "deployment.md").read_text("utf-8")
    minute, *_, user, command = line.split(maxsplit=6)
    assert (minute, user) == ("*/5", "root")
    command = replaced(command, "/etc/axis-ntp-exporter", str(site.folder))
    command = replaced(command, "logger -t axis-devices", "cat")
    assert site.run(f"cd / && {command}").stdout == "import: 3 devices in devices/addresses.yaml\n"
    assert (site.folder / recipe.output).stat().st_mode & 0o777 == 0o644


async def test_devices_are_found_on_a_network(site: Site) -> None:
    command = replaced(
        SECTIONS["No list"].blocks["sh"], "10.0.0.0/24", f"127.9.1.0/29 --ports={free_port()}"
    )
    port = int(re.findall(r"--ports=(\d+)", command)[0])
    async with serve_fleet(
        build_fleet(3, scheme="https"), host="127.9.1.1", port=port, spread="address"
    ):
        found = await asyncio.to_thread(site.run, command)
    assert found.stdout.splitlines()[0] == "find: found 3 devices; asked 6 ports of 6 addresses"
    assert site.run("axis-ntp-exporter --config.check").stdout == (
        "config.yaml: valid, 3 devices (3 from devices/hq.yaml), 0 problems\n"
    )


NETBOX: Final = [netbox_device("Cam 7", "10.0.0.7"), netbox_device("Cam 8", "2001:db8::8")]
"""The names of devices in NetBox may be no addresses."""


async def test_netbox_is_asked_with_its_token_and_names_the_devices(site: Site) -> None:
    blocks = SECTIONS["NetBox"].blocks
    [step] = steps(blocks["console"])
    site.run(blocks["sh"], typed=f"{TOKEN}\n")
    assert (site.folder / "netbox-token").stat().st_mode & 0o777 == 0o600
    async with serving_inventory(site.folder, targets=NETBOX) as netbox:
        netbox.ca_file.rename(site.folder / "private-ca.pem")
        host = f"localhost:{netbox.port}"
        site.add("config.yaml", replaced(blocks["yaml"], "netbox.example", host))
        check = await asyncio.to_thread(site.run, step.command)
        assert (check.returncode, check.stdout.replace(host, "netbox.example")) == (0, step.output)
        # Targets of other sources keep their names and labels.
        (site.folder / "devices/a.yaml").write_text(
            "- {targets: [10.0.0.9], labels: {device: gate, site: lund}}\n"
        )
        config = load_config(site.folder / "config.yaml", {})
        found = await discover_once(config)
    assert found.problems == []
    assert {each.name: (each.address, each.labels) for each in found.config.devices} == {
        "Cam 7": ("10.0.0.7", {"site": "hq"}),
        "Cam 8": ("2001:db8::8", {"site": "hq"}),
        "gate": ("10.0.0.9", {"site": "lund"}),
    }
    assert "has_primary_ip=true" in netbox.queries[0]
