// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
#pragma once

#include "entry.hpp"
#include "sha256.hpp"

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

#include <stdlib.h>
#include <sys/wait.h>

namespace unpack {

/// A folder under the system's temporary one, removed with everything in it.
class temporary_folder {
public:
    temporary_folder() {
        std::string name = (std::filesystem::temp_directory_path() / "weft-unpack-XXXXXX").string();
        if (!::mkdtemp(name.data()))
            throw std::system_error{errno, std::generic_category(), "cannot make the folder " + name};
        path_ = name;
    }
    ~temporary_folder() {
        std::error_code ignored;
        std::filesystem::remove_all(path_, ignored);
    }
    temporary_folder(const temporary_folder&) = delete;
    temporary_folder& operator=(const temporary_folder&) = delete;

    const std::filesystem::path& path() const { return path_; }

private:
    std::filesystem::path path_;
};

/// What a shell command prints. Throws std::runtime_error when it fails.
inline std::string output_of(const std::string& command) {
    std::FILE* const pipe = ::popen(command.c_str(), "r");
    if (!pipe) throw std::system_error{errno, std::generic_category(), "cannot start a shell"};
    std::string text;
    char piece[4096];
    for (std::size_t size; (size = std::fread(piece, 1, sizeof piece, pipe)) > 0;) text.append(piece, size);
    const int status = ::pclose(pipe);
    if (status != 0) {
        const std::string reason = WIFEXITED(status) ? "exit status " + std::to_string(WEXITSTATUS(status)) : "killed";
        throw std::runtime_error{"this command failed (" + reason + "): " + command};
    }
    return text;
}

/// What `tar` or `unzip`, and `sha256sum`, make of an archive: they extract it into a temporary folder.
class reference {
public:
    explicit reference(const std::filesystem::path& archive) : is_zip_{begins_as_zip(archive)} {
        const temporary_folder folder;
        ::setenv("archive", std::filesystem::absolute(archive).c_str(), 1); // so that no name needs quoting
        ::setenv("folder", folder.path().c_str(), 1);
        if (is_zip_) {
            split(output_of("unzip -Z1 \"$archive\""), '\n',
                  [this](std::string_view name) { names_.emplace_back(name); });
            output_of("unzip -q -o -^ -P none \"$archive\" -d \"$folder\"");
        } else {
            split(output_of("tar --quoting-style=escape -Ptf \"$archive\""), '\n',
                  [this](std::string_view name) { names_.push_back(without_escapes(name)); });
            output_of("tar --no-same-owner --no-same-permissions --delay-directory-restore "
                      "-xf \"$archive\" -C \"$folder\"");
        }
        output_of("chmod -R u+rwX \"$folder\"");

        const std::string sums = output_of("cd \"$folder\" && find . -type f -print0 | xargs -0 -r sha256sum -z --");
        split(sums, '\0', [this](std::string_view line) { // 64 digits, two spaces, ./path
            on_disk_[normal(line.substr(66))] = {'-', from_hex(line.substr(0, 64)), {}};
        });
        for (const auto& item : std::filesystem::recursive_directory_iterator{folder.path()}) {
            const std::string path = normal(item.path().lexically_relative(folder.path()).string());
            if (item.is_symlink()) {
                on_disk_[path] = {'l', {}, std::filesystem::read_symlink(item.path()).string()};
            } else if (!item.is_regular_file()) {
                on_disk_[path] = {kind_of(item.symlink_status().type()), {}, {}};
            }
        }
    }

    /// The programs that were asked.
    std::string_view judges() const { return is_zip_ ? "unzip and sha256sum" : "tar and sha256sum"; }

    /// Regular files with a digest of their own.
    std::size_t files() const {
        std::size_t count = 0;
        for (const auto& [path, item] : on_disk_) count += item.sha256.has_value();
        return count;
    }

    /// A sentence per difference between the archive and a listing of it; empty when there is none.
    std::vector<std::string> differences(std::span<const entry> listing) const {
        std::vector<std::string> found;
        for (std::size_t i = 0; i < std::max(listing.size(), names_.size()); ++i) {
            const std::string ours = i < listing.size() ? as_printed(listing[i].path) : "nothing";
            const std::string theirs = i < names_.size() ? names_[i] : "nothing";
            if (ours != theirs)
                return {"member " + std::to_string(i + 1) + " is " + escaped(ours) + ", expected " + escaped(theirs)};
        }

        std::map<std::string, file> listed; // in the archive's order: a later member overwrites an earlier one
        for (const entry& member : listing) {
            const std::string path = normal(member.path);
            if (member.type != 'h')
                listed[path] = {member.type, member.sha256, member.link};
            else if (const auto target = listed.find(normal(member.link)); target != listed.end())
                listed[path] = file{target->second}; // a second name for the same file
            else
                found.push_back(escaped(path) + " links to " + escaped(member.link) + ", not listed before it");
        }
        for (const auto& [path, member] : listed) {
            if (path == ".") continue;
            const auto item = on_disk_.find(path);
            if (item == on_disk_.end())
                found.push_back(escaped(path) + " was not extracted");
            else if (!same(member, item->second))
                found.push_back(escaped(path) + " differs from what was extracted");
        }
        for (const auto& [path, item] : on_disk_)
            if (item.type != 'd' && !listed.contains(path)) found.push_back(escaped(path) + " is not in the listing");
        return found;
    }

private:
    struct file {
        char type = '-';
        std::optional<digest> sha256;
        std::string link;

        bool operator==(const file&) const = default;
    };

    bool same(const file& listed, const file& extracted) const {
        // A zip says only in the directory at its end which files are symbolic links; until then the target is content.
        if (is_zip_ && listed.type == '-' && extracted.type == 'l') return listed.sha256 == sha256_of(extracted.link);
        return listed == extracted;
    }

    /// `unzip -Z1` shows control characters as ^A, ^B …; of tar's names the escapes are undone.
    std::string as_printed(std::string_view name) const {
        if (!is_zip_) return std::string{name};
        std::string text;
        for (const char c : name) {
            if (static_cast<unsigned char>(c) < 32)
                text += {'^', static_cast<char>(c + '@')};
            else
                text += c;
        }
        return text;
    }

    /// Undoes `tar --quoting-style=escape`: \n and its like, \\, and \ooo for any other byte.
    static std::string without_escapes(std::string_view text) {
        constexpr std::string_view letters = "abfnrtv\\";
        constexpr std::string_view meant = "\a\b\f\n\r\t\v\\";
        std::string name;
        for (std::size_t i = 0; i < text.size(); ++i) {
            if (text[i] != '\\' || i + 1 == text.size()) {
                name += text[i];
            } else if (const std::size_t letter = letters.find(text[i + 1]); letter != std::string_view::npos) {
                name += meant[letter];
                ++i;
            } else {
                name += static_cast<char>(std::stoi(std::string{text.substr(i + 1, 3)}, nullptr, 8));
                i += 3;
            }
        }
        return name;
    }

    static bool begins_as_zip(const std::filesystem::path& archive) {
        std::ifstream file{archive, std::ios::binary};
        return file.get() == 'P' && file.get() == 'K';
    }

    static std::string normal(std::string_view path) {
        std::string text = std::filesystem::path{path}.relative_path().lexically_normal().string();
        while (text.size() > 1 && text.back() == '/') text.pop_back();
        return text;
    }

    static char kind_of(std::filesystem::file_type type) {
        switch (type) {
        case std::filesystem::file_type::directory: return 'd';
        case std::filesystem::file_type::fifo: return 'p';
        case std::filesystem::file_type::character: return 'c';
        case std::filesystem::file_type::block: return 'b';
        default: return 's';
        }
    }

    template <class Use>
    static void split(std::string_view text, char end, Use use) {
        while (!text.empty()) {
            const std::size_t size = std::min(text.find(end), text.size());
            use(text.substr(0, size));
            text.remove_prefix(std::min(size + 1, text.size()));
        }
    }

    bool is_zip_;
    std::vector<std::string> names_;        // in the archive's order
    std::map<std::string, file> on_disk_; // by normal path
};

} // namespace unpack
