"""Whatever is put into the command line ends in an answer: a sentence, the fix, an exit code."""

import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from engine.cli.main import cli
from engine.store.facts import Facts
from tests.disks import Disk
from tests.import_world import touchpoint

COMMAND = str(Path(sys.executable).with_name("leadledger"))
ROOT = Path(__file__).parents[1]
TERMINAL = "\x1b]0;taken\x07", "\x9b31m", "\u202e", "\r", "\x7f"


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database that nobody changes."""
    folder = tmp_path_factory.mktemp("bad_input")
    owners = [{"type": "assigned", "attributes": {"owner": f"An{text}"}} for text in TERMINAL]
    lines = [touchpoint(number, **more) for number, more in enumerate(owners)]
    (folder / "in.jsonl").write_text("".join(lines), encoding="utf-8")
    assert call("import", folder / "in.jsonl", "--db", folder / "x.db")[0] == 0
    assert call("pipeline", "--db", folder / "x.db")[0] == 0
    return folder


def call(*words: object) -> tuple[int, str]:
    """Exit code and all that was said; nothing but an exit may come out of it."""
    done = CliRunner().invoke(cli, [str(word) for word in words])
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done.exit_code, done.output


def shell(line: str, folder: Path, **environ: str) -> subprocess.CompletedProcess[str]:
    """A line of bash in which `$L` is the command; `$?` of it is the exit code."""
    return subprocess.run(
        ["bash", "-c", f"cd {shlex.quote(str(folder))}; {line}"],
        env={**os.environ, "L": COMMAND, **environ},
        capture_output=True,
        text=True,
        errors="replace",
        timeout=120,
        check=False,
    )


# Options that make no sense


@pytest.mark.parametrize(
    "instant",
    [
        "9223372036854775807",
        "-9223372036854775808",
        "99999999999999999999",
        "9" * 5000,
        "9999-12-31T23:59:59-23:59",
        "0001-01-01T00:00:00+23:59",
        "yesterday",
        "",
    ],
    ids=lambda value: value[:24],
)
def test_an_instant_that_no_calendar_has_is_refused(sound: Path, instant: str):
    code, said = call("pipeline", "--as-of", instant, "--db", sound / "x.db")
    assert code == 2
    assert "write an instant like 2026-03-01T08:00:00+07:00" in said


@pytest.mark.parametrize("instant", ["0001-01-01T00:00:00Z", "9999-12-31T23:59:59.999999Z"])
@pytest.mark.parametrize("command", ["pipeline", "export states", "funnel first_touch_to_won"])
def test_the_first_and_the_last_instant_are_answered(sound: Path, instant: str, command: str):
    assert call(*command.split(), "--as-of", instant, "--db", sound / "x.db")[0] == 0


def test_a_day_that_begins_before_all_calendars_is_refused_by_its_name(sound: Path):
    code, said = call("pipeline", "--as-of", "0001-01-01", "--db", sound / "x.db")
    assert code == 2
    assert "0001-01-01 begins in Asia/Ho_Chi_Minh before the year 1 does in UTC" in said


def test_more_rows_than_there_can_be_are_all_there_are(sound: Path):
    many = 10**23
    assert call("leads", "--limit", many, "--db", sound / "x.db")[0] == 0
    assert call("pipeline", "--by", "owner", "--top", many, "--db", sound / "x.db")[0] == 0


@pytest.mark.parametrize("rules", ["", "nope", "a" * 64, "a" * 5000, ".", "\udcff"])
def test_rules_that_are_not_there_are_told(sound: Path, rules: str):
    code, said = call("pipeline", "--rules", rules, "--db", sound / "x.db")
    assert code == 4
    assert "name" in said


@pytest.mark.parametrize("mapping", ["", "nope", ".", "a" * 5000])
def test_a_mapping_that_is_not_there_is_told(sound: Path, mapping: str, tmp_path: Path):
    code, said = call("import", sound / "in.jsonl", "--mapping", mapping, "--db", tmp_path / "x.db")
    assert code == 4
    assert "name a TOML file" in said


@pytest.mark.parametrize("file", ["rules", "mapping"])
def test_a_file_without_end_is_no_rule_file_and_no_mapping(sound: Path, file: str, tmp_path: Path):
    words = {
        "rules": ("rules", "check", "/dev/zero"),
        "mapping": ("import", sound / "in.jsonl", "--mapping", "/dev/zero", "--db", tmp_path / "x"),
    }
    code, said = call(*words[file])
    assert code == 2
    assert "more than 1048576 bytes" in said


def test_a_number_too_long_to_be_read_is_told_without_pythons_advice(tmp_path: Path):
    (tmp_path / "long.toml").write_text(f'name = "x"\nvalue = {"9" * 5000}\n', encoding="utf-8")
    code, said = call("rules", "check", tmp_path / "long.toml")
    assert code == 2
    assert "too many digits" in said
    assert "sys." not in said


def test_ten_faults_of_a_rule_file_are_told_at_once(sound: Path, tmp_path: Path):
    (tmp_path / "ten.toml").write_text(
        """
name = "Bad Name"
zone = "Mars/Olympus"
value = "nope"
colour = 1
[[signal]]
name = "a"
type = "nosuch"
[[signal]]
name = "a"
attributes.x = { matches = "(" }
[[score]]
name = "s"
half_life = "10x"
[[score.earn]]
signal = "zz"
points = "five"
[[funnel]]
name = "f"
window = -1
""",
        encoding="utf-8",
    )
    code, said = call("rules", "check", tmp_path / "ten.toml")
    assert code == 2
    told = [int(line.split()[1].rstrip(":")) for line in said.splitlines()[1:]]
    assert len(told) >= 10
    assert {2, 3, 4, 5, 10, 11, 14, 16, 17} <= set(told), said
    assert call("pipeline", "--rules", tmp_path / "ten.toml", "--db", sound / "x.db")[0] == 2


# Databases that are none


def test_what_is_no_file_is_no_database_and_keeps_nobody_waiting(sound: Path, tmp_path: Path):
    (tmp_path / "folder.db").mkdir()
    os.mkfifo(tmp_path / "pipe.db")
    (tmp_path / "gone.db").symlink_to("nowhere")
    (tmp_path / "loop.db").symlink_to("loop.db")
    for name in ("folder", "pipe", "gone", "loop"):
        shutil.copy(sound / "x.db.keys", tmp_path / f"{name}.db.keys")
        for words in (["import", sound / "in.jsonl"], ["head"], ["doctor"]):
            code, said = call(*words, "--db", tmp_path / f"{name}.db")
            assert code == (1 if words == ["doctor"] else 7), (name, words, said)
            assert "--db" in said


@pytest.mark.parametrize(
    "database",
    ["", "~nobody-here/x.db", "sqlite:///a%00b.db", "a" * 300, "postgresql://an:secret@host/db"],
)
@pytest.mark.parametrize("command", ["head", "import /dev/null"])
def test_a_database_that_cannot_be_is_refused(
    database: str, command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    code, said = call(*command.split(), "--db", database)
    assert code != 0
    assert said.startswith("leadledger: ")
    assert "secret" not in said


def test_a_file_that_is_no_database_is_told_so_and_no_keys_are_missed(tmp_path: Path):
    (tmp_path / "x.db").write_bytes(b"\x89PNG and so on")
    for words in (["head"], ["audit", "verify"], ["leads"], ["import", "/dev/null"]):
        code, said = call(*words, "--db", tmp_path / "x.db")
        assert (code, "no SQLite database" in said, "key" in said) == (7, True, False), said
    assert [one.name for one in tmp_path.iterdir()] == ["x.db"]


@pytest.mark.parametrize("command", ["head", "import /dev/null"])
def test_a_folder_or_an_empty_file_is_told_so_and_no_keys_are_missed(tmp_path: Path, command: str):
    (tmp_path / "folder.db").mkdir()
    (tmp_path / "empty.db").touch()
    for name, what in (("folder", "is a folder"), ("empty", "is an empty file")):
        code, said = call(*command.split(), "--db", tmp_path / f"{name}.db")
        assert (code, what in said, "key" in said) == (7, True, False), said


def test_who_only_reads_leaves_nothing_where_there_is_no_database(tmp_path: Path):
    code, said = call("head", "--db", tmp_path / "none" / "x.db")
    assert code == 7
    assert "no database at" in said
    assert not list(tmp_path.iterdir())


def test_a_key_file_that_is_none_is_not_to_be_changed(sound: Path):
    done = shell("$L head --db x.db", sound, LEADLEDGER_KEY_FILE="/dev/null")
    assert done.returncode == 2
    assert "no file" in done.stderr
    assert "chmod" not in done.stderr


# What is shown


@pytest.mark.parametrize(
    "command", ["leads", "pipeline --by owner", "lead show user_id:u0", "lead history user_id:u0"]
)
def test_nothing_that_came_in_speaks_to_the_terminal(sound: Path, command: str):
    _, said = call(*command.split(), "--db", sound / "x.db")
    assert not [text for text in "\x1b\x07\x9b\u202e\r\x7f" if text in said]


def test_what_would_speak_to_the_terminal_is_written_out(sound: Path):
    _, said = call("leads", "--db", sound / "x.db")
    assert r"An\x1b]0;taken\x07" in said
    assert r"An\u202e" in said


def test_a_file_whose_name_is_no_text_is_imported_like_any_other(tmp_path: Path):
    file = Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff.jsonl"))
    file.write_text(touchpoint(1) + "junk\n", encoding="utf-8")
    db = tmp_path / "x.db"
    code, said = call("import", file, "--db", db)
    assert (code, "1 recorded" in said) == (3, True)
    assert r"\udcff.jsonl" in call("aside", "list", "--db", db)[1]
    assert "0 received" in call("import", file, "--db", db)[1]


# Where what is said goes


@pytest.mark.parametrize(
    "command", ["pipeline", "export states", "rules show default", "head", "--help"]
)
def test_an_output_that_takes_nothing_is_told(sound: Path, command: str):
    db = "" if command.startswith(("rules", "--help")) else "--db x.db"
    full = shell(f"$L {command} {db} > /dev/full", sound)
    assert full.returncode == 7
    assert full.stderr.startswith("leadledger: cannot write the output (No space left on device)")
    assert len(full.stderr.splitlines()) == 1


def test_closed_outputs_are_no_fault_of_the_command(sound: Path):
    for line in ("$L export states --db x.db >&-", "$L pipeline --db x.db >&- 2>&-"):
        done = shell(line, sound)
        assert (done.returncode, done.stderr) == (0, "")
    assert shell("$L import in.jsonl --db x.db 2>&- <&-", sound).returncode == 0


@pytest.mark.parametrize("command", ["pipeline", "leads", "export states"])
def test_who_reads_one_line_and_goes_disturbs_nobody(sound: Path, command: str):
    line = f"$L {command} --db x.db | (exec 0<&-; sleep 0); echo ${{PIPESTATUS[0]}}"
    done = shell(line, sound)
    assert (done.stdout, done.stderr) == ("0\n", "")


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_a_terminal_without_the_letters_gets_what_it_can_show(sound: Path, encoding: str):
    done = shell("$L pipeline --lang vi --db x.db", sound, PYTHONIOENCODING=encoding)
    assert (done.returncode, done.stderr) == (0, "")


# Stopped half-way: all that was received is accounted for, and the next run does the rest


def accounted(db: Path, received: int) -> None:
    """All that ever came is recorded, known or set aside, and the doctor says so too."""
    with Facts.open(db, create=False) as facts:
        came = list(facts.intake().values())
    assert sum(one.received for one in came) == received
    assert all(one.received == one.recorded + one.duplicates + one.set_aside for one in came)
    _, said = call("doctor", "--json", "--db", db)
    found = {finding["check"]: finding for finding in json.loads(said)}
    assert found["conservation"]["ok"], said


DOUBLED = """
import os, signal, sys
from engine import importer
twice = iter([True])

def once_more(frame, event, _):
    inside = (event, frame.f_code.co_name) in {("call", "notify_all"), ("c_call", "note")}
    if inside and next(twice, None):
        os.kill(os.getpid(), signal.SIGINT)

with importer._interrupt_noted() as asked:
    sys.setprofile(once_more)
    os.kill(os.getpid(), signal.SIGINT)
    sys.setprofile(None)
    print("noted")
"""


def test_a_second_ctrl_c_while_the_first_is_being_noted_hangs_nothing():
    done = subprocess.run(
        [sys.executable, "-c", DOUBLED],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    assert done.stdout == "noted\n", done.stderr


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL], ids=["ctrl-c", "kill"])
def test_a_stopped_import_goes_on_in_the_next_run(how: signal.Signals, tmp_path: Path):
    lines = [touchpoint(number) for number in range(30_000)]
    lines[500], lines[2500] = "junk\n", lines[3]
    (tmp_path / "many.jsonl").write_text("".join(lines), encoding="utf-8")
    words = [COMMAND, "import", "many.jsonl", "--db", "x.db"]
    with subprocess.Popen(
        words,
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    ) as running:
        assert running.stderr is not None
        first = running.stderr.readline()  # a tenth is done
        running.send_signal(how)
        said = first + running.stderr.read()
    assert running.returncode == (130 if how == signal.SIGINT else -how), said
    with Facts.open(tmp_path / "x.db", create=False) as facts:
        before = sum(one.received for one in facts.intake().values())
    assert 0 < before < 30_000
    accounted(tmp_path / "x.db", before)
    code, said = call("import", tmp_path / "many.jsonl", "--json", "--db", tmp_path / "x.db")
    assert code == 0, said
    with Facts.open(tmp_path / "x.db", create=False) as facts:
        assert facts.head() == 29_998
    accounted(tmp_path / "x.db", 30_000)


def test_an_import_goes_on_after_the_disk_was_full(tmp_path: Path, small_disk: Disk):
    file, db = tmp_path / "many.jsonl", small_disk.folder / "x.db"
    lines = [touchpoint(number) for number in range(6_000)]
    lines[5] = "junk\n"
    file.write_text("".join(lines), encoding="utf-8")
    small_disk.grow(4)
    code, said = call("import", file, "--db", db)
    assert code == 7
    assert "make room, and run the same command again" in said
    with Facts.open(db, create=False) as facts:
        before = sum(one.received for one in facts.intake().values())
    assert before < 6_000
    small_disk.grow(64)
    code, said = call("import", file, "--db", db)
    assert code == (0 if before else 3), said
    with Facts.open(db, create=False) as facts:
        assert facts.head() == 5_999
    accounted(db, 6_000)


def test_two_imports_at_once_record_everything_once(tmp_path: Path):
    for name in "ab":
        lines = [touchpoint(number) for number in range(5_000)]
        (tmp_path / f"{name}.jsonl").write_text("".join([*lines, f"{name}\n"]), encoding="utf-8")
    shell("$L import /dev/null --db x.db", tmp_path)
    done = shell(
        "$L import a.jsonl --db x.db & first=$!; $L import b.jsonl --db x.db; second=$?; "
        "wait $first; echo $? $second",
        tmp_path,
    )
    assert done.stdout.splitlines()[-1] == "3 3", done.stderr
    with Facts.open(tmp_path / "x.db", create=False) as facts:
        assert facts.head() == 5_000
        assert len(facts.aside()) == 2
    accounted(tmp_path / "x.db", 10_002)
