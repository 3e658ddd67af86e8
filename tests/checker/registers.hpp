// The registers the checker reads and writes: each lives in tables of its own and is written in its
// own way, so a way of writing that is forgotten shows as a stale read of that register. Thread:
// immutable once made.
#pragma once

#include <string>
#include <vector>

#include "checker/history.hpp"
#include "support/raw_client.hpp"

namespace pgweir::checker {

/// One way to write: messages sent one after the other, each answered before the next. %v is the
/// version. A step that begins with "!" must fail, with "=" must read the version, with "copy:" is
/// a COPY of the line after the statement.
struct Way {
    std::vector<std::string> steps;
    Outcome outcome = Outcome::committed;
};

struct Register {
    std::string name;
    /// Texts whose one value is the version. Behind "?" one that is only described: its column's
    /// name is.
    std::vector<std::string> reads;
    std::vector<Way> ways;  // none: the writers leave it alone
    /// Has the proxy read its catalog again, so it is written seldom.
    bool disturbs = false;
    bool outside = false;  // written past the proxy
    bool second = false;   // written through a second proxy
};

/// DDL for all of them; run by the owner before the proxy starts.
std::string schema();
std::vector<Register> registers();
/// Those of a cache that reads the server's changes: written around it, and through another proxy.
std::vector<Register> outside_registers();
/// Written around the proxy by whoever writes it, together with millions of rows.
Register huge_register();

}  // namespace pgweir::checker
