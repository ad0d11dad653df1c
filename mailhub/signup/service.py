"""Making, changing, copying, pausing and archiving forms. Nothing here commits."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from sqlalchemy import delete, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from mailhub.models import FormState, MailingList, OptIn, PauseReason, SignUpForm, SignUpFormList
from mailhub.signup.design import Design

MAX_FORMS = 500


class TooManyForms(Exception):
    """A project has at most MAX_FORMS forms."""


class NoSuchList(Exception):
    """One of the lists is not the project's, or is archived."""


class FixedList(Exception):
    """A list's own page has that list, and no other."""


def create(
    dbsession: Session,
    *,
    project_id: int,
    name: str,
    list_ids: Sequence[int],
    design: Design,
    opt_in: str = OptIn.DOUBLE,
    language: str = "",
    redirect_url: str = "",
    choose_lists: bool = False,
    tags: Sequence[str] = (),
    user_id: int | None = None,
) -> SignUpForm:
    """A new form, open at once. Raises NoSuchList, TooManyForms."""
    used = select(SignUpForm.id).where(SignUpForm.project_id == project_id, SignUpForm.archived_at.is_(None))
    if len(dbsession.scalars(used.limit(MAX_FORMS)).all()) >= MAX_FORMS:
        raise TooManyForms
    form = SignUpForm(
        project_id=project_id, name=name, opt_in=opt_in, language=language, redirect_url=redirect_url,
        choose_lists=choose_lists, tags=list(tags), design=design.model_dump(mode="json"), created_by=user_id,
    )  # fmt: skip
    dbsession.add(form)
    dbsession.flush()
    set_lists(dbsession, form, list_ids)
    dbsession.refresh(form)
    return form


def update(
    dbsession: Session,
    form: SignUpForm,
    *,
    name: str | None = None,
    list_ids: Sequence[int] | None = None,
    design: Design | None = None,
    opt_in: str | None = None,
    language: str | None = None,
    redirect_url: str | None = None,
    choose_lists: bool | None = None,
    tags: Sequence[str] | None = None,
) -> None:
    """Change what is given. Raises NoSuchList, FixedList."""
    given = {
        "name": name, "opt_in": opt_in, "language": language, "redirect_url": redirect_url,
        "choose_lists": choose_lists, "tags": list(tags) if tags is not None else None,
        "design": design.model_dump(mode="json") if design is not None else None,
    }  # fmt: skip
    for column, value in given.items():
        if value is not None:
            setattr(form, column, value)
    if list_ids is not None:
        set_lists(dbsession, form, list_ids)
    dbsession.flush()


def set_lists(dbsession: Session, form: SignUpForm, list_ids: Sequence[int]) -> None:
    """The form brings people into these lists, in this order. Raises NoSuchList, FixedList."""
    wanted = list(dict.fromkeys(list_ids))
    if form.default_list_id is not None and wanted != [form.default_list_id]:
        raise FixedList
    known = set(
        dbsession.scalars(
            select(MailingList.id).where(
                MailingList.project_id == form.project_id, MailingList.id.in_(wanted), MailingList.archived_at.is_(None)
            )
        )
    )
    if not wanted or not known.issuperset(wanted):
        raise NoSuchList
    dbsession.execute(
        delete(SignUpFormList).where(
            SignUpFormList.project_id == form.project_id, SignUpFormList.form_id == form.id
        )
    )
    rows = [
        {"project_id": form.project_id, "form_id": form.id, "list_id": list_id, "position": place}
        for place, list_id in enumerate(wanted)
    ]
    dbsession.execute(insert(SignUpFormList).values(rows))


def list_ids_of(dbsession: Session, form: SignUpForm) -> list[int]:
    """The numbers of the form's lists in its order, archived ones included."""
    wanted = (
        select(SignUpFormList.list_id)
        .where(SignUpFormList.project_id == form.project_id, SignUpFormList.form_id == form.id)
        .order_by(SignUpFormList.position)
    )
    return list(dbsession.scalars(wanted))


def copy(dbsession: Session, form: SignUpForm, *, name: str, user_id: int | None) -> SignUpForm:
    """The same form once more, with a page of its own and no numbers yet. Raises NoSuchList, TooManyForms."""
    return create(
        dbsession,
        project_id=form.project_id,
        name=name,
        list_ids=list_ids_of(dbsession, form),
        design=Design.model_validate(form.design),
        opt_in=form.opt_in,
        language=form.language,
        redirect_url=form.redirect_url,
        choose_lists=form.choose_lists,
        tags=form.tags,
        user_id=user_id,
    )


def pause(dbsession: Session, form: SignUpForm) -> bool:
    """Close the form by hand; False where it is closed."""
    if form.state == FormState.PAUSED:
        return False
    form.state, form.pause_reason, form.paused_at = FormState.PAUSED, PauseReason.BY_HAND, datetime.now(UTC)
    dbsession.flush()
    return True


def resume(dbsession: Session, form: SignUpForm) -> bool:
    """Open the form again; False where it is open."""
    if form.state == FormState.ACTIVE:
        return False
    form.state, form.pause_reason, form.paused_at = FormState.ACTIVE, PauseReason.NONE, None
    dbsession.flush()
    return True


def archive(dbsession: Session, form: SignUpForm) -> None:
    """Take the form out of sight and its page off the web; numbers and consents stay. Raises FixedList."""
    if form.default_list_id is not None:
        raise FixedList
    form.archived_at = datetime.now(UTC)
    dbsession.flush()
