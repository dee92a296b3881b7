# shellcheck shell=bash
# Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).

# What the build needs of this machine. need_native and need_aarch64 look for each thing itself, not for a package,
# and install through apt what is not there.

: "${root:?}" # set by test/run and bench/run

readonly oldest_cmake=3.25 oldest_gcc=12 oldest_clang=16 oldest_boost=1.81 oldest_llvm=14
readonly gxx=${WEFT_GXX:-g++} # the same choice as lib/cmake/gcc.cmake makes

missing=() # packages to install

need_native() {
    missing=()
    need_tools
    need_program "$gxx" "${gxx##*/}"
    need_clang
    need_boost
    need_header archive.h libarchive-dev
    need_header openssl/evp.h libssl-dev
    need_header asio/awaitable.hpp libasio-dev
    need_header CLI/CLI.hpp libcli11-dev
    need_header expat.h libexpat1-dev
    need_header sqlite3.h libsqlite3-dev
    need_header lua5.4/lua.hpp liblua5.4-dev
    need_header zstd.h libzstd-dev
    want_libraries
    need_program doxygen doxygen
    want_qcoro
    want_linkers
    need_archivers
    install_missing
    check_versions
    use_ccache
}

need_aarch64() {
    missing=()
    need_tools
    need_program aarch64-linux-gnu-g++ g++-aarch64-linux-gnu
    need_clang
    need_program qemu-aarch64 qemu-user
    want_linkers
    need_archivers
    install_missing
    check_versions
    use_ccache
    need_aarch64_packages
}

need_sanitizers() { # GCC's come with it
    missing=()
    need_program valgrind valgrind
    need_header valgrind/valgrind.h valgrind
    need_clang_sanitizers
    install_missing
}

need_clang_sanitizers() { # they are in a package of their own
    local clang
    clang=$(find_clang)
    echo 'int main() {}' | "$clang" -fsanitize=memory -x c++ - -o /dev/null 2>/dev/null ||
        missing+=("libclang-rt-$("$clang" -dumpversion | cut -d . -f 1)-dev")
}

need_bench() {
    missing=()
    need_tools
    need_program "$gxx" "${gxx##*/}"
    need_clang
    need_boost
    need_header benchmark/benchmark.h libbenchmark-dev
    need_program python3 python3
    install_missing
    check_versions
    use_ccache
}

# What draws the plots of bench/run, on its own: what cannot be had here keeps nothing from being built, tested or
# measured. Named with it is what Debian 12's apt does not find by itself: python3-fonttools wants python3-munkres or
# python3-scipy, and apt tries only the second, which conflicts with Boost 1.81.
want_plots() {
    [[ -z $(find_plotting_python) ]] || return 0
    missing=(python3-matplotlib)
    ! has_apt || [[ -z $(apt-cache show python3-munkres 2>/dev/null) ]] || missing+=(python3-munkres)
    (install_missing) || say "no plots will be drawn: matplotlib could not be installed"
}

# A Python that draws plots: not always the first one in PATH is the one that apt installs packages for.
find_plotting_python() {
    local candidate
    for candidate in python3 /usr/bin/python3; do
        if "$candidate" -c 'import matplotlib' 2>/dev/null; then
            echo "$candidate"
            return
        fi
    done
}

need_tools() {
    need_program cmake cmake
    need_program ninja ninja-build
    want_ccache
}

want_ccache() { # everything works without it
    ! command -v ccache >/dev/null || return 0
    refresh_apt
    ! has_apt || [[ -z $(apt-cache show ccache 2>/dev/null) ]] || missing+=(ccache)
}

# Where ccache is, what two builds compile alike is compiled once. It keeps that under build/, unless the environment names
# another place, or another launcher.
use_ccache() {
    command -v ccache >/dev/null || return 0
    export CMAKE_C_COMPILER_LAUNCHER=${CMAKE_C_COMPILER_LAUNCHER-ccache}
    export CMAKE_CXX_COMPILER_LAUNCHER=${CMAKE_CXX_COMPILER_LAUNCHER-ccache}
    export CCACHE_DIR=${CCACHE_DIR-$root/build/ccache}
    export CCACHE_DEPEND=1 CCACHE_NOHASHDIR=1 # nothing is preprocessed for its sake; the build's folder makes no difference
}

need_archivers() { # which the example unpack is compared with
    need_program tar tar
    need_program gzip gzip
    need_program xz xz-utils
    need_program unzip unzip
}

need_program() { # program, package
    command -v "$1" >/dev/null || missing+=("$2")
}

need_header() { # header, package
    has_header "$1" || missing+=("$2")
}

want_header() { # header, package; something is left out where apt has not got it
    has_header "$1" || ! has_apt || [[ -z $(apt-cache show "$2" 2>/dev/null) ]] || missing+=("$2")
}

need_clang() {
    [[ -z $(find_clang) ]] || return 0
    if [[ ${WEFT_CLANGXX-} =~ ^clang\+\+-([0-9]+)$ ]]; then # asked for by name, not by path
        missing+=("clang-${BASH_REMATCH[1]}")
        return
    fi
    refresh_apt
    missing+=("$(offered_clang)")
}

# One test is left out where apt has no QCoro.
want_qcoro() {
    has_library libQCoro6Core.so || ! has_apt || [[ -z $(apt-cache show qcoro-qt6-dev 2>/dev/null) ]] ||
        missing+=(qcoro-qt6-dev)
}

# What the example stack_need measures and unit.exception_detour calls, as far as apt has it.
want_libraries() {
    want_header png.h libpng-dev
    want_header zlib.h zlib1g-dev
    want_header bzlib.h libbz2-dev
}

# Tests link with each linker that is there.
want_linkers() {
    local linker
    for linker in lld mold; do
        [[ -n $(compgen -c "ld.$linker") ]] || ! has_apt || [[ -z $(apt-cache show "$linker" 2>/dev/null) ]] ||
            missing+=("$linker")
    done
}

need_boost() {
    if ! at_least "$(boost_version)" "$oldest_boost"; then
        refresh_apt
        local version
        version=$(offered_boost)
        missing+=("libboost$version-dev" "libboost-context$version-dev" "libboost-fiber$version-dev")
        return
    fi
    local part
    for part in context fiber; do
        has_library "libboost_$part.so" || missing+=("libboost-$part$(boost_version)-dev")
    done
}

has_header() {
    command -v "$gxx" >/dev/null && "$gxx" -E -include "$1" -x c++ /dev/null >/dev/null 2>&1
}

has_library() { # the compiler prints a path for a library that it finds, else the bare name
    command -v "$gxx" >/dev/null && [[ $("$gxx" -print-file-name="$1") == */* ]]
}

# The version of the installed Boost headers, as 1.81; nothing when there are none.
boost_version() {
    has_header boost/version.hpp || return 0
    local number
    number=$("$gxx" -E -P -include boost/version.hpp -x c++ - <<<BOOST_VERSION | tail -n 1)
    echo "$((number / 100000)).$((number / 100 % 1000))"
}

# The oldest installed clang++ that is new enough; the same choice as lib/cmake/find_clang.cmake makes.
find_clang() {
    local candidate candidates=(clang++-{16..40} clang++)
    [[ -z ${WEFT_CLANGXX-} ]] || candidates=("$WEFT_CLANGXX")
    for candidate in "${candidates[@]}"; do
        if command -v "$candidate" >/dev/null && at_least "$("$candidate" -dumpversion)" "$oldest_clang"; then
            echo "$candidate"
            return
        fi
    done
}

# The newest LLVM whose headers are there: the llvm-config of it.
find_llvm() {
    local candidate candidates=(llvm-config-{40..14} llvm-config)
    for candidate in "${candidates[@]}"; do
        if command -v "$candidate" >/dev/null && at_least "$("$candidate" --version)" "$oldest_llvm" &&
            [[ -e $("$candidate" --includedir)/llvm/MC/MCDisassembler/MCDisassembler.h ]]; then
            echo "$candidate"
            return
        fi
    done
}

# The oldest Clang that is new enough among apt's packages.
offered_clang() {
    local version
    for version in $(apt_versions 'clang-[0-9]+' 's/^clang-//'); do
        if at_least "$version" "$oldest_clang"; then
            echo "clang-$version"
            return
        fi
    done
    echo "clang-$oldest_clang"
}

# The Boost that apt installs by default if that is new enough, else the newest one that it offers.
offered_boost() {
    local version newest=$oldest_boost
    version=$(! has_apt || apt-cache policy libboost-dev | sed -n 's/^ *Candidate: \([0-9]*\.[0-9]*\).*/\1/p')
    if at_least "$version" "$oldest_boost"; then
        echo "$version"
        return
    fi
    for version in $(apt_versions 'libboost[0-9.]+-dev' 's/^libboost//; s/-dev$//'); do
        if at_least "$version" "$newest"; then newest=$version; fi
    done
    echo "$newest"
}

# The versions in the names of the packages that match $1, cut out by the sed script $2, in ascending order.
apt_versions() {
    ! has_apt || apt-cache search --names-only "^$1\$" | cut -d ' ' -f 1 | sed "$2" | sort --version-sort
}

at_least() { # version, minimum
    [[ -n $1 ]] && printf '%s\n' "$2" "$1" | sort --check=quiet --version-sort
}

has_apt() {
    command -v apt-get >/dev/null
}

apt_is_fresh=no
refresh_apt() { # once in a run, and only when something is missing
    has_apt && [[ $apt_is_fresh == no ]] || return 0
    say "asking apt what it offers"
    as_root apt-get update -qq -o DPkg::Lock::Timeout=300 >&2 </dev/null
    apt_is_fresh=yes
}

install_missing() {
    [[ ${#missing[@]} -gt 0 ]] || return 0
    has_apt || give_up "Install what Debian calls ${missing[*]}, then run this again."
    refresh_apt
    say "installing ${missing[*]}"
    as_root env DEBIAN_FRONTEND=noninteractive \
        apt-get install -qq --yes -o DPkg::Lock::Timeout=300 --no-install-recommends --no-remove "${missing[@]}" >"$(log_file install)" 2>&1 </dev/null || {
        cat "$(log_file install)" >&2
        give_up "apt could not install ${missing[*]}; install them, then run this again."
    }
}

as_root() {
    if [[ $EUID -eq 0 ]]; then
        "$@"
    elif command -v sudo >/dev/null; then
        sudo ${CI:+--non-interactive} "$@"
    else
        give_up "Run this as root, or install ${missing[*]} and what else is missing, then run it again."
    fi
}

need_aarch64_packages() {
    local folder=$root/build/aarch64-packages fetch=$root/test/lib/fetch_aarch64_packages
    [[ ! $folder/complete -nt $fetch ]] || return 0
    has_apt || give_up "Unpack the arm64 packages of Boost, CLI11, Expat, libarchive, Lua, OpenSSL, SQLite and Zstandard under $folder/root," \
        "create the file $folder/complete, then run this again."
    step aarch64 packages "$fetch" "$folder" ||
        give_up "The arm64 packages could not be fetched; check the network and /etc/apt, then run this again."
}

check_versions() {
    local version
    version=$(cmake --version | sed -n '1s/^cmake version //p')
    at_least "$version" "$oldest_cmake" || give_up "CMake $version is too old: install CMake $oldest_cmake or later."
    if command -v "$gxx" >/dev/null; then
        version=$("$gxx" -dumpfullversion)
        at_least "$version" "$oldest_gcc" || give_up "GCC $version is too old: install GCC $oldest_gcc or later."
    fi
}

log_file() {
    mkdir -p "$root/build/log"
    echo "$root/build/log/$1.txt"
}

say() {
    printf '%s\n' "-- $*" >&2
}

give_up() {
    printf '%s: %s\n' "${0#"$root/"}" "$*" >&2
    exit 2
}
