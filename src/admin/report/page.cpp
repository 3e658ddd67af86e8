// The report as one page: no script, nothing fetched, its own style, drawings as SVG. A policy in
// its head forbids all else, so that a text that slipped through could still do nothing.
#include <algorithm>

#include "../slow_line.hpp"
#include "report.hpp"
#include "show.hpp"

namespace pgweir::admin {

namespace {

std::string tag(std::string_view name, std::string_view attributes, const std::string& inner) {
    std::string out("<");
    out.append(name);
    if (!attributes.empty()) out.append(" ").append(attributes);
    out.append(">").append(inner).append("</").append(name).append(">");
    return out;
}

std::string cell(const std::string& text) { return tag("td", "class=n", escaped(text)); }
/// With the exact number, in microseconds, for programs.
std::string micros_cell(std::uint64_t us) {
    return tag("td", "class=n", tag("data", "value=" + std::to_string(us), escaped(time_text(us))));
}
std::string count_cell(std::uint64_t n) {
    return tag("td", "class=n", tag("data", "value=" + std::to_string(n), count_text(n)));
}
std::string name_cell(const std::string& text) {
    return tag("td", "class=name", text.empty() ? "<i>not known</i>" : escaped(one_line(text, 80)));
}

/// Head cells; those of numbers begin with '#'.
std::string head(std::initializer_list<std::string_view> names) {
    std::string cells;
    for (const auto name : names)
        cells += name.starts_with('#') ? tag("th", "class=n", escaped(name.substr(1)))
                                       : tag("th", "", escaped(name));
    return tag("thead", "", tag("tr", "", cells));
}

std::string table(const std::string& head_row, const std::string& rows) {
    return tag("div", "class=wide", tag("table", "", head_row + tag("tbody", "", rows))) + "\n";
}

/// Parts of `whole` beside each other: waiting, server, transfer and what is left.
std::string time_bar(const Sums& s, std::uint64_t whole) {
    whole = std::max<std::uint64_t>(whole, 1);
    const auto part = [whole](std::uint64_t us) {
        return std::to_string(std::min<std::uint64_t>(us * 1000 / whole, 1000));
    };
    const auto w = std::min(s.wait_us, whole), v = std::min(s.server_us, whole - w),
               t = std::min(s.transfer_us, whole - w - v);
    const auto rest = std::min(s.total_us, whole);
    std::string out =
        "<svg class=bar viewBox=\"0 0 1000 10\" preserveAspectRatio=none role=img>"
        "<title>waiting " +
        time_text(s.wait_us) + ", server " + time_text(s.server_us) + ", transfer " +
        time_text(s.transfer_us) + "</title><rect class=rest width=" + part(rest) + " height=10 />";
    out += "<rect class=wait width=" + part(w) + " height=10 /><rect class=server x=" + part(w) +
           " width=" + part(v) + " height=10 /><rect class=transfer x=" + part(w + v) +
           " width=" + part(t) + " height=10 /></svg>";
    return out;
}

std::string tile(const std::string& value, std::string_view what) {
    return tag("div", "class=tile", tag("b", "", escaped(value)) + tag("span", "", escaped(what)));
}

void overview(std::string& out, const ReportInput& in) {
    const auto& s = in.summary;
    const auto& all = s.all();
    out += "<header><h1>pgweir report</h1><p>";
    if (s.from_us() > 0)
        out += escaped(stamp_text(s.from_us())) + " to " + escaped(stamp_text(s.to_us()));
    out += "</p></header>\n<section class=tiles>";
    out += tile(count_text(all.calls), "statements logged") +
           tile(time_text(all.total_us), "in all") +
           tile(time_text(all.wait_us),
                "waiting for a connection, " + share_text(all.wait_us, all.total_us)) +
           tile(time_text(all.server_us),
                "on the server, " + share_text(all.server_us, all.total_us)) +
           tile(count_text(all.errors), "failed") +
           tile(count_text(s.refused()), "refused without a server") +
           tile(count_text(s.idle()), "silences in a transaction");
    out += "</section>\n";
    if (s.beyond().calls > 0)
        out += tag("p", "class=note",
                   "Queries beyond the first " + count_text(Summary::kMaxQueries) +
                       " are in the sums only: " + count_text(s.beyond().calls) + " statements, " +
                       time_text(s.beyond().total_us) + ".");
}

/// Of slot `i` of the timeline, which begins at `from_us`; the highest is of `most`.
std::string bar(std::size_t i, const Sums& s, std::int64_t from_us, std::uint64_t most) {
    const auto height = std::max<std::uint64_t>(s.total_us * 100 / most, 1);
    const auto waited = std::min(s.wait_us * 100 / most, height);
    const auto x = std::to_string(i * 10 + 1);
    return "<g><title>" + escaped(stamp_text(from_us, false)) + ": " + count_text(s.calls) +
           " statements, " + time_text(s.total_us) + ", waiting " + time_text(s.wait_us) +
           "</title><rect class=server x=" + x + " y=" + std::to_string(100 - height) +
           " width=8 height=" + std::to_string(height) + " /><rect class=wait x=" + x +
           " y=" + std::to_string(100 - waited) + " width=8 height=" + std::to_string(waited) +
           " /></g>";
}

void timeline(std::string& out, const ReportInput& in) {
    const auto& t = in.summary.timeline();
    const auto slots = t.slots();
    if (slots.empty()) return;
    std::uint64_t most = 1;
    for (const auto& s : slots) most = std::max(most, s.total_us);
    out += "<section><h2>Timeline</h2><p class=note>" +
           escaped(time_text(static_cast<std::uint64_t>(t.width_us()))) + " a bar, the highest " +
           escaped(time_text(most)) +
           " of time in statements that ended then</p><svg class=timeline viewBox=\"0 0 " +
           std::to_string(slots.size() * 10) + " 100\" preserveAspectRatio=none role=img>";
    for (std::size_t i = 0; i < slots.size(); ++i) {
        const auto& s = slots[i];
        if (s.calls == 0) continue;
        const auto from = t.first_us() + static_cast<std::int64_t>(i) * t.width_us();
        out += bar(i, s, from, most);
    }
    out += "</svg><p class=axis><span>" + escaped(stamp_text(t.first_us(), false)) +
           "</span><span>" +
           escaped(stamp_text(t.first_us() + static_cast<std::int64_t>(slots.size()) * t.width_us(),
                              false)) +
           "</span></p></section>\n";
}

std::string fact(std::string_view name, const std::string& value) {
    return tag("dt", "", escaped(name)) + tag("dd", "", escaped(value));
}

std::string span_text(const Span& s) {
    return time_text(s.sum) + "; least " + time_text(s.min()) + ", mean " + time_text(s.mean()) +
           ", p50 " + time_text(s.quantile(0.5)) + ", p95 " + time_text(s.quantile(0.95)) +
           ", p99 " + time_text(s.quantile(0.99)) + ", most " + time_text(s.most);
}

std::string details(const ReportQuery& q) {
    const auto& f = q.row.figures;
    std::string facts = fact("fingerprint", fingerprint_text(q.row.fingerprint)) +
                        fact("total time", span_text(f.total)) +
                        fact("waiting", span_text(f.wait)) + fact("server", span_text(f.server)) +
                        fact("transfer", time_text(q.transfer_us)) +
                        fact("rows, bytes", count_text(f.rows) + ", " + bytes_text(f.bytes));
    if (q.row.first_wall_us > 0)
        facts += fact("first, last",
                      stamp_text(q.row.first_wall_us) + ", " + stamp_text(q.row.last_wall_us));
    for (const auto& [reason, sums] : q.reasons)
        facts += fact("not cached", count_text(sums.calls) + " times: " + reason);
    if (q.repeats > 0)
        facts += fact("asked again", count_text(q.repeats) +
                                         " times with the text and parameters "
                                         "of an earlier one, " +
                                         time_text(q.repeats_us) + " on the server");
    for (const auto& [state, count] : q.sqlstates)
        facts += fact("failed", count_text(count) + " times" +
                                    (state.empty() ? "" : " with SQLSTATE " + state));
    if (!q.error.empty()) facts += fact("first error", one_line(q.error, 300));
    if (q.idle > 0)
        facts += fact("idle behind it",
                      count_text(q.idle) + " times, longest " + time_text(q.longest_idle_us));
    if (q.plans > 1) facts += fact("plans", count_text(q.plans) + " in turn");
    const auto& text = q.worst.empty() ? q.row.sample : q.worst;
    const auto plan = q.plan.empty() ? std::string()
                                     : tag("p", "class=note", "Its latest plan:") +
                                           tag("pre", "class=plan", escaped(q.plan));
    return tag("details", "",
               tag("summary", "", tag("code", "", escaped(one_line(q.row.text, 160)))) +
                   tag("dl", "", facts) + tag("p", "class=note", "The longest one:") +
                   tag("pre", "", escaped(text)) + plan);
}

void top_queries(std::string& out, const ReportInput& in) {
    const auto queries = in.summary.queries();
    const auto count = std::min(in.top, queries.size());
    std::string rows;
    for (std::size_t i = 0; i < count; ++i) {
        const auto& q = *queries[i];
        const auto& f = q.row.figures;
        Sums sums;
        sums.total_us = f.total.sum;
        sums.wait_us = f.wait.sum;
        sums.server_us = f.server.sum;
        sums.transfer_us = q.transfer_us;
        rows += "<tr class=figures id=q" + fingerprint_text(q.row.fingerprint) + ">" +
                cell(std::to_string(i + 1)) + micros_cell(f.total.sum) +
                cell(share_text(f.total.sum, in.summary.all().total_us)) +
                tag("td", "class=bars", time_bar(sums, queries[0]->row.figures.total.sum)) +
                count_cell(f.calls) + micros_cell(f.total.mean()) +
                micros_cell(f.total.quantile(0.95)) + micros_cell(f.total.most) +
                micros_cell(f.wait.sum) + count_cell(f.rows) + count_cell(f.errors) +
                "</tr><tr class=text><td></td><td colspan=10>" + details(q) + "</td></tr>\n";
    }
    out += "<section><h2>Top queries by total time</h2><p class=note>" + std::to_string(count) +
           " of " + count_text(queries.size()) +
           ". <span class=key><i class=wait></i>waiting <i class=server></i>server "
           "<i class=transfer></i>transfer</span></p>" +
           table(head({"##", "#total", "#share", "", "#calls", "#mean", "#p95", "#max", "#waited",
                       "#rows", "#errors"}),
                 rows) +
           "</section>\n";
}

void waits(std::string& out, const ReportInput& in) {
    out += "<section><h2>Where the time went</h2><div class=columns>";
    const std::pair<std::string_view, std::vector<NamedSums>> groups[] = {
        {"database", in.summary.databases()},
        {"user", in.summary.users()},
        {"application", in.summary.applications()}};
    for (const auto& [what, names] : groups) {
        std::string rows;
        for (std::size_t i = 0; i < std::min<std::size_t>(names.size(), 10); ++i)
            rows +=
                tag("tr", "",
                    name_cell(names[i].name) + cell(count_text(names[i].sums.calls)) +
                        cell(time_text(names[i].sums.total_us)) +
                        cell(time_text(names[i].sums.wait_us)) +
                        tag("td", "class=bars", time_bar(names[i].sums, names[0].sums.total_us)));
        out += table(head({what, "#statements", "#total", "#waited", ""}), rows);
    }
    out += "</div></section>\n";
}

void advice(std::string& out, const ReportInput& in) {
    const auto found = in.summary.advice();
    out += "<section><h2>Advice</h2>";
    if (found.empty()) out += tag("p", "class=note", "None: no rule is sure of anything.");
    for (std::size_t i = 0; i < std::min(found.size(), in.top); ++i) {
        const auto& a = found[i];
        out += tag("article", "",
                   tag("h3", "",
                       escaped(a.rule) + " <small>" + escaped(fingerprint_text(a.fingerprint)) +
                           ", " + escaped(time_text(a.time_us)) + " so far</small>") +
                       tag("code", "", escaped(one_line(a.query, 200))) +
                       tag("p", "", "Seen: " + escaped(a.evidence) + ".") +
                       tag("p", "", "Advice: " + escaped(a.advice) + "."));
    }
    out += "</section>\n";
}

void cache_potential(std::string& out, const ReportInput& in) {
    out += "<section><h2>Cache potential</h2>";
    std::string reasons, repeats;
    for (const auto& r : in.summary.reasons())
        reasons += tag("tr", "",
                       name_cell(r.name) + tag("td", "", escaped(reason_help(r.name))) +
                           cell(count_text(r.sums.calls)) + cell(time_text(r.sums.server_us)));
    std::size_t count = 0;
    for (const auto* q : in.summary.queries()) {
        if (q->repeats == 0) continue;
        if (count++ == in.top) break;
        repeats += tag("tr", "",
                       tag("td", "", tag("code", "", escaped(one_line(q->row.text, 120)))) +
                           cell(count_text(q->repeats)) + cell(count_text(q->row.figures.calls)) +
                           cell(time_text(q->repeats_us)));
    }
    if (reasons.empty() && repeats.empty()) out += tag("p", "class=note", "Nothing is known.");
    if (!repeats.empty())
        out += tag("p", "class=note",
                   "Asked again with the same text and parameters: what a cache could answer at "
                   "most, as far as the data was the same.") +
               table(head({"query", "#again", "#of", "#server time"}), repeats);
    if (!reasons.empty())
        out += tag("p", "class=note", "Why the cache had no part:") +
               table(head({"reason", "meaning", "#statements", "#server time"}), reasons);
    out += "</section>\n";
}

void files(std::string& out, const ReportInput& in) {
    std::string rows;
    for (const auto& file : in.files)
        rows += tag("tr", "",
                    name_cell(file.path) + cell(bytes_text(file.counts.bytes)) +
                        cell(count_text(file.counts.entries)) +
                        cell(count_text(file.counts.other)) + cell(count_text(file.counts.broken)) +
                        name_cell(file.error.empty() ? "read" : "not to its end"));
    out += "<section><h2>What was read</h2>" +
           table(head({"file", "#size", "#entries", "#of others", "#cut or not understood", ""}),
                 rows) +
           "</section>\n";
}

}  // namespace

std::string report_page(const ReportInput& in) {
    std::string out =
        "<!doctype html>\n<html lang=en><head><meta charset=utf-8>\n"
        "<meta http-equiv=Content-Security-Policy content=\"default-src 'none'; "
        "style-src 'unsafe-inline'\">\n"
        "<meta name=viewport content=\"width=device-width, initial-scale=1\">\n"
        "<meta name=referrer content=no-referrer><title>pgweir report</title>\n<style>";
    out.append(report_style).append("</style></head>\n<body>\n");
    overview(out, in);
    timeline(out, in);
    top_queries(out, in);
    waits(out, in);
    advice(out, in);
    cache_potential(out, in);
    files(out, in);
    return out + "</body></html>\n";
}

}  // namespace pgweir::admin
