"""What every LaTeX file of an export shares: safe text, and a frame in which it compiles alone or in a thesis."""

from __future__ import annotations

import re

from paretosearch.report.look import Look

#: The file that a thesis reads once, before ``\begin{document}``.
PREAMBLE = "preamble.tex"

#: What is not itself in LaTeX, or not in every language: a quotation mark is a command of babel's German.
_SAID = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "#": r"\#",
    "%": r"\%",
    "_": r"\_",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"{\char34}",
    "`": r"{\char96}",
    "'": r"{\char39}",
    ",": "{,}",  # between numbers of a list a comma would end one, and after a digit it would make room
    "\n": r"\\",
    "\xa0": "~",
    "\xad": "",  # a place to break a word at
    "−": "$-$",
    "±": r"$\pm$",
    "†": r"\dag{}",
    "×": r"$\times$",
    "µ": r"$\mu$",
    "⁹": "$^9$",
    "–": r"\textendash{}",
    "—": r"\textemdash{}",
    "…": r"\dots{}",
    "←": r"$\leftarrow$",
    "→": r"$\rightarrow$",
}
#: What pdfLaTeX's usual fonts have of Unicode: Latin-1's letters, and most of those of Europe's other languages.
_LETTERS = re.compile("[ -~¡-ĥĨ-ķĹ-ľŁ-ňŊ-ťŨ-žȘ-ț]")
#: Two hyphens in a row, which would become a dash.
_HYPHENS = re.compile("-(?=-)")


def escaped(text: str) -> str:
    """Make a text safe for LaTeX: every character stands for itself, and what fonts lack is a question mark.

    Args:
        text: Any text; its line ends become line breaks.

    Returns:
        LaTeX, for paragraphs, tables and lists of pgfplots.
    """
    said = "".join(_SAID.get(c) or ("" if c == "\xad" else c if _LETTERS.fullmatch(c) else "?") for c in text)
    return _HYPHENS.sub("-{}", said)


def commented(text: str) -> str:
    """Make a text safe for a comment: of one line, whatever its characters."""
    return "".join(c if c.isprintable() else " " for c in text)


_ALONE = r"""\ifcsname paretosearchwidth\endcsname\else % this file alone
\documentclass[10pt]{article}
\usepackage[T1]{fontenc}
\usepackage{lmodern}
<LANGUAGE>\setlength{\textwidth}{<WIDTH>}
\input{preamble}
<FONTS>\begin{document}\paretosearchpage
\fi
"""
_END = "\\ifdefined\\paretosearchdone\\expandafter\\paretosearchdone\\fi\n"


def framed(body: str, name: str, look: Look) -> str:
    r"""Put a picture or a table into a file that compiles alone, and inside a thesis by ``\input``.

    Args:
        body: The LaTeX.
        name: Name of the file, without its suffix.
        look: Whose language and width to use.

    Returns:
        The file's text.
    """
    language = "\\usepackage[ngerman]{babel}\n" if look.lang == "de" else ""
    fonts = "\\renewcommand{\\familydefault}{\\sfdefault}\n" if look.style == "slides" else ""
    head = _ALONE.replace("<LANGUAGE>", language).replace("<WIDTH>", f"{25.4 * look.width:.1f}mm")
    alone = f"pdflatex -jobname {name}-latex {name}"  # or it would replace the PDF that lies there already
    how = f"% Compiles alone ({alone}), and in a thesis that reads {PREAMBLE} by \\input{{FOLDER/{name}}}.\n"
    return how + head.replace("<FONTS>", fonts) + body.strip() + "%\n" + _END


#: Share of the width for which a figure is laid out, below which letters of that size would collide.
_NARROW = 0.9

_PREAMBLE = r"""% What figures and tables of this folder need. Before \begin{document}, once: \input{FOLDER/preamble}
\usepackage{pgfplots}
\usepackage{booktabs}
\usepackage{graphicx}
\pgfplotsset{compat=1.16}
\usetikzlibrary{plotmarks}

% How wide the figures are, if not as the text: \setlength{\paretosearchwidth}{0.8\textwidth}
\newlength{\paretosearchwidth}
% How large their letters are, if not as fits that width: \newcommand{\paretosearchfont}{\small}
\AtBeginDocument{%
  \ifdim\paretosearchwidth=0pt \setlength{\paretosearchwidth}{\textwidth}\fi
  \ifdim\paretosearchwidth<<NARROW> \providecommand{\paretosearchfont}{\scriptsize}\fi
  \providecommand{\paretosearchfont}{<FONT>}}

\pgfplotsset{paretosearch/.style={
    scale only axis, axis lines*=left, axis on top=false, clip mode=individual, unbounded coords=discard,
    log basis x=10, log basis y=10,
    grid=major, grid style={line width=0.4pt, black!11}, axis line style={line width=0.6pt, black!85},
    tick align=outside, tick style={line width=0.6pt, black!85}, minor tick style={line width=0.4pt},
    max space between ticks=1000, xlabel near ticks, ylabel near ticks,
    label style={font=\paretosearchfont, align=center}, tick label style={font=\paretosearchfont, align=center},
    legend columns=-1, legend cell align=left,
    legend style={draw=none, fill=none, inner sep=0pt, font=\paretosearchfont,
      /tikz/every even column/.append style={column sep=0.8em}},
  }}
\tikzset{
  paretosearch label/.style={font=\paretosearchfont, inner sep=1pt, outer sep=0pt},
  paretosearch line/.style={line width=0.4pt, black!85, shorten >=3pt},
}
<MARKS>
% A table that would be wider than the text becomes as wide as it.
\newsavebox{\paretosearchtable}
\newcommand{\paretosearchfit}{%
  \ifdim\wd\paretosearchtable>\textwidth \resizebox{\textwidth}{!}{\usebox{\paretosearchtable}}%
  \else\usebox{\paretosearchtable}\fi}

% A page as large as what is on it, where a file of this folder is compiled alone.
\newsavebox{\paretosearchbox}
\newcommand{\paretosearchpage}{\let\paretosearchdone\paretosearchship\begin{lrbox}{\paretosearchbox}}
\newcommand{\paretosearchship}{\end{lrbox}%
  \ifdefined\pdfpagewidth\else\let\pdfpagewidth\pagewidth\let\pdfpageheight\pageheight\fi
  \pdfpagewidth=\dimexpr\wd\paretosearchbox+4mm\relax
  \pdfpageheight=\dimexpr\ht\paretosearchbox+\dp\paretosearchbox+4mm\relax
  \hoffset=\dimexpr2mm-1in\relax \voffset=\dimexpr2mm-1in\relax
  \shipout\box\paretosearchbox \end{document}}
"""


def preamble(marks: str, look: Look) -> str:
    r"""Give the file that a thesis reads before ``\begin{document}``.

    Args:
        marks: Declarations of plot marks.
        look: What the figures are made for.

    Returns:
        The file's text.
    """
    font = "\\small" if look.style == "slides" else "\\footnotesize"
    narrow = f"{25.4 * _NARROW * look.width:.0f}mm"
    return _PREAMBLE.replace("<FONT>", font).replace("<NARROW>", narrow).replace("<MARKS>", marks)
