// Follows a run that has not ended: every few seconds the page is asked for again, and the parts that changed take
// the place of the old ones. Nothing is asked while the page is hidden. Light and dark follow Airflow's own switch.
"use strict";

const EVERY_MS = 4000;

function follow_theme() {
  const chosen = localStorage.getItem("theme");
  if (chosen === "light" || chosen === "dark") document.documentElement.dataset.theme = chosen;
  else delete document.documentElement.dataset.theme;
}

function replace_part(old, fresh) {
  if (old.innerHTML === fresh.innerHTML && old.hidden === fresh.hidden) return;
  if (old.contains(document.activeElement) && old.dataset.part !== "status") return; // somebody is in there
  const open = [...old.querySelectorAll("details")].map((each) => each.open);
  const shown = [...fresh.querySelectorAll("details")];
  if (shown.length === open.length) shown.forEach((each, index) => { each.open = open[index]; });
  const said = old.querySelector("[data-status]");
  const says = fresh.querySelector("[data-status]");
  old.hidden = fresh.hidden;
  if (said && says && old.querySelector(".badge").textContent === fresh.querySelector(".badge").textContent) {
    said.textContent = says.textContent; // the same live region: a reader hears what is new, not the whole
    return;
  }
  old.replaceChildren(...fresh.childNodes);
}

async function refresh() {
  const answer = await fetch(location.href, { headers: { Accept: "text/html" }, cache: "no-store" });
  if (!answer.ok) return;
  const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
  const parts = new Map([...fresh.querySelectorAll("[data-part]")].map((each) => [each.dataset.part, each]));
  const shown = [...document.querySelectorAll("[data-part]")];
  if (!shown.every((each) => parts.has(each.dataset.part)) || shown.length !== parts.size) {
    document.getElementById("main").replaceChildren(...fresh.getElementById("main").childNodes);
  } else {
    shown.forEach((each) => replace_part(each, parts.get(each.dataset.part)));
  }
  document.documentElement.toggleAttribute("data-live", fresh.documentElement.hasAttribute("data-live"));
}

async function follow() {
  if (document.documentElement.hasAttribute("data-live") && !document.hidden) {
    try { await refresh(); } catch { /* the next turn asks again */ }
  }
  setTimeout(follow, EVERY_MS);
}

// "Roll back now": the break-glass DAG is triggered through Airflow's own API, as the user who is logged in and with
// that user's rights. JSON from the same origin only: another site can neither send it nor bring the login along.
const REFUSED = { 401: "you are not logged in any more", 403: "you have no right to trigger it", 404: "there is no such DAG", 409: "it runs already" };

async function trigger(button) {
  const told = button.parentElement.querySelector("[data-told]");
  button.disabled = true;
  told.textContent = "Asking Airflow …";
  try {
    const answer = await fetch(button.dataset.trigger, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      credentials: "same-origin",
      body: JSON.stringify({ logical_date: null, conf: {}, note: "Roll back now, from the review page" }),
    });
    if (answer.ok) { told.textContent = `${button.dataset.dag} is running; this page follows it.`; return; }
    told.textContent = `Not triggered: ${button.dataset.dag}: ${REFUSED[answer.status] || `Airflow answered ${answer.status}`}.`;
  } catch {
    told.textContent = "Not triggered: Airflow did not answer.";
  }
  button.disabled = false;
}

document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-trigger]");
  if (button) trigger(button);
});

follow_theme();
addEventListener("storage", follow_theme);
document.addEventListener("visibilitychange", () => { if (!document.hidden) refresh().catch(() => {}); });
setTimeout(follow, EVERY_MS);
