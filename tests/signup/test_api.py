"""Forms over the JSON API."""

import pytest

from mailhub.models import Consent, SignUpSubmission, Subscription


@pytest.fixture
def api(client, dbsession, cast):
    return client.api(dbsession, cast.project.id)


def test_form_is_made_read_changed_paused_and_archived(api, client, double, cast):
    made = api.post_json("/api/v1/forms", {"name": "Shop", "lists": [str(double.id)], "tags": ["shop"],
                         "design": {"texts": {"title": "Hello"}}}, status=201).json  # fmt: skip
    assert (made["state"], made["opt_in"], made["lists"]) == ("active", "double", [str(double.id)])
    path = made["url"].removeprefix("http://localhost")
    assert client.get(path).html.h1.text == "Hello"
    url = f"/api/v1/forms/{made['id']}"
    assert api.get(url).json["design"]["fields"][0] == {"name": "email", "label": "", "hint": "", "required": True}
    changed = api.patch_json(url, {"name": "Shop 2", "state": "paused"}).json
    assert (changed["name"], changed["state"], changed["pause_reason"]) == ("Shop 2", "paused", "by_hand")
    client.get(path, status=403)
    api.patch_json(url, {"state": "active"})
    assert [one["id"] for one in api.get("/api/v1/forms").json["results"]] == [made["id"]]
    api.delete(url, status=204)
    api.get(url, status=404)
    client.get(path, status=404)


@pytest.mark.parametrize(
    ("document", "field"),
    [
        ({"lists": []}, "lists"),
        ({"lists": ["999999"]}, "lists"),
        ({"redirect_url": "http://example.com"}, "redirect_url"),
        ({"nonsense": 1}, "nonsense"),
        ({"design": {"fields": [{"name": "A B"}]}}, "design.fields.0.name"),
        ({"design": {"colours": {"text": "#ffffff"}}}, "design.colours"),
        ({"design": {"boxes": [{"text": ""}]}}, "design.boxes.0.text"),
        ({"design": {"texts": {"title": "a\0b"}}}, "design.texts.title"),
        ({"tags": ["\n"]}, "tags"),
    ],
)
def test_faults_are_named(api, double, document, field):
    answer = api.post_json("/api/v1/forms", {"name": "x", "lists": [str(double.id)], **document}, status=422)
    assert [one["field"] for one in answer.json["errors"]] == [field]


def test_submission_by_a_key_is_taken_in_with_the_persons_own_circumstances(api, forms, double, dbsession, cast):
    form = forms.make(cast.project, [double], design={"boxes": [{"text": "Yes", "required": True}]})
    url = f"/api/v1/forms/{form.id}/submissions"
    refused = api.post_json(url, {"email": "anna@mail.ru", "ip": "x", "fields": {"no": 1}}, status=422).json
    assert {one["field"] for one in refused["errors"]} == {"consents", "fields.no", "ip"}
    made = api.post_json(url, {"email": "anna@mail.ru", "consents": [0], "ip": "192.0.2.7", "user_agent": "Theirs"},
                         status=202).json  # fmt: skip
    assert (made["state"], made["email"]) == ("waiting", "anna@mail.ru")
    forms.settle()
    assert forms.status(double) == "unconfirmed"
    assert {(str(row.ip), row.user_agent) for row in dbsession.query(Consent)} == {("192.0.2.7", "Theirs")}
    assert str(dbsession.query(Subscription).one().ip) == "192.0.2.7"
    (listed,) = api.get(url + "?state=asked").json["results"]
    assert (listed["id"], listed["state"], listed["email"]) == (made["id"], "asked", "anna@mail.ru")
    assert api.get(url + "?state=capped").json["results"] == []
    api.get(url + "?state=nothing", status=422)
    api.post_json(url, {"email": "anna@mail.ru", "consents": [0]}, status=202)
    forms.settle()
    assert forms.states() == ["asked", "capped"], "the caps hold for keys too"
    api.patch_json(f"/api/v1/forms/{form.id}", {"state": "paused"})
    api.post_json(url, {"email": "b@mail.ru", "consents": [0]}, status=409)
    assert dbsession.query(SignUpSubmission).count() == 2


def test_numbers_a_day(api, client, forms, single, cast):
    form = forms.make(cast.project, [single])
    client.new().get(forms.path(form))
    forms.send(form)
    days = api.get(f"/api/v1/forms/{form.id}/days?days=2").json["results"]
    assert [(one["views"], one["submits"], one["confirmations"]) for one in days] == [(0, 0, 0), (1, 1, 1)]


def test_lists_own_form_keeps_its_list(api, dbsession, double, cast):
    from mailhub.signup.opened import of_list

    form = of_list(dbsession, double)
    dbsession.commit()
    api.patch_json(f"/api/v1/forms/{form.id}", {"lists": [str(cast.list.id)]}, status=422)
    api.delete(f"/api/v1/forms/{form.id}", status=409)
    assert api.get(f"/api/v1/forms/{form.id}").json["is_list_page"] is True


def test_forms_of_another_project_do_not_exist(client, dbsession, forms, double, cast):
    form = forms.make(cast.project, [double])
    theirs = client.api(dbsession, cast.other.id)
    for path in ("", "/submissions", "/days"):
        theirs.get(f"/api/v1/forms/{form.id}{path}", status=404)
    theirs.post_json("/api/v1/forms", {"name": "x", "lists": [str(double.id)]}, status=422)
