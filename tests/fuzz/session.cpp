// A whole session between a client that sends anything in any pieces and a server that is honest,
// late, gone, or sends anything, too. Whatever happens: a server gets whole frames of types that a
// client may send and is handed on only between them; who is done with is told nothing more; and an
// honest server's client meets one FATAL at most.
#include "pgweir/session/session.hpp"

#include "target.hpp"
#include "unit/session/fakes.hpp"

using namespace pgweir;
using namespace pgweir::session::testing;
using fuzz::must;
using Release = pool::Release::How;

namespace {

constexpr std::size_t kMostSteps = 200;
const char* const kTexts[] = {"select 1",
                              "begin",
                              "commit",
                              "rollback",
                              "set work_mem = '1MB'",
                              "copy t from stdin",
                              "select 1; select 2",
                              "discard all",
                              "deallocate all",
                              "prepare p as select 1",
                              "execute a",
                              "listen c",
                              "create temp table x (a int)",
                              "savepoint s",
                              "rollback to s",
                              "drop database other",
                              "reset all",
                              "update t set a = 1",
                              ""};
const char* const kNames[] = {"", "a", "b", "pgweir_1"};

constexpr std::uint8_t kFails = 224, kCopies = 192;  // what a server does from this number on

/// How far into what a server was sent we are.
struct Place {
    std::size_t answered = 0, checked = 0;
};

class Play {
  public:
    Play() : stage_(2) { stage_.start(); }

    void run(fuzz::Pieces pieces) {
        for (std::size_t i = 0; i < kMostSteps && !pieces.done() && !over(); ++i) {
            step(pieces);
            settle();
        }
        if (!over()) stage_.session->on_client_gone();
        settle();
        must(stage_.session->ended() && stage_.client.finished, "it ends when its client goes");
        for (const auto& s : stage_.pool.servers)
            must(!s->leased || s.get() == busy_, "no lease is left");
        must(stage_.pool.queue.empty(), "no place in the queue is left");
    }

  private:
    bool over() { return stage_.session->ended(); }
    FakeServer* server() { return static_cast<FakeServer*>(stage_.session->server()); }

    void step(fuzz::Pieces& pieces) {
        auto& session = *stage_.session;
        const auto what = pieces.byte();
        switch (what % 12) {
            case 0: return session.on_client_bytes(pieces.piece());
            case 1:
                return session.on_client_bytes(
                    message(static_cast<char>(pieces.byte()), pieces.piece()));
            case 2: return session.on_client_bytes(one_of_ours(pieces));
            case 3:
            case 4:
            case 5: return answer(pieces.byte(), what % 12 == 5);
            case 6:
                if (server() == nullptr) return;
                honest_ = false;
                return session.on_server_bytes(pieces.piece());
            case 7:
                if (server() != nullptr) lose_server();
                return;
            case 8: return occupy(pieces.byte());
            case 9: return session.on_cancel_request();
            case 10:
                stage_.env.time += pieces.byte() * base::kMillisecond * 100;
                return session.tick(stage_.env.time);
            default: return session.on_watermark();
        }
    }

    static std::string one_of_ours(fuzz::Pieces& pieces) {
        const auto kind = pieces.byte();
        const char* name = kNames[pieces.byte() % std::size(kNames)];
        const auto text = pieces.byte();
        const char* sql = kTexts[text % std::size(kTexts)];
        switch (kind % 10) {
            case 0: return ask(sql);
            case 1: return parse(name, sql);
            case 2: return bind(text % 2 != 0 ? name : "", name);
            case 3: return describe(text % 2 != 0 ? 'S' : 'P', name);
            case 4: return execute(text % 2 != 0 ? name : "");
            case 5: return close(text % 2 != 0 ? 'S' : 'P', name);
            case 6:
                return message("HcfX"[text % 4], text % 4 == 2 ? std::string_view("\0", 1) : "");
            case 7: return message('d', "1\t2\n");
            case 8: return parse("", sql) + bind("", "") + execute() + end_batch();
            default: return end_batch();
        }
    }

    /// What a server says to the next thing it was sent, whole or byte by byte.
    void answer(std::uint8_t how, bool bytewise) {
        auto* s = server();
        if (s == nullptr) return;
        auto& at = place_of(*s);
        const auto unanswered = [&] {
            return wire::scan_frame(std::string_view(s->received).substr(at.answered));
        };
        const auto f = unanswered();
        if (f.status != wire::FrameStatus::complete) return;
        const auto said = words(f, how);
        at.answered += f.size;
        if (how >= kFails && f.type != 'Q')  // all up to the Sync is skipped
            while (unanswered().status == wire::FrameStatus::complete && unanswered().type != 'S')
                at.answered += unanswered().size;
        for (std::size_t i = 0; bytewise && i < said.size() && server() == s; ++i)
            stage_.session->on_server_bytes(std::string_view(said).substr(i, 1));
        if (!bytewise && !said.empty()) stage_.session->on_server_bytes(said);
    }

    static std::string words(const wire::Frame& f, std::uint8_t how) {
        const bool fails = how >= kFails;
        const auto end = ready("IITE"[how % 4]);
        switch (f.type) {
            case 'Q':
                if (fails) return error("42P01", "no") + end;
                if (f.body.find("pg_catalog.pg_") != f.body.npos) return looked();
                if (how >= kCopies) return message('G', std::string_view("\0\0\0", 3));
                return (how % 8 < 4 ? rows() : complete("SET")) + end;
            case 'P': return fails ? error("42601", "no") : message('1');
            case 'B': return fails ? error("08P01", "no") : message('2');
            case 'D': return message('n');
            case 'E': return fails ? error("22012", "no") : complete("SELECT 0");
            case 'C': return message('3');
            case 'S': return end;
            case 'F': return message('V', "\xff\xff\xff\xff") + end;
            case 'c': return complete("COPY 1") + end;
            case 'f': return error("57014", "COPY failed") + end;
            default: return {};
        }
    }

    void lose_server() {
        auto* s = server();
        stage_.session->on_server_gone("the server closed the connection");
        s->leased = false;
        place_of(*s) = {s->received.size(), s->received.size()};
    }

    /// Somebody else takes a server, or gives it back.
    void occupy(std::uint8_t how) {
        if (busy_ != nullptr) {
            busy_->leased = false;
            busy_ = nullptr;
            return;
        }
        for (auto& s : stage_.pool.servers)
            if (!s->leased && how % 2 == 0) {
                busy_ = s.get();
                busy_->leased = true;
                return;
            }
        if (!stage_.pool.queue.empty()) {
            auto* waiter = stage_.pool.queue.front();
            stage_.pool.queue.pop_front();
            waiter->on_lease_failed({"53300", "no server in time", "", false});
        }
    }

    /// What holds after each event; and a server that is free goes to whoever waits.
    void settle() {
        for (auto& task : std::exchange(stage_.env.tasks, {})) task();
        auto& pool = stage_.pool;
        for (; seen_ < pool.ends.size(); ++seen_) {
            const auto how = pool.releases[seen_].how;
            const auto [s, size] = pool.ends[seen_];
            const bool kept = how == Release::clean || how == Release::reset;
            check_frames(std::string_view(s->received).substr(0, size), place_of(*s), kept);
            place_of(*s) = {size, size};
        }
        for (auto& s : pool.servers) check_frames(s->received, place_of(*s), false);
        const auto& sent = stage_.client.sent;
        if (finished_) must(sent.size() == told_, "who is done with is told nothing more");
        finished_ = stage_.client.finished;
        told_ = sent.size();
        if (honest_) {
            const auto first = sent.find("SFATAL");
            must(first == sent.npos || sent.find("SFATAL", first + 1) == sent.npos,
                 "one FATAL at most");
        }
        for (auto& s : pool.servers)
            if (!s->leased && !pool.queue.empty()) {
                auto* waiter = pool.queue.front();
                pool.queue.pop_front();
                s->leased = true;
                waiter->on_lease(*s);
            }
    }

    static void check_frames(std::string_view sent, Place& at, bool whole) {
        while (at.checked < sent.size()) {
            const auto rest = sent.substr(at.checked);
            must(wire::is_client_message(rest[0]) && rest[0] != 'p', "servers get known types");
            const auto f = wire::scan_frame(rest);
            must(f.status != wire::FrameStatus::bad_length, "and lengths that can be");
            must(!whole || f.status == wire::FrameStatus::complete,
                 "a server is handed on between frames");
            if (f.status != wire::FrameStatus::complete) return;
            at.checked += f.size;
        }
    }

    Place& place_of(const FakeServer& s) {
        return places_[&s == stage_.pool.servers[0].get() ? 0 : 1];
    }

    Stage stage_;
    Place places_[2];
    FakeServer* busy_ = nullptr;
    std::size_t seen_ = 0, told_ = 0;
    bool finished_ = false, honest_ = true;
};

}  // namespace

FUZZ_TARGET(session) {
    if (input.size() > 8192) return;
    Play().run(fuzz::Pieces(input));
}
