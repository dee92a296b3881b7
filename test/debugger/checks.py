# Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
"""What a debugger must tell of the fibers of fibers.cpp while it stands in look_here(): for in_gdb.py, in_lldb.py."""

import re

wrong = 0
told = None  # set by them: what the debugger answers to a command
LIST = None  # the command for the list


def check(right, what):
    global wrong
    if not right:
        wrong += 1
        print("WRONG:", what)


def fibers():
    """name -> [(number, state and place)], from the list"""
    found, places, stacks = {}, set(), []
    lines = [line for line in told(LIST).splitlines() if not line.startswith("warning: Section")]
    for line in lines[1:]:
        match = re.match(r'(\d+) +(0x\w+)  (0x\w+)-(0x\w+)  (?:"([^"]*)" )?(.*)', line)
        check(match, f"a line of the list: {line}")
        if match:
            found.setdefault(match[5] or "", []).append((match[1], match[6]))
            place, lowest, end = (int(match[i], 16) for i in (2, 3, 4))
            places.add(place)
            stacks.append((lowest, end))
            check(lowest < end and not lowest <= place < end, f"the bounds: {line}")
    stacks.sort()
    check(len(places) == len(stacks), "each fiber is listed once")
    check(all(a[1] <= b[0] for a, b in zip(stacks, stacks[1:])), "each stack is of one fiber")
    return found


def seen(text):
    """The functions, fibers and coroutines of a backtrace that the program names."""
    result = []
    for line in text.splitlines():
        if match := re.match(r'  #\d+ +0x\w+ in (\w+) ?\(', line):
            result.append(match[1])
        elif match := re.match(r'(?:Fiber|(\w+ in) fiber) 0x\w+ "([^"]*)"', line):
            result.append(f"{match[1] or 'of'} {match[2]}")
        elif match := re.match(r"(\w+ by) coroutine 0x\w+ (.*)", line):
            result.append(f"{match[1]} {match[2]}")
        elif line == "resumed in:":
            result.append("resumed")
        else:
            check(re.match("  #", line), f"a line of a backtrace: {line}")
    return result


def check_backtrace(fiber, expected):
    """`expected` must appear in this order; of what fibers.cpp names, nothing else may."""
    text = told(f"weft-backtrace {fiber}")
    names = [re.sub(r"\(anonymous namespace\)::", "", s) for s in seen(text)]
    names = [s for s in names if s in NAMED or " " in s or s == "resumed"]
    right = len(names) == len(expected) and all(re.fullmatch(e, n) for e, n in zip(expected, names))
    check(right, f"backtrace of {fiber}:\n{names}\nexpected:\n{expected}\n{text}")
    return text


NAMED = ("look_here parks_here calls_parks parks_in_crowd suspends_outer resumes_inner resumes_last resumes_elsewhere "
         "waits_for_end awaits_deep awaits_between main").split()
INNER_BODY = r"weft::stackful<weft::task<void>>\((inner_body\(event&\)::.*|.*inner_body.*)\)"
OUTER_BODY = r"weft::stackful<weft::task<void>>\((outer_body\(event&\)::.*|.*outer_body.*)\)"


def check_all(debug_info, selection, state_commands, place=r" at .*fibers\.cpp:\d+"):
    found = fibers()
    states = {name: [state for _, state in entries] for name, entries in found.items()}
    number = {name: entries[0][0] for name, entries in found.items()}
    place = place if debug_info else ""
    expected = {
        "parked": rf"suspended in parks_here ?\(.*\){place}",
        "": "not begun",
        "guarded": rf"suspended in parks_here ?\(.*\){place}",
        "large": rf"suspended in parks_here ?\(.*\){place}",
        "fresh": "not begun",
        "ended": "done",
        "outer": rf"suspended in resumes_inner ?\(.*\){place}",
        "inner": rf"suspended with 0x\w+ in suspends_outer ?\(.*\){place}",
        "inner body": rf"suspended in awaits_deep ?\(.*\){place}",
        "outer body": rf"suspended in awaits_between ?\(.*\){place}",
        "first": rf"running on thread 1, has resumed 0x\w+ in resumes_last ?\(.*\){place}",
        "last": "running on thread 1",
        "elsewhere": "running on thread 2",
    }
    crowd = states.pop("crowd", [])
    check(len(crowd) == 200 and all(re.fullmatch(rf"suspended in parks_in_crowd ?\(.*\){place}", s) for s in crowd),
          f"200 fibers of a crowd: {len(crowd)}, {crowd[:1]}")
    check(sorted(states) == sorted(expected), f"these fibers and no other: {sorted(states)}")
    for name, state in expected.items():
        check(len(states.get(name, [])) == 1 and re.fullmatch(state, states[name][0]), f"{name!r}: {states.get(name)}")
    if len(number) != len(expected) + 1:
        return

    for command in selection:
        told(command)
    before = [told(command) for command in state_commands]
    fibers()
    text = check_backtrace(number["parked"], ["of parked", "parks_here", "calls_parks"])
    check(bool(re.search(place, text)), text)
    check_backtrace(number["guarded"], ["of guarded", "parks_here", "calls_parks"])
    check_backtrace(number["large"], ["of large", "parks_here", "calls_parks"])
    inner = ["of inner", "suspends_outer", "resumed in outer", "resumes_inner"]
    check_backtrace(number["inner"], inner)
    check_backtrace(number["outer"], inner)
    check_backtrace(number["last"], ["of last", "look_here", "resumed in first", "resumes_last", "resumed", "main"])
    check_backtrace(number["first"], ["of first", "resumes_last", "resumed", "main"])
    check_backtrace(number["elsewhere"], ["of elsewhere", "waits_for_end", "resumed", "resumes_elsewhere"])
    outwards = ["awaits_between", f"driven by {OUTER_BODY}", r"awaited by at_the_root\(event&\)",
                r"awaited by start\(weft::task<void>&\)"]
    check_backtrace(number["outer body"], ["of outer body"] + outwards)
    check_backtrace(number["inner body"],
                    ["of inner body", "awaits_deep", f"driven by {INNER_BODY}", r"awaited by between\(event&\)",
                     f"awaited by {OUTER_BODY}", "awaited in outer body", outwards[0]] + outwards[2:])
    check_backtrace(number["fresh"], ["of fresh"])
    check_backtrace(number["ended"], ["of ended"])
    backtraces = len(re.findall("^Fiber 0x", told("weft-backtrace all"), re.M))
    check(backtraces == len(crowd) + len(expected), f"backtraces of all: {backtraces}")
    check([told(command) for command in state_commands] == before, f"something was changed: {before}")

    check("there is no fiber at 0x3039" in told("weft-backtrace 12345"), "a wrong number is refused")
    check("takes no argument" in told(LIST + " some"), "an option is refused")
