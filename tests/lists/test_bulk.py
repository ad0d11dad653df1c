"""Bulk changes: nobody twice, nobody who came later, and back again except where somebody has changed it since."""

from __future__ import annotations

import pytest
from sqlalchemy import select, text

from mailhub.background import service as background
from mailhub.background.running import Over, Running
from mailhub.background.tasks import resume_jobs, run_job
from mailhub.lists import bulk, tags
from mailhub.lists.filters import PeopleFilter
from mailhub.models import ListCount, ProjectJob, Subscriber, SubscriberChange, SubscriberTag, Subscription, Tag
from mailhub.tasks import run, task_request


class Desk:
    """Asks for changes and does them as a worker does, with real commits."""

    def __init__(self, live):
        self.live, self.session, build = live, live.session, live.build
        self.project = build.project(build.user())
        self.news = build.list(self.project, "News")
        self.people = [
            build.subscriber(
                self.project, f"p{n}@mail.test", lists=[self.news] if n < 4 else [], fields={"city": "Omsk"}
            )
            for n in range(6)
        ]
        self.ids = [one.id for one in self.people]
        (self.tag,) = tags.ensure_tags(self.session, self.project.id, ["VIP"])
        self.session.commit()

    def ask(self, action, *, ids=None, query=None, **what):
        request = task_request(self.live.registry)
        with request.tm:
            project = request.dbsession.merge(self.project, load=False)
            whom = bulk.Whom(tuple(ids)) if ids is not None else bulk.Whom(wanted=PeopleFilter.of(query or {}))
            return bulk.ask(request, project, whom, action, **what).id

    def undo(self, job_id):
        request = task_request(self.live.registry)
        with request.tm:
            job = request.dbsession.get_one(ProjectJob, (self.project.id, job_id))
            undo = bulk.ask_undo(request, job)[0].id
        return self.run(undo).result

    def run(self, job_id):
        run(self.live.registry, run_job.spec, (self.project.id, job_id))
        self.session.rollback()
        self.session.expire_all()
        return self.session.get_one(ProjectJob, (self.project.id, job_id))

    def state(self):
        """Everything that a change may touch, as it is."""
        self.session.rollback()
        self.session.expire_all()
        people = select(Subscriber.id, Subscriber.status, Subscriber.fields).order_by(Subscriber.id)
        joined = select(Subscription.subscriber_id, Subscription.status, Subscription.created_at, Subscription.ip)
        marked = select(SubscriberTag.subscriber_id, SubscriberTag.created_at).order_by(SubscriberTag.subscriber_id)
        counted = select(ListCount.status, ListCount.n).where(ListCount.n > 0).order_by(ListCount.status)
        return [
            [tuple(row) for row in self.session.execute(one)]
            for one in (people, joined.order_by(Subscription.subscriber_id), marked, counted, select(Tag.n))
        ]


@pytest.fixture
def desk(live, monkeypatch):
    monkeypatch.setattr(bulk, "SLICE", 2)
    monkeypatch.setattr(bulk, "WINDOW", 2)
    return Desk(live)


def test_every_change_is_done_and_taken_back_exactly(desk):
    what = {
        "tag_add": {"tag": desk.tag.id}, "tag_remove": {"tag": desk.tag.id}, "list_add": {"list": desk.news.id},
        "list_remove": {"list": desk.news.id}, "unsubscribe": {}, "set_field": {"field": "city", "value": "Kazan"},
    }  # fmt: skip
    tags.add_tags(desk.session, desk.project.id, desk.ids[:1], [desk.tag.id])
    gone = desk.session.get_one(Subscription, (desk.project.id, desk.news.id, desk.ids[3]))
    gone.status = "unsubscribed"
    desk.session.commit()
    expected = {"tag_add": 5, "tag_remove": 1, "list_add": 2, "list_remove": 3, "unsubscribe": 6, "set_field": 6}
    for action, given in what.items():
        before = desk.state()
        job_id = desk.ask(action, **given)
        job = desk.run(job_id)
        assert (job.state, job.done, job.result) == ("done", 6, {"changed": expected[action]}), action
        assert desk.state() != before, action
        assert desk.undo(job_id) == {"restored": expected[action], "kept": 0}, action
        assert desk.state() == before, action
        assert desk.session.scalar(select(SubscriberChange.job_id).limit(1)) is None


def test_who_has_left_is_not_put_back_into_the_list_by_anybody(desk):
    for person, status in zip(desk.people[4:], ("unsubscribed", "complained"), strict=True):
        desk.session.merge(person).status = status
    desk.session.commit()
    assert desk.run(desk.ask("list_add", list=desk.news.id)).result == {"changed": 0}


def test_newcomers_are_not_swept_in(desk):
    job_id = desk.ask("tag_add", tag=desk.tag.id)
    late = desk.live.build.subscriber(desk.project, "late@mail.test")
    desk.run(job_id)
    assert set(desk.session.scalars(select(SubscriberTag.subscriber_id))) == set(desk.ids) - {late.id}


def test_a_worker_killed_in_the_middle_changes_nobody_twice(desk, monkeypatch):
    job_id = desk.ask("set_field", field="city", value="Kazan")
    move, slices = Running.move, []

    def dies(self, dbsession, **values):
        move(self, dbsession, **values)
        slices.append(values["done"])
        if len(slices) == 2:
            raise Over("lost")  # The worker is gone: nothing of this slice is committed, the lease is nobody's.

    monkeypatch.setattr(Running, "move", dies)
    desk.run(job_id)
    monkeypatch.setattr(Running, "move", move)
    assert len(desk.session.scalars(select(SubscriberChange.job_id)).all()) == 2
    desk.session.execute(text("UPDATE project_job SET lease_until = now() - interval '1 second'"))
    desk.session.commit()
    request = task_request(desk.live.registry)
    with request.tm:
        resume_jobs(request)
    job = desk.run(job_id)
    assert (job.state, job.done, job.result) == ("done", 6, {"changed": 6})


def test_what_somebody_has_changed_since_is_left_as_they_made_it(desk):
    field = desk.ask("set_field", field="city", value="Kazan")
    tag = desk.ask("tag_add", tag=desk.tag.id)
    leave = desk.ask("unsubscribe", ids=desk.ids[:2])
    for job_id in (field, tag, leave):
        desk.run(job_id)
    desk.session.get_one(Subscriber, (desk.project.id, desk.ids[0])).fields = {"city": "Tver"}
    desk.session.commit()
    tags.remove_tags(desk.session, desk.project.id, [desk.ids[1]], [desk.tag.id])
    desk.session.commit()
    tags.add_tags(desk.session, desk.project.id, [desk.ids[1]], [desk.tag.id])
    back = desk.session.get_one(Subscription, (desk.project.id, desk.news.id, desk.ids[0]))
    back.unsubscribed_at = text("now() - interval '1 hour'")
    desk.session.commit()
    assert desk.undo(field) == {"restored": 5, "kept": 1}
    assert desk.undo(tag) == {"restored": 5, "kept": 1}
    desk.undo(leave)
    desk.session.expire_all()
    people = {one.id: one for one in desk.session.scalars(select(Subscriber))}
    assert people[desk.ids[0]].fields == {"city": "Tver"}
    assert list(desk.session.scalars(select(SubscriberTag.subscriber_id))) == [desk.ids[1]]
    joined = dict(desk.session.execute(select(Subscription.subscriber_id, Subscription.status)).all())
    assert (joined[desk.ids[0]], joined[desk.ids[1]]) == ("unsubscribed", "subscribed")
    with pytest.raises(bulk.CannotUndo):
        desk.undo(field)


def test_deleting_stops_at_the_number_that_was_typed_and_is_final(desk):
    job_id = desk.ask("delete", most=4)
    assert desk.run(job_id).result == {"changed": 4}
    assert len(desk.session.scalars(select(Subscriber.id)).all()) == 2
    with pytest.raises(bulk.CannotUndo):
        desk.undo(job_id)


def test_a_cancelled_change_stops_and_what_was_done_can_be_taken_back(desk, monkeypatch):
    before = desk.state()
    job_id = desk.ask("tag_add", tag=desk.tag.id)
    move = Running.move

    def cancelled(self, dbsession, **values):
        move(self, dbsession, **values)
        background.cancel(dbsession, self.project_id, self.id)

    monkeypatch.setattr(Running, "move", cancelled)
    assert desk.run(job_id).state == "cancelled"
    monkeypatch.setattr(Running, "move", move)
    assert desk.undo(job_id) == {"restored": 2, "kept": 0}
    assert desk.state() == before
