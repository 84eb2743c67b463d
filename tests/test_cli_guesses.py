"""An unknown name is told with the one that was probably meant, or with what there is."""

import pytest
from click.testing import CliRunner

from engine import mapfile
from engine.cli.main import cli
from engine.errors import MappingInvalid
from engine.nearest import did_you_mean, guess
from tests.import_world import touchpoint


@pytest.mark.parametrize(
    ("name", "known", "said"),
    [
        ("chanel", ["channel", "owner"], "did you mean channel?"),
        ("CHANNEL", ["channel", "owner"], "did you mean channel?"),
        ("mql", ["life.lead", "life.mql"], "did you mean life.mql?"),
        ("hot", ["grade_a", "hot_and_idle"], "did you mean hot_and_idle?"),
        ("won", ["a_to_won", "b_to_won", "c"], "did you mean a_to_won or b_to_won?"),
        ("x" * 4, [f"{n}{'x' * 30}" for n in "abcd"], None),
        ("zzz", ["b", "a"], "known: b, a"),
        ("wo", ["a_to_won"], "known: a_to_won"),
        ("", ["a", "b"], "known: a, b"),
        ("a", [], "known: none"),
    ],
)
def test_what_is_meant_by_a_name(name, known, said):
    if said is None:
        said = f"did you mean {known[0]}, {known[1]} or {known[2]}?"
    assert did_you_mean(name, known) == said
    assert guess(name, known) == ("" if said.startswith("known") else said)


def test_of_many_names_those_nearest_are_listed_and_the_rest_counted():
    known = [f"{letter}{letter}" for letter in "abcdefghijklmnopqrst"]
    assert did_you_mean("l_____", known).startswith("known: ll, ")
    assert did_you_mean("l_____", known).endswith(" and 4 more")


def test_a_name_without_end_is_no_reason_to_wait():
    assert did_you_mean("a" * 10**6, ["aaa"]) == "known: aaa"


@pytest.fixture(scope="module")
def database(tmp_path_factory):
    folder = tmp_path_factory.mktemp("guesses")
    (folder / "in.jsonl").write_text(touchpoint(1))
    words = ["import", str(folder / "in.jsonl"), "--db", str(folder / "x.db")]
    assert CliRunner().invoke(cli, words).exit_code == 0
    return str(folder / "x.db")


@pytest.mark.parametrize(
    ("line", "code", "said"),
    [
        ("pipelin", 2, "there is no command 'pipelin'; did you mean pipeline?"),
        ("lead shwo", 2, "there is no command 'shwo'; did you mean show?"),
        ("rules lst", 2, "there is no command 'lst'; did you mean list?"),
        ("aside retyr", 2, "there is no command 'retyr'; did you mean retry?"),
        ("export zzz", 2, "there is no command 'zzz'; known: funnel, states"),
        ("rules check aidda", 4, "did you mean aida? name a TOML file, or a rule set that"),
        ("rules show aidda", 4, "`leadledger rules list` shows"),
        ("rules compose aida tofu", 4, "did you mean tofu_mofu_bofu?"),
        ("rules show zzz", 4, "No such file or directory; name a TOML file"),
    ],
)
def test_an_unknown_name_is_guessed_without_a_database(line, code, said):
    done = CliRunner().invoke(cli, line.split())
    assert done.exit_code == code
    assert said in done.stderr


@pytest.mark.parametrize(
    ("line", "code", "said"),
    [
        ("pipeline --rules aidda", 4, "did you mean aida?"),
        ("pipeline --by chanel", 2, "'chanel'; did you mean channel? use one or two of source"),
        ("pipeline --by campaign.nam", 2, "did you mean campaign.name?"),
        ("pipeline --by zzz", 2, "leads are not known by 'zzz'; use one or two of source"),
        ("funnel first_touch", 4, "there is no funnel 'first_touch'; did you mean first_touch_to"),
        ("export funnel quote_won", 4, "did you mean quote_to_won?"),
        ("leads --stage mql", 4, "there is no stage 'mql'; did you mean lifecycle.mql?"),
        ("leads --segment hot", 4, "there is no segment 'hot'; did you mean hot_and_idle?"),
        ("funnel first_touch_to_won --leads 9", 4, "there is no step '9'; known: 1, 2, 3, 4, 5"),
        (
            "funnel first_touch_to_won --leads 1 --by source --bucket wbe",
            4,
            "there is no bucket 'wbe'; did you mean web?",
        ),
        (
            "import in.jsonl --mapping olist_lead",
            4,
            "did you mean olist_leads? name a TOML file, or one of those that ship: clickstream, ",
        ),
        ("import in.jsonl --mapping zzz", 4, "(No such file or directory); name a TOML file"),
    ],
)
def test_an_unknown_name_is_guessed(database, line, code, said):
    done = CliRunner().invoke(cli, [*line.split(), "--db", database])
    assert done.exit_code == code
    assert said in done.stderr


MAPPING = """
name = "calls"
[[touchpoint]]
source = "pbx"
type = { column = "kind", values = { a = "call_conected", b = "x_own" }, default = "lst" }
channel = "phon"
occurred_at = "{at}"
identifiers = [{ kind = "fone", value = "{tel}" }]
"""


def test_unknown_words_of_a_mapping_are_told_where_they_stand_with_what_is_meant():
    with pytest.raises(MappingInvalid) as caught:
        mapfile.parse(MAPPING)
    custom = "is not in the catalogue, and does not begin with x_"
    assert [tuple(fault) for fault in caught.value.faults] == [
        (
            "touchpoint[0].type.default",
            5,
            f"'lst' {custom}; did you mean lost?",
        ),
        (
            "touchpoint[0].type.values.a",
            5,
            f"'call_conected' {custom}; did you mean call_connected?",
        ),
        ("touchpoint[0].channel", 6, f"'phon' {custom}; did you mean phone?"),
        (
            "touchpoint[0].identifiers[0].kind",
            8,
            "'fone' is no kind of identifier; did you mean phone?",
        ),
    ]
