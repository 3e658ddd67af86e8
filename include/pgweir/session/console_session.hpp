// A client of the console: its messages in both protocols, answered by whoever runs the commands.
// Never touches a server. Statements of the extended protocol take no parameters. Thread: the
// worker's; answers come back through resume(), which the host posts to this thread.
#pragma once

#include <deque>
#include <functional>
#include <string>
#include <string_view>
#include <unordered_map>

#include "pgweir/session/client_connection.hpp"

namespace pgweir::session {

/// What runs the commands; all give whole messages without ReadyForQuery.
class ConsoleCommands {
  public:
    virtual ~ConsoleCommands() = default;
    /// `extended`: one statement, without its RowDescription. The answer comes through `reply`, on
    /// the session's thread, unless the session is gone by then.
    virtual void execute(std::string_view sql, bool admin, bool extended,
                         std::function<void(std::string)> reply) = 0;
    virtual std::string describe(std::string_view sql) = 0;
    /// An ErrorResponse for what is no statement, or empty.
    virtual std::string check(std::string_view sql) = 0;
};

class ConsoleSession final : public ConsolePort {
  public:
    ConsoleSession(ClientConnection& client, ConsoleCommands& commands, bool admin);

    void on_client_bytes(std::string_view bytes) override;
    void on_client_drained() override;
    /// The answer to the command that was running.
    void resume(std::string answer);

  private:
    void work();
    void bound_input();
    void on_message(char type, std::string_view body);
    void on_parse(std::string_view body);
    void on_bind(std::string_view body);
    void on_describe(std::string_view body);
    void on_execute(std::string_view body);
    void on_close(std::string_view body);
    void run(const std::string& sql, bool extended);
    void fail(std::string_view sqlstate, std::string_view message);
    void send(std::string_view bytes);

    ClientConnection& client_;
    ConsoleCommands& commands_;
    const bool admin_;
    std::string in_;
    std::unordered_map<std::string, std::string> statements_;
    std::unordered_map<std::string, std::string> portals_;
    bool running_ = false;
    bool held_up_ = false;  // the client is not read
    bool simple_ = false;   // the running command came as a Query
    bool skip_until_sync_ = false;
};

}  // namespace pgweir::session
