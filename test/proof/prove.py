# Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
"""prove.py FOLDER [--jobs N] [--sites PROGRAM] [--mutants [--only TEXT]]

Proves the switch for all values: the objects of both processors in each way to assemble them; the inline switch at
places of GCC's and Clang's; that Boost.Context's objects do the same; that the engine knows the instructions; that
planted faults are found, also by the program that reads places (sites.cpp). With --mutants: which of the mutants of
test/mutation the proof finds. The exit code is 1 if something is not proven, with the place."""

import argparse
import multiprocessing
import pathlib
import subprocess
import sys

import engine_model
import equivalence
import faults
import inline_switch
import sites_planted
from engine import EngineError, Facts
from image import ImageError
from objects_proven import TOOLS, assemble, variants
from switch import Switch
from toolchain import ROOT, BuildError


def prove_object(variant, folder):
    facts = Facts()
    image = assemble(variant, folder)
    Switch(image, facts, variant.implementation()).prove()
    # The same functions under Boost's names.
    other = assemble(variant, folder / "fcontext", ROOT / "lib/fcontext/fcontext.S")
    if image.contents != other.contents:
        facts.fail("has other instructions or other call frame information than weft's own object", "weft::fcontext")
    return f"{facts.proven} claims hold for all values", facts.failures


def prove_places(variant, folder):
    facts = Facts()
    inline_switch.Places(inline_switch.build(variant, folder), facts, variant).prove()
    return f"{facts.proven} claims hold for all values", facts.failures


def prove_equivalence(folder):
    facts, _ = equivalence.prove(folder)
    return f"{facts.proven} registers are equal, the others are those in the table", facts.failures


def prove_model(model, variant, folder):
    states, failures = model(variant, folder).compare(1)
    return f"the engine does as the processor, in {states} random states", failures


def find_faults(folder):
    missed = [(fault.name, why) for fault in faults.FAULTS if (why := faults.find(fault, folder))]
    return f"{len(faults.FAULTS) - len(missed)} of {len(faults.FAULTS)} planted faults found", missed


def tasks(folder, sites):
    for variant in variants():
        yield f"{variant.architecture} {variant.name}", prove_object, (variant, folder)
    for variant in inline_switch.VARIANTS:
        yield f"{variant.architecture} {variant.name}, inline", prove_places, (variant, folder)
    yield "Boost.Context", prove_equivalence, (folder,)
    for variant in engine_model.VARIANTS:
        yield f"{variant.architecture} {variant.name}, model", prove_model, (
            engine_model.Model,
            variant,
            folder / "model",
        )
    for variant in inline_switch.VARIANTS:
        if variant.name in ("plain", "IBT"):
            yield (
                f"{variant.architecture} {variant.name}, inline, model",
                prove_model,
                (engine_model.PlacesModel, variant, folder / "model"),
            )
    if sites:
        yield "sites, by hand", sites_planted.by_hand, (sites, folder)
        for architecture in TOOLS:
            yield f"{architecture} sites, compiled", sites_planted.compiled, (sites, architecture, folder)
    yield "faults", find_faults, (folder,)


def work(task):
    name, function, arguments = task
    try:
        result, failures = function(*arguments)
    except (EngineError, ImageError, BuildError, ValueError, OSError, subprocess.SubprocessError) as error:
        result, failures = "FAILED", [(str(error), "")]
    return name, result, failures


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--sites", type=pathlib.Path, help="the program made of sites.cpp")
    parser.add_argument("--mutants", action="store_true")
    parser.add_argument("--only", default="", help="only mutants whose name contains this")
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    if arguments.mutants:
        import mutants_found  # what it imports is only needed there

        return mutants_found.run(arguments.folder, arguments.only)
    all_tasks, bad = list(tasks(arguments.folder, arguments.sites)), 0
    with multiprocessing.Pool(arguments.jobs) as pool:
        for name, result, failures in pool.imap(work, all_tasks, chunksize=1):
            print(f"{name}: {'FAILED' if failures else result}", flush=True)
            for statement, place in failures:
                print(f"FAILED {name}: {place}{': ' if place else ''}{statement}", flush=True)
            bad += bool(failures)
    print(f"proof {len(all_tasks) - bad} of {len(all_tasks)} parts are proven")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
