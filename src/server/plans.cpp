// See plans.hpp.
#include "plans.hpp"

#include "pgweir/base/hash.hpp"
#include "target_tls.hpp"

namespace pgweir::server {

namespace {

constexpr std::size_t kMaxShapes = 10'000;

control::PlanReader::Options options_of(const config::Config& config) {
    const auto& slow = config.slow_log;
    return {slow.explain, slow.explain_interval, slow.explain_again, config.timeouts.connect};
}

/// The login of the session's own server connections; false: it is not known here.
bool target_of(const pool::SharedPool& pool, control::Target& target) {
    const auto config = pool.config();
    const auto known = pool.credentials();
    // A proof that is not a password cannot be shown by libpq.
    if (known.state == pool::Credentials::State::password && known.password.empty()) return false;
    target.host = config->database.host;
    target.port = config->database.port;
    target.dbname = config->dbname;
    target.user = pool.key.user;
    target.password = known.password;
    set_tls(target, config->database);
    return true;
}

}  // namespace

Plans::Plans(const config::Config& config, admin::SlowLogWriter& log, admin::QueryStats& stats)
    : log_(log),
      stats_(stats),
      reader_(options_of(config), [this](const control::PlanQuestion& q,
                                         const control::PlanAnswer& a) { on_plan(q, a); }) {}

void Plans::configure(const config::Config& config) { reader_.configure(options_of(config)); }

void Plans::explain(const session::Identity& identity, const std::string& application,
                    std::uint64_t fingerprint, std::string_view text, std::string_view bind,
                    const std::vector<std::uint32_t>& types) {
    if (!identity.shared_pool) return;
    control::PlanQuestion q;
    q.key = fingerprint ^ base::hash64(identity.shared_pool->name);
    if (!reader_.claim(q.key, base::monotonic_now())) return;
    if (!target_of(*identity.shared_pool, q.target)) return reader_.abandon();
    q.fingerprint = fingerprint;
    q.profile = identity.profile;
    q.text = text.substr(0, text.find('\0'));
    q.bind = bind;
    q.types = types;
    q.database = identity.database;
    q.user = identity.user;
    q.application = application;
    reader_.ask(std::move(q));
}

void Plans::on_plan(const control::PlanQuestion& q, const control::PlanAnswer& a) {
    const auto plan = admin::read_plan_json(a.json);
    if (!plan) return;
    plan->notes = admin::plan_notes(*plan, a.relations, q.text);
    stats_.set_plan(q.fingerprint, plan);
    if (shapes_.size() >= kMaxShapes) shapes_.clear();
    auto& shape = shapes_[q.key];
    if (shape == plan->shape) return;
    shape = plan->shape;
    metrics::SlowQuery entry;
    entry.event = metrics::SlowEvent::plan;
    entry.text = q.text;
    entry.user = q.user;
    entry.database = q.database;
    entry.application_name = q.application;
    entry.client_host = "unix";  // nobody's: the proxy itself
    entry.pool = q.database + "/" + q.user;
    entry.cache = "bypass";
    entry.plan = plan->text;
    entry.notes = plan->notes;
    entry.started_wall_us = base::wall_now_us();
    log_.offer(std::move(entry));
}

}  // namespace pgweir::server
