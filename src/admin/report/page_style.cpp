// The style of the report's page: light and dark, narrow and wide, without anything to fetch.
#include "report.hpp"

namespace pgweir::admin {

const std::string_view report_style = R"css(
:root { color-scheme: light dark; --ground: #ffffff; --raised: #f3f5f7; --line: #d5dae0;
  --text: #1b2127; --quiet: #56606b; --wait: #c2410c; --server: #1d6fb8; --transfer: #3f8f5b;
  --rest: #c4cbd3; }
@media (prefers-color-scheme: dark) {
  :root { --ground: #14181c; --raised: #1e242a; --line: #364049; --text: #e4e8ec;
    --quiet: #9aa5b1; --wait: #f28c4b; --server: #5aa7e8; --transfer: #6cc08a; --rest: #4a545f; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1rem clamp(.75rem, 3vw, 2.5rem) 3rem; max-width: 84rem;
  background: var(--ground); color: var(--text);
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", "DejaVu Sans", sans-serif; }
h1 { font-size: 1.6rem; margin: .5rem 0 0; }
h2 { font-size: 1.15rem; margin: 2.2rem 0 .4rem; }
h3 { font-size: 1rem; margin: 0 0 .3rem; }
small, .note, header p, .axis { color: var(--quiet); font-weight: normal; }
header p, .note { margin: .1rem 0 .6rem; }
.tiles { display: grid; gap: .6rem; margin-top: 1rem;
  grid-template-columns: repeat(auto-fill, minmax(10rem, 1fr)); }
.tile, article { background: var(--raised); border: 1px solid var(--line); border-radius: 8px;
  padding: .6rem .8rem; }
.tile b { display: block; font-size: 1.3rem; font-variant-numeric: tabular-nums; }
.tile span { color: var(--quiet); font-size: .85rem; }
article { margin: .6rem 0; }
article p { margin: .4rem 0 0; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; }
th { text-align: left; font-weight: 600; color: var(--quiet); font-size: .82rem;
  border-bottom: 1px solid var(--line); }
th, td { padding: .28rem .5rem; vertical-align: top; }
td:not(.n) { overflow-wrap: anywhere; min-width: 2.2rem; }
td.name { min-width: 7rem; }
.wide + .note { margin-top: 1rem; }
.n { text-align: right; white-space: nowrap; font-variant-numeric: tabular-nums; }
tbody tr { border-bottom: 1px solid var(--line); }
tr.figures { border-bottom: 0; }
tr.text td { padding-top: 0; padding-bottom: .6rem; }
td.bars { width: 14%; min-width: 6rem; vertical-align: middle; }
.bar { display: block; width: 100%; height: .7rem; }
.timeline { display: block; width: 100%; height: 9rem; background: var(--raised);
  border: 1px solid var(--line); border-radius: 8px; }
.axis { display: flex; justify-content: space-between; margin: .2rem 0 0; font-size: .82rem; }
.wait { fill: var(--wait); background: var(--wait); }
.server { fill: var(--server); background: var(--server); }
.transfer { fill: var(--transfer); background: var(--transfer); }
.rest { fill: var(--rest); }
.key i { display: inline-block; width: .7rem; height: .7rem; border-radius: 2px;
  margin: 0 .3rem 0 .6rem; }
code, pre { font: 13px/1.45 ui-monospace, "DejaVu Sans Mono", monospace; overflow-wrap: anywhere;
  unicode-bidi: isolate; }
pre { background: var(--raised); border: 1px solid var(--line); border-radius: 8px; margin: 0;
  padding: .6rem .8rem; white-space: pre-wrap; max-height: 24rem; overflow-y: auto; }
pre.plan { white-space: pre; overflow: auto; overflow-wrap: normal; }
details > p.note { margin-top: .6rem; }
summary { cursor: pointer; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .1rem 1rem; margin: .5rem 0; }
dt { color: var(--quiet); }
dd { margin: 0; font-variant-numeric: tabular-nums; overflow-wrap: anywhere; }
.columns { display: grid; gap: 1rem 2rem;
  grid-template-columns: repeat(auto-fit, minmax(min(24rem, 100%), 1fr)); }
@media (max-width: 40rem) {
  .tiles { grid-template-columns: repeat(2, 1fr); }
  dl { grid-template-columns: 1fr; } dd { margin-bottom: .4rem; }
  tr.text td:first-child { display: none; }
  tr.text details { position: sticky; left: .5rem; width: calc(100vw - 2.5rem); } }
@media print { .wide { overflow: visible; } pre { max-height: none; } }
)css";

}  // namespace pgweir::admin
