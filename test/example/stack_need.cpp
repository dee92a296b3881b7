// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).

// How much stack do the libraries of this system need?
//
// Each piece of work runs in a body on a stack of 64 MiB that nobody has used before, and weft::stack_usage says how
// much of it was touched: whole pages, those of the body itself included. Work that a library does within its own
// limits, and that whoever sends a statement, a script or a document decides on, must fit into the default size; where
// it does not, this program says so and fails. (std::regex is known for more.) Libraries that were not installed when
// this was compiled are left out.

#include <weft/fiber.hpp>
#include <weft/stack.hpp>
#include <weft/stack_overflow.hpp>

#include <array>
#include <cfloat>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <regex>
#include <stdexcept>
#include <string>
#include <vector>

#include <netdb.h>

#if STACK_NEED_SQLITE
#    include <sqlite3.h>
#endif
#if STACK_NEED_LUA
#    include <lua.hpp>
#endif
#if STACK_NEED_OPENSSL
#    include <openssl/evp.h>
#    include <openssl/rsa.h>
#    include <openssl/x509.h>
#endif
#if STACK_NEED_ARCHIVE
#    include <archive.h>
#    include <archive_entry.h>
#endif
#if STACK_NEED_EXPAT
#    include <expat.h>
#endif
#if STACK_NEED_ZLIB
#    include <zlib.h>
#endif
#if STACK_NEED_ZSTD
#    include <zstd.h>
#endif
#if STACK_NEED_BZIP2
#    include <bzlib.h>
#endif

namespace {

void check(bool worked, const char* what) {
    if (!worked) throw std::runtime_error{what};
}

bool all_fit = true;

enum class fits { yes, no_matter };

/// Runs it in a body and prints the line of the table.
template <class Work>
void measure(const char* what, Work work, fits into_default = fits::yes) {
    weft::fiber body{std::allocator_arg, weft::guarded_stack{std::size_t{64} * 1024 * 1024}, work};
    body.resume();
    const std::size_t used = weft::stack_usage(body);
    const bool fitting = used <= weft::default_stack_size();
    if (into_default == fits::yes) all_fit &= fitting;
    std::printf("%-48s %9zu%s\n", what, used, fitting ? "" : "   more than the default");
    std::fflush(stdout);
}

std::string repeated(const std::string& part, int times) {
    std::string all;
    for (int n = 0; n < times; ++n) all += part;
    return all;
}

#if STACK_NEED_SQLITE
void sql(const std::string& statement) {
    sqlite3* opened = nullptr;
    check(sqlite3_open(":memory:", &opened) == SQLITE_OK, "SQLite cannot open its memory");
    const std::unique_ptr<sqlite3, decltype([](sqlite3* s) { sqlite3_close(s); })> database{opened};
    check(sqlite3_exec(opened, statement.c_str(), nullptr, nullptr, nullptr) == SQLITE_OK,
          "SQLite refuses the statement");
}
#endif

#if STACK_NEED_LUA
// What runs into Lua's own limit of nested calls is an error that the script may catch.
void lua(const char* script) {
    const std::unique_ptr<lua_State, decltype([](lua_State* l) { lua_close(l); })> state{luaL_newstate()};
    luaL_openlibs(state.get());
    check(luaL_loadstring(state.get(), script) == LUA_OK && lua_pcall(state.get(), 0, 0, 0) == LUA_OK,
          "Lua refuses the script");
}
#endif

#if STACK_NEED_OPENSSL
void sign_certificate() {
    const std::unique_ptr<EVP_PKEY, decltype([](EVP_PKEY* k) { EVP_PKEY_free(k); })> key{EVP_RSA_gen(2048)};
    const std::unique_ptr<X509, decltype([](X509* c) { X509_free(c); })> certificate{X509_new()};
    X509_set_version(certificate.get(), 2);
    X509_gmtime_adj(X509_getm_notBefore(certificate.get()), 0);
    X509_gmtime_adj(X509_getm_notAfter(certificate.get()), 3600);
    X509_NAME_add_entry_by_txt(X509_get_subject_name(certificate.get()), "CN", MBSTRING_ASC,
                               reinterpret_cast<const unsigned char*>("weft"), -1, -1, 0);
    X509_set_issuer_name(certificate.get(), X509_get_subject_name(certificate.get()));
    X509_set_pubkey(certificate.get(), key.get());
    check(X509_sign(certificate.get(), key.get(), EVP_sha256()) > 0, "OpenSSL does not sign");
    check(X509_verify(certificate.get(), key.get()) == 1, "OpenSSL does not trust its own signature");
}
#endif

#if STACK_NEED_ARCHIVE
void pack_and_unpack(int (*add_filter)(archive*)) {
    std::vector<char> packed(1 << 20);
    std::size_t size = 0;
    const std::string content = repeated("warp and weft ", 1000);
    {
        const std::unique_ptr<archive, decltype([](archive* a) { archive_write_free(a); })> out{archive_write_new()};
        check(add_filter(out.get()) >= ARCHIVE_WARN, "libarchive lacks a filter");
        archive_write_set_format_pax_restricted(out.get());
        archive_write_open_memory(out.get(), packed.data(), packed.size(), &size);
        const std::unique_ptr<archive_entry, decltype([](archive_entry* e) { archive_entry_free(e); })> entry{
            archive_entry_new()};
        archive_entry_set_pathname(entry.get(), "loom/weft");
        archive_entry_set_size(entry.get(), static_cast<la_int64_t>(content.size()));
        archive_entry_set_filetype(entry.get(), AE_IFREG);
        archive_entry_set_perm(entry.get(), 0644);
        archive_write_header(out.get(), entry.get());
        archive_write_data(out.get(), content.data(), content.size());
        check(archive_write_close(out.get()) == ARCHIVE_OK, "libarchive cannot write");
    }
    const std::unique_ptr<archive, decltype([](archive* a) { archive_read_free(a); })> in{archive_read_new()};
    archive_read_support_filter_all(in.get());
    archive_read_support_format_all(in.get());
    archive_entry* entry = nullptr;
    check(archive_read_open_memory(in.get(), packed.data(), size) == ARCHIVE_OK &&
              archive_read_next_header(in.get(), &entry) == ARCHIVE_OK,
          "libarchive cannot read what it has written");
    std::string read(content.size(), '\0');
    check(archive_read_data(in.get(), read.data(), read.size()) == static_cast<la_ssize_t>(read.size()) &&
              read == content,
          "libarchive reads something else");
}
#endif

} // namespace

int main() {
    weft::report_stack_overflow();
    std::printf("The default stack has %zu bytes.\n\n%-48s %9s\n", weft::default_stack_size(), "what a body does",
                "bytes");
    measure("nothing", [] {});

#if STACK_NEED_SQLITE
    measure("SQLite: a sum of 990 terms", [] { sql("select 1" + repeated("+1", 989)); });
    measure("SQLite: 200 compound selects", [] { sql("select 1" + repeated(" union all select 1", 199)); });
#endif
#if STACK_NEED_LUA
    measure("Lua: string.gsub, nested up to Lua's limit", [] {
        lua("local function f(n) return (string.gsub('a', 'a', function() if n > 0 then f(n - 1) end end)) end "
            "pcall(f, 1000)");
    });
    measure("Lua: pcall, nested up to Lua's limit", [] {
        lua("local function f(n) if n > 0 then local good, why = pcall(f, n - 1); assert(good, why) end end pcall(f, "
            "1000)");
    });
    measure("Lua: table.sort below 150 nested coroutines", [] {
        lua("local function f(n) if n > 0 then coroutine.wrap(f)(n - 1) else "
            "local t = {} for i = 1, 200 do t[i] = i * 7 % 200 end table.sort(t, function(a, b) return a < b end) end "
            "end f(150)");
    });
#endif
    measure("printf of the largest long double, \"%Lf\"", [] {
        std::array<char, 6000> text;
        check(std::snprintf(text.data(), text.size(), "%Lf", LDBL_MAX) > 300, "snprintf does not print");
    });
#if STACK_NEED_OPENSSL
    measure("OpenSSL: an RSA key and a certificate", sign_certificate);
#endif
    measure("getaddrinfo of localhost", [] {
        addrinfo* found = nullptr;
        if (::getaddrinfo("localhost", "80", nullptr, &found) == 0) ::freeaddrinfo(found);
    });
#if STACK_NEED_ARCHIVE
    measure("libarchive: tar, gzip", [] { pack_and_unpack(archive_write_add_filter_gzip); });
    measure("libarchive: tar, xz", [] { pack_and_unpack(archive_write_add_filter_xz); });
#endif
#if STACK_NEED_EXPAT
    measure("expat: 10,000 nested elements", [] {
        const std::unique_ptr<XML_ParserStruct, decltype([](XML_Parser p) { XML_ParserFree(p); })> parser{
            XML_ParserCreate(nullptr)};
        const std::string document = repeated("<a>", 10000) + repeated("</a>", 10000);
        check(XML_Parse(parser.get(), document.data(), static_cast<int>(document.size()), 1) == XML_STATUS_OK,
              "expat does not parse");
    });
#endif

    const std::string text = repeated("warp and weft ", 10000);
    std::vector<char> packed(text.size() + 1000);
    std::string unpacked(text.size(), '\0');
    const auto back = [&] { check(unpacked == text, "what was unpacked is not what was packed"); };
    static_cast<void>(back);
#if STACK_NEED_ZLIB
    measure("zlib: compress and uncompress", [&] {
        uLongf size = packed.size(), original = unpacked.size();
        compress(reinterpret_cast<Bytef*>(packed.data()), &size, reinterpret_cast<const Bytef*>(text.data()),
                 text.size());
        uncompress(reinterpret_cast<Bytef*>(unpacked.data()), &original, reinterpret_cast<const Bytef*>(packed.data()),
                   size);
        back();
    });
#endif
#if STACK_NEED_ZSTD
    measure("zstd: compress and decompress", [&] {
        const std::size_t size = ZSTD_compress(packed.data(), packed.size(), text.data(), text.size(), 3);
        ZSTD_decompress(unpacked.data(), unpacked.size(), packed.data(), size);
        back();
    });
#endif
#if STACK_NEED_BZIP2
    measure("bzip2: compress and decompress", [&] {
        auto size = static_cast<unsigned int>(packed.size()), original = static_cast<unsigned int>(unpacked.size());
        std::string copy = text;
        BZ2_bzBuffToBuffCompress(packed.data(), &size, copy.data(), static_cast<unsigned int>(copy.size()), 9, 0, 0);
        BZ2_bzBuffToBuffDecompress(unpacked.data(), &original, packed.data(), size, 0, 0);
        back();
    });
#endif
    measure(
        "std::regex_match of 2,000 characters",
        [] { check(std::regex_match(std::string(2000, 'a'), std::regex{"(a|b)*"}), "no match"); }, fits::no_matter);

    if (!all_fit) std::puts("\nWRONG: the default does not carry what libraries do within their own limits");
    return all_fit ? EXIT_SUCCESS : EXIT_FAILURE;
}
