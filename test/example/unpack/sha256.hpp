// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
#pragma once

#include <openssl/evp.h>

#include <array>
#include <cstddef>
#include <memory>
#include <new>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>

namespace unpack {

using digest = std::array<unsigned char, 32>;

/// SHA-256 of what is passed to `update`. One context serves any number of digests.
class sha256 {
public:
    sha256() : context_{EVP_MD_CTX_new()} {
        if (!context_) throw std::bad_alloc{};
        start();
    }

    void update(std::span<const std::byte> bytes) {
        check(EVP_DigestUpdate(context_.get(), bytes.data(), bytes.size()));
    }

    /// The digest of everything since the last `finish`; the next one starts empty.
    digest finish() {
        digest result;
        check(EVP_DigestFinal_ex(context_.get(), result.data(), nullptr));
        start();
        return result;
    }

private:
    void start() { check(EVP_DigestInit_ex(context_.get(), EVP_sha256(), nullptr)); }

    static void check(int succeeded) {
        if (!succeeded) throw std::runtime_error{"OpenSSL cannot compute SHA-256; is a provider with SHA2-256 loaded?"};
    }

    struct release {
        void operator()(EVP_MD_CTX* context) const { EVP_MD_CTX_free(context); }
    };
    std::unique_ptr<EVP_MD_CTX, release> context_;
};

inline digest sha256_of(std::string_view text) {
    sha256 hash;
    hash.update(std::as_bytes(std::span{text}));
    return hash.finish();
}

inline std::string to_hex(const digest& bytes) {
    constexpr std::string_view digits = "0123456789abcdef";
    std::string text;
    for (const unsigned char byte : bytes) {
        text += digits[byte >> 4];
        text += digits[byte & 15];
    }
    return text;
}

/// The reverse of `to_hex`; nothing when `text` is not 64 hexadecimal digits.
inline std::optional<digest> from_hex(std::string_view text) {
    digest bytes{};
    if (text.size() != 2 * bytes.size()) return std::nullopt;
    for (std::size_t i = 0; i < text.size(); ++i) {
        const std::size_t value = std::string_view{"0123456789abcdef"}.find(text[i]);
        if (value == std::string_view::npos) return std::nullopt;
        bytes[i / 2] = static_cast<unsigned char>(bytes[i / 2] << 4 | value);
    }
    return bytes;
}

} // namespace unpack
