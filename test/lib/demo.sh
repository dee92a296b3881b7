# shellcheck shell=bash
# Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).

: "${root:?}" "${jobs:?}"

run_demo() { # the program's own arguments; without any, one of most of /usr/include
    step native configure cmake --preset native
    step native build cmake --build --preset native --parallel "$jobs" --target unpack
    if [[ $# -eq 0 ]]; then
        set -- "$root/build/demo/include.tar.gz"
        mkdir -p "$root/build/demo"
        say "packing /usr/include into $1"
        # Some thousand files are enough to see: Boost's 15,000 headers and the compilers' own are left out.
        tar --create --gzip --file "$1" --directory /usr --exclude include/boost --exclude 'include/llvm*' \
            --exclude 'include/clang*' include
    fi
    (cd "${working_folder:?}" && "$root/build/native/test/example/unpack" "$@")
}
