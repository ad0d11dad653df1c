"""The cast of this room's tests, and strangers who fill forms in."""

from __future__ import annotations

import time
from typing import Any

import pytest

from mailhub.models import Message, MessageContent, Project, SignUpForm, SignUpSubmission, Subscriber, Subscription
from mailhub.signup import proof, service
from mailhub.signup.design import Design
from mailhub.signup.opened import opened, page_url
from mailhub.tasks import TASKS, run
from mailhub.tasks import task_request as make_request
from tests.cast import cast, page, statements

__all__ = ["cast", "page", "statements"]

TAKE_IN = "mailhub.signup.take_in"


@pytest.fixture
def tools(registry):
    return make_request(registry)


class Forms:
    """Makes forms, and is the strangers who send them and the worker that takes them in."""

    def __init__(self, client: Any, dbsession: Any, registry: Any, tools: Any) -> None:
        self.client, self.dbsession, self.registry, self.tools = client, dbsession, registry, tools
        self._n = 0

    def make(self, project: Any, lists: Any, *, name: str = "Form", design: Any = None, **columns: Any) -> SignUpForm:
        made = service.create(
            self.dbsession, project_id=project.id, name=name, list_ids=[one.id for one in lists],
            design=Design.model_validate(design or {}), **{"opt_in": "single", **columns},
        )  # fmt: skip
        self.dbsession.commit()
        return made

    def path(self, form: SignUpForm) -> str:
        return page_url(self.tools, form).removeprefix("http://localhost")

    def stamp(self, form: SignUpForm, age: float = 5.0, **values: Any) -> str:
        project = self.dbsession.get_one(Project, form.project_id)
        key = opened(self.dbsession, project, form).key
        return proof.make(self.registry, key, now=time.time() - age, **values)

    def send(
        self, form: SignUpForm, email: str = "anna@mail.ru", *, age: float = 5.0, ip: str = "", settle: bool = True,
        headers: Any = None, **fields: Any,
    ) -> Any:  # fmt: skip
        self._n += 1
        status = fields.pop("status", 200)
        given = {"email": email, "stamp": self.stamp(form, age), **fields}
        answer = self.client.new().post(
            self.path(form), given, status=status, headers=headers,
            extra_environ={"REMOTE_ADDR": ip or f"10.{self._n >> 8}.{self._n & 255}.1"},
        )  # fmt: skip
        if settle:
            self.settle()
        return answer

    def settle(self) -> None:
        """What a worker does with the forms that were sent."""
        publisher = self.registry.publisher
        mine = [one for one in publisher.sent if one[0] == TAKE_IN]
        publisher.sent[:] = [one for one in publisher.sent if one[0] != TAKE_IN]
        for name, args, _queue in mine:
            run(self.registry, TASKS[name], args)
        self.dbsession.expire_all()

    def status(self, mailing_list: Any, email: str = "anna@mail.ru") -> str | None:
        self.dbsession.expire_all()
        row = (
            self.dbsession.query(Subscription)
            .join(Subscriber, Subscriber.id == Subscription.subscriber_id)
            .filter(Subscriber.email_key == email, Subscription.list_id == mailing_list.id)
            .one_or_none()
        )
        return row.status if row else None

    def letters(self, tag: str = "") -> list[MessageContent]:
        self.dbsession.expire_all()
        wanted = self.dbsession.query(MessageContent).join(Message, Message.id == MessageContent.message_id)
        return wanted.filter(Message.tag == tag).all() if tag else wanted.all()

    def states(self) -> list[str]:
        self.dbsession.expire_all()
        return [row.state for row in self.dbsession.query(SignUpSubmission).order_by(SignUpSubmission.id)]


@pytest.fixture
def forms(client, dbsession, registry, tools):
    return Forms(client, dbsession, registry, tools)


@pytest.fixture
def single(cast, build):
    return build.list(cast.project, "Single", visibility="public", opt_in="single", language="ru")


@pytest.fixture
def double(cast, build):
    return build.list(cast.project, "Double", visibility="public", opt_in="double")
