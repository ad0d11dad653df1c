"""What a letter's merge expressions may contain: an allow-list over the syntax tree, checked before anything is run.

The list is the design's T1: fields, constants, filters, tests, conditions and one level of `for` over a field. Calls,
arithmetic, assignments, macros, includes, slices and anything Jinja adds later are refused because they are not on it.
"""

import re
from collections.abc import Collection, Iterator

from jinja2 import Environment, TemplateSyntaxError, nodes

from mailhub.mail.filters import FILTERS
from mailhub.mail.merge import INTERNAL_PREFIX, RESERVED_NAMES, STANDARD_NAMES, is_known
from mailhub.mail.problem import Problem

MAX_SOURCE_BYTES = 512 * 1024
MAX_TAGS = 5_000
MAX_DEPTH = 40
MAX_CONSTANT = 1_000
MAX_LOOP_NODES = 300

TESTS = frozenset(
    {"defined", "undefined", "none", "number", "string", "even", "odd", "eq", "ne", "gt", "ge", "lt", "le"}
)
ALLOWED = (
    nodes.Template, nodes.Output, nodes.TemplateData, nodes.Name, nodes.Const, nodes.Getattr, nodes.Getitem,
    nodes.Filter, nodes.Test, nodes.If, nodes.CondExpr, nodes.And, nodes.Or, nodes.Not, nodes.Compare, nodes.Operand,
    nodes.For,
)  # fmt: skip
# Words for the refusals people meet; the rest is named by its class.
_TAG_WORDS = {
    "Assign": "{% set %}", "AssignBlock": "{% set %}", "Macro": "{% macro %}", "CallBlock": "{% call %}",
    "FilterBlock": "{% filter %}", "With": "{% with %}", "Block": "{% block %}", "Include": "{% include %}",
    "Import": "{% import %}", "FromImport": "{% from %}", "Extends": "{% extends %}", "Add": "+", "Sub": "-",
    "Mul": "*", "Div": "/", "FloorDiv": "//", "Mod": "%", "Pow": "**", "Concat": "~", "Neg": "-", "Pos": "+",
    "List": "[…]", "Tuple": "(…, …)", "Dict": "{…}", "Slice": "[…:…]", "Keyword": "…=…",
    "ScopedEvalContextModifier": "{% autoescape %}",
}  # fmt: skip
_RAW = re.compile(r"\{%[-+]?\s*raw\b")

LOOP_NAMES = frozenset({"index", "index0", "first", "last", "length"})

# Only for parsing. Comments are `{## ##}` because `{#` begins a rule for an id in minified CSS: `@media print{#menu{`.
SYNTAX = {"comment_start_string": "{##", "comment_end_string": "##}", "keep_trailing_newline": True}
_PARSER = Environment(autoescape=True, **SYNTAX)  # type: ignore[arg-type]


def lint(source: str, known: Collection[str] | None = None) -> list[Problem]:
    """What stands against sending this source, in the order of its lines; empty when nothing does.

    `known` are the project's custom fields: with them, a name that is neither theirs nor standard is a problem.
    """
    try:
        tree = parse(source)
    except SourceRefused as refusal:
        return [refusal.problem]
    found: dict[tuple[str, str, int], Problem] = {}
    for problem in _walk(tree, known):
        found.setdefault((problem.code, str(problem.params), problem.line), problem)
    return sorted(found.values(), key=lambda problem: problem.line)


def fields(source: str) -> set[str]:
    """The names a source uses, dotted as written (`city`, `subscriber.city`, `project.name`); loop variables are not
    names. A source that can't be read uses none."""
    try:
        tree = parse(source)
    except SourceRefused:
        return set()
    targets = loop_names(tree)
    return {name for name, _ in _used(tree) if name.partition(".")[0] not in targets}


class SourceRefused(Exception):
    """The source can't even be parsed."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        super().__init__(problem.code)


def parse(source: str) -> nodes.Template:
    """The syntax tree; raises SourceRefused, and nothing else, on any text."""
    if len(source) > MAX_SOURCE_BYTES or len(source.encode("utf-8", "replace")) > MAX_SOURCE_BYTES:
        raise SourceRefused(Problem("too_large", {"limit": str(MAX_SOURCE_BYTES // 1024)}))
    if source.count("{{") + source.count("{%") > MAX_TAGS:
        raise SourceRefused(Problem("too_many_tags", {"limit": str(MAX_TAGS)}))
    if raw := _RAW.search(source):
        line = source.count("\n", 0, raw.start()) + 1
        raise SourceRefused(Problem("tag_not_allowed", {"tag": "{% raw %}"}, line))
    try:
        return _PARSER.parse(source)
    except TemplateSyntaxError as error:
        raise SourceRefused(Problem("syntax", {"detail": str(error.message)[:200]}, error.lineno)) from None
    except RecursionError:
        raise SourceRefused(Problem("too_deep")) from None
    except (
        Exception
    ) as error:  # The parser is not ours and the text is hostile: a number of 5,000 digits is a ValueError.
        raise SourceRefused(Problem("syntax", {"detail": type(error).__name__})) from error


def loop_names(tree: nodes.Template) -> set[str]:
    """The variables of the source's loops, and `loop` itself when there is one."""
    targets = {loop.target.name for loop in tree.find_all(nodes.For) if isinstance(loop.target, nodes.Name)}
    return targets | {"loop"} if targets else targets


def _walk(tree: nodes.Template, known: Collection[str] | None) -> Iterator[Problem]:
    """All problems of the tree. Iterative: the depth of the tree is the attacker's choice."""
    stack: list[tuple[nodes.Node, int, frozenset[str]]] = [(tree, 0, frozenset())]
    while stack:
        node, depth, targets = stack.pop()
        if depth > MAX_DEPTH:
            yield Problem("too_deep", {}, node.lineno or 0)
            continue
        if type(node) not in ALLOWED:
            yield _not_allowed(node)
            continue
        yield from _check(node, targets)
        if isinstance(node, nodes.Name | nodes.Getattr | nodes.Getitem):
            yield from _check_name(node, targets, known)
            if _dotted(node) is not None:
                continue
        if isinstance(node, nodes.For) and isinstance(node.target, nodes.Name):
            inside = targets | {node.target.name, "loop"}
            stack.append((node.iter, depth + 1, targets))
            stack += [(child, depth + 1, inside) for child in (*node.body, node.test) if child is not None]
            stack += [(child, depth + 1, targets) for child in node.else_]
        else:
            stack += reversed([(child, depth + 1, targets) for child in node.iter_child_nodes()])


def _check(node: nodes.Node, targets: frozenset[str]) -> Iterator[Problem]:
    line = node.lineno or 0
    match node:
        case nodes.Filter():
            if node.node is None or node.name not in FILTERS:
                allowed = ", ".join(sorted(name for name in FILTERS if len(name) > 1))
                yield Problem("filter_not_allowed", {"name": node.name, "allowed": allowed}, line)
            elif len(node.args) > 3 or node.dyn_args is not None or node.dyn_kwargs is not None:
                yield Problem("filter_arguments", {"name": node.name}, line)
        case nodes.Test():
            if node.name not in TESTS or node.dyn_args is not None or node.dyn_kwargs is not None:
                yield Problem("test_not_allowed", {"name": node.name}, line)
        case nodes.Const():
            too_long = isinstance(node.value, str) and len(node.value) > MAX_CONSTANT
            if too_long or (isinstance(node.value, int) and abs(node.value) >= 10**15):
                yield Problem("constant_too_long", {"limit": str(MAX_CONSTANT)}, line)
            elif isinstance(node.value, str) and re.search(r"\{\{|\{%|\{##|\}\}|%\}|##\}", node.value):
                yield Problem("tag_not_allowed", {"tag": "{{ }}"}, line)
        case nodes.For():
            yield from _check_loop(node, targets, line)
        case _:
            pass


def _check_loop(loop: nodes.For, targets: frozenset[str], line: int) -> Iterator[Problem]:
    if targets:
        yield Problem("loop_nested", {}, line)
    source = _dotted(loop.iter)
    plain = isinstance(loop.target, nodes.Name) and not loop.recursive
    if not plain or source is None or source.removeprefix("subscriber.") in STANDARD_NAMES:
        yield Problem("loop_source", {}, line)
    elif (name := _target(loop)) in STANDARD_NAMES | RESERVED_NAMES or name.startswith(("_", INTERNAL_PREFIX)):
        yield Problem("name_reserved", {"name": name}, line)
    if sum(1 for part in loop.body for _ in part.find_all(nodes.Node)) > MAX_LOOP_NODES:
        yield Problem("loop_body", {}, line)


def _target(loop: nodes.For) -> str:
    return loop.target.name if isinstance(loop.target, nodes.Name) else ""


def _check_name(node: nodes.Node, targets: frozenset[str], known: Collection[str] | None) -> Iterator[Problem]:
    line = node.lineno or 0
    dotted = _dotted(node)
    if dotted is None:
        # `(a or b).c`: only fields have parts; a position in a list is a plain number.
        if isinstance(node, nodes.Getattr):
            yield Problem("tag_not_allowed", {"tag": f".{node.attr}"}, line)
        elif isinstance(node, nodes.Getitem) and not _is_index(node.arg):
            yield Problem("tag_not_allowed", {"tag": "[…]"}, line)
        return
    parts = dotted.split(".")
    if any(part.startswith("_") for part in parts) or parts[0].startswith(INTERNAL_PREFIX):
        yield Problem("name_reserved", {"name": dotted}, line)
    elif parts[0] in targets:
        if parts[0] == "loop" and (len(parts) != 2 or parts[1] not in LOOP_NAMES):
            yield Problem("unknown_field", {"name": dotted}, line)
    elif parts[0] in RESERVED_NAMES and not (parts[0] == "subscriber" and len(parts) > 1):
        yield Problem("name_reserved", {"name": dotted}, line)
    elif len(parts) > 5 or not is_known(dotted, known):
        yield Problem("unknown_field", {"name": dotted}, line)


def _used(node: nodes.Node) -> Iterator[tuple[str, int]]:
    stack = [node]
    while stack:
        node = stack.pop()
        if isinstance(node, nodes.Name | nodes.Getattr | nodes.Getitem) and (dotted := _dotted(node)):
            if getattr(node, "ctx", "load") == "load":
                yield dotted, node.lineno or 0
        else:
            stack += node.iter_child_nodes()


def _dotted(node: nodes.Node) -> str | None:
    """`a`, `a.b`, `a["b"]` and `a[0].b` as a dotted name (positions left out); None for anything else."""
    parts: list[str] = []
    while not isinstance(node, nodes.Name):
        match node:
            case nodes.Getattr():
                parts.append(node.attr)
            case nodes.Getitem(arg=nodes.Const(value=str() as key)) if key and "." not in key:
                parts.append(key)
            case nodes.Getitem() if _is_index(node.arg):
                pass
            case _:
                return None
        node = node.node
    return ".".join((node.name, *reversed(parts)))


def _is_index(node: nodes.Node) -> bool:
    return isinstance(node, nodes.Const) and type(node.value) is int and 0 <= node.value < 1_000


def _not_allowed(node: nodes.Node) -> Problem:
    if isinstance(node, nodes.Call):
        return Problem("call_not_allowed", {}, node.lineno or 0)
    kind = type(node).__name__
    return Problem("tag_not_allowed", {"tag": _TAG_WORDS.get(kind, kind)}, node.lineno or 0)
