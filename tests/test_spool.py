"""The spool keeps what it promised to keep, whatever is done to it."""

import errno
import os
import shutil
import stat

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import SpoolFailed, SpoolInUse
from engine.kafka import spool as spools
from engine.kafka.spool import Spool, Spooled

MESSAGES = [Spooled(bytes([n]) * 32, b"value %d" % n) for n in range(1, 9)]


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "spool"


def all_in(folder):
    """What a spool holds; it is emptied by the way."""
    spool = Spool(folder)
    found = []
    while len(spool):
        segment, messages = spool.oldest()
        found += messages
        spool.drop(segment)
    spool.close()
    return found


def spooled(folder, *batches):
    spool = Spool(folder)
    for batch in batches:
        spool.append(batch)
    spool.close()


def test_what_was_appended_comes_back_in_its_order_also_after_reopening(folder):
    spooled(folder, MESSAGES[:3], MESSAGES[3:4])
    spooled(folder, MESSAGES[4:])
    assert all_in(folder) == MESSAGES
    assert all_in(folder) == []


def test_segments_end_when_they_are_full_and_go_when_they_are_dropped(folder, monkeypatch):
    monkeypatch.setattr(spools, "SEGMENT_BYTES", 1)
    spool = Spool(folder)
    for message in MESSAGES:
        spool.append([message])
    assert (len(spool), len(list(folder.glob("*.spool")))) == (8, 8)
    segment, messages = spool.oldest()
    spool.drop(segment)
    assert (messages, len(spool), segment.exists()) == (MESSAGES[:1], 7, False)


def test_the_segment_that_is_read_is_written_no_more(folder):
    spool = Spool(folder)
    spool.append(MESSAGES[:1])
    segment, messages = spool.oldest()
    spool.append(MESSAGES[1:2])
    spool.drop(segment)
    assert messages == MESSAGES[:1]
    assert spool.oldest()[1] == MESSAGES[1:2]


def test_one_process_has_it_at_a_time(folder):
    spool = Spool(folder)
    with pytest.raises(SpoolInUse):
        Spool(folder)
    spool.close()
    Spool(folder).close()


def test_others_may_read_none_of_it(folder):
    spooled(folder, MESSAGES)
    modes = {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}
    assert (modes, stat.S_IMODE(folder.stat().st_mode)) == ({0o600}, 0o700)


def test_wherever_a_crash_cuts_the_last_batch_all_before_it_is_kept(folder, tmp_path):
    spooled(folder, MESSAGES[:4])
    (segment,) = folder.glob("*.spool")
    promised = segment.stat().st_size
    spooled(tmp_path / "more", MESSAGES)
    (longer,) = (tmp_path / "more").glob("*.spool")
    whole = longer.read_bytes()
    for end in range(promised, len(whole)):
        segment.write_bytes(whole[:end])
        again = shutil.copytree(folder, tmp_path / f"cut-{end}")
        found = all_in(again)
        assert found[:4] == MESSAGES[:4]
        assert found == MESSAGES[: len(found)]
        assert not list(again.glob("*.damaged"))


def test_a_tail_that_never_got_its_bytes_is_no_damage(folder):
    spooled(folder, MESSAGES)
    (segment,) = folder.glob("*.spool")
    segment.write_bytes(segment.read_bytes() + bytes(4096))
    assert all_in(folder) == MESSAGES
    assert not list(folder.glob("*.damaged"))


@given(st.data())
def test_damage_never_makes_other_messages_and_the_damaged_file_stays(tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("spool")
    spooled(folder, MESSAGES)
    (segment,) = folder.glob("*.spool")
    content = bytearray(segment.read_bytes())
    at = data.draw(st.integers(0, len(content) - 1))
    content[at] ^= data.draw(st.integers(1, 255))
    segment.write_bytes(content)
    found = all_in(folder)
    assert found == MESSAGES[: len(found)]
    assert len(found) < len(MESSAGES)
    (apart,) = folder.glob("*.damaged")
    assert apart.read_bytes() == bytes(content)


@pytest.mark.parametrize("call", ["write", "fsync"])
@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO])
def test_what_the_disk_refuses_is_not_promised_and_the_rest_stays(folder, monkeypatch, call, code):
    spool = Spool(folder)
    spool.append(MESSAGES[:2])

    def refuse(*_):
        raise OSError(code, os.strerror(code))

    with monkeypatch.context() as patched:
        patched.setattr(os, call, refuse)
        with pytest.raises(SpoolFailed, match=os.strerror(code)) as failed:
            spool.append(MESSAGES[2:3])
        assert failed.value.exit_code == 7
    spool.append(MESSAGES[3:])
    spool.close()
    assert all_in(folder) == [*MESSAGES[:2], *MESSAGES[3:]]


def test_half_a_write_before_the_disk_was_full_is_taken_back(folder, monkeypatch):
    spool = Spool(folder)
    spool.append(MESSAGES[:2])
    write = os.write

    def first_half(handle, data):
        monkeypatch.setattr(os, "write", refuse)
        return write(handle, data[: len(data) // 2])

    def refuse(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "write", first_half)
    with pytest.raises(SpoolFailed):
        spool.append(MESSAGES[2:])
    monkeypatch.undo()
    spool.close()
    assert all_in(folder) == MESSAGES[:2]


def test_no_name_is_given_twice(folder):
    spooled(folder, MESSAGES[:1])
    folder.joinpath("000000000007.damaged").write_bytes(b"kept for somebody to look at")
    spooled(folder, MESSAGES[1:2])
    assert [path.name for path in sorted(folder.glob("*.spool"))] == [
        "000000000001.spool",
        "000000000008.spool",
    ]


def test_a_place_that_is_no_folder_is_refused(tmp_path):
    tmp_path.joinpath("file").write_text("")
    with pytest.raises(SpoolFailed):
        Spool(tmp_path / "file")
