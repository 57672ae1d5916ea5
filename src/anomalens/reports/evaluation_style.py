"""What the evaluation report adds to the style of the pages."""

from __future__ import annotations

from typing import Final

STYLE: Final = """
:root { --good: #2c6e49; --good-soft: #e2f0e8; }
@media (prefers-color-scheme: dark) { :root { --good: #84d3a6; --good-soft: #1d3528; } }
.result { margin: 1.6rem 0; padding-top: .6rem; border-top: 2px solid var(--line); }
.result h2 { font-size: 1.35rem; margin: .2rem 0; overflow-wrap: anywhere; }
.result h3 { font-size: 1.05rem; margin: 1.6rem 0 .5rem; break-after: avoid; }
.result h4 { font-size: 1rem; margin: 0 0 .5rem; }
summary { cursor: pointer; }
summary h2 { display: inline; }
summary .lead { margin-left: 1.1rem; }
.headline { max-width: none; color: var(--ink); font-size: 1.08rem; }
.soft { color: var(--soft); font-size: .9rem; }
.grade {
  display: inline-block; padding: 0 .6rem; border-radius: .3rem; font-size: .85rem; font-weight: 600;
  vertical-align: .15em; white-space: nowrap; print-color-adjust: exact;
}
.grade.good { background: var(--good-soft); color: var(--good); }
.grade.mixed { background: var(--note); color: var(--ink); border: 1px solid var(--note-line); }
.grade.weak { background: var(--flagged-soft); color: var(--flagged); }
.grade.open { background: var(--broken-soft); color: var(--broken); }
.remarks {
  display: grid; gap: 0 1.4rem;
  grid-template-columns: repeat(auto-fit, minmax(min(100%, 20rem), 1fr));
}
.remarks h3 { margin: .8rem 0 .2rem; }
.remarks ul { margin: 0; padding-left: 1.1rem; overflow-wrap: anywhere; }
.remarks li { margin: .25rem 0; }
table { border-collapse: collapse; font-size: .92rem; }
th, td {
  text-align: left; padding: .25rem .9rem .25rem 0; vertical-align: top;
  border-bottom: 1px solid var(--line);
}
.figures-table td:nth-child(-n+3) { white-space: nowrap; }
td { overflow-wrap: anywhere; }
tr.block th { padding-top: .8rem; color: var(--soft); font-weight: 600; }
.scroll { overflow-x: auto; }
.scroll th { min-width: 4.5rem; }
.scroll.compact table { font-size: .85rem; }
.scroll.compact th { min-width: 0; }
.scroll.compact th, .scroll.compact td { padding-right: .6rem; overflow-wrap: normal; }
.scroll.compact .number { white-space: nowrap; }
.remarks code { font-size: .88em; }
.beside { display: flex; flex-wrap: wrap; gap: 1rem 2rem; align-items: flex-start; }
.beside > :first-child { flex: 1 1 34rem; min-width: 0; }
.confusion caption { text-align: left; color: var(--soft); font-size: .9rem; padding-bottom: .3rem; }
.confusion th, .confusion td { padding: .5rem .9rem; text-align: center; border: 0; }
.confusion tbody td { font-size: 1.35rem; font-weight: 600; border: 2px solid var(--paper); }
.confusion td span { display: block; font-size: .8rem; font-weight: 400; }
.confusion .right { background: var(--normal-soft); color: var(--normal); }
.confusion .bad { background: var(--flagged-soft); color: var(--flagged); }
.curves { display: flex; flex-wrap: wrap; gap: 1rem; margin: 1rem 0; }
.curves figure { margin: 0; flex: 1 1 17rem; max-width: 20rem; break-inside: avoid; }
.curves figcaption { font-size: .85rem; color: var(--soft); text-align: center; }
.curve { display: block; width: 100%; height: auto; font-size: 11px; }
.curve text { fill: var(--soft); }
.curve .frame { fill: var(--sheet); stroke: var(--line); }
.curve .line { fill: none; stroke: var(--normal); stroke-width: 2; stroke-linejoin: round; }
.curve .line.c0, .sample .line.c0 { stroke: var(--normal); }
.curves .sample { display: inline-block; width: 28px; height: 10px; }
.sample .line { fill: none; stroke: var(--normal); stroke-width: 2; }
.line.c1 { stroke: #d55e00; } .line.c2 { stroke: #009e73; } .line.c3 { stroke: #b8528f; }
.line.c4 { stroke: #b88700; } .line.c5 { stroke: #56b4e9; }
.curve .aside { fill: none; stroke: var(--soft); stroke-dasharray: 4 4; }
.curve .dot { fill: var(--flagged); stroke: var(--sheet); stroke-width: 1.5; }
.chart .b-normal { fill: var(--normal); }
.chart .b-flagged { fill: var(--flagged); }
.chart .b-plain { fill: var(--bar); }
.chart .wrong { fill: var(--flagged); opacity: .1; }
.live .stage { position: relative; }
.live input {
  position: absolute; left: -8px; top: 20px; width: calc(100% + 16px); height: 177px; margin: 0;
  background: none; -webkit-appearance: none; appearance: none; cursor: ew-resize; touch-action: pan-y;
}
.live input[hidden], .hint[hidden] { display: none; }
.live input::-webkit-slider-runnable-track { background: none; height: 177px; }
.live input::-moz-range-track { background: none; height: 177px; }
.live input::-webkit-slider-thumb {
  -webkit-appearance: none; width: 16px; height: 40px; margin-top: 68px;
  border-radius: 8px; border: 2px solid var(--sheet);
  background: var(--ink); cursor: ew-resize;
}
.live input::-moz-range-thumb {
  box-sizing: border-box; width: 16px; height: 40px; border-radius: 8px; border: 2px solid var(--sheet);
  background: var(--ink); cursor: ew-resize;
}
.live input:focus-visible { outline: none; }
.live input:focus-visible::-webkit-slider-thumb { outline: 3px solid var(--normal); outline-offset: 1px; }
.live input:focus-visible::-moz-range-thumb { outline: 3px solid var(--normal); outline-offset: 1px; }
.counts { display: flex; flex-wrap: wrap; gap: .3rem 2rem; margin: .7rem 0 0; }
.counts dt { font-size: .82rem; color: var(--soft); }
.counts dd { margin: 0; font-size: 1.12rem; font-weight: 600; font-variant-numeric: tabular-nums; }
.counts .c-flagged dd { color: var(--flagged); }
.live button {
  font: inherit; color: var(--ink); background: var(--paper); border: 1px solid var(--line);
  border-radius: .4rem; padding: .1rem .6rem; cursor: pointer;
}
.live button:disabled { opacity: .5; cursor: default; }
.result .card { border-top-width: 4px; }
.result .scores { margin-bottom: .8rem; }
.result .scores figure { margin: 0 0 1rem; }
.command {
  padding: .6rem .8rem; background: var(--sheet); border: 1px solid var(--line); border-radius: .4rem;
  white-space: pre-wrap; overflow-wrap: anywhere; font-size: .9rem;
}
.facts div { grid-template-columns: 9rem 1fr; }
@media (max-width: 40rem) {
  .figures-table td:nth-child(4), .figures-table thead th:nth-child(4) { display: none; }
  .facts div { grid-template-columns: 6.5rem 1fr; }
}
@media print {
  .live input, .hint, .live input[type=range] { display: none; }
  .card, .scores, .confusion, tr { break-inside: avoid; }
  .beside > :first-child { flex-basis: 24rem; }
}
"""
