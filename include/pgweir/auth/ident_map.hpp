// Which names of a certificate or of the operating system may log in as which user: the form of
// pg_ident.conf (PostgreSQL's manual, "User Name Maps"): map, system name, user; a system name that
// begins with / is a regular expression (POSIX extended), whose first group \1 stands for.
// Invariant: immutable; a file with any error gives none. Names longer than 256 bytes match no
// expression. Thread: any may ask; reading blocks on files.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace pgweir::auth {

class IdentMap;
using IdentMapPtr = std::shared_ptr<const IdentMap>;

struct IdentLoad {
    IdentMapPtr map;
    std::vector<std::string> errors;  // file:line: what; what was expected
};

class IdentMap {
  public:
    static IdentLoad load(const std::string& path);
    static IdentLoad parse(std::string_view text, const std::string& file);
    IdentMap();
    ~IdentMap();

    /// Whether `system_name` may log in as `user` by the map of this name.
    bool allows(std::string_view map, const std::string& system_name, std::string_view user) const;
    bool has(std::string_view map) const noexcept;

  private:
    struct Entry;
    std::vector<Entry> entries_;
};

/// Without a map name the two have to be equal; with one, the map decides (null: nobody).
bool ident_allows(const IdentMap* maps, std::string_view map, const std::string& system_name,
                  std::string_view user);

}  // namespace pgweir::auth
