"""The reports' pages."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from sqlalchemy import text

from mailhub.admin import reading

TASK = "mailhub.imports.clean"


def figures(answer, name):
    """The numbers of a project's row."""
    row = re.search(rf">{name}</a>.*?</tr>", answer.text, re.S).group()
    return [re.sub(r"<[^>]+>", "", cell).split()[0] for cell in re.findall(r'class="num">(.*?)</td>', row, re.S)]


def test_home_leads_to_the_overview(admin):
    assert admin.get("/", status=303).location == "http://localhost/admin"


def test_overview_has_the_last_30_days(admin, volumes):
    page = admin.get("/admin").text
    assert re.search(r'tile-l">Sent.*?tile-v">140<', page, re.S)
    assert "Corner Bakery" in page
    assert "Nobody works on the queue bulk" in page
    assert "As of" in page


def test_overview_of_an_empty_installation(admin):
    assert "Nothing was sent yet" in admin.get("/admin").text


@pytest.mark.parametrize(("days", "sent"), [(7, "40"), (30, "140"), (90, "1,140"), ("x", "140"), (31, "140")])
def test_projects_of_a_period(admin, volumes, days, sent):
    page = admin.get(f"/admin/projects?days={days}")
    assert figures(page, "Corner Bakery")[0] == sent
    assert figures(page, "=Quiet &amp; Co") == ["0"] * 6


def test_a_range_is_half_open(admin, volumes, today):
    page = admin.get(f"/admin/projects?since={today - timedelta(days=6)}&until={today}")
    assert figures(page, "Corner Bakery") == ["30", "14", "6", "4", "4", "0"]


@pytest.mark.parametrize(
    "range_", ["since=x", "since=2026-01-02&until=2026-01-01", "since=2001-01-01", "until=1999-01-01"]
)
def test_a_range_without_sense_is_taken_as_none(admin, volumes, range_):
    assert figures(admin.get(f"/admin/projects?{range_}"), "Corner Bakery")[0] == "140"


def test_projects_are_sorted_and_filtered(admin, volumes):
    def order(url):
        return re.findall(r'class="t" href="[^"]*">([^<]+)</a>', admin.get(url).text)

    assert order("/admin/projects") == ["Corner Bakery", "=Quiet &amp; Co"]
    assert order("/admin/projects?sort=sent") == ["=Quiet &amp; Co", "Corner Bakery"]
    assert order("/admin/projects?sort=-name") == ["Corner Bakery", "=Quiet &amp; Co"]
    assert order("/admin/projects?sort=name%3Bdrop") == ["Corner Bakery", "=Quiet &amp; Co"]
    assert order("/admin/projects?q=QUIET") == ["=Quiet &amp; Co"]
    assert "Nothing matches" in admin.get("/admin/projects?q=nothing").text


def test_fragment_is_the_rows_alone(admin, volumes):
    answer = admin.fragment("/admin/projects?q=bakery", "project-rows")
    assert answer.text.lstrip().startswith('<div class="stack" id="project-rows"')
    assert "<html" not in answer.text
    assert "Quiet" not in answer.text


def test_csv_has_the_same_rows_and_no_formula(admin, volumes):
    answer = admin.get("/admin/projects.csv?days=7")
    assert answer.content_type == "text/csv"
    lines = answer.body.decode("utf-8-sig").splitlines()
    assert lines[0].startswith("project,name,domain")
    assert lines[1].startswith("bakery,Corner Bakery,bakery.test,UTC,")
    assert lines[1].endswith(",40,19,8,3,3,6,0,0,0")
    assert "quiet,'=Quiet & Co," in lines[2]


def test_project_has_its_days_newest_first(admin, volumes, today):
    page = admin.get(f"/admin/projects/{volumes.id}?days=7")
    rows = re.findall(r'<tr><th scope="row">.*?</tr>', page.text, re.S)
    assert len(rows) == 7 * 2  # the table, and the chart's own
    assert ">10<" in re.search(r'Newest first.*?(<tr><th scope="row">.*?</tr>)', page.text, re.S).group(1)


def test_slow_report_is_stopped_and_says_so(admin, admin_api, monkeypatch):
    def slow(session):
        session.execute(text("SET LOCAL statement_timeout = '10ms'"))
        session.execute(text("SELECT pg_sleep(5)"))

    monkeypatch.setattr("mailhub.admin.queues.state", slow)
    answer = admin.get("/admin/queues", status=503)
    assert "The report took too long" in answer.text
    assert admin_api.get("/api/v1/reports/queues", status=503).json["status"] == 503


def test_reports_cannot_write(live, tmp_path):
    """On the connection that the process really has."""
    import mailhub.admin
    from tests.conftest import raw_settings

    app = mailhub.admin.configure(raw_settings(live.url, tmp_path)).make_wsgi_app()
    with mailhub.db.reading(app.registry) as session, pytest.raises(Exception, match="read-only"):
        session.execute(text("DELETE FROM project"))
    app.registry.engine.dispose()
    app.registry.reading_engine.dispose()


def test_time_limit_is_that_of_the_settings(reports_app):
    class Asking:
        registry = reports_app.registry

    report = reading.read(Asking(), lambda session: session.scalar(text("SHOW statement_timeout")))
    assert report.found == f"{reports_app.registry.mailhub.reports_statement_timeout_seconds}s"
