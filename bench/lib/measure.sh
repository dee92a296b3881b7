# shellcheck shell=bash
# Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).

# How often everything is run. The program is started anew each time, with GCC and Clang in turn: a process has one
# layout of its addresses, and a machine its better and worse minutes.

: "${root:?}" "${jobs:?}"

readonly figures=$root/build/bench/figures

# Those that take long: by themselves, and not as often.
readonly large='coroutines:100000/'
readonly echo='^asio'

# Those that look at the memory of the process need one of their own; a million coroutines fill the machine.
readonly alone='^memory|coroutines:1000000/'
readonly at_a_million='^memory.*coroutines:100000/|^memory.*/(jump_fcontext|boost::context::fiber|weft::fiber|weft::fiber with small stacks|weft::stackful|plain coroutine)/coroutines:1000000/|^(round robin|random order)/(jump_fcontext|weft::fiber|weft::fiber with small stacks|plain coroutine)/coroutines:1000000/'

build_bench() { # preset
    if ! step "$1" configure cmake --preset "$1" ||
        ! step "$1" build cmake --build --preset "$1" --parallel "$jobs" ||
        ! step "$1" test ctest --preset "$1"; then
        give_up "The benchmarks could not be built, or do not run."
    fi
}

measure() { # presets...
    rm -rf "$figures"
    rounds 5 small "-$alone|$large|$echo" --benchmark_min_time=0.01 --benchmark_repetitions=3 -- "$@"
    rounds 5 echo "$echo" --benchmark_repetitions=15 -- "$@" # it is mostly the kernel's: a single one varies by a tenth
    rounds 3 large "^r.*$large" -- "$@"
    local preset
    for preset in "$@"; do measure_alone "$preset"; done
}

measure_quickly() { # presets...
    rm -rf "$figures"
    rounds 3 small "-$alone|$large" --benchmark_min_time=0.002 -- "$@"
    rounds 1 large "^r.*/(jump_fcontext|weft::fiber|weft inline switch)/$large" -- "$@"
}

# Starts the program so many times for each preset, in turn.
rounds() { # how many, name, which benchmarks, options... -- presets...
    local count=$1 name=$2 which=$3 options=() round preset
    shift 3
    while [[ $1 != -- ]]; do options+=("$1"); shift; done
    shift
    for ((round = 1; round <= count; ++round)); do
        for preset in "$@"; do
            say "measuring: $preset, $name, $round of $count"
            run_process "$preset" "$name-$round" "$which" "${options[@]}"
        done
    done
}

measure_alone() { # preset
    local name number=0
    while read -r name; do
        number=$((number + 1))
        say "measuring: $1, ${name%%/iterations*}"
        run_process "$1" "alone-$number" "^$name\$"
    done < <(program "$1" --benchmark_list_tests --benchmark_filter="$at_a_million")
}

run_process() { # preset, name of the file, which benchmarks, options...
    local folder=$figures/$1 file=$figures/$1/$2.json
    mkdir -p "$folder"
    program "$1" --benchmark_filter="$3" --benchmark_enable_random_interleaving=true --benchmark_out="$file" \
        --benchmark_out_format=json "${@:4}" >"$(log_file "$1-measure")" 2>&1 || {
        tail -n 20 "$(log_file "$1-measure")" >&2
        give_up "The benchmarks did not run to their end."
    }
}

program() { # preset, options...
    "build/$1/bench/weft_bench" "${@:2}"
}

machine() {
    local model
    model=$(lscpu | sed -n 's/^Model name: *//p')
    echo "$model, $(nproc) processors, $(uname -sr)"
}

report() { # yes to record, options of table.py... -- presets...
    local record=$1 options=() result=0 python
    shift
    while [[ $1 != -- ]]; do options+=("$1"); shift; done
    shift
    python3 bench/table.py --machine "$(machine)" --results build/bench/results.json "${options[@]}" \
        "${@/#/$figures/}" >build/bench/table.md || result=$?
    cat build/bench/table.md
    [[ $result -le 1 ]] || give_up "The table could not be made."
    python=$(find_plotting_python)
    if [[ -n $python ]]; then
        "$python" bench/plot.py build/bench/results.json build/bench || give_up "The plots could not be drawn."
    elif [[ $record == yes ]]; then
        give_up "A record has plots: install matplotlib for python3, then run this again."
    fi
    if [[ $record == yes ]]; then record; fi
    return "$result"
}

# Puts the last run into bench/README.md, between its two marks, and its plots into bench/plots.
record() {
    local readme=bench/README.md
    mkdir -p bench/plots
    cp build/bench/*.svg build/bench/*.png bench/plots
    sed -i -e '/^<!-- last run -->$/,/^<!-- end of last run -->$/{//!d}' -e '/^<!-- last run -->$/r build/bench/table.md' "$readme"
    python3 "$root/test/doc/readmes.py" --update >/dev/null || true # other complaints are the tests' matter
    say "recorded in $readme, README.md and bench/plots"
}
