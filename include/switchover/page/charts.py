"""Charts as inline SVG by pygal: no script, no style of their own; colours come from the page's style sheet.

pygal, because it is pure Python, draws in milliseconds, and leaves all looks to CSS classes; so the same SVG is
right in light, dark and print.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import pygal
from markupsafe import Markup
from pygal.etree import etree
from pygal.style import Style

WIDTH, WIDE = 520, 1060  # so that text is as large as it is drawn, in half a row and in a whole one
DECIMALS = 3
Point = tuple[float | None, float | None]


@dataclass(frozen=True, kw_only=True)
class Series:
    """Points of one kind. ``kind`` is a CSS class; labels are read out and shown on hover. A ``None`` breaks the line.

    ``line``: joined by a line. ``dots``: marked. ``area``: the outline of a filled area.
    """

    kind: str
    points: Sequence[Point]
    labels: Sequence[str] = ()
    line: bool = True
    dots: bool = False
    area: bool = False


@dataclass(frozen=True, kw_only=True)
class Axis:
    """What an axis says, where it runs, and where it is marked."""

    title: str
    low: float | None = None
    high: float | None = None
    ticks: Sequence[tuple[float, str]] = ()


def chart(
    title: str, told: str, series: Sequence[Series], *, x: Axis, y: Axis, height: int = 240, width: int = WIDTH
) -> Markup:
    """One chart. ``told`` says what there is to see, for those who cannot."""
    drawn = _plot(pygal.XY, title, told, [each.kind for each in series], height=height, width=width)
    drawn.config.allow_interruptions = True
    drawn.config.x_title, drawn.config.y_title = x.title, y.title
    values = [value for each in series for _, value in each.points if value is not None]
    across = [value for each in series for value, _ in each.points if value is not None]
    if x.low is not None and x.high is not None:
        drawn.config.xrange = (x.low, x.high)
    if y.low is not None and y.high is not None:
        drawn.config.range = (y.low, y.high)
    if x.ticks:
        drawn.x_labels = [{"value": value, "label": text} for value, text in x.ticks]
    drawn.config.show_y_labels = y.ticks is not None
    if y.ticks:
        drawn.y_labels = [{"value": value, "label": text} for value, text in y.ticks]
    if not values or not across:
        return Markup("")
    for each in series:
        labels = each.labels or [""] * len(each.points)
        points = [{"value": point, "label": text} for point, text in zip(each.points, labels, strict=True)]
        drawn.add(each.kind, points, stroke=each.line or each.area, show_dots=each.dots, fill=each.area)
    return _svg(drawn)


def stacked(title: str, told: str, rows: Sequence[str], parts: Sequence[tuple[str, Sequence[float]]]) -> Markup:
    """Rows of shares that add up, one bar a row; ``parts`` are (kind, value of each row)."""
    drawn = _plot(pygal.HorizontalStackedBar, title, told, [kind for kind, _ in parts], height=46 * len(rows) + 34)
    drawn.x_labels = list(rows)
    for kind, values in parts:
        labels = [f"{row}: {value:g} {kind}" for row, value in zip(rows, values, strict=True)]
        drawn.add(kind, [{"value": v, "label": label} for v, label in zip(values, labels, strict=True)])
    return _svg(drawn)


def sparkline(values: Sequence[float | None], kind: str = "") -> Markup:
    """A trend without axes, as high as a line of text."""
    known = [value for value in values if value is not None and math.isfinite(value)]
    if len(known) < 2:
        return Markup("")
    drawn = _plot(pygal.Line, "", "", [f"trend {kind}".strip()], height=24, width=96)
    drawn.config.show_x_labels = drawn.config.show_y_labels = drawn.config.show_y_guides = False
    drawn.config.show_dots = False
    drawn.config.spacing, drawn.config.margin = 0, 2
    drawn.add("trend", list(values))
    return _svg(drawn)


def _plot(
    kind: Callable[..., Any], title: str, told: str, kinds: Sequence[str], *, height: int, width: int = WIDTH
) -> Any:
    drawn = kind(
        css=[],
        js=[],
        style=Style(label_font_size=12, major_label_font_size=12, title_font_size=12),
        show_legend=False,
        width=width,
        height=height,
        margin=6,
        spacing=8,
        disable_xml_declaration=True,
        no_prefix=True,
        dots_size=3.5,
        max_scale=6,
        min_scale=3,
        value_formatter=lambda value: f"{value:.{DECIMALS}g}".replace("-", "−"),
    )
    drawn.add_xml_filter(lambda root: _bare(root, title, told, kinds))
    return drawn


def _svg(drawn: Any) -> Markup:
    return Markup(drawn.render(is_unicode=True))  # noqa: S704  (an element tree wrote it: every text is escaped)


def _bare(root: Any, title: str, told: str, kinds: Sequence[str]) -> Any:
    """The drawing alone: no style, no script, no comments; named for readers, classes for the style sheet."""
    for child in list(root):
        if callable(child.tag) or child.tag in ("defs", "title"):
            root.remove(child)
    root.attrib.pop("id", None)
    if title:
        root.set("role", "img")
        root.set("aria-label", f"{title}. {told}".strip())
    else:
        root.set("aria-hidden", "true")
    for group in [*root.iter("g")]:
        names = (group.get("class") or "").split()
        for child in list(group):
            if {"text-overlay", "tooltip-overlay"} & set((child.get("class") or "").split()):
                group.remove(child)
        number = next((int(name[6:]) for name in names if name.startswith("serie-")), None)
        if number is not None and number < len(kinds):
            group.set("class", " ".join([*names, *kinds[number].split()]))
        if "dots" in names or "bar" in names:
            _label(group)
    return root


def _label(dot: Any) -> None:
    """Pygal's tooltip data become one title, which browsers show."""
    told = [child for child in dot if child.tag == "desc"]
    label = next((child.text for child in told if child.get("class") == "label"), None)
    for child in told:
        dot.remove(child)
    if label:
        title = etree.SubElement(dot, "title")
        title.text = label
