"""The filters of the number reports, as they stand in the URL of a page, its CSV and its JSON."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any, Literal, TypeVar

from pydantic import Field, ValidationInfo, field_validator
from pyramid.request import Request

from mailhub.admin.forms import PERIODS, Range
from mailhub.mail.lane import LANES
from mailhub.web.forms import FormResult, Invalid, validate_values
from mailhub.web.i18n import _

#: The heavy reports read raw rows: short periods in a page, longer ones as a job.
RAW_PERIODS = (1, 2, 7)
#: What rows may be of, in the order of the columns.
GROUPS = ("day", "project", "provider")
By = Literal[
    "day", "project", "provider", "day,project", "day,provider", "project,provider", "day,project,provider"
]  # fmt: skip


class NumbersQuery(Range):
    """The period is `since`..`until`, or the last `days` days; `project` is a slug, `provider` one of LANES."""

    days: int = 30
    project: str = Field(default="", max_length=40)
    provider: str = Field(default="", max_length=20)
    by: By = "day"
    sort: str = Field(default="", max_length=40)
    limit: int = Field(default=1000, ge=1, le=10_000)

    @field_validator("days")
    @classmethod
    def is_a_period(cls, value: int) -> int:
        if value not in PERIODS:
            raise Invalid(_("Choose 7, 30 or 90 days."))
        return value

    @field_validator("provider")
    @classmethod
    def is_a_provider(cls, value: str) -> str:
        if value and value not in LANES:
            raise Invalid(_("There is no such provider."))
        return value

    def period(self, today: date) -> tuple[date, date]:
        """First day and the one after the last. Raises Invalid for more than MOST_DAYS days.

        The last days go to tomorrow: a project's today may be one day ahead of ours.
        """
        since, until = self.bounds(today)
        if since is None or until is None:
            return today - timedelta(days=self.days - 1), today + timedelta(days=2)
        return since, until

    @property
    def groups(self) -> tuple[str, ...]:
        return tuple(self.by.split(","))


class MoversQuery(NumbersQuery):
    """`metric` is what has moved. Without dates the days are whole ones: today is not among them."""

    days: int = 7
    metric: Literal["volume", "bounces", "complaints", "unsubscribes"] = "volume"

    def period(self, today: date) -> tuple[date, date]:
        since, until = self.bounds(today)
        if since is None or until is None:
            return today - timedelta(days=self.days), today
        return since, until


class SuspectsQuery(NumbersQuery):
    """`shown`: those that nobody has looked at (open), or all."""

    days: int = 7
    shown: Literal["open", "all"] = "open"


class RawQuery(Range):
    """A heavy report of a few days. `run` is set by whoever really wants to see it."""

    days: int = 1
    project: str = Field(default="", max_length=400)
    sort: str = Field(default="", max_length=40)
    run: str = Field(default="", max_length=1)

    @field_validator("days")
    @classmethod
    def is_a_period(cls, value: int, info: ValidationInfo) -> int:
        if value not in RAW_PERIODS:
            raise Invalid(_("Choose 1, 2 or 7 days."))
        return value

    def period(self, today: date) -> tuple[date, date]:
        since, until = self.bounds(today)
        if since is None or until is None:
            return today - timedelta(days=self.days - 1), today + timedelta(days=1)
        return since, until

    @property
    def slugs(self) -> list[str]:
        """The projects that are named, separated by commas or spaces."""
        return self.project.replace(",", " ").split()


Query = TypeVar("Query", bound=Range)


def asked(request: Request, model: type[Query]) -> FormResult[Query]:
    """The filters of a page. What is no filter of it is left alone, what is empty was not asked for."""
    values: dict[str, Any] = {
        name: value.strip() for name, value in request.GET.items() if name in model.model_fields and value.strip()
    }
    return validate_values(model, values)
