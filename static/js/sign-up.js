/* Sign-up forms: the sum that a form asks for while many come in, done here in the browser, and nothing else.
   On a form's own page: <form data-work="15"> with a stamp in it. On other sites: <form data-mailhub action="https://…/s/…">,
   for which the stamp is fetched when somebody begins to fill it in. No cookie, no third party, nothing about the person. */
(() => {
  "use strict";
  const text = new TextEncoder();
  const PIECE = 256;  // hashes between two pauses: the page stays quick
  const TOO_QUICK = 700;  // ms; the server takes a form that comes sooner after its stamp for a program's (mailhub/signup/proof.py)

  async function find(stamp, bits) {
    if (!window.crypto?.subtle) return null;
    for (let n = 0; ; n += PIECE) {
      const sums = await Promise.all(Array.from({length: PIECE}, (_, i) => crypto.subtle.digest("SHA-256", text.encode(stamp + "." + (n + i)))));
      const i = sums.findIndex(sum => new DataView(sum).getUint32(0) >>> (32 - bits) === 0);
      if (i >= 0) return String(n + i);
      await new Promise(go => setTimeout(go));
    }
  }

  function input(form, name) {
    let found = form.querySelector("input[name=" + name + "]");
    if (!found) {
      found = document.createElement("input");
      found.type = "hidden";
      found.name = name;
      form.append(found);
    }
    return found;
  }

  function attend(form, begin) {
    const say = form.querySelector("[data-working]");
    let work = null, ready = false;
    const start = () => work ||= begin().then(() => { ready = true; });
    form.addEventListener("focusin", start, {once: true});
    form.addEventListener("submit", e => {
      if (ready || e.submitter?.name === "slow") return;
      e.preventDefault();
      if (say) say.textContent = say.dataset.working;
      start().finally(() => { ready = true; form.requestSubmit(e.submitter || undefined); });
    });
    return start;
  }

  for (const form of document.querySelectorAll("form[data-work]")) {
    const say = form.querySelector("[data-working]"), slow = form.querySelector("[data-slow]");
    attend(form, async () => {
      if (say) say.textContent = say.dataset.working;
      const work = await find(input(form, "stamp").value, +form.dataset.work);
      if (work === null) { if (say) say.textContent = say.dataset.unable; if (slow) slow.hidden = false; return; }
      input(form, "work").value = work;
      if (say) say.textContent = say.dataset.worked;
    })();
  }

  for (const form of document.querySelectorAll("form[data-mailhub]")) {
    attend(form, async () => {
      const answer = await fetch(form.action, {headers: {Accept: "application/json"}, credentials: "omit"});
      const asked = await answer.json();
      if (!asked.stamp) return;
      input(form, "stamp").value = asked.stamp;
      // A browser may fill the form in by itself, so that the stamp is fetched by the press of the button.
      const waited = new Promise(go => setTimeout(go, TOO_QUICK));
      if (asked.work_bits) input(form, "work").value = await find(asked.stamp, asked.work_bits) ?? "";
      await waited;
    });
  }
})();
