"""A form's letters, as they arrive at a relay."""

from __future__ import annotations

import dataclasses
import re
import time
from email import message_from_bytes, policy

import pytest

from mailhub.delivery.dispatcher import forget_dispatcher
from mailhub.lists import sign_up
from mailhub.models import Subscription
from mailhub.setting_values import relay as parse_relay
from mailhub.signup import proof
from mailhub.tasks import task_request
from tests.sink import Sink


@pytest.fixture
def sink():
    with Sink() as running:
        yield running
    forget_dispatcher()


def test_confirmation_and_notice_arrive_and_the_link_in_the_letter_confirms(live, sink):
    relays = {"default": parse_relay("default", sink.url, {})}
    live.registry.mailhub = dataclasses.replace(live.registry.mailhub, relays=relays)
    project = live.build.project(live.build.user(), notify_email="boss@owner.test")
    live.build.sender(project, is_default=True)
    mailing_list = live.build.list(project, "Новости", visibility="public", opt_in="double", language="ru")
    tools = task_request(live.registry)
    url = sign_up.form_url(tools, mailing_list)
    stamp = proof.make(live.registry, f"{project.id}:list-{mailing_list.id}", now=time.time() - 5)
    live.client.post(url, {"email": "anna@people.test", "stamp": stamp})
    live.publisher.run_all()
    (asked,) = arrived(sink)
    assert asked["To"].addresses[0].addr_spec == "anna@people.test"
    assert asked["From"].addresses[0].addr_spec == f"news@{project.domain}"
    assert "Новости" in asked["Subject"]
    text = asked.get_body(("plain",)).get_content()
    live.client.post(re.search(r"http://localhost(/c/\S+)", text).group(1))
    live.publisher.run_all()
    assert live.session.query(Subscription).one().status == "subscribed"
    _asked, told = arrived(sink)
    assert told["To"].addresses[0].addr_spec == "boss@owner.test"
    assert "anna@people.test" in told["Subject"]


def arrived(sink):
    return [message_from_bytes(letter.data, policy=policy.default) for letter in sink.letters]
