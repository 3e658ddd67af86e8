// Slow logs that `pgweir report` reads: anybody's bytes, in pieces of any size.
#include "report/report.hpp"
#include "target.hpp"

using namespace pgweir;
using fuzz::must;

FUZZ_TARGET(report) {
    admin::Summary summary;
    std::uint64_t entries = 0;
    admin::LogReader whole([&](admin::LogEntry&& entry) {
        ++entries;
        summary.add(std::move(entry));
    });
    whole.feed(input);
    whole.finish();
    must(whole.counts().entries == entries, "every entry is counted");
    must(whole.counts().bytes == input.size(), "every byte is read");
    admin::LogReader bytewise([](admin::LogEntry&&) {});
    for (const char& c : input) bytewise.feed({&c, 1});
    bytewise.finish();
    must(bytewise.counts().entries == entries, "pieces make no difference");
    must(bytewise.counts().broken == whole.counts().broken, "nor to what is broken");
    const admin::ReportInput report{summary, {{"log", whole.counts(), ""}}, 5};
    const auto page = admin::report_page(report), text = admin::report_text(report);
    must(page.find("<script") == std::string::npos, "the page has no script");
    for (const auto& out : {page, text})
        for (const char c : out)
            must(static_cast<unsigned char>(c) >= 0x20 || c == '\n' || c == '\t',
                 "no control character is shown");
}
