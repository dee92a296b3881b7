# Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
"""Finds the instructions of the switches and makes their mutants.

An instruction is a line of an .S file, or a line of an inline switch's header that holds one in a string; call frame
information counts as instruction. Every mutant has a name that depends on its text alone, not on its line number."""

import dataclasses
import re


@dataclasses.dataclass(frozen=True)
class Instruction:
    scope: str  # the function or macro it stands in
    text: str  # without blanks, comment and quotes
    first: int  # offsets in the file
    last: int
    quoted: bool

    @property
    def is_cfi(self):
        return self.text.startswith(".cfi")


@dataclasses.dataclass(frozen=True)
class Mutant:
    name: str
    file: str
    text: str  # of the whole changed file
    instruction: Instruction


ASSEMBLY_LINE = re.compile(r"^[ ]+(?P<body>[.a-z][^/\n]*?)[ ]*(?://.*)?$", re.M)
NOT_CODE = re.compile(r"\.(?!cfi_)|public_function|private_function|end_function|private_label|needs_refusal")
SCOPE = re.compile(r"^(?:public_function|private_function) SYMBOL\((\w+)\)|^\.macro (\w+)|^end_function|^\.endm", re.M)
HEADER_LINE = re.compile(r'^[^"/\n]*(?P<body>"(?:\\n\\tendbr64|(?!1:)[.a-z][^\n]*?\\n(?:\\t)?)")', re.M)
HEADER_SCOPE = re.compile(r"^#\s*define (\w+)|^WEFT_ALWAYS_INLINE (?:void|bool) (\w+)", re.M)


def instructions(text, is_header):
    scopes = [(m.start(), m[1] or m[2]) for m in (HEADER_SCOPE if is_header else SCOPE).finditer(text)]
    found = []
    for match in (HEADER_LINE if is_header else ASSEMBLY_LINE).finditer(text):
        body = match["body"]
        if not is_header and NOT_CODE.match(body):
            continue
        scope = next((name for start, name in reversed(scopes) if start <= match.start()), None) or "the file"
        clean = re.sub(r'\\n|\\t|"', "", body) if is_header else body
        found.append(Instruction(scope, re.sub(r"\s+", " ", clean).strip(), *match.span("body"), is_header))
    return found


def neighbour(register):
    """The next register of the same kind; the one before it where there is none."""
    if match := re.fullmatch(r"([xwdvq])(\d+)", register):
        last = 30 if match[1] in "xw" else 31
        number = int(match[2])
        return f"{match[1]}{number + 1 if number < last else number - 1}"
    order = ["ax", "cx", "dx", "bx", "bp", "si", "di"]
    if match := re.fullmatch(r"([re])(..)", register):
        if match[2] in order:
            index = order.index(match[2])
            return match[1] + (order[index + 1] if index + 1 < len(order) else order[index - 1])
    if match := re.fullmatch(r"r(\d+)", register):
        number = int(match[1])
        return f"r{number + 1 if number < 15 else number - 1}"
    return None


REGISTER = re.compile(r"(?<![\w.])(?:[xwd]\d+|[re](?:[abcd]x|bp|si|di)|r\d+)(?!\w)")
NAMED_OFFSET = re.compile(r"\bWEFT_(?:AARCH64|X86_64)_\w+(?: \+ 8)?")
NUMBER_OFFSET = re.compile(r"(?<=, #)\d+(?=\])|(?<![\w.#$+-])\d+(?=\(%)|(?<=%rcx, )0(?=\\n)|(?<=x9, )0(?=\\n)")
# A register that every function preserves, and that the inline switch tells the compiler it does not.
CLOBBER = re.compile(r', *(?:\\?\n)? *"(x2[0-8]|x30|v[89]|v1[0-5]|rbx|r1[2-5])"(?=[, \n])')
NO_OFFSET = re.compile(r"(?<=\[x0)(?=\])")
# An offset in the control block: fixed, or one that the inline switch is given for its direction. On AArch64 an operand,
# on x86-64 a macro between two strings.
OPERAND = re.compile(r'(?:%c\[|" )(leaving|arriving|pc_sp|LEAVING|ARRIVING|WEFT_PC|WEFT_SP)(?:\]| ")(?:\+8)?')
OTHER = {"leaving": "arriving", "LEAVING": "ARRIVING", "WEFT_PC": "WEFT_SP"}
OTHER |= {second: first for first, second in OTHER.items()}
MARK = {"not_resumable": "not_suspendable", "not_suspendable": "not_resumable"}
ESCAPED = re.compile(r"(?<=[ ,])(?:0x[0-9a-f]+|\d+)(?=,)")
# The two directions: who leaves, who arrives.
DIRECTION = re.compile(r"(?<=, )(\w+_base_register), (\w+_base_register)(?:, (\w+))?\)")


def mutants(file, text):
    is_header = file.endswith(".hpp")
    sites = instructions(text, is_header)
    names = {}

    def mutant(site, operation, *replacements):
        """Replacements: (first, last, new text), in ascending order."""
        changed, place = [], 0
        for first, last, new in replacements:
            changed += [text[place:first], new]
            place = last
        changed.append(text[place:])
        name = f"{file.rsplit('/', 1)[-1]} {site.scope}: {operation}"
        names[name] = names.get(name, 0) + 1
        if names[name] > 1:
            name += f" (occurrence {names[name]})"
        return Mutant(name, file, "".join(changed), site)

    for index, site in enumerate(sites):
        body = text[site.first:site.last]
        yield mutant(site, f"delete `{site.text}`", (site.first, site.last, '""' if is_header else ""))

        # its neighbour is the next instruction of the same scope; call frame information stays where it is
        after = next((s for s in sites[index + 1:] if s.is_cfi == site.is_cfi), None)
        if not site.is_cfi and after and after.scope == site.scope:
            other = text[after.first:after.last]
            yield mutant(site, f"exchange `{site.text}` and `{after.text}`", (site.first, site.last, other),
                         (after.first, after.last, body))

        for match in REGISTER.finditer(body):
            new = neighbour(match[0])
            if new:
                yield mutant(site, f"`{site.text}` with {new} for {match[0]}",
                             (site.first + match.start(), site.first + match.end(), new))
        for match in NAMED_OFFSET.finditer(body):
            for by in (8, 16, -8, -16):
                yield mutant(site, f"`{site.text}` with {match[0]} {by:+d}",
                             (site.first + match.start(), site.first + match.end(), f"{match[0]} {'+' if by > 0 else '-'} {abs(by)}"))
        for match in OPERAND.finditer(body):
            first, last = site.first + match.start(), site.first + match.end()
            for by in (8, 16, -8, -16):
                yield mutant(site, f"`{site.text}` with {match[0]} {by:+d}", (first, last, f"{match[0]}{by:+d}"))
            if other := OTHER.get(match[1]):
                yield mutant(site, f"`{site.text}` with {other} for {match[1]}",
                             (first, last, match[0].replace(match[1], other)))
        for match in ESCAPED.finditer(body) if site.text.startswith(".cfi_escape") else ():
            yield mutant(site, f"`{site.text}` with {match[0]} +1",
                         (site.first + match.start(), site.first + match.end(), str(int(match[0], 0) + 1)))
        for pattern in (NUMBER_OFFSET, NO_OFFSET):
            for match in pattern.finditer(body):
                for by in (8, 16, -8, -16):
                    number = str(int(match[0] or 0) + by)
                    yield mutant(site, f"`{site.text}` with offset {match[0] or 0} {by:+d}",
                                 (site.first + match.start(), site.first + match.end(), number if match[0] else f", #{number}"))

    for match in DIRECTION.finditer(text):
        scope = HEADER_SCOPE.findall(text[:match.start()])[-1][1]
        leaving, arriving, mark = match.groups()
        site = Instruction(scope, f"{leaving}, {arriving}", *match.span(), True)
        for operation, first, second in ((f"exchange {leaving} and {arriving}", arriving, leaving),
                                         (f"{arriving} for {leaving}", arriving, arriving),
                                         (f"{leaving} for {arriving}", leaving, leaving)):
            yield mutant(site, operation, (*match.span(1), first), (*match.span(2), second))
        if mark in MARK:
            yield mutant(site, f"{MARK[mark]} for {mark}", (*match.span(3), MARK[mark]))

    if is_header:
        for match in CLOBBER.finditer(text, text.index("define WEFT_SWITCH")):
            site = Instruction("clobbers", match[1], *match.span(), True)
            yield mutant(site, f"delete {match[1]}", (*match.span(), ""))
