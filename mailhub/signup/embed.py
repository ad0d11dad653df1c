"""Code for other sites: a plain HTML form, the same with our script, and a request by a script of their own."""

from __future__ import annotations

import json
from typing import Any

from markupsafe import Markup, escape
from pyramid.request import Request

from mailhub.lists.speaking import speaking
from mailhub.models import FieldType
from mailhub.signup import design as designs
from mailhub.signup.answers import label_of
from mailhub.signup.opened import Opened, Question
from mailhub.web.assets import PREFIX
from mailhub.web.i18n import _, translate

#: A page in windows-1251 would send its own letters otherwise.
_START = Markup('<form action="{}" method="post" accept-charset="utf-8"{}>')


def plain(request: Request, opened: Opened, url: str) -> str:
    """A form that works on any site without a script: a page of ours asks for one more press of the button."""
    return _form(request, opened, _START.format(url, ""))


def scripted(request: Request, opened: Opened, url: str) -> str:
    """The same with a script that gets the stamp in the background, so that nothing more is asked."""
    home = request.registry.mailhub.public_url.rstrip("/")
    # Without the version that our own pages have: that code stays on other sites for years, and is to be the newest.
    script = Markup('<script src="{}{}/js/sign-up.js" defer></script>').format(home, PREFIX)
    return f"{_form(request, opened, _START.format(url, Markup(' data-mailhub')))}\n{script}"


def fetched(opened: Opened, url: str) -> str:
    """JavaScript for a page that has a form of its own."""
    body: dict[str, Any] = {"email": "anna@example.com"}
    if any(one.asked.name == "name" for one in opened.questions):
        body["name"] = "Anna"
    fields = {one.asked.name: _example(one) for one in opened.questions if one.field is not None}
    if fields:
        body["fields"] = fields
    if opened.form.choose_lists:
        body["lists"] = [str(one.id) for one in opened.lists[:1]]
    if opened.design.boxes:
        body["consents"] = [number for number, _box in enumerate(opened.design.boxes)]
    given = json.dumps(body, ensure_ascii=False, indent=2)[:-2]
    where = json.dumps(url)
    return (
        f"const asked = await (await fetch({where}, {{headers: {{Accept: 'application/json'}}}})).json();\n"
        "// …when somebody has filled the form in:\n"
        f"const answer = await fetch({where}, {{\n"
        "  method: 'POST', headers: {'Content-Type': 'application/json'},\n"
        f"  body: JSON.stringify({given},\n  \"stamp\": asked.stamp}})\n"
        "});\n"
        "// 202: accepted. 422: (await answer.json()).errors says what is wrong."
    )


def _example(question: Question) -> Any:
    assert question.field is not None
    match question.field.type:
        case FieldType.NUMBER:
            return 1
        case FieldType.BOOLEAN:
            return True
        case FieldType.DATE:
            return "2026-11-27"
        case FieldType.CHOICE:
            return question.field.choices[0] if question.field.choices else ""
    return "…"


def _form(request: Request, opened: Opened, start: Markup) -> str:
    with speaking(request, opened.language):
        lines: list[Any] = [start]
        lines += [_question(request, one) for one in opened.questions]
        if opened.form.choose_lists and len(opened.lists) > 1:
            legend = translate(request, _("What would you like to get?"))
            lines.append(Markup("  <fieldset><legend>{}</legend>").format(legend))
            lines += [
                Markup('  <p><label><input type="checkbox" name="lists" value="{}"> {}</label></p>').format(
                    one.id, one.name
                )
                for one in opened.lists
            ]
            lines.append(Markup("  </fieldset>"))
        for number, box in enumerate(opened.design.boxes):
            required = Markup(" required") if box.required else ""
            lines.append(
                Markup('  <p><label><input type="checkbox" name="box_{}" value="1"{}> {}</label></p>').format(
                    number, required, _sentence(box.text)
                )
            )
        lines.append(Markup('  <p hidden><input name="website" tabindex="-1" autocomplete="off"></p>'))
        button = opened.design.texts.button or translate(request, _("Subscribe"))
        lines.append(Markup('  <p><button type="submit">{}</button></p>\n</form>').format(button))
    return "\n".join(str(line) for line in lines)


def _question(request: Request, one: Question) -> Markup:
    label = label_of(request, one.asked.name, one.asked.label, one.field)
    required = Markup(" required") if one.asked.required else Markup("")
    hint = Markup("<br><small>{}</small>").format(one.asked.hint) if one.asked.hint else Markup("")
    kind = one.field.type if one.field is not None else ""
    if kind == FieldType.BOOLEAN:
        return Markup('  <p><label><input type="checkbox" name="{}" value="yes"{}> {}{}</label></p>').format(
            one.input_name, required, label, hint
        )
    if kind == FieldType.CHOICE and one.field is not None:
        options = Markup("").join(Markup("<option>{}</option>").format(choice) for choice in one.field.choices)
        select = Markup('<select name="{}"{}><option value=""></option>{}</select>')
        control = select.format(one.input_name, required, options)
    else:
        control = Markup('<input {} name="{}"{}>').format(_INPUTS[_form_of(one)], one.input_name, required)
    return Markup("  <p><label>{}<br>{}{}</label></p>").format(label, control, hint)


_INPUTS = {
    "email": Markup('type="email" autocomplete="email"'),
    "name": Markup('type="text" autocomplete="name"'),
    FieldType.NUMBER: Markup('type="text" inputmode="decimal"'),
    FieldType.DATE: Markup('type="date"'),
    FieldType.TEXT: Markup('type="text"'),
}


def _form_of(one: Question) -> str:
    return one.field.type if one.field is not None else one.asked.name


def _sentence(text: str) -> Markup:
    return Markup("").join(
        Markup('<a href="{}" target="_blank" rel="noopener">{}</a>').format(run.url, run.text)
        if run.url
        else escape(run.text)
        for run in designs.runs(text)
    )
