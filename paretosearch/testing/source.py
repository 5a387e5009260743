"""Looks through the package's own source for what must not be there."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from pathlib import Path

import paretosearch

PACKAGE = Path(paretosearch.__file__).parent

#: What runs what it is given, by the name that is called; ``model.eval()`` is another thing.
RUNNING = {"eval", "exec", "compile", "__import__"}
#: Modules whose reading of a file may run it.
READING = {
    "pickle",
    "cPickle",
    "_pickle",
    "marshal",
    "shelve",
    "dill",
    "cloudpickle",
    "joblib",
    "yaml",
    "ruamel",
    "runpy",
}
#: Ways of torch to load more than tensors.
LOADING = {"torch.jit.load", "torch.export.load", "torch.hub.load", "torch.package.PackageImporter"}
#: What hands a line to a shell.
SHELLS = {"os.system", "os.popen", "subprocess.getoutput", "subprocess.getstatusoutput", "pty.spawn"}
#: What takes SQL as its first argument.
SQL = {"text", "execute", "executemany", "executescript", "exec_driver_sql"}

#: Looks at a piece of source; says what is wrong with it, or None.
Rule = Callable[[ast.AST], str | None]


def trees(folder: Path = PACKAGE) -> Iterator[tuple[Path, ast.Module]]:
    """Parse every module of the package but those that help tests, which users do not run."""
    for path in sorted(folder.rglob("*.py")):
        if "testing" not in path.relative_to(folder).parts:
            yield path, ast.parse(path.read_text(encoding="utf-8"))


def findings(rule: Rule, tree: ast.AST) -> list[str]:
    """Apply a rule to all of a tree.

    Returns:
        ``LINE: what is wrong`` for each finding.
    """
    found = ((node, rule(node)) for node in ast.walk(tree))
    return [f"{getattr(node, 'lineno', 0)}: {wrong}" for node, wrong in found if wrong]


def runs_text(node: ast.AST) -> str | None:
    """Find what runs a text, or imports what a text names, or reads files that can run something."""
    if isinstance(node, ast.Import | ast.ImportFrom):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else [node.module or ""]
        return next((f"import of {name}" for name in names if name.partition(".")[0] in READING), None)
    if not isinstance(node, ast.Call):
        return None
    name = called(node)
    if name in RUNNING or name.startswith("builtins."):
        return f"{name}()"
    return f"{name}() of a text that varies" if name.endswith("import_module") and not _is_ours(node.args[0]) else None


def _is_ours(name: ast.expr) -> bool:
    """Whether a module's name is a constant, or begins with one of ours."""
    first = name.values[0] if isinstance(name, ast.JoinedStr) else name
    is_constant = isinstance(first, ast.Constant)
    return is_constant and (first is name or str(getattr(first, "value", "")).startswith("paretosearch."))


def loads_objects(node: ast.AST) -> str | None:
    """Find what loads a checkpoint or an array so that it may run something."""
    if not isinstance(node, ast.Call):
        return None
    name, given = called(node), {keyword.arg: keyword.value for keyword in node.keywords}
    if name == "torch.load" and not _is_true(given.get("weights_only")):
        return "torch.load() without weights_only=True"
    if "allow_pickle" in given and not _is_false(given["allow_pickle"]):
        return f"{name}(allow_pickle=...)"
    return f"{name}()" if name in LOADING or "safe_globals" in name else None


def varies_sql(node: ast.AST) -> str | None:
    """Find SQL that is put together from anything but constants of a module."""
    if not isinstance(node, ast.Call) or called(node).rpartition(".")[2] not in SQL or not node.args:
        return None
    return f"{called(node)}() of a text that varies" if _varies(node.args[0]) else None


def _varies(text: ast.expr) -> bool:
    if isinstance(text, ast.JoinedStr):
        values = [part.value for part in text.values if isinstance(part, ast.FormattedValue)]
        return not all(isinstance(value, ast.Name) and value.id.isupper() for value in values)
    if isinstance(text, ast.BinOp):
        return not all(isinstance(side, ast.Constant) for side in (text.left, text.right))
    return isinstance(text, ast.Call) and called(text).endswith((".format", ".join", ".replace"))


def uses_shell(node: ast.AST) -> str | None:
    """Find a command that a shell reads, or that is a text instead of a list."""
    if not isinstance(node, ast.Call):
        return None
    name = called(node)
    if name in SHELLS or any(keyword.arg == "shell" and not _is_false(keyword.value) for keyword in node.keywords):
        return f"{name}() by a shell"
    is_text = bool(node.args) and isinstance(node.args[0], ast.Constant | ast.JoinedStr | ast.BinOp)
    return f"{name}() of a text" if name.startswith("subprocess.") and is_text else None


def called(node: ast.Call) -> str:
    """Write what is called as ``a.b.c``; what is called on a value is ``.c``."""
    parts: list[str] = []
    inner: ast.expr = node.func
    while isinstance(inner, ast.Attribute):
        parts.append(inner.attr)
        inner = inner.value
    return ".".join([inner.id if isinstance(inner, ast.Name) else "", *reversed(parts)])


def _is_true(value: ast.expr | None) -> bool:
    return isinstance(value, ast.Constant) and value.value is True


def _is_false(value: ast.expr | None) -> bool:
    return isinstance(value, ast.Constant) and value.value is False
