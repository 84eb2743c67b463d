"""No personal value is on disk or on the screen, in any form, wherever it was planted.

Every planted value has a word of its own in it, letters only; a number is its own word.
They go in by the command line, with everything that is wrong with them, and then every
byte that was written or printed is searched for the words in every spelling of bytes.
"""

import base64
import csv
import getpass
import io
import json
import os
import re
import sqlite3
import subprocess
import sys
from collections import Counter
from contextlib import closing
from itertools import chain
from pathlib import Path

import pytest
from click.testing import CliRunner

from engine.cli.main import cli
from engine.store.facts import Facts, system_clock

COMMAND = str(Path(sys.executable).with_name("leadledger"))
WHEN = "2026-03-01T08:00:00Z"
SEEN = "zqvisiblezq"  # in what is not personal: shows that searching finds
EMAIL, PHONE = "Zqemailzq.Anh@example.vn", "+84 903 317 924"
PERSON = {
    "name": "Nguyễn Zqnamezq Ánh",
    "address": "12 Zqaddresszq, Quận 1",
    "email": "zqsecondmailzq@example.vn",
    "phone": "+84912448073",
    "company": "Công ty Zqcompanyzq",
    "text": "Please call zqtextzq at once",
}
WHO = [
    {"kind": "email", "value": EMAIL},
    {"kind": "phone", "value": PHONE},
    {"kind": "external_id", "value": "zqexternalzq"},
    {"kind": "anonymous_id", "value": "zqcookiezq"},
    {"kind": "click_id", "value": "zqclickzq"},
    {"kind": "email", "value": "noreply@zqrolezq.vn"},  # a mailbox that no person reads: dropped
]
MENTIONS = [
    {"role": "referrer", "kind": "email", "value": "zqreferrerzq@example.vn"},
    {"role": "colleague", "kind": "phone", "value": "+84913559182"},
]
OTHERS = [
    {"kind": "crm_id", "namespace": "crm", "value": "zqcrmzq"},
    {"kind": "user_id", "value": "zquserzq"},
]

MAPPING = """
name = "contacts"
times = "%Y-%m-%d"
zone = "Asia/Ho_Chi_Minh"
[[touchpoint]]
source = "crm"
type = "lead_created"
occurred_at = { column = "seen", required = true }
identifiers = [{ kind = "email", value = "{mail}" }]
amount = { column = "worth", currency = "VND" }
personal.name = "{name}"
personal.phone = "{phone}"
attributes.level = { column = "level", values = { hot = "hot", cold = "cold" } }
"""
HEADING = ["name", "mail", "phone", "seen", "worth", "level"]
ROWS = [
    ["zqgoodrowzq", "zqgoodmailzq@example.vn", "+84914660291", "2026-03-01", "100", "hot"],
    ["zqshortrowzq", "zqshortmailzq@example.vn"],
    ["zqlongrowzq", "zqa@example.vn", "+84915771302", "2026-03-01", "100", "hot", "zqextrazq"],
    ["zqtimerowzq", "zqb@example.vn", "", "zqcelltimezq", "100", "hot"],
    ["zqworthrowzq", "zqc@example.vn", "", "2026-03-01", "zqcellworthzq", "hot"],
    ["zqlevelrowzq", "zqd@example.vn", "", "2026-03-01", "100", "zqcelllevelzq"],
    ["zqmailrowzq", "zqnoaddresszq", "", "2026-03-01", "100", "hot"],
    ["zqlaterrowzq", "zqlatermailzq@example.vn", "+84916882413", "01/03/2026", "100", "hot"],
]


def line(event_id, **more):
    """A touchpoint as it comes; `more` says what is other than it should be."""
    said = {"source": "web", "event_id": event_id, "type": "page_viewed", "occurred_at": WHEN}
    said["identifiers"] = [{"kind": "user_id", "value": f"zq{event_id}userzq"}]
    said["personal"] = {"name": f"Zq{event_id}namezq"}
    return json.dumps({**said, **more}).encode()


GOOD = [
    line("first", identifiers=WHO, personal=PERSON, mentions=MENTIONS, attributes={"path": SEEN}),
    line("again", identifiers=WHO[:1], personal={"name": "Zqothernamezq"}, type="form_submitted"),
    line("stranger"),
    line("others", identifiers=OTHERS),
]
REFUSED = {  # by reason
    "undecodable": [
        b'{"source": "web", "personal": {"name": "zqcutshortzq"',
        b'["zqlistzq"]',
        b"zqnojsonzq",
        b'{"source": "zqbyteszq \xff"}',
        b'{"zqnestedzq": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    ],
    "not_canonical": [
        line("unknown", nickname="zqnicknamezq"),
        line("nokey", **{"zqkeyzq with spaces@": 1}),
        line("twice").replace(b'"source"', b'"event_id": "zqtwicezq", "source"'),
        line("source", source="zqlongsourcezq" * 9),
        line("time", occurred_at="zqtimezq"),
        line("sequence", sequence="zqsequencezq"),
        line("quality", time_quality="zqqualityzq"),
        line("actor", actor={"kind": "zqactorzq"}),
        line("campaign", campaign={"name": 5, "zqcampaignkeyzq @": "zqcampaignzq"}),
        line("amount", amount={"minor": "zqminorzq", "currency": "VND"}),
        line("currency", amount={"minor": 1, "currency": "zqcurrencyzq"}),
        line("kind", identifiers=[{"kind": "zqkindzq", "value": "zqvaluezq"}]),
        line("mail", identifiers=[{"kind": "email", "value": "zqnomailzq two@example.vn"}]),
        line("phone", identifiers=[{"kind": "phone", "value": "zqnophonezq"}]),
        line("space", identifiers=[{"kind": "email", "namespace": "zqspacezq", "value": EMAIL}]),
        line("role", mentions=[{"role": "", "kind": "email", "value": "zqnorolezq@example.vn"}]),
        line("field", personal={"passport": "zqpassportzq"}),
        line("number", personal={"name": 5, "text": "zqbesidezq"}),
        line("nul", personal={"name": "zqnulzq\0"}),
        line("half", personal={"name": "zqhalfzq\ud800"}),
        line("long", personal={"text": "zqlongtextzq" * 9_000}),
        line("attribute", attributes={"zqattributekeyzq @": float("inf")}),
    ],
    "unknown_type": [line("type", type="zqtypezq")],
    "time_out_of_range": [line("range", occurred_at="1960-01-01T00:00:00Z")],
    "unknown_channel": [line("channel", channel="zqchannelzq")],
    "bad_attribute": [
        line("bad", type="assigned", attributes={"team": "zqteamzq"}),
        line("link", type="identity_linked"),
    ],
    "no_identifier": [line("nobody", identifiers=WHO[-1:])],
    "time_in_future": [line("future", occurred_at="2090-01-01T00:00:00Z")],
    "id_reused": [line("first", identifiers=WHO[:1], personal={"name": "Zqreusedzq"})],
}


def table():
    """The rows as CSV, and at the end one whose quote is never closed."""
    text = io.StringIO()
    csv.writer(text).writerows([HEADING, *ROWS])
    return text.getvalue().encode() + b'"zqopenquotezq,zqopenzq@example.vn,,2026-03-01,1,hot\r\n'


PLANTED = b"\n".join([*GOOD, *chain.from_iterable(REFUSED.values()), table()])
TEXT = PLANTED.decode(errors="replace").lower()
WORDS = {*re.findall("zq[a-z]+?zq", TEXT), *re.findall(r"\+84(\d{9})", TEXT), "903317924"} - {SEEN}


def spellings(word):
    """A word in each form of bytes; those that are text with small letters."""
    yield from (word.encode(), word.encode("utf-16-le"), word.encode("utf-16-be"))
    yield from (one.encode().hex().encode() for one in letters(word))
    if word.isdigit():
        yield from (int(f"84{word}").to_bytes(6, order) for order in ("little", "big"))


def in_base64(word):
    """What base64 makes of a word, whatever stands before it."""
    for one in letters(word):
        for before in range(3):
            coded = base64.b64encode(bytes(before) + one.encode())
            yield coded[(0, 2, 3)[before] : (before + len(one)) * 8 // 6]


def letters(word):
    return {word, word.upper(), word.capitalize()}


def found_in(data):
    """The planted words that bytes hold, in whatever form."""
    small = data.lower()
    return {
        word
        for word in WORDS
        if any(one in small for one in spellings(word))
        or any(one in data for one in in_base64(word))
    }


class Machine:
    """A folder that holds all that is written, and all that was ever printed."""

    def __init__(self, folder):
        self.inputs, self.written = folder / "in", folder / "out"
        self.inputs.mkdir()
        self.written.mkdir()
        self.db = str(self.written / "leads.db")
        self.printed = b""
        clean = {name: value for name, value in os.environ.items() if "LEADLEDGER" not in name}
        homes = dict.fromkeys(("HOME", "TMPDIR", "XDG_DATA_HOME"), str(self.written))
        self.environ = {**clean, **homes}  # whoever makes files does it where they are searched

    def file(self, name, data):
        path = self.inputs / name
        path.write_bytes(data)
        return str(path)

    def run(self, *command, **environ):
        """A command in a process of its own: its exit code and its standard output."""
        ran = subprocess.run(
            [COMMAND, *command, "--db", self.db],
            env={**self.environ, **environ}, capture_output=True, check=False, timeout=60,
        )  # fmt: skip
        self.printed += ran.stderr
        return ran.returncode, ran.stdout

    def prints(self, *command, **environ):
        """The exit code of a command that may print no personal value."""
        code, output = self.run(*command, **environ)
        self.printed += output
        return code

    def prints_here(self, *command):
        """The same without a process of its own, which is quicker."""
        ran = CliRunner().invoke(cli, [*command, "--db", self.db])
        assert ran.exception is None or isinstance(ran.exception, SystemExit), ran.exception
        self.printed += ran.stdout_bytes + ran.stderr_bytes
        return ran.exit_code

    def leaks(self):
        """Where planted words are that should be nowhere."""
        written = {
            path.name: path.read_bytes() for path in self.written.rglob("*") if path.is_file()
        }
        places = {**written, "the screen": self.printed}
        return {place: words for place, data in places.items() if (words := found_in(data))}

    def accesses(self):
        with Facts.open(self.db, create=False) as facts:
            return list(facts.accesses())


@pytest.fixture(scope="module")
def machine(tmp_path_factory):
    """Everything was imported, with a reader at work, so that the log is still there."""
    machine = Machine(tmp_path_factory.mktemp("machine"))
    assert machine.prints("import", machine.file("good.jsonl", b"\n".join(GOOD))) == 0
    with closing(sqlite3.connect(machine.db)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM ids").fetchone()
        refused = b"\n".join(chain.from_iterable(REFUSED.values()))
        assert machine.prints("import", "--json", machine.file("bad.jsonl", refused)) == 3
        mapping = machine.file("contacts.toml", MAPPING.encode())
        contacts = machine.file("contacts.csv", table())
        assert machine.prints("import", "--json", contacts, "--mapping", mapping) == 3
        assert Path(f"{machine.db}-wal").stat().st_size > 0
        assert not machine.leaks()
    return machine


def test_the_search_would_find_a_word_in_every_form():
    for word in ("zqnamezq", "903317924"):
        for form in letters(word):
            plain = form.encode()
            assert word in found_in(b"x" + plain + b"y")
            assert word in found_in(form.encode("utf-16"))
            assert word in found_in(form.encode("utf-16-be"))
            assert word in found_in(plain.hex().upper().encode())
            assert all(word in found_in(base64.b64encode(bytes(k) + plain)) for k in range(4))
    assert "903317924" in found_in((84903317924).to_bytes(8, "little"))
    assert len(WORDS) > 100


def test_the_search_finds_what_is_not_personal(machine):
    assert SEEN.encode() in Path(machine.db).read_bytes()


def test_every_reason_was_met_and_what_was_set_aside_is_kept(machine):
    code, listed = machine.run("aside", "list", "--json")
    items = [json.loads(item) for item in listed.splitlines()]
    met = Counter(item["reason"] for item in items if item["origin"].endswith("bad.jsonl"))
    assert met == {reason: len(lines) for reason, lines in REFUSED.items()}
    rows = [item["line"] for item in items if item["origin"].endswith("contacts.csv")]
    assert (code, sorted(rows)) == (0, [3, 4, 5, 6, 7, 8, 9, 10])
    assert not found_in(listed)


def test_no_planted_value_is_in_any_file_nor_on_the_screen(machine):
    """The log is gone into the file by now; deriving, retrying and failing add nothing."""
    machine.file(
        "contacts.toml", MAPPING.replace('"%Y-%m-%d"', '["%Y-%m-%d", "%d/%m/%Y"]').encode()
    )
    assert machine.prints("aside", "retry", "--json") == 0
    assert b'"recorded":1' in machine.printed
    for command in (
        ("pipeline",), ("pipeline", "--json", "--by", "attributes.level"), ("funnel",),
        ("leads",), ("leads", "--json"), ("rebuild",), ("head",), ("doctor", "--json"),
        ("export", "states"), ("aside", "list"), ("aside", "list", "--all", "--json"),
        ("lead", "show", f"email:{EMAIL}"), ("lead", "show", f"email:{EMAIL}", "--json"),
        ("lead", "history", f"email:{EMAIL}"), ("lead", "history", "crm_id:crm:zqcrmzq", "--json"),
    ):  # fmt: skip
        assert machine.prints_here(*command) == 0, command
    with closing(sqlite3.connect(machine.db.replace("leads.", "leads.models."))) as models:
        assert models.execute("PRAGMA freelist_count").fetchone()[0] > 0
    assert not machine.leaks()


def test_no_error_tells_a_planted_value(machine):
    contacts = str(machine.inputs / "contacts.toml")
    no_heading = table().partition(b"\r\n")[2]
    for data in (
        no_heading,
        no_heading.replace(b",", b";"),
        b"\xff\xfe" + TEXT.encode("utf-16-le"),
    ):
        file = machine.file("foreign.csv", data)
        assert machine.prints_here("import", file, "--mapping", contacts) == 3
        assert machine.prints_here("import", file) == 3
    array = machine.file("array.json", b"[" + GOOD[0] + b"]")
    assert machine.prints_here("import", array) == 3
    objects = machine.file("objects.jsonl", b"\n".join(GOOD))
    assert machine.prints_here("import", objects, "--mapping", contacts) == 3
    assert machine.prints_here("lead", "show", "email:zqnomailzq@example.vn") == 4
    assert machine.prints_here("lead", "show", "email:zqnoatzq") == 3
    assert machine.prints_here("lead", "show", "zqsecondmailzq@example.vn") == 4
    assert machine.prints("aside", "retry", LEADLEDGER_WORKSPACE_KEY="ab" * 32) == 1
    assert not machine.leaks()


def test_who_gives_a_reason_sees_the_values_and_is_remembered(machine):
    asked = ("lead", "show", f"email:{EMAIL}", "--reveal", "--json")
    before = system_clock()
    code, shown = machine.run(*asked, "--reason", "ticket 4711")
    document = json.loads(shown)
    assert code == 0
    assert document["personal"] == {
        **{field: [value] for field, value in PERSON.items()},
        "name": [PERSON["name"], "Zqothernamezq"],
        "email": [PERSON["email"], EMAIL.lower()],
    }
    (access,) = machine.accesses()
    assert (access.who, access.lead, access.reason) == (
        getpass.getuser(), document["lead"], "ticket 4711",
    )  # fmt: skip
    assert before <= access.at <= system_clock()
    assert not machine.leaks()


@pytest.mark.parametrize("reason", [(), ("--reason", ""), ("--reason", "  ")])
def test_who_gives_none_sees_nothing(machine, reason):
    before = machine.accesses()
    code, shown = machine.run("lead", "show", f"email:{EMAIL}", "--reveal", "--json", *reason)
    assert (code, shown) == (2, b"")
    assert machine.accesses() == before
