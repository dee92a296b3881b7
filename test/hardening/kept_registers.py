# Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
"""kept_registers.py [--objdump COMMAND] PROGRAM...

Reads linked programs and finds each place where an inline switch was put into a function, by its instructions: a
program needs no option and no section of its own; symbols make the walk exact. From where control comes back the tool
follows every path until each register that the switch does not keep has been written. It reports an instruction that reads one
before that, and a return to a caller that expects one back: whatever macros and options the compiler had, this is what
it made of them.

The exit code is 1 if there is a report, or if a program has no inline switch at all.

Not followed: jump tables, landing pads (what runs when an exception passes), arguments that a call takes, and what
`push` reads. Not counted: stores into unread_mask and unread_vector, by which GCC is told of AVX-512 (see switch_x86_64.hpp)."""

import argparse
import bisect
import dataclasses
import functools
import gc
import re
import subprocess
import sys


@dataclasses.dataclass(slots=True)
class Instruction:
    address: int
    mnemonic: str
    operands: str
    symbol: str


@dataclasses.dataclass(slots=True)
class Effect:
    reads: set = dataclasses.field(default_factory=set)
    writes: set = dataclasses.field(default_factory=set)
    flow: str = "next"  # next, branch (both ways), jump, call, return, nowhere
    target: int | None = None


@dataclasses.dataclass
class Switch:
    first: int  # addresses of its text
    last: int
    back: int  # label 1
    lost: set


def operands_of(text):
    """Split at commas outside of brackets."""
    parts, depth, part = [], 0, ""
    for letter in text:
        depth += (letter in "([{") - (letter in ")]}")
        if letter == "," and depth == 0:
            parts.append(part.strip())
            part = ""
        else:
            part += letter
    return [*parts, part.strip()] if part.strip() else parts


def numbered(letter, count, first=0):
    return {f"{letter}{n}" for n in range(first, count)}


class X86:
    """AT&T's syntax, as objdump prints it."""

    LOST = {"rax", "rcx", "rdx"} | numbered("r", 32, 8) | numbered("v", 32) | numbered("k", 8)
    PRESERVED = {"rbx", "rbp", "r12", "r13", "r14", "r15"}  # a caller expects them back
    REGISTER = re.compile(r"%(?:r(?P<n>\d+)[bdw]?|[re]?(?P<l>[abcd]x|si|di|bp|sp)|(?P<b>[abcd])[lh]|"
                          r"(?P<p>si|di|bp|sp)l|"
                          r"[xyz]mm(?P<v>\d+)|k(?P<k>[0-7]))(?![\w(])")
    PREFIXES = {"lock", "notrack", "bnd", "data16", "addr32", "cs", "ds", "es", "ss", "fs", "gs"}
    ONLY_READS = re.compile(r"(cmp[bwlq]?|test[bwlq]?|v?u?comis[sdh]|v?ptest|vtestp[sd]|k(or)?test[bwdq]|bt[wlq]?|"
                            r"prefetch\w*|ldmxcsr|fldcw|fld\w*|fild\w*|fadd\w*|fmul\w*|fsub\w*|fdiv\w*|clflush\w*)$")
    ONLY_WRITES = re.compile(r"(mov(?!lhps|hp[sd]|lp[sd])|lea|set|pop(?!cnt)|popcnt|k|cvt|bs[fr]|[tl]zcnt|pextr|pmov|"
                             r"lddqu|rorx|s[ah][lr]x|andn[lq]?$|pdep|pext|bextr|bls|sqrt|rsqrt|rcp|round|pshuf[dlh]|pabs|"
                             r"rdrand|rdseed|stmxcsr|fn?st|fist|extract|bzhi)")
    ACCUMULATES = re.compile(r"v(fn?m|pternlog|perm[ti]2|pdp|pmadd52|fixupimm|psh[lr]dv|dp\w*bf16|gf2p8)")
    READS_THIRD = re.compile(r"(sh|pinsr|pclmul|palign|p?blend|insert|cmp)")
    MERGES_SCALAR = re.compile(r"v(cvtu?si2|cvts[sdh]2|sqrts|rsqrt\d*s|rcp\d*s|rounds|rndscales|getexps|getmants)")
    ZERO = re.compile(r"(xor[bwlq]?|sub[bwlq]?|v?pxor[dq]?|v?xorp[sd]|v?pcmpeq[bwdq]|v?psub[bwdq]|kxn?or[bwdq])$")
    IMPLICIT = {  # (reads, writes) beside the operands
        "cltq": ("rax", "rax"), "cwtl": ("rax", "rax"), "cbtw": ("rax", "rax"), "cltd": ("rax", "rdx"),
        "cqto": ("rax", "rdx"), "cwtd": ("rax", "rdx"), "syscall": ("rax", "rax rcx r11"),
        "cpuid": ("rax rcx", "rax rbx rcx rdx"), "rdtsc": ("", "rax rdx"), "xgetbv": ("rcx", "rax rdx"),
        "leave": ("", "rbp"),
    }

    @classmethod
    def registers(cls, text):
        found = set()
        for m in cls.REGISTER.finditer(text):
            if m["n"]:
                found.add(f"r{m['n']}")
            elif m["v"] or m["k"]:
                found.add(f"v{m['v']}" if m["v"] else f"k{m['k']}")
            else:
                found.add("r" + (m["l"] or m["p"] or m["b"] + "x"))
        return found

    @classmethod
    def effect(cls, instruction):
        mnemonic = instruction.mnemonic
        text = instruction.operands.split("#")[0].strip()
        repeated = False
        while mnemonic in cls.PREFIXES or mnemonic.startswith(("rep", "rex")):
            repeated |= mnemonic.startswith("rep")
            mnemonic, _, text = text.partition(" ")
            text = text.strip()
        effect = Effect()
        if mnemonic.startswith(("nop", "endbr", "pause", "vzeroupper", "emms", "mfence", "lfence", "sfence")) or \
                not mnemonic or (mnemonic, text) == ("xchg", "%ax,%ax"):
            return effect
        if mnemonic in ("ud2", "hlt", "int3", "(bad)"):
            effect.flow = "nowhere"
            if mnemonic == "(bad)":
                effect.reads = {"an instruction that objdump does not know"}
            return effect
        if mnemonic.startswith("ret"):
            effect.flow = "return"
            return effect
        if mnemonic.startswith(("j", "call")):
            target = re.match(r"([0-9a-f]+)\b", text)
            effect.flow = "call" if mnemonic.startswith("call") else "jump" if mnemonic.startswith("jmp") else "branch"
            effect.target = int(target[1], 16) if target and not text.startswith("*") else None
            effect.reads = cls.registers(text)
            return effect
        if mnemonic.startswith("push"):  # GCC also makes room by it, with whatever register
            return effect
        if mnemonic in cls.IMPLICIT:
            reads, writes = cls.IMPLICIT[mnemonic]
            return Effect(set(reads.split()), set(writes.split()))
        if mnemonic == "vzeroall":
            return Effect(set(), numbered("v", 16))
        if repeated and mnemonic[:4] in ("movs", "stos", "cmps", "scas", "lods"):
            used = {"rcx"} | cls.registers(text)
            return Effect(used, {"rcx", "rdi", "rsi"} & (used | {"rcx"}))
        operands = operands_of(text)
        if not operands:
            return effect
        if len(set(operands)) == 1 and len(operands) > 1 and cls.ZERO.match(mnemonic) or \
                mnemonic.startswith("vpternlog") and operands[0] in ("$0xff", "$0x0") and "{" not in text:
            effect.writes = cls.registers(operands[-1])
            return effect
        *sources, last = operands
        for source in sources:
            effect.reads |= cls.registers(source)
        mask = re.findall(r"\{(%k\d)\}", last)
        plain = re.sub(r"\{[^}]*\}", "", last)
        in_memory = "(" in plain or not plain.startswith("%") or re.match(r"%[cdefgs]s:", plain)
        destination = cls.registers(plain)
        for k in mask:
            effect.reads |= cls.registers(k)
        if in_memory or cls.ONLY_READS.match(mnemonic):
            effect.reads |= destination
            return effect
        if mnemonic[:4] in ("xchg", "xadd"):
            effect.reads |= destination
            effect.writes = effect.reads.copy() if not any("(" in s for s in sources) else destination
            return effect
        if mnemonic.startswith("cmpxchg"):
            return Effect(effect.reads | destination | {"rax"}, destination | {"rax"})
        if not sources and re.match(r"(mul|imul|div|idiv)[bwlq]?$", mnemonic):
            return Effect(destination | {"rax"} | ({"rdx"} if "div" in mnemonic else set()), {"rax", "rdx"})
        if mnemonic.startswith("pop2"):
            return Effect(set(), effect.reads | destination)
        if mnemonic.startswith("mulx"):
            return Effect(cls.registers(sources[0]) | {"rdx"}, cls.registers(sources[1]) | destination)
        effect.writes = destination
        if mnemonic.startswith("v"):
            if cls.MERGES_SCALAR.match(mnemonic) and len(operands) > 2:
                effect.reads -= cls.registers(operands[-2]) - set().union(*map(cls.registers, operands[:-2]))
            merges = mask and "{z}" not in last and not plain.startswith("%k")
            if merges or cls.ACCUMULATES.match(mnemonic):
                effect.reads |= destination
        elif not cls.ONLY_WRITES.match(mnemonic) and (len(operands) < 3 or cls.READS_THIRD.match(mnemonic)):
            effect.reads |= destination
        return effect

    @classmethod
    def switches(cls, code):
        for i, instruction in enumerate(code):
            if (instruction.mnemonic, instruction.operands) != ("mov", "%rsp,0x18(%rdi)"):
                continue
            first = next((k for k in range(i, max(i - 8, -1), -1)
                          if code[k].mnemonic == "lea" and re.match(r"0x[0-9a-f]+\(%rip\),%rax", code[k].operands)), None)
            last = next((k for k in range(i, min(i + 10, len(code))) if "*%rdx" in code[k].operands), None)
            if first is None or last is None:
                continue
            back = int(re.search(r"# ([0-9a-f]+)", code[first].operands)[1], 16)
            keeps_rbx = any(re.match(r"%rbx,(0x20)?\(%rdi\)$", c.operands) for c in code[first:last])
            yield Switch(code[first].address, code[last].address, back, cls.LOST | (set() if keeps_rbx else {"rbx"}))


class Aarch64:
    LOST = numbered("x", 19, 2) | numbered("x", 29, 20) | {"x30", "ffr"} | numbered("v", 32) | numbered("p", 16)
    PRESERVED = numbered("x", 30, 19) | numbered("v", 16, 8)
    REGISTER = re.compile(r"\b(?:[xw](?P<x>\d+)|[bhsdqvz](?P<v>\d+)|p(?P<p>\d+))\b")
    ONLY_READS = re.compile(r"(st(?!x|lx)|(cm[pn]|tst|ccm[pn]|fcmpe?|fccmpe?)$|prfm|prf[bhwd]|msr|wrffr|ptest|cterm)")
    ALSO_READS = re.compile(r"(movk|bfi|bfxil|bfc|ins|ml[as]|fml[as]|[us]ml[as]l|sli|sri|[us]?sra|tbx|[us]dot|bif|bit|bsl|"
                            r"[us]aba|aes|sha|incp|decp|inc[bhwd]|dec[bhwd]|cas|f?mad$|f?msb$|xtn2|sqxtn2|"
                            r"uqxtn2|fcvtn2|"
                            r"shrn2|rshrn2|addhn2|subhn2|udot|usdot|fcmla|cmla|ext$|splice)")
    CONDITION = re.compile(r"(b\.\w+|bc\.\w+|cbn?z|tbn?z)$")

    @classmethod
    def registers(cls, text):
        found = set()
        text = re.sub(r"\b([vz])(\d+)(\.\d*[bhsdq])? ?- ?[vz](\d+)",
                      lambda m: ",".join(f"{m[1]}{n}" for n in range(int(m[2]), int(m[4]) + 1)), text)
        for m in cls.REGISTER.finditer(text):
            found.add(f"x{m['x']}" if m["x"] else f"v{m['v']}" if m["v"] else f"p{m['p']}")
        return found

    @classmethod
    def effect(cls, instruction):
        mnemonic, text = instruction.mnemonic, instruction.operands.split("//")[0].strip()
        text = re.sub(r"<[^>]*>", "", text)
        effect = Effect()
        if mnemonic in ("ret", "retaa", "retab"):
            return Effect({"x30"}, set(), "return")
        if mnemonic in ("brk", "udf", "hlt") or mnemonic.startswith(".inst"):
            return Effect(flow="nowhere")
        if mnemonic in ("b", "br", "braa", "brab", "braaz", "brabz"):
            target = re.match(r"([0-9a-f]+)\b", text) if mnemonic == "b" else None
            return Effect(set() if target else cls.registers(text), set(), "jump", target and int(target[1], 16))
        if mnemonic in ("bl", "blr", "blraa", "blrab", "blraaz", "blrabz"):
            target = re.match(r"([0-9a-f]+)\b", text) if mnemonic == "bl" else None
            return Effect(set() if target else cls.registers(text), {"x30"}, "call", target and int(target[1], 16))
        operands = operands_of(text)
        if cls.CONDITION.match(mnemonic):
            reads = cls.registers(operands[0]) if not mnemonic.startswith("b") else set()
            return Effect(reads, set(), "branch", int(operands[-1].split()[0], 16))
        if mnemonic == "setffr":
            return Effect(set(), {"ffr"})
        if mnemonic.startswith(("paciasp", "pacibsp", "autiasp", "autibsp", "xpaclri")):
            return Effect({"x30"}, {"x30"})
        if mnemonic.startswith(("pacia1716", "autia1716", "pacib1716", "autib1716")):
            return Effect({"x16", "x17"}, {"x17"})
        if not operands:
            return effect
        if mnemonic.startswith(("rdffr", "ldff1")):
            effect.reads.add("ffr")
        if mnemonic == "wrffr":
            effect.writes.add("ffr")
        stores_exclusive = re.match(r"st(x|lx)[rp]", mnemonic)
        count = 2 if re.match(r"ld(n?p|psw|x?p|axp)$", mnemonic) or mnemonic == "ldaxp" else 1
        if cls.ONLY_READS.match(mnemonic) and not stores_exclusive:
            count = 0
        if re.match(r"(ld(add|clr|set|eor|[us]max|[us]min)|swp)", mnemonic):  # atomic: value, old value, [address]
            return Effect(cls.registers(operands[0]) | cls.registers(operands[2]), cls.registers(operands[1]))
        if mnemonic in ("eor", "sub", "bic") and len(operands) == 3 and operands[1] == operands[2] and "/" not in text:
            return Effect(set(), cls.registers(operands[0]))
        for destination in operands[:count]:
            effect.writes |= cls.registers(destination)
        for source in operands[count:]:
            effect.reads |= cls.registers(source)
        lane = re.search(r"\.[bhsd]\[\d+\]|\}\[\d+\]", operands[0]) if count else None
        if count and (cls.ALSO_READS.match(mnemonic) and "/z" not in text or "/m" in text or lane):
            effect.reads |= cls.registers(operands[0])
        for part in operands:  # a base register that the instruction also moves
            if part.startswith("[") and (part.endswith("!") or part != operands[-1]):
                effect.writes |= cls.registers(part.split(",")[0])
        return effect

    @classmethod
    def switches(cls, code):
        for i, instruction in enumerate(code):
            if (instruction.mnemonic, instruction.operands) != ("stp", "x12, x10, [x0, #16]"):
                continue
            first = next((k for k in range(i, max(i - 10, -1), -1)
                          if code[k].mnemonic == "adr" and re.match(r"x1[27],", code[k].operands)), None)
            last = next((k for k in range(i, min(i + 12, len(code)))
                         if (code[k].mnemonic, code[k].operands) == ("br", "x17")), None)
            if first is None or last is None:
                continue
            back = int(re.search(r", ([0-9a-f]+)\b", code[first].operands)[1], 16)
            text = [(c.mnemonic, c.operands) for c in code[first:last]]
            kept = {"x18"} if any(operands == "x18, x11" for _, operands in text) else set()
            # Both change by declaration on the way to a fiber. An unoptimized program loads them from variables, and
            # writes there what has become of them; no other has a use for it.
            variable = any(c.mnemonic in ("ldr", "ldur") and c.operands.startswith("x17, ") for c in code[max(first - 4, 0):first])
            if variable and ("stp", "x19, x29, [x0]") in text:
                kept |= {"x9", "x17"}
            yield Switch(code[first].address, code[last].address, back, cls.LOST - kept)


# Instructions that a linker has put aside, with a jump there and one back: for errata of Cortex-A53.
PUT_ASIDE = re.compile(r"e8(43419|35769)@")

# Functions that do not come back, where it cannot be seen: they are another object's.
NEVER_RETURN = re.compile(r"(_Unwind_Resume|__cxa_(re)?throw|__cxa_bad|abort|exit|terminate|__stack_chk_fail|__throw_|"
                          r"__assert|rethrow_exception|__fortify_fail|call_terminate|longjmp|unreachable)")


LABEL = re.compile(r"[0-9a-f]+ <(.*)>:$")
TEXT = re.compile(r"\s+([0-9a-f]+):\t(\S+)\s*(.*)")
IN_ANOTHER_PLACE = re.compile(r"\.cold(\.\d+)?$|-0x[0-9a-f]+$")


class Program:
    def __init__(self, file, objdump):
        out = subprocess.run([*objdump, "-d", "--no-show-raw-insn", "--wide", file], capture_output=True, text=True,
                             check=True, errors="replace").stdout
        kind = re.search(r"file format (\S+)", out)[1]
        self.machine = X86 if "x86-64" in kind else Aarch64 if "aarch64" in kind else None
        if not self.machine:
            sys.exit(f"{file}: {kind} is no format that has an inline switch")
        self.file = file
        self.code = []
        symbol = ""
        for line in out.splitlines():
            if m := TEXT.match(line):
                self.code.append(Instruction(int(m[1], 16), m[2], m[3].strip(), symbol))
            elif m := LABEL.match(line):
                symbol = m[1]
        self.index = {instruction.address: i for i, instruction in enumerate(self.code)}
        self.switches = list(self.machine.switches(self.code))
        self.effects = {}
        self.returning = self.functions_that_return()

    @staticmethod
    @functools.cache
    def function(symbol):
        """Without the part that a compiler has put elsewhere."""
        return IN_ANOTHER_PLACE.sub("", symbol)

    def effect(self, i):
        if i not in self.effects:
            self.effects[i] = self.machine.effect(self.code[i])
        return self.effects[i]

    def functions_that_return(self):
        """Names; all but those that are seen not to. A function of another object is taken to return."""
        returns, leaves_to = set(), {}
        for i, instruction in enumerate(self.code):
            name = self.function(instruction.symbol)
            leaves_to.setdefault(name, set())
            if not instruction.mnemonic.startswith(("ret", "j", "b", "notrack", "bnd", "rep")):
                continue
            effect = self.effect(i)
            if effect.flow == "return" or effect.flow == "jump" and effect.target is None:
                returns.add(name)
            elif effect.flow in ("jump", "branch"):
                target = self.index.get(effect.target)
                other = self.function(self.code[target].symbol) if target is not None else ""
                if other != name:
                    leaves_to[name].add(other)
        while True:
            more = {name for name, others in leaves_to.items() if name not in returns and
                    any(o in returns or o not in leaves_to for o in others)}
            if not more:
                return returns
            returns |= more

    def comes_back(self, call):
        name = re.search(r"<([^>]*?)(?:@plt)?(?:\+0x[0-9a-f]+)?>", call.operands)
        if name and NEVER_RETURN.search(name[1]):
            return False
        target = self.effect(self.index[call.address]).target
        if target is None or target not in self.index:
            return True
        function = self.function(self.code[self.index[target]].symbol)
        return function in self.returning or "@plt" in function

    def findings(self):
        found = {}
        inside = sorted((s.first, s.last) for s in self.switches)
        starts = [first for first, _ in inside]

        def in_switch(address):
            k = bisect.bisect_right(starts, address) - 1
            return k >= 0 and address <= inside[k][1]

        for switch in self.switches:
            seen = {}
            work = [(self.index[switch.back], frozenset(switch.lost))]
            while work:
                i, lost = work.pop()
                while i is not None and i < len(self.code):
                    if lost <= seen.get(i, frozenset()) or not lost:
                        break
                    seen[i] = seen.get(i, frozenset()) | lost
                    instruction, effect = self.code[i], self.effect(i)
                    name = self.function(instruction.symbol)
                    # A switch stores rbx and rbp whether anybody needs them or not.
                    if not in_switch(instruction.address) and not re.search(r"unread_(mask|vector)", instruction.operands):
                        reads = effect.reads & lost | {r for r in effect.reads if " " in r}
                        for register in sorted(reads):
                            found[instruction.address, register] = (name, instruction, "reads")
                        lost = lost - reads  # one report is enough
                    lost = lost - effect.writes
                    following = i + 1 if i + 1 < len(self.code) and \
                        self.function(self.code[i + 1].symbol) == name else None
                    target = self.index.get(effect.target)
                    flow = effect.flow
                    other = self.function(self.code[target].symbol) if target is not None else name
                    if flow != "call" and other != name and not PUT_ASIDE.match(other) and not PUT_ASIDE.match(name):
                        target, flow = None, "return" if flow == "jump" else flow  # a tail call
                    if flow == "return":
                        for register in sorted(lost & self.machine.PRESERVED):
                            found[instruction.address, register] = (name, instruction, "returns without having restored")
                        break
                    if flow == "call":
                        lost = lost & self.machine.PRESERVED
                        if not self.comes_back(instruction):
                            break
                    elif flow == "branch" and target is not None:
                        work.append((target, lost))
                    elif flow == "jump":
                        following = target
                    elif flow == "nowhere":
                        break
                    i = following
        return [f"{name}: {instruction.address:x}: `{instruction.mnemonic} {instruction.operands}` {what} {register}, which "
                "the switch does not keep" for (_, register), (name, instruction, what) in sorted(found.items())]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--objdump", default="objdump", help="a command")
    parser.add_argument("programs", nargs="+")
    arguments = parser.parse_args()
    gc.disable()  # millions of instructions, and no cycle among them
    wrong = 0
    for file in arguments.programs:
        program = Program(file, arguments.objdump.split())
        findings = program.findings()
        for text in findings:
            print(f"{file}: {text}")
        functions = {Program.function(program.code[program.index[s.back]].symbol) for s in program.switches}
        print(f"{file}: {len(program.switches)} inline switches in {len(functions)} functions, {len(findings)} findings")
        wrong += bool(findings) or not program.switches
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
