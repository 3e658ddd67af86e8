#include <doctest/doctest.h>

#include "fakes.hpp"

using namespace pgweir;
using namespace pgweir::session::testing;

TEST_CASE("a simple query passes unchanged in one send each way, and the server goes back") {
    Stage s;
    s.start().on_client_bytes(ask("select 1"));
    CHECK(s.server_got() == ask("select 1"));
    CHECK(s.server().sends == 1);
    CHECK(s.server().leased);
    s.reply(rows() + ready());
    CHECK(s.client_got() == rows() + ready());
    CHECK(s.client.sends == 1);
    CHECK_FALSE(s.server().leased);
    REQUIRE(s.pool.releases.size() == 1);
    CHECK(s.pool.releases[0].how == pool::Release::How::clean);
}

TEST_CASE("a server is kept for the whole transaction and given back after it") {
    Stage s;
    s.start().on_client_bytes(ask("begin"));
    s.reply(complete("BEGIN") + ready('T'));
    CHECK(s.server().leased);
    s.session->on_client_bytes(ask("select 1"));
    s.reply(error("42P01", "no") + ready('E'));
    CHECK(s.server().leased);
    s.session->on_client_bytes(ask("rollback"));
    s.reply(complete("ROLLBACK") + ready('I'));
    CHECK_FALSE(s.server().leased);
}

TEST_CASE("a pipeline gives its server back only after its last ReadyForQuery") {
    Stage s;
    s.start().on_client_bytes(ask("select 1") + ask("select 2") + ask("select 3"));
    s.reply(rows() + ready());
    CHECK(s.server().leased);
    s.reply(rows() + ready());
    CHECK(s.server().leased);
    s.reply(rows() + ready());
    CHECK_FALSE(s.server().leased);
}

TEST_CASE(
    "names of prepared statements are the client's own; a server is prepared where it lacks one") {
    Stage s(2);
    s.start().on_client_bytes(parse("mine", "select 1") + end_batch());
    CHECK(types(s.server_got()) == "PS");
    s.reply(message('1') + ready());
    CHECK(types(s.client_got()) == "1Z");
    s.server(0).leased = true;  // taken by somebody else
    s.session->on_client_bytes(bind("", "mine") + execute() + end_batch());
    const auto got = s.server_got(1);
    CHECK(types(got) == "PBES");
    CHECK(got.find("mine") == std::string::npos);
    CHECK(s.server(1).sends == 1);
    s.session->on_server_bytes(message('1') + message('2') + complete("SELECT 0") + ready());
    CHECK(types(s.client_got()) == "2CZ");  // the ParseComplete was ours
}

TEST_CASE("a statement another session prepared is answered here, in its place in the order") {
    Stage s;
    s.start().on_client_bytes(parse("a", "select 1") + end_batch());
    s.reply(message('1') + ready());
    s.client_got();
    s.server_got();
    s.session->on_client_bytes(parse("b", "select 1") + bind("", "b") + execute() +
                               parse("c", "select 1") + end_batch());
    CHECK(types(s.server_got()) == "BES");
    s.reply(message('2') + complete("SELECT 0") + ready());
    CHECK(types(s.client_got()) == "12C1Z");
}

TEST_CASE(
    "after an error the rest of the batch is not answered, and its statements are not believed "
    "prepared") {
    Stage s;
    s.start().on_client_bytes(parse("bad", "selec") + parse("good", "select 1") +
                              close('S', "good") + end_batch());
    s.reply(error("42601", "syntax error") + ready());
    CHECK(types(s.client_got()) == "EZ");
    s.server_got();
    s.session->on_client_bytes(parse("again", "select 1") + end_batch());
    CHECK(types(s.server_got()) == "PS");
}

namespace {
/// What a server says of a prepared statement whose result has changed.
std::string stale() {
    std::string body;
    for (const auto* field : {"SERROR", "VERROR", "C0A000", "Mcached plan must not change result",
                              "RRevalidateCachedQuery", ""})
        base::append_cstring(body, field);
    return message('E', body);
}

/// Has prepared "s", and then sent `batch`.
void prepare_and_send(Stage& s, const std::string& batch) {
    s.start().on_client_bytes(parse("s", "select 1") + end_batch());
    s.reply(message('1') + ready());
    s.client_got();
    s.session->on_client_bytes(batch);
    s.server_got();
}
}  // namespace

TEST_CASE("a batch that meets a stale plan is sent again, however its answer is cut") {
    const auto batch = bind("", "s") + execute() + end_batch();
    for (std::size_t cut = 0; cut <= stale().size() + ready().size(); ++cut) {
        CAPTURE(cut);
        Stage s;
        prepare_and_send(s, batch);
        const auto answer = stale() + ready();
        s.reply(answer.substr(0, cut));
        s.reply(answer.substr(cut));
        CHECK(types(s.client_got()).empty());
        CHECK(types(s.server_got()) == "PBES");
        s.reply(message('1') + message('2') + rows() + ready());
        CHECK(types(s.client_got()) == "2TDCZ");
        CHECK_FALSE(s.server().leased);
    }
}

TEST_CASE("what the client sends before it knows that a plan was stale comes behind it") {
    const auto batch = bind("", "s") + execute() + end_batch();
    const auto next = parse("", "select 2") + bind("", "") + execute() + end_batch();
    for (std::size_t cut = 0; cut <= next.size(); ++cut) {
        CAPTURE(cut);
        Stage s;
        prepare_and_send(s, batch);
        s.reply(stale());
        s.session->on_client_bytes(next.substr(0, cut));
        CHECK(s.server_got().empty());
        s.reply(ready());
        s.session->on_client_bytes(next.substr(cut));
        CHECK(types(s.server_got()).starts_with("PBES"));
        s.reply(message('1') + message('2') + rows() + ready());
        CHECK(types(s.client_got()) == "2TDCZ");
    }
}

TEST_CASE("what is sent again is the batch itself, also behind others that came with it") {
    bool settings_first = false;
    SUBCASE("on a server with its settings") {}
    SUBCASE("on a server that is brought to its settings first") { settings_first = true; }
    Stage s;
    s.pool.calls_back = true;
    if (settings_first) s.identity.profile = pool::intern_profile({{"work_mem", "1MB"}});
    const auto settle = [&] {
        if (!settings_first) return;
        CHECK(types(s.server_got()) == "Q");
        s.reply(complete("SELECT 1") + ready());
        s.server().profile = pool::empty_profile();  // another session comes in between
    };
    s.start().on_client_bytes(parse("s", "select 1") + end_batch());
    settle();
    s.reply(message('1') + ready());
    s.client_got();
    s.server_got();
    // Cut, so that both wait in the session's buffer; the first needs no server.
    const auto both = close('S', "none") + end_batch() + bind("", "s") + execute() + end_batch();
    s.session->on_client_bytes(both.substr(0, 3));
    s.session->on_client_bytes(both.substr(3));
    CHECK(types(s.client_got()) == "3Z");
    settle();
    CHECK(types(s.server_got()) == "BES");
    s.reply(stale() + ready());
    CHECK(types(s.server_got()) == "PBES");
    s.reply(message('1') + message('2') + rows() + ready());
    CHECK(types(s.client_got()) == "2TDCZ");
}

TEST_CASE("a name that is taken is refused by the server, in the client's words") {
    Stage s;
    s.start().on_client_bytes(parse("a", "select 1") + end_batch());
    s.reply(message('1') + ready());
    s.client_got();
    s.session->on_client_bytes(parse("a", "select 1") + end_batch());
    s.reply(error("26000", "prepared statement \"pgweir_0\" does not exist") + ready());
    const auto got = s.client_got();
    CHECK(types(got) == "EZ");
    CHECK(got.find("prepared statement \"a\" already exists") != std::string::npos);
}

TEST_CASE("an unknown message ends the session with 08P01 and reaches no server") {
    Stage s;
    s.start().on_client_bytes(ask("begin"));
    s.reply(complete("BEGIN") + ready('T'));
    s.client_got();
    s.server_got();
    s.session->on_client_bytes(message('T', "x") + ask("select 1"));
    CHECK(s.client.finished);
    CHECK(s.client_got().find("08P01") != std::string::npos);
    CHECK(s.server_got().empty());
    CHECK_FALSE(s.server().leased);
}

TEST_CASE("no server in time is an ERROR in the right place, and the session goes on") {
    Stage s(0);
    s.start().on_client_bytes(ask("select 1"));
    REQUIRE(s.session->waiting());
    s.pool.queue.clear();
    s.session->on_lease_failed({"53300", "timed out", "", false});
    CHECK(types(s.client_got()) == "EZ");
    s.session->on_client_bytes(parse("", "select 1") + bind("", "") + execute() + end_batch());
    s.pool.queue.clear();
    s.session->on_lease_failed({"53300", "timed out", "", false});
    CHECK(types(s.client_got()) == "EZ");
    CHECK_FALSE(s.session->ended());
}

TEST_CASE("a cancel for a session that waits takes it out of the queue with 57014") {
    Stage s(0);
    s.start().on_client_bytes(ask("select 1"));
    s.session->on_cancel_request();
    CHECK(s.pool.queue.empty());
    CHECK(s.client_got().find("57014") != std::string::npos);
}

TEST_CASE("a cancel for an idle session reaches nobody") {
    Stage s;
    s.start().on_cancel_request();
    CHECK(s.pool.cancels == 0);
    s.session->on_client_bytes(ask("select 1"));
    s.session->on_cancel_request();
    CHECK(s.pool.cancels == 1);
}

TEST_CASE("SET is carried: the next server is brought to it before the client's bytes go there") {
    Stage s(2);
    s.start().on_client_bytes(ask("set work_mem = '1MB'"));
    s.server_got();
    s.reply(complete("SET") + ready());
    CHECK(types(s.client_got()) == "CZ");
    CHECK(types(s.server_got()) == "Q");  // what is left?
    s.reply(looked("fffff", {{"work_mem", "1024"}}));
    CHECK(s.client_got().empty());
    CHECK(s.session->pin() == query::PinReason::none);
    REQUIRE(s.pool.releases.size() == 1);
    CHECK(s.pool.releases[0].how == pool::Release::How::clean);
    CHECK(s.server(0).profile->find("work_mem") == "1024");
    s.server(0).leased = true;  // taken by somebody else
    s.session->on_client_bytes(ask("select 1"));
    const auto got = s.server_got(1);
    CHECK(types(got) == "Q");
    CHECK(got.find("set_config(E'work_mem', E'1024'") != std::string::npos);
    s.reply(ready());
    CHECK(s.server_got(1) == ask("select 1"));
}

TEST_CASE("what the server cannot be asked for pins for good, but not when it was rolled back") {
    Stage s;
    s.start().on_client_bytes(ask("do 'begin end'"));
    s.reply(error("22012", "no") + ready());  // a DO block may have committed something
    s.reply(looked());                        // under which search_path what follows runs
    CHECK(s.session->pin() == query::PinReason::do_block);
    CHECK(s.server().leased);
    s.session->on_client_bytes(ask("discard all"));
    s.reply(complete("DISCARD ALL") + ready());
    s.reply(rows() + ready());  // its application_name is put back
    s.reply(looked());
    CHECK(s.session->pin() == query::PinReason::none);
    CHECK_FALSE(s.server().leased);
    s.session->on_client_bytes(ask("select set_config('a' || 'b', 'x', false)"));
    s.reply(error("22023", "no") + ready());
    s.reply(looked());
    CHECK_FALSE(s.server().leased);
    s.session->on_client_bytes(ask("selec"));
    s.reply(error("42601", "no") + ready());
    s.reply(looked());
    CHECK_FALSE(s.server().leased);
}

TEST_CASE("a pin ends when what pinned is gone") {
    Stage s;
    s.start().on_client_bytes(ask("create temp table t (n int)"));
    s.reply(complete("CREATE TABLE") + ready());
    s.reply(looked("tffff"));
    CHECK(s.session->pin() == query::PinReason::temporary);
    CHECK(s.server().leased);
    s.session->on_client_bytes(ask("drop table t"));
    s.reply(complete("DROP TABLE") + ready());
    s.reply(looked());
    CHECK(s.session->pin() == query::PinReason::none);
    CHECK_FALSE(s.server().leased);
}

TEST_CASE("a look that fails or makes no sense pins") {
    for (const auto& answer :
         {error("57014", "canceled") + ready(), complete("SELECT 0") + ready(), rows() + ready()}) {
        Stage s;
        s.start().on_client_bytes(ask("set work_mem = '1MB'"));
        s.reply(complete("SET") + ready());
        s.client_got();
        s.reply(answer);
        CHECK(s.session->pin() == query::PinReason::set);
        CHECK(s.server().leased);
        CHECK(s.client_got().empty());
        s.session->on_client_gone();
        REQUIRE(s.pool.releases.size() == 1);
        CHECK(s.pool.releases[0].how == pool::Release::How::reset);
    }
}

TEST_CASE("late COPY data of a failed COPY goes nowhere") {
    Stage s;
    s.start().on_client_bytes(ask("copy t from stdin"));
    s.reply(message('G', std::string_view("\0\0\0", 3)));
    s.session->on_client_bytes(message('d', "1\n"));
    s.reply(error("22P02", "bad") + ready());
    s.reply(looked());
    CHECK_FALSE(s.server().leased);
    s.server_got();
    s.session->on_client_bytes(message('d', "2\n") + message('c') + ask("select 1"));
    CHECK(types(s.server_got()) == "Q");
}

TEST_CASE("a Sync sent behind a COPY's Execute is not owed an answer") {
    Stage s;
    s.start().on_client_bytes(parse("", "copy t from stdin") + bind("", "") + execute() +
                              end_batch());
    s.reply(message('1') + message('2') + message('G', std::string_view("\0\0\0", 3)));
    s.session->on_client_bytes(message('d', "1\n") + message('c') + end_batch());
    s.reply(complete("COPY 1") + ready());
    CHECK(types(s.client_got()) == "12GCZ");
    s.reply(looked());
    CHECK_FALSE(s.server().leased);
}

TEST_CASE("an empty batch is answered without a server") {
    Stage s(0);
    s.start().on_client_bytes(end_batch());
    CHECK(types(s.client_got()) == "Z");
    s.session->on_client_bytes(close('S', "nothing") + end_batch());
    CHECK(types(s.client_got()) == "3Z");
}

TEST_CASE("the server's own FATAL is the only one the client sees") {
    Stage s;
    s.start().on_client_bytes(ask("select 1"));
    std::string fatal;
    wire::write_error(fatal, {.severity = "FATAL", .sqlstate = "57P01", .message = "bye"});
    s.reply(fatal);
    s.session->on_server_gone("closed");
    CHECK(s.client_got() == fatal);
    CHECK(s.client.finished);
}

TEST_CASE("a connection lost with a write in flight says that the outcome is unknown") {
    Stage s;
    s.start().on_client_bytes(ask("update t set a = 1"));
    s.session->on_server_gone("closed");
    CHECK(s.client_got().find("08007") != std::string::npos);
    CHECK(s.env.held.size() == 1);
}

TEST_CASE("a server that answers what nobody asked is closed, and its client told so") {
    Stage s;
    s.start().on_client_bytes(ask("select 1"));
    s.reply(message('1'));
    CHECK(s.client_got().find("08P01") != std::string::npos);
    REQUIRE(s.pool.releases.size() == 1);
    CHECK(s.pool.releases[0].how == pool::Release::How::close);
}
