"""The style sheet of a preview: light and dark, parts told apart by colour, line and name."""

STYLE = """\
:root {
  color-scheme: light dark;
  --page: #ffffff; --panel: #f6f7f9; --ink: #16191d; --dim: #59616c; --line: #d3d8de;
  --edge: #00000040; --accent: #1f5fbf; --chip: #e4e8ed; --structure: #eceef1;
  --c0: #cfe6ff; --c1: #d2f2d4; --c2: #ffe6b8; --c3: #ead9ff;
  --c4: #ffd9d6; --c5: #c9f0f0; --c6: #f7d8ec; --c7: #e6ecb8;
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #14171b; --panel: #1b1f24; --ink: #e8ebef; --dim: #9aa4b0; --line: #39414a;
    --edge: #ffffff50; --accent: #7db4ff; --chip: #303841; --structure: #2a3038;
    --c0: #1c4670; --c1: #1f5029; --c2: #5f4410; --c3: #4b3277;
    --c4: #6d2d2a; --c5: #165454; --c6: #652a50; --c7: #4a5010;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0 auto; padding: 1.5rem; max-width: 62rem;
  background: var(--page); color: var(--ink);
  font: 1rem/1.5 system-ui, sans-serif;
}
h1 { font-size: 1.4rem; margin: 0 0 .25rem; }
h2 { font-size: 1.05rem; margin: 2.25rem 0 .5rem; overflow-wrap: anywhere; }
h3 { font-size: .95rem; margin: 1rem 0 .4rem; font-weight: 600; }
p { margin: .4rem 0; overflow-wrap: anywhere; }
.mode { margin-left: .5rem; padding: .05rem .5rem; border: 1px solid var(--line);
  border-radius: 1rem; font-size: .85rem; font-weight: 400; }
.note { border-left: .25rem solid var(--accent); padding-left: .6rem; }
.dim, .kind, .counts { color: var(--dim); }
.counts { font-size: .9rem; }
.legend { display: flex; flex-wrap: wrap; gap: .4rem 1rem; padding: 0; margin: .75rem 0 0;
  list-style: none; font-size: .9rem; }
article { border: 1px solid var(--line); border-radius: .5rem; padding: .5rem .9rem;
  margin: .5rem 0; background: var(--panel); }
.block { display: grid; grid-template-columns: 5.5rem minmax(0, 1fr); gap: 0 .75rem;
  margin: .5rem 0; }
.kind { font-size: .8rem; text-align: right; padding-top: .15rem; }
.kind b { display: block; font-weight: 400; }
.text {
  font: .9rem/1.75 ui-monospace, "DejaVu Sans Mono", Menlo, Consolas, monospace;
  white-space: pre-wrap; overflow-wrap: anywhere; unicode-bidi: plaintext;
  border-left: .2rem solid var(--line); padding-left: .75rem; min-width: 0;
}
.prompt .text { color: var(--dim); font-size: .82rem; line-height: 1.5; }
.answer .text { border-color: var(--accent); }
.answer .kind { color: var(--accent); font-weight: 600; }
.long { max-height: 12rem; overflow: hidden; display: flex; align-items: flex-end;
  -webkit-mask-image: linear-gradient(#0000, #000 40%);
  mask-image: linear-gradient(#0000, #000 40%); }
.long > div { min-width: 0; unicode-bidi: plaintext; }
.more { grid-column: 2; justify-self: start; appearance: none; margin: 0 0 .3rem; cursor: pointer;
  font: .8rem system-ui, sans-serif; color: var(--accent); text-decoration: underline; }
.more::before { content: "show the whole prompt"; }
.more:checked::before { content: "fold the prompt"; }
.more:checked + .long { max-height: none; -webkit-mask-image: none; mask-image: none; }
.more ~ .long { grid-column: 2; }
.s { unicode-bidi: plaintext; -webkit-box-decoration-break: clone; box-decoration-break: clone; }
.answer .s, .sample { padding: .1rem 0; border-radius: .15rem; text-decoration-thickness: 2px;
  text-underline-offset: .25em; text-decoration-color: var(--dim); }
.sample { padding: .1rem .4rem; }
.structure { background: var(--structure); }
.c0 { background: var(--c0); } .c1 { background: var(--c1); } .c2 { background: var(--c2); }
.c3 { background: var(--c3); } .c4 { background: var(--c4); } .c5 { background: var(--c5); }
.c6 { background: var(--c6); } .c7 { background: var(--c7); }
.s.l0, .sample.l0 { text-decoration-line: underline; }
.s.l1, .sample.l1 { text-decoration-line: underline; text-decoration-style: dotted; }
.s.l2, .sample.l2 { text-decoration-line: underline; text-decoration-style: dashed; }
.s.l3, .sample.l3 { text-decoration-line: underline; text-decoration-style: double; }
.s.l4, .sample.l4 { text-decoration-line: underline; text-decoration-style: wavy; }
.tag { font: 600 .68rem/1 system-ui, sans-serif; color: var(--dim); margin: 0 .15rem 0 .35rem;
  vertical-align: .35em; user-select: none; -webkit-user-select: none; white-space: nowrap; }
.chip, .answer .chip, .sample.end { background: var(--chip); border: 1px solid var(--dim);
  border-radius: .35rem; padding: 0 .3rem; font-size: .92em; }
.answer .chip, .sample.end { border: 2px solid var(--accent); font-weight: 600; }
i { font-style: normal; font-size: 0; }
i::before { content: attr(data-m); font-size: .9rem; color: var(--dim); }
.answer .text:hover .t { box-shadow: 1px 0 0 var(--edge); }
.answer .t:hover { outline: 2px solid var(--accent); outline-offset: -1px; }
.bar { display: flex; height: .5rem; border-radius: .25rem; overflow: hidden; margin-top: .6rem;
  background: var(--line); }
.bar .structure { background: var(--dim); } .bar .end { background: var(--accent); }
@media (max-width: 40rem) {
  body { padding: .75rem; }
  .block { grid-template-columns: minmax(0, 1fr); }
  .kind { text-align: left; } .kind b { display: inline; }
  .more, .more ~ .long { grid-column: 1; }
}
@media print {
  .long { max-height: none; -webkit-mask-image: none; mask-image: none; }
  .more { display: none; }
}
"""
