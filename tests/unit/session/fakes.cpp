// See fakes.hpp. Apart from it, so that it is compiled once.
#include "fakes.hpp"

namespace pgweir::session::testing {

namespace {

void append(std::string& out, std::span<const iovec> parts) {
    for (const auto& p : parts) out.append(static_cast<const char*>(p.iov_base), p.iov_len);
}

}  // namespace

void FakeClient::gather_send(std::span<const iovec> parts) {
    append(sent, parts);
    ++sends;
}

void FakeServer::send(std::span<const iovec> parts) {
    append(received, parts);
    ++sends;
}

FakePool::FakePool() = default;
FakePool::~FakePool() = default;

pool::ServerLink* FakePool::acquire(pool::Waiter& waiter) {
    for (auto& s : servers)
        if (!s->leased) {
            s->leased = true;
            if (!calls_back) return s.get();
            waiter.on_lease(*s);
            return nullptr;
        }
    queue.push_back(&waiter);
    return nullptr;
}

void FakePool::cancel_wait(pool::Waiter& waiter) { std::erase(queue, &waiter); }

void FakePool::release(pool::ServerLink& server, pool::Release how) {
    releases.push_back(how);
    auto& s = static_cast<FakeServer&>(server);
    ends.push_back({&s, s.received.size()});
    s.leased = false;
    s.held.reset();
}

FakeEnvironment::FakeEnvironment() : Environment(&time) {
    statements = std::make_shared<StatementTable>();
}
FakeEnvironment::~FakeEnvironment() = default;

void FakeEnvironment::explain(const Identity&, const std::string&, std::uint64_t,
                              std::string_view text, std::string_view,
                              const std::vector<std::uint32_t>&) {
    explained.emplace_back(text);
}

IdentityPtr FakeEnvironment::with_profile(const Identity& of, pool::ProfilePtr profile) {
    auto identity = std::make_shared<Identity>(of);
    identity->profile = std::move(profile);
    return identity;
}

bool FakeEnvironment::vacate_database(const Identity&, const std::string& dbname) {
    vacated.push_back(dbname);
    return true;
}

void FakeEnvironment::enter_database(const Identity&, const std::string& dbname) {
    std::erase(vacated, dbname);
}

void FakeEnvironment::hold_until_gone(const Identity&, std::uint32_t,
                                      std::unique_ptr<pool::Held> h) {
    held.push_back(std::move(h));
}

void FakeEnvironment::post_task(std::function<void()> task) { tasks.push_back(std::move(task)); }

void FakeEnvironment::await_watermark(cache::DatabaseState&, base::Nanos needed, std::uint64_t) {
    awaited.push_back(needed);
}

void FakeEnvironment::find_process(const Identity&, std::uint32_t number, bool, std::uint64_t,
                                   std::uint64_t) {
    processes_asked.push_back(number);
}

Stage::Stage(unsigned servers, config::PoolMode mode) {
    for (unsigned i = 0; i < servers; ++i) pool.servers.push_back(std::make_unique<FakeServer>());
    identity.database = "app";
    identity.user = "joe";
    identity.mode = mode;
    identity.profile = pool::empty_profile();
    identity.context = {1, &registry.database("test:5432", "app"), "joe", {"public"}};
    identity.path_known = true;
}
Stage::~Stage() = default;

void Stage::give_cache() {
    auto& database = *identity.context.database;
    auto catalog = std::make_shared<query::Catalog>();
    catalog->read_committed = catalog->casts_proven = true;
    catalog->version = 1;
    // Twice where something has run without one.
    if (!database.set_catalog(catalog)) database.set_catalog(catalog);
    database.set_rung(cache::Rung::bounded, "");
    database.stream().begin_by_notice(database.whole());
    database.stream().advance(base::monotonic_now());
    env.cache = std::make_unique<cache::ResultCache>(1 << 20, 1 << 16);
    env.settings.cache.enabled = true;
    env.settings.cache.consistency = config::Consistency::bounded;
}

Session& Stage::start() {
    if (!session)
        session =
            std::make_unique<Session>(env, client, pool, std::make_shared<Identity>(identity), "");
    return *session;
}

std::string Stage::client_got() { return std::exchange(client.sent, {}); }
std::string Stage::server_got(unsigned i) { return std::exchange(server(i).received, {}); }

std::string ask(std::string_view sql) {
    std::string m;
    wire::write_query(m, sql);
    return m;
}

std::string parse(std::string_view name, std::string_view sql) {
    std::string m;
    wire::write_parse(m, name, sql, {});
    return m;
}

std::string bind(std::string_view portal, std::string_view statement) {
    std::string body;
    base::append_cstring(body, portal);
    base::append_cstring(body, statement);
    base::append_u16(body, 0);
    base::append_u16(body, 0);
    base::append_u16(body, 0);
    return message('B', body);
}

std::string describe(char kind, std::string_view name) {
    std::string body(1, kind);
    base::append_cstring(body, name);
    return message('D', body);
}

std::string close(char kind, std::string_view name) {
    std::string m;
    wire::write_close(m, kind, name);
    return m;
}

std::string execute(std::string_view portal) {
    std::string body;
    base::append_cstring(body, portal);
    base::append_u32(body, 0);
    return message('E', body);
}

std::string message(char type, std::string_view body) {
    std::string m;
    wire::write_message(m, type, body);
    return m;
}

std::string end_batch() { return message('S'); }

std::string ready(char status) { return message('Z', std::string_view(&status, 1)); }
std::string complete(std::string_view tag) {
    std::string m;
    wire::write_command_complete(m, tag);
    return m;
}
std::string error(std::string_view sqlstate, std::string_view text) {
    std::string m;
    wire::write_error(m, {.sqlstate = sqlstate, .message = text});
    return m;
}

std::string rows() {
    const wire::Column columns[] = {{"a", wire::kOidInt4}};
    const std::string_view values[] = {"42"};
    std::string m;
    wire::write_row_description(m, columns);
    wire::write_data_row(m, values);
    return m + complete("SELECT 1");
}

std::string looked(std::string_view states,
                   std::initializer_list<std::pair<std::string_view, std::string_view>> settings,
                   std::string_view role, std::initializer_list<std::string_view> channels) {
    std::string m;
    const std::string_view state[] = {"joe",
                                      role,
                                      "joe",
                                      states.substr(0, 1),
                                      states.substr(1, 1),
                                      states.substr(2, 1),
                                      states.substr(3, 1),
                                      states.substr(4, 1)};
    wire::write_data_row(m, state);
    m += complete("SELECT 1");
    for (const auto& [name, value] : settings) {
        const std::string_view row[] = {name, value};
        wire::write_data_row(m, row);
    }
    m += complete("SELECT 0");
    for (const auto name : channels) wire::write_data_row(m, std::span(&name, 1));
    return m + complete("SELECT 0") + ready();
}

std::string types(std::string_view bytes) {
    std::string t;
    while (!bytes.empty()) {
        const auto f = wire::scan_frame(bytes);
        t += f.type;
        if (f.status != wire::FrameStatus::complete) return t + "!";
        bytes.remove_prefix(f.size);
    }
    return t;
}

}  // namespace pgweir::session::testing
