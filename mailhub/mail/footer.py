"""The footer of a campaign that has no unsubscribe link of its own, in the campaign's language.

Every marketing letter names its sender, its postal address (CAN-SPAM), the way out, and beside it the page of the
person's own choices.
"""

_WORDS = {
    "en": ("You received this letter because you subscribed to our mailing list.", "Unsubscribe", "Preferences"),
    "ru": ("Вы получили это письмо, потому что подписаны на нашу рассылку.", "Отписаться", "Настройки подписки"),
}


def html_footer(language: str, *, with_address: bool) -> str:
    """The footer as an HTML source with merge expressions."""
    why, leave, choose = _words(language)
    link = "color:#6b7280;text-decoration:underline"
    address = '<span style="white-space:pre-line">{{ project.address }}</span><br>' if with_address else ""
    return (
        '<div style="max-width:600px;margin:24px auto 0;padding:16px;font-family:Arial,sans-serif;font-size:12px;'
        'line-height:1.5;color:#6b7280;text-align:center">'
        f"{why}<br>{{{{ project.name }}}}<br>{address}"
        f'<a href="{{{{ unsubscribe_url }}}}" style="{link}">{leave}</a> · '
        f'<a href="{{{{ preferences_url }}}}" style="{link}">{choose}</a></div>'
    )


def text_footer(language: str, *, with_address: bool) -> str:
    """The footer of a plain text, beginning with the line that marks it off."""
    why, leave, choose = _words(language)
    address = "{{ project.address }}\n" if with_address else ""
    way_out = f"{leave}: {{{{ unsubscribe_url }}}}\n{choose}: {{{{ preferences_url }}}}\n"
    return f"\n\n-- \n{why}\n{{{{ project.name }}}}\n{address}{way_out}"


def _words(language: str) -> tuple[str, str, str]:
    return _WORDS.get(language.partition("-")[0].partition("_")[0].lower(), _WORDS["en"])
