"""Instants at the command line: what a date means, and whose clocks tables show."""

import json
from datetime import date

import pytest
from click.testing import CliRunner

from engine.cli.main import cli
from engine.cli.output import clock, moment
from engine.instants import format_instant, parse_date, start_of

RULES = """
name = "times"
zone = "{zone}"
[[signal]]
name = "asked"
type = "form_submitted"
[[track]]
name = "life"
[[track.stage]]
name = "new"
[[track.move]]
to = "new"
when = {{ signal = "asked" }}
[[funnel]]
name = "once"
window = "30d"
[[funnel.step]]
signal = "asked"
[[funnel.step]]
enters = "life.new"
"""
HAPPENED = ("2026-02-28T23:59:59.999999+07:00", "2026-03-01T00:00:00+07:00", "2026-03-01T03:00:00Z")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Three touchpoints of one lead; rule sets in three zones."""
    folder = tmp_path_factory.mktemp("times")
    who = [{"kind": "user_id", "value": "an"}]
    known = {"source": "web", "type": "form_submitted", "identifiers": who}
    told = [
        json.dumps({**known, "event_id": f"e{number}", "occurred_at": at}) + "\n"
        for number, at in enumerate(HAPPENED, 1)
    ]
    (folder / "in.jsonl").write_text("".join(told), encoding="utf-8")
    for zone in ("UTC", "Asia/Ho_Chi_Minh", "America/New_York"):
        (folder / f"{zone.rpartition('/')[2]}.toml").write_text(RULES.format(zone=zone))

    def command(*words, rules=None):
        where = [] if rules is None else ["--rules", str(folder / f"{rules}.toml")]
        return CliRunner().invoke(cli, [*words, *where, "--db", str(folder / "x.db")])

    assert command("import", str(folder / "in.jsonl")).exit_code == 0
    return command


@pytest.mark.parametrize(
    ("rules", "begins", "happened"),
    [
        ("Ho_Chi_Minh", "2026-02-28T17:00:00.000000Z", 2),
        ("UTC", "2026-03-01T00:00:00.000000Z", 2),
        ("New_York", "2026-03-01T05:00:00.000000Z", 3),
        (None, "2026-02-28T17:00:00.000000Z", 2),  # the default's zone is that of Vietnam
    ],
)
def test_a_date_is_where_the_day_begins_in_the_zone_of_the_rules(run, rules, begins, happened):
    done = run("lead", "show", "user_id:an", "--as-of", "2026-03-01", "--json", rules=rules)
    assert json.loads(done.stdout)["touchpoints"] == happened
    assert f"as of {begins}, where 2026-03-01 begins in " in done.stderr
    asked = run("lead", "show", "user_id:an", "--as-of", begins, "--json", rules=rules)
    assert (asked.stdout, asked.stderr) == (done.stdout, "")


@pytest.mark.parametrize("command", ["leads", "pipeline", "funnel once", "export states"])
def test_every_command_reads_dates_alike(run, command):
    words = command.split()
    extra = [] if words[0] == "export" else ["--json"]
    dated = run(*words, *extra, "--as-of", "2026-03-01", rules="New_York")
    exact = run(*words, *extra, "--as-of", "2026-03-01T00:00:00-05:00", rules="New_York")
    assert dated.exit_code == 0
    assert dated.stdout == exact.stdout
    assert dated.stderr == (
        "as of 2026-03-01T05:00:00.000000Z, where 2026-03-01 begins in America/New_York\n"
    )


@pytest.mark.parametrize(
    "day", ["2026-02-30", "2026-3-1", "20260301T00", "0001-01-01", "01/03/2026"]
)
def test_what_is_no_day_is_refused_with_the_right_forms(run, day):
    done = run("pipeline", "--as-of", day)
    assert done.exit_code == 2
    assert "2026-03-01T08:00:00+07:00" in done.stderr


def test_a_day_has_one_form():
    assert parse_date("2026-03-01") == date(2026, 3, 1)
    assert parse_date("20260301") is parse_date("2026-W09-7") is None


@pytest.mark.parametrize(
    ("day", "zone", "begins"),
    [
        ("2026-03-01", "Asia/Bangkok", "2026-02-28T17:00:00.000000Z"),
        ("2018-11-04", "America/Sao_Paulo", "2018-11-04T03:00:00.000000Z"),  # from 00:00 to 01:00
        ("2018-02-18", "America/Sao_Paulo", "2018-02-18T03:00:00.000000Z"),  # 23:00 came twice
        ("2025-11-02", "America/New_York", "2025-11-02T04:00:00.000000Z"),
    ],
)
def test_a_day_begins_where_clocks_first_show_it(day, zone, begins):
    assert format_instant(start_of(date.fromisoformat(day), zone)) == begins


@pytest.mark.parametrize(
    ("instant", "zone", "shown"),
    [
        ("2026-03-01T00:59:59.999999Z", "Asia/Ho_Chi_Minh", "2026-03-01 07:59:59"),
        ("2026-02-28T17:00:00.000000Z", "Asia/Bangkok", "2026-03-01 00:00:00"),
        ("2026-07-01T00:00:00.000000Z", "America/New_York", "2026-06-30 20:00:00"),
        ("2026-01-01T00:00:00.000000Z", "UTC", "2026-01-01 00:00:00"),
        ("9999-12-31T23:59:59.999999Z", "Asia/Ho_Chi_Minh", "9999-12-31 23:59:59Z"),
        ("0001-01-01T00:00:00.000000Z", "America/New_York", "0001-01-01 00:00:00Z"),
        ("0001-01-01T00:00:00.000000Z", "UTC", "0001-01-01 00:00:00"),
    ],
)
def test_an_instant_is_shown_as_the_clocks_of_the_zone_do(instant, zone, shown):
    assert clock(instant, zone) == shown


def test_the_instant_of_a_title_names_the_zone():
    assert moment("2026-03-01T00:00:00.000000Z", "Asia/Bangkok") == "2026-03-01 07:00 Asia/Bangkok"
    assert moment("9999-12-31T23:59:00.000000Z", "Asia/Bangkok") == "9999-12-31 23:59 UTC"


@pytest.mark.parametrize(
    ("rules", "zone", "first"),
    [
        ("Ho_Chi_Minh", "Asia/Ho_Chi_Minh", "2026-02-28 23:59:59"),
        ("UTC", "UTC", "2026-02-28 16:59:59"),
        ("New_York", "America/New_York", "2026-02-28 11:59:59"),
    ],
)
@pytest.mark.parametrize(
    "command", ["lead show user_id:an", "lead history user_id:an", "funnel once --leads 1"]
)
def test_tables_show_the_clocks_of_the_rules_zone_and_name_it(run, command, rules, zone, first):
    said = run(*command.split(), rules=rules).stdout
    assert zone in said.splitlines()[0]
    assert first in said


def test_the_list_of_leads_names_the_zone_and_what_stands_in_its_cells(run):
    said = run("leads", "--as-of", "2026-03-02", rules="Ho_Chi_Minh").stdout.splitlines()
    assert said[:2] == ["1 leads as of 2026-03-02 00:00 Asia/Ho_Chi_Minh", "stages: life"]
    assert "2026-03-01 10:00" in said[5]
    shipped = run("leads").stdout.splitlines()
    assert shipped[1] == "stages: lifecycle, sales · scores: engagement, fit"


def test_json_stays_in_utc(run):
    done = run("leads", "--json", rules="Ho_Chi_Minh")
    assert json.loads(done.stdout)["leads"][0]["last_at"] == "2026-03-01T03:00:00.000000Z"
