// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
#pragma once

#include "entry.hpp"

#include <weft/exception_detour.hpp>

#include <archive.h>
#include <archive_entry.h>

#include <array>
#include <cerrno>
#include <cstddef>
#include <functional>
#include <memory>
#include <new>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace unpack {

/// The bytes are no archive, or a damaged one, or only a part of one; `what()` quotes libarchive.
struct archive_error : std::runtime_error {
    using std::runtime_error::runtime_error;
};

/// Reads a tar (plain, gzip, bzip2, xz, zstd) or zip archive from front to back, from a function.
///
/// The function is called by libarchive, from inside its C code, whenever that needs bytes: it fills the span and
/// returns how many there are, 0 at the end. It may suspend. It may also throw, but no exception may cross libarchive's
/// frames: C code does not clean up after itself then. So weft::exception_detour keeps whatever was thrown, libarchive is
/// told that the read failed, and the exception goes on its way once it has returned. The same is true of
/// `weft::forced_unwind`, which a suspended read throws when its fiber is destroyed.
class archive_reader {
public:
    using source = std::function<std::size_t(std::span<std::byte>)>;

    explicit archive_reader(source read)
        : read_{std::move(read)}, received_(16 * 1024), archive_{archive_read_new()} {
        if (!archive_) throw std::bad_alloc{};
        for (const auto support : {archive_read_support_filter_gzip, archive_read_support_filter_bzip2,
                                   archive_read_support_filter_xz, archive_read_support_filter_zstd,
                                   archive_read_support_format_tar, archive_read_support_format_zip_streamable})
            check(support(archive_.get()));
        check(archive_read_open(archive_.get(), this, nullptr, &archive_reader::on_read, nullptr));
    }

    archive_reader(const archive_reader&) = delete;
    archive_reader& operator=(const archive_reader&) = delete;

    /// The next member, without size and digest: these come with its content. Nothing at the end of the archive.
    std::optional<entry> next() {
        archive_entry* header = nullptr;
        if (check(archive_read_next_header(archive_.get(), &header)) == ARCHIVE_EOF) return std::nullopt;

        entry member;
        member.path = text(archive_entry_pathname(header), archive_entry_pathname_utf8(header));
        if (archive_entry_hardlink(header) || archive_entry_hardlink_utf8(header)) {
            member.type = 'h';
            member.link = text(archive_entry_hardlink(header), archive_entry_hardlink_utf8(header));
            return member;
        }
        switch (archive_entry_filetype(header)) {
        case AE_IFDIR: member.type = 'd'; break;
        case AE_IFIFO: member.type = 'p'; break;
        case AE_IFCHR: member.type = 'c'; break;
        case AE_IFBLK: member.type = 'b'; break;
        case AE_IFSOCK: member.type = 's'; break;
        case AE_IFLNK:
            member.type = 'l';
            member.link = text(archive_entry_symlink(header), archive_entry_symlink_utf8(header));
            break;
        default: break;
        }
        return member;
    }

    /// The next piece of the member's content, valid until the next call; empty at its end. Holes of a sparse file are
    /// zeros.
    std::span<const std::byte> content() {
        const la_ssize_t size = archive_read_data(archive_.get(), content_.data(), content_.size());
        if (size < 0) fail();
        return {content_.data(), static_cast<std::size_t>(size)};
    }

    /// Receives what may follow the last member, such as a zip's directory, until the source ends.
    void drain() {
        while (receive() != 0) {}
    }

private:
    static la_ssize_t on_read(archive* handle, void* reader, const void** bytes) {
        auto& self = *static_cast<archive_reader*>(reader);
        *bytes = self.received_.data();
        const la_ssize_t size =
            self.detour_.run([&] { return static_cast<la_ssize_t>(self.receive()); }, ARCHIVE_FATAL);
        if (size < 0) archive_set_error(handle, EIO, "the source of the archive failed");
        return size;
    }

    /// Fills `received_`. A source that has ended is not asked again: a socket would not answer.
    std::size_t receive() {
        const std::size_t size = at_end_ ? 0 : read_(received_);
        at_end_ = size == 0;
        return size;
    }

    int check(int result) {
        if (detour_.failed() || (result != ARCHIVE_OK && result != ARCHIVE_WARN && result != ARCHIVE_EOF)) fail();
        return result;
    }

    [[noreturn]] void fail() {
        detour_.rethrow();
        const char* const reason = archive_error_string(archive_.get());
        const std::string kind = at_end_ ? "the archive ends too early" : "the archive is damaged";
        throw archive_error{kind + " (" + (reason ? reason : "no details") + ")"};
    }

    static std::string text(const char* in_locale, const char* in_utf8) {
        return in_locale ? in_locale : in_utf8 ? in_utf8 : "";
    }

    struct release {
        void operator()(archive* handle) const { archive_read_free(handle); }
    };

    source read_;
    weft::exception_detour detour_; // for what the source throws
    bool at_end_ = false;         // of the source
    std::vector<std::byte> received_;
    std::array<std::byte, 16 * 1024> content_;
    std::unique_ptr<archive, release> archive_;
};

} // namespace unpack
