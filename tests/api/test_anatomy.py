"""What can change in a network is shown whole, and its reasons with it."""

from __future__ import annotations

import io
import json

import pytest
from rich.console import Console

from paretosearch.api import anatomy
from paretosearch.api.anatomy import Findings, anatomy_json, anatomy_table, examine, summary
from paretosearch.channels import ENDS, Branch, ChannelMap, ChannelSpace
from paretosearch.cli.commands import methods
from paretosearch.errors import RecipeError


@pytest.fixture(scope="module")
def resnet20() -> Findings:
    return examine("resnet20")


def printed(findings: Findings, width: int = 80) -> str:
    console = Console(width=width, file=io.StringIO(), record=True)
    console.print(anatomy_table(findings))
    return console.export_text()


def made_up(reason: str | None = None, branches: int = 0) -> Findings:
    spaces = {"a": ChannelSpace("a", 16, frozen_reason=reason)}
    found = tuple(Branch(f"block{n}", (f"block{n}.conv",), identity=True) for n in range(branches))
    return Findings("net", 32, ChannelMap(spaces, branches=found), ())


def test_all_of_resnet20_can_change_but_its_ends(resnet20: Findings) -> None:
    frozen = [space for space in resnet20.channels.spaces.values() if space.frozen_reason is not None]
    assert [(space.size, space.frozen_reason) for space in frozen] == [(3, ENDS[0]), (10, ENDS[1])]
    assert [space.size for space in resnet20.channels.free] == [16] * 4 + [32] * 4 + [64] * 4
    assert summary(resnet20) == (
        "resnet20 at 32x32: 12 of 14 channel spaces can change; 9 branches can be removed; "
        "it can be deepened behind 3, 7, 11"
    )


def test_json_holds_spaces_branches_and_stages(resnet20: Findings) -> None:
    shown = json.loads(json.dumps(anatomy_json(resnet20), allow_nan=False))
    assert list(shown) == ["network", "image_size", "spaces", "branches", "stages"]
    assert (shown["network"], shown["image_size"]) == ("resnet20", 32)
    assert shown["spaces"][0] == {"name": "input", "channels": 3, "frozen_reason": ENDS[0]}
    assert shown["spaces"][2] == {"name": "1.conv1", "channels": 16, "frozen_reason": None}
    assert [branch["block"] for branch in shown["branches"]] == ["1", "2", "3", "5", "6", "7", "9", "10", "11"]
    assert [branch["identity"] for branch in shown["branches"]].count(False) == 2
    assert all(module.startswith("1.") for module in shown["branches"][0]["modules"])
    assert shown["stages"] == ["3", "7", "11"]


def test_the_table_shows_the_summary_every_space_and_the_branches(resnet20: Findings) -> None:
    lines = [line.rstrip() for line in printed(resnet20, 120).splitlines()]
    assert lines[0] == summary(resnet20)
    assert [line.split("  ")[0] for line in lines[3:-2]] == list(resnet20.channels.spaces)
    assert lines[4].split() == ["0.0", "stream", "16", "free"]
    assert lines[-1] == "branches that can be removed: 1, 2, 3, 5, 6, 7, 9, 10, 11"


def test_what_is_frozen_says_why() -> None:
    findings = examine("torchvision:shufflenet_v2_x0_5")
    reason = findings.channels.spaces["stage2.0.branch1.2"].frozen_reason
    assert reason == "view has a size written into the code"
    assert reason in printed(findings)
    assert 0 < len(findings.channels.free) < len(findings.channels.spaces) - 2


@pytest.mark.parametrize("width", [40, 80])
def test_a_long_reason_is_wrapped_and_not_cut(width: int) -> None:
    reason = f"{'block.' * 20}conv [red]is grouped, {'and so on ' * 20}to the end"
    lines = printed(made_up(reason), width).splitlines()
    assert max(map(len, lines)) <= width
    assert reason.replace(" ", "") in "".join(lines).replace(" ", "")


@pytest.mark.parametrize(("branches", "said"), [(0, "no branch"), (1, "1 branch"), (2, "2 branches")])
def test_the_summary_counts_in_words_that_fit(branches: int, said: str) -> None:
    found = made_up("it is odd", branches)
    assert summary(found) == (
        f"net at 32x32: 0 of 1 channel spaces can change; {said} can be removed; it cannot be deepened"
    )
    assert ("branches that can be removed:" in printed(found)) == (branches > 0)


def test_a_network_that_needs_larger_images_gets_the_smallest_that_it_takes() -> None:
    assert examine("torchvision:alexnet").image_size == 64
    assert examine("torchvision:squeezenet1_1").image_size == 32


def test_an_image_size_that_was_asked_for_is_taken_or_refused_in_one_line() -> None:
    assert examine("convnet", 8).image_size == 8
    with pytest.raises(RecipeError, match="alexnet cannot take images of 32x32") as caught:
        examine("torchvision:alexnet", 32)
    assert "\n" not in str(caught.value)


def test_a_network_that_takes_none_of_the_usual_sizes_is_refused_for_the_largest(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(anatomy, "IMAGE_SIZES", (4, 6))
    with pytest.raises(RecipeError, match="convnet cannot take images of 6x6"):
        examine("convnet")


def test_a_network_that_there_is_not_gets_a_suggestion() -> None:
    with pytest.raises(RecipeError, match="there is no network 'resnet19' \\(did you mean 'resnet18'"):
        examine("resnet19")


def test_the_command_prints_either_form(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    methods(network="convnet", image_size=16, as_json=True)
    assert json.loads(capsys.readouterr().out)["image_size"] == 16
    methods(network="convnet")
    assert capsys.readouterr().out.startswith("convnet at 32x32: 4 of 6 channel spaces can change; no branch")
