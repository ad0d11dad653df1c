"""mailhub.broker: conninfo that survives anything a URL can hold."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from psycopg.conninfo import conninfo_to_dict

from mailhub.broker import EMBEDDED, broker_options, conninfo
from mailhub.settings import read_settings


def test_a_socket_folder_with_a_space() -> None:
    assert conninfo_to_dict(conninfo("postgresql+psycopg://mailhub@/mail?host=%2Ftmp%2Fa%20b")) == {
        "host": "/tmp/a b",
        "user": "mailhub",
        "dbname": "mail",
    }


def test_a_password_with_signs() -> None:
    parts = conninfo_to_dict(conninfo("postgresql+psycopg://u:p%40'%5C%20x@db:5433/m?sslmode=require"))
    assert (parts["host"], parts["port"], parts["password"]) == ("db", "5433", "p@'\\ x")
    assert (parts["dbname"], parts["sslmode"]) == ("m", "require")


def test_the_embedded_queue_is_in_the_database_of_the_settings(tmp_path: Path) -> None:
    settings = read_settings({"mailhub.home": str(tmp_path)}, {"SQLALCHEMY_URL": "postgresql://u@/m?host=/tmp/x"})
    options = broker_options(replace(settings, broker_url=EMBEDDED))
    assert conninfo_to_dict(options["conn_string"])["host"] == "/tmp/x"
    assert options["wait_time_seconds"] == 0  # with the default of 10 s it does 3 tasks a second


def test_rabbitmq_gives_up_soon(tmp_path: Path) -> None:
    settings = read_settings({"mailhub.home": str(tmp_path)}, {"CELERY_BROKER_URL": "amqp://mq"})
    assert broker_options(settings)["max_retries"] == 1
