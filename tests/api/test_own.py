"""A package brings a data set and a network: they train in Workers, and a bad one is a clear line."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from paretosearch import data, nets, plugins
from paretosearch.errors import DataError, RecipeError
from paretosearch.testing.commands import environment

EXAMPLE = Path(__file__).parents[2] / "studies" / "own"


def paretosearch(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    env = environment(folder)
    env["PYTHONPATH"] = ":".join(filter(None, [str(folder / "site"), env.get("PYTHONPATH")]))
    command = [sys.executable, "-m", "paretosearch", *arguments]
    return subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, timeout=300, check=False)


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The example, as pip installs it; nothing of it is on the path of the tests themselves."""
    folder = tmp_path_factory.mktemp("own")
    shutil.copytree(EXAMPLE, folder / "source")
    shutil.copy(EXAMPLE / "bars.toml", folder)
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-index"]
    pip += ["--no-deps", "--no-build-isolation", "--target", str(folder / "site"), str(folder / "source")]
    done = subprocess.run(pip, capture_output=True, text=True, timeout=120, check=False)
    if "No module named pip" in done.stderr:
        pytest.skip("there is no pip in this environment")
    assert done.returncode == 0, done.stderr
    return folder


def test_the_example_is_searched_in_workers_and_trains_alone(installed: Path) -> None:
    launched = paretosearch(installed, "launch", "bars.toml", "--cpu", "2", "--trials", "2")
    assert launched.returncode == 0, launched.stderr
    front = json.loads(paretosearch(installed, "front", "bars", "--json").stdout)
    assert front[-1]["accuracy"] > 0.5  # of four classes: it has learned something
    assert (front[-1]["recipe"]["dataset"], front[-1]["recipe"]["network"]) == ("bars", "tiny")
    trained = paretosearch(installed, "train", "--trial", str(front[-1]["trial"]), "--cpu", "1", "--out", "trained")
    assert trained.returncode == 0, trained.stderr
    text = (installed / "trained" / "network.py").read_text()
    assert "'upright'" in text
    assert "own_images" not in text


def test_the_example_is_listed_and_examined(installed: Path) -> None:
    fetched = paretosearch(installed, "data", "fetch", "bars")
    assert fetched.stdout.startswith("bars: 1600 train, 200 validation, 200 test images of 16x16 in 4 classes")
    assert paretosearch(installed, "methods", "--network", "tiny").returncode == 0
    unknown = paretosearch(installed, "data", "fetch", "bar")
    assert "there is no data set 'bar' (did you mean 'bars'?)" in unknown.stderr


def test_without_the_package_the_study_names_what_is_missing(installed: Path, tmp_path: Path) -> None:
    shutil.copy(installed / "bars.toml", tmp_path)
    refused = paretosearch(tmp_path, "launch", "bars.toml", "--cpu", "1")
    assert refused.returncode == 3
    assert "bars.toml:4: dataset: there is no data set 'bars'" in refused.stderr


#: What a package is like, what is asked of it, and what the one line says.
BAD = {
    "raises at import": ("raise OSError('no disk\\nat all')", "data", "cannot be imported: OSError: no disk"),
    "leaves at import": ("raise SystemExit(0)", "data", "cannot be imported: SystemExit: 0"),
    "is not there": ("other = 1", "data", "cannot be imported: AttributeError: module"),
    "is no function": ("thing = 1", "data", "is of type int, and must be a function"),
    "raises": ("def thing(): raise ValueError('nothing here')", "data", "raised ValueError: nothing here"),
    "gives something else": (
        "def thing(): return 5",
        "data",
        "a value of type int, not paretosearch.data.Arrays",
    ),
    "has no channels": ("def thing(): return made((9, 4, 4))", "data", "must be (N, H, H, C), square"),
    "is not square": ("def thing(): return made((9, 4, 5, 1))", "data", "not (9, 4, 5, 1) uint8"),
    "has other labels": ("def thing(): return made((9, 4, 4, 1), 5)", "data", "labels must be 0 to 1, not 5 to 5"),
    "has too few images": ("def thing(): return made((2, 4, 4, 1))", "data", "has too few images: class 0 has 2"),
    "is no network": (
        "def thing(spec): return 5",
        "network",
        "gave a value of type int, not a torch.nn.Module",
    ),
    "takes no spec": ("def thing(): return 5", "network", "raised TypeError: thing() takes 0 positional arguments"),
    "gives no logits": ("def thing(spec): return nn.Flatten()", "network", "gives (1, 3072) for one image, and must"),
    "cannot run": (
        "def thing(spec): return nn.Module()",
        "network",
        "images of 32x32 (NotImplementedError",
    ),
}
HEAD = """
import numpy as np
from torch import nn
from paretosearch.data import Arrays

def made(shape, label=0):
    return Arrays(("a", "b"), np.zeros(shape, np.uint8), np.full(shape[0], label))

"""


def install(site: Path, code: str, module: str) -> None:
    """Write a package as an installer leaves it."""
    info = site / "bad-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: bad\nVersion: 1.0\n")
    points = (f"[{group}]\nthing = {module}:thing\n" for group in (plugins.DATASETS, plugins.NETWORKS))
    (info / "entry_points.txt").write_text("".join(points))
    (site / f"{module}.py").write_text(HEAD + code)


@pytest.mark.parametrize("name", BAD)
def test_a_bad_package_is_one_line(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code, kind, said = BAD[name]
    module = f"bad_{list(BAD).index(name)}"
    install(tmp_path / "site", code, module)
    monkeypatch.syspath_prepend(tmp_path / "site")
    monkeypatch.setenv("PARETOSEARCH_DATA", str(tmp_path / "data"))
    with pytest.raises(DataError if kind == "data" else RecipeError) as error:
        if kind == "data":
            data.load("thing", 0)
        else:
            nets.build("thing", classes=10, channels=3, image_size=32)
    line = str(error.value)
    assert said in line
    assert "\n" not in line
    if "32x32" not in line and "for one image" not in line:
        assert f"'thing' of bad 1.0 ({module}:thing)" in line


def test_a_study_with_a_bad_package_names_its_line(tmp_path: Path) -> None:
    install(tmp_path / "site", "raise OSError('no disk\\nat all')", "bad")
    (tmp_path / "s.toml").write_text((EXAMPLE / "bars.toml").read_text().replace('"tiny"', '"thing"'))
    shutil.copy(EXAMPLE / "own_images.py", tmp_path / "site")
    shutil.copytree(tmp_path / "site" / "bad-1.0.dist-info", tmp_path / "site" / "good-1.0.dist-info")
    info = tmp_path / "site" / "good-1.0.dist-info"
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: good\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[paretosearch.datasets]\nbars = own_images:bars\n")
    refused = paretosearch(tmp_path, "launch", "s.toml", "--cpu", "1")
    assert refused.returncode == 3
    (line,) = refused.stderr.splitlines()
    assert "s.toml:5: network: network 'thing' of bad 1.0 (bad:thing) cannot be imported: OSError: no disk" in line


def test_two_packages_of_one_name_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in (1, 2):
        site = tmp_path / str(number)
        install(site, "thing = 1", f"twice_{number}")
        (site / "bad-1.0.dist-info").rename(site / f"b{number}-1.0.dist-info")
        meta = site / f"b{number}-1.0.dist-info" / "METADATA"
        meta.write_text(meta.read_text().replace("bad", f"b{number}"))
        monkeypatch.syspath_prepend(site)
    with pytest.raises(DataError, match=r"b2 1\.0 and b1 1\.0 both bring a data set 'thing'; uninstall one of them"):
        data.check_name("thing")


def test_a_new_source_is_read_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PARETOSEARCH_DATA", str(tmp_path / "data"))
    monkeypatch.syspath_prepend(tmp_path / "site")
    code = "def thing(): return Arrays(('a', 'b'), np.full((40, 4, 4, 3), VALUE, np.uint8), np.arange(40) % 2)"
    install(tmp_path / "site", code.replace("VALUE", "7"), "changing")
    assert data.load("thing").train.images.unique().tolist() == [7]
    assert data.load("thing", 8).image_size == 8
    (tmp_path / "site" / "changing.py").write_text(HEAD + code.replace("VALUE", "123"))
    del sys.modules["changing"]
    assert data.load("thing").train.images.unique().tolist() == [123]
