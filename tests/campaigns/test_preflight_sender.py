"""A sender whose domain is no longer the project's stands against sending."""

from mailhub.campaigns import service


def test_a_sender_outside_the_projects_domain_blocks(build, dbsession):
    project = build.project(domain="shop.test")
    build.sender(project, "news@mail.shop.test")
    stranger = build.sender(project, "news@elsewhere.test")
    mailing_list = build.list(project)
    build.subscriber(project, lists=[mailing_list])
    campaign = build.campaign(project, lists=[mailing_list], sender_id=stranger.id)
    blocks = [check.code for check in service.examine(dbsession, project, campaign).blocks]
    assert blocks == ["sender"]
