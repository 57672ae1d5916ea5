"""The style sheet of the pages: calm, light and dark, narrow and printed."""

from __future__ import annotations

from typing import Final

STYLE: Final = """
:root {
  --paper: #f7f7f5; --sheet: #ffffff; --ink: #1d2126; --soft: #5d6670; --line: #d9dcdf;
  --flagged: #b4370a; --flagged-soft: #fbeae2; --normal: #2f6690; --normal-soft: #e6eef4;
  --broken: #6b4b9a; --broken-soft: #eee9f6; --note: #fff6dc; --note-line: #d9a400; --bar: #b9c2ca;
}
@media (prefers-color-scheme: dark) {
  :root {
    --paper: #15181b; --sheet: #1e2226; --ink: #e7e9eb; --soft: #a0a9b2; --line: #363c43;
    --flagged: #ff9466; --flagged-soft: #41261b; --normal: #86bfe6; --normal-soft: #1f3140;
    --broken: #c3aaf0; --broken-soft: #30284066; --note: #332b14; --note-line: #d9a400;
    --bar: #56616b;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0 auto; padding: 1.5rem clamp(.8rem, 3vw, 2.5rem) 3rem; max-width: 84rem;
  background: var(--paper); color: var(--ink);
  font: 1rem/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", sans-serif;
}
h1 { font-size: clamp(1.7rem, 5vw, 2.4rem); line-height: 1.15; margin: 0 0 .3rem; }
h1.flagged { color: var(--flagged); }
.lead { margin: .2rem 0; color: var(--soft); max-width: 60rem; }
.lead.unreadable { color: var(--broken); font-weight: 600; }
.note {
  margin: .6rem 0; padding: .5rem .8rem; max-width: 60rem;
  background: var(--note); border-left: 4px solid var(--note-line);
}
.facts { margin: 1.1rem 0 1.4rem; display: grid; gap: .15rem 1rem; font-size: .92rem; }
.facts div { display: grid; grid-template-columns: 6.5rem 1fr; }
.facts dt { color: var(--soft); }
.facts dd { margin: 0; overflow-wrap: anywhere; }
code { font-size: .92em; }
.scores {
  margin: 0 0 1.4rem; padding: .8rem 1rem; background: var(--sheet);
  border: 1px solid var(--line); border-radius: .5rem;
}
.chart { display: block; overflow: visible; font-size: 12.5px; }
.chart text { fill: var(--ink); }
.chart .soft { fill: var(--soft); }
.chart .bars { fill: var(--bar); }
.chart .axis { stroke: var(--soft); }
.chart .cut { stroke: var(--ink); stroke-dasharray: 5 3; stroke-width: 1.5; }
.chart .cut-text { font-weight: 600; paint-order: stroke; stroke: var(--sheet); stroke-width: 4px; }
.chart .t-flagged, .chart .t-normal {
  fill: none; stroke-width: 2; vector-effect: non-scaling-stroke;
}
.chart .t-flagged { stroke: var(--flagged); }
.chart .t-normal { stroke: var(--normal); }
.chart .t-text { fill: var(--flagged); }
.scores figcaption { margin-top: .5rem; font-size: .88rem; color: var(--soft); text-align: center; }
.key { display: inline-block; width: 3px; height: .9em; margin: 0 .35em -.1em .3em; }
.k-flagged { background: var(--flagged); }
.k-normal { background: var(--normal); }
input[name=show] { position: absolute; opacity: 0; }
input[name=show] + label {
  display: inline-block; margin: 0 .35rem .5rem 0; padding: .25rem .8rem; cursor: pointer;
  border: 1px solid var(--line); border-radius: 2rem; background: var(--sheet); font-size: .92rem;
}
input[name=show]:checked + label { background: var(--ink); color: var(--paper); }
input[name=show]:focus-visible + label { outline: 3px solid var(--normal); outline-offset: 2px; }
input[name=show]:disabled + label { opacity: .45; cursor: default; }
#show-flagged:checked ~ .cards > :not(.flagged), #show-flagged:checked ~ .rest,
#show-unflagged:checked ~ .cards > :not(.unflagged),
#show-unreadable:checked ~ .cards > :not(.unreadable), #show-unreadable:checked ~ .rest {
  display: none;
}
.legend { margin: .2rem 0 1rem; font-size: .88rem; color: var(--soft); }
.legend .bar {
  display: inline-block; width: 9rem; height: .8em; margin: 0 .3em -.05em;
  border: 1px solid var(--line); border-radius: 2px; print-color-adjust: exact;
}
.cards {
  display: grid; gap: 1rem; align-items: start;
  grid-template-columns: repeat(auto-fill, minmax(min(100%, 24rem), 1fr));
}
.card {
  background: var(--sheet); border: 1px solid var(--line); border-radius: .5rem;
  padding: .8rem .9rem; font-size: .92rem; break-inside: avoid; overflow-wrap: anywhere;
}
.card.flagged { border-top: 4px solid var(--flagged); }
.card.unflagged { border-top: 4px solid var(--normal); }
.card.unreadable { border-top: 4px solid var(--broken); grid-column: 1 / -1; }
.card h2 { font-size: 1rem; margin: 0 0 .5rem; font-weight: 600; }
.card p { margin: .45rem 0 0; }
.name { unicode-bidi: isolate; }
.badge {
  display: inline-block; margin-right: .5rem; padding: 0 .5rem; border-radius: .3rem;
  font-size: .82rem; font-weight: 600; white-space: nowrap; print-color-adjust: exact;
}
.flagged .badge { background: var(--flagged-soft); color: var(--flagged); }
.unflagged .badge { background: var(--normal-soft); color: var(--normal); }
.unreadable .badge { background: var(--broken-soft); color: var(--broken); }
.pair { display: grid; grid-template-columns: 1fr 1fr; gap: .4rem; }
.pair.wide { grid-template-columns: 1fr; }
.pair figure { margin: 0; min-width: 0; }
.pair a { display: block; }
.pair img {
  display: block; width: 100%; height: auto; max-height: 24rem; object-fit: contain;
  background: var(--paper);
}
.pair figcaption { font-size: .8rem; color: var(--soft); }
.figures { display: flex; flex-wrap: wrap; gap: .1rem 1rem; }
.regions { margin: .45rem 0 0; padding-left: 1.1rem; color: var(--soft); font-size: .88rem; }
.parts, .similar { margin: .45rem 0 0; padding: 0; list-style: none; color: var(--soft); font-size: .88rem; }
.share {
  display: block; height: .3rem; border-radius: .15rem; background: var(--soft);
  print-color-adjust: exact;
}
.similar { display: flex; flex-wrap: wrap; gap: .4rem; }
.similar::before { content: "Most similar normal images, and how far they are:"; width: 100%; }
.similar img { display: block; max-width: 96px; }
.gone { color: var(--soft); font-style: italic; }
.rest table { border-collapse: collapse; font-size: .9rem; }
.rest th, .rest td { text-align: left; padding: .15rem 1rem .15rem 0; overflow-wrap: anywhere; }
footer { margin-top: 2rem; color: var(--soft); font-size: .88rem; }
a { color: var(--normal); }
@media print {
  :root { --paper: #fff; }
  input[name=show], input[name=show] + label { display: none; }
  body { padding: 0; font-size: 10pt; }
  .cards { grid-template-columns: 1fr 1fr; }
}
"""
