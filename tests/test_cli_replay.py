"""`replay` as people type it: what it says, and how it ends."""

import json

import pytest
from click.testing import CliRunner

from engine.cli.main import cli
from engine.rulefile import parse, read, shipped
from engine.sample import touchpoints

NOW = 1_790_000_000_000_000
DEFAULT = read(shipped()["default"])
OTHER = DEFAULT.replace('after_silence = "30d"', 'after_silence = "999d"')  # nobody goes cold
THIRD = DEFAULT.replace('after_silence = "30d"', 'after_silence = "10d"')
OTHER_ID = parse(OTHER).id


@pytest.fixture
def folder(tmp_path):
    """A small sample, and rules that differ from those in force."""
    file = tmp_path / "touchpoints.jsonl"
    told = touchpoints(now=NOW, leads=30)
    file.write_text("".join(json.dumps(one, ensure_ascii=False) + "\n" for one in told))
    for name, text in (("other", OTHER), ("third", THIRD)):
        (tmp_path / f"{name}.toml").write_text(text)
    result = CliRunner().invoke(cli, ["import", str(file), "--db", str(tmp_path / "leads.db")])
    assert result.exit_code == 0, result.output
    return tmp_path


@pytest.fixture
def run(folder):
    def command(*words):
        return CliRunner().invoke(cli, [*words, "--db", str(folder / "leads.db")])

    return command


def stages(run):
    done = run("pipeline", "--json")
    assert done.exit_code == 0, done.output
    (track, *_) = json.loads(done.stdout)["tracks"]
    return {stage["stage"]: stage["count"] for stage in track["stages"]}


def listed(run):
    return json.loads(run("replay", "list", "--json").stdout)


def test_other_rules_are_started_promoted_and_reverted_and_figures_follow(run, folder):
    before = stages(run)
    started = run("replay", "start", str(folder / "other.toml"))
    assert started.exit_code == 0, started.output
    assert started.stdout.startswith(f"replay 1 of default {OTHER_ID[:12]} is ready: ")
    assert "leadledger replay promote 1 --db " in started.stderr
    assert stages(run) == before
    assert run("replay", "promote").exit_code == 0
    after = stages(run)
    assert after["cold"] == 0 < before["cold"]
    assert after == stages_under(run, folder / "other.toml")
    assert run("replay", "revert", "1").exit_code == 0
    assert stages(run) == before


def stages_under(run, file):
    """What folding on the spot comes to."""
    (track, *_) = json.loads(run("pipeline", "--json", "--rules", str(file)).stdout)["tracks"]
    return {stage["stage"]: stage["count"] for stage in track["stages"]}


def test_a_replay_is_listed_with_how_far_it_has_come_and_how_fast(run, folder):
    assert listed(run) == []
    run("replay", "start", str(folder / "other.toml"))
    (found,) = listed(run)
    assert (found["replay"], found["state"], found["rules_id"]) == (1, "ready", OTHER_ID)
    assert found["done"] == found["total"] >= 30
    assert (found["per_second"] > 0, found["seconds_left"]) == (True, None)
    table = run("replay", "list").stdout
    assert OTHER_ID[:12] in table
    assert "ready" in table


def test_of_those_promoted_one_after_another_the_one_in_force_is_marked(run, folder):
    for name in ("other.toml", "third.toml"):
        assert run("replay", "start", str(folder / name)).exit_code == 0
        assert run("replay", "promote", "--anyway").exit_code == 0
    found = [(one["state"], one["in_force"]) for one in listed(run)]
    assert found == [("promoted", False), ("promoted", True)]
    assert run("replay", "list").stdout.count("promoted, in force") == 1


def test_a_replay_that_let_go_of_what_it_replaced_is_in_force_still_and_one_reverted_is_not(
    run, folder
):
    run("replay", "start", str(folder / "other.toml"))
    run("replay", "promote")
    run("replay", "drop")
    assert [(one["state"], one["in_force"]) for one in listed(run)] == [("dropped", True)]
    run("replay", "start", str(folder / "third.toml"))
    run("replay", "promote")
    run("replay", "revert")
    run("replay", "drop")
    assert [(one["state"], one["in_force"]) for one in listed(run)] == [
        ("dropped", True),
        ("dropped", False),
    ]


def test_rules_can_be_named_by_the_beginning_of_an_id_or_as_they_ship(run, folder):
    run("replay", "start", str(folder / "other.toml"))
    run("replay", "drop")
    assert run("replay", "start", OTHER_ID[:8], "--json").exit_code == 0
    assert run("replay", "start", "aida").exit_code == 0
    assert [one["state"] for one in listed(run)] == ["dropped", "ready", "ready"]


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("start", "default"), 3, "default is in force for all time already"),
        (("start", "nowhere.toml"), 4, "cannot read the rules nowhere.toml"),
        (("promote",), 4, "no replay is ready or reverted, so there is none to promote"),
        (("drop", "7"), 4, "there is no replay 7"),
        (("pause", "none"), 2, "Invalid value for '[RUN]'"),
    ],
)
def test_what_cannot_be_done_is_said(run, words, code, said):
    done = run("replay", *words)
    assert (done.exit_code, said in done.output) == (code, True), done.output
    assert listed(run) == []


def test_rules_published_meanwhile_are_named_and_need_a_word(run, folder):
    run("replay", "start", str(folder / "other.toml"))
    assert run("rules", "publish", str(folder / "third.toml")).exit_code == 0
    refused = run("replay", "promote")
    assert refused.exit_code == 3
    assert f"\n  default {parse(THIRD).id[:12]} from " in refused.output
    assert "--anyway" in refused.output
    assert run("replay", "promote", "--anyway").exit_code == 0
    assert [one["state"] for one in listed(run)] == ["promoted"]
