"""Nobody who has a dump of the database finds the address of an erased person in it; the numbers are as before."""

from __future__ import annotations

import base64
import io
import json
import quopri
import re
import zipfile
from datetime import UTC, datetime, timedelta
from urllib.parse import quote

import pytest
from sqlalchemy import func, select, text

from mailhub.background import service as background
from mailhub.background.tasks import run_job
from mailhub.delivery import service as delivery
from mailhub.events.service import Event, append_in
from mailhub.imports import service as imports
from mailhub.imports.rules import Rules
from mailhub.imports.tasks import run_import
from mailhub.jobs import files as reports
from mailhub.lists import consents
from mailhub.lists import service as lists
from mailhub.models import (
    AuditEntry,
    Erasure,
    ErasureWay,
    GlobalSuppression,
    IdempotencyKey,
    ImportRejectedRow,
    ImportStaging,
    Link,
    Message,
    MessageContent,
    MessageEvent,
    MessageKind,
    ProjectJob,
    ReportJob,
    Segment,
    Subscriber,
    SubscriberImport,
    Suppression,
    metadata,
)
from mailhub.privacy import service
from mailhub.privacy.tasks import erase_due, follow
from mailhub.reporting.verify import verify
from mailhub.security.address_hash import hash_of
from mailhub.security.sealed import sealer_of
from mailhub.tasks import run, task_request

EMAIL = "Ann.Marie+news@Mail-Of.test"
KEY = EMAIL.lower()
OLD = "ann@before.test"


def dumped(engine) -> bytes:
    """Every table of the database as COPY writes it, system tables aside; files of the home are not in it."""
    out = io.BytesIO()
    with engine.connect() as connection:
        tables = (
            connection.execute(
                text(
                    "SELECT format('%I.%I', schemaname, tablename) FROM pg_tables"
                    " WHERE schemaname NOT IN ('pg_catalog', 'information_schema') ORDER BY 1"
                )
            )
            .scalars()
            .all()
        )
        driver = connection.connection.driver_connection
        for table in tables:
            with driver.cursor().copy(f"COPY (SELECT * FROM {table}) TO STDOUT") as rows:
                out.write(f"-- {table}\n".encode())
                for row in rows:
                    out.write(bytes(row))
    return out.getvalue()


def without_joan(data: bytes) -> bytes:
    """Somebody else's address contains that of the erased person."""
    return re.sub(re.escape(b"jo" + KEY.encode()), b"joan", data, flags=re.IGNORECASE)


def forms(address: str) -> set[bytes]:
    """How an address may be spelled; of base64 what does not depend on what stands around it."""
    found = set()
    for spelled in (address, address.lower(), address.capitalize()):
        local, _, domain = spelled.rpartition("@")
        found |= {spelled, quote(spelled), quote(spelled, safe=""), quote(quote(spelled, safe=""), safe="")}
        found |= {f"{local}=40{domain}", f"{local}&#64;{domain}", f"{local}%40{domain}"}
        found.add(quopri.encodestring(spelled.encode(), quotetabs=True).decode())
        for shift in range(3):
            piece = base64.b64encode(b"x" * shift + spelled.encode()).decode()
            found.add(piece[shift + 1 if shift else 0 : (shift + len(spelled)) * 8 // 6])
    return {one.encode() for one in found}


def found_in(data: bytes, *addresses: str) -> list[bytes]:
    data = without_joan(data)
    low = data.lower()
    wanted = set().union(*map(forms, addresses))
    return sorted(one for one in wanted if one in data or one.lower() in low)


class House:
    """A project with a person whose address stands everywhere, on a database with real commits."""

    def __init__(self, live) -> None:
        self.live, self.session, build = live, live.session, live.build
        self.owner = build.user("owner@shop.test")
        self.project = project = build.project(self.owner, notify_email="owner@shop.test")
        self.sender = build.sender(project, is_default=True)
        self.list = build.list(project, "News")
        self.person = build.subscriber(project, EMAIL, lists=[self.list], name="Ann", fields={"mail": EMAIL})
        self.other = build.subscriber(
            project, "jo" + KEY, lists=[self.list], name="Joan", fields={"friend": f"<{EMAIL}>"}
        )
        self.campaign = build.started_campaign(project, lists=[self.list])
        self.person_id, self.owner_id = self.person.id, self.owner.id
        self.request = task_request(live.registry)
        self.settings = live.registry.mailhub

    def fill(self) -> None:
        session, project, person = self.session, self.project, self.person
        now = datetime.now(UTC)
        link = session.scalars(select(Link).where(Link.campaign_id == self.campaign.id)).one()
        for who, address in ((person, OLD), (person, EMAIL), (self.other, self.other.email)):
            facts = {
                "kind": "campaign", "campaign_id": self.campaign.id, "subscriber_id": who.id, "email": address,
                "email_domain": address.rpartition("@")[2].lower(), "list_id": self.list.id, "list_name": "News",
            }  # fmt: skip
            letter = Message(
                project_id=project.id, created_at=now, kind="campaign", queue="bulk", state="sent", email=address,
                email_domain=facts["email_domain"], campaign_id=self.campaign.id, subscriber_id=who.id,
                subject=f"Hello, {address}", smtp_code=250, smtp_reply=f"250 ok <{address}> accepted",
            )  # fmt: skip
            session.add(letter)
            session.flush()
            events = [
                Event("SENT", project.id, message_id=letter.id, at=now, detail=f"to <{address}>", **facts),
                Event("OPENED", project.id, at=now, ip="192.0.2.9", user_agent="Mail/1.0", **facts),
                Event("REDIRECTED", project.id, at=now, link_id=link.id, url=link.url, ip="192.0.2.9", **facts),
                Event("SOFTBOUNCED", project.id, at=now, code=450, detail=f"450 <{address}> later", **facts),
            ]
            append_in(session, events)
        self.letters()
        consents.record(session, project_id=project.id, subscriber_id=person.id, kind="given", text="Yes, please",
                        ip="192.0.2.9", user_agent="Firefox")  # fmt: skip
        session.add_all(
            [
                AuditEntry(project_id=project.id, actor="owner@shop.test", action="subscriber.changed",
                           object_name=EMAIL, detail={"was": {"email": OLD}, "all": [quote(EMAIL, safe="")]}),
                IdempotencyKey(project_id=project.id, key=f"welcome-{EMAIL}", request_hash="x", response={"to": KEY}),
                Suppression(project_id=project.id, email_key=OLD, reason="hard_bounce", note=f"as {EMAIL}"),
                GlobalSuppression(email_key=KEY, note="asked us"),
                Segment(project_id=project.id, name=f"Like {EMAIL}",
                        definition={"all": [{"field": "email", "is": EMAIL}]}),
                Link(project_id=project.id, url=f"https://x.test/?to={quote(EMAIL, safe='')}"),
                ProjectJob(project_id=project.id, kind="bulk", parameters={"q": KEY}, result={"of": EMAIL},
                           state="done"),
                ImportStaging(project_id=project.id, import_id=1, line=1, email=EMAIL, email_key=KEY,
                              email_domain="mail-of.test", fields={}),
            ]
        )  # fmt: skip
        row = SubscriberImport(
            project_id=project.id, list_id=self.list.id, state="done", file_name=f"{EMAIL}.csv", encoding="utf-8",
            delimiter=",", stored_name="a" * 32 + ".csv",
        )  # fmt: skip
        session.add(row)
        session.flush()
        session.add(ImportRejectedRow(project_id=project.id, import_id=row.id, line=2, reason="email",
                                      raw=f"Ann Marie,{EMAIL},+7 900"))  # fmt: skip
        session.commit()
        self.upload = imports.path_of(self.settings, row.stored_name)
        self.upload.parent.mkdir(parents=True, exist_ok=True)
        self.upload.write_bytes(f"email,name\r\n{EMAIL},Ann\r\n".encode("utf-16-le"))
        self.exported = self.finished("zip")
        with zipfile.ZipFile(background.path_of(self.settings, self.exported.file), "w", zipfile.ZIP_DEFLATED) as file:
            file.writestr("people.csv", f"email\r\n{EMAIL}\r\n")
        self.harmless = self.finished("csv")
        background.path_of(self.settings, self.harmless.file).write_text("email\r\njo" + KEY, encoding="utf-8")

    def letters(self) -> None:
        """A receipt, a test, a confirmation; a notice to the owner and a letter to a friend that name the person."""
        for kind, to, subject in (
            (MessageKind.TRANSACTIONAL, EMAIL, "Receipt"),
            (MessageKind.TEST, KEY.upper(), "Test"),
            (MessageKind.SERVICE, EMAIL, "Please confirm"),
            (MessageKind.SERVICE, "owner@shop.test", f"New subscriber: {EMAIL}"),
            (MessageKind.TRANSACTIONAL, "friend@else.test", "Ann has sent you something"),
        ):
            encoded = base64.b64encode(f"Mail of {EMAIL}!".encode()).decode()
            letter = delivery.SingleLetter(
                from_email=self.sender.email, from_name="Shop", to_email=to, subject=subject, text=f"From {EMAIL}",
                html=f'<a href="https://x.test/?who={quote(EMAIL, safe="")}">{KEY}</a>', headers={"X-Who": KEY},
                attachments=[delivery.Attachment("who.txt", "text/plain", encoded)],
            )  # fmt: skip
            delivery.accept(self.session, project=self.project, kind=kind, letter=letter)

    def finished(self, suffix: str) -> ProjectJob:
        background.folder(self.settings)
        job = ProjectJob(project_id=self.project.id, kind="x", state="done", file=background.new_name(suffix),
                         finished_at=datetime.now(UTC))  # fmt: skip
        self.session.add(job)
        self.session.commit()
        return job

    def erase(self, **by) -> Erasure:
        with self.request.tm:
            by = by or {"person": self.request.dbsession.get_one(Subscriber, (self.project.id, self.person_id))}
            made, _new = service.ask(
                self.request.dbsession, sealer_of(self.settings), project_id=self.project.id, way=ErasureWay.PAGE,
                user_id=self.owner_id, **by,
            )  # fmt: skip
            number = made.id
        self.work()
        self.session.expire_all()
        return self.session.get(Erasure, (self.project.id, number))

    def work(self) -> None:
        self.live.publisher.sent.clear()
        run(self.live.registry, erase_due.spec, ())
        self.live.publisher.run_all()

    def follow(self) -> None:
        """Three minutes later."""
        follow(task_request(self.live.registry), self.project.id, now=datetime.now(UTC) + timedelta(minutes=3))
        self.session.expire_all()


@pytest.fixture
def house(live) -> House:
    return House(live)


def test_no_address_is_left_anywhere_and_the_numbers_stay(house):
    house.fill()
    engine = house.live.engine
    assert len(found_in(dumped(engine), EMAIL)) > 6
    assert found_in(dumped(engine), OLD)
    assert verify(engine) == []
    before = {
        table.name: house.session.execute(select(table).order_by(*table.primary_key)).all()
        for table in metadata.sorted_tables
        if table.name.startswith(("campaign_", "project_day", "project_provider"))
    }
    house.erase()
    house.follow()
    house.session.rollback()
    data = dumped(engine)
    assert [line for line in data.split(b"\n") if found_in(line, EMAIL, OLD)] == []
    assert ("jo" + KEY).encode() in data, "somebody else's address, which contains it, stays"
    assert verify(engine) == []
    assert before == {
        name: house.session.execute(select(metadata.tables[name]).order_by(*metadata.tables[name].primary_key)).all()
        for name in before
    }
    assert not house.upload.exists()
    assert not background.path_of(house.settings, house.exported.file or "a" * 32 + ".x").exists()
    assert background.path_of(house.settings, house.harmless.file).exists()
    events = house.session.scalars(select(MessageEvent).where(MessageEvent.subscriber_id == house.person_id)).all()
    assert len(events) >= 8
    assert {(one.email, one.ip, one.user_agent, one.detail) for one in events} == {("", None, "", "")}
    assert {one.url for one in events if one.type == "REDIRECTED"} == {"https://example.com/shop"}


def test_the_record_says_when_and_by_whom_and_has_a_hash_only(house):
    house.fill()
    erasure = house.erase()
    assert (erasure.state, erasure.subscriber_id, erasure.asked_by) == ("following", house.person_id, house.owner.id)
    assert erasure.sealed is not None
    house.follow()
    erasure = house.session.get(Erasure, (house.project.id, erasure.id))
    assert (erasure.state, erasure.sealed, erasure.email_hash) == ("done", None, hash_of(KEY))
    assert erasure.letters == 5
    assert erasure.traces > 5
    entry = house.session.scalars(select(AuditEntry).where(AuditEntry.action == "person.erased")).one()
    assert (entry.actor, entry.detail["hash"]) == ("owner@shop.test", hash_of(KEY).hex())
    assert service.erased_before(house.session, house.project.id, EMAIL.upper()).id == erasure.id
    assert service.erased_before(house.session, house.project.id, "jo" + EMAIL) is None


def test_a_letter_that_waits_is_skipped_and_another_project_keeps_its_own(house):
    house.fill()
    elsewhere = house.live.build.project(house.live.build.user())
    theirs = house.live.build.subscriber(elsewhere, EMAIL)
    house.erase()
    waiting = house.session.scalars(
        select(Message).where(Message.project_id == house.project.id, Message.kind != "campaign", Message.email == "")
    ).all()
    assert {(one.state, one.reason) for one in waiting} == {("skipped", "erased")}
    assert len(waiting) == 3
    contents = house.session.scalars(select(MessageContent)).all()
    assert len(contents) == 2, "letters to others have lost the address only"
    assert all("[erased]" in one.text for one in contents)
    assert house.session.get(Subscriber, (elsewhere.id, theirs.id)).email == EMAIL


def test_whoever_still_knew_the_person_is_waited_for(house):
    house.fill()
    letter = house.session.scalars(
        select(Message).where(func.lower(Message.email) == KEY, Message.kind == "transactional")
    ).one()
    letter.in_flight, letter.lease_until = True, datetime.now(UTC) + timedelta(minutes=5)
    house.session.commit()
    erasure = house.erase()
    event = Event("SENT", house.project.id, "transactional", at=datetime.now(UTC), message_id=letter.id, email=EMAIL,
                  email_domain="mail-of.test")  # fmt: skip
    append_in(house.session, [event])
    house.session.commit()
    house.follow()
    assert house.session.get(Erasure, (house.project.id, erasure.id)).state == "following"
    letter = house.session.scalars(select(Message).where(Message.id == letter.id)).one()
    letter.in_flight, letter.state, letter.smtp_reply = False, "sent", f"250 <{EMAIL}>"
    job = house.finished("csv")
    job.state, job.finished_at, job.created_at = "running", None, erasure.erased_at
    path = background.path_of(house.settings, job.file)
    path.write_text(f"{EMAIL}\n", encoding="utf-8")
    house.session.commit()
    house.follow()
    erasure = house.session.get(Erasure, (house.project.id, erasure.id))
    assert (erasure.state, path.exists()) == ("following", True), "a file is being made"
    job.state, job.finished_at = "done", datetime.now(UTC)
    # The operator's list of recipients, too.
    report = ReportJob(kind="recipients", state="running", file=reports.new_name(), created_at=erasure.erased_at)
    house.session.add(report)
    listed = reports.path_of(house.settings, report.file)
    listed.write_text(f"2026-11-27,shop,{EMAIL}\n", encoding="utf-8")
    house.session.commit()
    house.follow()
    assert house.session.get(Erasure, (house.project.id, erasure.id)).state == "following"
    report.state, report.finished_at = "done", datetime.now(UTC)
    house.session.commit()
    house.follow()
    assert (path.exists(), listed.exists(), report.file) == (False, False, "")
    assert house.session.get(Erasure, (house.project.id, erasure.id)).state == "done"
    house.session.rollback()
    assert found_in(dumped(house.live.engine), EMAIL) == []


def test_an_address_that_only_letters_know_is_erased_too(house):
    house.letters()
    house.session.delete(house.person)
    house.session.commit()
    erasure = house.erase(email=EMAIL)
    assert (erasure.subscriber_id, erasure.letters) == (None, 3)


def test_an_erased_address_is_stopped_and_nobody_brings_it_back(house):
    data = f"email\n{EMAIL}\nnew@mail-of.test\n".encode()
    draft = uploaded(house, data)
    house.erase()
    house.follow()
    entry = house.session.scalars(select(Suppression).where(Suppression.project_id == house.project.id)).one()
    assert (entry.email_key, entry.reason, entry.email_hash) == (None, "erased", hash_of(KEY))
    assert lists.is_suppressed(house.session, project_id=house.project.id, email_key=KEY)
    house.session.refresh(draft)
    assert (draft.state, draft.error) == ("draft", imports.ERASED), "its page says why the file is gone"
    again = uploaded(house, data)
    imports.start(house.session, again)
    house.session.commit()
    run(house.live.registry, run_import.spec, (house.project.id, again.id))
    house.session.refresh(again)
    assert (again.rows_created, again.rows_skipped) == (1, 1)
    assert house.session.scalars(select(Subscriber).where(Subscriber.email_key == KEY)).all() == []


def uploaded(house, data):
    upload = imports.receive(house.settings, io.BytesIO(data))
    row = imports.create_import(
        house.session, project_id=house.project.id, file_name="a.csv", upload=upload, user_id=house.owner_id
    )
    imports.save_mapping(house.session, row, {"email": "email"})
    imports.save_rules(house.session, row, list_ids=[house.list.id], rules=Rules(), statement="They agreed.")
    house.session.commit()
    return row


def test_a_wish_waits_for_its_time_and_can_be_taken_back(house):
    later = {"email": EMAIL, "due_at": datetime.now(UTC) + timedelta(hours=1)}
    erasure = house.erase(**later)
    assert erasure.state == "waiting"
    assert house.session.get(Subscriber, (house.project.id, house.person_id)) is not None
    assert service.withdraw(house.session, project_id=house.project.id, erasure_id=erasure.id)
    assert not service.withdraw(house.session, project_id=house.project.id, erasure_id=erasure.id)
    house.session.commit()
    assert erasure.sealed is None
    assert house.erase().state == "following", "withdrawn once, asked for again"


def test_the_same_wish_is_the_same_erasure_and_a_second_run_changes_nothing(house):
    first = house.erase()
    events = (first.letters, first.events, first.state)
    house.work()
    house.session.expire_all()
    assert (first.letters, first.events, first.state) == events
    asked = service.ask_many(
        house.session, sealer_of(house.settings), project_id=house.project.id,
        emails=["jo" + EMAIL, "no address", "jo" + KEY], way=ErasureWay.MANY,
    )  # fmt: skip
    assert (len(asked.erasures), asked.known, asked.refused) == (1, 1, ["no address"])


def test_a_worker_that_dies_leaves_work_that_the_next_one_does(house, monkeypatch):
    from mailhub.privacy import walk

    house.fill()
    whole = walk.slice_of

    def die(dbsession, place, *rest):
        if place.table.name == "segment":
            raise SystemExit
        return whole(dbsession, place, *rest)

    monkeypatch.setattr(walk, "slice_of", die)
    with pytest.raises(SystemExit):
        house.erase()
    monkeypatch.setattr(walk, "slice_of", whole)
    house.session.expire_all()
    erasure = house.session.scalars(select(Erasure)).one()
    assert erasure.state == "erasing"
    job = house.session.scalars(select(ProjectJob).where(ProjectJob.kind == "privacy.erase")).one()
    house.session.execute(
        text("UPDATE project_job SET lease_until = now() - interval '1 second' WHERE state = 'running'")
    )
    house.session.commit()
    run(house.live.registry, run_job.spec, (house.project.id, job.id))
    house.follow()
    assert house.session.get(Erasure, (house.project.id, erasure.id)).state == "done"
    assert found_in(dumped(house.live.engine), EMAIL) == []
    assert json.dumps(house.session.get(ProjectJob, (house.project.id, job.id)).parameters) == "{}"
