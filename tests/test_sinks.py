"""Sinks: a file and a webhook, and what they do when something fails."""

import json
import os
import time

import pytest

from engine.announcement import line
from engine.errors import BadSetting, SinkAway, SinkRefused
from engine.settings import AnnounceSettings
from engine.sinks.file import FileSink
from engine.sinks.webhook import WebhookSink, receiver_of, signature
from tests.receiving import (
    CUT,
    DRIP,
    SECRET,
    SLEEP,
    announcement,
    messages,
    receiver,
    refused,
    self_signed,
)
from tests.services.process import free_port

# A file


@pytest.fixture
def path(tmp_path):
    return tmp_path / "told.jsonl"


def numbers_in(path):
    return [json.loads(one)["number"] for one in path.read_text().splitlines()]


def test_a_file_gets_a_line_for_each(path):
    sink = FileSink(path)
    assert sink.send(messages(1, 2)) == 2
    assert sink.send(messages(3)) == 1
    assert path.read_bytes() == b"".join(line(announcement(n)) + b"\n" for n in (1, 2, 3))


def test_lines_that_a_dead_run_wrote_and_did_not_note_are_not_written_again(path):
    FileSink(path).send(messages(1, 2, 3))
    FileSink(path).send(messages(2, 3, 4))
    assert numbers_in(path) == [1, 2, 3, 4]


@pytest.mark.parametrize("cut", [1, 40, 200])
def test_a_line_that_a_crash_cut_short_is_written_anew(path, cut):
    FileSink(path).send(messages(1, 2))
    path.write_bytes(path.read_bytes()[:-cut])
    FileSink(path).send(messages(1, 2, 3))
    assert numbers_in(path) == [1, 2, 3]


def test_a_file_that_was_moved_away_is_begun_anew(path):
    sink = FileSink(path)
    sink.send(messages(1))
    path.rename(path.with_suffix(".old"))
    sink.send(messages(2))
    assert (numbers_in(path.with_suffix(".old")), numbers_in(path)) == ([1], [2])


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"something else\n", "no announcement"),
        (b'{"id": "x"}\n', "no announcement"),
        (b"x" * 100_000, "too long"),
        (line(announcement(9)) + b"\n", "announcement 9, told by another ledger"),
        (line(announcement(2, lead="b" * 32)).replace(b'"id":"', b'"id":"f') + b"\n", "another"),
    ],
)
def test_a_file_of_something_else_is_left_as_it_is(path, content, problem):
    path.write_bytes(content)
    with pytest.raises(SinkRefused, match=problem):
        FileSink(path).send(messages(1, 2))
    assert path.read_bytes() == content


def test_a_disk_that_refuses_is_tried_again_without_doubling(path, monkeypatch):
    sink, write = FileSink(path), os.write
    monkeypatch.setattr(os, "write", lambda handle, data: write(handle, data[: len(data) // 2 + 1]))
    monkeypatch.setattr(os, "fsync", lambda handle: (_ for _ in ()).throw(OSError(28, "full")))
    with pytest.raises(SinkAway, match="full"):
        sink.send(messages(1, 2))
    monkeypatch.undo()
    assert sink.send(messages(1, 2, 3)) == 3
    assert numbers_in(path) == [1, 2, 3]


def test_where_no_file_can_be_it_is_said(tmp_path):
    with pytest.raises(SinkAway, match="Is a directory"):
        FileSink(tmp_path).send(messages(1))


# A webhook


@pytest.fixture
def hook():
    made = receiver()
    yield made
    made.close()
    assert made.problems == []


def webhook(url, **more):
    return WebhookSink(receiver_of(url), SECRET.encode(), **{"timeout_s": 5, **more})


def test_a_webhook_gets_each_by_itself_signed_and_in_order(hook):
    sink = webhook(hook.url)
    assert sink.send(messages(1, 2, 3)) == 3
    assert hook.heard == [json.loads(line(announcement(n))) for n in (1, 2, 3)]
    sink.close()


def test_whoever_changes_a_body_or_sends_it_again_later_is_found_out():
    body, at = line(announcement(1)), 1_772_409_600
    signed = signature(SECRET.encode(), at, body)
    headers = {"Leadledger-Signature": signed, "Leadledger-Id": announcement(1).id}
    digest = signed.partition(",")[2]
    assert refused(headers, body, SECRET, now=at + 300) == ""
    assert "too long ago" in refused(headers, body, SECRET, now=at + 301)
    assert "changed" in refused(headers, body.replace(b"mql", b"sql"), SECRET)
    assert "somebody else" in refused(headers, body, SECRET + "!")
    later = {**headers, "Leadledger-Signature": f"t={at + 300},{digest}"}
    assert "changed" in refused(later, body, SECRET)


def test_the_signature_is_that_of_the_published_scheme():
    """By hand: printf '%s' '1700000000.{}' | openssl dgst -sha256 -hmac key."""
    assert signature(b"key", 1_700_000_000, b"{}") == (
        "t=1700000000,v1=9d713ed406bb7076d4123f0dc2c39d2df5c654ed4b0cd56b52c8b4c940bd63ae"
    )


def test_each_attempt_is_signed_for_its_own_time(hook):
    times = iter([1_700_000_000, 1_700_000_100])
    sink = webhook(hook.url, clock=lambda: next(times))
    hook.answers.append(500)
    with pytest.raises(SinkAway):
        sink.send(messages(1))
    sink.send(messages(1))
    assert hook.numbers == [1, 1]


@pytest.mark.parametrize("status", [500, 503, 429, 408])
def test_an_answer_that_says_later_is_waited_for_and_what_was_taken_counts(hook, status):
    sink = webhook(hook.url)
    hook.answers.extend([200, status])
    assert sink.send(messages(1, 2, 3)) == 1
    hook.answers.append(status)
    with pytest.raises(SinkAway, match=f"answers {status}") as away:
        sink.send(messages(2, 3))
    assert not isinstance(away.value, SinkRefused)
    assert sink.send(messages(2, 3)) == 2
    assert hook.numbers == [1, 2, 2, 2, 3]


@pytest.mark.parametrize("status", [400, 401, 404, 410, 301, 302, 307])
def test_an_answer_that_no_waiting_helps_against_is_told_clearly(hook, status):
    hook.answers.append(status)
    with pytest.raises(SinkRefused, match=f"answers {status}"):
        webhook(hook.url).send(messages(1, 2))
    assert hook.numbers == [1]  # and a redirect is not followed


def test_a_receiver_that_takes_it_and_cuts_the_line_gets_it_again_under_the_same_id(hook):
    sink = webhook(hook.url)
    hook.answers.append(CUT)
    with pytest.raises(SinkAway, match=r"127\.0\.0\.1"):
        sink.send(messages(1))
    sink.send(messages(1))
    assert hook.numbers == [1, 1]
    assert len({one["id"] for one in hook.heard}) == 1


def test_a_receiver_that_is_too_slow_is_away(hook):
    hook.answers.append(SLEEP)
    with pytest.raises(SinkAway, match="no answer in time"):
        webhook(hook.url, timeout_s=0.2).send(messages(1))


def test_a_receiver_that_never_ends_its_answer_is_away(hook):
    hook.answers.append(DRIP)
    with pytest.raises(SinkAway, match="no answer in time"):
        webhook(hook.url, timeout_s=0.3).send(messages(1))


def test_a_receiver_that_is_down_is_away():
    with pytest.raises(SinkAway, match="refused"):
        webhook(f"http://127.0.0.1:{free_port()}/hook").send(messages(1))


def test_a_line_that_the_receiver_closed_while_nothing_was_sent_is_no_failure():
    hook = receiver(idle_s=0.1)
    sink = webhook(hook.url)
    sink.send(messages(1))
    time.sleep(0.5)
    assert sink.send(messages(2)) == 1
    assert hook.numbers == [1, 2]
    hook.close()


def test_one_that_cannot_prove_who_it_is_gets_nothing(hook, tmp_path, monkeypatch):
    certificate = self_signed(tmp_path)
    url = hook.speak_tls(certificate)
    with pytest.raises(SinkAway, match="certificate"):
        webhook(url).send(messages(1))
    assert hook.heard == []
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))  # where OpenSSL finds whom to trust
    assert webhook(url).send(messages(1)) == 1


@pytest.mark.parametrize(
    ("url", "insecure", "problem"),
    [
        ("http://example.vn/hook", False, "not encrypted"),
        ("http://10.0.0.1/hook", False, "not encrypted"),
        ("ftp://example.vn/hook", True, "no URL"),
        ("https://", False, "no URL"),
        ("https://exam ple.vn", False, "no URL"),
        ("https://example.vn:port/", False, "no URL"),
        ("https://an:secret@example.vn/", False, "names a user"),
    ],
)
def test_no_webhook_goes_where_it_should_not(url, insecure, problem):
    with pytest.raises(BadSetting, match=problem) as bad:
        receiver_of(url, insecure=insecure)
    assert "secret" not in str(bad.value)


@pytest.mark.parametrize(
    ("url", "insecure"),
    [
        ("http://localhost:8080/hook", False),
        ("http://127.0.0.1/", False),
        ("http://[::1]:9/", False),
        ("http://10.0.0.1/hook", True),
        ("https://example.vn", False),
    ],
)
def test_without_tls_it_goes_to_this_machine_or_where_that_is_asked_for(url, insecure):
    assert receiver_of(url, insecure=insecure).secure is url.startswith("https")


def test_no_secret_is_shown():
    environ = {
        "LEADLEDGER_WEBHOOK_URL": "https://example.vn/token-4711",
        "LEADLEDGER_WEBHOOK_SECRET": SECRET,
    }
    settings = AnnounceSettings.load(environ)
    assert settings.webhook_secret == SECRET.encode()
    sink = WebhookSink(receiver_of(settings.webhook_url), settings.webhook_secret)
    for text in (repr(settings), repr(sink)):
        assert SECRET not in text
        assert "4711" not in text


@pytest.mark.parametrize(
    ("name", "value", "problem"),
    [
        ("LEADLEDGER_DUE_SOON", "15", "write a duration as 15m"),
        ("LEADLEDGER_DUE_SOON", "0m", "write a duration"),
        ("LEADLEDGER_DUE_SOON", "9999999s", "write a duration"),
        ("LEADLEDGER_WEBHOOK_SECRET", "", "is missing"),
        ("LEADLEDGER_WEBHOOK_SECRET", "too short", "has 9 characters"),
        ("LEADLEDGER_WEBHOOK_INSECURE", "maybe", "write 1 for yes"),
    ],
)
def test_a_setting_that_cannot_be_used_is_named(name, value, problem):
    given = {"LEADLEDGER_WEBHOOK_URL": "https://x.vn", "LEADLEDGER_WEBHOOK_SECRET": SECRET}
    with pytest.raises(BadSetting, match=f"{name} .*{problem}"):
        AnnounceSettings.load({**given, name: value})


def test_durations_are_read_in_every_unit():
    for text, seconds in (("90s", 90), ("15m", 900), ("2h", 7200), ("1d", 86_400), ("1w", 604_800)):
        loaded = AnnounceSettings.load({"LEADLEDGER_DUE_SOON": text})
        assert loaded.due_soon_us == seconds * 1_000_000
    assert AnnounceSettings.load({}) == AnnounceSettings()
