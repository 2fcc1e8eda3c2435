"""Charts as inline SVG by pygal: no script, no style of their own; colours come from the page's style sheet.

pygal, because it is pure Python, draws in milliseconds, and leaves all looks to CSS classes; so the same SVG is
right in light, dark and print. Its search for a scale does not end for some ranges (two neighbouring numbers). So it
never sees a figure: here every value becomes a place between 0 and 1 on its axis, of at most 1,000 places a series, and
the marks of each axis are made here too.
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

from switchover.page.words import number
from switchover.text import shown

WIDTH, WIDE = 520, 1060  # so that text is as large as it is drawn, in half a row and in a whole one
MOST = 1000  # points of one series that are drawn
FLAT = 1e-6  # what differs by less, as a share of the figures, is drawn as one value
LEAST, LARGEST = 1e-9, 1e300  # nearer to 0 is 0; beyond is the end of what can be drawn
PLACES = 4  # decimals of a place on an axis
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


@dataclass(frozen=True, kw_only=True)
class Scale:
    """From figures to places: ``low`` is at 0, ``high`` at 1. Any two finite numbers make one."""

    low: float
    high: float

    @classmethod
    def over(cls, values: Sequence[float], low: float | None = None, high: float | None = None) -> Scale:
        """From the smallest to the largest of the finite values, or from and to what is given."""
        ends = [_finite(end) for end in (low, high)]
        bottom = ends[0] if ends[0] is not None else min(values, default=0.0)
        top = ends[1] if ends[1] is not None else max(values, default=1.0)
        bottom, top = min(bottom, top), max(bottom, top)
        if top - bottom < max(LEAST, FLAT * max(abs(bottom), abs(top))):
            middle = bottom / 2 + top / 2
            half = max(0.5, abs(middle) / 2)
            bottom, top = middle - half, middle + half
        return cls(low=bottom, high=top)

    def place(self, value: float | None) -> float | None:
        """Where a figure is drawn; ``None`` for what is no finite number."""
        known = _finite(value)
        if known is None:
            return None
        return round(min(1.0, max(0.0, (known - self.low) / (self.high - self.low))), PLACES)

    def ticks(self) -> list[tuple[float, str]]:
        """At most six round figures, as numbers and as they are told."""
        span = self.high - self.low
        power = 10.0 ** math.floor(math.log10(span / 4))
        step = next(power * each for each in (1, 2, 5, 10, 20) if span / (power * each) <= 5)
        first = math.ceil(self.low / step)
        found = [(first + number) * step for number in range(7)]
        return [(value, number(float(f"{value:.6g}"))) for value in found if self.low <= value <= self.high]


def chart(
    title: str, told: str, series: Sequence[Series], *, x: Axis, y: Axis, height: int = 240, width: int = WIDTH
) -> Markup:
    """One chart. ``told`` says what there is to see, for those who cannot. Nothing without a finite point."""
    thinned = [[each.points[i] for i in _thinned(each.points)] for each in series]
    across = [value for points in thinned for point in points if (value := _finite(point[0])) is not None]
    values = [value for points in thinned for point in points if (value := _finite(point[1])) is not None]
    if not values or not across:
        return Markup("")
    wide, high = Scale.over(across, x.low, x.high), Scale.over(values, y.low, y.high)
    drawn = _plot(pygal.XY, title, told, [each.kind for each in series], height=height, width=width)
    drawn.config.allow_interruptions = True
    drawn.config.x_title, drawn.config.y_title = shown(x.title), shown(y.title)
    drawn.config.xrange = drawn.config.range = (0, 1)
    drawn.x_labels, drawn.y_labels = _labels(x, wide), _labels(y, high)
    for each, points in zip(series, thinned, strict=True):
        labels = [each.labels[i] for i in _thinned(each.points)] if each.labels else [""] * len(points)
        drawn.add(
            each.kind,
            [_dot((wide.place(x), high.place(y)), label) for (x, y), label in zip(points, labels, strict=True)],
            stroke=each.line or each.area,
            show_dots=each.dots,
            fill=each.area,
        )
    return _svg(drawn)


def stacked(title: str, told: str, rows: Sequence[str], parts: Sequence[tuple[str, Sequence[float]]]) -> Markup:
    """Rows of shares that add up, one bar a row; ``parts`` are (kind, value of each row). Nothing without a share."""
    known = [(kind, [max(0.0, _finite(value) or 0.0) for value in values]) for kind, values in parts]
    longest = max((sum(values) for values in zip(*(of for _, of in known), strict=True)), default=0.0)
    if not longest:
        return Markup("")
    scale = Scale.over([], 0.0, longest)
    drawn = _plot(pygal.HorizontalStackedBar, title, told, [kind for kind, _ in parts], height=46 * len(rows) + 34)
    drawn.config.range = (0, 1)
    drawn.x_labels = [shown(row) for row in rows]
    drawn.y_labels = [{"value": scale.place(value), "label": text} for value, text in scale.ticks()]
    for kind, values in known:
        labels = [f"{row}: {value:g} {kind}" for row, value in zip(rows, values, strict=True)]
        drawn.add(kind, [_dot(scale.place(v), label) for v, label in zip(values, labels, strict=True)])
    return _svg(drawn)


def sparkline(values: Sequence[float | None], kind: str = "") -> Markup:
    """A trend without axes, as high as a line of text."""
    shown_values = [values[i] for i in _thinned([(0.0, value) for value in values])]
    known = [value for each in shown_values if (value := _finite(each)) is not None]
    if len(known) < 2:
        return Markup("")
    scale = Scale.over(known)
    drawn = _plot(pygal.Line, "", "", [f"trend {kind}".strip()], height=24, width=96)
    drawn.config.range = (0, 1)
    drawn.config.show_x_labels = drawn.config.show_y_labels = drawn.config.show_y_guides = False
    drawn.config.show_dots = False
    drawn.config.spacing, drawn.config.margin = 0, 2
    drawn.add("trend", [scale.place(value) for value in shown_values])
    return _svg(drawn)


def _finite(value: float | None) -> float | None:
    """A number that can be drawn; ``None`` for NaN, an infinity and nothing."""
    if value is None or not math.isfinite(value):
        return None
    return 0.0 if abs(value) < LEAST else min(LARGEST, max(-LARGEST, float(value)))


def _labels(axis: Axis, scale: Scale) -> list[dict[str, Any]]:
    marks = [mark for mark in axis.ticks if _finite(mark[0]) is not None] or scale.ticks()
    return [{"value": scale.place(value), "label": shown(text)} for value, text in marks]


def _dot(place: Point | float | None, label: str) -> dict[str, Any]:
    return {"value": place, "label": shown(label)}


def _thinned(points: Sequence[Point]) -> list[int]:
    """Which points are drawn: all, or the lowest, the highest and a break of each stretch."""
    if len(points) <= MOST:
        return list(range(len(points)))
    kept = {0, len(points) - 1}
    length = -(-len(points) // (MOST // 4))
    for start in range(0, len(points), length):
        stretch = range(start, min(start + length, len(points)))
        there = [(value, i) for i in stretch if (value := points[i][1]) is not None and math.isfinite(value)]
        kept |= {min(there)[1], max(there)[1]} if there else set()
        known = {i for _, i in there}
        kept |= {next(i for i in stretch if i not in known)} if len(there) < len(stretch) else set()
    return sorted(kept)


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
    )
    drawn.add_xml_filter(lambda root: _bare(root, shown(title), shown(told), kinds))
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
