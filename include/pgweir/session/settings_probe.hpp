// Asks a server what a client with these settings would be told: leases a connection, applies the
// profile, and collects ParameterStatus. Run once per pool and profile; also shows, as the server
// itself would, that a setting is wrong.
// Thread: the worker's. Calls back once, never before begin() has returned to its caller's caller.
#pragma once

#include <functional>
#include <string>
#include <utility>

#include "pgweir/base/result.hpp"
#include "pgweir/pool/pool.hpp"

namespace pgweir::session {

class SettingsProbe final : public pool::Waiter, public pool::ServerUser {
  public:
    using Done = std::function<void(base::Result<pool::Parameters>, const pool::ServerFailure&)>;
    SettingsProbe(pool::Pool& pool, pool::ProfilePtr profile, Done done);
    ~SettingsProbe();
    /// With `keep` the server connection is not given back: see take_server().
    void begin(bool keep);
    /// After success, once: the connection with the settings in force. The caller has the lease.
    pool::ServerLink* take_server() noexcept { return std::exchange(server_, nullptr); }

    pool::ServerUser& server_user() noexcept override { return *this; }
    void on_lease(pool::ServerLink& server) noexcept override;
    void on_lease_failed(const pool::ServerFailure& why) noexcept override;
    void on_server_bytes(std::string_view bytes) noexcept override;
    void on_server_gone(std::string_view why) noexcept override;
    void on_server_drained() noexcept override {}

  private:
    void start();
    void finish();
    void fail(const pool::ServerFailure& why);

    pool::Pool& pool_;
    pool::ProfilePtr profile_;
    Done done_;
    pool::ServerLink* server_ = nullptr;
    std::string in_;
    pool::Parameters parameters_;
    unsigned ready_expected_ = 0;
    bool keep_ = false;
    bool failed_ = false;
    pool::ServerFailure failure_;
};

}  // namespace pgweir::session
