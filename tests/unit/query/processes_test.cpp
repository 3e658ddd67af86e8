// Which numbers in a statement are those of server processes.
#include <doctest/doctest.h>

#include "pgweir/query/processes.hpp"

using namespace pgweir::query;

namespace {
std::string numbers(std::string_view text) {
    std::string out;
    for (const auto& n : process_numbers(text).literals) {
        CHECK(text.substr(n.at, n.size) == std::to_string(n.number));
        out += std::to_string(n.number) + " ";
    }
    for (const auto p : process_numbers(text).parameters) out += "$" + std::to_string(p) + " ";
    return out;
}
}  // namespace

TEST_CASE("arguments of functions about processes are numbers of processes") {
    CHECK(numbers("SELECT pg_terminate_backend(17)") == "17 ");
    CHECK(numbers("SELECT PG_CATALOG.pg_Cancel_Backend ( /* x */ 17 ), 18") == "17 ");
    CHECK(numbers("SELECT \"pg_cancel_backend\"('17'::int)") == "17 ");
    CHECK(numbers("SELECT pg_terminate_backend($2::int, 5000), $1") == "5000 $2 ");
    CHECK(numbers("SELECT pg_blocking_pids((SELECT $1)) && '{17, 18}'") == "");
    CHECK(numbers("SELECT pg_terminate_backend((17))") == "17 ");
    CHECK(numbers("SELECT pg_terminate_backend((SELECT pid FROM pg_stat_activity WHERE "
                  "application_name = 'job 007' AND datid > 18 AND pid <> 17))") == "17 ");
    CHECK(numbers("SELECT pg_cancel_backend(length('job 17'))") == "");
    CHECK(numbers("SELECT pg_isolation_test_session_is_blocked($1, '{17,18}')") == "17 18 $1 ");
    CHECK(numbers("SELECT pg_terminate_backend(pid) FROM pg_stat_activity") == "");
}

TEST_CASE("what pid is compared with counts where a view of processes is read") {
    CHECK(numbers("SELECT state FROM pg_stat_activity a WHERE a.pid = 17 AND datid = 18") == "17 ");
    CHECK(numbers("SELECT 1 FROM pg_locks WHERE pid IN (17, $1) AND pid <> 19") == "17 19 $1 ");
    CHECK(numbers("SELECT pid = ANY('{17,18}') FROM pg_stat_activity") == "17 18 ");
    CHECK(numbers("SELECT 1 FROM pg_stat_activity WHERE pid NOT IN ($1)") == "$1 ");
    CHECK(numbers("SELECT * FROM parts WHERE pid = 17") == "");
    CHECK(numbers("SELECT * FROM pg_stat_activity WHERE pid > 17") == "");
}

TEST_CASE("only whether a process is there to be met is asked of more than who waits for whom") {
    CHECK_FALSE(process_numbers("SELECT pg_blocking_pids(17)").at_work);
    CHECK(process_numbers("SELECT pg_cancel_backend(17), pg_blocking_pids(18)").at_work);
    CHECK(process_numbers("SELECT 1 FROM pg_locks WHERE pid = 17").at_work);
}

TEST_CASE("a quick look finds every text that may name processes") {
    CHECK(may_name_processes("select Pg_Terminate_Backend(1)"));
    CHECK(may_name_processes("SELECT 1 FROM pg_stat_activity"));
    CHECK_FALSE(may_name_processes("SELECT pg_sleep(1), pid FROM t"));
}

TEST_CASE("numbers are whole, without sign, and not part of anything else") {
    const auto found = [](std::string_view text) {
        std::string out;
        for (const auto& n : written_numbers(text)) out += std::to_string(n.number) + " ";
        return out;
    };
    CHECK(found("{17,18}") == "17 18 ");
    CHECK(found("17") == "17 ");
    CHECK(found("'17'") == "17 ");
    CHECK(found("-17 1.5 a17 17b 4294967296 +3") == "");
    CHECK(found("") == "");
    CHECK(replace_numbers("007", written_numbers("007"), [](auto n) { return n; }) == "007");
    const std::string_view text = "SELECT f(17, '{18,17}')";
    CHECK(replace_numbers(text, written_numbers(text), [](auto n) {
              return n == 17 ? 100000 : n;
          }) == "SELECT f(100000, '{18,100000}')");
}

TEST_CASE("a text that cannot be read says nothing behind where it ends to be readable") {
    CHECK(numbers("SELECT pg_terminate_backend(17), 'open") == "17 ");
    CHECK(numbers("SELECT pg_terminate_backend(17") == "17 ");
    CHECK(numbers("SELECT pg_terminate_backend(((((") == "");
    CHECK(numbers("pid") == "");
}
