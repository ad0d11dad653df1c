"""What happens when more forms come in than people can be behind."""

import pytest

from mailhub.lists import caps
from mailhub.models import AuditEntry, SignUpForm, SignUpSubmission
from mailhub.signup import flood, intake, proof


@pytest.fixture
def form(forms, double, cast):
    return forms.make(cast.project, [double])


def use_up(registry, cap):
    for _n in range(cap.most):
        assert caps.take(registry, [cap]) is None
    assert caps.take(registry, [cap]) == cap


def test_work_is_asked_for_once_two_hundred_have_not_confirmed(client, dbsession, registry, forms, form, cast):
    use_up(registry, intake.free_cap(cast.project.id))
    page = client.get(forms.path(form))
    assert page.html.select_one("form[data-work]")["data-work"] == str(proof.BITS)
    assert "sign-up.js" in page.html.script["src"]
    refused = forms.send(form, status=422)
    assert refused.html.select_one("form[data-work]")
    assert refused.html.select_one("#email")["value"] == "anna@mail.ru"
    stamp = forms.stamp(form, bits=6)
    wrong = next(str(n) for n in range(99) if not proof.is_worked(stamp, read(forms, form, stamp), str(n)))
    forms.send(form, stamp=stamp, work=wrong, status=422)
    assert dbsession.query(SignUpSubmission).count() == 0
    forms.send(form, stamp=stamp, work=proof.find(stamp, 6))
    assert forms.states() == ["asked"]
    forms.send(form, "b@mail.ru", stamp=stamp, work=proof.find(stamp, 6))
    assert forms.states() == ["asked"], "work is good once"
    asked = client.get(forms.path(form), headers={"Accept": "application/json"}).json
    assert asked["work_bits"] == proof.BITS


def read(forms, form, stamp):
    return proof.read(forms.registry, f"{form.project_id}:{form.id}", stamp)


def test_work_grows_old(forms, form):
    stamp = forms.stamp(form, age=proof.MAX_WORK_SECONDS + 1, bits=4)
    assert not proof.is_worked(stamp, read(forms, form, stamp), proof.find(stamp, 4))


def test_bits_of_a_stamp_cannot_be_changed(forms, form):
    millis, bits, *rest = forms.stamp(form).split(".")
    assert bits == str(proof.BITS)
    assert read(forms, form, ".".join([millis, "1", *rest])) is None


def test_people_without_a_script_wait_and_are_few(dbsession, registry, forms, form, cast):
    use_up(registry, intake.free_cap(cast.project.id))
    slow = intake.slow_cap(cast.project.id)
    for n in range(slow.most):
        forms.send(form, f"a{n}@mail.ru", slow="1")
    assert set(forms.states()) == {"waiting"}
    assert "hour" in forms.send(form, "z@mail.ru", slow="1", status=422).text
    rows = dbsession.query(SignUpSubmission).all()
    assert all((row.due_at - row.created_at).total_seconds() > 500 for row in rows)


def test_form_is_paused_and_its_owner_told_once_when_all_is_used_up(client, dbsession, registry, forms, form, cast):
    use_up(registry, intake.free_cap(cast.project.id))
    use_up(registry, intake.worked_cap(cast.project.id))
    for n in range(2):
        stamp = forms.stamp(form, bits=4)
        closed = forms.send(form, f"a{n}@mail.ru", stamp=stamp, work=proof.find(stamp, 4), status=[200, 403][n])
        assert not closed.html.select("form")
    assert forms.states() == []
    dbsession.expire_all()
    paused = dbsession.get(SignUpForm, (form.project_id, form.id))
    assert (paused.state, paused.pause_reason) == ("paused", "flood")
    (told,) = forms.letters("form_paused")
    assert f"/forms/{form.id}" in told.text
    assert dbsession.query(AuditEntry).filter_by(action="form.flooded").count() == 1


def test_confirmed_and_single_opt_in_sign_ups_do_not_count_as_a_flood(client, registry, forms, form, single, cast):
    import re

    cap = intake.free_cap(cast.project.id)
    for n in range(3):
        forms.send(forms.make(cast.project, [single], name=f"S{n}"), f"s{n}@mail.ru")
    forms.send(form, "anna@mail.ru")
    client.post(re.search(r"http://localhost(/c/\S+)", forms.letters("confirm_subscription")[0].text).group(1))
    for _n in range(cap.most):
        assert caps.take(registry, [cap]) is None
    assert flood.is_flooded(forms.tools, cast.project.id)
