"""Spools: on the disk before the answer, many at once, nothing after a failure in the same file."""

from __future__ import annotations

import errno
import os
import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from mailhub.tracking import spool
from mailhub.tracking.hit import BadHit, Hit, decode, encode
from mailhub.tracking.spool import Spool, SpoolFailed


@pytest.fixture
def writer(tmp_path: Path) -> Any:
    made = Spool(tmp_path / "spool")
    yield made
    made.close()


def lines_of(folder: Path) -> list[bytes]:
    return [line for path in spool.files(folder) for line in spool.read_lines(path, 0, most=10_000)[0]]


def test_a_hit_comes_back_as_it_was() -> None:
    at = datetime(2026, 11, 27, 17, 3, 5, 123456, UTC)
    url, agent = "https://example.com/ü?a=1\n2", 'Mail\x00er "1"'
    hit = Hit("REDIRECTED", at, 7, 8, 9, 10, uuid4(), url, "::1", agent, "prefetch")
    line = encode(hit)
    assert line.count(b"\n") == 1
    assert decode(line[:-1]) == hit


@pytest.mark.parametrize("line", [b"", b"x", b"00000000 []", b"zzzzzzzz [1]", b"4a17b156 ", b"\xff" * 30])
def test_what_is_no_hit_is_refused(line: bytes) -> None:
    with pytest.raises(BadHit):
        decode(line)


def test_a_flipped_bit_is_found() -> None:
    line = bytearray(encode(Hit("OPENED", datetime.now(UTC), 7))[:-1])
    line[20] ^= 1
    with pytest.raises(BadHit):
        decode(bytes(line))


def test_hits_that_come_together_are_synced_together(writer: Spool, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first sync does not end before everybody else waits: two syncs are enough for all."""
    syncs, others_wait = [], threading.Event()
    real = os.fdatasync

    def sync(descriptor: int) -> None:
        syncs.append(descriptor)
        others_wait.wait(30)
        real(descriptor)

    monkeypatch.setattr(os, "fdatasync", sync)
    threads = [threading.Thread(target=writer.add, args=(b"%d\n" % n,)) for n in range(20)]
    threads[0].start()
    while not syncs:
        os.sched_yield()
    for thread in threads[1:]:
        thread.start()
    while len(writer._waiting) < 19:
        os.sched_yield()
    assert all(thread.is_alive() for thread in threads)
    others_wait.set()
    for thread in threads:
        thread.join(30)
    assert len(syncs) == 2
    assert sorted(map(int, lines_of(writer.folder))) == list(range(20))


def test_a_file_has_a_writer_until_it_is_closed(writer: Spool) -> None:
    writer.add(b"one\n")
    (path,) = spool.files(writer.folder)
    assert writer.durable(path) == 4
    with spool.without_writer(path) as ours:
        assert not ours
    writer.close()
    with spool.without_writer(path) as ours:
        assert ours
    writer.add(b"two\n")
    assert len(spool.files(writer.folder)) == 2


def test_a_file_that_is_large_or_old_is_closed(tmp_path: Path) -> None:
    writer = Spool(tmp_path, rotate_bytes=10)
    for word in (b"123456\n", b"123456\n", b"123456\n"):
        writer.add(word)
    assert len(spool.files(tmp_path)) == 2
    writer.close_old(now=1e12)
    writer.add(b"4\n")
    assert len(spool.files(tmp_path)) == 3
    writer.close()


def test_a_full_disk_is_said_to_everybody_and_the_file_is_left(writer: Spool, monkeypatch: pytest.MonkeyPatch) -> None:
    writer.add(b"good\n")
    real = os.write

    def full(descriptor: int, data: Any) -> int:
        real(descriptor, bytes(data)[:3])
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", full)
        with pytest.raises(SpoolFailed, match="No space left"):
            writer.add(b"lost\n")
        # Not tried again at once.
        with pytest.raises(SpoolFailed, match="a moment ago"):
            writer.add(b"lost\n")
    assert lines_of(writer.folder) == [b"good"]
    monkeypatch.setattr(writer, "_retry_at", 0.0)
    writer.add(b"better\n")
    assert len(spool.files(writer.folder)) == 2
    assert lines_of(writer.folder) == [b"good", b"better"]


def test_a_full_disk_leaves_no_empty_files(writer: Spool, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_given: Any) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(SpoolFailed):
        writer.add(b"lost\n")
    assert list(writer.folder.iterdir()) == []


def test_only_whole_lines_are_read(tmp_path: Path) -> None:
    path = tmp_path / "x.spool"
    path.write_bytes(b"one\ntwo\nthr")
    assert spool.read_lines(path, 0) == ([b"one", b"two"], 8)
    assert spool.read_lines(path, 4, end=7) == ([], 4)
    assert spool.read_lines(path, 0, most=1) == ([b"one"], 4)
