"""What the JSON API of this room takes and gives."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field

from mailhub.lists.forms import Address, Language, PersonName, row_id
from mailhub.lists.tags import MAX_NAME, clean_tag
from mailhub.models import FormState, OptIn, SignUpForm, SubmissionState
from mailhub.signup.design import Design, HttpsUrl
from mailhub.signup.results import Came
from mailhub.web.api import utc
from mailhub.web.forms import Form, Invalid
from mailhub.web.i18n import _
from mailhub.web.paging import API_LIMIT, API_LIMIT_MAX

MAX_LISTS = 50
MAX_TAGS = 20


def tag_names(names: list[str]) -> list[str]:
    """Tags as they are kept, each once; raises Invalid for what is none."""
    cleaned = [clean_tag(name) for name in names]
    if not all(cleaned):
        raise Invalid(_("A tag has 1 to ${n} characters, without line breaks.", mapping={"n": MAX_NAME}))
    once: dict[str, str] = {}
    for name in cleaned:
        once.setdefault(name.lower(), name)
    return list(once.values())


def _one_line(text: str) -> str:
    if any(not char.isprintable() for char in text):
        raise Invalid(_("Line breaks and invisible characters are not possible here."))
    return text


Id = Annotated[int, BeforeValidator(row_id)]
FormName = Annotated[str, Field(min_length=1, max_length=120), AfterValidator(_one_line)]
ListIds = Annotated[list[Id], Field(min_length=1, max_length=MAX_LISTS)]
Tags = Annotated[list[Annotated[str, Field(max_length=200)]], Field(max_length=MAX_TAGS), AfterValidator(tag_names)]


class FormIn(Form):
    """A form; what is left out is as the form builder has it."""

    name: FormName
    lists: ListIds
    choose_lists: bool = False
    opt_in: OptIn = OptIn.DOUBLE
    language: Language = ""
    redirect_url: HttpsUrl = ""
    tags: Tags = Field(default_factory=list)
    design: Design = Field(default_factory=Design)


class FormPatch(Form):
    name: FormName | None = None
    lists: ListIds | None = None
    choose_lists: bool | None = None
    opt_in: OptIn | None = None
    language: Language | None = None
    redirect_url: HttpsUrl | None = None
    tags: Tags | None = None
    design: Design | None = None
    state: FormState | None = None


class FormOut(Form):
    """`url` is the form's page, to which JSON may be sent as well. `pause_reason`: by_hand, flood or empty."""

    id: str
    name: str
    url: str
    lists: list[str]
    choose_lists: bool
    opt_in: str
    language: str
    redirect_url: str
    tags: list[str]
    design: Design
    state: str
    pause_reason: str
    is_list_page: bool
    created_at: str
    updated_at: str


class FormsQuery(Form):
    limit: Annotated[int, Field(ge=1, le=API_LIMIT_MAX)] = API_LIMIT
    after: str | None = None


class SubmissionsQuery(FormsQuery):
    state: SubmissionState | None = None


class SubmissionIn(Form):
    """What a person has entered in a form of your own; `ip` and `user_agent` are theirs, for the consent's record.

    `consents` are the numbers of the boxes that they ticked.
    """

    email: Address
    name: PersonName = ""
    fields: Annotated[dict[str, Any], Field(max_length=100)] = Field(default_factory=dict)
    lists: Annotated[list[Id], Field(max_length=MAX_LISTS)] = Field(default_factory=list)
    consents: Annotated[list[int], Field(max_length=20)] = Field(default_factory=list)
    ip: Annotated[str, Field(max_length=45)] = ""
    user_agent: Annotated[str, Field(max_length=1000)] = ""


class SubmissionOut(Form):
    """`state`: waiting, asked, subscribed, confirmed, already, stopped, capped, expired."""

    id: str
    state: str
    email: str | None
    subscriber_id: str | None
    lists: list[str]
    consents: list[str]
    site: str
    created_at: str
    settled_at: str | None


class FormDayOut(Form):
    date: str
    views: int
    submits: int
    confirmations: int


class DaysQuery(Form):
    days: Annotated[int, Field(ge=1, le=366)] = 30


def form_out(form: SignUpForm, *, url: str, list_ids: list[int]) -> FormOut:
    return FormOut(
        id=str(form.id),
        name=form.name,
        url=url,
        lists=[str(number) for number in list_ids],
        choose_lists=form.choose_lists,
        opt_in=form.opt_in,
        language=form.language,
        redirect_url=form.redirect_url,
        tags=form.tags,
        design=Design.model_validate(form.design),
        state=form.state,
        pause_reason=form.pause_reason,
        is_list_page=form.default_list_id is not None,
        created_at=utc(form.created_at) or "",
        updated_at=utc(form.updated_at) or "",
    )


def submission_out(came: Came) -> SubmissionOut:
    row = came.submission
    return SubmissionOut(
        id=str(row.id),
        state=row.state,
        email=came.email or row.email or None,
        subscriber_id=str(row.subscriber_id) if row.subscriber_id is not None else None,
        lists=[str(number) for number in row.list_ids],
        consents=list(row.consents),
        site=row.host,
        created_at=utc(row.created_at) or "",
        settled_at=utc(row.settled_at),
    )
