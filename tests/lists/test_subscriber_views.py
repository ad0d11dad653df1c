"""Pages of people."""

from urllib.parse import quote

import pytest

from mailhub.models import Subscriber, SubscriberField, Subscription


def rows(answer):
    return [cell.text.strip() for cell in answer.html.select("#subscriber-rows tbody tr td:first-child")]


@pytest.fixture
def people(cast, build):
    return [
        build.subscriber(cast.project, "anna@mail.ru", name="Анна Иванова", lists=[cast.list]),
        build.subscriber(cast.project, "boris_k@gmail.com", name="Борис", lists=[cast.list], status="unsubscribed"),
        build.subscriber(cast.project, "boris%k@gmail.com", name="Percent"),
        build.subscriber(cast.project, "dead@mail.ru", name="Dead", lists=[cast.list]),
    ]


def test_table_shows_everybody_the_newest_first(cast, people, page):
    answer = page.get(f"{cast.base}/subscribers")
    assert rows(answer) == ["dead@mail.ru", "boris%k@gmail.com", "boris_k@gmail.com", "anna@mail.ru"]
    assert answer.html.find(id="subscriber-count").text.strip() == "4 people"


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("q=ann", ["anna@mail.ru"]),
        ("q=иван", ["anna@mail.ru"]),
        ("q=MAIL.RU", ["dead@mail.ru", "anna@mail.ru"]),
        ("q=an", ["anna@mail.ru"]),
        ("q=boris_k", ["boris_k@gmail.com"]),
        ("q=boris%25k", ["boris%k@gmail.com"]),
        ("q=анна+mail.ru", ["anna@mail.ru"]),
        ("q=%25", []),
        ("q=nobody", []),
        ("sort=email", ["anna@mail.ru", "boris%k@gmail.com", "boris_k@gmail.com", "dead@mail.ru"]),
        ("sort=added&q=boris", ["boris_k@gmail.com", "boris%k@gmail.com"]),
        ("status=subscribed", ["dead@mail.ru", "anna@mail.ru"]),
        ("list={list}", ["dead@mail.ru", "boris_k@gmail.com", "anna@mail.ru"]),
        ("list={list}&status=unsubscribed", ["boris_k@gmail.com"]),
        ("list={list}&status=active&q=anna", ["anna@mail.ru"]),
        ("status=bounced", []),
        ("list=x&status=y&sort=z&after=w", ["dead@mail.ru", "boris%k@gmail.com", "boris_k@gmail.com", "anna@mail.ru"]),
    ],
)
def test_search_filters_and_sort(cast, people, page, query, found):
    answer = page.get(f"{cast.base}/subscribers?" + quote(query.format(list=cast.list.id), safe="=&+%"))
    if "sort=email" in query:
        assert sorted(rows(answer)) == found
    else:
        assert rows(answer) == found


def test_fragment_has_the_rows_only(cast, people, page):
    answer = page.fragment(f"{cast.base}/subscribers?q=anna", "subscriber-rows")
    assert rows(answer) == ["anna@mail.ru"]
    assert "<html" not in answer.text


@pytest.mark.parametrize("sort", ["added", "-added", "email", "-email"])
def test_pages_show_each_person_once(cast, build, page, sort):
    emails = {build.subscriber(cast.project, lists=[cast.list]).email for _n in range(120)}
    seen, url, pages = [], f"{cast.base}/subscribers?sort={sort}", 0
    while url:
        answer = page.get(url)
        seen += rows(answer)
        assert "120 people" in answer.text
        link = answer.html.find(id="page-next")
        url, pages = (link["href"] if link else None), pages + 1
    assert pages == 3
    assert len(seen) == 120
    assert set(seen) == emails


def test_number_of_queries_of_the_table_does_not_grow(cast, build, page, statements):
    for _n in range(30):
        build.subscriber(cast.project, lists=[cast.list])
    with statements() as seen:
        page.get(f"{cast.base}/subscribers?q=mail&list={cast.list.id}")
    assert len(seen) <= 15, seen


PATHS = ["", "/edit", "/delete"]


@pytest.mark.parametrize("path", PATHS)
def test_stranger_analyst_and_signed_out(cast, people, client, path):
    url = f"{cast.base}/subscribers/{people[0].id}{path}"
    cast.as_(cast.charlie).get(url, status=404)
    cast.as_(cast.ann).get(url, status=403)
    assert "/sign-in" in client.get(url, status=303).location
    cast.as_(cast.bob).get(url, status=200)


def test_foreign_person_is_not_found_under_ones_own_project(cast, build, page):
    foreign = build.subscriber(cast.other)
    for path in PATHS:
        page.get(f"{cast.base}/subscribers/{foreign.id}{path}", status=404)
    for path in ("/subscribe", "/unsubscribe", "/delete"):
        page.post_form(f"{cast.base}/subscribers/{foreign.id}{path}", {"list_id": cast.list.id}, status=404)


def test_analyst_cannot_see_the_table(cast):
    cast.as_(cast.ann).get(f"{cast.base}/subscribers", status=403)


def test_adding_a_person_with_fields_and_a_list(cast, page, dbsession, build):
    dbsession.add(SubscriberField(project_id=cast.project.id, name="город", label="Город"))
    dbsession.commit()
    url = f"{cast.base}/subscribers/new"
    assert "Город" in page.get(url).text
    fields = {"email": " Anna@MAIL.ru ", "name": "Anna", "field_город": "Уфа", "list_ids": cast.list.id, "consent": "1"}
    answer = page.post_form(url, fields, status=303).follow()
    assert "Anna@mail.ru" in answer.text
    assert "Уфа" in answer.text
    person = dbsession.query(Subscriber).filter_by(email_key="anna@mail.ru").one()
    assert person.fields == {"город": "Уфа"}
    subscription = dbsession.get(Subscription, (cast.project.id, cast.list.id, person.id))
    assert (subscription.status, subscription.source) == ("subscribed", "manual")


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"email": "nobody"}, "email"),
        ({"email": ""}, "email"),
        ({"name": "x" * 301}, "name"),
        ({"consent": None}, "consent"),
        ({"list_ids": "999999"}, "list_ids"),
        ({"list_ids": "x"}, "list_ids"),
        ({"status": "active"}, "status"),
        ({"project_id": "1"}, "project_id"),
        ({"field_unknown": "1"}, "field_unknown"),
    ],
)
def test_bad_person_is_refused_and_nothing_changes(cast, page, dbsession, changes, field):
    fields = {"email": "a@b.ru", "name": "", "list_ids": str(cast.list.id), "consent": "1", **changes}
    fields = {name: value for name, value in fields.items() if value is not None}
    answer = page.post_form(f"{cast.base}/subscribers/new", fields, status=422)
    assert f"#f-{field}" in answer.text
    assert dbsession.query(Subscriber).count() == 0


def test_editing_a_person_and_an_address_that_is_taken(cast, people, page, dbsession):
    url = f"{cast.base}/subscribers/{people[0].id}/edit"
    assert page.get(url).html.find(id="f-email")["value"] == "anna@mail.ru"
    page.post_form(url, {"email": "anna2@mail.ru", "name": "A"}, status=303)
    dbsession.expire_all()
    assert dbsession.get(Subscriber, (cast.project.id, people[0].id)).email_key == "anna2@mail.ru"
    answer = page.post_form(url, {"email": "dead@mail.ru", "name": "A"}, status=422)
    assert answer.html.find(id="f-email-e")


def test_unsubscribe_and_subscribe_by_hand(cast, people, page, dbsession):
    person = people[0]
    url = f"{cast.base}/subscribers/{person.id}"
    page.post_form(f"{url}/unsubscribe", {"list_id": cast.list.id}, status=303)
    dbsession.expire_all()
    row = dbsession.get(Subscription, (cast.project.id, cast.list.id, person.id))
    assert row.status == "unsubscribed"
    assert row.unsubscribed_at is not None
    assert dbsession.get(Subscriber, (cast.project.id, person.id)).status == "unsubscribed"
    page.post_form(f"{url}/subscribe", {"list_id": cast.list.id}, status=303)
    dbsession.expire_all()
    assert dbsession.get(Subscription, (cast.project.id, cast.list.id, person.id)).status == "subscribed"
    assert dbsession.get(Subscriber, (cast.project.id, person.id)).status == "active"
    page.post_form(f"{url}/unsubscribe", {}, status=303)
    dbsession.expire_all()
    assert dbsession.get(Subscriber, (cast.project.id, person.id)).status == "unsubscribed"
    page.post_form(f"{url}/subscribe", {"list_id": "999"}, status=303)


def test_deleting_a_person(cast, people, page, dbsession):
    url = f"{cast.base}/subscribers/{people[0].id}/delete"
    assert "anna@mail.ru" in page.get(url).text
    page.post_form(url, {}, status=303)
    assert dbsession.query(Subscriber).filter_by(id=people[0].id).count() == 0
    page.get(url, status=404)


def test_post_without_csrf_token_is_refused(cast, people, page):
    page.post(f"{cast.base}/subscribers/{people[0].id}/delete", status=400)


def test_person_page_shows_timeline_and_is_cheap(cast, people, page, dbsession, statements):
    from mailhub.events.service import Event, append_in

    append_in(dbsession, [Event(type="OPENED", project_id=cast.project.id, kind="campaign", campaign_id=7,
                                campaign_name="Spring", subscriber_id=people[0].id, email="anna@mail.ru")])  # fmt: skip
    dbsession.commit()
    with statements() as seen:
        answer = page.get(f"{cast.base}/subscribers/{people[0].id}")
    assert "Spring" in answer.html.find(id="timeline").text
    assert len(seen) <= 16, seen
