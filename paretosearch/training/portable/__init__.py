"""A trained network in forms that other programs take, which know nothing of this one."""

from paretosearch.training.portable.errors import NotPortableError
from paretosearch.training.portable.exchange import PRODUCER, save_onnx
from paretosearch.training.portable.page import FIRST_LINE
from paretosearch.training.portable.script import script_of
from paretosearch.training.portable.wide import plain, wide

__all__ = ["FIRST_LINE", "PRODUCER", "NotPortableError", "plain", "save_onnx", "script_of", "wide"]
