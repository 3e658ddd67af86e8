// What is typed at the console.
#include "statement.hpp"
#include "target.hpp"

using namespace pgweir;
using fuzz::must;

FUZZ_TARGET(console) {
    const auto script = admin::parse_script(input);
    must(script.error.empty() || script.statements.empty(), "statements, or an error");
    must(script.statements.size() <= admin::kMaxConsoleStatements, "statements are bounded");
    for (const auto& s : script.statements) must(!s.empty(), "a statement has a word");
}
