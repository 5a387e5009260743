"""Records a quickstart as people see it: in the terminal, in the browser, on paper.

    python -m docs.record            # writes docs/pictures/, in some five minutes on two cores

It needs what tests need: Chromium, LaTeX, poppler, and the data set.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from playwright.sync_api import Browser

from docs.terminal import Terminal
from paretosearch.testing.browser import chromium
from paretosearch.testing.dashboards import Dashboard, serving
from paretosearch.testing.latex import compiled

PICTURES = Path(__file__).parent / "pictures"
TRIALS = 24
STORAGE = "sqlite:///paretosearch.db"
PARETOSEARCH = [sys.executable, "-m", "paretosearch"]

THESIS = r"""\documentclass[11pt,a4paper]{article}
\usepackage[T1]{fontenc}
\usepackage{lmodern}
\usepackage[english]{babel}
\usepackage[margin=30mm]{geometry}
\usepackage{caption}
\input{front/preamble}
\pagestyle{empty}
\begin{document}
\begin{center}
\input{front/front}\captionof{figure}{Training time against accuracy on Fashion-MNIST.}\par\bigskip
\captionof{table}{The members of the front.}\par\smallskip\input{front/front_table}\par\bigskip
\input{front/hypervolume}\captionof{figure}{How the hypervolume of the front grew.}
\end{center}
\end{document}
"""


def main() -> None:
    """Write all pictures."""
    PICTURES.mkdir(exist_ok=True)
    with TemporaryDirectory() as folder, chromium() as browser:
        place = Path(folder)
        record_launch(browser, place)
        _run(place, "export", "quickstart", "--out", "front")
        record_pages(browser, place)
        record_paper(place)


def record_launch(browser: Browser, place: Path) -> None:
    """Draw a launch that is halfway in a wide terminal, and how another shell watches it in a narrow one."""
    launch = [*PARETOSEARCH, "launch", "quickstart", "--trials", str(TRIALS)]
    launched = Terminal(launch, 200, 50, place, _environment())
    assert launched.until(lambda text: "on the front" in text, 600)
    watched = Terminal([*PARETOSEARCH, "status", "--watch"], 80, 50, place, _environment())  # which takes seconds
    assert launched.until(lambda text: f"{TRIALS // 2} of {TRIALS}" in text or f"{TRIALS // 2}/{TRIALS}" in text, 600)
    launched.draw(browser, PICTURES / "launch-200.png")
    assert watched.until(lambda text: "accuracy" in text, 60)
    watched.until(lambda _: False, 2)  # the rest of the screen
    watched.draw(browser, PICTURES / "status-80.png")
    watched.stop()
    launched.until(lambda _: False, 600)
    launched.draw(browser, PICTURES / "launch-end.png")
    os.waitpid(launched.pid, 0)


def record_pages(browser: Browser, place: Path) -> None:
    """Draw four pages of the dashboard."""
    best = _run(place, "front", "quickstart", "--csv").splitlines()[-1].split(",")[0]
    with serving(place, STORAGE) as served:
        _page(browser, served, "", "dashboard-charts")
        _page(browser, served, "/note", "dashboard-note")
        _page(browser, served, f"/trials?numbers={best}", "dashboard-trial")
        _page(browser, served, "", "dashboard-studies", "/dashboard")


def _page(browser: Browser, served: Dashboard, path: str, name: str, above: str = "/dashboard/studies/1") -> None:
    page = browser.new_page(viewport={"width": 1440, "height": 1000})
    page.goto(f"http://127.0.0.1:{served.port}{above}{path}")
    page.get_by_text("quickstart").first.wait_for()
    page.wait_for_timeout(8000)  # charts are drawn one by one
    page.screenshot(path=PICTURES / f"{name}.png", full_page=True)
    page.close()


def record_paper(place: Path) -> None:
    """Compile a page with the export's own LaTeX files."""
    document = place / "thesis.tex"
    document.write_text(THESIS)
    compiled(document)
    program = shutil.which("pdftoppm")
    assert program is not None
    options = ["-png", "-r", "100", "-singlefile"]
    subprocess.run([program, *options, document.with_suffix(".pdf"), PICTURES / "thesis"], check=True)


def _environment() -> dict[str, str]:
    return {**os.environ, "PARETOSEARCH_STORAGE": STORAGE}


def _run(place: Path, *arguments: str) -> str:
    command = [*PARETOSEARCH, *arguments]
    done = subprocess.run(command, cwd=place, env=_environment(), check=True, capture_output=True, text=True)
    return done.stdout


if __name__ == "__main__":
    main()
