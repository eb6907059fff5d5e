"""The canvas of every picture: colours, and figures as SVG for a page or PNG for the Dagster UI.

matplotlib takes longer to import than a day takes to build: import this module where a picture is made, not before.
"""

from __future__ import annotations

import base64
import functools
import io
import re
from collections.abc import Callable, Sequence
from typing import Any, Literal, ParamSpec

import numpy as np
import numpy.typing as npt
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

Floats = npt.NDArray[np.float64]
_Told = ParamSpec("_Told")

INK, MUTED, GRID, PAPER = "#1f2430", "#6b7280", "#d8dce3", "#fdfdfe"
BLUE, ORANGE, GREEN, RED, VIOLET = "#2f6fb6", "#c8641e", "#2e8b57", "#c0392f", "#7c55b5"
#: The colours by the name that a page knows them by, with what they are where the page is dark.
COLOURS = {
    "ink": (INK, "#e6e8ee"),
    "muted": (MUTED, "#9aa3b2"),
    "grid": (GRID, "#383f4d"),
    "paper": (PAPER, "#161a21"),
    "blue": (BLUE, "#6ea8e6"),
    "orange": (ORANGE, "#f09a55"),
    "green": (GREEN, "#5fc58b"),
    "red": (RED, "#ef7a70"),
    "violet": (VIOLET, "#b597ea"),
}

_STYLE: dict[Any, Any] = {
    "axes.edgecolor": GRID, "axes.labelcolor": MUTED, "axes.titlecolor": INK, "axes.titlesize": 9.5,
    "axes.titleweight": "bold", "axes.titlelocation": "left", "axes.spines.top": False, "axes.spines.right": False,
    "axes.grid": True, "axes.axisbelow": True, "axes.labelsize": 8.5, "axes.unicode_minus": True,
    "grid.color": GRID, "grid.linewidth": 0.6, "text.color": INK, "xtick.color": MUTED, "ytick.color": MUTED,
    "xtick.labelsize": 8, "ytick.labelsize": 8, "xtick.major.size": 0, "ytick.major.size": 0, "font.size": 8.5,
    "legend.frameon": False, "legend.fontsize": 8, "figure.facecolor": "none", "axes.facecolor": "none",
    "savefig.facecolor": "none", "svg.fonttype": "none", "svg.hashsalt": "cbi", "path.simplify_threshold": 0.3,
    # What is written comes from files: a dollar sign is one.
    "text.parse_math": False,
}  # fmt: skip


def picture(draw: Callable[_Told, Figure]) -> Callable[_Told, Figure]:
    """A function that draws, in the style of all pictures."""

    @functools.wraps(draw)
    def drawn(*arguments: _Told.args, **named: _Told.kwargs) -> Figure:
        with rc_context(_STYLE):
            return draw(*arguments, **named)

    return drawn


def canvas(
    width: float, height: float, rows: int = 1, columns: int = 1, *, heights: Sequence[float] | None = None,
    share_x: bool = False, share_y: bool | Literal["row"] = False,
) -> tuple[Figure, npt.NDArray[np.object_]]:  # fmt: skip
    """A figure of so many inches, with its axes by row and column; for functions that are a `picture`."""
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(
        rows, columns, squeeze=False, sharex=share_x, sharey=share_y, height_ratios=heights or [1] * rows
    )
    return figure, axes


def svg(figure: Figure) -> str:
    """The figure as an element of a page: its colours are the page's variables, nothing in it is fetched."""
    target = io.StringIO()
    with rc_context(_STYLE):
        figure.savefig(target, format="svg", dpi=150)
    text = target.getvalue()
    text = text[text.index("<svg") :]
    # What only a file of its own needs: where its words are defined, who made it, its size, names of its groups.
    text = re.sub(r"<metadata>.*?</metadata>|<style.*?</style>", "", text, flags=re.DOTALL)
    text = re.sub(r"<svg [^>]*?(viewBox=\"[^\"]*\")[^>]*>", r"<svg \1>", text, count=1)
    text = re.sub(r'<g id="[^"]*"', "<g", text)
    text = re.sub(r"font-family: [^;\"]*; ?", "", text).replace("xlink:href", "href")
    for name, (light, _) in COLOURS.items():
        text = text.replace(light, f"var(--{name})")
    return re.sub(r"\n\s*", "\n", text)


def png(figure: Figure) -> str:
    """The figure as Markdown that shows it: on paper of its own, which reads on a dark page too."""
    target = io.BytesIO()
    with rc_context(_STYLE):
        figure.savefig(target, format="png", dpi=80, facecolor=PAPER)
    return f"![picture](data:image/png;base64,{base64.b64encode(target.getvalue()).decode()})"


def tint(colour: str, shares: Floats) -> Floats:
    """Pixels of a colour, as opaque as the share (0 to 1; NaN: nothing is seen)."""
    pixels = np.empty((*shares.shape, 4))
    pixels[..., :3] = to_rgb(colour)
    pixels[..., 3] = np.nan_to_num(shares)
    return pixels


def dated(axes: Axes, dates: npt.NDArray[np.datetime64], ticks: int = 8) -> None:
    """Label positions 0, 1, … of the x-axis with these dates."""
    at = np.unique(np.linspace(0, len(dates) - 1, min(ticks, len(dates))).round().astype(int))
    axes.set_xticks(at, [str(dates[i].astype("datetime64[D]")) for i in at])


def apart(values: Sequence[float], gap: float) -> list[float]:
    """Places for labels near ascending `values`, at least `gap` apart."""
    groups: list[tuple[float, int]] = []  # the middle of neighbours that push each other, and how many they are
    for value in values:
        groups.append((value, 1))
        while len(groups) > 1:
            (low, n), (high, m) = groups[-2:]
            if high - low >= gap * (n + m) / 2:
                break
            groups[-2:] = [((low * n + high * m) / (n + m), n + m)]
    return [middle + gap * (i - (count - 1) / 2) for middle, count in groups for i in range(count)]
