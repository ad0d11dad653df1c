"""The foundation: headers, errors, identity, CSRF, transactions."""

import pytest


def test_unknown_page_says_404_with_the_headers(client):
    answer = client.get("/no-such-page", status=404)
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert "script-src 'self'" in answer.headers["Content-Security-Policy"]
    assert answer.headers["X-Request-ID"] in answer.text


def test_heartbeat_says_that_no_worker_lives(client):
    answer = client.get("/__heartbeat__", status=503)
    assert answer.json["database"] == "ok"
    assert answer.json["workers"] == 0


def test_api_without_key_is_401_with_a_problem_document(client):
    answer = client.get("/api/v1/lists", status=401)
    assert answer.content_type == "application/problem+json"
    assert answer.json["status"] == 401
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")


@pytest.mark.parametrize("path", ["/projects/%ff", "/%ff", "/t/o/abc%ed", "/t/c/abc%ed"])
def test_a_path_that_is_no_text_is_404(client, path):
    assert client.get(path, status=404).text == "There is nothing here.\n"


@pytest.mark.parametrize("query", ["q=%ff", "q=%00", "project=a%00b", "%ff=1"])
def test_a_query_that_no_database_takes_is_400(client, build, query):
    alice = build.user()
    project = build.project(alice)
    client.sign_in(alice)
    for path in (f"/projects/{project.slug}/campaigns", f"/projects/{project.slug}/subscribers", "/sign-in"):
        assert "could not be read" in client.get(f"{path}?{query}", status=400).text
    answer = client.api(build.session, project.id, "lists:view").get(f"/api/v1/lists?{query}", status=400)
    assert answer.json["detail"] == "The request could not be read."


def test_a_nul_in_a_form_is_refused(client, build):
    alice = build.user()
    client.sign_in(alice)
    fields = {"name": "a\0b", "email": "anna@mail.test", "language": "en", "time_zone": "UTC"}
    assert "invisible characters" in client.post_form("/account", fields, status=422).text
