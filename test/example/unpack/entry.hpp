// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
#pragma once

#include "sha256.hpp"

#include <cstdint>
#include <optional>
#include <ostream>
#include <string>
#include <string_view>

namespace unpack {

/// One member of an archive, as the listing shows it.
struct entry {
    char type = '-'; ///< as `ls` and `tar` write it: - d l p c b s, and h for a hard link
    std::uint64_t size = 0; ///< bytes of content that arrived
    std::optional<digest> sha256; ///< of the content; directories and links have none
    std::string path;
    std::string link; ///< where a symbolic or hard link points

    bool operator==(const entry&) const = default;
};

/// Control characters and backslashes as `tar` escapes them, so that a line stays a line.
inline std::string escaped(std::string_view name) {
    std::string text;
    for (const char c : name) {
        const auto byte = static_cast<unsigned char>(c);
        if (c == '\\') {
            text += "\\\\";
        } else if (c == '\n') {
            text += "\\n";
        } else if (byte < 32 || byte == 127) {
            text += '\\';
            for (const int shift : {6, 3, 0}) text += static_cast<char>('0' + (byte >> shift & 7));
        } else {
            text += c;
        }
    }
    return text;
}

/// `type size sha256 path`, one line.
inline std::ostream& operator<<(std::ostream& out, const entry& e) {
    out << e.type << ' ';
    out.width(10);
    out << e.size << ' ' << (e.sha256 ? to_hex(*e.sha256) : std::string(64, '.')) << ' ' << escaped(e.path);
    if (!e.link.empty()) out << " -> " << escaped(e.link);
    return out << '\n';
}

} // namespace unpack
