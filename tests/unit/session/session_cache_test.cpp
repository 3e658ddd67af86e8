// Answers from the cache with a change stream whose watermark a test moves.
#include <doctest/doctest.h>

#include "fakes.hpp"
#include "pgweir/base/clock.hpp"

using namespace pgweir;
using namespace pgweir::session::testing;

namespace {

/// A database that a stream tells of what is visible, up to a moment the test gives.
struct Streamed : Stage {
    Streamed() {
        give_cache();
        identity.lazy_begin = true;
        start();
    }
    cache::StreamState& stream() { return identity.context.database->stream(); }
    void send(std::string_view sql) { session->on_client_bytes(ask(sql)); }
    /// What comes next from the server; it had to be asked.
    void answered(char status) {
        CHECK(types(server_got()).back() == 'Q');
        reply(rows() + ready(status));
        client_got();
    }
};

}  // namespace

TEST_CASE("a hit is no older than what the server has told the client since, in a transaction") {
    Streamed s;
    s.send("select 3");
    s.answered('I');
    s.send("begin");
    s.send("select 1");
    s.client_got();
    s.server_got();
    s.reply(message('1') + message('2') + complete("BEGIN") + rows() + ready('T'));
    // What this one reads is later than what the stream has told, so the server is asked.
    s.send("select 2");
    const auto between = base::monotonic_now();
    s.answered('T');
    s.stream().advance(between);
    s.client_got();
    s.send("select 3");
    CHECK(types(s.server_got()) == "Q");
    s.reply(rows() + ready('T'));
    s.client_got();
    s.stream().advance(base::monotonic_now());
    s.send("select 3");
    CHECK(s.server_got().empty());
    CHECK(s.client_got() == rows() + ready('T'));
}

TEST_CASE("a definition is told of once, when it has been answered, whatever is in flight") {
    Streamed s;
    s.send("select 1");
    s.send("create table x (n int)");
    s.send("select 2");
    s.reply(rows() + ready('I'));
    CHECK(s.env.catalog_notices == 0);
    s.reply(complete("CREATE TABLE") + ready('I'));
    CHECK(s.env.catalog_notices == 1);
    s.send("select 3");
    s.reply(rows() + ready('I'));
    s.reply(rows() + ready('I'));
    CHECK(s.env.catalog_notices == 1);
}
