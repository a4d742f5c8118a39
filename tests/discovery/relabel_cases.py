"""Relabelling rules and what they make of a target.

`test_relabel.py` compares our result with each, `tests/real/test_relabel.py` Prometheus's.
"""

from typing import Any, Final, NamedTuple

ADDRESS: Final = "10.0.0.7:443"

FOUND: Final = {
    "__address__": ADDRESS,
    "__meta_netbox_name": "cam-7",
    "__meta_netbox_site_slug": "hq",
    "__meta_netbox_tags": ",axis,ntp,",
    "site": "HQ",
    "rack": "Rack-07",
}
"""The labels of every target before it is relabelled."""


class Case(NamedTuple):
    """Rules, and the labels that they change; `None` is a label that is gone."""

    name: str
    rules: list[dict[str, Any]]
    changes: dict[str, str | None] | None
    """`None` if the target is dropped."""

    @property
    def expected(self) -> dict[str, str] | None:
        """All labels that the target has at the end, without those that Prometheus hides."""
        if self.changes is None:
            return None
        labels = {**FOUND, **self.changes}
        visible = {name: value for name, value in labels.items() if name[:2] != "__"}
        return {name: value for name, value in visible.items() if value}

    @property
    def address(self) -> str:
        """The address at the end."""
        return (self.changes or {}).get("__address__") or ADDRESS


def rule(action: str | None = None, /, **keys: Any) -> dict[str, Any]:
    """Return a rule; `sources` is short for source_labels, `to` for target_label."""
    names = {"sources": "source_labels", "to": "target_label", "with_": "replacement"}
    made = {names.get(key, key): value for key, value in keys.items()}
    return made if action is None else {"action": action, **made}


NAME: Final = ["__meta_netbox_name"]
RACK: Final = ["rack"]

CASES: Final = [
    Case("no rule", [], {}),
    # replace
    Case("copies a label", [rule(sources=NAME, to="name")], {"name": "cam-7"}),
    Case("replaces by default", [rule("replace", sources=NAME, to="name")], {"name": "cam-7"}),
    Case("takes its action in capitals", [rule("Replace", sources=NAME, to="n")], {"n": "cam-7"}),
    Case("sets a constant", [rule(to="env", with_="prod")], {"env": "prod"}),
    Case("sets a number", [rule(to="env", with_=7)], {"env": "7"}),
    Case("overwrites", [rule(sources=NAME, to="site")], {"site": "cam-7"}),
    Case("joins with a semicolon", [rule(sources=["rack", "site"], to="x")], {"x": "Rack-07;HQ"}),
    Case(
        "joins with a separator",
        [rule(sources=["rack", "site"], separator="/", to="x")],
        {"x": "Rack-07/HQ"},
    ),
    Case(
        "joins with nothing",
        [rule(sources=["rack", "site"], separator="", to="x")],
        {"x": "Rack-07HQ"},
    ),
    Case(
        "joins one with no separator", [rule(sources=RACK, separator="/", to="x")], {"x": "Rack-07"}
    ),
    Case("a missing label is empty", [rule(sources=["no", "rack"], to="x")], {"x": ";Rack-07"}),
    Case("an empty result removes", [rule(sources=["no"], to="site")], {"site": None}),
    Case("an empty replacement removes", [rule(to="site", with_="")], {"site": None}),
    Case("no match changes nothing", [rule(sources=RACK, regex="x", to="site")], {}),
    Case("matches the whole text", [rule(sources=RACK, regex="Rack", to="site")], {}),
    Case("anchors an alternative", [rule(sources=RACK, regex="Rack|x", to="site")], {}),
    Case(
        "finds an alternative",
        [rule(sources=RACK, regex="x|Rack-07", to="y", with_="z")],
        {"y": "z"},
    ),
    Case("is case-sensitive", [rule(sources=RACK, regex="rack-07", to="site")], {}),
    Case("takes flags", [rule(sources=RACK, regex="(?i)rack-07", to="x", with_="y")], {"x": "y"}),
    Case("puts in a group", [rule(sources=RACK, regex="Rack-(.*)", to="x")], {"x": "07"}),
    Case(
        "puts in groups",
        [rule(sources=RACK, regex="(.*)-(.*)", to="x", with_="$2:$1")],
        {"x": "07:Rack"},
    ),
    Case(
        "puts in groups in braces",
        [rule(sources=RACK, regex="(.*)-(.*)", to="x", with_="${2}a${1}")],
        {"x": "07aRack"},
    ),
    Case(
        "reads a group's name as far as possible",
        [rule(sources=RACK, regex="(.*)-(.*)", to="x", with_="$1a-$2")],
        {"x": "-07"},
    ),
    Case(
        "puts in group 0",
        [rule(sources=RACK, regex="(R).*", to="x", with_="[$0]")],
        {"x": "[Rack-07]"},
    ),
    Case(
        "a group that is not there is empty",
        [rule(sources=RACK, to="x", with_="a$9b-")],
        {"x": "a-"},
    ),
    Case(
        "a group that did not match is empty",
        [rule(sources=RACK, regex="(Q)?.*", to="x", with_="a$1.")],
        {"x": "a."},
    ),
    Case(
        "puts in a named group",
        [rule(sources=RACK, regex="(?P<kind>.*)-.*", to="x", with_="$kind")],
        {"x": "Rack"},
    ),
    Case(
        "puts in a named group in braces",
        [rule(sources=RACK, regex="(?P<k>.*)-.*", to="x", with_="${k}s")],
        {"x": "Racks"},
    ),
    Case("two dollars are one", [rule(to="x", with_="a$$1")], {"x": "a$1"}),
    Case("a dollar at the end stays", [rule(to="x", with_="a$")], {"x": "a$"}),
    Case("a dollar before a sign stays", [rule(to="x", with_="$-")], {"x": "$-"}),
    Case("an open brace stays", [rule(to="x", with_="${1")], {"x": "${1"}),
    Case("empty braces stay", [rule(to="x", with_="${}")], {"x": "${}"}),
    Case(
        "a number with a zero is a name", [rule(sources=RACK, to="x", with_="a$01-")], {"x": "a-"}
    ),
    Case(
        "a huge number is a name", [rule(sources=RACK, to="x", with_="a$99999999999-")], {"x": "a-"}
    ),
    Case(
        "a group may name the target",
        [rule(sources=RACK, regex="(.*)-(.*)", to="${1}_no", with_="$2")],
        {"Rack_no": "07"},
    ),
    Case(
        "a target that is no name is left",
        [rule(sources=RACK, regex="(.*)", to="${1}", with_="x")],
        {},
    ),
    Case(
        "changes the address",
        [rule(sources=["__address__"], regex="(.*):.*", to="__address__", with_="$1:80")],
        {"__address__": "10.0.0.7:80"},
    ),
    Case(
        "greedy as usual",
        [rule(sources=["__meta_netbox_tags"], regex="(.*),(.*),", to="x", with_="$1|$2")],
        {"x": ",axis|ntp"},
    ),
    Case(
        "lazy if told so",
        [rule(sources=["__meta_netbox_tags"], regex="(.*?),(.*),", to="x", with_="$1|$2")],
        {"x": "|axis,ntp"},
    ),
    Case("knows classes", [rule(sources=RACK, regex=r"\pL+-\d{2}", to="x", with_="y")], {"x": "y"}),
    Case("keeps text beyond ASCII", [rule(to="x", with_="Straße 東京")], {"x": "Straße 東京"}),
    # keep and drop
    Case("keeps", [rule("keep", sources=["__meta_netbox_tags"], regex=".*,axis,.*")], {}),
    Case("does not keep", [rule("keep", sources=["__meta_netbox_tags"], regex="axis")], None),
    Case("does not keep what is missing", [rule("keep", sources=["no"], regex=".+")], None),
    Case("keeps what may be missing", [rule("keep", sources=["no"])], {}),
    Case("drops", [rule("drop", sources=["site"], regex="HQ")], None),
    Case("does not drop", [rule("drop", sources=["site"], regex="hq")], {}),
    Case("drops by two labels", [rule("drop", sources=["site", "rack"], regex="HQ;Rack-.*")], None),
    Case("drops all by default", [rule("drop", sources=["no"])], None),
    # keepequal and dropequal
    Case("keeps equal ones", [rule("keepequal", sources=["site"], to="site")], {}),
    Case("does not keep others", [rule("keepequal", sources=["site"], to="rack")], None),
    Case("keeps two missing ones", [rule("keepequal", sources=["a"], to="b")], {}),
    Case("drops equal ones", [rule("dropequal", sources=["site"], to="site")], None),
    Case("does not drop others", [rule("dropequal", sources=["site"], to="rack")], {}),
    # hashmod
    Case(
        "hashes", [rule("hashmod", sources=["__address__"], modulus=8, to="shard")], {"shard": "6"}
    ),
    Case(
        "hashes two labels",
        [rule("hashmod", sources=["site", "rack"], modulus=1000, to="h")],
        {"h": "196"},
    ),
    Case("hashes nothing", [rule("hashmod", sources=["no"], modulus=97, to="h")], {"h": "43"}),
    Case(
        "hashes by the largest modulus",
        [rule("hashmod", sources=["no"], modulus=2**64 - 1, to="h")],
        {"h": str(int.from_bytes(bytes.fromhex("e9800998ecf8427e"), "big"))},
    ),
    Case("hashes to 0", [rule("hashmod", sources=RACK, modulus=1, to="h")], {"h": "0"}),
    # labelmap, labeldrop, labelkeep
    Case(
        "maps labels",
        [rule("labelmap", regex="__meta_netbox_(.+)")],
        {"name": "cam-7", "site_slug": "hq", "tags": ",axis,ntp,"},
    ),
    Case(
        "maps labels to new names",
        [rule("labelmap", regex="__meta_netbox_(.+)", with_="nb_$1")],
        {"nb_name": "cam-7", "nb_site_slug": "hq", "nb_tags": ",axis,ntp,"},
    ),
    Case(
        "maps one label",
        [rule("labelmap", regex="(rack)", with_="${1}_name")],
        {"rack_name": "Rack-07"},
    ),
    Case(
        "of two labels that are mapped to one the last by name counts",
        [
            rule(to="a", with_="1"),
            rule(to="b", with_="2"),
            rule(to="a", with_="3"),
            rule("labelmap", regex="(a|b)", with_="x"),
        ],
        {"a": "3", "b": "2", "x": "2"},
    ),
    Case("maps nothing", [rule("labelmap", regex="x(.*)")], {}),
    Case("drops labels", [rule("labeldrop", regex="rack|site")], {"rack": None, "site": None}),
    Case("drops no part of a name", [rule("labeldrop", regex="rac")], {}),
    Case("keeps labels", [rule("labelkeep", regex="__.*|site")], {"rack": None}),
    Case("a target without an address is dropped", [rule(to="__address__", with_="")], None),
    # lowercase and uppercase
    Case("lowers", [rule("lowercase", sources=RACK, to="rack")], {"rack": "rack-07"}),
    Case("raises", [rule("uppercase", sources=NAME, to="x")], {"x": "CAM-7"}),
    Case("raises two", [rule("uppercase", sources=["rack", "site"], to="x")], {"x": "RACK-07;HQ"}),
    Case(
        "lowers beyond ASCII",
        [rule(to="x", with_="ÄÖİΣ"), rule("lowercase", sources=["x"], to="x")],
        {"x": "äöi\u03c3"},
    ),
    Case(
        "raises beyond ASCII",
        [rule(to="x", with_="äßŉᾳ"), rule("uppercase", sources=["x"], to="x")],
        {"x": "Äßŉᾼ"},
    ),
    Case("lowers nothing", [rule("lowercase", sources=["no"], to="rack")], {"rack": None}),
    # in order
    Case(
        "rules see what those before made",
        [rule(sources=NAME, to="a"), rule(sources=["a"], regex="cam-(.*)", to="b")],
        {"a": "cam-7", "b": "7"},
    ),
    Case(
        "a rule may use a temporary label",
        [rule(sources=NAME, to="__tmp"), rule(sources=["__tmp"], to="b")],
        {"b": "cam-7"},
    ),
    Case(
        "the end stops at the first drop",
        [rule("drop", sources=["site"], regex="HQ"), rule(to="x", with_="y")],
        None,
    ),
]
