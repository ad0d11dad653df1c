"""The example files of docs/ops are what they say: parsed, and read by the programs that they are for."""

from __future__ import annotations

import configparser
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from mailhub.embedded.mailbox import REPLIES
from mailhub.embedded.supervisor import REPORTS_NICE
from tests.house import ROOT

OPS = ROOT / "docs" / "ops"
QUEUES = ("transactional", "bulk", "celery")


def supervisor() -> configparser.RawConfigParser:
    parser = configparser.RawConfigParser(inline_comment_prefixes=(" ;",))
    parser.read(OPS / "supervisor.conf", encoding="utf-8")
    return parser


def test_supervisor_has_a_program_for_each_process() -> None:
    programs = {name.partition(":")[2] for name in supervisor().sections() if name.startswith("program:")}
    assert programs == {f"mailhub-{name}" for name in ("site", "tracking", "reports", *QUEUES, "beat")}
    assert set(supervisor()["group:mailhub"]["programs"].split(",")) == programs


@pytest.mark.parametrize("queue", QUEUES)
def test_a_worker_serves_one_queue_and_its_children_end_their_letter(queue: str) -> None:
    program = supervisor()[f"program:mailhub-{queue}"]
    assert f" -Q {queue} -n {queue}@%%h " in program["command"]
    assert program["stopsignal"] == "TERM"
    assert program["stopasgroup"] == "false"
    assert program["killasgroup"] == "true"


def test_the_reports_stand_back() -> None:
    """As `mailhub up` has it."""
    assert supervisor()["program:mailhub-reports"]["command"].startswith(f"nice -n {REPORTS_NICE} ")
    drop_in = (OPS / "systemd" / "mailhub-web@reports.service.d" / "nice.conf").read_text(encoding="utf-8")
    assert f"\nNice={REPORTS_NICE}\n" in drop_in


def test_no_secret_stands_in_the_examples() -> None:
    for path in [*OPS.rglob("*.conf"), *OPS.rglob("*.service")]:
        for match in re.finditer(r"(?:_URL|SECRET_KEY)=\"?([^\",\s]+)", path.read_text(encoding="utf-8")):
            assert match[1].startswith(("file:", "cred:")), path


@pytest.mark.parametrize("name", ["mailhub-web@", "mailhub-worker@", "mailhub-beat"])
def test_units_stop_the_main_process_only(name: str) -> None:
    text = (OPS / "systemd" / f"{name}.service").read_text(encoding="utf-8")
    assert "KillMode=mixed" in text
    assert "NoNewPrivileges=yes" in text


def test_systemd_reads_the_units(tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed")
    units = []
    for source, instance in (("mailhub-web@", "main"), ("mailhub-worker@", "bulk"), ("mailhub-beat", "")):
        text = (OPS / "systemd" / f"{source}.service").read_text(encoding="utf-8")
        # The programs of the example are not on this machine.
        text = re.sub(r"^ExecStart=\S+", "ExecStart=/bin/true", text, flags=re.MULTILINE)
        (tmp_path / f"{source}.service").write_text(text, encoding="utf-8")
        units.append(str(tmp_path / f"{source}{instance}.service"))
    done = subprocess.run(["systemd-analyze", "verify", *units], capture_output=True, text=True)
    ours = [line for line in done.stderr.splitlines() if "mailhub" in line]
    assert ours == []


def test_nginx_reads_the_example(tmp_path: Path) -> None:
    nginx = shutil.which("nginx", path="/usr/sbin:/usr/bin:/bin")
    if nginx is None:
        pytest.skip("nginx is not installed")
    key, certificate = tmp_path / "privkey.pem", tmp_path / "fullchain.pem"
    make = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=example.org"]
    subprocess.run([*make, "-keyout", key, "-out", certificate], check=True, capture_output=True)
    example = (OPS / "nginx.conf").read_text(encoding="utf-8")
    example = example.replace("/etc/mailhub/tls", str(tmp_path)).replace("/var/log/nginx", str(tmp_path))
    example = re.sub(r"listen (\d+)", lambda match: f"listen 127.0.0.1:{20000 + int(match[1])}", example)
    (tmp_path / "mailhub.conf").write_text(example, encoding="utf-8")
    main = (
        f"pid {tmp_path}/pid; error_log stderr; events {{}} http {{ access_log off; include {tmp_path}/mailhub.conf; }}"
    )
    (tmp_path / "nginx.conf").write_text(main, encoding="utf-8")
    done = subprocess.run([nginx, "-t", "-c", tmp_path / "nginx.conf"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_nginx_sets_its_headers_in_one_place() -> None:
    """A proxy_set_header inside a server or location takes all those of the http block away there."""
    text = (OPS / "nginx.conf").read_text(encoding="utf-8")
    assert re.findall(r"^[ \t]+proxy_set_header", text, re.MULTILINE) == []
    assert "$proxy_add_x_forwarded_for" not in re.sub(r"#.*", "", text)


def test_the_answers_of_the_mailbox_are_documented() -> None:
    text = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    for local in REPLIES:
        assert f"`{local}`" in text
