"""Figures of several policies side by side, as a picture: groups of bars, drawn with Pillow."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from tasks_app.simulation.figures import Figures

WIDTH, BAR, GAP, MARGIN, LABELS = 900, 18, 22, 24, 170  # pixels
COLOURS = ["#2563eb", "#9ca3af", "#f59e0b", "#10b981"]  # ours first
INK, PAPER, QUIET = "#111827", "#ffffff", "#6b7280"
FONT, TITLE = ImageFont.load_default(13), ImageFont.load_default(18)

Group = tuple[str, dict[str, float], str]  # (what is measured, value by policy, format)


def draw(path: Path, title: str, results: Mapping[str, Figures]) -> None:
    """Writes a PNG. Raises ValueError for another ending, OSError where it cannot be written."""
    if path.suffix.lower() != ".png":
        raise ValueError(f"{path}: the picture is a PNG")
    groups = _groups(results)
    height = 2 * MARGIN + 40 + sum(GAP + 24 + BAR * len(values) for _, values, _ in groups)
    image = Image.new("RGB", (WIDTH, height), PAPER)
    pen = ImageDraw.Draw(image)
    pen.text((MARGIN, MARGIN), title, fill=INK, font=TITLE)
    top = MARGIN + 40
    for label, values, style in groups:
        pen.text((MARGIN, top), label, fill=QUIET, font=FONT)
        top = _bars(pen, top + 24, values, style) + GAP
    image.save(path)


def _groups(results: Mapping[str, Figures]) -> list[Group]:
    groups: list[Group] = [
        ("wait, p50, seconds", {name: of.overall.p50 for name, of in results.items()}, ",.1f"),
        ("wait, p99, seconds", {name: of.overall.p99 for name, of in results.items()}, ",.1f"),
        ("model swaps", {name: float(of.swaps) for name, of in results.items()}, ",.0f"),
        ("share of slots in inference", {name: of.utilization for name, of in results.items()}, ".1%"),
    ]
    shares = {name: of.jain for name, of in results.items() if of.jain is not None}
    if shares:
        groups.append(("Jain's fairness index while all tenants wait", shares, ".3f"))
    for tenant in next(iter(results.values())).by_tenant:
        waits = {name: of.by_tenant[tenant].p99 for name, of in results.items()}
        groups.append((f"wait of {tenant}, p99, seconds", waits, ",.1f"))
    return groups


def _bars(pen: ImageDraw.ImageDraw, top: int, values: dict[str, float], style: str) -> int:
    """Returns where they end."""
    longest = max(values.values()) or 1.0
    room = WIDTH - 2 * MARGIN - LABELS - 90
    for number, (name, value) in enumerate(values.items()):
        left, y = MARGIN + LABELS, top + number * BAR
        pen.text((MARGIN + 8, y), name, fill=INK, font=FONT)
        length = round(room * value / longest)
        pen.rectangle((left, y + 2, left + max(1, length), y + BAR - 4), fill=COLOURS[number % len(COLOURS)])
        pen.text((left + length + 8, y), f"{value:{style}}", fill=INK, font=FONT)
    return top + BAR * len(values)
