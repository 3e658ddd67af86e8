// The report as text, at most 100 columns wide.
#include <algorithm>

#include "../slow_line.hpp"
#include "report.hpp"
#include "show.hpp"

namespace pgweir::admin {

namespace {

constexpr std::size_t kColumns = 100;

/// Characters, not bytes: texts hold "µ" and "…".
std::size_t width(std::string_view text) {
    return static_cast<std::size_t>(std::count_if(text.begin(), text.end(), [](char c) {
        return (static_cast<unsigned char>(c) & 0xc0) != 0x80;
    }));
}

std::string right(const std::string& text, std::size_t columns) {
    const auto w = width(text);
    return w < columns ? std::string(columns - w, ' ') + text : text;
}

std::string left(const std::string& text, std::size_t columns) {
    const auto w = width(text);
    return w < columns ? text + std::string(columns - w, ' ') : text;
}

void wrap(std::string& out, const std::string& indent, std::string_view text) {
    std::string line = indent;
    for (std::size_t at = 0; at < text.size();) {
        const auto end = std::min(text.find(' ', at), text.size());
        const auto word = std::string(text.substr(at, end - at));
        if (width(line) + width(word) + 1 > kColumns && line.size() > indent.size()) {
            out += line + "\n";
            line = indent;
        }
        line += (line.size() > indent.size() ? " " : "") + word;
        at = end + 1;
    }
    out += line + "\n";
}

void overview(std::string& out, const ReportInput& in) {
    const auto& s = in.summary;
    const auto& all = s.all();
    out += "pgweir report\n\n";
    for (const auto& file : in.files) {
        out += "  " + left(one_line(file.path, 50), 50) + " " +
               right(count_text(file.counts.entries), 10) + " entries";
        if (file.counts.other > 0) out += ", " + count_text(file.counts.other) + " of others";
        if (file.counts.broken > 0)
            out += ", " + count_text(file.counts.broken) + " cut or not understood";
        out += file.error.empty() ? "\n" : ", not read to its end\n";
    }
    if (s.from_us() > 0)
        out += "\n  " + stamp_text(s.from_us()) + " to " + stamp_text(s.to_us()) + "\n";
    out += "\n  statements " + count_text(all.calls) + ", failed " + count_text(all.errors) +
           ", refused without a server " + count_text(s.refused()) + ", idle in transaction " +
           count_text(s.idle()) + "\n  total time " + time_text(all.total_us) +
           ": waiting for a connection " + time_text(all.wait_us) + " (" +
           share_text(all.wait_us, all.total_us) + "), server " + time_text(all.server_us) +
           ", transfer " + time_text(all.transfer_us) + "\n";
    if (s.beyond().calls > 0)
        out += "  beyond the " + count_text(Summary::kMaxQueries) +
               " queries that are kept: " + count_text(s.beyond().calls) + " statements, " +
               time_text(s.beyond().total_us) + "\n";
}

void top_queries(std::string& out, const ReportInput& in) {
    const auto queries = in.summary.queries();
    const auto count = std::min(in.top, queries.size());
    out += "\nTop " + std::to_string(count) + " of " + count_text(queries.size()) +
           " queries by total time\n\n" + right("", 3) + right("total", 10) + right("share", 8) +
           right("calls", 10) + right("mean", 9) + right("p95", 9) + right("max", 9) +
           right("waited", 9) + right("rows", 10) + right("errors", 8) + "\n";
    for (std::size_t i = 0; i < count; ++i) {
        const auto& q = *queries[i];
        const auto& f = q.row.figures;
        out += right(std::to_string(i + 1), 3) + right(time_text(f.total.sum), 10) +
               right(share_text(f.total.sum, in.summary.all().total_us), 8) +
               right(count_text(f.calls), 10) + right(time_text(f.total.mean()), 9) +
               right(time_text(f.total.quantile(0.95)), 9) + right(time_text(f.total.most), 9) +
               right(time_text(f.wait.sum), 9) + right(count_text(f.rows), 10) +
               right(count_text(f.errors), 8) + "\n";
        out += "    " + fingerprint_text(q.row.fingerprint) + "  " +
               one_line(q.row.text, kColumns - 22) + "\n";
    }
}

void waits(std::string& out, const ReportInput& in) {
    out += "\nWhere the time went, by database\n\n" + left("  database", 34) +
           right("statements", 12) + right("total", 12) + right("waiting", 12) +
           right("server", 12) + right("transfer", 12) + "\n";
    const auto databases = in.summary.databases();
    for (std::size_t i = 0; i < std::min<std::size_t>(databases.size(), 10); ++i) {
        const auto& d = databases[i];
        out += "  " + left(one_line(d.name.empty() ? "(not known)" : d.name, 31), 32) +
               right(count_text(d.sums.calls), 12) + right(time_text(d.sums.total_us), 12) +
               right(time_text(d.sums.wait_us), 12) + right(time_text(d.sums.server_us), 12) +
               right(time_text(d.sums.transfer_us), 12) + "\n";
    }
}

void advice(std::string& out, const ReportInput& in) {
    const auto found = in.summary.advice();
    out += "\nAdvice\n\n";
    if (found.empty()) out += "  none: no rule is sure of anything\n";
    for (std::size_t i = 0; i < std::min(found.size(), in.top); ++i) {
        const auto& a = found[i];
        out.append("  ").append(a.rule).append(" (").append(fingerprint_text(a.fingerprint));
        out += ", " + time_text(a.time_us) + "): " + one_line(a.query, 50) + "\n";
        wrap(out, "    ", shown(a.evidence, false));
        wrap(out, "    ", "-> " + shown(a.advice, false));
    }
}

void plans(std::string& out, const ReportInput& in) {
    std::size_t count = 0;
    for (const auto* q : in.summary.queries()) {
        if (q->plan.empty()) continue;
        if (count++ == in.top) break;
        out += (count == 1 ? "\nPlans\n\n  " : "\n  ") + fingerprint_text(q->row.fingerprint) +
               ": " + one_line(q->row.text, kColumns - 22) +
               (q->plans > 1 ? ", the latest of " + count_text(q->plans) : "") + "\n";
        std::string_view rest = q->plan;
        while (!rest.empty()) {
            const auto end = std::min(rest.find('\n'), rest.size());
            out += "    " + shown(rest.substr(0, end), false) + "\n";
            rest.remove_prefix(std::min(end + 1, rest.size()));
        }
    }
}

void cache_potential(std::string& out, const ReportInput& in) {
    out += "\nCache: why it had no part, and what was asked again\n\n";
    const auto reasons = in.summary.reasons();
    for (std::size_t i = 0; i < std::min<std::size_t>(reasons.size(), 12); ++i) {
        const auto& r = reasons[i];
        out += "  " + left(one_line(r.name, 24), 24) + right(count_text(r.sums.calls), 10) +
               " statements" + right(time_text(r.sums.server_us), 11) + " on the server  " +
               one_line(reason_help(r.name), 40) + "\n";
    }
    std::size_t count = 0;
    for (const auto* q : in.summary.queries()) {
        if (q->repeats == 0 || count++ == in.top) continue;
        if (count > in.top) break;
        out += "  " + fingerprint_text(q->row.fingerprint) + ": " + count_text(q->repeats) +
               " of " + count_text(q->row.figures.calls) +
               " with the text and parameters of an earlier one, " + time_text(q->repeats_us) +
               " on the server\n";
    }
    if (reasons.empty() && count == 0) out += "  nothing is known\n";
}

void timeline(std::string& out, const ReportInput& in) {
    const auto& t = in.summary.timeline();
    const auto slots = t.slots();
    if (slots.empty()) return;
    const auto per_line = (slots.size() + 29) / 30;
    std::vector<Sums> lines((slots.size() + per_line - 1) / per_line);
    std::uint64_t most = 1;
    for (std::size_t i = 0; i < slots.size(); ++i) {
        auto& line = lines[i / per_line];
        line.calls += slots[i].calls;
        line.total_us += slots[i].total_us;
        most = std::max(most, line.total_us);
    }
    const auto step = t.width_us() * static_cast<std::int64_t>(per_line);
    out += "\nTimeline, " + time_text(static_cast<std::uint64_t>(step)) + " a line\n\n";
    for (std::size_t i = 0; i < lines.size(); ++i)
        out += "  " + stamp_text(t.first_us() + static_cast<std::int64_t>(i) * step, false) +
               right(count_text(lines[i].calls), 9) + right(time_text(lines[i].total_us), 11) +
               "  " + std::string(lines[i].total_us * 40 / most, '#') + "\n";
}

}  // namespace

std::string report_text(const ReportInput& in) {
    std::string out;
    overview(out, in);
    if (in.summary.all().calls + in.summary.refused() + in.summary.idle() == 0)
        return out + "\nNo entry of a slow log of pgweir is in what was read.\n";
    top_queries(out, in);
    waits(out, in);
    advice(out, in);
    plans(out, in);
    cache_potential(out, in);
    timeline(out, in);
    return out;
}

}  // namespace pgweir::admin
