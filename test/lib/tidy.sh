# shellcheck shell=bash
# shellcheck disable=SC2034,SC2154 # missing is read in packages.sh, failed and passed set in platforms.sh
# Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).

: "${root:?}" "${jobs:?}"

# clang-tidy, with the checks of .clang-tidy, over the library and over each header that users include.
run_tidy() {
    local folder=$root/build/tidy tidy header result="nothing to complain about"
    need_native
    need_tidy
    tidy=$(find_tidy)
    step tidy configure cmake -S "$root" -B "$folder" -G Ninja -DCMAKE_EXPORT_COMPILE_COMMANDS=ON \
        -DCMAKE_CXX_COMPILER="$(find_clang)" -DWEFT_BUILD_TESTS=OFF -DWEFT_BUILD_EXAMPLES=OFF -DWEFT_SENDERS=OFF ||
        give_up "The build that clang-tidy reads could not be configured."
    rm -rf "$folder/files" "$folder/headers"
    mkdir -p "$folder/headers"
    sed -nE 's/^ *"file": "(.*\.cpp)",?$/\1/p' "$folder/compile_commands.json" >"$folder/files"
    for header in include/weft/*.hpp; do
        case ${header##*/} in
            senders.hpp | standalone_asio.hpp) continue ;; # each wants a library that few machines have
        esac
        printf '#include <weft/%s>\n' "${header##*/}" >"$folder/headers/$(basename "$header" .hpp).cpp"
    done
    ls "$folder"/headers/*.cpp >>"$folder/files"
    if ! step tidy check tidy_files "$tidy" "$folder"; then
        result=FAILED
        failed=$((failed + 1))
    else
        passed=$((passed + 1))
    fi
    summary+=("$(printf '%-21s %s files: %s' tidy "$(wc -l <"$folder/files" | tr -d ' ')" "$result")")
}

# A header has no entry among the commands: the compiler's flags are named, for all alike.
tidy_files() { # clang-tidy, folder
    xargs -n 1 -P "$jobs" "$1" --quiet --config-file="$root/.clang-tidy" --extra-arg=-std=c++20 \
        --extra-arg="-I$root/include" --extra-arg="-I$2/lib/include" -p "$2" <"$2/files"
}

need_tidy() {
    local clang
    missing=()
    [[ -n $(find_tidy) ]] || {
        clang=$(find_clang)
        missing+=("clang-tidy-$("$clang" -dumpversion | cut -d . -f 1)")
    }
    install_missing
}

# The clang-tidy of the same version as the Clang, or whichever is installed.
find_tidy() {
    local candidate clang
    clang=$(find_clang)
    for candidate in "clang-tidy-$("$clang" -dumpversion | cut -d . -f 1)" clang-tidy; do
        if command -v "$candidate" >/dev/null; then
            echo "$candidate"
            return
        fi
    done
}
