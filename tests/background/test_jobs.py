"""Jobs of a project: each slice counts once, whatever happens to the worker."""

from __future__ import annotations

import os

import pytest

from mailhub.background import running, service
from mailhub.background.tasks import forget, resume_jobs, run_job
from mailhub.models import ProjectJob
from mailhub.tasks import run, task_request


class Desk:
    """Asks for jobs and runs them as the site and a worker do, with real commits."""

    def __init__(self, live, monkeypatch):
        self.live, self.session = live, live.session
        self.project = live.build.project(live.build.user())
        self.monkeypatch = monkeypatch
        self.slices = []

    def ask(self, slices, *, at_slice=None, **parameters):
        """A job that counts to `slices`; `at_slice(n, request, job)` may interfere before the commit of one."""

        def count(request, job):
            while job.place.get("next", 0) < slices:
                with request.tm:
                    n = job.place.get("next", 0)
                    job.move(request.dbsession, done=1, place={"next": n + 1}, total=slices)
                    if at_slice is not None:
                        at_slice(n, request, job)
                self.slices.append(n)
            return {"counted": job.done}

        self.monkeypatch.setitem(service.HANDLERS, "count", count)
        request = task_request(self.live.registry)
        with request.tm:
            job, is_new = service.ask(request, self.project.id, "count", parameters)
            self.id = job.id
        return is_new

    def run(self):
        run(self.live.registry, run_job.spec, (self.project.id, self.id))

    @property
    def job(self):
        self.session.expire_all()
        return self.session.get(ProjectJob, (self.project.id, self.id))

    def change(self, **values):
        for name, value in values.items():
            setattr(self.job, name, value)
            self.session.commit()


@pytest.fixture
def desk(live, monkeypatch):
    return Desk(live, monkeypatch)


def test_a_job_is_done_slice_by_slice_and_says_so(desk):
    assert desk.ask(3)
    desk.run()
    assert (desk.job.state, desk.job.done, desk.job.total, desk.job.result) == ("done", 3, 3, {"counted": 3})
    desk.run()
    assert desk.slices == [0, 1, 2]


def test_the_same_wish_is_the_same_job_while_it_is_open(desk):
    assert desk.ask(1)
    first = desk.id
    assert not desk.ask(1)
    assert desk.id == first
    assert desk.ask(1, other="wish")
    desk.run()
    assert desk.ask(1, other="wish")


def test_a_slice_whose_worker_dies_is_done_again_and_counts_once(desk):
    def die(n, _request, _job):
        if n == 1 and desk.slices == [0]:
            desk.slices.append("died")
            raise SystemExit

    desk.ask(3, at_slice=die)
    with pytest.raises(SystemExit):
        desk.run()
    assert (desk.job.state, desk.job.done) == ("running", 1)
    desk.session.execute(running.text("UPDATE project_job SET lease_until = now() - interval '1 second'"))
    desk.session.commit()
    sweeping = task_request(desk.live.registry)
    with sweeping.tm:
        resume_jobs(sweeping)
    desk.run()
    assert (desk.job.state, desk.job.done, desk.slices) == ("done", 3, [0, "died", 1, 2])


def test_a_waiting_job_is_cancelled_at_once_and_a_running_one_with_its_next_slice(desk):
    def cancel(n, _request, _job):
        if n == 1:
            assert service.cancel(desk.session, desk.project.id, desk.id) is False
        if n == 0:
            desk.slices.append("asked")

    desk.ask(2, at_slice=cancel)
    assert service.cancel(desk.session, desk.project.id, desk.id)
    desk.session.commit()
    assert desk.job.state == "cancelled"
    desk.run()
    assert desk.slices == []
    desk.ask(3, again=True)
    desk.change(cancel_requested=True)
    desk.run()
    assert (desk.job.state, desk.job.done, desk.slices) == ("cancelled", 0, [])


def test_a_worker_that_lost_its_job_changes_nothing(desk):
    def lose(n, request, _job):
        if n == 0:
            request.dbsession.execute(running.text("UPDATE project_job SET lease_owner = 'another'"))

    desk.ask(2, at_slice=lose)
    desk.run()
    assert (desk.job.state, desk.job.done, desk.slices) == ("running", 1, [0])


def test_a_file_goes_with_a_job_that_fails_and_with_one_that_is_forgotten(desk):
    settings = desk.live.registry.mailhub

    def write(request, job):
        name = service.new_name("csv")
        with request.tm:
            job.move(request.dbsession, file=name)
        service.path_of(settings, name).write_text("x")
        if job.parameters.get("fails"):
            raise running.Failed("too_big")

    desk.monkeypatch.setitem(service.HANDLERS, "file", write)
    for fails in (True, False):
        request = task_request(desk.live.registry)
        with request.tm:
            desk.id = service.ask(request, desk.project.id, "file", {"fails": fails})[0].id
        desk.run()
        path = service.path_of(settings, desk.job.file)
        assert (desk.job.error, path.is_file()) == (("too_big", False) if fails else ("", True))
    desk.session.execute(running.text("UPDATE project_job SET expires_at = now() - interval '1 second'"))
    desk.session.commit()
    young, stray = (service.path_of(settings, service.new_name("txt")) for _n in range(2))
    for one in (young, stray):
        one.write_text("of no job", encoding="utf-8")
    os.utime(stray, (0, 0))
    request = task_request(desk.live.registry)
    with request.tm:
        forget(request)
    assert not path.exists()
    assert (young.exists(), stray.exists()) == (True, False), "who uploads it may not have committed the job yet"
    assert desk.job is None


def test_a_name_that_is_not_ours_is_refused(desk):
    for name in ("../x.csv", "a" * 32, "a" * 32 + ".c/v", ""):
        with pytest.raises(ValueError, match="not a name of ours"):
            service.path_of(desk.live.registry.mailhub, name)
