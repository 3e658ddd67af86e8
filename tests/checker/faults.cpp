// See faults.hpp.
#include "checker/faults.hpp"

#include <signal.h>

#include <cstdlib>
#include <stdexcept>
#include <string>
#include <thread>

namespace pgweir::checker {

using namespace testing;

namespace {

const std::string kSenders = "pg_stat_replication WHERE application_name = 'pgweir stream'";

void set(Db& db, const std::string& setting) {
    db.run("ALTER SYSTEM " + setting);
    db.run("SELECT pg_reload_conf()");
}

void expect(bool held, const char* what) {
    if (!held) throw std::runtime_error(what);
}

}  // namespace

Disturber::Disturber(Cluster& server, Fault fault, std::uint64_t seed)
    : server_(server), db_(server.connect()), fault_(fault), random_(static_cast<unsigned>(seed)) {}

void Disturber::disturb() {
    switch (fault_) {
        case Fault::usual: {
            const auto dice = random_() % 4;
            if (dice == 3) return stand_still();
            return dice == 2 ? cut() : wait_for_nobody(0.1);
        }
        case Fault::cut: return cut();
        case Fault::slot: return lose_slot();
        case Fault::stopped: return stand_still();
        case Fault::publication: return change_publication();
        case Fault::standby: return wait_for_nobody(1.5);
        case Fault::failover:
        case Fault::lazy:
        case Fault::huge:
        case Fault::count_: return;
    }
}

int Disturber::sender() {
    return std::atoi(db_.value("SELECT coalesce(min(pid), 0) FROM " + kSenders).c_str());
}

void Disturber::cut() { db_.run("SELECT pg_terminate_backend(pid) FROM " + kSenders); }

void Disturber::stand_still() {
    const auto pid = sender();
    if (pid <= 0) return;
    kill(pid, SIGSTOP);
    sleep_for(Seconds(0.6));
    kill(pid, SIGCONT);
}

/// The walsender stands still while so much is written that a checkpoint lets its slot go. The
/// checkpoint ends its process, and waits until it is gone.
void Disturber::lose_slot() {
    const auto pid = sender();
    if (pid <= 0) return;
    set(db_, "SET max_slot_wal_keep_size = '1MB'");
    kill(pid, SIGSTOP);
    for (int i = 0; i < 3; ++i) {
        db_.run("SELECT pg_logical_emit_message(true, 'checker', '')");
        db_.run("SELECT pg_switch_wal()");
    }
    std::thread checkpoint([this] { server_.connect().run("CHECKPOINT"); });
    sleep_for(Seconds(0.3));
    kill(pid, SIGCONT);
    checkpoint.join();
    set(db_, "RESET max_slot_wal_keep_size");
}

/// Commits are delivered, and visible only once nobody waits for the standby any more.
void Disturber::wait_for_nobody(double seconds) {
    set(db_, "SET synchronous_standby_names = 'nobody'");
    sleep_for(Seconds(seconds));
    set(db_, "RESET synchronous_standby_names");
}

/// What it leaves out for a while is written to meanwhile.
void Disturber::change_publication() {
    const auto alter = "ALTER PUBLICATION " + std::string(kPublication);
    const auto pause = [&] { sleep_for(Seconds(static_cast<double>(random_() % 500) / 1000)); };
    switch (random_() % 4) {
        case 0:
            db_.run("DROP PUBLICATION " + std::string(kPublication));
            pause();
            return publish(server_);
        case 1:
            db_.run(alter + " SET (publish = 'insert, delete')");
            pause();
            return db_.run(alter + " SET (publish = 'insert, update, delete, truncate')");
        case 2:
            db_.run(alter + " DROP TABLE reg, rb, moved");
            pause();
            return db_.run(alter + " ADD TABLE reg, rb, moved");
        default:
            db_.run(alter + " SET TABLE reg WHERE (id < 0)");
            pause();
            db_.run("DROP PUBLICATION " + std::string(kPublication));
            return publish(server_);
    }
}

void publish(Cluster& server) {
    auto db = server.connect();
    // Tables without a key could not be updated.
    db.run(
        "DO $$DECLARE t regclass; BEGIN FOR t IN SELECT c.oid FROM pg_class c WHERE c.relkind IN "
        "('r', 'p') AND c.relnamespace = 'public'::regnamespace AND c.relreplident = 'd' AND NOT "
        "EXISTS (SELECT FROM pg_index i WHERE i.indrelid = c.oid AND i.indisprimary) LOOP EXECUTE "
        "format('ALTER TABLE %s REPLICA IDENTITY FULL', t); END LOOP; EXECUTE (SELECT "
        "format('CREATE PUBLICATION " +
        std::string(kPublication) +
        " FOR TABLE %s', string_agg(c.oid::regclass::text, ', ')) FROM pg_class c WHERE c.relkind "
        "IN ('r', 'p') AND c.relnamespace = 'public'::regnamespace AND c.relname <> 'tr' AND NOT "
        "c.relispartition); END$$");
}

std::unique_ptr<Cluster> standby_of(Cluster& primary) {
    ClusterOptions options;
    options.standby_of = &primary;
    auto standby = std::make_unique<Cluster>(std::move(options));
    auto db = primary.connect();
    expect(eventually(
               [&] {
                   return db.value(
                              "SELECT count(*) FROM pg_stat_replication WHERE application_name = "
                              "'walreceiver' AND state = 'streaming'") == "1";
               },
               Seconds(30)),
           "the standby does not stream");
    return standby;
}

void separate(Cluster& primary, Cluster& standby) {
    auto from = primary.connect();
    auto to = standby.connect();
    from.run("SELECT pg_logical_emit_message(true, 'checker', '')");
    const auto position = from.value("SELECT pg_current_wal_lsn()");
    expect(eventually(
               [&] {
                   return to.value("SELECT pg_last_wal_replay_lsn() >= '" + position + "'") == "t";
               },
               Seconds(30)),
           "the standby does not catch up");
    set(to, "SET primary_conninfo = ''");
    expect(eventually(
               [&] {
                   return from.value(
                              "SELECT count(*) FROM pg_stat_replication WHERE application_name = "
                              "'walreceiver'") == "0";
               },
               Seconds(30)),
           "the standby goes on to stream");
}

}  // namespace pgweir::checker
