"""A Recipe in words: only what varies, as short as a reader allows."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from paretosearch.axis import Value
from paretosearch.recipe import Recipe

#: What readers call the fields and Methods; any other is called by its own name.
SHORT = {
    "number_format": "format",
    "batch_size": "batch",
    "reference_batch_size": "reference batch",
    "learning_rate": "lr",
    "learning_rate_rule": "lr rule",
    "epochs_rule": "epoch rule",
    "weight_decay": "decay",
    "train_images": "images",
    "train_share": "share",
    "image_size": "pixels",
    "label_smoothing": "smoothing",
    "gradient_clipping": "clipping",
}

#: Axes whose value says by itself what it is.
_SPEAKS = ("number_format", "network", "dataset")
#: Axes that read better behind their value: ``3 epochs``, ``s3 pooling``.
_BEHIND = ("epochs", "pooling", "train_images", "image_size")


#: A Recipe with nothing to say of.
PLAIN = "plain"


def words(recipe: Recipe, axes: Collection[str], leave_out: Collection[str] = ()) -> str:
    """Say what sets a Recipe apart from others of its Space.

    Args:
        recipe: The Recipe.
        axes: The searched fields and ``method.parameter`` names, in the order to say them.
        leave_out: Those of them that need not be said.

    Returns:
        Such as ``bf16, batch 256, s3 pooling, 3 epochs``; Methods that are off are left out, and ``plain`` is a Recipe
        with nothing left to say.
    """
    named = titles(axes)
    values = {axis: axis_value(recipe, axis) for axis in axes if axis not in leave_out}
    said = [_phrase(axis, named[axis], value) for axis, value in values.items() if value is not None]
    return ", ".join(said) or PLAIN


def called(method: str) -> str:
    """Give the short name of a Method, for readers."""
    return SHORT.get(method, _plain(method))


def titles(axes: Collection[str], short: bool = True) -> dict[str, str]:
    """Name every axis for a heading.

    Args:
        axes: The searched fields and ``method.parameter`` names.
        short: Whether to use the names of `SHORT`.

    Returns:
        The heading of each: a Method's first axis is called by the Method, the next ones by their parameter, as long
        as no other axis is called so.
    """
    named: dict[str, str] = {}
    methods: set[str] = set()
    for axis in axes:
        method, _, parameter = axis.partition(".")
        owner = called(method) if short else _plain(method)
        title = _plain(parameter) if method in methods else owner
        named[axis] = f"{owner} {title}" if title in named.values() else title
        if parameter:
            methods.add(method)
    return named


def axis_value(recipe: Recipe, axis: str) -> Value | None:
    """Look up the value of an axis.

    Args:
        recipe: The Recipe.
        axis: A field, or ``method.parameter``.

    Returns:
        The value; None where the Recipe does without that Method.
    """
    method, _, parameter = axis.partition(".")
    if parameter:
        return recipe.methods.get(method, {}).get(parameter)
    value: Value = getattr(recipe, axis)
    return value


def value_text(value: Value | None) -> str:
    """Write a value with at most three significant digits; None is ``off``.

    Args:
        value: A value of an axis.

    Returns:
        Such as ``256``, ``0.05``, ``5e-4`` or ``off``.
    """
    if value is None or isinstance(value, bool):
        return "on" if value else "off"
    if not isinstance(value, float):
        return str(value)
    if 1e-3 <= abs(value) < 1e6 or value == 0:
        return f"{float(f'{value:.3g}'):g}"
    mantissa, _, exponent = f"{value:.2e}".partition("e")
    return f"{float(mantissa):g}e{int(exponent)}"


def counted(count: int, one: str, several: str = "") -> str:
    """Write a number of things, such as ``1 study`` or ``3 studies``; without its plural a thing gets an s."""
    return f"{count} {one if count == 1 else several or one + 's'}"


def listed(numbers: Sequence[int]) -> str:
    """Write numbers as ``1``, ``1 and 14`` or ``1, 3 and 14``."""
    *before, last = map(str, numbers)
    return f"{', '.join(before)} and {last}" if before else last


def seconds_text(seconds: float) -> str:
    """Write a duration with about three digits, such as ``3.14``, ``31.4`` or ``3142``, without its unit."""
    return f"{seconds:.{2 if seconds < 9.995 else 1 if seconds < 99.95 else 0}f}"


def duration_text(seconds: float) -> str:
    """Write a duration for people, such as ``48 s``, ``4 min 12 s`` or ``2 h 5 min``."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def _plain(name: str) -> str:
    return name.replace("_", " ")


def _phrase(axis: str, title: str, value: Value) -> str:
    text = value_text(value)
    if axis in _SPEAKS:
        return text
    if axis in _BEHIND:
        return f"{text} {title.removesuffix('s') if text == '1' else title}"
    return f"{title} {text}"
