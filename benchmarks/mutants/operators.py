"""The ways to break a module: each is a small edit of its source. Pure."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

T = TypeVar("T")

NEGATED = {
    ast.Lt: ast.GtE, ast.LtE: ast.Gt, ast.Gt: ast.LtE, ast.GtE: ast.Lt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In,
}  # fmt: skip
BOUNDARY = {ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt}
ARITHMETIC = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.FloorDiv: ast.Mult,
    ast.Mod: ast.Mult, ast.BitAnd: ast.BitOr, ast.BitOr: ast.BitAnd, ast.LShift: ast.RShift, ast.RShift: ast.LShift,
}  # fmt: skip
NAMES = {"min": "max", "max": "min", "any": "all", "all": "any"}
# Calls that only address people or the type checker.
LOGGING = {"debug", "info", "warning", "error", "exception"}
TYPING = {"cast", "TypeVar", "NewType"}
UNSEEN = {"__slots__", "__all__"}
# The order of whose arguments means nothing.
UNORDERED = {"min", "max", "suppress"}
# Keyword arguments for people, for the type checker, or that say what holds on each host of the tests.
UNSEEN_KEYWORDS = {"strict", "help", "metavar", "description", "encoding"}


@dataclass(frozen=True, slots=True)
class Edit:
    """`start` and `end` are offsets in the source's bytes; `scope` is the function or class around the edit."""

    operator: str
    scope: str
    line: int
    last_line: int
    start: int
    end: int
    old: str
    new: str

    def apply(self, source: bytes) -> bytes:
        return source[: self.start] + self.new.encode() + source[self.end :]


def edits(source: bytes) -> list[Edit]:
    """Every edit of a module, in the order of its text."""
    finder = _Finder(source)
    finder.visit(ast.parse(source))
    return sorted(finder.found, key=lambda edit: (edit.start, edit.end, edit.operator, edit.new))


class _Finder(ast.NodeVisitor):
    def __init__(self, source: bytes) -> None:
        self.found: list[Edit] = []
        self._source = source
        lines = source.splitlines(keepends=True)
        self._starts = [0, *(sum(map(len, lines[: count + 1])) for count in range(len(lines)))]
        self._scope: list[str] = []

    def _span(self, first: ast.stmt | ast.expr, last: ast.stmt | ast.expr) -> tuple[int, int]:
        assert last.end_lineno is not None
        assert last.end_col_offset is not None
        start = self._starts[first.lineno - 1] + first.col_offset
        return start, self._starts[last.end_lineno - 1] + last.end_col_offset

    def _add(
        self, operator: str, first: ast.stmt | ast.expr, new: str, last: ast.stmt | ast.expr | None = None
    ) -> None:
        last = last or first
        start, end = self._span(first, last)
        old = self._source[start:end].decode()
        scope = ".".join(self._scope) or "module"
        self.found.append(Edit(operator, scope, first.lineno, last.end_lineno or 0, start, end, old, new))

    def _text(self, node: ast.expr) -> str:
        return ast.unparse(node)

    # --- what is left alone ------------------------------------------------------------------------------------

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        if not any("Protocol" in ast.unparse(base) for base in node.bases):
            self._body(node)

    def visit_FunctionDef(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        for default in (*node.args.defaults, *filter(None, node.args.kw_defaults)):
            self.visit(default)
        self._body(node)

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> None:
        self.visit_FunctionDef(node)

    def _body(self, node: ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        self._scope.append(node.name)
        for statement in node.body:
            self.visit(statement)
        self._scope.pop()

    def visit_Import(self, node: ast.Import) -> None:
        """Importing something else is no mistake that stays unseen."""

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        """As above."""

    def visit_Assert(self, node: ast.Assert) -> None:
        """For the type checker."""

    def visit_JoinedStr(self, node: ast.JoinedStr) -> None:
        """Mostly prose, and Python 3.11 does not say where its parts are."""

    def visit_Raise(self, node: ast.Raise) -> None:
        self._add("statement", node, "pass")

    def visit_ExceptHandler(self, node: ast.ExceptHandler) -> None:
        if not (len(node.body) == 1 and isinstance(node.body[0], ast.Raise) and node.body[0].exc is None):
            self._add("handler", node.body[0], "raise", node.body[-1])
        if isinstance(node.type, ast.Tuple):
            for rest in _without_one(node.type.elts):
                self._add("handler", node.type, ast.unparse(ast.Tuple(rest, ast.Load())))
        for statement in node.body:
            self.visit(statement)

    # --- statements --------------------------------------------------------------------------------------------

    def visit_Expr(self, node: ast.Expr) -> None:
        if isinstance(node.value, ast.Call) and not _is_logging(node.value):
            self._add("statement", node, "pass")
        if not isinstance(node.value, ast.Constant):
            self.generic_visit(node)

    def visit_Assign(self, node: ast.Assign) -> None:
        if _is_typing(node, at_module=not self._scope):
            return
        if all(isinstance(target, ast.Attribute | ast.Subscript) for target in node.targets):
            self._add("statement", node, "pass")
        self.visit(node.value)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        if node.value is not None:
            self.visit(node.value)

    def visit_AugAssign(self, node: ast.AugAssign) -> None:
        self._add("statement", node, "pass")
        other = ARITHMETIC.get(type(node.op))
        if other is not None:
            changed = ast.AugAssign(target=node.target, op=other(), value=node.value)
            self._add("arithmetic", node, ast.unparse(changed))
        self.visit(node.value)

    def visit_Delete(self, node: ast.Delete) -> None:
        self._add("statement", node, "pass")

    def visit_Break(self, node: ast.Break) -> None:
        self._add("jump", node, "pass")

    def visit_Continue(self, node: ast.Continue) -> None:
        self._add("jump", node, "pass")

    def visit_Return(self, node: ast.Return) -> None:
        if node.value is None:
            self._add("jump", node, "pass")
            return
        if not isinstance(node.value, ast.Constant):
            self._add("return", node, "return None")
        self.visit(node.value)

    def visit_If(self, node: ast.If) -> None:
        if ast.unparse(node.test) == "TYPE_CHECKING":
            return
        self._negate(node.test)
        if not node.orelse and isinstance(node.body[-1], ast.Return | ast.Continue | ast.Break | ast.Raise):
            self._add("early exit", node, "pass")
        if node.orelse and not (len(node.orelse) == 1 and isinstance(node.orelse[0], ast.If)):
            self._add("else", node.orelse[0], "pass", node.orelse[-1])
        self.generic_visit(node)

    def visit_While(self, node: ast.While) -> None:
        self._negate(node.test)
        self.generic_visit(node)

    # --- expressions -------------------------------------------------------------------------------------------

    def _negate(self, test: ast.expr) -> None:
        if not isinstance(test, ast.Compare) and not (isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not)):
            self._add("condition", test, f"not ({self._text(test)})")

    def visit_IfExp(self, node: ast.IfExp) -> None:
        self._negate(node.test)
        self.generic_visit(node)

    def visit_comprehension(self, node: ast.comprehension) -> None:
        for test in node.ifs:
            self._negate(test)
        self.generic_visit(node)

    def visit_Compare(self, node: ast.Compare) -> None:
        for table, operator in ((NEGATED, "comparison"), (BOUNDARY, "boundary")):
            for index, op in enumerate(node.ops):
                if type(op) in table:
                    ops = [*node.ops[:index], table[type(op)](), *node.ops[index + 1 :]]
                    changed = ast.Compare(left=node.left, ops=ops, comparators=node.comparators)
                    self._add(operator, node, f"({ast.unparse(changed)})")
        self.generic_visit(node)

    def visit_BoolOp(self, node: ast.BoolOp) -> None:
        other = ast.Or() if isinstance(node.op, ast.And) else ast.And()
        self._add("boolean", node, f"({ast.unparse(ast.BoolOp(op=other, values=node.values))})")
        for rest in _without_one(node.values):
            changed = rest[0] if len(rest) == 1 else ast.BoolOp(op=node.op, values=rest)
            self._add("operand", node, f"({ast.unparse(changed)})")
        self.generic_visit(node)

    def visit_UnaryOp(self, node: ast.UnaryOp) -> None:
        if isinstance(node.op, ast.Not):
            self._add("boolean", node, f"bool({self._text(node.operand)})")
        elif isinstance(node.op, ast.USub):
            self._add("arithmetic", node, f"({self._text(node.operand)})")
        if not isinstance(node.operand, ast.Constant):
            self.generic_visit(node)

    def visit_BinOp(self, node: ast.BinOp) -> None:
        other = ARITHMETIC.get(type(node.op))
        prose = isinstance(node.op, ast.Mod) and isinstance(node.left, ast.Constant)
        if other is not None and not prose:
            changed = ast.BinOp(left=node.left, op=other(), right=node.right)
            self._add("arithmetic", node, f"({ast.unparse(changed)})")
        self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> None:
        if _is_logging(node) or (isinstance(node.func, ast.Name) and node.func.id in TYPING):
            for argument in node.args:
                if not isinstance(argument, ast.Constant):
                    self.visit(argument)
            return
        if isinstance(node.func, ast.Name) and node.func.id in NAMES:
            self._add("name", node.func, NAMES[node.func.id])
        if (
            len(node.args) > 1
            and _name(node.func) not in UNORDERED
            and not any(isinstance(argument, ast.Starred | ast.YieldFrom) for argument in node.args[:2])
        ):
            one, two = map(self._text, node.args[:2])
            if one != two:
                self._add("swap", node.args[0], f"{two}, {one}", node.args[1])
        self._drop_arguments(node)
        self.generic_visit(node)

    def _drop_arguments(self, node: ast.Call) -> None:
        if _name(node.func) == "suppress" and len(node.args) > 1:
            for arguments in _without_one(node.args):
                self._add("handler", node, ast.unparse(ast.Call(node.func, arguments, [])))
        for one, others in zip(node.keywords, _without_one(node.keywords), strict=True):
            if one.arg is not None and one.arg not in UNSEEN_KEYWORDS:
                self._add("keyword", node, ast.unparse(ast.Call(node.func, node.args, others)))

    def visit_keyword(self, node: ast.keyword) -> None:
        if node.arg not in UNSEEN_KEYWORDS:
            self.visit(node.value)

    def visit_Dict(self, node: ast.Dict) -> None:
        for rest in _without_one([*zip(node.keys, node.values, strict=True)]):
            self._add("entry", node, ast.unparse(ast.Dict([key for key, _ in rest], [value for _, value in rest])))
        self.generic_visit(node)

    def visit_Slice(self, node: ast.Slice) -> None:
        for bound in (node.lower, node.upper):
            if bound is not None:
                self._add("slice", bound, f"({self._text(bound)}) + 1")
        self.generic_visit(node)

    def visit_Constant(self, node: ast.Constant) -> None:
        for new in _others(node.value):
            self._add("constant", node, new)


def _without_one(items: Sequence[T]) -> Iterator[list[T]]:
    """Yield the items without each of them in turn."""
    return ([*items[:at], *items[at + 1 :]] for at in range(len(items)))


def _others(value: object) -> Iterator[str]:
    match value:
        case bool():
            yield repr(not value)
        case int():
            yield repr(value + 1)
            yield f"({value - 1})"
        case float():
            yield repr(value * 2 + 1)
        case str() if " " not in value:
            yield repr(value + "X")
        case bytes():
            yield repr(value + b"X")


def _name(function: ast.expr) -> str:
    """The last part of it."""
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")


def _is_logging(call: ast.Call) -> bool:
    return isinstance(call.func, ast.Attribute) and call.func.attr in LOGGING


def _is_typing(node: ast.Assign, *, at_module: bool) -> bool:
    """Return whether the node only helps the type checker or the memory: an alias, a type variable, slots."""
    if any(isinstance(target, ast.Name) and target.id in UNSEEN for target in node.targets):
        return True
    value = node.value
    if isinstance(value, ast.Call):
        return isinstance(value.func, ast.Name) and value.func.id in TYPING
    return at_module and isinstance(value, ast.Subscript)
