// One sheet for all elements, adopted by their shadow roots: no inline style, so a strict CSP lets it be.

const TEXT = `
:host {
  --_accent: var(--offhook-accent, #1f5fd0);
  --_on-accent: var(--offhook-on-accent, #fff);
  --_background: var(--offhook-background, #fff);
  --_surface: var(--offhook-surface, #f1f3f7);
  --_text: var(--offhook-text, #16191f);
  --_dim: var(--offhook-dim, #545c6b);
  --_border: var(--offhook-border, #8a93a3);
  --_danger: var(--offhook-danger, #b3261e);
  --_on-danger: var(--offhook-on-danger, #fff);
  --_notice: var(--offhook-notice, #fdf1d6);
  --_on-notice: var(--offhook-on-notice, #4d3800);
  display: block;
  box-sizing: border-box;
  max-inline-size: 26rem;
  font: 1rem/1.45 var(--offhook-font, system-ui, sans-serif);
  color: var(--_text);
  color-scheme: light;
}
:host([hidden]) { display: none; }
:host([theme="dark"]) { color-scheme: dark; }
@media (prefers-color-scheme: dark) {
  :host(:not([theme="light"])) { color-scheme: dark; }
}
.dark {
  --_accent: var(--offhook-accent, #8ab4ff);
  --_on-accent: var(--offhook-on-accent, #0b1a33);
  --_background: var(--offhook-background, #171a20);
  --_surface: var(--offhook-surface, #252a33);
  --_text: var(--offhook-text, #eceff4);
  --_dim: var(--offhook-dim, #aab3c2);
  --_border: var(--offhook-border, #737d8f);
  --_danger: var(--offhook-danger, #ffb4ab);
  --_on-danger: var(--offhook-on-danger, #400300);
  --_notice: var(--offhook-notice, #3d3113);
  --_on-notice: var(--offhook-on-notice, #ffe2a3);
}
* { box-sizing: border-box; }
[hidden] { display: none !important; }
.card {
  display: grid;
  gap: 0.875rem;
  padding: 1.125rem;
  color: var(--_text);
  background: var(--_background);
  border: 1px solid var(--_border);
  border-radius: var(--offhook-radius, 1rem);
}
.head { display: flex; align-items: baseline; justify-content: space-between; gap: 0.75rem; }
h2 { margin: 0; font-size: 1.125rem; line-height: 1.3; overflow-wrap: anywhere; }
.quality { flex: none; font-size: 0.8125rem; color: var(--_dim); }
.quality[data-quality="poor"], .quality[data-quality="lost"] { color: var(--_danger); font-weight: 600; }
p { margin: 0; }
.status { color: var(--_dim); }
/* Empty, they must stay in the tree for whoever reads them out, and take no room. */
.status:empty, .trouble:empty { position: absolute; }
.trouble { color: var(--_danger); font-weight: 500; }
.recorded {
  padding: 0.5rem 0.75rem;
  color: var(--_on-notice);
  background: var(--_notice);
  border-radius: 0.5rem;
  font-size: 0.9375rem;
}
.recorded::before {
  content: "";
  display: inline-block;
  inline-size: 0.625em;
  block-size: 0.625em;
  margin-inline-end: 0.5em;
  background: var(--_danger);
  border-radius: 50%;
}
.row { display: flex; flex-wrap: wrap; gap: 0.625rem; }
button {
  flex: 1 1 8rem;
  min-block-size: 2.75rem;
  padding: 0.5rem 1rem;
  font: inherit;
  font-weight: 600;
  color: var(--_text);
  background: var(--_surface);
  border: 1px solid var(--_border);
  border-radius: calc(var(--offhook-radius, 1rem) * 0.625);
  cursor: pointer;
}
button:hover { filter: brightness(0.96); }
button.primary { color: var(--_on-accent); background: var(--_accent); border-color: transparent; }
button.danger { color: var(--_on-danger); background: var(--_danger); border-color: transparent; }
button[aria-pressed="true"] { outline: 2px solid var(--_danger); outline-offset: -2px; }
:focus-visible { outline: 3px solid var(--_accent) !important; outline-offset: 2px !important; }
.levels { display: grid; grid-template-columns: fit-content(45%) 1fr; align-items: center; gap: 0.375rem 0.75rem; }
.levels:not(:has(> :not([hidden]))) { display: none; }
.level { display: contents; font-size: 0.8125rem; color: var(--_dim); }
.level span { overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
.bar { block-size: 0.5rem; overflow: hidden; background: var(--_surface); border-radius: 0.25rem; }
.bar i {
  display: block;
  block-size: 100%;
  background: var(--_accent);
  border-radius: inherit;
  transform-origin: left;
  transform: scaleX(var(--level, 0));
}
:host(:dir(rtl)) .bar i { transform-origin: right; }
.captions {
  display: grid;
  align-content: start;
  gap: 0.625rem;
  max-block-size: 16rem;
  margin: 0;
  padding: 0.25rem;
  overflow-y: auto;
}
.captions p { display: grid; justify-items: start; gap: 0.125rem; overflow-wrap: anywhere; }
.captions .who { font-size: 0.75rem; color: var(--_dim); }
.captions .words { padding: 0.5rem 0.75rem; background: var(--_surface); border-radius: 0.75rem; }
.captions p[data-side="person"] { justify-items: end; }
.captions p[data-side="person"] .words { color: var(--_on-accent); background: var(--_accent); }
.captions p[data-open][data-side="person"] .words { font-style: italic; }
.chat { display: flex; gap: 0.625rem; margin: 0; }
.chat input { flex: 1 1 auto; min-inline-size: 0; }
.chat button { flex: none; }
details { font-size: 0.9375rem; }
summary { padding-block: 0.25rem; color: var(--_dim); cursor: pointer; }
label { display: grid; gap: 0.25rem; margin-block-start: 0.5rem; }
select, input {
  inline-size: 100%;
  min-block-size: 2.5rem;
  padding: 0.25rem 0.5rem;
  font: inherit;
  color: var(--_text);
  background: var(--_background);
  border: 1px solid var(--_border);
  border-radius: 0.5rem;
}
input::placeholder { color: var(--_dim); opacity: 1; }
button:disabled { cursor: progress; }
@media (forced-colors: active) { .bar i { background: CanvasText; } }
`;

let sheet: CSSStyleSheet | undefined;

/** Return the sheet, the same for all. */
export function styleSheet(): CSSStyleSheet {
  if (!sheet) {
    sheet = new CSSStyleSheet();
    sheet.replaceSync(TEXT);
  }
  return sheet;
}
