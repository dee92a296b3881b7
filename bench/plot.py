#!/usr/bin/env python3
# Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
"""Draws what table.py has written to results.json: each plot as SVG and PNG."""

import argparse
import json
import pathlib

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402  (the backend is chosen first)
from matplotlib.ticker import FuncFormatter, MaxNLocator  # noqa: E402

OURS, THEIRS, PLAIN = "#c2410c", "#475569", "#0f766e"
OUR_LINES = ["#fb923c", "#c2410c", "#be185d", "#a16207", "#7c2d12"]
THEIR_LINES = ["#1d4ed8", "#0891b2", "#6d28d9", "#475569", "#0f766e", "#94a3b8"]
MARKERS = "osD^vP"
PLAIN_NUMBERS = FuncFormatter(lambda value, _: f"{value:,.4g}" if value < 1000 else f"{value:,.0f}")


def color(peer):
    if peer.startswith("weft") or peer.startswith("stackful") or peer == "co.await":
        return OURS
    return PLAIN if peer in ("plain coroutine", "plain co_await", "indirect call", "awaitable") else THEIRS


def select(rows, work):
    """peer -> row of a work without a number of coroutines."""
    return {name.split("/")[1]: row for name, row in rows.items() if name.split("/")[0] == work and name.count("/") == 1}


def digits(value):
    """As in the table: three digits, thousands apart."""
    return f"{value:.3g}" if value < 1000 else f"{value:,.0f}"


def bars(axes, rows, title, unit, more_is_better=False):
    """One bar for each peer, the best on top, with the quartiles as a line."""
    peers = sorted(rows, key=lambda p: rows[p]["figure"][1], reverse=not more_is_better)
    for place, peer in enumerate(peers):
        low, median, high = rows[peer]["figure"]
        axes.barh(place, median, color=color(peer), height=0.7)
        axes.plot([low, high], [place, place], color="black", linewidth=1)
        axes.annotate(digits(median), (high, place), xytext=(4, 0), textcoords="offset points", va="center", fontsize=8)
    axes.set_yticks(range(len(peers)), peers, fontsize=9)
    axes.set_title(title, fontsize=10, loc="left")
    axes.set_xlabel(unit, fontsize=8)
    axes.tick_params(axis="x", labelsize=8)
    if axes.get_xscale() == "linear":
        axes.xaxis.set_major_locator(MaxNLocator(5))
    axes.xaxis.set_major_formatter(PLAIN_NUMBERS)
    axes.spines[["top", "right"]].set_visible(False)
    axes.margins(x=0.18)


def switches(rows):
    works = ["round trip flat", "round trip below three calls", "round trip from many call sites", "ping-pong of two coroutines"]
    figure, grid = plt.subplots(2, 2, figsize=(12, 7.5), layout="constrained", sharex=True)
    for axes, work in zip(grid.flat, works):
        axes.set_xscale("log")
        bars(axes, select(rows, work), work, "ns for a resume and a suspend, logarithmic")
        axes.tick_params(labelbottom=True)
    axes.set_xlim(0.5, 3000)
    return figure


def series(rows, work):
    """peer -> [(number of coroutines, ns)]"""
    lines = {}
    for name, row in rows.items():
        if name.split("/")[0] == work:
            _, peer, count = name.split("/")
            lines.setdefault(peer, []).append((int(count), row["figure"][1]))
    return {peer: sorted(points) for peer, points in lines.items()}


def scale(rows):
    figure, (*grid, legend) = plt.subplots(1, 3, figsize=(13, 5.5), layout="constrained", sharey=True, width_ratios=[5, 5, 2])
    peers = sorted({p for work in ("round robin", "random order") for p in series(rows, work)})
    ours = [p for p in peers if p.startswith("weft")]
    theirs = [p for p in peers if p not in ours]
    style = {}
    for group, colors, more in ((ours, OUR_LINES, {"linewidth": 2}), (theirs, THEIR_LINES, {"linestyle": "--", "linewidth": 1})):
        for i, peer in enumerate(group):
            style[peer] = {"color": colors[i % len(colors)], "marker": MARKERS[i % len(MARKERS)], "markersize": 5, **more}
    for axes, work in zip(grid, ("round robin", "random order")):
        lines = series(rows, work)
        for peer in (p for p in ours + theirs if p in lines):
            axes.plot(*zip(*lines[peer]), label=peer, **style[peer])
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.set_title(f"{work}: one resume and suspend", fontsize=10, loc="left")
        axes.set_xlabel("suspended coroutines")
        axes.xaxis.set_major_formatter(PLAIN_NUMBERS)
        axes.yaxis.set_major_formatter(PLAIN_NUMBERS)
        axes.grid(alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
    grid[0].set_ylabel("ns")
    handles = {label: handle for axes in grid for handle, label in zip(*axes.get_legend_handles_labels())}
    legend.legend(handles.values(), handles.keys(), loc="center left", fontsize=9, frameon=False)
    legend.axis("off")
    return figure


def bridge(rows):
    works = ["generator element", "create run destroy pooled", "await a task that completes at once",
             "await a body that awaits nothing", "await what completes later"]
    figure, grid = plt.subplots(2, 3, figsize=(15, 6.5), layout="constrained")
    for axes, work in zip(grid.flat, works):
        if work == "create run destroy pooled":
            axes.set_xscale("log")
        bars(axes, select(rows, work), work, "ns")
    echo = {peer: {"figure": row["figure"]} for peer, row in select(rows, "asio echo 1000 connections").items()}
    bars(grid.flat[-1], echo, "Asio echo, 1,000 connections", "requests per second", more_is_better=True)
    return figure


def memory(rows):
    figure, axes = plt.subplots(figsize=(9, 4.5), layout="constrained")
    largest = {}
    for name, row in rows.items():
        work, peer, *count = name.split("/")
        if work.startswith("memory"):
            made = row["counters"]["made"][1]
            key = f"{peer}{', guarded' if work.endswith('guarded') else ''} ({made:,.0f})"
            best = largest.get((work, peer))
            if best is None or int(count[0]) > best[0]:
                largest[work, peer] = (int(count[0]), key, {"figure": [f / 1024 for f in row["figure"]]})
    bars(axes, {key: row for _, key, row in largest.values()}, "what a suspended coroutine occupies (how many were had)", "KiB, with page tables")
    return figure


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("results", type=pathlib.Path)
    parser.add_argument("folder", type=pathlib.Path, help="where the plots go")
    options = parser.parse_args()

    results = json.loads(options.results.read_text())
    compiler = next(iter(results["compilers"].values()))
    plt.rcParams.update({"svg.hashsalt": "weft", "font.family": "DejaVu Sans"})
    for name, draw, needs in [("switches", switches, "round trip"), ("scale", scale, "round robin"),
                              ("bridge", bridge, "await"), ("memory", memory, "memory")]:
        if not any(row.startswith(needs) for row in compiler["rows"]):
            continue
        figure = draw(compiler["rows"])
        figure.suptitle(f"{results['machine']}, {compiler['name']}, {results['date'][:10]}", fontsize=8, x=0.99, ha="right")
        for suffix in ("svg", "png"):
            figure.savefig(options.folder / f"{name}.{suffix}", dpi=110, metadata={"Date": None} if suffix == "svg" else None)
        plt.close(figure)


if __name__ == "__main__":
    main()
