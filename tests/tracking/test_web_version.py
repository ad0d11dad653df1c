"""The letter in a browser: frozen, personal, in a sandbox."""

from mailhub.mail.tokens import Kind
from mailhub.models import Campaign


def test_the_web_version_is_the_frozen_letter_of_this_reader(client, build, registry, dbsession):
    project = build.project()
    mailing_list = build.list(project)
    reader = build.subscriber(project, lists=[mailing_list], name="Анна")
    html = '<p>Hello {{ name }}</p><script>alert(1)</script><a href="https://example.com/shop">x</a>'
    campaign = build.started_campaign(project, lists=[mailing_list], html=html)
    dbsession.get(Campaign, (project.id, campaign.id)).html = "<p>changed later</p>"
    dbsession.commit()
    ids = {"project": project.id, "campaign": campaign.id, "subscriber": reader.id}
    answer = client.get(f"/v/{registry.signer.sign(Kind.WEB_VERSION, **ids)}")
    assert "Hello Анна" in answer.text
    assert "changed later" not in answer.text
    assert "/t/c/" in answer.text
    assert "/t/o/" not in answer.text
    assert answer.headers["Content-Security-Policy"].startswith("sandbox ")
    assert "allow-scripts" not in answer.headers["Content-Security-Policy"]
    assert answer.headers["X-Robots-Tag"] == "noindex"


def test_a_draft_has_no_web_version(client, build, registry):
    project = build.project()
    campaign = build.campaign(project)
    ids = {"project": project.id, "campaign": campaign.id, "subscriber": 1}
    client.get(f"/v/{registry.signer.sign(Kind.WEB_VERSION, **ids)}", status=404)
