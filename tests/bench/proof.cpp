// What a login costs the thread that traffic runs on, in its own processor time: by trust, and by a
// SCRAM proof checked against a stored secret. The client's half is worked out between the clocks.
// Ends with 1 when the proof costs 10 us more or worse. Thread: one.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <vector>

#include "pgweir/auth/client_login.hpp"
#include "pgweir/base/bytes.hpp"
#include "pgweir/wire/frame.hpp"

namespace {

using namespace pgweir;
using auth::ClientLogin;
using auth::ClientMethod;

constexpr int kLogins = 20'000;
constexpr double kMostMicroseconds = 10;
constexpr std::size_t kCode = 4;  // in front of what an Authentication message says

double thread_microseconds() {
    timespec t{};
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return static_cast<double>(t.tv_sec) * 1e6 + static_cast<double>(t.tv_nsec) / 1e3;
}

/// Adds up the time between start() and stop().
class Clock {
  public:
    void start() noexcept { since_ = thread_microseconds(); }
    void stop() noexcept { spent_ += thread_microseconds() - since_; }
    double spent() const noexcept { return spent_; }

  private:
    double since_ = 0, spent_ = 0;
};

/// What the message says behind its code. Copied, for the machine goes on.
std::string said(const auth::ClientLoginStep& step) {
    return std::string(wire::scan_frame(step.bytes).body.substr(kCode));
}

double by_trust(const auth::UserStorePtr& users) {
    Clock clock;
    clock.start();
    ClientLogin login;
    login.start({ClientMethod::trust, "joe", users, {}});
    clock.stop();
    return login.status() == auth::ClientLoginStatus::accepted ? clock.spent() : -1;
}

double by_proof(const auth::UserStorePtr& users, const auth::ClientKeys& keys) {
    auth::ScramClient client(std::nullopt, keys);
    std::string first;
    base::append_cstring(first, auth::kScramMechanism);
    const auto message = client.first_message();
    base::append_u32(first, static_cast<std::uint32_t>(message.size()));
    first += message;
    Clock clock;
    clock.start();
    ClientLogin login;
    login.start({ClientMethod::scram_sha_256, "joe", users, {}});
    const auto challenge = login.feed('p', first);
    clock.stop();
    const auto proof = client.answer(said(challenge));
    if (!proof) return -1;
    clock.start();
    login.feed('p', *proof);
    clock.stop();
    return login.status() == auth::ClientLoginStatus::accepted ? clock.spent() : -1;
}

template <class F>
double median(F&& login) {
    std::vector<double> times;
    for (int i = 0; i < kLogins; ++i) {
        times.push_back(login());
        if (times.back() < 0) {
            std::fprintf(stderr, "a login was refused\n");
            std::exit(2);
        }
    }
    std::nth_element(times.begin(), times.begin() + kLogins / 2, times.end());
    return times[kLogins / 2];
}

}  // namespace

int main() {
    const auto secret = auth::derive_scram_secret("pencil", "salt and pepper.");
    const auto users = auth::UserStore::one("joe", auth::format_scram_secret(secret));
    const auto keys = auth::derive_client_keys("pencil", secret.salt, secret.iterations);
    if (!users) return 2;
    const auto trust = median([&] { return by_trust(*users); });
    const auto proof = median([&] { return by_proof(*users, keys); });
    std::printf(
        "processor time of a worker's thread, median of %d logins: trust %.2f us, "
        "SCRAM proof %.2f us, that is %.2f us more (wanted: below %.0f)\n",
        kLogins, trust, proof, proof - trust, kMostMicroseconds);
    return proof - trust < kMostMicroseconds ? 0 : 1;
}
