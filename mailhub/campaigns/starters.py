"""The letter that a new campaign begins with: plain, narrow, readable on a phone and in the dark."""

from __future__ import annotations

_PAGE = """<!DOCTYPE html>
<html lang="{language}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<style>
  body {{ margin: 0; background: #f4f5f7; font-family: Arial, Helvetica, sans-serif; color: #1f2430; }}
  .letter {{ max-width: 600px; margin: 0 auto; padding: 32px 24px; background: #ffffff; }}
  h1 {{ font-size: 24px; line-height: 1.3; margin: 0 0 16px; }}
  p {{ font-size: 16px; line-height: 1.6; margin: 0 0 16px; }}
  .button {{ display: inline-block; padding: 12px 24px; border-radius: 6px; background: #3b4fd8; color: #ffffff;
    text-decoration: none; font-weight: bold; }}
</style>
</head>
<body>
<div class="letter">
  <h1>{heading}</h1>
  <p>{greeting}</p>
  <p>{text}</p>
  <p><a class="button" href="https://example.com/">{button}</a></p>
</div>
</body>
</html>
"""

_WORDS = {
    "en": {
        "heading": "The news of the month",
        "greeting": "Hello, {{ name|default(\"friend\") }}!",
        "text": "Say here in two sentences what is new and why it matters to the reader.",
        "button": "Read more",
    },
    "ru": {
        "heading": "Новости месяца",
        "greeting": "Здравствуйте, {{ name|default(\"друг\") }}!",
        "text": "Расскажите здесь в двух предложениях, что нового и почему это важно читателю.",
        "button": "Подробнее",
    },
}


def simple_letter(language: str) -> str:
    """The HTML source in the project's language."""
    code = language if language in _WORDS else "en"
    return _PAGE.format(language=code, **_WORDS[code])
