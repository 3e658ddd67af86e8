// What may hold a session up for good: a peer that is not read, a server connection that is kept,
// answers that are still owed when it is given back.
#include <doctest/doctest.h>

#include "fakes.hpp"

using namespace pgweir;
using namespace pgweir::session::testing;
using How = pool::Release::How;

namespace {

constexpr std::size_t kPiece = std::size_t{64} * 1024;

/// As an event loop would: nothing from a client that is not to be read.
std::size_t send_while_read(Stage& s, std::string_view bytes) {
    std::size_t done = 0;
    while (done < bytes.size() && s.client.reading) {
        s.session->on_client_bytes(bytes.substr(done, kPiece));
        done += std::min(kPiece, bytes.size() - done);
    }
    return done;
}

/// A Bind of so many bytes, and all that belongs to it.
std::string large_batch(std::size_t size) {
    const std::string value(size, 'x');
    std::string body;
    base::append_cstring(body, "");
    base::append_cstring(body, "");
    base::append_u16(body, 0);
    base::append_u16(body, 1);
    base::append_u32(body, static_cast<std::uint32_t>(size));
    body += value;
    base::append_u16(body, 0);
    return parse("", "select $1") + message('B', body) + execute() + end_batch();
}

std::string copy_in() { return message('G', std::string_view("\0\0\0", 3)); }

}  // namespace

TEST_CASE("a message that is taken as a whole is read on, whatever it had to wait for") {
    const auto batch = large_batch(600'000);
    Stage s;
    s.server().leased = true;  // by another
    s.start();
    auto sent = send_while_read(s, batch);
    REQUIRE(sent < batch.size());
    SUBCASE("a server connection") {}
    SUBCASE("a server connection, and what is in front of it is still written to") {
        s.server().queue = std::size_t{1024} * 1024;
    }
    s.pool.queue.front()->on_lease(s.server());
    if (s.server().queue > 0) {
        CHECK_FALSE(s.client.reading);
        s.server().queue = 0;
        s.session->on_server_drained();
    }
    sent += send_while_read(s, std::string_view(batch).substr(sent));
    CHECK(sent == batch.size());
    CHECK(types(s.server_got()) == "PBES");
}

TEST_CASE(
    "a message that is taken as a whole is read on when its client has read what it was sent") {
    const auto query = ask("select '" + std::string(600'000, 'x') + "'");
    Stage s;
    s.client.queue = std::size_t{1024} * 1024;
    s.start();
    auto sent = send_while_read(s, query);
    REQUIRE(sent < query.size());
    s.client.queue = 0;
    s.session->on_client_drained();
    sent += send_while_read(s, std::string_view(query).substr(sent));
    CHECK(sent == query.size());
    CHECK(types(s.server_got()) == "Q");
}

TEST_CASE("a client is read on where its long query is refused a server connection") {
    const auto query = ask("select '" + std::string(600'000, 'x') + "'");
    Stage s;
    s.server().leased = true;  // by another
    s.start().on_client_bytes(query);
    REQUIRE_FALSE(s.client.reading);
    s.session->on_lease_failed({"53300", "timed out", "", false});
    CHECK(types(s.client_got()) == "EZ");
    CHECK(s.client.reading);
}

TEST_CASE("a COPY that fails in the middle of a message gives its server connection back") {
    Stage s;
    s.start().on_client_bytes(ask("copy t from stdin"));
    s.reply(copy_in());
    const auto data = message('d', "1\n2\n3\n");
    s.session->on_client_bytes(data.substr(0, 7));
    s.reply(error("22P02", "bad") + ready());
    CHECK(types(s.client_got()) == "GEZ");
    s.session->on_client_bytes(data.substr(7));
    s.reply(looked());
    CHECK_FALSE(s.server().leased);
    s.session->on_client_bytes(message('c'));
    CHECK_FALSE(s.server().leased);
    s.server_got();
    s.session->on_client_bytes(ask("select 1"));
    CHECK(types(s.server_got()) == "Q");
}

TEST_CASE("a client held up by what its server has not read is read again without that server") {
    Stage s;
    s.start().on_client_bytes(ask("copy t from stdin"));
    s.reply(copy_in());
    s.server().queue = std::size_t{1024} * 1024;
    s.session->on_client_bytes(message('d', "1\n") + message('c'));
    REQUIRE_FALSE(s.client.reading);
    s.reply(error("22P02", "bad") + ready());
    s.reply(looked());
    REQUIRE_FALSE(s.server().leased);
    CHECK(s.client.reading);
}

TEST_CASE("a server connection that owes answers still is closed when its settings are refused") {
    Stage s(2);
    s.identity.profile = pool::intern_profile({{"work_mem", "1MB"}});
    s.start().on_client_bytes(ask("prepare p as select 1"));
    s.reply(complete("SELECT 1") + ready());
    s.reply(complete("PREPARE") + ready());
    const auto found = looked("fffff", {{"work_mem", "1MB"}});
    std::string named;
    const std::string_view row[] = {"p", "prepare p as select 1", "t"};
    wire::write_data_row(named, row);
    s.reply(named + found);
    REQUIRE_FALSE(s.server().leased);
    s.server().leased = true;  // another has it now
    s.client_got();
    s.session->on_client_bytes(ask("execute p"));
    REQUIRE(types(s.server_got(1)) == "QQ");  // settings and PREPARE
    s.reply(error("22023", "no") + ready());
    CHECK(types(s.client_got()) == "EZ");
    CHECK(s.pool.releases.back().how == How::close);
}

TEST_CASE("doubts that arise among the answers that settle them hold nobody up") {
    for (const bool together : {false, true}) {
        CAPTURE(together);
        Stage s;
        s.start().on_client_bytes(ask("prepare p as select 1"));
        s.reply(complete("PREPARE") + ready());
        std::string named;
        const std::string_view row[] = {"p", "prepare p as select 1", "t"};
        wire::write_data_row(named, row);
        s.reply(named + looked());
        s.session->on_client_bytes(parse("x", "select 7") + end_batch());
        s.reply(message('1') + ready());
        s.session->on_client_bytes(close('S', "x") + end_batch());
        s.reply(ready());
        REQUIRE_FALSE(s.server().leased);
        s.server().sql_statements = std::make_shared<pool::SqlStatements>(
            pool::SqlStatements{{"other", "prepare other as select 2"}});
        s.server_got();
        s.client_got();
        s.session->on_client_bytes(parse("", "update t set n = 1") + bind("", "") + execute() +
                                   parse("y", "select 7") + bind("", "y") + execute() +
                                   end_batch());
        REQUIRE(types(s.server_got()) == "QQ");
        if (together) {
            s.reply(complete("DEALLOCATE") + ready() + complete("PREPARE") + ready());
        } else {
            s.reply(complete("DEALLOCATE") + ready());
            s.reply(complete("PREPARE") + ready());
        }
        CHECK(types(s.server_got()) == "PBEBES");
    }
}

TEST_CASE("an application_name that cannot be set is in nobody's way") {
    Stage s;
    s.server().application_name = "another's";
    s.start().on_client_bytes(ask("select 1"));
    REQUIRE(types(s.server_got()) == "QQ");
    s.reply(error("57014", "canceled") + ready());
    CHECK(s.server().leased);
    s.reply(rows() + ready());
    CHECK(types(s.client_got()) == "TDCZ");
    CHECK_FALSE(s.server().leased);
    s.session->on_client_bytes(ask("select 2"));
    CHECK(types(s.server_got()) == "QQ");  // once more
}

TEST_CASE("refused settings are told to the client however the server's words are cut") {
    const auto words = error("22023", "no") + ready();
    for (std::size_t cut = 0; cut <= words.size(); ++cut) {
        CAPTURE(cut);
        Stage s;
        s.identity.profile = pool::intern_profile({{"work_mem", "1MB"}});
        s.start().on_client_bytes(ask("select 1"));
        REQUIRE(types(s.server_got()) == "Q");
        s.reply(std::string_view(words).substr(0, cut));
        s.reply(std::string_view(words).substr(cut));
        CHECK(types(s.client_got()) == "EZ");
        CHECK_FALSE(s.server().leased);
    }
}

TEST_CASE("a function call ends the batch in front of it, as in PostgreSQL") {
    Stage s;
    s.start().on_client_bytes(parse("", "select 1") +
                              message('F', std::string_view("\0\0\0\1\0\0\0\0\0\0", 10)));
    CHECK(types(s.server_got()) == "PH");  // which may make the server skip it
    s.reply(message('1'));
    CHECK(types(s.server_got()) == "F");
    s.reply(message('V', std::string_view("\0\0\0\0", 4)) + ready());
    CHECK(types(s.client_got()) == "1VZ");
    s.server_got();
    s.reply(looked());
    s.session->on_client_bytes(ask("select 1"));
    s.reply(rows() + ready());
    CHECK(types(s.client_got()) == "TDCZ");
}
