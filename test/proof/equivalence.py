# Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
"""weft's switch and Boost.Context's, run from the same symbols: which registers differ afterwards, for some values.

The differences are a table in lib/switch/README.md; this proves that they are all."""

import dataclasses
import pathlib
import re

from engine import Engine, Facts, number, possible
from image import BASE
from objects_proven import ROOT, Variant, assemble, link, run
from switch import BOOST, Switch

ARCHIVES = {
    "aarch64": "build/aarch64-packages/root/usr/lib/aarch64-linux-gnu/libboost_context.a",
    "x86_64": None,
}  # the compiler knows where
FRAMES = {"aarch64": 0xB0, "x86_64": 0x40}
TABLE = re.compile(
    r"<!-- differences from Boost.Context, kept by test/run proof -->\n(.*?)<!-- end of differences -->\n", re.S
)
SCENARIOS = [
    "what `make` returns to",
    "a context to which `jump` returns",
    "the function of `ontop`",
    "the entry of a new context, by `jump`",
    "the entry of a new context, by `ontop`",
    "an entry that returns",
]


def boost(architecture, folder):
    archive = ARCHIVES[architecture]
    archive = ROOT / archive if archive else pathlib.Path(run(["g++", "-print-file-name=libboost_context.a"]).strip())
    folder = pathlib.Path(folder) / architecture / "boost"
    folder.mkdir(parents=True, exist_ok=True)
    for member in run(["ar", "t", archive]).split():
        if re.match(r"(make|jump|ontop)_", member):
            (folder / member).unlink(missing_ok=True)
    run(["ar", "x", "--output", folder, archive])
    objects = sorted(f for f in folder.glob("*.o") if re.match(r"(make|jump|ontop)_", f.name))
    return link(architecture, objects, folder / "switch", BASE + 0x100000)


class Comparison:
    def __init__(self, architecture, folder, facts):
        plain = Variant(
            architecture,
            "plain",
            ("-mbranch-protection=none",) if architecture == "aarch64" else ("-fcf-protection=none",),
            {},
        )
        self.facts = facts
        self.ours = Switch(assemble(plain, folder), facts, plain.implementation())
        self.theirs = Switch(boost(architecture, folder), facts, dataclasses.replace(BOOST, frame=FRAMES[architecture]))
        self.architecture = self.ours.architecture

    def ends(self, switch, scenario):
        names = switch.names
        match SCENARIOS.index(scenario):
            case 0:
                return [end for end, _, _, _ in switch.made(claims=False)]
            case 1:
                return [end for left in switch.leave(names.jump) for end, _ in switch.arrive(names.jump, left)]
            case 2:
                return [end for left in switch.leave(names.jump) for end, _ in switch.arrive(names.ontop, left)]
            case 3:
                return [end for end, _ in switch.first_entry(names.jump, claims=False)]
            case 4:
                return [end for end, _ in switch.first_entry(names.ontop, claims=False)]
            case 5:
                return [self.after_the_entry(switch, end) for end, _ in switch.first_entry(names.jump, claims=False)][
                    :1
                ]

    @staticmethod
    def after_the_entry(switch, end):
        after = switch.call_returns(end, "the entry")
        back = number(switch.return_address_of(end))
        return Engine(switch.image, switch.facts).run(after, back)[0]

    def values(self, switch, state):
        """Everything that code which goes on there could look at."""
        values = {re.sub("^q", "v", r): state.get(r) for r in self.architecture.registers if not r.startswith("cc_")}
        values["where it goes"] = state.exit.target
        if not self.architecture.link:
            values["return address"] = switch.return_address_of(state)
        return values

    def means_something(self, name, scenario):
        """Whether the calling convention gives the code that goes on there something in this register."""
        a = self.architecture
        begins = SCENARIOS.index(scenario) >= 3  # whoever begins has nothing in registers yet
        return (
            name in {a.sp, a.link, a.frame_pointer, *a.control_words, "where it goes", "return address", *a.thread}
            or name in {0: a.results[:1], 1: a.results}.get(SCENARIOS.index(scenario), a.arguments[:2])
            or not begins
            and name in (*a.kept, *(f"v{i}" for i in range(8, 16)))
        )

    def text(self, scenario):
        found = self.differences(scenario)
        first = in_short([n for n in found if self.means_something(n, scenario)])
        rest = in_short([n for n in found if not self.means_something(n, scenario)])
        return "; besides ".join(filter(None, [first or "nothing", rest]))

    def differences(self, scenario):
        """The names of what differs for some values."""
        found = []
        for ours in self.ends(self.ours, scenario):
            for theirs in self.ends(self.theirs, scenario):
                if not possible(ours, *theirs.assumptions):
                    continue
                both = ours.copy()
                both.assumptions = ours.assumptions + theirs.assumptions
                left, right = self.values(self.ours, ours), self.values(self.theirs, theirs)
                for name in left:
                    if (
                        not left[name].eq(right[name])
                        and name not in found
                        and possible(both, left[name] != right[name])
                    ):
                        found.append(name)
                    else:
                        self.facts.proven += 1
        return found


def in_short(names):
    """x4, x19 to x28"""
    result = []
    for name in names:
        match = re.fullmatch(r"([a-z]+)(\d+)", name)
        last = result[-1][-1] if result else ""
        if match and last == f"{match[1]}{int(match[2]) - 1}":
            result[-1].append(name)
        else:
            result.append([name])
    return ", ".join(f"{r[0]} to {r[-1]}" if len(r) > 2 else ", ".join(r) for r in result)


def prove(folder):
    """(facts, the table)"""
    facts = Facts()
    comparisons = [Comparison(a, folder, facts) for a in ("aarch64", "x86_64")]
    lines = ["| | AArch64 | x86-64 |", "|---|---|---|"]
    for scenario in SCENARIOS:
        lines.append("| " + " | ".join([scenario, *(c.text(scenario) for c in comparisons)]) + " |")
    table = "\n".join(lines) + "\n"
    pages = [
        (page, match[1])
        for page in (ROOT / "lib").rglob("*.md")
        if (match := TABLE.search(page.read_text(encoding="utf-8")))
    ]
    if len(pages) != 1:
        facts.fail(f"{len(pages)} pages of lib/ have the table of differences, one should", "lib/**/*.md")
    elif pages[0][1] != table:
        facts.fail(f"has another table of differences than this:\n{table}", str(pages[0][0].relative_to(ROOT)))
    else:
        facts.proven += 1
    return facts, table
