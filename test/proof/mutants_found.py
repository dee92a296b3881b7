# Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
"""Which mutants of the switches the proof finds, beside the tests of test/mutation. What those find is known: all that
changes an object in one of their ways to assemble, and does not stand in equivalent.txt (test/run mutation --all holds
them to it)."""

import collections
import pathlib
import sys

import inline_switch
from engine import EngineError, Facts
from image import ImageError
from objects_proven import ASSEMBLY, ROOT, assemble, folder_of, variants
from switch import Switch
from toolchain import INLINE_SWITCH, BuildError, changed_header

sys.path.append(str(pathlib.Path(__file__).resolve().parents[1] / "mutation"))

import mutants  # noqa: E402
from mutate import known_equivalents  # noqa: E402

# The ways to compile that mutate.py judges, too, and the objects whose change it can see.
BY_TESTS = {"plain", "BTI", "PAC and BTI", "IBT"}


class Found(Exception):
    pass


class First(Facts):
    def fail(self, statement, place):
        raise Found(f"{place}: {statement}")


class Assembly:
    """Mutants of lib/switch/<architecture>.S."""

    objects = ["switch.o"]

    def __init__(self, architecture):
        self.file = ASSEMBLY[architecture]
        self.variants = [v for v in variants() if v.architecture == architecture]

    def build(self, variant, folder, text):
        source = folder / "switch.S"
        source.write_text(text, encoding="utf-8")
        return assemble(variant, folder, source)

    def folder(self, variant, folder):
        return folder_of(variant, folder)

    def theorems(self, image, variant):
        return Switch(image, First(), variant.implementation())


class Header:
    """Mutants of the inline switch."""

    objects = ["gcc/places_cpp.o", "clang/places_cpp.o"]

    def __init__(self, architecture):
        self.file = INLINE_SWITCH[architecture]
        self.variants = [v for v in inline_switch.VARIANTS if v.architecture == architecture]

    def build(self, variant, folder, text):
        return inline_switch.build(variant, folder, changed_header(folder, self.file, text))

    def folder(self, variant, folder):
        return folder_of(variant, folder) / "places"

    def theorems(self, image, variant):
        return inline_switch.Places(image, First(), variant)


class Judge:
    def __init__(self, subject, folder):
        self.subject, self.folder, self.originals = subject, folder, {}
        text = (ROOT / subject.file).read_text(encoding="utf-8")
        for variant in subject.variants:
            subject.theorems(subject.build(variant, folder, text), variant).prove()
            self.originals[variant.name] = self.contents(variant)

    def contents(self, variant):
        return [(self.subject.folder(variant, self.folder) / name).read_bytes() for name in self.subject.objects]

    def judge(self, text):
        """(verdict, what was said, whether a test could see it)"""
        verdict, visible = "the same object", False
        for variant in self.subject.variants:  # those that the tests judge come first
            of_tests = variant.name in BY_TESTS
            try:
                image = self.subject.build(variant, self.folder, text)
            except BuildError:
                return "does not assemble", "", visible or of_tests
            original, contents = self.originals[variant.name], self.contents(variant)
            if contents == original:
                continue
            verdict, visible = "not found", visible or of_tests and contents[0] != original[0]
            try:
                self.subject.theorems(image, variant).prove()
            except (Found, EngineError, ImageError) as said:
                return "found", f"{variant.name}: {said}", visible
        return verdict, "", visible


def run(folder, only):
    known, status = known_equivalents(), 0
    names = {
        (True, True): "found by both",
        (True, False): "found by the proof alone",
        (False, True): "found by tests alone",
        (False, False): "equivalent",
    }
    for subject in [kind(architecture) for kind in (Assembly, Header) for architecture in ASSEMBLY]:
        work = folder / "mutants"
        work.mkdir(parents=True, exist_ok=True)
        text = (ROOT / subject.file).read_text(encoding="utf-8")
        judge, count = Judge(subject, work), collections.Counter()
        for mutant in mutants.mutants(subject.file, text):
            if only not in mutant.name:
                continue
            verdict, said, visible = judge.judge(mutant.text)
            if verdict in ("found", "not found"):
                verdict = names[verdict == "found", visible and mutant.name not in known]
            count[verdict] += 1
            status |= verdict == "found by tests alone"
            print(f"{verdict}: {mutant.name}  {said}", flush=True)
        print(
            f"proof mutants of {subject.file}: " + ", ".join(f"{n} {what}" for what, n in count.most_common()),
            flush=True,
        )
    return int(status)
