"""The examples in the help of each command: a command line and what it is for."""

from collections.abc import Mapping, Sequence
from typing import Final

Example = tuple[str, str]

_FIRST_STEPS: Final[Sequence[Example]] = (
    ("axis-ntp-exporter demo", "look at it first, with simulated devices"),
    ("axis-ntp-exporter init", "write a first config; asks for the devices' account"),
    (
        "axis-ntp-exporter find 192.168.0.0/24 --output devices/found.yaml",
        "find the devices of a network",
    ),
    ("axis-ntp-exporter check --pin", "trust the certificates that the devices show now"),
    ("axis-ntp-exporter check", "see what each device reports, and what is wrong"),
    ("axis-ntp-exporter --config.check", "check the config and count the devices"),
    ("axis-ntp-exporter", "poll the devices and serve http://127.0.0.1:10123/metrics"),
)

EXAMPLES: Final[Mapping[str, Sequence[Example]]] = {
    "run": _FIRST_STEPS,
    "check": (
        ("axis-ntp-exporter check", "every device of config.yaml"),
        (
            "axis-ntp-exporter check --pin",
            "show the certificates that are not pinned yet, and ask once",
        ),
        (
            "axis-ntp-exporter check --site=hq --only-problems",
            "those of one site that have problems",
        ),
        (
            "axis-ntp-exporter check 192.168.0.90 --username root",
            "one device without a config; asks for the password",
        ),
    ),
    "configure": (
        ("axis-ntp-exporter configure", "show what differs; changes nothing"),
        (
            "axis-ntp-exporter configure --site=hq --apply --audit-log=audit.jsonl",
            "change the devices of one site after a question, and record each change",
        ),
    ),
    "init": (
        ("axis-ntp-exporter init", "ask for the account and write the files into this folder"),
        (
            "pass show cameras | axis-ntp-exporter init /etc/axis-ntp --username root",
            "take the password from a password manager",
        ),
    ),
    "find": (
        (
            "axis-ntp-exporter find 192.168.0.0/24 --output devices/found.yaml",
            "write the devices where the config of `init` reads them",
        ),
        (
            "axis-ntp-exporter find 10.1.0.0/24 10.2.0.0/24 --label site=hq",
            "print the devices of two networks, with a label",
        ),
    ),
    "import": (
        (
            "axis-ntp-exporter import cameras.csv --output devices/cameras.yaml",
            "write the devices where the config of `init` reads them",
        ),
        (
            "axis-ntp-exporter import cameras.csv --label 'site=Site Name'",
            "print them, with the column `Site Name` as label `site`",
        ),
    ),
    "rules": (
        ("axis-ntp-exporter rules > axis-ntp.rules.yml", "write a rule file for Prometheus"),
        (
            "axis-ntp-exporter rules --format=operator | kubectl apply -f -",
            "give the rules to the Prometheus Operator",
        ),
    ),
    "simulate": (
        (
            "axis-ntp-exporter simulate --scenario=mixed --write-config=sim.yaml",
            "a device with each fault; `check --config.file=sim.yaml` shows them",
        ),
        (
            "axis-ntp-exporter simulate --devices=100 --scheme=https",
            "100 healthy devices with self-signed certificates",
        ),
    ),
    "evidence": (
        (
            "axis-ntp-exporter evidence lobby --shown=2026-11-20T14:03:22Z \\\n"
            "      --prometheus.url=https://prometheus.example",
            "the true time when the picture showed this",
        ),
    ),
    "demo": (
        ("axis-ntp-exporter demo", "then open http://127.0.0.1:10123/"),
        (
            "axis-ntp-exporter demo --web.listen-address=127.0.0.1:10124",
            "on another port, if that one is in use",
        ),
    ),
    "completion": (
        (
            "axis-ntp-exporter completion bash > axis-ntp-exporter",
            "in ~/.local/share/bash-completion/completions/",
        ),
        (
            "axis-ntp-exporter completion zsh > _axis-ntp-exporter",
            "in ~/.zfunc/, with `fpath=(~/.zfunc $fpath)` in ~/.zshrc",
        ),
        (
            "axis-ntp-exporter completion fish > axis-ntp-exporter.fish",
            "in ~/.config/fish/completions/",
        ),
    ),
    "healthcheck": (
        ("axis-ntp-exporter healthcheck", "print `healthy`, or exit with 1"),
        (
            "axis-ntp-exporter healthcheck --web.listen-address=127.0.0.1:9000",
            "a daemon that listens on another port",
        ),
        (
            "axis-ntp-exporter healthcheck --ready",
            "print `ready` once each device was polled, or exit with 1",
        ),
    ),
}
