"""What is wrong with a rule file as a whole: many faults at once, limits, circles, no TOML."""

import pytest

from engine import rulefile
from engine.errors import EngineError, Fault, RulesInvalid
from engine.rulefile import parse
from tests.rule_faults import FAULTY, HERE, SOUND, faults_of


def test_all_faults_of_a_file_are_listed_with_key_and_line():
    faults = faults_of(FAULTY)
    assert [(fault.key, fault.line) for fault in faults] == [
        ("name", None),
        ("label.fr", 1),
        ("zone", 2),
        ("started", 3),
        ("signal[0].typ", 7),
        ("signal[1].name", 11),
        ("signal[1].attributes.seconds.at_least", 12),
        ("signal[1].attributes.seconds.matches", 12),
        ("score[0].half_life", 16),
        ("score[0].floor", 17),
        ("score[0].earn[0].signal", 19),
        ("score[0].earn[0].points", 20),
        ("score[0].earn[0].every", 21),
        ("track[0].stage[0].name", 26),
        ("track[0].move[0].to", 30),
        ("track[0].move[0].when.score", 31),
        ("segment[0].where", 35),
    ]
    messages = {fault.key: fault.message for fault in faults}
    assert messages["name"] == "is missing"
    assert messages["zone"].endswith("; did you mean Asia/Saigon?")
    assert messages["signal[0].typ"] == "unknown key; did you mean type?"
    assert messages["track[0].move[0].to"].endswith("; did you mean mql?")


def test_the_error_tells_each_fault_on_a_line_of_its_own():
    with pytest.raises(RulesInvalid) as caught:
        parse(FAULTY, "shop.toml")
    first, *listed = str(caught.value).splitlines()
    assert first == "shop.toml has 17 faults; mend and check again:"
    assert len(listed) == 17
    assert listed[4] == "  line 7: signal[0].typ: unknown key; did you mean type?"
    assert isinstance(caught.value, EngineError)
    assert (caught.value.code, caught.value.exit_code) == ("rules_invalid", 2)


def numbered(header: str, count: int, body: str = "") -> str:
    return "".join(f"[[{header}]]\nname = 'n{number}'\n{body}\n" for number in range(count))


@pytest.mark.parametrize(
    ("header", "limit", "body"),
    [
        ("signal", 63, "type = 'a'"),  # one is there already
        ("score", 3, ""),
        ("track", 3, "stage = [{ name = 'a' }]"),
        ("track.stage", 16, ""),
        ("funnel", 16, "step = [{ signal = 'visit' }]"),
        ("clock", 16, "start.signal = 'visit'\nstop.signal = 'visit'\nwithin = '1h'"),
        ("segment", 32, "where.seen = 'visit'"),
    ],
)
def test_a_limit_is_kept_and_what_is_over_it_refused(header, limit, body):
    before = SOUND + ("[[track]]\nname = 't'\n" if header == "track.stage" else "")
    parse(before + numbered(header, limit, body))
    (fault,) = faults_of(before + numbered(header, limit + 1, body))
    assert "too many" in fault.message


def test_moves_and_steps_have_limits_of_their_own():
    move = "[[track.move]]\nto = 'old'\nwhen.seen = 'visit'\n"
    assert len(parse(SOUND + move * 64).tracks[0].moves) == 64
    (fault,) = faults_of(SOUND + move * 65)
    assert (fault.key, fault.line) == ("track[0].move[64]", HERE + 64 * 3)
    step = "[[funnel.step]]\nsignal = 'visit'\n"
    funnel = SOUND + "[[funnel]]\nname = 'f'\n"
    assert len(parse(funnel + step * 12).funnels[0].steps) == 12
    (fault,) = faults_of(funnel + step * 13)
    assert fault.key == "funnel[0].step[12]"


def test_earning_rules_are_counted_over_all_scores():
    earn = "[[score.earn]]\nsignal = 'visit'\npoints = 1\n"
    scores = "[[score]]\nname = 'a'\n" + earn * 40 + "[[score]]\nname = 'b'\n"
    parse(SOUND + scores + earn * 24)
    (fault,) = faults_of(SOUND + scores + earn * 25)
    assert fault.key == "score[2].earn[24]"
    assert "65 earning rules, at most 64" in fault.message


def test_only_windowed_counts_add_up():
    def move(at_least: int, within: str = "") -> str:
        count = f"{{ signal = 'visit', at_least = {at_least}{within} }}"
        return f"[[track.move]]\nto = 'old'\nwhen.count = {count}\n"

    parse(SOUND + move(1000) + move(32, ", within = '1d'") * 2)
    (fault,) = faults_of(SOUND + move(33, ", within = '1d'") + move(32, ", within = '1d'"))
    assert fault.key == "track[0].move[1].when.count.at_least"
    assert "65 by here, at most 64" in fault.message


def test_a_circle_of_timed_moves_is_found_over_several_moves():
    moves = "".join(
        f"[[track.move]]\nto = '{to}'\nfrom = '{source}'\nafter_stay = '1d'\n"
        for source, to in [("new", "old"), ("old", "cold"), ("cold", "new")]
    )
    (fault,) = faults_of(SOUND + moves)
    assert fault.key == "track[0].move[2]"


def test_an_empty_table_does_not_shift_the_keys_of_what_follows():
    timed = "[[track.move]]\nto='{}'\nfrom='{}'\nafter_stay='1d'\n"
    text = SOUND + "[[track.move]]\n" + timed.format("old", "new") + timed.format("new", "old")
    assert [fault.key for fault in faults_of(text)] == ["track[0].move[0]", "track[0].move[2]"]


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ("name = 'a'\nzone =\n", 2, "Invalid value"),
        ("name = 'a'\nname = 'b'\n", 2, "Cannot overwrite a value"),
        ("name = 'a'\n\n[[signal]", 3, "Expected"),
        ("a = 1\nb = 'open", 2, "is no TOML"),
        ("a = 2026-13-01", 1, "is no TOML"),
        ("a = 1\nb = '\ud800'", 2, "half a surrogate pair"),
        ("a = " + "[" * 5000, None, "too deep"),
        ("a = " + "9" * 5000, None, "is no TOML"),
        ("a = 1\n" + "b." * 50_000 + "c = 1", 2, "more than 200 dots"),
    ],
)
def test_what_is_no_toml_is_one_fault_with_its_line(text, line, said):
    (fault,) = faults_of(text)
    assert (fault.key, fault.line) == ("", line)
    assert said in fault.message


def test_a_file_in_another_encoding_is_told_with_its_line(tmp_path):
    path = tmp_path / "latin.toml"
    path.write_bytes('name = "a"\nlabel.en = "é"\n'.encode("latin-1"))
    with pytest.raises(RulesInvalid) as caught:
        rulefile.load(path)
    assert caught.value.faults == [Fault("", 2, "is not UTF-8 text")]
