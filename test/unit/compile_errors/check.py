#!/usr/bin/env python3
# Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
"""Compiles what must not compile, and looks at the errors: check.py CASE COMPILER ID FLAG...

The first lines of a case say what is expected:
  // error: a part of the first error; a line for each that comes before any of the compiler's own, in any order
  // further: how many of those follow, at most, where the compiler goes on after a refusal (default 0)
  // before: GNU 3, GNU14 5, Clang 1: how many lines stand before the first error, at most (GNU14: from GCC 14 on)
With --all HEADERS CASES instead: is each sentence by which the headers refuse something expected by a case?"""
import pathlib
import re
import subprocess
import sys

# What no file of a test can bring about: it takes another machine, another release of a library, or an error in weft.
NOT_TESTED = [
    'weft has no switch of its own for this processor',
    "only weft's own switch for AArch64 keeps shadow call stacks",
    '-fsanitize=safe-stack wants two',
    '-fsanitize=dataflow is not told',
    'this Asio has not found the compiler',
    'weft/senders.hpp needs std::execution',
    'a handle made by the promise of R would not name',
]


def fail(text):
    sys.exit(f'{text}')


def directives(case, name):
    return re.findall(rf'^// {name}: (.*)$', case.read_text(), re.MULTILINE)


def check(case, compiler, identity, flags):
    run = subprocess.run([compiler, *flags, case], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    lines = run.stdout.splitlines()
    errors = [n for n, line in enumerate(lines) if re.search(r'(^|\s)(fatal )?error: ', line)]
    print(run.stdout)
    if run.returncode == 0 or not errors:
        fail('it compiles')
    expected = directives(case, 'error')
    further = int((directives(case, 'further') or [0])[0])
    first = [lines[n] for n in errors[:len(expected)]]
    for sentence in expected:
        line = next((line for line in first if sentence in line), None)
        if line is None:
            fail(f'not said, or not soon enough: {sentence}')
        first.remove(line)
    if len(errors) > len(expected) + further:
        fail(f'{len(errors)} errors in place of {len(expected)} and at most {further} of the compiler\'s own')
    before = allowed_before(case, compiler, identity)
    if errors[0] > before:
        fail(f'{errors[0]} lines before the first error, in place of {before}')


def allowed_before(case, compiler, identity):
    own = int(subprocess.run([compiler, '-dumpversion'], stdout=subprocess.PIPE, text=True).stdout.split('.')[0])
    recorded = re.findall(r'([A-Za-z]+)(\d*) (\d+)', directives(case, 'before')[0])
    majors = {int(major or 0): int(lines) for name, major, lines in recorded if name == identity}
    return majors[max(major for major in majors if major <= own)]


def refusals(text):
    """The sentences of a header."""
    text = re.sub(r'\\\n', '', text)
    macros = dict(re.findall(r'^#define (WEFT_[A-Z_]+) (".*")$', text, re.MULTILINE))
    for name, value in macros.items():
        text = text.replace(name, value)
    yield from re.findall(r'^#\s*error "(.*)"$', text, re.MULTILINE)
    for found in re.finditer(r'static_assert\(', text):
        depth, end = 1, found.end()
        in_string = False
        while depth:
            c = text[end]
            if c == '"' and text[end - 1] not in '\\\'':
                in_string = not in_string
            elif not in_string:
                depth += {'(': 1, ')': -1}.get(c, 0)
            end += 1
        sentence = ''.join(re.findall(r'"((?:[^"\\]|\\.)*)"', text[found.end():end]))
        if sentence.startswith('weft'):
            yield sentence


def check_all(headers, cases):
    expected = [e for case in cases.glob('*.cpp') for e in directives(case, 'error')] + NOT_TESTED
    all_of_them = [(h, s) for h in sorted(headers.rglob('*.hpp')) for s in refusals(h.read_text())]
    print(f'{len(all_of_them)} refusals')
    missing = [f'{h.name}: {s}' for h, s in all_of_them if not any(e in s for e in expected)]
    if missing or len(all_of_them) < 20:
        fail('no case expects:\n' + '\n'.join(missing))
    unknown = [e for e in NOT_TESTED if not any(e in s for _, s in all_of_them)]
    if unknown:
        fail('no header says:\n' + '\n'.join(unknown))


if sys.argv[1] == '--all':
    check_all(pathlib.Path(sys.argv[2]), pathlib.Path(sys.argv[3]))
else:
    check(pathlib.Path(sys.argv[1]), sys.argv[2], sys.argv[3], sys.argv[4:])
