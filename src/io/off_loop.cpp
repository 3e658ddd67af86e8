// See off_loop.hpp.
#include "pgweir/io/off_loop.hpp"

#include <pwd.h>
#include <unistd.h>
#include <uv.h>

#include <memory>
#include <vector>

namespace pgweir::io {

namespace {

struct Job {
    uv_work_t uv{};
    std::function<void()> work, done;
};

void run_job(uv_work_t* uv) { static_cast<Job*>(uv->data)->work(); }

void end_job(uv_work_t* uv, int status) {
    const std::unique_ptr<Job> job(static_cast<Job*>(uv->data));
    if (status == 0) job->done();  // else the loop ends, and its owners with it
}

}  // namespace

void run_off_loop(Loop& loop, std::function<void()> work, std::function<void()> done) {
    auto job = std::make_unique<Job>();
    job->uv.data = job.get();
    job->work = std::move(work);
    job->done = std::move(done);
    auto* raw = job.release();
    if (uv_queue_work(loop.uv(), &raw->uv, run_job, end_job) == 0) return;
    raw->work();
    end_job(&raw->uv, 0);
}

std::string system_user_name(unsigned uid) {
    constexpr std::size_t kRoom = std::size_t{64} * 1024;
    std::vector<char> room(kRoom);
    passwd entry{};
    passwd* found = nullptr;
    const int rc = getpwuid_r(uid, &entry, room.data(), room.size(), &found);
    return rc == 0 && found != nullptr ? found->pw_name : "";
}

}  // namespace pgweir::io
