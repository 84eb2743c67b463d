"""The command line: what it loads, how it ends, what it says."""

import json
import subprocess
import sys

import pytest
from click.testing import CliRunner

from engine.cli.main import COMMANDS, cli
from engine.sample import touchpoints

NOW = 1_790_000_000_000_000


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A database of a small sample, its import file beside it."""
    folder = tmp_path_factory.mktemp("cli")
    file = folder / "touchpoints.jsonl"
    told = touchpoints(now=NOW, leads=60)
    file.write_text("".join(json.dumps(one, ensure_ascii=False) + "\n" for one in told))
    result = CliRunner().invoke(cli, ["import", str(file), "--db", str(folder / "leads.db")])
    assert result.exit_code == 0, result.output
    return folder


@pytest.fixture
def run(folder):
    def command(*words):
        return CliRunner().invoke(cli, [*words, "--db", str(folder / "leads.db")])

    return command


def document(result):
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_help_loads_neither_numba_nor_polars():
    script = (
        "import sys\nfrom engine.cli.main import cli\n"
        "try:\n    cli(['--help'])\nexcept SystemExit:\n    pass\n"
        "print({'numba', 'polars'} & sys.modules.keys())"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "set()"


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_explains_itself(name):
    result = CliRunner().invoke(cli, [name, "--help"])
    assert result.exit_code == 0
    assert result.output.startswith("Usage:")


def test_an_unknown_command_is_a_usage_error():
    assert CliRunner().invoke(cli, ["pipline"]).exit_code == 2


def test_an_instant_without_an_offset_is_refused_with_the_right_form(run):
    result = run("pipeline", "--as-of", "2026-03-01T08:00:00")
    assert result.exit_code == 2
    assert "2026-03-01T08:00:00+07:00" in result.output


def test_a_database_that_is_not_there_is_said_so_and_not_made(tmp_path):
    result = CliRunner().invoke(cli, ["pipeline", "--db", str(tmp_path / "none" / "x.db")])
    assert result.exit_code != 0
    assert "x.db" in result.output
    assert not (tmp_path / "none" / "x.db").exists()


def test_pipeline_counts_every_lead_once_in_each_track_at_most(run):
    found = document(run("pipeline", "--json"))
    for track in found["tracks"]:
        assert 0 < sum(stage["count"] for stage in track["stages"]) <= found["leads"]


def test_a_bar_is_as_long_as_the_list_behind_it(run):
    funnel = document(run("funnel", "first_touch_to_won", "--json"))
    for step in funnel["steps"]:
        words = ("funnel", "first_touch_to_won", "--leads", str(step["step"]), "--json")
        assert len(document(run(*words))) == step["reached"]


def test_a_bar_of_a_bucket_is_as_long_as_the_list_behind_it(run):
    by = ("funnel", "first_touch_to_won", "--by", "channel", "--by", "owner", "--json")
    for bucket in document(run(*by))["buckets"][:4]:
        values = [word for value in bucket["by"].values() for word in ("--bucket", value)]
        listed = document(run(*by, "--leads", "1", *values))
        assert len(listed) == bucket["steps"][0]["reached"]


@pytest.mark.parametrize("words", [("--bar", "excluded"), ("--by", "owner", "--bucket", "x")])
def test_what_chooses_leads_to_list_is_refused_where_none_are_listed(run, words):
    done = run("funnel", "first_touch_to_won", *words)
    assert done.exit_code == 2
    assert "add --leads STEP" in done.stderr


def test_the_state_at_the_last_touchpoint_is_the_same_live_and_as_of(run):
    live = document(run("leads", "--limit", "1000", "--json"))
    told = document(run("leads", "--limit", "1000", "--json", "--as-of", live["as_of"]))
    assert told == live


def test_other_rules_are_asked_by_name_without_touching_the_read_models(run):
    before = document(run("pipeline", "--json"))
    other = document(run("pipeline", "--json", "--rules", "aida"))
    assert other["tracks"] != before["tracks"]
    again = document(run("pipeline", "--json", "--as-of", before["as_of"]))
    assert again["tracks"] == before["tracks"]


def test_lead_show_prints_what_export_states_prints(run):
    states = [
        json.loads(line)
        for line in run("export", "states", "--as-of", "2026-09-01T00:00:00Z").stdout.splitlines()
    ]
    for state in states[:5]:
        shown = run("lead", "show", state["lead"], "--as-of", "2026-09-01T00:00:00Z", "--json")
        assert document(shown) == state


def test_lead_history_is_in_happening_order_and_tells_the_stages(run):
    lead = document(run("leads", "--limit", "1", "--json"))["leads"][0]
    lines = document(run("lead", "history", lead["lead"], "--json"))
    assert [line["at"] for line in lines] == sorted(line["at"] for line in lines)
    assert (
        sum(line["what"] == "touchpoint" and line["counts"] for line in lines)
        == lead["touchpoints"]
    )


def test_a_lead_that_is_not_there_is_not_found(run):
    assert run("lead", "show", "0" * 32).exit_code == 4
    assert run("lead", "show", "email:nobody@example.com").exit_code == 4


def test_reveal_without_a_reason_is_refused(run):
    assert run("lead", "show", "0" * 32, "--reveal").exit_code == 2


def test_head_is_the_number_of_recorded_touchpoints(run, folder):
    intake = run("import", str(folder / "touchpoints.jsonl"), "--json")
    assert document(intake)["recorded"] == 0
    lines = {
        (told["source"], told["event_id"])
        for told in map(json.loads, (folder / "touchpoints.jsonl").read_text().splitlines())
    }
    assert document(run("head", "--json"))["head"] == len(lines)


def test_rebuilding_changes_no_figure(run):
    before = document(run("pipeline", "--json"))
    assert run("rebuild").exit_code == 0
    assert run("rebuild", "--identity").exit_code == 0
    assert document(run("pipeline", "--json", "--as-of", before["as_of"])) == before


def test_rule_sets_are_listed_shown_checked_and_composed(tmp_path):
    names = [
        one["name"]
        for one in json.loads(CliRunner().invoke(cli, ["rules", "list", "--json"]).stdout)
    ]
    assert "default" in names
    shown = CliRunner().invoke(cli, ["rules", "show", "default"])
    file = tmp_path / "copy.toml"
    file.write_text(shown.stdout)
    assert CliRunner().invoke(cli, ["rules", "check", str(file)]).exit_code == 0
    file.write_text('name = "x"\nnmae = 3\n')
    faulty = CliRunner().invoke(cli, ["rules", "check", str(file)])
    assert faulty.exit_code == 2
    assert "nmae" in faulty.output
