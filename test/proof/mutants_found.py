# Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
"""Which mutants of the assembly the proof finds, beside the tests. What the tests find is known: all that do not stand in
test/mutation/equivalent.txt (test/run mutation --all holds them to it)."""

import collections
import pathlib
import sys

from engine import EngineError, Facts
from image import ImageError
from objects_proven import ASSEMBLY, ROOT, assemble, folder_of, variants
from switch import Switch
from toolchain import BuildError

sys.path.append(str(pathlib.Path(__file__).resolve().parents[1] / "mutation"))

import mutants  # noqa: E402
from mutate import known_equivalents  # noqa: E402


class Found(Exception):
    pass


class First(Facts):
    def fail(self, statement, place):
        raise Found(f"{place}: {statement}")


def judge(folder, text, chosen, originals):
    """(verdict, what was said)"""
    source = folder / "switch.S"
    source.write_text(text, encoding="utf-8")
    verdict = "the same object"
    for variant in chosen:
        try:
            image = assemble(variant, folder, source)
        except BuildError:
            return "does not assemble", ""
        if (folder_of(variant, folder) / "switch.o").read_bytes() == originals.get(variant.name):
            continue
        verdict = "not found"
        try:
            Switch(image, First(), variant.implementation()).prove()
        except (Found, EngineError, ImageError) as said:
            return "found", f"{variant.name}: {said}"
    return verdict, ""


def run(folder, only):
    known, status = known_equivalents(), 0
    folder = folder / "mutants"
    folder.mkdir(parents=True, exist_ok=True)
    for architecture, file in ASSEMBLY.items():
        text = (ROOT / file).read_text(encoding="utf-8")
        chosen = [v for v in variants() if v.architecture == architecture]
        verdict, said = judge(folder, text, chosen, {})
        if verdict != "not found":
            print(f"FAILED {architecture}: without any change: {verdict} {said}")
            return 1
        originals = {v.name: (folder_of(v, folder) / "switch.o").read_bytes() for v in chosen}
        count = collections.Counter()
        for mutant in mutants.mutants(file, text):
            if only not in mutant.name:
                continue
            verdict, said = judge(folder, mutant.text, chosen, originals)
            tests = mutant.name not in known
            if verdict in ("found", "not found"):
                verdict = {(True, True): "found by both", (True, False): "by the proof alone", (False, True): "by tests alone",
                           (False, False): "equivalent"}[verdict == "found", tests]
            count[verdict] += 1
            status |= verdict == "by tests alone"
            print(f"{verdict}: {mutant.name}  {said}", flush=True)
        print(f"proof {architecture}: " + ", ".join(f"{n} {what}" for what, n in count.most_common()), flush=True)
    return int(status)
