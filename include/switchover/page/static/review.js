// Follows a run that has not ended: every few seconds the page is asked for again, and the parts that changed take
// the place of the old ones. Nothing is asked while the page is hidden. Light and dark follow Airflow's own switch.
"use strict";

const EVERY_MS = 4000;

function follow_theme() {
  const chosen = localStorage.getItem("theme");
  if (chosen === "light" || chosen === "dark") document.documentElement.dataset.theme = chosen;
  else delete document.documentElement.dataset.theme;
}

// Whether the same is to be decided as before, or somebody is being asked about what is still to be decided.
function same_actions(old, fresh) {
  const keys = (part) => [...part.querySelectorAll("[data-action]")].map((each) => each.dataset.action);
  const asked = old.querySelector("dialog[open]")?.closest("[data-action]").dataset.action;
  return keys(old).join() === keys(fresh).join() || keys(fresh).includes(asked);
}

function replace_part(old, fresh) {
  if (old.innerHTML === fresh.innerHTML && old.hidden === fresh.hidden) return;
  const always = ["status", "actions"].includes(old.dataset.part);
  if (old.contains(document.activeElement) && !always) return; // somebody is in there
  if (old.dataset.part === "actions" && same_actions(old, fresh)) return;
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
    if (document.querySelector("dialog[open]")) return; // not under somebody's hand
    document.getElementById("main").replaceChildren(...fresh.getElementById("main").childNodes);
  } else {
    shown.forEach((each) => replace_part(each, parts.get(each.dataset.part)));
  }
  document.documentElement.toggleAttribute("data-live", fresh.documentElement.hasAttribute("data-live"));
  show_decided();
}

async function follow() {
  if (document.documentElement.hasAttribute("data-live") && !document.hidden) {
    try { await refresh(); } catch { /* the next turn asks again */ }
  }
  setTimeout(follow, EVERY_MS);
}

// What is decided here goes to Airflow's own API, as the user who is logged in and with that user's rights. JSON from
// the same origin only: another site can neither send it nor bring the login along. The newest decision is remembered
// beside the page, whose parts are replaced while it is on its way.
const REFUSED = { 401: "you are not logged in any more", 403: "you have no right to do this", 404: "Airflow does not know it", 409: "somebody else was first" };
let decided = null; // key: of the action; text: what is told; again: whether it may be tried again

function tell(key, text, again) {
  decided = { key, text, again };
  show_decided();
}

function show_decided() {
  for (const each of document.querySelectorAll("[data-action]")) {
    const mine = decided !== null && decided.key === each.dataset.action;
    const told = each.querySelector("[data-told]");
    const text = mine ? decided.text : "";
    if (told.textContent !== text) told.textContent = text;
    each.querySelectorAll("[data-opens]").forEach((button) => { button.disabled = mine && !decided.again; });
  }
}

const pause = (ms) => new Promise((resolve) => { setTimeout(resolve, ms); });

async function ask_airflow(url, options) {
  const answer = await fetch(url, { credentials: "same-origin", cache: "no-store", ...options });
  if (!answer.ok) throw new Error(REFUSED[answer.status] || `Airflow answered ${answer.status}`);
  return { ...await answer.json(), at: Date.parse(answer.headers.get("Date")) };
}

// The ledger, and so this page, knows a question before Airflow does. And Airflow takes an answer that comes while its
// task is only about to wait for the end of that task: the task is killed, and asks once more.
const SETTLED_MS = 5000, WAIT_S = 60, ENDED = ["success", "failed", "upstream_failed", "skipped", "removed"];

async function until_airflow_waits(url) {
  let state = "not there yet", answered = false;
  for (let second = 0; second < WAIT_S && !ENDED.includes(state); second += 1) {
    if (second) await pause(1000);
    try {
      const { task_instance: task, response_received, at } = await ask_airflow(url);
      if (task.trigger && at - Date.parse(task.trigger.created_date) >= SETTLED_MS) return;
      state = task.state;
      answered = response_received;
    } catch (error) {
      if (error.message !== REFUSED[404]) throw error;
    }
  }
  throw new Error(answered ? REFUSED[409] : `Airflow's task does not wait for an answer, it is ${state}`);
}

async function send(button) {
  const key = button.closest("[data-action]").dataset.action;
  const { sends, url, body, done, follows } = button.dataset;
  button.closest("dialog").close();
  tell(key, "Asking Airflow …", false);
  try {
    const options = { method: sends, headers: { "Content-Type": "application/json" }, body };
    if (sends === "PATCH") await until_airflow_waits(url);
    const found = await ask_airflow(url, options);
    if (follows === undefined) tell(key, done, false);
    else await follow_run(key, done, `${url}/${encodeURIComponent(found.dag_run_id)}`);
  } catch (error) {
    tell(key, `Not done: ${error instanceof TypeError ? "Airflow did not answer" : error.message}.`, true);
  }
  refresh().catch(() => {});
}

async function follow_run(key, dag, url) {
  let state = "queued";
  while (state === "queued" || state === "running") {
    tell(key, `${dag} is ${state} …`, false);
    await pause(1000);
    try { state = (await ask_airflow(url)).state; } catch { /* it goes on without this page */ }
  }
  if (state === "success") tell(key, `${dag} is done.`, false);
  else tell(key, `${dag} ${state}: its log in Airflow says why. Without Airflow: switchover rollback.`, true);
}

document.addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (!button) return;
  if (button.dataset.opens) document.getElementById(button.dataset.opens).showModal();
  else if ("closes" in button.dataset) button.closest("dialog").close();
  else if (button.dataset.sends) send(button);
});

follow_theme();
addEventListener("storage", follow_theme);
document.addEventListener("visibilitychange", () => { if (!document.hidden) refresh().catch(() => {}); });
setTimeout(follow, EVERY_MS);
