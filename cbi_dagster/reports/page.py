"""A page of sections in one file: nothing in it is fetched, no script runs, and it reads in light and dark."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from cbi_dagster.reports.drawing import COLOURS


@dataclass(frozen=True)
class Grid:
    """A table of a section; cells are plain text."""

    head: Sequence[str]
    rows: Sequence[Sequence[str]]


@dataclass(frozen=True)
class Section:
    """A part of a page. `said`: what is to be seen, in plain text. `picture`: an SVG element, or "" with `empty`, the
    reason why there is none and what to do. `anchor`: its name in links."""

    anchor: str
    title: str
    said: str
    picture: str = ""
    empty: str = ""
    grids: Sequence[Grid] = ()


def page(title: str, facts: Sequence[tuple[str, str]], notice: str, sections: Sequence[Section], foot: str) -> str:
    """The page as HTML. `facts`: names and values for its head; all arguments but pictures are plain text."""
    tiles = "".join(f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>" for name, value in facts)
    links = " ".join(f'<a href="#{escape(part.anchor)}">{escape(part.title)}</a>' for part in sections)
    body = "\n".join(_section(part) for part in sections)
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{_css()}</style>\n</head>\n"
        f"<body>\n<header>\n<h1>{escape(title)}</h1>\n"
        f'<p class="notice">{escape(notice)}</p>\n<dl>{tiles}</dl>\n<nav>{links}</nav>\n</header>\n'
        f"<main>\n{body}\n</main>\n<footer><p>{escape(foot)}</p></footer>\n</body>\n</html>\n"
    )


def _section(part: Section) -> str:
    shown = f'<div class="picture">{part.picture}</div>' if part.picture else ""
    empty = f'<p class="empty">{escape(part.empty)}</p>' if part.empty else ""
    grids = "".join(_grid(grid) for grid in part.grids)
    return (
        f'<section id="{escape(part.anchor)}"><h2>{escape(part.title)}</h2><p>{escape(part.said)}</p>'
        f"{shown}{empty}{grids}</section>"
    )


def _grid(grid: Grid) -> str:
    head = "".join(f"<th>{escape(cell)}</th>" for cell in grid.head)
    rows = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in grid.rows)
    return f'<div class="grid"><table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>'


def _css() -> str:
    light, dark = ("".join(f"--{name}:{pair[i]};" for name, pair in COLOURS.items()) for i in (0, 1))
    return (
        f":root{{{light}color-scheme:light dark}}@media (prefers-color-scheme:dark){{:root{{{dark}}}}}"
        "*{box-sizing:border-box}body{margin:0 auto;max-width:1120px;padding:1.2rem;background:var(--paper);"
        "color:var(--ink);font:15px/1.5 system-ui,'Segoe UI','DejaVu Sans',sans-serif}"
        "h1{font-size:1.5rem;margin:.2rem 0}h2{font-size:1.15rem;margin:2rem 0 .2rem;border-top:1px solid var(--grid);"
        "padding-top:1.2rem}p{margin:.3rem 0 .6rem;max-width:62rem}section>p,footer,.notice{color:var(--muted)}"
        "dl{display:flex;flex-wrap:wrap;gap:.5rem 1.8rem;margin:1rem 0}dl div{min-width:6rem}"
        "dt{color:var(--muted);font-size:.8rem}dd{margin:0;font-weight:600}"
        "nav{display:flex;flex-wrap:wrap;gap:.2rem 1rem;font-size:.9rem}a{color:var(--blue)}"
        ".picture{overflow-x:auto}.picture svg{width:100%;min-width:720px;height:auto;display:block}"
        "svg *{stroke-linejoin:round;stroke-linecap:butt}svg image{image-rendering:pixelated}"
        ".empty{border:1px dashed var(--grid);border-radius:6px;padding:.8rem 1rem;color:var(--ink)}"
        ".grid{overflow-x:auto}table{border-collapse:collapse;font-size:.86rem;margin:.6rem 0}"
        "th,td{padding:.25rem .8rem .25rem 0;text-align:left;vertical-align:top;border-bottom:1px solid var(--grid)}"
        "th{color:var(--muted);font-weight:600}footer{margin-top:2.5rem;font-size:.85rem}"
    )
