"""The footer of a campaign that has no unsubscribe link of its own, in the campaign's language.

Every marketing letter names its sender, its postal address (CAN-SPAM) and the way out.
"""

_WORDS = {
    "en": ("You received this letter because you subscribed to our mailing list.", "Unsubscribe"),
    "ru": ("Вы получили это письмо, потому что подписаны на нашу рассылку.", "Отписаться"),
}


def html_footer(language: str, *, with_address: bool) -> str:
    """The footer as an HTML source with merge expressions."""
    why, leave = _words(language)
    address = '<span style="white-space:pre-line">{{ project.address }}</span><br>' if with_address else ""
    return (
        '<div style="max-width:600px;margin:24px auto 0;padding:16px;font-family:Arial,sans-serif;font-size:12px;'
        'line-height:1.5;color:#6b7280;text-align:center">'
        f"{why}<br>{{{{ project.name }}}}<br>{address}"
        f'<a href="{{{{ unsubscribe_url }}}}" style="color:#6b7280;text-decoration:underline">{leave}</a></div>'
    )


def text_footer(language: str, *, with_address: bool) -> str:
    """The footer of a plain text, beginning with the line that marks it off."""
    why, leave = _words(language)
    address = "{{ project.address }}\n" if with_address else ""
    return f"\n\n-- \n{why}\n{{{{ project.name }}}}\n{address}{leave}: {{{{ unsubscribe_url }}}}\n"


def _words(language: str) -> tuple[str, str]:
    return _WORDS.get(language.partition("-")[0].partition("_")[0].lower(), _WORDS["en"])
