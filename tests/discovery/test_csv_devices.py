"""A CSV of an inventory becomes targets; rows that cannot be used are named by their lines."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.discovery.csv_devices import Columns, read_csv_devices
from exporter.discovery.target_file import FoundTarget, render_target_file
from exporter.discovery.target_groups import read_groups

PLAIN = "Name,IP address,MAC address,Site Name\nlobby,10.0.0.7,00:40:8C:12:34:56,Lund\n"
LOBBY = FoundTarget("10.0.0.7", {"device": "lobby", "serial": "00408C123456"})


def read(text: str, **columns: str) -> list[FoundTarget]:
    targets, problems = read_csv_devices(text.encode(), Columns(**columns))  # type: ignore[arg-type]
    assert problems == []
    return [*targets]


@pytest.mark.parametrize(
    "text",
    [
        PLAIN,
        PLAIN.replace(",", ";"),
        PLAIN.replace(",", "\t"),
        PLAIN.replace("\n", "\r\n"),
        PLAIN + "\n,,,\n",
        "HOSTNAME, HOST ,serial\nlobby , 10.0.0.7,00-40-8c-12-34-56",
        'name,address,mac\n"lobby","10.0.0.7","00408c123456"\n',
        "\n,,\n" + PLAIN,
        "sep=;\n" + PLAIN.replace(",", ";"),
        "SEP=|\r\n" + PLAIN.replace(",", "|"),
        "sep=,,,,\n" + PLAIN,
        '"sep=\t"\n' + PLAIN.replace(",", "\t"),
        "sep=;\nname;IP address, first;mac, in words;address\n"
        "lobby;x;00408c123456;10.0.0.7".replace("mac, in words", "mac"),
        'name;"a,b,c,d";address;mac\nlobby;x;10.0.0.7;00408c123456\n',
        '"name, ""short"", or long,";"line 1,\nline 2,";name;address;mac\n'
        "x;x;lobby;10.0.0.7;00408c123456\n",
    ],
    ids=[
        *("comma", "semicolon", "tab", "crlf", "empty rows", "other titles", "quotes"),
        *("empty rows first", "sep", "other sep", "sep saved again", "quoted sep"),
        *("sep against more commas", "commas in quotes", "quotes and lines in quotes"),
    ],
)
def test_the_usual_forms_are_read(text: str) -> None:
    assert read(text) == [LOBBY]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp1252", "utf-16"])
def test_the_usual_encodings_are_read(encoding: str) -> None:
    document = "name,address\nEntré Süd,10.0.0.7\n".encode(encoding)
    [target], problems = read_csv_devices(document, Columns())
    assert (target.labels["device"], problems) == ("Entré Süd", [])


def test_columns_can_be_named() -> None:
    text = "name,ip,Camera,Where\nx,10.0.0.1,lobby,10.0.0.7\n"
    columns = Columns("camera", "Where", {"rack": "IP"})
    [target], _ = read_csv_devices(text.encode(), columns)
    assert target == FoundTarget("10.0.0.7", {"device": "lobby", "rack": "10.0.0.1"})


def test_a_column_that_is_named_for_the_serial_number_counts_more_than_the_usual_one() -> None:
    text = "address,mac,inventory\n10.0.0.7,00:40:8c:12:34:56,A-17\n"
    [target], _ = read_csv_devices(text.encode(), Columns(labels={"serial": "inventory"}))
    assert target.labels == {"serial": "A-17"}


def test_a_device_without_a_name_is_named_by_its_address() -> None:
    assert read("name,address\n,10.0.0.7\n") == [FoundTarget("10.0.0.7", {})]


def test_rows_that_cannot_be_used_are_named_by_their_lines() -> None:
    text = 'name,address\na,10.0.0.1\nb,\n"c\nd",no host\na,10.0.0.2\n\ne,10.0.0.3\nf,10.0.0.256\n'
    targets, problems = read_csv_devices(text.encode(), Columns())
    assert [each.address for each in targets] == ["10.0.0.1", "10.0.0.3"]
    assert problems == [
        "line 3: has no address",
        "line 5: address: 'no host' is not host, host:port or [v6]:port",
        "line 6: the name 'a' is already used in line 2",
        "line 9: address: '10.0.0.256' is not an IPv4 address: four numbers from 0 to 255 without "
        "leading zeros",
    ]


@pytest.mark.parametrize("first", ["sep=,\n", "\n", '"sep=,"\r\n'])
def test_lines_before_the_header_count(first: str) -> None:
    text = f"{first}name,address\na,10.0.0.1\nb,\n"
    targets, problems = read_csv_devices(text.encode(), Columns())
    assert [each.address for each in targets] == ["10.0.0.1"]
    assert problems == ["line 4: has no address"]
    with pytest.raises(ValueError, match=r"^line 2: has no column 'x', only 'name', 'address'"):
        read_csv_devices(text.encode(), Columns("x"))
    with pytest.raises(ValueError, match=r"^line 4: is not CSV: "):
        read_csv_devices(text.replace("b,", '"b').encode(), Columns())


def test_of_many_rows_that_cannot_be_used_a_hundred_are_named() -> None:
    _, problems = read_csv_devices(b"name,address\n" + b"a,\n" * 1_500, Columns())
    assert len(problems) == 101
    assert problems[-1] == "1,400 more rows cannot be used"


@pytest.mark.parametrize(
    ("document", "problem"),
    [
        (b"", "has no header"),
        (b"\n,,\n", "has no header"),
        (b"sep=;", "has no header"),
        (b"name,model\n", "^line 1: has no column of addresses, only 'name', 'model'"),
        (b"name,address\n\xff\n\x81\n", "^line 3: is text neither in UTF-8 nor in Windows-1252"),
        (b'name,address\n"a,b\n', "line 2: is not CSV: unexpected end of data"),
        (b"name,address\n" + b"a" * 200_000, "line 2: is not CSV: field larger than"),
        (b"address\n" + b"a\n" * 100_001, "line 100002: has more than 100,000 rows"),
    ],
    ids=[
        "empty",
        "empty rows",
        "only sep",
        "no address",
        "encoding",
        "quote",
        "long cell",
        "many rows",
    ],
)
def test_what_is_no_list_of_devices_is_refused(document: bytes, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        read_csv_devices(document, Columns())


def test_a_column_that_is_not_there_is_refused_with_those_that_are() -> None:
    with pytest.raises(ValueError, match="line 1: has no column 'Place', only 'name', 'address'"):
        read_csv_devices(b"name,address\n", Columns(labels={"site": "Place"}))


texts = st.text(st.characters(codec="utf-8", exclude_categories=["Cc"]), min_size=1, max_size=20)


@given(st.lists(st.tuples(texts.filter(str.strip), texts), max_size=5, unique_by=lambda t: t[0]))
def test_what_is_written_is_read_again(devices: list[tuple[str, str]]) -> None:
    written = [
        FoundTarget(f"10.0.0.{number}", {"device": name, "site": site})
        for number, (name, site) in enumerate(devices)
    ]
    read_again, problems = read_groups(render_target_file(written).encode(), is_json=False)
    assert problems == ()
    assert [(each.address, {"device": each.name, **each.labels}) for each in read_again] == [
        (each.address, dict(each.labels)) for each in written
    ]
