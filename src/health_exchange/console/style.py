"""How the console's pages look: one sheet, light and dark, readable without colours and on a telephone."""

STYLE = """
:root { color-scheme: light dark; --ink: #16202b; --soft: #5b6b7b; --line: #e3e8ee; --paper: #f4f6f9; --card: #fff;
  --ok: #1a7f4b; --ok-bg: #e3f5ea; --warn: #8a5a00; --warn-bg: #fff3d6; --bad: #b3261e; --bad-bg: #fde7e5 }
@media (prefers-color-scheme: dark) { :root { --ink: #e6edf3; --soft: #93a1b0; --line: #2b3540; --paper: #0f151b;
  --card: #171f27; --ok: #5fd394; --ok-bg: #12301f; --warn: #f2c14e; --warn-bg: #3a2c0a; --bad: #ff8a80;
  --bad-bg: #3d1614 } }
* { box-sizing: border-box }
body { margin: 0 auto; max-width: 88rem; padding: 2rem 1.5rem; background: var(--paper); color: var(--ink);
  font: 15px/1.45 system-ui, -apple-system, "Segoe UI", "Noto Sans", "Noto Sans CJK SC", sans-serif }
h1 { margin: 0; font-size: 1.6rem; letter-spacing: -.01em } header p, footer { margin: .2rem 0 0; color: var(--soft) }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(8rem, 1fr)); gap: .75rem; margin: 1.5rem 0;
  padding: 0; list-style: none }
.tiles li { padding: .8rem 1rem; border: 1px solid var(--line); border-radius: .6rem; background: var(--card) }
.tiles b { display: block; font-size: 1.7rem; line-height: 1.15; font-weight: 650; font-variant-numeric: tabular-nums }
.tiles span { color: var(--soft); font-size: 13px }
.tiles .quiet b { color: var(--soft); font-weight: 400 } .tiles .ok b { color: var(--ok) }
.tiles .degraded b, .tiles .behind b { color: var(--warn) } .tiles .not-ready b, .tiles .away b { color: var(--bad) }
.frame { overflow-x: auto; border: 1px solid var(--line); border-radius: .6rem; background: var(--card) }
table { width: 100%; border-collapse: collapse; font-variant-numeric: tabular-nums }
th, td { padding: .55rem .8rem; text-align: right; vertical-align: top; white-space: nowrap }
thead th { color: var(--soft); font-size: 12px; font-weight: 600; letter-spacing: .03em; text-transform: uppercase;
  border-bottom: 1px solid var(--line) }
tbody tr:not(.why) > * { border-top: 1px solid var(--line) } tbody tr:first-child > * { border-top: 0 }
th:first-child, td:first-child, .word { text-align: left }
tbody th { font-weight: 600; padding-left: calc(.8rem + var(--depth, 0) * 1.5rem) }
small { display: block; color: var(--soft); font-size: 12px; font-weight: 400 }
.pill { padding: .12rem .6rem; border-radius: 1rem; font-size: 13px; font-weight: 600; background: var(--ok-bg);
  color: var(--ok) }
.degraded .pill, .behind .pill { background: var(--warn-bg); color: var(--warn) }
.not-ready .pill, .away .pill { background: var(--bad-bg); color: var(--bad) }
.why td { padding: 0 .8rem .7rem calc(.8rem + var(--depth, 0) * 1.5rem); text-align: left; white-space: normal }
.why ul { margin: 0; padding: .45rem .8rem .45rem 1.7rem; border-left: 3px solid var(--warn); border-radius: .3rem;
  background: var(--warn-bg); color: var(--ink); font-size: 13.5px }
.why.not-ready ul, .why.away ul { border-color: var(--bad); background: var(--bad-bg) }
@media (max-width: 45rem) { body { padding: 1rem .75rem } thead { display: none } tbody th { white-space: normal }
  tbody td:nth-child(n+3) { display: none } .word { text-align: right } }
footer { margin-top: 1rem; font-size: 13px } code { font-size: 12.5px }
"""
