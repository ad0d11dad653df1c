"""The foundation: headers, errors, identity, CSRF, transactions."""


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
