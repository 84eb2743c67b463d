"""What machines call a rule set: by what it says, however TOML puts it."""

import hashlib
import json

from engine.rulefile import parse
from engine.rulelang.clocks import holidays_of
from tests.rule_faults import SIGNALS


def sha(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def test_the_id_is_the_digest_of_canonical_json():
    rules = parse(
        'name = "a"\nlabel = { vi = "Đ", en = "E" }\nvalue = "s"\n'
        '[[score]]\nname = "p"\ncap = 7.50\n[[score.earn]]\nsignal = "s"\npoints = 1e-06\n'
        '[[signal]]\ntype = "won"\nname = "s"\nattributes.n = { at_least = 3.0 }\n'
    )
    fold = (
        '"score":[{"cap":7.5,"earn":[{"points":0.000001,"signal":"s"}],"name":"p"}],'
        '"signal":[{"attributes":{"n":{"at_least":3}},"name":"s","type":"won"}],"value":"s"}'
    )
    assert rules.id == sha('{"label":{"en":"E","vi":"Đ"},"name":"a",' + fold)
    assert rules.fold_id == sha("{" + fold)


def test_the_notation_of_toml_makes_no_other_id():
    inline = parse(
        'signal=[{name="s",type="won"}]\nname="a"\n'
        'score=[{name="p",cap=5,earn=[{signal="s",points=1.50}]}]'
    )
    spread = parse(
        """
        name = 'a'  # a comment
        [[score]]
        cap = 5.0
        "name" = "p"
        [[score.earn]]
        points = 15e-1
        signal = "s"
        [[signal]]
        type = "\\u0077on"
        name = "s"
        """
    )
    assert inline.id == spread.id
    assert inline.fold_id == spread.fold_id


def test_a_default_written_out_is_another_file_and_the_same_rules():
    short = parse(SIGNALS)
    long = parse(f'zone = "UTC"\n{SIGNALS}')
    assert short.id != long.id
    assert short.fold_id == long.fold_id


def test_integers_beyond_doubles_keep_their_ids_apart():
    signal = 'name="a"\n[[signal]]\nname="s"\namount.minor={{at_least={}}}'
    ids = {parse(signal.format(2**53 + more)).id for more in range(4)}
    assert len(ids) == 4


def test_a_country_and_its_dates_have_one_id():
    calendar = 'name="a"\n[[calendar]]\nname="c"\nhours={{mon="09:00-10:00"}}\nholidays={}'
    country = parse(calendar.format('"TH"'))
    dates = parse(calendar.format(json.dumps(holidays_of("TH"))))
    assert country == dates


def test_questions_are_no_part_of_what_is_folded():
    asked = '[[funnel]]\nname = "f"\nstep = [{ signal = "call" }]\n[[segment]]\nname = "s"\n'
    with_questions = parse(f'{SIGNALS}{asked}where = {{ seen = "call" }}')
    plain = parse(SIGNALS.replace("shop", "store"))
    assert with_questions.fold_id == plain.fold_id
    assert with_questions.id != plain.id


def test_a_label_of_a_stage_is_part_of_what_is_folded():
    track = '[[track]]\nname = "t"\nstage = [{{ name = "a"{} }}]'
    plain = parse(SIGNALS + track.format(""))
    labelled = parse(SIGNALS + track.format(', label = { en = "A" }'))
    assert plain.fold_id != labelled.fold_id


def test_the_zone_counts_where_a_calendar_takes_it_over():
    def folded_as(zone: str, calendar: str = "") -> str:
        hours = f'[[calendar]]\nname = "c"\nhours = {{ mon = "09:00-10:00" }}\n{calendar}'
        return parse(f'name = "a"\nzone = "{zone}"\n{hours}').fold_id

    assert folded_as("UTC") != folded_as("Asia/Bangkok")
    assert folded_as("UTC", 'zone = "Asia/Bangkok"') == folded_as("Asia/Bangkok")
    assert parse('name = "a"\nzone = "UTC"').fold_id == parse('name = "a"').fold_id == sha("{}")
