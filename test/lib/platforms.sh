# shellcheck shell=bash
# Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).

# Platforms: CMake presets that are configured, built and tested. While the tests of one run, most of which wait, the next
# is built. A failure is shown, counted, and does not keep the next platform from running.

jobs=${JOBS:-$(getconf _NPROCESSORS_ONLN)}
readonly jobs
summary=()
times=() # platform, step, seconds
built=() # presets
passed=0
failed=0
configure_options=(${CI:+-DCMAKE_COMPILE_WARNING_AS_ERROR=ON})

platform() { # preset, how it is compiled
    local preset=$1 manner=$2 result
    if ! step "$preset" configure cmake --preset "$preset" ${configure_options[@]+"${configure_options[@]}"}; then
        result="could not be configured"
    elif ! step "$preset" build cmake --build --preset "$preset" --parallel "$jobs"; then
        result="could not be built"
    else
        built+=("$preset")
        finish_tests
        start_tests "$preset" "$manner"
        return
    fi
    failed=$((failed + 1))
    finish_tests # so that the summary keeps the order
    summarize "$preset" "$manner" "$result"
}

summarize() { # preset, how it is compiled, what came of it
    summary+=("$(printf '%-21s %-13s %-32s %s' "$1" "$(compiler_of "$1")" "$2" "$3")")
}

tests= # the process of the tests that run beside the steps
start_tests() { # preset, how it is compiled
    tested=$1
    tested_manner=$2
    tests_start=$SECONDS
    launch "$(log_file "$1-test")" ctest --preset "$1" --parallel "$jobs"
    tests=$launched
}

finish_tests() {
    [[ -n $tests ]] || return 0
    watch "$tests" "$tested: test" "$(log_file "$tested-test")"
    end_tests
}

# What came of the tests that have ended.
end_tests() {
    local result=0
    wait "$tests" || result=1
    tests=
    step_ended "$tested" test "$result" "$tests_start"
    count_tests "$(log_file "$tested-test")"
    summarize "$tested" "$tested_manner" "$tests_result"
}

# Adds ctest's own count to the totals and describes it in tests_result.
count_tests() { # ctest's output
    local count total bad
    count=$(sed -nE 's/^.* ([0-9]+) tests? failed out of ([0-9]+)$/\1 \2/p' "$1")
    read -r bad total <<<"${count:-1 1}"
    passed=$((passed + total - bad))
    failed=$((failed + bad))
    tests_result="$((total - bad)) tests passed"
    if [[ $bad -gt 0 ]]; then tests_result+=", $bad FAILED"; fi
}

compiler_of() { # preset
    local found
    found=$(cat "build/$1"/CMakeFiles/*/CMakeCXXCompiler.cmake 2>/dev/null) || return 0
    sed -nE -e 's/^set\(CMAKE_CXX_COMPILER_ID "(.*)"\)/\1/p' -e 's/^set\(CMAKE_CXX_COMPILER_VERSION "(.*)"\)/\1/p' \
        <<<"$found" | sed 's/^GNU$/GCC/' | paste -s -d ' ' -
}

running=  # the process of the step
launched= # the last one that launch() began
trap 'interrupted' INT TERM

# Begins a command in a process group of its own: it and what it has begun can be ended together.
launch() { # log, command...
    local log=$1
    shift
    set -m
    "$@" >"$log" 2>&1 </dev/null &
    launched=$!
    set +m
}

interrupted() {
    local process
    for process in $running $tests; do kill -- "-$process" 2>/dev/null; done
    exit 130
}

# Runs a command with its output in build/log/, shows how far it is, and the end of the output if it fails.
step() { # platform, name, command...
    local platform=$1 name=$2 start=$SECONDS log result=0
    shift 2
    log=$(log_file "$platform-$name")
    launch "$log" "$@"
    running=$launched
    watch "$running" "$platform: $name" "$log"
    wait "$running" || result=1
    running=
    step_ended "$platform" "$name" "$result" "$start"
    return "$result"
}

# Says how a step ended, and notes how long it took.
step_ended() { # platform, name, result, when it began
    local seconds=$((SECONDS - $4)) log
    log=$(log_file "$1-$2")
    times+=("$1 $2 $seconds")
    if [[ $3 -eq 0 ]]; then
        say "$1: $2 done in $seconds s"
    else
        say "$1: $2 FAILED after $seconds s; the end of $log:"
        tail -n 200 "$log" >&2
    fi
}

# Follows a running process: how far it is, each second on a terminal, every half minute elsewhere. Tests that end
# meanwhile are reported at once.
watch() { # process, title, log
    local seconds=0 line
    while kill -0 "$1" 2>/dev/null; do
        sleep 1
        seconds=$((seconds + 1))
        if [[ -n $tests && $1 != "$tests" ]] && ! kill -0 "$tests" 2>/dev/null; then end_tests; fi
        line=$(grep -E '^(\[| *[0-9]+/)' "$3" | tail -n 1 | cut -c -60) || true # ninja's and ctest's counts
        if [[ -t 2 ]]; then
            printf '\r\033[K-- %s: %s s  %s\r' "$2" "$seconds" "$line" >&2
        elif [[ $((seconds % 30)) -eq 0 ]]; then
            say "$2: $seconds s  $line"
        fi
    done
    if [[ -t 2 ]]; then printf '\033[K' >&2; fi
}

print_summary() {
    finish_tests
    [[ ${#summary[@]} -gt 0 ]] || return 0
    printf '\n'
    printf '%s\n' "${summary[@]}"
    print_times
    printf '\n%s passed, %s failed\n' "$passed" "$failed"
    [[ $failed -eq 0 ]]
}

# A line for each platform: its steps, in the order in which they ended.
print_times() {
    printf '\nSeconds that each step took, and all of them together (tests run while the next platform is built):\n'
    printf '%s\n' ${times[@]+"${times[@]}"} | awk '
        NF == 3 && !($1 in steps) { order[++count] = $1 }
        NF == 3 { steps[$1] = steps[$1] sprintf("  %s %d", $2, $3) }
        END { for (i = 1; i <= count; ++i) printf "  %-23s%s\n", order[i], steps[order[i]] }'
    printf '  %-23s  %s\n' all "$SECONDS"
}
