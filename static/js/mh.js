/* mailhub's behaviour, by data- attributes (docs/ui.md). Pages work without it; nothing is evaluated. */
(() => {
"use strict";
const d = document, $ = (s, e = d) => e.querySelector(s), all = (s, e = d) => [...e.querySelectorAll(s)];
const on = (name, fn, opt) => d.addEventListener(name, fn, opt);
const words = () => $("#toasts")?.dataset || {};

/* Toasts: a live region that is on the page from the start. */
function toast(text, kind) {
  const box = $("#toasts");
  if (!box || !text) return;
  const t = d.createElement("div"), s = d.createElement("span"), b = d.createElement("button");
  t.className = "toast toast-" + (kind || "ok");
  s.textContent = text;
  b.type = "button"; b.textContent = "×"; b.setAttribute("aria-label", words().close || "×");
  b.onclick = () => t.remove();
  t.append(s, b);
  box.append(t);
  while (box.children.length > 4) box.firstChild.remove();
  if (kind !== "bad") setTimeout(function gone() { t.matches(":hover,:focus-within") ? setTimeout(gone, 2000) : t.remove(); }, 6000);
}
on("mh:toast", e => toast(e.detail.text, e.detail.kind));

/* htmx: errors get a toast unless the answer brings its own or is swapped in; the target is busy meanwhile. */
on("htmx:before:request", e => busy(e.detail.ctx, true));
on("htmx:finally:request", e => busy(e.detail.ctx, false));
function busy(ctx, is) {
  const t = ctx.target, s = ctx.sourceElement;
  if (t?.setAttribute && !t.hasAttribute("data-live")) is ? t.setAttribute("aria-busy", "true") : t.removeAttribute("aria-busy");
  const b = ctx.request?.submitter || (s?.matches?.("button,.btn") ? s : null);
  if (b) is ? b.setAttribute("aria-busy", "true") : b.removeAttribute("aria-busy");
}
on("htmx:response:error", e => {
  const ctx = e.detail.ctx, st = ctx.response.status;
  if (polls(ctx) || /mh:toast/.test(ctx.hx?.trigger || "")) return;
  if ((st === 422 || st === 409) && ctx.hx?.reswap !== "none") return;
  const w = words();
  toast(st === 403 ? w.forbidden : st === 404 ? w.gone : st === 409 ? w.conflict : st === 429 ? w.busy : w.failed, "bad");
});
on("htmx:error", e => { if (e.detail.ctx && !polls(e.detail.ctx)) toast(words().offline, "bad"); });

/* The ticker: fires mh:tick on <body> while something on the page is live and the tab is seen.
   2 s, slower while nothing changes (to 10 s) and after faults (to 60 s); a change brings 2 s back. */
const polls = ctx => ctx.sourceElement?.hasAttribute?.("data-live");
let delay = 2000, same = 0, timer = 0;
function plan() {
  clearTimeout(timer);
  if (!d.hidden && $("[data-live]")) timer = setTimeout(tick, delay);
}
function tick() {
  d.body.dispatchEvent(new CustomEvent("mh:tick", {bubbles: true}));
  plan();
}
on("htmx:after:request", e => {
  if (!polls(e.detail.ctx)) return;
  const st = e.detail.ctx.response?.status;
  if (st >= 400) delay = Math.min(delay * 2, 60000);
  else if (st === 304) delay = ++same > 15 ? Math.min(delay * 1.25, 10000) : 2000;
  else { same = 0; delay = 2000; }
  if (st === 401 || st === 403 || st === 404) e.detail.ctx.sourceElement.removeAttribute("data-live");
  plan();
});
on("htmx:error", e => { if (e.detail.ctx && polls(e.detail.ctx)) { delay = Math.min(delay * 2, 60000); plan(); } });
on("htmx:after:swap", () => { plan(); ready(); });
on("visibilitychange", () => { if (!d.hidden && $("[data-live]")) { delay = 2000; same = 0; tick(); } });

/* Confirm: the question names the object; Esc and Cancel do nothing. Also keeps a form from going twice. */
let sure = null;
on("submit", e => {
  const f = e.target, b = e.submitter, holder = b?.dataset.confirm ? b : f;
  if (f.method === "dialog" || b?.formTarget) return;
  if (holder.dataset.confirm && sure !== f) {
    e.preventDefault(); e.stopImmediatePropagation();
    ask(holder, b, () => { sure = f; f.requestSubmit(b || undefined); sure = null; });
    return;
  }
  clean(f);
  if (f.matches("[data-upload]")) return upload(e);
  if (e.defaultPrevented || f.method !== "post" || f.hasAttribute("data-download") || [...f.attributes].some(a => /^hx-(post|put|patch)/.test(a.name))) return;
  if (f.dataset.sent) { e.preventDefault(); return; }
  f.dataset.sent = "1";
  (b || $("[type=submit]", f))?.setAttribute("aria-busy", "true");
}, true);
on("click", e => {
  const a = e.target.closest("a[data-confirm]");
  if (a) { e.preventDefault(); ask(a, a, () => { location.href = a.href; }); }
});
function ask(from, opener, yes) {
  const c = $("#confirm"), q = $("#confirm-q"), text = $("#confirm-d"), b = $("#confirm-yes"), data = from.dataset;
  if (!c?.showModal) { if (window.confirm(data.confirm)) yes(); return; }
  q.textContent = data.confirm;
  text.textContent = data.confirmDetail || ""; text.hidden = !data.confirmDetail;
  b.textContent = data.confirmLabel || b.dataset.label || (b.dataset.label = b.textContent);
  b.className = "btn btn-" + (data.confirmKind === "danger" ? "danger" : "primary");
  c.returnValue = "no";
  c.onclose = () => { opener?.focus?.(); if (c.returnValue === "yes") yes(); };
  c.showModal();
}
window.addEventListener("pageshow", e => { if (e.persisted) all("[data-sent]").forEach(f => { delete f.dataset.sent; all("[aria-busy]", f).forEach(b => b.removeAttribute("aria-busy")); }); });

/* <input type="checkbox" data-check-all="id">: ticks all boxes of that name in its form. */
on("change", e => {
  const b = e.target.closest?.("[data-check-all]");
  if (b?.form) [...b.form.elements].forEach(i => { if (i.name === b.dataset.checkAll) i.checked = b.checked; });
});

/* Unsaved changes: <form data-guard>. */
let dirty = new Set();
const clean = f => dirty.delete(f);
on("input", e => { const f = e.target.form; if (f?.matches("[data-guard]")) dirty.add(f); });
window.addEventListener("beforeunload", e => { for (const f of dirty) if (f.isConnected) { e.preventDefault(); return; } });

/* Live preview: <button formtarget="frame" data-live-preview> shows its form in a frame; while somebody types, this does. */
let looking = 0;
on("input", e => {
  const b = e.target.form && $("[data-live-preview]", e.target.form);
  if (!b) return;
  clearTimeout(looking);
  looking = setTimeout(() => look(b), 500);
});
on("click", e => { const b = e.target.closest("[data-live-preview]"); if (b) { e.preventDefault(); look(b); } });
async function look(b) {
  // Into the frame's document, not its address: typing must leave no steps for the Back button.
  const frame = d.getElementsByName(b.formTarget)[0], inside = frame?.contentDocument;
  if (!inside || !b.form) return;
  try {
    const answer = await fetch(b.formAction, {method: "POST", body: new URLSearchParams(new FormData(b.form))});
    if (!/html/.test(answer.headers.get("Content-Type") || "")) return;
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    inside.replaceChild(inside.adoptNode(page.documentElement), inside.documentElement);
  } catch { toast(words().offline, "bad"); }
}

/* Upload: XHR for its progress; the answer is followed as the browser would. */
function upload(e) {
  const f = e.target, box = $("[data-upload-progress]", f), bar = box && $("progress", box), out = box && $("output", box), b = e.submitter || $("[type=submit]", f);
  if (!box) return;
  e.preventDefault();
  if (f.dataset.sent) return;
  f.dataset.sent = "1";
  const x = new XMLHttpRequest(), body = new FormData(f, e.submitter || undefined);
  const stop = text => { delete f.dataset.sent; b?.removeAttribute("aria-busy"); box.hidden = true; toast(text, "bad"); };
  box.hidden = false; b?.setAttribute("aria-busy", "true");
  x.upload.onprogress = p => { if (p.lengthComputable) { const n = Math.round(p.loaded / p.total * 100); bar.value = n; out.textContent = n + " %"; } };
  x.onload = () => {
    const to = x.getResponseHeader("HX-Redirect");
    if (to) location.href = to;
    else if (x.status < 500 && /html/.test(x.getResponseHeader("Content-Type") || "")) {
      const page = new DOMParser().parseFromString(x.responseText, "text/html"), main = $("#main", page);
      if (main) { $("#main").replaceWith(d.adoptNode(main)); window.htmx?.process($("#main")); ready(); $("[data-focus]")?.focus(); }
      else stop(x.status === 413 ? box.dataset.tooLarge || box.dataset.failed : box.dataset.failed);
    } else stop(box.dataset.failed);
  };
  x.onerror = () => stop(box.dataset.failed);
  x.open("POST", f.action);
  x.setRequestHeader("HX-Request", "true"); x.setRequestHeader("HX-Request-Type", "full");
  x.send(body);
}
on("change", e => {
  const i = e.target;
  if (i.type !== "file" || !i.dataset.maxBytes) return;
  i.setCustomValidity(i.files[0]?.size > +i.dataset.maxBytes ? i.dataset.tooLarge : "");
  i.reportValidity();
});
for (const n of ["dragenter", "dragover", "dragleave", "drop"]) on(n, e => {
  const z = e.target.closest?.("[data-drop]");
  if (!z) return;
  e.preventDefault();
  z.toggleAttribute("data-over", n === "dragenter" || n === "dragover");
  if (n === "drop" && e.dataTransfer.files.length) { const i = $("input", z); i.files = e.dataTransfer.files; i.dispatchEvent(new Event("change", {bubbles: true})); }
});

/* Clicks: copy, print, insert at the caret, preview width, dialogs for browsers without commands, menus. */
on("click", e => {
  const b = e.target.closest("[data-copy],[data-print],[data-insert],[data-width],[command]");
  for (const m of all("[data-menu][open]")) if (!m.contains(e.target)) m.open = false;
  if (!b) return;
  const v = b.dataset;
  if (v.print !== undefined) print();
  else if (v.copy !== undefined) navigator.clipboard?.writeText(v.copy).then(() => toast(v.copied, "ok"));
  else if (v.insert) {
    const f = d.getElementById(v.into);
    f.setRangeText(v.insert, f.selectionStart, f.selectionEnd, "end");
    f.focus(); f.dispatchEvent(new Event("input", {bubbles: true}));
  } else if (v.width) {
    const p = b.closest("[data-preview]");
    p.setAttribute("data-width", v.width);
    all("[data-width]", p).forEach(o => o.setAttribute("aria-pressed", String(o === b)));
    all("iframe", p).forEach(size);
  } else if (!("commandForElement" in HTMLButtonElement.prototype)) {
    const t = d.getElementById(b.getAttribute("commandfor"));
    if (b.getAttribute("command") === "show-modal") t?.showModal(); else if (b.getAttribute("command") === "close") t?.close();
  }
});
on("keydown", e => {
  if (e.key === "Escape") for (const m of all("[data-menu][open]")) { m.open = false; $("summary", m).focus(); }
  if ((e.ctrlKey || e.metaKey) && e.key === "Enter" && e.target.form) e.target.form.requestSubmit();
  if (e.key === "/" && !e.ctrlKey && !e.metaKey && !e.altKey && !e.target.matches("input,textarea,select,[contenteditable]")) {
    const q = $("[data-search-key]");
    if (q) { e.preventDefault(); q.focus(); q.select(); }
  }
});

/* While typing: character counters, and lists of boxes that narrow. */
on("input", e => {
  count(e.target);
  const id = e.target.dataset?.filter;
  if (!id) return;
  const q = e.target.value.trim().toLocaleLowerCase(), list = d.getElementById(id);
  let shown = 0;
  for (const li of list.children) { li.hidden = !!q && !li.textContent.toLocaleLowerCase().includes(q); shown += !li.hidden; }
  const none = $("[data-filter-none]", list.parentElement);
  if (none) none.hidden = shown > 0;
});
function count(field) {
  const c = field.id && $(`[data-counter-for="${CSS.escape(field.id)}"]`);
  if (!c) return;
  const n = [...field.value].length, good = +c.dataset.good;
  c.textContent = n + " / " + good;
  c.toggleAttribute("data-over", n > good);
}

/* <span data-countdown="42.5" data-text="… {left}" data-over="…">: seconds run down; at the end the page asks soon. */
let downs = 0;
function countdown() {
  clearTimeout(downs);
  let next = 0;
  for (const e of all("[data-countdown]")) {
    if (e._from !== e.dataset.countdown) { e._from = e.dataset.countdown; e._end = performance.now() + e._from * 1000; }
    const left = Math.ceil((e._end - performance.now()) / 1000), over = left <= 0;
    const text = over ? e.dataset.over : e.dataset.text.replace("{left}", Math.floor(left / 60) + ":" + String(left % 60).padStart(2, "0"));
    if (e.textContent !== text) e.textContent = text;
    if (!over) next = 250; else if (!e._over) { e._over = 1; delay = 1000; same = 0; plan(); }
  }
  if (next) downs = setTimeout(countdown, next);
}

/* Frames with a letter are as high as it is. */
function size(f) {
  const fit = () => { try { const b = f.contentDocument.documentElement; f.style.height = Math.min(Math.max(Math.ceil(b.getBoundingClientRect().height), 160), 6000) + "px"; } catch { /* another origin */ } };
  fit(); requestAnimationFrame(fit);
}

/* After the page and after each swap. */
function ready() {
  all("[data-counter-for]").forEach(c => { const f = d.getElementById(c.dataset.counterFor); if (f) count(f); });
  countdown();
  all("[data-print]").forEach(b => { b.hidden = false; });
  all("[data-preview] iframe").forEach(f => { if (!f._mh) { f._mh = 1; f.addEventListener("load", () => size(f)); if (f.contentDocument?.readyState === "complete") size(f); } });
}
ready();
plan();
$("[data-focus]")?.focus();
})();
