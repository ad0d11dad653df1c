"""mailhub.embedded.watched and child: output line by line, restarts with a pause, no child outlives its parent."""

from __future__ import annotations

import io
import os
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from mailhub.embedded.watched import Output, Watched, ended_how


class Crew:
    """One watched child, and what it has written."""

    def __init__(self, code: str) -> None:
        self.selector = selectors.DefaultSelector()
        self.stream = io.StringIO()
        self.output = Output(self.stream)
        self.child = Watched("child", [sys.executable, "-u", "-c", code], dict(os.environ))

    def run_to_end(self, seconds: float = 60) -> list[str]:
        deadline = time.monotonic() + seconds
        while (self.child.running or self.selector.get_map()) and time.monotonic() < deadline:
            for key, _events in self.selector.select(0.1):
                self.child.pump(key.fileobj, self.selector, self.output)  # type: ignore[arg-type]
        assert not self.child.running
        return self.stream.getvalue().splitlines()


@pytest.fixture
def crews() -> Iterator[list[Crew]]:
    made: list[Crew] = []
    yield made
    for crew in made:
        crew.child.signal(signal.SIGKILL)
        if crew.child.process is not None:
            crew.child.process.wait()
        for key in list(crew.selector.get_map().values()):
            key.fileobj.close()  # type: ignore[union-attr]
        crew.selector.close()


def started(crews: list[Crew], code: str) -> Crew:
    crew = Crew(code)
    crews.append(crew)
    crew.child.start(crew.selector)
    return crew


def test_each_line_has_the_name_in_front(crews: list[Crew]) -> None:
    crew = started(crews, "import sys; print('one'); sys.stderr.write('two\\nthree'); sys.stderr.flush()")
    assert [line.split(" | ") for line in crew.run_to_end()] == [
        ["child        ", "one"],
        ["child        ", "two"],
        ["child        ", "three"],
    ]


def test_bytes_that_are_no_text_are_written_somehow(crews: list[Crew]) -> None:
    crew = started(crews, r"import os; os.write(1, b'\xff\xfe\r\n')")
    assert crew.run_to_end() == ["child         | ��"]


def test_a_line_without_end_does_not_fill_the_memory(crews: list[Crew]) -> None:
    crew = started(crews, "print('x' * 300_000, end='')")
    lines = crew.run_to_end()
    assert max(map(len, lines)) < 150_000
    assert sum(line.count("x") for line in lines) == 300_000


def test_restarts_wait_longer_each_time(crews: list[Crew]) -> None:
    crew = started(crews, "")
    assert [crew.child.crashed() for _ in range(7)] == [0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 30.0]


def test_a_child_is_alone_in_its_session(crews: list[Crew]) -> None:
    crew = started(crews, "import os; print(os.getsid(0) == os.getpid())")
    assert crew.run_to_end()[0].endswith("True")


def test_a_terminal_that_lacks_a_letter_is_survived() -> None:
    raw = io.BytesIO()
    terminal = io.TextIOWrapper(raw, encoding="ascii", errors="strict")
    Output(terminal).line("mailhub", "Привет")
    assert raw.getvalue() == b"mailhub       | ??????\n"


def test_ends_are_told_in_words() -> None:
    assert ended_how(3) == "ended with code 3"
    assert ended_how(-9) == "was killed by SIGKILL"
    assert ended_how(-200) == "was killed by signal 200"


PARENT = """
import signal, sys
from mailhub.embedded import child
process = child.start([sys.executable, "-c", "import time; time.sleep(60)"], death_signal=signal.SIGKILL)
print(process.pid, flush=True)
signal.pause()
"""


def test_a_child_goes_when_its_parent_is_killed() -> None:
    parent = subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    pid = int(parent.stdout.readline())
    parent.kill()
    parent.wait()
    parent.stdout.close()
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and running(pid):
        time.sleep(0.01)
    assert not running(pid)


def running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False
