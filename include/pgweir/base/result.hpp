// Result<T>: a value or an error text, for operations that can fail in ordinary use. g++ 12 has no
// std::expected. Programmer errors are assertions, not Results; nothing here throws.
#pragma once

#include <optional>
#include <string>
#include <utility>

namespace pgweir::base {

struct Error {
    std::string message;
};

template <class T>
class [[nodiscard]] Result {
  public:
    Result(T value) : value_(std::move(value)) {}  // NOLINT: implicit on purpose, as std::expected
    Result(Error error) : error_(std::move(error)) {}  // NOLINT

    explicit operator bool() const noexcept { return value_.has_value(); }
    T& operator*() & noexcept { return *value_; }
    const T& operator*() const& noexcept { return *value_; }
    T&& operator*() && noexcept { return std::move(*value_); }
    T* operator->() noexcept { return &*value_; }
    const T* operator->() const noexcept { return &*value_; }
    const std::string& error() const noexcept { return error_.message; }

  private:
    std::optional<T> value_;
    Error error_;
};

}  // namespace pgweir::base
