// Reads a plan's JSON. Only what is named here is taken over, so what a later version adds cannot
// bring a constant along unseen.
#include "pgweir/admin/plan.hpp"

#include <algorithm>
#include <array>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "pgweir/base/hash.hpp"
#include "pgweir/query/verdict.hpp"

namespace pgweir::admin {

namespace {

using Json = nlohmann::json;

constexpr std::size_t kMaxText = 16 << 10;
constexpr std::size_t kMaxCondition = 1000;
constexpr int kDeepest = 100;
constexpr std::size_t kMaxScans = 100;
constexpr std::size_t kMaxNotes = 8;
constexpr std::string_view kAdvice = " | advice: ";

std::string text_of(const Json& node, const char* key) {
    const auto it = node.find(key);
    return it != node.end() && it->is_string() ? it->get<std::string>() : std::string();
}

double number_of(const Json& node, const char* key) {
    const auto it = node.find(key);
    return it != node.end() && it->is_number() ? it->get<double>() : 0;
}

class Reader {
  public:
    bool read(const Json& root, Plan& plan) {
        plan_ = &plan;
        node(root, 0, 1);
        if (plan.text.empty()) return false;
        plan.shape = base::stable_hash64(shape_);
        return true;
    }

  private:
    void line(std::size_t indent, const std::string& text, const std::string& figures = {}) {
        if (plan_->text.size() > kMaxText) return;
        shape_ += std::to_string(indent) + text + "\n";
        plan_->text +=
            (plan_->text.empty() ? "" : "\n") + std::string(indent, ' ') + text + figures;
    }

    void conditions(const Json& n, std::size_t indent) {
        static constexpr std::array kConditions{"Index Cond", "Recheck Cond",    "TID Cond",
                                                "Hash Cond",  "Merge Cond",      "Join Filter",
                                                "Filter",     "One-Time Filter", "Order By"};
        for (const auto* name : kConditions)
            if (const auto text = text_of(n, name); !text.empty())
                line(indent, name + (": " + query::normalise(text, kMaxCondition)));
        for (const auto* name : {"Sort Key", "Group Key"}) {
            const auto it = n.find(name);
            if (it == n.end() || !it->is_array()) continue;
            std::string keys;
            for (const auto& key : *it)
                if (key.is_string())
                    keys += (keys.empty() ? "" : ", ") +
                            query::normalise(key.get<std::string>(), kMaxCondition);
            line(indent, name + (": " + keys));
        }
    }

    static std::string title(const Json& n) {
        auto type = text_of(n, "Node Type");
        const auto strategy = text_of(n, "Strategy");
        if (type == "Aggregate" && strategy == "Hashed") type = "HashAggregate";
        if (type == "Aggregate" && strategy == "Sorted") type = "GroupAggregate";
        if (const auto join = text_of(n, "Join Type"); !join.empty() && join != "Inner")
            type += " " + join;
        if (const auto it = n.find("Parallel Aware");
            it != n.end() && it->is_boolean() && it->get<bool>())
            type.insert(0, "Parallel ");
        if (text_of(n, "Scan Direction") == "Backward") type += " Backward";
        if (const auto index = text_of(n, "Index Name"); !index.empty()) type += " using " + index;
        const auto relation = text_of(n, "Relation Name"), alias = text_of(n, "Alias");
        if (!relation.empty()) type += " on " + text_of(n, "Schema") + "." + relation;
        if (!alias.empty() && alias != relation) type += (relation.empty() ? " on " : " ") + alias;
        if (const auto plan = text_of(n, "Subplan Name"); !plan.empty()) type += " (" + plan + ")";
        return type;
    }

    static std::string figures(const Json& n) {
        char text[160];
        std::snprintf(text, sizeof text, "  (cost=%.2f..%.2f rows=%.0f width=%.0f)",
                      number_of(n, "Startup Cost"), number_of(n, "Total Cost"),
                      number_of(n, "Plan Rows"), number_of(n, "Plan Width"));
        return text;
    }

    /// An index without a condition is read from end to end, like a table.
    static bool reads_all(const Json& n, std::string_view type) {
        return type == "Seq Scan" ||
               ((type == "Index Scan" || type == "Index Only Scan") && !n.contains("Index Cond"));
    }

    void node(const Json& n, int depth, double processes) {
        if (!n.is_object() || depth > kDeepest || text_of(n, "Node Type").empty()) return;
        const auto type = text_of(n, "Node Type");
        const auto indent = depth > 0 ? static_cast<std::size_t>(depth) * 6 - 4 : 0;
        line(indent, (depth > 0 ? "->  " : "") + title(n), figures(n));
        conditions(n, depth > 0 ? indent + 6 : 2);
        if (reads_all(n, type) && plan_->scans.size() < kMaxScans)
            plan_->scans.push_back({text_of(n, "Schema"), text_of(n, "Relation Name"),
                                    text_of(n, "Alias"), text_of(n, "Filter"),
                                    number_of(n, "Plan Rows") * processes,
                                    text_of(n, "Index Name")});
        if (type.starts_with("Gather")) processes = number_of(n, "Workers Planned") + 1;
        const auto it = n.find("Plans");
        if (it == n.end() || !it->is_array()) return;
        for (const auto& child : *it) node(child, depth + 1, processes);
    }

    Plan* plan_ = nullptr;
    std::string shape_;
};

}  // namespace

std::shared_ptr<Plan> read_plan_json(std::string_view json) {
    const auto all = Json::parse(json, nullptr, false);
    if (!all.is_array() || all.size() != 1 || !all[0].is_object()) return nullptr;
    const auto root = all[0].find("Plan");
    if (root == all[0].end()) return nullptr;
    auto plan = std::make_shared<Plan>();
    return Reader().read(*root, *plan) ? plan : nullptr;
}

std::string notes_text(const std::vector<metrics::PlanNote>& notes) {
    std::string out;
    for (const auto& n : notes)
        out.append(out.empty() ? "" : "\n")
            .append(n.rule)
            .append(": ")
            .append(n.evidence)
            .append(kAdvice)
            .append(n.advice);
    return out;
}

std::vector<metrics::PlanNote> read_notes(std::string_view text) {
    std::vector<metrics::PlanNote> notes;
    while (!text.empty() && notes.size() < kMaxNotes) {
        const auto end = std::min(text.find('\n'), text.size());
        const auto line = text.substr(0, end);
        text.remove_prefix(std::min(end + 1, text.size()));
        const auto rule = line.find(": "), advice = line.rfind(kAdvice);
        if (rule == line.npos || advice == line.npos || advice < rule + 2) continue;
        notes.push_back({std::string(line.substr(0, rule)),
                         std::string(line.substr(rule + 2, advice - rule - 2)),
                         std::string(line.substr(advice + kAdvice.size()))});
    }
    return notes;
}

}  // namespace pgweir::admin
