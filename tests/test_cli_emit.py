"""`leadledger emit`: from standard input to a real broker, and every way in which it ends."""

import json
import os
import signal
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from engine.cli.emit import _lines, _Stop
from engine.strict_json import MAX_LINE
from tests.emitting import arrived, ids, people, row
from tests.services.process import free_port, wait_until
from tests.test_readme import blocks, calls, environment

ROOT = Path(__file__).parents[1]
LEADLEDGER = "from engine.cli.main import cli; cli(prog_name='leadledger')"


@pytest.fixture
def leadledger(tmp_path):
    """A function that starts the command in a process of its own, all that it makes in a folder."""

    def start(servers, *words, topic="touchpoints", **more):
        kept = {name: value for name, value in os.environ.items() if "LEADLEDGER" not in name}
        ours = {"LEADLEDGER_KAFKA": servers, "LEADLEDGER_TOPIC": topic, "PYTHONPATH": str(ROOT)}
        ours |= {"LEADLEDGER_DATABASE_URL": f"sqlite:///{tmp_path / 'leads.db'}", "NO_COLOR": "1"}
        command = [sys.executable, "-c", LEADLEDGER, *words]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        return subprocess.Popen(command, env=kept | ours, cwd=tmp_path, text=True, **pipes, **more)

    return start


def lines(rows):
    return "".join(json.dumps(one) + "\n" for one in rows)


@pytest.mark.services
def test_rows_go_out_and_are_counted(kafka, leadledger):
    topic = kafka.new_topic()
    said, noted = (done := leadledger(kafka.servers, "emit", topic=topic)).communicate(
        lines(people(20))
    )
    assert (done.returncode, noted) == (0, "")
    assert said == "20 rows: 20 acknowledged, 0 refused\n"
    assert arrived(kafka, topic) == ids(people(20))


@pytest.mark.services
def test_refused_rows_are_named_on_standard_error_with_their_reason(kafka, leadledger):
    topic = kafka.new_topic()
    done = leadledger(kafka.servers, "emit", "--json", topic=topic)
    said, noted = done.communicate(
        lines([row(1)]) + "\n{Ann\n" + lines([row(2, type="Ann"), row(3)])
    )
    assert done.returncode == 3
    assert json.loads(said) == {
        "received": 4,
        "refused": {"undecodable": 1, "unknown_type": 1},
        "sent": 2,
        "spooled": 0,
        "waiting": 0,
        "first_waiting": None,
    }
    first, second = noted.splitlines()
    assert first.startswith("row 2: undecodable: no JSON at character 1")
    assert second.startswith("row 3: unknown_type: ")
    assert "Ann" not in noted


@pytest.mark.services
def test_a_row_goes_out_before_the_next_is_there(kafka, leadledger):
    topic = kafka.new_topic()
    process = leadledger(kafka.servers, "emit", topic=topic)
    process.stdin.write(lines([row(1)]))
    process.stdin.flush()
    assert wait_until(lambda: kafka.messages(topic), 20)
    process.communicate()


@pytest.mark.services
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_sees_through_what_was_read_and_says_where_it_stopped(kafka, leadledger, number):
    topic = kafka.new_topic()
    process = leadledger(kafka.servers, "emit", topic=topic)
    process.stdin.write(lines(people(300)) + '{"source": "half a li')
    process.stdin.flush()
    assert wait_until(lambda: len(kafka.messages(topic)) == 300, 20)
    process.send_signal(number)
    said, noted = process.communicate()
    assert process.returncode == 130
    assert said == "300 rows: 300 acknowledged, 0 refused\n"
    assert noted == "stopped: what comes after row 300 was not read\n"


@pytest.mark.services
def test_ctrl_c_names_the_rows_that_are_not_acknowledged(own_kafka, leadledger):
    topic = own_kafka.new_topic()
    process = leadledger(own_kafka.servers, "emit", topic=topic)
    process.stdin.write(lines(people(10)))
    process.stdin.flush()
    assert wait_until(lambda: len(own_kafka.messages(topic)) == 10, 20)
    own_kafka.freeze()
    process.stdin.write(lines(row(number) for number in range(10, 15)))
    process.stdin.flush()
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(1)
    process.send_signal(signal.SIGINT)
    said, _ = process.communicate()
    own_kafka.thaw()
    assert process.returncode == 130
    assert said == (
        "15 rows: 10 acknowledged, 0 refused\n5 are not acknowledged: send again from row 11 on\n"
    )


@pytest.mark.services
def test_rows_wait_in_the_spool_until_a_run_that_finds_the_broker(kafka, leadledger, tmp_path):
    topic = kafka.new_topic()
    spool = "--spool", str(tmp_path / "spool")
    away = leadledger(f"127.0.0.1:{free_port()}", "emit", *spool, topic=topic)
    said, _ = away.communicate(lines(people(30)))
    assert away.returncode == 7
    assert said.startswith("30 rows: 0 acknowledged, 0 refused\n30 wait in the spool; the next")
    back = leadledger(kafka.servers, "emit", *spool, topic=topic)
    said, _ = back.communicate(lines([row(30)]))
    assert (back.returncode, said) == (0, "1 rows: 31 acknowledged, 0 refused\n")
    assert arrived(kafka, topic) == ids([*people(30), row(30)])


@pytest.mark.services
def test_without_a_topic_nothing_is_read(kafka, leadledger):
    process = leadledger(kafka.servers, "emit", topic=f"none-{free_port()}")
    said, noted = process.communicate(lines(people(3)))
    assert (process.returncode, said) == (4, "")
    assert "leadledger kafka init" in noted


@pytest.mark.services
def test_what_docs_kafka_shows_is_so(kafka, tmp_path):
    page = ROOT / "docs/kafka.md"
    written = dict.fromkeys(("sh", "python"), "")
    for block in blocks(page):
        written[block.language] += block.text
    topic = f"page-{free_port()}"
    ours = {"LEADLEDGER_KAFKA": kafka.servers, "LEADLEDGER_TOPIC": topic}
    (tmp_path / "touchpoints.jsonl").write_text(lines(people(3)))
    for call in calls(written["sh"]):
        if call.command.split()[1] not in ("kafka", "emit"):
            continue  # consuming does not end by itself
        words = call.command.replace("leadledger", f'{sys.executable} -c "{LEADLEDGER}"')
        done = subprocess.run(words, shell=True, cwd=tmp_path, env=environment(tmp_path) | ours)
        assert done.returncode == 0, call.command
    names = {}
    exec(compile(written["python"], page.name, "exec"), names)
    counts = names["send"](environment(tmp_path) | ours, people(5), tmp_path / "spool")
    assert (counts.received, counts.sent) == (5, 5)
    assert arrived(kafka, topic) == ids(people(5))
    with closing(kafka.admin()) as admin:
        admin.delete_topics([topic, f"{topic}.aside"])


def test_settings_that_cannot_be_used_are_told_in_a_sentence(leadledger):
    process = leadledger("nowhere", "emit")
    _, noted = process.communicate("")
    assert process.returncode == 2
    assert noted.startswith("leadledger: LEADLEDGER_KAFKA is no list of servers")


def test_lines_come_as_soon_as_they_are_whole():
    chunks = [b"one\ntw", b"o\n\n  \nthree", b"", b"\nfour"]
    assert list(_lines(iter(chunks), _Stop())) == [
        ([b"one"], 6),
        ([b"two"], 11),
        ([], 0),
        ([b"three"], 5),
        ([b"four"], 0),
    ]


def test_of_a_line_without_end_only_so_much_is_kept_as_shows_it():
    piece = b"x" * 65_536
    chunks = [*[piece] * 100, b"x\nnext\n"]
    found = [one for some, _ in _lines(iter(chunks), _Stop()) for one in some]
    assert [len(one) for one in found] == [MAX_LINE + len(piece), len(b"next")]
