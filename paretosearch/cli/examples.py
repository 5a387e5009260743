"""What to type: the examples at the end of every command's help."""

from __future__ import annotations

from rich.markup import escape

#: By command: what to type, and what that does.
EXAMPLES = {
    "launch": (
        ("launch", "quickstart; cifar10 on GPUs"),
        ("launch my.toml --gpus 0,1,2,3", "a trial on each GPU"),
        ("launch my.toml --cpu 2x4 --trials 40", "two slots of four cores"),
    ),
    "status": (
        ("status", "the newest study of the store"),
        ("status my-images --watch", "a study, while it is launched"),
    ),
    "front": (
        ("front", "as a table"),
        ("front --csv > front.csv", "for a spreadsheet"),
        ("front --confirmed", "what repeats say"),
        ("front --device-class 2080", "by the times of one kind of GPU"),
    ),
    "pick": (
        ("pick --seconds 60", "the best within a minute"),
        ("pick --accuracy 93%", "the quickest that reaches it"),
    ),
    "confirm": (
        ("confirm", "three results of each"),
        ("confirm --replicates 5 --device-hours 2", "five, in two hours"),
    ),
    "export": (
        ("export my-images --out thesis/front", "all figures and tables"),
        ("export --style slides --out slides", "larger, for a screen"),
        ("export --lang de --out bilder", "in German"),
    ),
    "dashboard": (
        ("dashboard", "on this machine, read-only"),
        ("dashboard --host 0.0.0.0 --expose", "for others who know the token"),
    ),
    "train": (
        ("train --trial 17 --out trained", "a member of the front"),
        ("train recipe.json --gpus 1", "a recipe on the second GPU"),
    ),
    "retime": (
        ("retime --gpus 0", "the front on this GPU, in minutes"),
        ("retime 17 --gpus 0", "the seconds of trial 17 on it"),
    ),
    "tree": (
        ("tree --cpu 1", "Fashion-MNIST, in minutes"),
        ("tree my-tree.toml --gpus 0 --out tree", "with a figure and a table"),
    ),
    "methods": (
        ("methods", "all, and their parameters"),
        ("methods early_bird", "what one does"),
        ("methods --network torchvision:resnet18", "what can change in it"),
    ),
    "doctor": (("doctor", "what works here"),),
    "fetch": (("data fetch cifar10", "get CIFAR-10 now"),),
    "upgrade": (("store upgrade", "make the tables, or bring them up to date"),),
    "copy": (
        ("store copy cats --to sqlite:///cats.db", "a file to take along"),
        ("store copy --to sqlite:///study.db", "the newest study"),
    ),
}


def epilog(command: str) -> str:
    """Give the end of a command's help.

    Args:
        command: Name of the command.
    """
    width = max(len(typed) for typed, _ in EXAMPLES[command])
    lines = (f"  paretosearch {typed.ljust(width)}  [dim]{escape(what)}[/]" for typed, what in EXAMPLES[command])
    return "\n".join(("[dim]Examples:[/]", *lines))
