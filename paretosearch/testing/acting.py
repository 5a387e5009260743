"""What turns each Method on in the suite that all of them pass, so that it acts there; and where it cannot."""

from __future__ import annotations

from dataclasses import dataclass

from paretosearch.axis import Axis, Choice, Text, Value
from paretosearch.method import Method

#: Images of a step, steps of an epoch and epochs of a `TinyTraining`.
BATCH, STEPS, EPOCHS = 8, 2, 4

#: Networks for Methods that find nothing to do in a convnet, alone or with others.
SUITED = {"kernel_rescaling": "convnet5", "progressive_resolution": "resnet8", "max": "resnet8"}

#: Width for Methods that find nothing to do in narrower networks: of 8 channels or fewer none is cut.
WIDE = {"early_bird": 0.25, "prunetrain": 0.25}

#: Parameters with which a Method acts in a `TinyTraining`; of one that is not here, its switch is at the first value
#: that is not off. The network grows behind the first epoch, and images grow behind the third, so that no two of these
#: changes come at once and a ticket can be drawn between them.
PARAMETERS: dict[str, dict[str, Value]] = {
    "ssf": {"structure": "dictionary", "unfreeze": 0.75},
    "selective_backprop": {"keep": 0.5, "start": 0.0, "until": 1.0},
    "isgd": {"limit": 0.01},
    "lottery_ticket": {"pruned": 0.5},
    "swa": {"start": 0.5, "per_epoch": 2},
    "ema": {"decay": 0.9},
    "muon": {"rate": 0.1},
    "schedule_free": {"beta": 0.9},
    "gradient_pruning": {"sparsity": 0.9, "start": 0.3, "window": 2},
    "progressive_resolution": {"smallest": 0.25, "full_at": 0.75},
    "kernel_rescaling": {"until": 0.75},
    "net2net": {"schedule": "widen@0.3+deepen@0.3"},
    "prunetrain": {"penalty_ratio": 0.9, "interval": 1, "threshold": 0.1, "until": 0.5},  # more would leave nothing
    "early_bird": {"pruned": 0.5, "masks": 2, "distance": 0.5, "until": 1.0},
    "layer_replacement": {"gain": 0.9, "start": 0.4},
    "gradient_clipping": {"norm": 0.01},
    "dynamic_batch": {"largest": 2 * BATCH},
    "standardization_loss": {"strength": 1e-4},  # more is too much for deep networks
}

#: Those of Methods that `layer_replacement` waits for, in a training that is long enough for both.
SOONER: dict[str, dict[str, Value]] = {
    "early_bird": {"until": 0.5},
    "progressive_resolution": {"full_at": 0.5},
    "kernel_rescaling": {"until": 0.5},
}

#: What tells that a Method has acted, beside a result that is another one: a kind of surgery, a note, or that the
#: network that answers is not the one that is trained.
SIGNS = {
    "lottery_ticket": "note of lottery_ticket",
    "swa": "swa answers",
    "ema": "ema answers",
    "schedule_free": "schedule_free answers",
    "test_views": "test_views answers",
    "kernel_rescaling": "rescale",
    "net2net": "widen",
    "prunetrain": "prune",
    "early_bird": "prune",
    "layer_replacement": "replace",
    "dynamic_batch": "note of batch",
}

#: Methods that change nothing in a `TinyTraining`, whatever is beside them.
NEUTRAL = {"native": "networks pool in this way by themselves"}

#: What changes the shape of a network, without which `dynamic_batch` has nothing to follow.
_RESHAPING = {"net2net", "prunetrain", "early_bird", "kernel_rescaling", "layer_replacement"}

#: Methods that do nothing beside another one, or in a network; with the reason.
IDLE: dict[tuple[str, str], str] = {
    **{(name, "schedule_free"): "it sets the learning rate itself" for name in ("one_cycle", "constant")},
    **{("max", network): "it pools in this way by itself" for network in ("convnet", "convnet5", "vgg11")},
    ("max", "kernel_rescaling"): "the network that suits both pools in this way by itself",
}

#: Methods of which nobody can say whether they act beside another one, or in a network, within so few steps.
UNCERTAIN: dict[tuple[str, str], str] = {
    **{("isgd", network): "the step itself may bring the loss below the limit" for network in ("vgg11", "resnet18")},
    **{
        ("prunetrain", network): "no channel of so many layers comes to zero so soon"
        for network in ("resnet8", "vgg11", "resnet18", "torchvision:squeezenet1_1")
    },
    **{("prunetrain", name): "the network that suits both is resnet8" for name in ("max", "progressive_resolution")},
    ("prunetrain", "net2net"): "after a growth the penalty rests, and begins with more channels",
    ("prunetrain", "standardization_loss"): "at rates that suit networks without batch norm nothing comes to zero",
}


def is_idle(method: type[Method], beside: str = "") -> bool | None:
    """Whether a Method does nothing in the suite, beside another one or in a network; None if nobody can say."""
    if (method.name, beside) in UNCERTAIN:
        return None
    if method.name == "dynamic_batch" and beside not in _RESHAPING:
        return True
    return method.name in NEUTRAL or (method.name, beside) in IDLE


@dataclass(frozen=True)
class Setting:
    """A `TinyTraining` in which some Methods find something to do.

    Args:
        network: The network.
        width: Factor on its channels; None is a small one.
        epochs: How many there are.
        sooner: Whether Methods that another one waits for end sooner.
    """

    network: str
    width: float | None
    epochs: int = EPOCHS
    sooner: bool = False

    def turned_on(self, method: type[Method]) -> Method:
        """Make a Method that does something."""
        name = method.name
        if name in PARAMETERS or method.switch is None:
            return method(**PARAMETERS.get(name, {}) | (SOONER.get(name, {}) if self.sooner else {}))
        other = next(value for value in inside(method.space[method.switch]) if value != method.off)
        return method(**{method.switch: other})


def suited(*methods: type[Method]) -> Setting:
    """Give a training in which all of some Methods find something to do."""
    names = {method.name for method in methods}
    network = next((network for name, network in SUITED.items() if name in names), "convnet")
    width = max((WIDE[name] for name in names if name in WIDE), default=None)
    waits = "layer_replacement" in names and len(names) > 1
    return Setting(network, width, EPOCHS + 2 if waits else EPOCHS, sooner=waits)


def inside(axis: Axis) -> tuple[Value, ...]:
    """Give some values that an axis contains."""
    if isinstance(axis, Text):
        return axis.examples
    return axis.options if isinstance(axis, Choice) else (axis.low, axis.high)
