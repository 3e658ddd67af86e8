// What drivers do with a prepared statement: be told of it once, and run it without asking again.
#pragma once

#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "support/raw_client.hpp"

namespace pgweir::testing {

inline const std::string kSync = msg::sync();
/// As drivers prepare what they will run often: the client is told what it takes and gives.
inline std::string told(RawClient& c, const std::string& name, const std::string& sql) {
    return error_of(c.ask(msg::parse(name, sql) + msg::describe('S', name) + kSync)).sqlstate;
}
inline std::string bound(const std::string& name, const std::vector<msg::Value>& values = {}) {
    return msg::bind("", name, values) + msg::execute() + kSync;
}
/// First row of what is run without asking what it gives, or the SQLSTATE.
inline std::string run(RawClient& c, const std::string& name,
                       const std::vector<msg::Value>& values = {}) {
    const auto m = c.ask(bound(name, values));
    const auto error = error_of(m);
    if (!error.sqlstate.empty()) return error.sqlstate;
    std::string row;
    const auto all = rows(m);
    if (!all.empty())
        for (const auto& value : all[0]) row += (row.empty() ? "" : ",") + value;
    return row;
}

inline void done(RawClient& c, const std::string& sql) {
    const auto error = error_of(c.ask(msg::query(sql)));
    CHECK_MESSAGE(error.sqlstate.empty(), sql, ": ", error.message);
}

}  // namespace pgweir::testing
