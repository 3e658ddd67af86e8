// A client's socket, from accept to close: the packets before login, TLS, login, and then the
// session (or the console) that its bytes go to.
//
//   (proxy_header ►)
//   opening ─ SSLRequest ► tls ─┐   startup packet                    login proven, parameters
//   known
//      ▲────────────────────────┘ ─────────────────► authenticating ─► proving ─► settings ─►
//      serving
//
// Invariants: nothing of a client reaches a server before it has logged in; bytes that came in
// clear before TLS are never used after it; at most one FATAL is ever sent. Thread: the worker's.
// Ownership: owned by its worker; buries itself when it has ended.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "pgweir/auth/address_limiter.hpp"
#include "pgweir/auth/client_login.hpp"
#include "pgweir/auth/hba.hpp"
#include "pgweir/auth/ident_map.hpp"
#include "pgweir/base/intrusive_list.hpp"
#include "pgweir/io/socket.hpp"
#include "pgweir/session/replication.hpp"
#include "pgweir/session/session.hpp"
#include "pgweir/wire/startup.hpp"

namespace pgweir::session {

class ClientConnection;
class SettingsProbe;

/// Something that serves a logged-in connection other than a Session: the console.
class ConsolePort {
  public:
    virtual ~ConsolePort() = default;
    virtual void on_client_bytes(std::string_view bytes) = 0;
    /// What was queued towards the client has gone out.
    virtual void on_client_drained() = 0;
};

/// Where a login leads.
struct LoginTarget {
    const config::Database* database = nullptr;  // null: no such database
    bool console = false;
    pool::Pool* pool = nullptr;        // the sessions' pool
    pool::Pool* proof_pool = nullptr;  // where the client's own login is proven
};

/// What decides who may come in. Immutable; a reload swaps it whole, or not at all.
struct Doors {
    std::shared_ptr<io::TlsContext> tls;  // null: no TLS
    auth::UserStorePtr users;
    auth::HbaRulesPtr hba;
    auth::IdentMapPtr idents;
    std::vector<auth::Network> balancers;  // peers that have to send a PROXY header
};
using DoorsPtr = std::shared_ptr<const Doors>;

/// How often one address may do what, over all workers.
struct AddressLimits {
    auth::AddressLimiter connections, failures;
};

class ClientHost {
  public:
    virtual Environment& environment() noexcept = 0;
    virtual io::Loop& loop() noexcept = 0;
    virtual const Doors& doors() noexcept = 0;
    virtual AddressLimits& address_limits() noexcept = 0;
    /// Asks the server for a user's secret; the answer comes on this thread, perhaps at once.
    /// False: nobody is to be asked.
    using UserAnswer = std::function<void(base::Result<auth::UserStorePtr>)>;
    virtual bool look_up_user(const std::string& database, const std::string& user,
                              UserAnswer answer) = 0;
    /// What was looked up did not fit: ask again the next time.
    virtual void forget_user(const std::string& database, const std::string& user) = 0;
    virtual LoginTarget find_target(const std::string& database, const std::string& user) = 0;
    virtual IdentityPtr identity(const std::string& database, const std::string& user,
                                 pool::Pool& pool, pool::ProfilePtr profile) = 0;
    virtual std::unique_ptr<ConsolePort> open_console(ClientConnection& client,
                                                      const std::string& user) = 0;
    /// The process number and secret the client is to cancel with; secrets are compared in constant
    /// time.
    virtual std::uint32_t cancel_pid(const ClientConnection& client) noexcept = 0;
    /// `canceller` is forgotten once the cancel can have no more effect.
    virtual void route_cancel(ClientConnection& canceller, std::uint32_t pid, std::string key,
                              const io::Address& from) = 0;
    /// Takes the connection off the worker's books and buries it.
    virtual void forget(ClientConnection& client) noexcept = 0;
    virtual bool draining() const noexcept = 0;
    virtual bool accepts_more_clients() noexcept = 0;

  protected:
    ~ClientHost() = default;
};

/// A number a client cancels with is its worker's number from 1 above these bits, and its slot;
/// below, it is that of a server process, which no system makes that large.
inline constexpr unsigned kCancelSlotBits = 24;
constexpr bool is_server_pid(std::uint32_t pid) noexcept { return pid >> kCancelSlotBits == 0; }

class ClientConnection final : public io::Watcher,
                               public io::Buried,
                               public ClientLink,
                               public pool::LoginObserver {
  public:
    enum class Phase : std::uint8_t {
        proxy_header,
        opening,
        tls,
        authenticating,
        proving,
        settings,
        serving,
        cancelling,  // a CancelRequest: open until the cancel can have no more effect
        closing
    };

    ClientConnection(ClientHost& host, std::uint64_t id);
    ~ClientConnection() override;
    bool open(int fd, const io::Address& peer);

    // ClientLink
    void gather_send(std::span<const iovec> parts) override;
    std::size_t queued() const noexcept override { return socket_.queued(); }
    void set_reading(bool on) noexcept override { socket_.set_reading(on && !eof_); }
    void finish() noexcept override;

    void tick(base::Nanos now);
    /// Something of it ends by time: a login, a query, a half-closed connection.
    bool needs_tick() const noexcept {
        return phase_ != Phase::serving || eof_ || (session_ && session_->busy());
    }
    void shut_down(const wire::Report& report);
    /// Not logged in, and it is the client who has to go on.
    bool keeps_us_waiting() const noexcept {
        return phase_ == Phase::proxy_header || phase_ == Phase::opening || phase_ == Phase::tls ||
               phase_ == Phase::authenticating;
    }
    bool cancel_key_matches(std::string_view key) const noexcept;
    /// Of the server connection it keeps, which is what the client was told; 0: it keeps none.
    std::uint32_t server_pid() const noexcept { return server_pid_; }
    void send_now(std::string_view bytes);

    Phase phase() const noexcept { return phase_; }
    Session* session() noexcept { return session_.get(); }
    ReplicationRelay* relay() noexcept { return relay_.get(); }
    bool console() const noexcept { return console_ != nullptr; }
    /// The client's CancelRequest, with the right key.
    void on_cancel_request(pool::CancelToken settled);
    const std::string& user() const noexcept { return user_; }
    const std::string& database() const noexcept { return database_; }
    const std::string& application_name() const noexcept { return application_name_; }
    io::Socket& socket() noexcept { return socket_; }
    std::uint64_t id() const noexcept { return id_; }
    base::Nanos connected_at() const noexcept { return connected_at_; }
    std::int64_t connected_wall_us() const noexcept { return connected_wall_us_; }

    std::uint32_t slot = 0;
    base::ListLink stranger_link;  // in its worker's list, until it has logged in

  private:
    void on_ready(bool readable, bool writable) noexcept override;
    void read_some();
    void on_bytes(std::string_view bytes);
    bool read_proxy_header();
    bool set_peer(const io::Address& peer);
    bool begin_direct_tls();
    bool answer_encryption_request(const wire::StartupPacket& packet, std::size_t received);
    void on_opening_bytes(std::string_view bytes);
    bool on_opening_packet(const wire::StartupPacket& packet, std::size_t received);
    void continue_handshake();
    void on_startup(const wire::StartupPacket& packet);
    bool read_parameters(const wire::StartupPacket& packet);
    void start_login();
    void start_by_rule();
    void start_exchange(auth::ClientMethod method);
    void begin_exchange(auth::ClientMethod method, auth::UserStorePtr users);
    bool certificate_allows(const auth::HbaRule& rule);
    void start_peer(const std::string& map);
    void let_in();
    void note_failure() noexcept;
    std::string how_it_came();
    void on_login_bytes(std::string_view bytes);
    void on_login_step(const auth::ClientLoginStep& step);
    void hand_on_secret();
    void start_forward();
    void ask_for_password();
    void on_password(std::string password);
    void logged_in();
    void start_replication();
    void on_replication(const pool::ServerFailure* why);
    void tell_accepted();
    void fetch_settings(bool keep);
    void on_settings(base::Result<pool::Parameters> parameters, const pool::ServerFailure& why);
    void greet(const pool::Parameters& parameters, const pool::ServerLink* server);
    void start_session(const pool::Parameters& parameters, pool::ServerLink* server);
    void serve();
    LoginTarget& find_target();
    void refuse(std::string_view sqlstate, std::string_view message, std::string_view detail = {});
    void refuse(const pool::ServerFailure& why);
    bool begin_proof(const pool::Credentials& credentials);
    void drop_proof() noexcept;
    bool link_is_private() noexcept;

    // LoginObserver
    void on_password_needed() override;
    void on_server_login(bool password_was_asked) override;
    void on_server_login_failed(const pool::ServerFailure& why) override;

    ClientHost& host_;
    std::uint64_t id_;
    io::Socket socket_;
    Phase phase_ = Phase::opening;
    bool ssl_asked_ = false, gss_asked_ = false, eof_ = false, waiting_for_permit_ = false;
    std::uint32_t server_pid_ = 0;
    bool local_ = false;
    bool direct_tls_ = false;
    io::Address peer_;
    std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);  // for callbacks that come late
    base::Nanos connected_at_ = 0;
    base::Nanos eof_at_ = 0;
    std::int64_t connected_wall_us_ = 0;
    std::string user_, database_, application_name_, cancel_key_, peer_host_;
    std::uint16_t peer_port_ = 0;
    std::unique_ptr<Session> session_;
    std::unique_ptr<ConsolePort> console_;
    std::unique_ptr<ReplicationRelay> relay_;

    /// Needed until the client is served only.
    struct Opening {
        std::string in;
        std::uint32_t version = 0;
        Replication replication = Replication::none;
        std::string replication_word;  // as the client wrote it
        pool::Settings settings;
        pool::ProfilePtr profile;
        LoginTarget target;
        IdentityPtr identity;
        std::unique_ptr<auth::ClientLogin> login;
        auth::UserStorePtr users;  // that the exchange goes by
        bool looked_up = false;    // they are the server's word
        std::unique_ptr<SettingsProbe> probe;
        pool::ServerConnection* proof = nullptr;
        std::string password;
        bool server_asks = false;
        unsigned looks_for_room = 0;
        bool password_asked = false;
        bool told_accepted = false;  // AuthenticationOk has gone out
    };
    std::unique_ptr<Opening> opening_;
};

}  // namespace pgweir::session
