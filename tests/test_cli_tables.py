"""Tables on terminals: they fit, and nothing in them is lost on the way."""

import io
import re
import sys
import unicodedata
from collections import Counter
from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.cli import output
from engine.cli.output import BAR, _fit, _shorter, _shrink, plain

FIRST, OTHER, BARS = 12, 8, 3  # the least that the first words, other words and bars get
ANSI = re.compile(r"\x1b\[[0-9;]*m")


class Screen(io.StringIO):
    """A terminal."""

    def isatty(self):
        return True


def cells(text):
    """How many cells of a terminal a line takes: by Unicode's own tables."""
    wide = sum(unicodedata.east_asian_width(letter) in "WF" for letter in text)
    return len(text) + wide - sum(unicodedata.category(letter) == "Mn" for letter in text)


def widest(texts):
    return max((cells(line) for text in texts for line in text.split("\n")), default=0)


def longest_word(texts):
    return max((cells(word) for text in texts for word in text.split()), default=0)


def least(columns, rows, left):
    """How wide each column is at its narrowest."""
    widths, limit = [], FIRST
    for index, head in enumerate(columns):
        column = [row[index] for row in rows]
        if not head:
            widths.append(BARS)
        elif index < left:
            widths.append(min(longest_word([head, *column]), limit))
            limit = OTHER
        else:
            widths.append(max(longest_word([head]), widest(column)))
    return widths


def shown(columns, rows, left, room, title=""):
    """The lines that a terminal so wide shows."""
    screen = Screen()
    with patch.object(sys, "stdout", screen), patch.dict("os.environ", COLUMNS=str(room)):
        output.table(title, columns, rows, left)
    return ANSI.sub("", screen.getvalue()).split("\n")


LETTERS = st.sampled_from([*"aé-7.日本한", "กี่"])
WORDS = st.lists(LETTERS, min_size=1, max_size=14).map("".join)
TEXTS = st.lists(WORDS, max_size=4).map(" ".join) | st.just("two\nlines")
FIGURES = st.integers(0, 10**9).map(lambda n: f"{n:,}") | st.just("4.37 M THB\n5.96 B VND")


@st.composite
def tables(draw):
    """Headings, rows, how many columns are words; perhaps with a bar, as reports have it."""
    words, figures = draw(st.integers(1, 3)), draw(st.integers(0, 3))
    bar = draw(st.booleans())
    heads = st.sampled_from(["step", "median age", "ขั้น", "段階", "of previous"])
    columns = [*draw(st.lists(heads, min_size=words, max_size=words)), *[""] * bar]
    columns += draw(st.lists(heads, min_size=figures, max_size=figures))
    bars = st.integers(0, 100).map(lambda part: output.bar(part, 100))
    row = st.tuples(*[TEXTS] * words, *[bars] * bar, *[FIGURES] * figures)
    return columns, draw(st.lists(row, max_size=4)), words + bar


@given(tables(), st.integers(0, 60))
def test_a_table_is_never_wider_than_the_room_that_it_can_do_with(table, more):
    columns, rows, left = table
    room = sum(least(*table)) + 2 * len(columns) + 1 + more
    widths, gap = _fit(columns, rows, left, room)
    assert sum(widths) + gap * len(columns) + 1 <= room
    assert max(map(cells, shown(*table, room))) <= room


@given(tables(), st.integers(1, 120))
def test_no_figure_is_cut(table, room):
    columns, rows, left = table
    widths, _ = _fit(columns, rows, left, room)
    for index in range(left, len(columns)):
        assert widths[index] >= widest(row[index] for row in rows)
    assert all(width >= low for width, low in zip(widths, least(*table), strict=True))


@given(tables(), st.integers(0, 60))
def test_nothing_is_lost_on_a_narrow_terminal(table, more):
    columns, rows, _ = table
    room = sum(least(*table)) + 2 * len(columns) + 1 + more
    told = Counter("".join(shown(*table, room)))
    named = [index for index, head in enumerate(columns) if head]
    said = Counter("".join([*columns, *(row[index] for row in rows for index in named)]))
    assert said.keys() - set(" \n") <= told.keys()
    assert all(told[letter] >= said[letter] for letter in said.keys() - set(" \n"))


@given(tables())
def test_without_a_terminal_every_cell_stands_on_lines_of_its_own(table):
    columns, rows, left = table
    widths, gap = _fit(columns, rows, left, None)
    assert gap == 3
    for index, head in enumerate(columns):
        whole = widest([head, *(row[index] for row in rows)]) if head else BAR
        assert widths[index] == whole


@pytest.mark.parametrize(
    ("room", "widths", "gap"),
    [
        (42, [7, 18, 7], 3),  # 7 + 18 + 7, three gaps of 3, and 1: just so
        (41, [7, 18, 7], 2),  # columns move together: 39
        (30, [7, 9, 7], 2),  # the bar shrinks
        (27, [7, 6, 7], 2),
        (26, [6, 6, 7], 2),  # words wrap once it is short
        (24, [4, 6, 7], 2),
        (21, [4, 3, 7], 2),  # the bar is next to nothing before a word breaks
        (9, [4, 3, 7], 2),  # too narrow for what cannot be narrower
    ],
)
def test_what_gives_way_first(room, widths, gap):
    columns, row = ("step", "", "reached"), ("1. Lead", "█", "2,394")
    assert _fit(columns, [row], 1, room) == (widths, gap)


def test_words_break_only_where_no_word_fits_and_the_first_column_last():
    columns, row = ("name", "what"), ("a" * 20, "b" * 20)
    assert _fit(columns, [row], 2, 45) == ([20, 20], 2)
    assert _fit(columns, [row], 2, 40) == ([20, 15], 2)
    assert _fit(columns, [row], 2, 30) == ([17, 8], 2)
    assert _fit(columns, [row], 2, 10) == ([12, 8], 2)


def test_a_figure_in_the_first_column_is_no_word():
    assert _fit(("n",), [("1,000,000,000,000",)], 0, 5) == ([17], 2)


@pytest.mark.parametrize(
    ("text", "taken"),
    [("Lead", 4), ("日本語", 6), ("ที่", 1), ("ลีดที่ผ่านเกณฑ์", 10), ("Tiềm năng", 9), ("한국", 4)],
)
def test_a_column_is_as_wide_as_its_letters_are_on_a_terminal(text, taken):
    assert _fit(("n",), [(text,)], 1, None) == ([taken], 3)


def test_wide_letters_and_marks_leave_the_next_column_where_it_is():
    rows = [("日本語", "1"), ("ที่นี่", "22"), ("Lead", "3")]
    lines = shown(("name", "n"), rows, 1, 80)[3:6]
    assert [line.lstrip() for line in lines] == ["日本語    1", "ที่นี่       22", "Lead      3"]


def test_a_long_title_stands_whole_above_a_small_table():
    title = "0 leads as of 2026-03-01 08:00 Asia/Ho_Chi_Minh"
    lines = shown(("lead", "n"), [], 1, 80, f"{title}\nstages: sales")
    assert lines[:2] == [title, "stages: sales"]


@given(st.lists(st.integers(0, 30), min_size=1, max_size=5), st.data())
def test_shrinking_takes_no_more_than_it_must_and_nothing_below_a_floor(widths, data):
    floors = {
        i: data.draw(st.integers(0, 30)) for i in range(len(widths)) if data.draw(st.booleans())
    }
    room = data.draw(st.integers(0, 160))
    before, total = widths.copy(), sum(widths) + 2 * len(widths) + 1
    spare = sum(max(widths[index] - floor, 0) for index, floor in floors.items())
    _shrink(widths, floors, room)
    assert sum(before) - sum(widths) == min(max(total - room, 0), spare)
    for index, width in enumerate(widths):
        assert min(before[index], floors.get(index, before[index])) <= width <= before[index]


def test_the_column_with_most_to_spare_gives_first():
    widths = [10, 5, 9]
    _shrink(widths, {0: 4, 2: 8}, 25)  # 24 + 6 + 1 is 6 too many
    assert widths == [4, 5, 9]
    _shrink(widths, {0: 4, 2: 8}, 20)
    assert widths == [4, 5, 8]


@given(st.integers(0, 1000), st.integers(1, 1000), st.integers(3, BAR))
def test_a_shorter_bar_is_as_long_in_its_room(part, whole, width):
    drawn = _shorter(output.bar(min(part, whole), whole), width)
    assert len(drawn) <= width
    assert bool(drawn) == bool(part)
    eighths = 8 * drawn.count("█") + " ▏▎▍▌▋▊▉".index(drawn.strip("█") or " ")
    exact = 8 * width * min(part, whole) / whole
    assert abs(eighths - max(exact, 1 if part else 0)) <= 1


@pytest.mark.parametrize(
    ("bar", "width", "drawn"),
    [
        ("█" * 18, 6, "█" * 6),
        ("█" * 9, 6, "███"),
        ("▏", 3, "▏"),  # what is not nothing is seen
        ("", 6, ""),
        ("██▏", 18, "██▏"),
        ("█" * 4 + "▌", 6, "█▌"),  # 36 eighths of 18 are 12 of 6
    ],
)
def test_bars_by_hand(bar, width, drawn):
    assert _shorter(bar, width) == drawn


@given(st.text())
def test_no_text_speaks_to_the_terminal(text):
    said = plain(text)
    silent = {"\n", "\u200c", "\u200d"}
    assert all(
        unicodedata.category(letter) not in ("Cc", "Cf", "Cs") for letter in set(said) - silent
    )
    assert plain(said) == said


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("Nguyễn Thị Ánh", "Nguyễn Thị Ánh"),
        ("ที่นี่ 日本 👩‍👧", "ที่นี่ 日本 👩‍👧"),
        ("a\x1b[2Jb", r"a\x1b[2Jb"),
        ("a\tb\rc", r"a\tb\rc"),
        ("\u202eabc", r"\u202eabc"),
        ("\ud800", r"\ud800"),
        ("\U000e0041", r"\U000e0041"),
        ("two\nlines", "two\nlines"),
    ],
)
def test_what_is_shown_of_a_text(text, said):
    assert plain(text) == said


@pytest.mark.parametrize("where", ["title", "heading", "cell"])
def test_no_part_of_a_table_speaks_to_the_terminal(where):
    texts = {"title": "t", "heading": "h", "cell": "c", where: "\x9b31m"}
    lines = shown((texts["heading"],), [(texts["cell"],)], 1, 80, texts["title"])
    assert r"\x9b31m" in "".join(lines)
    assert "\x9b" not in "".join(lines)
