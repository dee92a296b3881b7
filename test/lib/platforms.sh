# shellcheck shell=bash
# Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).

# Platforms: CMake presets that are configured, built and tested, one after the other. A failure is shown, counted,
# and does not keep the next platform from running.

jobs=${JOBS:-$(getconf _NPROCESSORS_ONLN)}
readonly jobs
summary=()
passed=0
failed=0

platform() { # preset, how it is compiled
    local preset=$1 manner=$2 result
    if ! step "$preset" configure cmake --preset "$preset" ${CI:+-DCMAKE_COMPILE_WARNING_AS_ERROR=ON}; then
        result="could not be configured"
        failed=$((failed + 1))
    elif ! step "$preset" build cmake --build --preset "$preset" --parallel "$jobs"; then
        result="could not be built"
        failed=$((failed + 1))
    else
        step "$preset" test ctest --preset "$preset" --parallel "$jobs" || true
        count_tests "$(log_file "$preset-test")"
        result=$tests_result
    fi
    summary+=("$(printf '%-21s %-13s %-32s %s' "$preset" "$(compiler_of "$preset")" "$manner" "$result")")
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

running= # the process of the step, which an interrupt has to reach
trap 'kill $running; exit 130' INT TERM

# Runs a command with its output in build/log/, shows how far it is, and the end of the output if it fails.
step() { # platform, name, command...
    local platform=$1 name=$2 start=$SECONDS log result=0
    shift 2
    log=$(log_file "$platform-$name")
    "$@" >"$log" 2>&1 </dev/null &
    running=$!
    watch "$running" "$platform: $name" "$log"
    wait "$running" || result=1
    running=
    if [[ $result -eq 0 ]]; then
        say "$platform: $name done in $((SECONDS - start)) s"
    else
        say "$platform: $name FAILED after $((SECONDS - start)) s; the end of $log:"
        tail -n 200 "$log" >&2
    fi
    return "$result"
}

# Follows a running process: how far it is, each second on a terminal, every half minute elsewhere.
watch() { # process, title, log
    local seconds=0 line
    while kill -0 "$1" 2>/dev/null; do
        sleep 1
        seconds=$((seconds + 1))
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
    [[ ${#summary[@]} -gt 0 ]] || return 0
    printf '\n'
    printf '%s\n' "${summary[@]}"
    printf '\n%s passed, %s failed\n' "$passed" "$failed"
    [[ $failed -eq 0 ]]
}
