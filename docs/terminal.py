"""Draws what a command shows in a terminal of a certain size."""

from __future__ import annotations

import fcntl
import html
import os
import pty
import select
import signal
import struct
import termios
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pyte
from playwright.sync_api import Browser

_COLOURS = {"red": "#e06c6c", "green": "#7cc77c", "brown": "#d0b060", "blue": "#6a94e0", "cyan": "#55c5d5"}
_PAGE = """<style>body {{ margin: 0; background: #1a1b1e; width: max-content }}
pre {{ margin: 12px; color: #d8d8d8; font: 14px/19px "DejaVu Sans Mono", monospace }}</style><pre>{lines}</pre>"""


class Terminal:
    """A command in a terminal of its own.

    Args:
        command: What runs.
        columns: Width.
        lines: Height.
        cwd: Where it runs.
        env: Its environment.
    """

    def __init__(self, command: Sequence[str], columns: int, lines: int, cwd: Path, env: Mapping[str, str]) -> None:
        self._screen = pyte.Screen(columns, lines)
        self._stream = pyte.ByteStream(self._screen)
        self.pid, self._end = pty.fork()
        if self.pid == 0:
            os.chdir(cwd)
            signal.signal(signal.SIGINT, signal.SIG_DFL)  # which a shell turns off in what runs behind it
            size = {"TERM": "xterm-256color", "COLUMNS": str(columns), "LINES": str(lines)}
            os.execvpe(command[0], command, {**env, **size})  # noqa: S606  # no shell is wanted
        fcntl.ioctl(self._end, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))

    @property
    def text(self) -> str:
        """What is on the screen."""
        return "\n".join(self._screen.display)

    def until(self, seen: Callable[[str], bool], seconds: float) -> bool:
        """Read on until the screen shows something; gives whether it came in time, and before the command ended."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if select.select([self._end], [], [], 0.1)[0]:
                try:
                    self._stream.feed(os.read(self._end, 65_536))
                except OSError:  # the command has ended
                    return seen(self.text)
            if seen(self.text):
                return True
        return False

    def draw(self, browser: Browser, target: Path) -> None:
        """Write the screen as a PNG file, without the empty lines below."""
        last = max((n for n, line in enumerate(self._screen.display) if line.strip()), default=0)
        lines = "\n".join(self._line(number) for number in range(last + 1))
        page = browser.new_page(viewport={"width": 200, "height": 100}, device_scale_factor=1.5)
        page.set_content(_PAGE.format(lines=lines))
        page.locator("body").screenshot(path=target)
        page.close()

    def stop(self) -> None:
        """End the command as Ctrl-C does."""
        os.kill(self.pid, signal.SIGINT)
        self.until(lambda _: False, 10.0)
        os.waitpid(self.pid, 0)

    def _line(self, number: int) -> str:
        cells = (self._screen.buffer[number][column] for column in range(self._screen.columns))
        return "".join(_cell(cell) for cell in cells).rstrip()


def _cell(cell: pyte.screens.Char) -> str:
    colour = _COLOURS.get(cell.fg) or (f"#{cell.fg}" if len(cell.fg) == 6 and cell.fg.isalnum() else "")
    style = f"color: {colour};" * bool(colour) + "font-weight: bold;" * cell.bold
    text = html.escape(cell.data)
    return f'<span style="{style}">{text}</span>' if style and text.strip() else text
