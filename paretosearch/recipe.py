"""The frozen value that decides one training."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields
from fractions import Fraction
from functools import cached_property
from types import MappingProxyType
from typing import Any

from paretosearch.axis import Axis, Choice, Int, Real, Value
from paretosearch.errors import RecipeError, suggest

NUMBER_FORMATS = ("fp32", "tf32", "bf16", "fp16", "dfp16", "bfp16", "bfp8", "bf16-pure", "fp16-pure")

#: Those whose numbers share exponents, for which a device has no arithmetic of its own: at best there are kernels.
SIMULATED_FORMATS = ("dfp16", "bfp16", "bfp8")

#: Passes over the images that a training has at most.
MOST_EPOCHS = 10_000
#: Methods whose saving needs hardware that does not exist here, each with its switch and the value at which it is off.
#: Who shows results reads it here, since the catalogue of Methods takes PyTorch with it.
SIMULATED_METHODS: Mapping[str, tuple[str, Value]] = MappingProxyType({"gradient_pruning": ("sparsity", 0.0)})

#: The plain fields with their allowed values; the names in the other fields are checked where they are looked up.
FIELDS: Mapping[str, Axis] = MappingProxyType(
    {
        "width": Real(1 / 16, 16),
        "image_size": Int(0, 1024),
        "train_images": Int(0, 2**31),
        "train_share": Real(1e-4, 1),
        "epochs": Int(1, MOST_EPOCHS),
        "epochs_rule": Choice(("fixed", "updates")),
        "batch_size": Int(1, 65_536),
        "learning_rate": Real(1e-6, 100, log=True),
        "learning_rate_rule": Choice(("linear", "sqrt", "none")),
        "reference_batch_size": Int(1, 65_536),
        "momentum": Real(0, 0.9999),
        "weight_decay": Real(0, 1),
        "augmentation": Choice(("standard", "none", "alternating")),
        "number_format": Choice(NUMBER_FORMATS),
        "headroom": Int(0, 2),
        "channel_multiple": Int(1, 256),
        "compile": Choice(("off", "default", "max-autotune")),
        "norm_batches": Int(0, 10_000),
        "seed": Int(0, 2**31 - 1),
    }
)

#: Fields that came later, with the value at which a Recipe means what it meant before. At this value they take no part
#: in digests nor in the hash of a space, so that what is in a database stays known; it is what a stored Recipe has that
#: says nothing of them.
CAME_LATER: Mapping[str, Value] = MappingProxyType(
    {
        "channel_multiple": 8,
        "compile": "off",
        "norm_batches": 0,
        "headroom": 2,
        "epochs_rule": "fixed",
        "train_share": 1.0,
    }
)


@dataclass(frozen=True)
class Recipe:
    """Everything that decides one training.

    Args:
        dataset: Name of the data set, or ``folder:PATH``.
        network: Name of the network, or ``torchvision:NAME``.
        width: Factor on the network's channel counts.
        image_size: Edge in pixels; 0 is the data set's own.
        train_images: Images of the training split to use; 0 is all of them.
        train_share: Share of those to use, above 0 and up to 1: with the same seed a smaller share is part of every
            larger one, and all classes have as many images, as far as they go.
        epochs: Passes over the training images, by the rule.
        epochs_rule: ``fixed`` are as many as ``epochs`` says. ``updates`` are as many times more as a batch is larger
            than ``reference_batch_size``, and as all images are more than ``train_share``, rounded up, so that it makes
            as many updates as that one does with all of them in ``epochs`` (Hoffer et al. 2017, arXiv:1705.08741:
            regime adaptation); what is planned within the training is stretched with it. A last batch that is not full
            is left out, so that the numbers differ a little where the batch does not divide the images. A smaller batch
            has no fewer epochs, and makes more updates.
        batch_size: Images per step.
        learning_rate: Peak learning rate at ``reference_batch_size``.
        learning_rate_rule: How the peak follows the batch size (Goyal et al. 2017: linear; Hoffer et al. 2017: sqrt).
        reference_batch_size: Batch size that ``learning_rate`` is meant for.
        momentum: Nesterov momentum of SGD.
        weight_decay: L2 coefficient on weights; biases and normalisation are left out.
        augmentation: ``standard`` is pad-crop, and a flip where the data set allows it. ``alternating`` draws for each
            image once whether it is mirrored, and then changes that in every epoch (Jordan 2024, arXiv:2404.00498);
            where the data set allows no flip it is ``standard``.
        number_format: Arithmetic of forward and backward.
        headroom: Bits of every mantissa of ``dfp16`` that stay free; other formats have none.
        pooling: Name of the pooling Method.
        schedule: Name of the learning-rate schedule Method.
        channel_multiple: Pruning rounds channel counts up to a multiple of this. 8 suits the tensor cores of a GPU in
            fp16, and is never slower than 16 on a CPU (benchmarks/channels.py).
        compile: Mode of `torch.compile`, whose time counts; ``off`` starts at once.
        norm_batches: Batches over which the statistics of batch norm are estimated anew at the end; 0 keeps the running
            averages, which lag behind the weights of a short training.
        methods: Parameters of every other active Method, and of the pooling and the schedule where they have any.
        seed: Seed of initial weights, order and augmentation.

    Raises:
        RecipeError: If a plain field is outside its allowed values, or two of them do not go together.
    """

    dataset: str
    network: str
    width: float = 1.0
    image_size: int = 0
    train_images: int = 0
    train_share: float = 1.0
    epochs: int = 12
    epochs_rule: str = "fixed"
    batch_size: int = 128
    learning_rate: float = 0.1
    learning_rate_rule: str = "linear"
    reference_batch_size: int = 128
    momentum: float = 0.9
    weight_decay: float = 5e-4
    augmentation: str = "standard"
    number_format: str = "fp32"
    headroom: int = 2
    pooling: str = "native"
    schedule: str = "one_cycle"
    channel_multiple: int = 8
    compile: str = "off"
    norm_batches: int = 8
    methods: Mapping[str, Mapping[str, Value]] = field(default_factory=dict)
    seed: int = 0

    def __post_init__(self) -> None:
        for name, axis in FIELDS.items():
            value = getattr(self, name)
            if not axis.contains(value):
                raise RecipeError(f"{name} = {value!r} is not {axis}")
            if isinstance(axis, Real):  # 1 and 1.0 are one Recipe, as 0.0 and -0.0 are, and must have one digest
                object.__setattr__(self, name, float(value) + 0.0)
        for name in ("dataset", "network", "pooling", "schedule"):
            value = getattr(self, name)
            if not isinstance(value, str) or not value or not value.isprintable():
                raise RecipeError(f"{name} must be a name, not {value!r}")
        if self.compile != "off" and self.number_format in SIMULATED_FORMATS:
            simulated = f"number_format = {self.number_format!r}, whose operations are no part of torch.compile"
            raise RecipeError(f'compile = {self.compile!r} does not go with {simulated}; set compile = "off"')
        if self.total_epochs > MOST_EPOCHS:
            how = f"epochs = {self.epochs} and batch_size = {self.batch_size} of reference_batch_size"
            share = f" with train_share = {self.train_share:g}" if self.train_share < 1 else ""
            raise RecipeError(
                f'epochs_rule = "updates" makes {self.total_epochs} epochs of {how} = {self.reference_batch_size}'
                f"{share}, and {MOST_EPOCHS} are the most; lower epochs or batch_size, or set epochs_rule to fixed"
            )
        object.__setattr__(self, "methods", _frozen_methods(self.methods))

    def __hash__(self) -> int:
        return hash((self.digest, self.seed))

    @property
    def digest(self) -> str:
        """Name of this Recipe whatever its seed: 16 hexadecimal digits, equal for equal Recipes."""
        plain = without_later_fields({**self._plain(), "seed": 0})
        # The range of a parameter is not known here, so 1 and 1.0 are written alike: equal Recipes, equal digests.
        plain["methods"] = {
            method: {key: _one_spelling(value) for key, value in parameters.items()}
            for method, parameters in self.methods.items()
        }
        return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()[:16]

    @property
    def peak_learning_rate(self) -> float:
        """Learning rate at the top of the schedule for this batch size."""
        return self.learning_rate_at(self.batch_size)

    def learning_rate_at(self, batch_size: float) -> float:
        """Give the peak learning rate that the rule has for another batch size."""
        ratio = batch_size / self.reference_batch_size
        factor: float = {"linear": ratio, "sqrt": math.sqrt(ratio), "none": 1.0}[self.learning_rate_rule]
        return self.learning_rate * factor

    @property
    def stretch(self) -> int:
        """How many times longer than ``epochs`` the training is, by its rule."""
        return self._stretch_to_updates if self.epochs_rule == "updates" else 1

    @cached_property
    def _stretch_to_updates(self) -> int:
        """How many times longer it takes to make the updates of the reference batch with all images."""
        larger = Fraction(max(self.batch_size, self.reference_batch_size), self.reference_batch_size)
        return math.ceil(larger / Fraction(str(self.train_share)))  # as it is written: a tenth takes ten times, not 11

    @property
    def total_epochs(self) -> int:
        """Passes over the training images: how long the training is, whatever rule decides it."""
        return self.epochs * self.stretch

    @property
    def inert(self) -> frozenset[str]:
        """Names of the rules that say nothing here: at the reference batch size they all give the same training."""
        rules = {"epochs_rule"} if self._stretch_to_updates == 1 else set()
        if self.batch_size == self.reference_batch_size and "dynamic_batch" not in self.methods:
            rules.add("learning_rate_rule")
        return frozenset(rules)

    def to_json(self) -> str:
        """Write the Recipe as one line of JSON with sorted keys."""
        return json.dumps(self._plain(), sort_keys=True)

    def _plain(self) -> dict[str, Any]:
        plain = {f.name: getattr(self, f.name) for f in fields(self)}
        return {**plain, "methods": {name: dict(parameters) for name, parameters in self.methods.items()}}

    @classmethod
    def from_json(cls, text: str) -> Recipe:
        """Read a Recipe; fields that are not named take their defaults.

        Raises:
            RecipeError: If the text is no JSON object, or a field is unknown, missing or outside its allowed values.
        """
        try:
            plain = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise RecipeError(
                f"this is no recipe: a recipe is a JSON object, as pick and train write it ({error})"
            ) from None
        if not isinstance(plain, dict):
            raise RecipeError(f"this is no recipe: a recipe is a JSON object, not {type(plain).__name__}")
        _check_names(cls, plain)
        _check_literals(plain)
        return cls(**plain)

    @classmethod
    def stored(cls, plain: Mapping[str, Any]) -> Recipe:
        """Rebuild a Recipe from what `to_json` wrote of one that was checked then; ten times as fast as `from_json`.

        Args:
            plain: The object that the JSON holds, with every field that has no default.
        """
        recipe = object.__new__(cls)
        methods = {name: MappingProxyType(parameters) for name, parameters in plain.get("methods", {}).items()}
        # Past the constructor, which would check it again, and past __setattr__, which is the slowest way to fill it.
        vars(recipe).update({**_DEFAULTS, **plain, "methods": MappingProxyType(methods)})
        return recipe


_DEFAULTS = {f.name: None if f.default is MISSING else f.default for f in fields(Recipe)}


def without_later_fields(values: Mapping[str, Any]) -> dict[str, Any]:
    """Leave out the fields of `CAME_LATER` that have the value there."""
    return {name: value for name, value in values.items() if name not in CAME_LATER or value != CAME_LATER[name]}


def _check_names(cls: type[Recipe], plain: Mapping[str, object]) -> None:
    known = {f.name: f.default is MISSING and f.default_factory is MISSING for f in fields(cls)}
    for name in plain:
        if name not in known:
            method, dot, parameter = name.partition(".")
            if dot:
                value = json.dumps(plain[name], default=str)
                where = f'"methods": {{"{method}": {{"{parameter}": {value}}}}}'
                raise RecipeError(f"a Recipe has no field {name!r}; parameters of methods stand in a table: {where}")
            raise RecipeError(f"a Recipe has no field {name!r}{suggest(name, known)}")
    for name, required in known.items():
        if required and name not in plain:
            raise RecipeError(f"a Recipe needs the field {name!r}")


def _check_literals(plain: Mapping[str, object]) -> None:
    """Refuse ``true``, ``false`` and ``null``, which no plain field takes, in the spelling of the file."""
    for name, axis in FIELDS.items():
        value = plain.get(name, "")
        if value is None or isinstance(value, bool):
            raise RecipeError(f"{name} = {json.dumps(value)} is not {axis}")


def _frozen_methods(methods: object) -> Mapping[str, Mapping[str, Value]]:
    if not isinstance(methods, Mapping) or not all(isinstance(v, Mapping) for v in methods.values()):
        shown = (
            next((f"{n} = {v!r}" for n, v in methods.items() if not isinstance(v, Mapping)), repr(methods))
            if isinstance(methods, Mapping)
            else repr(methods)
        )
        raise RecipeError(f"methods must be an object of objects: {{method: {{parameter: value}}}}, not {shown}")
    return MappingProxyType({name: _frozen_parameters(name, methods[name]) for name in sorted(methods)})


def _frozen_parameters(method: str, parameters: Mapping[str, object]) -> Mapping[str, Value]:
    for key, value in parameters.items():
        if not isinstance(value, bool | int | float | str) or (isinstance(value, float) and not math.isfinite(value)):
            raise RecipeError(f"{method}.{key} = {value!r} is no finite number, text or truth value")
    return MappingProxyType(dict(sorted(parameters.items())))  # type: ignore[arg-type]  # each was looked at above


def _one_spelling(value: Value) -> Value:
    return int(value) if isinstance(value, float) and value.is_integer() else value
