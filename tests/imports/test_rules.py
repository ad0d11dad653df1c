"""What happens with the people: several lists, tags, double opt-in, consent, typed values."""

from __future__ import annotations

import pytest
from sqlalchemy import select

from mailhub.imports import service as imports
from mailhub.imports.service import NotReady
from mailhub.imports.tasks import ask_to_confirm
from mailhub.lists import consents
from mailhub.models import Consent, GlobalSuppression, Message, Subscriber, SubscriberField, Subscription, Tag
from mailhub.suppression.service import suppress_erased
from tests.imports.importer import numbers


def person_of(importer, key):
    return importer.session.scalars(select(Subscriber).where(Subscriber.email_key == key)).one()


def lists_of(importer, key):
    rows = importer.session.query(Subscription).filter_by(subscriber_id=person_of(importer, key).id)
    return {row.list_id: row.status for row in rows}


def test_several_lists_are_filled_at_once_and_a_list_that_was_left_is_not(importer):
    other = importer.live.build.list(importer.project)
    known = importer.live.build.subscriber(importer.project, "a@b.ru", lists=[importer.list])
    importer.session.query(Subscription).filter_by(subscriber_id=known.id).update({"status": "unsubscribed"})
    importer.session.commit()
    row = importer("email\na@b.ru\nc@d.ru\n", lists=[importer.list, other])
    assert numbers(row) == (2, 1, 1, 0, 0)
    assert lists_of(importer, "a@b.ru") == {importer.list.id: "unsubscribed", other.id: "subscribed"}
    assert lists_of(importer, "c@d.ru") == {importer.list.id: "subscribed", other.id: "subscribed"}


def test_whoever_has_left_all_the_lists_is_left_alone(importer):
    known = importer.live.build.subscriber(importer.project, "a@b.ru", lists=[importer.list])
    importer.session.query(Subscription).filter_by(subscriber_id=known.id).update({"status": "unsubscribed"})
    importer.session.commit()
    row = importer("email,city\na@b.ru,Ufa\n")
    assert importer.rejected(row) == [(2, "skipped_unsubscribed")]
    assert importer.people()["a@b.ru"][1] == {}


def test_tags_of_the_rules_and_of_the_file_are_given_and_counted(importer):
    row = importer("email,tags\na@b.ru,VIP; shop\nc@d.ru,vip\ne@f.ru,\n", tags=("Fair",))
    assert row.state == "done"
    assert {tag.name: tag.n for tag in importer.session.query(Tag)} == {"Fair": 3, "VIP": 2, "shop": 1}


def test_second_import_of_tagged_people_changes_nothing(importer):
    data = "email,name,tags\na@b.ru,Anna,vip\n"
    importer(data, tags=("fair",))
    before = importer.dump()
    again = importer(data, tags=("fair",))
    assert (*numbers(again), again.rows_unchanged) == (1, 0, 1, 0, 0, 1)
    assert importer.dump() == before


def test_consent_is_written_down_for_every_person_and_list_with_its_words(importer):
    row = importer("email\na@b.ru\n", consent_source="form at shop.example")
    found = consents.of_person(importer.session, importer.project.id, person_of(importer, "a@b.ru").id)
    assert [(one.consent.kind, one.consent.source, one.consent.list_id, one.text) for one in found] == [
        ("imported", f"import:{row.id}", importer.list.id, "They agreed.\nform at shop.example")
    ]


def test_consent_columns_of_the_file_keep_time_address_and_words_once(importer):
    data = "email,consent date,consent source,consent ip\na@b.ru,2024-03-01 10:00,landing,192.0.2.7\n"
    importer(data)
    importer(data)
    row = importer.session.query(Consent).filter(Consent.list_id.is_(None)).one()
    found = consents.of_person(importer.session, importer.project.id, row.subscriber_id)
    assert (row.at.isoformat(), str(row.ip)) == ("2024-03-01T10:00:00+00:00", "192.0.2.7")
    assert "landing" in [one.text for one in found]


def test_typed_fields_are_read_and_what_does_not_fit_costs_the_row_or_the_value(importer):
    importer.session.add_all(
        SubscriberField(project_id=importer.project.id, name=name, label=name, type=kind)
        for name, kind in (("age", "number"), ("born", "date"))
    )
    importer.session.commit()
    data = "email,age,born\na@b.ru,41,03.11.1984\nc@d.ru,many,03.11.1984\n"
    row = importer(data)
    assert importer.people() == {"a@b.ru": ("", {"age": 41, "born": "1984-11-03"})}
    assert importer.rejected(row) == [(3, "value:age")]
    importer(data, strict=False)
    assert importer.people()["c@d.ru"] == ("", {"born": "1984-11-03"})


def test_double_opt_in_asks_everybody_once_and_gently(importer):
    importer.live.build.sender(importer.project)
    data = "email\n" + "".join(f"u{n}@b.ru\n" for n in range(5))
    row = importer(data, status="unconfirmed")
    assert importer.in_list("unconfirmed") == 5
    assert importer.session.query(Consent.kind).distinct().scalar() == "asked"
    assert row.letters_open
    object.__setattr__(importer.settings, "import_letters_per_minute", 2)
    sent = []
    for _minute in range(4):
        ask_to_confirm(importer.asking().request)
        importer.session.expire_all()
        sent.append(importer.session.query(Message).count())
    assert sent == [2, 4, 5, 5]
    assert not row.letters_open
    assert row.letters["sent"] == 5
    again = importer(data, status="unconfirmed")
    assert (numbers(again), again.rows_unchanged) == ((5, 0, 5, 0, 0), 5)


def test_who_is_in_two_lists_of_the_import_gets_one_letter(importer):
    other = importer.live.build.list(importer.project)
    importer.live.build.sender(importer.project)
    importer("email\na@b.ru\n", status="unconfirmed", lists=[importer.list, other])
    for _minute in range(2):
        ask_to_confirm(importer.asking().request)
    assert importer.session.query(Message).count() == 1


def test_whom_the_operator_or_an_erasure_stops_is_left_alone(importer):
    importer.session.add(GlobalSuppression(domain="trap.test", note="trap"))
    suppress_erased(importer.session, project_id=importer.project.id, email_key="gone@b.ru")
    importer.session.commit()
    row = importer("email\na@trap.test\ngone@b.ru\nc@d.ru\n")
    assert importer.rejected(row) == [(2, "skipped_suppressed"), (3, "skipped_suppressed")]
    assert list(importer.people()) == ["c@d.ru"]


def test_unconfirmed_people_are_subscribed_by_an_import_that_subscribes(importer):
    importer("email\na@b.ru\n", status="unconfirmed")
    row = importer("email\na@b.ru\n")
    assert (numbers(row), row.rows_unchanged) == ((1, 0, 1, 0, 0), 0)
    assert importer.in_list() == 1


def test_nothing_starts_before_every_step_is_through(importer):
    row = importer.upload("email\na@b.ru\n", draft=True)
    for missing in ("lists", "consent", "email"):
        if missing == "email":
            row.mapping = {}
        else:
            lists = [] if missing == "lists" else [importer.list.id]
            imports.save_rules(importer.session, row, list_ids=lists, rules=imports.Rules(),
                               statement="" if missing == "consent" else "yes")  # fmt: skip
        with pytest.raises(NotReady) as refusal:
            imports.start(importer.session, row)
        assert refusal.value.step == ("columns" if missing == "email" else "rules")
