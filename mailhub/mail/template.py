"""The merge language of letters: Jinja's syntax, reduced to what lint.py allows, over plain data only.

A template is compiled once per campaign version and rendered for each recipient.
"""

from __future__ import annotations

import json
import operator
import re
from collections.abc import Callable, Collection, Mapping
from typing import Any, Literal
from urllib.parse import quote

from jinja2 import ChainableUndefined, Undefined, nodes
from jinja2 import Template as JinjaTemplate
from jinja2.nativetypes import NativeCodeGenerator
from jinja2.runtime import Context, LoopContext
from jinja2.sandbox import ImmutableSandboxedEnvironment

from mailhub.mail.filters import FILTERS, FilterError
from mailhub.mail.guard import GuardedFailure, GuardTimeout, run_guarded
from mailhub.mail.lint import LOOP_NAMES, SYNTAX, lint, parse
from mailhub.mail.problem import Problem, describe

Kind = Literal["html", "text", "url", "header"]

MAX_OUTPUT = 2 * 1024 * 1024
MAX_ROWS = 1_000
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]+")
_ORDER_TESTS = {"gt": "mh_gt", "gteq": "mh_ge", "lt": "mh_lt", "lteq": "mh_le"}


class TemplateRefused(Exception):
    """The source has problems; nothing was run."""

    def __init__(self, problems: list[Problem]) -> None:
        self.problems = problems
        super().__init__("; ".join(describe(problem) for problem in problems))


class RenderFailed(Exception):
    """The template is fine, these values are not: the problem says why."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        super().__init__(describe(problem))


class Template:
    """A compiled source. `render` is for sources that passed lint: `compile_template` gives no others."""

    def __init__(self, jinja: JinjaTemplate, *, has_loops: bool) -> None:
        self._root = jinja.root_render_func
        self._new_context = jinja.new_context
        self._has_loops = has_loops

    def render(self, context: Mapping[str, Any]) -> str:
        """The text filled in with merge_context(…) data; raises RenderFailed."""
        return self.render_with(self._new_context(dict(context)))

    def render_with(self, context: Context) -> str:
        """The same for the context of another template of the letter."""
        try:
            pieces = self._root(context)
            if not self._has_loops:
                return _checked("".join(pieces))
            return "".join(_up_to_the_limit(pieces))
        except RenderFailed:
            raise
        except Exception as error:  # Jinja and the values are not ours: whatever it is, only this letter fails.
            raise _failure(error) from error


class Values:
    """Compiled expressions. `evaluate` gives their values in order, as they are: neither escaped nor made text."""

    def __init__(self, jinja: JinjaTemplate) -> None:
        self._root = jinja.root_render_func
        self._new_context = jinja.new_context

    def evaluate(self, context: dict[str, Any]) -> tuple[list[Any], Context]:
        """The values for merge_context(…) data, and what the letter's other templates are rendered with.

        Raises RenderFailed.
        """
        prepared = self._new_context(context)
        try:
            return list(self._root(prepared)), prepared
        except RenderFailed:
            raise
        except Exception as error:
            raise _failure(error) from error


def compile_template(source: str, *, kind: Kind = "html", known: Collection[str] | None = None) -> Template:
    """The source, compiled; raises TemplateRefused with what lint finds.

    `html` escapes values for text and quoted attributes, `url` percent-encodes them, `header` turns line breaks and
    control characters in them into spaces, `text` leaves them as they are.
    """
    if problems := lint(source, known):
        raise TemplateRefused(problems)
    tree = parse(source)
    has_loops = guard_operations(tree)
    return Template(_compiled(tree, _ENVIRONMENTS[kind]), has_loops=has_loops)


def block_of(body: list[nodes.Node], kind: Kind) -> Template:
    """A part of a tree that passed lint and `guard_operations` as a template of its own; raises TemplateRefused."""
    has_loops = any(isinstance(node, nodes.For) or node.find(nodes.For) for node in body)
    return Template(_compiled(nodes.Template(body, lineno=1), _ENVIRONMENTS[kind]), has_loops=has_loops)


def values_of(expressions: list[nodes.Expr]) -> Values:
    """Expressions of trees that passed lint and `guard_operations`, compiled together; raises TemplateRefused."""
    body: list[nodes.Node] = [nodes.Output([expression], lineno=1) for expression in expressions]
    return Values(_compiled(nodes.Template(body, lineno=1), _VALUE_ENVIRONMENT))


def _compiled(tree: nodes.Template, environment: _Environment) -> JinjaTemplate:
    try:
        code = environment.compile(tree)
        return environment.template_class.from_code(environment, code, {})
    except (SyntaxError, RecursionError, MemoryError) as error:
        raise TemplateRefused([Problem("too_deep")]) from error
    except Exception as error:  # As in lint.parse: the compiler is not ours and the text is hostile.
        raise TemplateRefused([Problem("syntax", {"detail": type(error).__name__})]) from error


def _failure(error: Exception) -> RenderFailed:
    """Why a letter can't be filled in, for whatever the engine or a value raised."""
    match error:
        case FilterError():
            return RenderFailed(Problem("render_value", {"detail": str(error)}))
        case TypeError() | ValueError() | ArithmeticError():
            return RenderFailed(Problem("render_value", {"detail": str(error)[:100]}))
        case _:
            return RenderFailed(Problem("render_failed"))


def preview_render(
    source: str, context: Mapping[str, Any], *, kind: Kind = "html", known: Collection[str] | None = None
) -> str:
    """The first rendering of what a stranger wrote: in a child with limits; raises TemplateRefused or RenderFailed."""
    if problems := lint(source, known):
        raise TemplateRefused(problems)
    return guarded_text(lambda: compile_template(source, kind=kind, known=known).render(context))


def guarded_text(work: Callable[[], str]) -> str:
    """What `work()` returns, computed in a child with limits; passes TemplateRefused and RenderFailed on."""

    def answer() -> bytes:
        try:
            return b"+" + work().encode("utf-8", "replace")
        except TemplateRefused as refused:
            return b"t" + json.dumps([_as_json(problem) for problem in refused.problems]).encode()
        except RenderFailed as failed:
            return b"r" + json.dumps([_as_json(failed.problem)]).encode()

    try:
        result = run_guarded(answer)
    except GuardTimeout:
        raise RenderFailed(Problem("render_time")) from None
    except GuardedFailure:
        raise RenderFailed(Problem("render_failed")) from None
    if result[:1] == b"+":
        return result[1:].decode("utf-8")
    problems = [Problem(*item) for item in json.loads(result[1:])]
    raise TemplateRefused(problems) if result[:1] == b"t" else RenderFailed(problems[0])


class _Environment(ImmutableSandboxedEnvironment):
    """Dots and brackets reach into dicts and lists and nothing else: no attribute of any Python object is visible."""

    def getattr(self, obj: Any, attribute: str) -> Any:
        if isinstance(obj, dict) and attribute in obj:
            return obj[attribute]
        if isinstance(obj, LoopContext) and attribute in LOOP_NAMES:
            return getattr(obj, attribute)
        return self.undefined(name=attribute)

    def getitem(self, obj: Any, argument: Any) -> Any:
        if isinstance(obj, list | tuple) and type(argument) is int and 0 <= argument < len(obj):
            return obj[argument]
        if isinstance(obj, dict) and isinstance(argument, str) and argument in obj:
            return obj[argument]
        return self.undefined(name=str(argument))


class _ValueEnvironment(_Environment):
    """Gives values instead of text: the code generator of Jinja's native templates leaves out `str` and `escape`."""

    code_generator_class = NativeCodeGenerator


def _environment(kind: Kind, type_: type[_Environment] = _Environment) -> _Environment:
    environment = type_(
        autoescape=kind == "html", undefined=ChainableUndefined, finalize=_FINALIZE[kind], optimized=False,
        cache_size=0, auto_reload=False, **SYNTAX,
    )  # fmt: skip
    environment.globals.clear()
    environment.filters = {**FILTERS, "mh_rows": _rows}
    allowed = ("defined", "undefined", "none", "number", "string", "even", "odd", "eq", "ne")
    comparisons = {name: _comparison(getattr(operator, name)) for name in ("gt", "ge", "lt", "le")}
    environment.tests = {
        **{name: environment.tests[name] for name in allowed},
        **comparisons,
        **{f"mh_{name}": test for name, test in comparisons.items()},
    }
    return environment


def _as_it_is(value: Any) -> Any:
    return "" if value is None else value


def _for_url(value: Any) -> str:
    return "" if value is None or isinstance(value, Undefined) else quote(str(value), safe="")


def for_header(value: Any) -> str:
    """What a header's template writes for a value: line breaks and control characters are spaces."""
    return "" if value is None else _CONTROL.sub(" ", str(value))


_FINALIZE: dict[Kind, Callable[[Any], Any]] = {
    "html": _as_it_is, "text": _as_it_is, "url": _for_url, "header": for_header,
}  # fmt: skip


def _comparison(operation: Callable[[Any, Any], Any]) -> Callable[[Any, Any], bool]:
    """An order that never raises: numbers written as text count as numbers, what can't be compared is not in order."""

    def test(left: Any, right: Any) -> bool:
        if type(left) is int and type(right) is int:
            return bool(operation(left, right))
        numbers = (_number(left), _number(right))
        if None not in numbers:
            left, right = numbers
        if isinstance(left, Undefined) or isinstance(right, Undefined):
            return False
        try:
            return bool(operation(left, right))
        except TypeError:
            return False

    return test


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float | str) or len(str(value)[:41]) > 40:
        return None
    try:
        return float(value)
    except (ValueError, OverflowError):
        return None


def _rows(value: Any, name: str) -> Any:
    if isinstance(value, Undefined) or value is None:
        return ()
    if not isinstance(value, list | tuple) or len(value) > MAX_ROWS:
        raise RenderFailed(Problem("render_loop", {"name": name, "limit": str(MAX_ROWS)}))
    return value


def guard_operations(tree: nodes.Template) -> bool:
    """Puts bounds around loops and orders in the tree, in place; says whether there are loops."""
    has_loops = False
    for loop in tree.find_all(nodes.For):
        has_loops = True
        name = getattr(loop.iter, "name", None) or getattr(loop.iter, "attr", "…")
        loop.iter = nodes.Filter(loop.iter, "mh_rows", [nodes.Const(name)], [], None, None, lineno=loop.lineno)
    for comparison in list(tree.find_all(nodes.Compare)):
        if len(comparison.ops) == 1 and (test := _ORDER_TESTS.get(comparison.ops[0].op)):
            # A Compare without operands is its expression: the test takes the comparison's place.
            comparison.expr = nodes.Test(
                comparison.expr, test, [comparison.ops[0].expr], [], None, None, lineno=comparison.lineno
            )
            comparison.ops = []
    return has_loops


def _checked(text: str) -> str:
    if len(text) > MAX_OUTPUT:
        raise too_long()
    return text


def _up_to_the_limit(pieces: Any) -> list[str]:
    kept: list[str] = []
    size = 0
    for piece in pieces:
        size += len(piece)
        if size > MAX_OUTPUT:
            raise too_long()
        kept.append(piece)
    return kept


def too_long() -> RenderFailed:
    """The letter is larger than any may be."""
    return RenderFailed(Problem("render_too_long", {"limit": str(MAX_OUTPUT // 1024)}))


def _as_json(problem: Problem) -> tuple[str, dict[str, str], int, str, str]:
    return problem.code, dict(problem.params), problem.line, problem.level, problem.part


_ENVIRONMENTS: dict[Kind, _Environment] = {kind: _environment(kind) for kind in ("html", "text", "url", "header")}
# Unlike the whole templates, expressions are compiled once for all kinds: what they give is written by kind later.
_VALUE_ENVIRONMENT = _environment("text", _ValueEnvironment)
