// Keeps an open page fresh: on every event, and now and then while VMs are had, it asks for the
// same page and swaps the parts that differ. Everything works without it; only not by itself.
"use strict";

const EVERY_MS = 5000; // costs and stages move without events
const SETTLE_MS = 250; // events come in bursts
const APART_MS = 1000; // and some clusters have them all the time

const parts = () => document.querySelectorAll("[data-part]");
const known = new Map(); // part → its markup as the server sent it
let stream = null;
let waiting = null;
let asking = false;
let again = false;
let askedAt = 0;

function ago(seconds) {
  const steps = [[86400, "d"], [3600, "h"], [60, "min"]];
  for (const [size, unit] of steps) {
    if (seconds >= size) return `${Math.floor(seconds / size)} ${unit} ago`;
  }
  return seconds < 5 ? "just now" : `${Math.floor(seconds / 5) * 5} s ago`;
}

function tell(within) {
  for (const time of within.querySelectorAll("time[datetime]")) {
    const at = new Date(time.dateTime);
    const today = at.toDateString() === new Date().toDateString();
    const local = today ? at.toLocaleTimeString() : at.toLocaleString();
    const shown = "ago" in time.dataset ? ago((Date.now() - at) / 1000) : local;
    if (time.textContent !== shown) time.textContent = shown;
    time.title = `${at.toLocaleString()} · ${time.dateTime}`;
  }
}

function swap(part, fresh) {
  const markup = fresh.innerHTML;
  part.toggleAttribute("data-live", fresh.hasAttribute("data-live"));
  if (known.get(part.dataset.part) === markup) return;
  if (part.querySelector(":popover-open, input:focus")) return; // somebody is busy in it
  known.set(part.dataset.part, markup);
  // Charts move by themselves: they are swapped only for others, or where there were none.
  if (part.dataset.shape && part.dataset.shape === fresh.dataset.shape && part.querySelector(".zoomable")) return;
  if ("shape" in fresh.dataset) part.dataset.shape = fresh.dataset.shape;
  const focused = part.contains(document.activeElement) && document.activeElement.id;
  const open = [...part.querySelectorAll("details[open][id]")].map((it) => it.id);
  const inner = part.querySelector(":scope > .scroll");
  const left = inner ? inner.scrollLeft : part.scrollLeft;
  part.innerHTML = markup;
  for (const id of open) document.getElementById(id)?.setAttribute("open", "");
  (part.querySelector(":scope > .scroll") ?? part).scrollLeft = left;
  tell(part);
  if (focused) document.getElementById(focused)?.focus();
  part.dispatchEvent(new CustomEvent("swapped", { bubbles: true }));
}

// The end of the log: lines that came after the last one that is shown.
const MOST_LINES = 3000;
const log = document.querySelector("[data-log]");
let following = null; // the request under way
let moreLines = false;

function follows() {
  return document.querySelector("[data-follow]")?.checked ?? true;
}

async function follow() {
  if (!log || !follows()) return;
  if (following) {
    moreLines = true;
    return;
  }
  following = true;
  moreLines = false;
  try {
    const url = new URL(log.dataset.log, location.href);
    url.searchParams.set("after", log.dataset.after);
    const answer = await fetch(url, { headers: { "X-Part": "log" }, redirect: "manual" });
    if (answer.ok) addLines(await answer.text(), answer.headers.get("X-After"));
  } catch {
    // The stream tells that the server is away, and when it is back.
  } finally {
    following = null;
    if (moreLines) follow();
  }
}

function addLines(markup, after) {
  log.dataset.after = after;
  const fresh = document.createElement("template");
  fresh.innerHTML = `<table><tbody>${markup}</tbody></table>`;
  const rows = fresh.content.querySelectorAll("tr");
  if (!rows.length) return;
  tell(fresh.content);
  const atEnd = log.scrollHeight - log.scrollTop - log.clientHeight < 40;
  log.querySelector("[data-none]")?.remove();
  const body = log.querySelector("tbody");
  body.append(...rows);
  while (body.rows.length > MOST_LINES && atEnd) body.rows[0].remove();
  if (atEnd) log.scrollTop = log.scrollHeight;
}

async function refresh() {
  if (asking) {
    again = true;
    return;
  }
  asking = true;
  again = false;
  askedAt = Date.now();
  try {
    const answer = await fetch(location.href, { headers: { "X-Part": "main" }, redirect: "manual" });
    if (answer.status === 401) return location.reload(); // to the login, and back here
    if (!answer.ok) return;
    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
    for (const part of parts()) {
      const found = fresh.querySelector(`[data-part="${CSS.escape(part.dataset.part)}"]`);
      if (found) swap(part, found);
    }
  } catch {
    // The stream tells that the server is away, and when it is back.
  } finally {
    asking = false;
    if (again) soon();
  }
}

function soon() {
  waiting ??= setTimeout(() => {
    waiting = null;
    refresh();
  }, Math.max(SETTLE_MS, askedAt + APART_MS - Date.now()));
}

function connect() {
  const live = document.querySelector("[data-live]");
  if (!live || stream) return;
  const cluster = live.dataset.live;
  const note = document.getElementById("connection");
  stream = new EventSource("/pages/changes" + (cluster ? `?cluster=${encodeURIComponent(cluster)}` : ""));
  stream.onopen = () => {
    note.textContent = "";
    soon();
    follow();
  };
  stream.onmessage = (hint) => (hint.data === "log" ? follow() : soon());
  stream.onerror = () => {
    note.textContent = "Not connected: what is shown may be old.";
    if (stream?.readyState === EventSource.CLOSED) disconnect();
  };
}

function disconnect() {
  stream?.close();
  stream = null;
}

// A page that nobody looks at asks for nothing.
function look() {
  if (document.hidden) return disconnect();
  connect();
  if (stream) soon();
}

// A link from another site comes here without the session's cookie; it may be there all the same.
async function goOn(next) {
  const answer = await fetch("/login", { headers: { "X-Part": "session" } });
  if ((await answer.text()) === "yes") location.replace(next);
}

for (const part of parts()) known.set(part.dataset.part, part.innerHTML);
for (const box of document.querySelectorAll("[data-end]")) box.scrollTop = box.scrollHeight;
document.querySelector("[data-follow]")?.addEventListener("change", follow);
for (const tab of document.querySelectorAll(".tabs [aria-current]")) {
  const bar = tab.parentElement; // on a phone it is wider than the window
  bar.scrollLeft = tab.offsetLeft - bar.offsetLeft - (bar.clientWidth - tab.offsetWidth) / 2;
}
tell(document);
setInterval(() => tell(document), 1000);
setInterval(() => {
  if (document.hidden || !document.querySelector("[data-live]")) return;
  connect();
  soon();
  follow();
}, EVERY_MS);
document.addEventListener("visibilitychange", look);
window.addEventListener("pagehide", disconnect);
look();

// A moment is shown and typed as the reader's own time, and sent as what it is.
for (const field of document.querySelectorAll("input[data-moment]")) {
  const shown = document.createElement("input");
  shown.type = "datetime-local";
  shown.step = 1;
  shown.id = field.id;
  const pad = (at) => new Date(at - at.getTimezoneOffset() * 60000).toISOString().slice(0, 19);
  const show = () => (shown.value = field.value ? pad(new Date(field.value)) : "");
  field.removeAttribute("id");
  field.type = "hidden";
  field.disabled = !field.value;
  shown.addEventListener("change", () => {
    field.value = shown.value ? new Date(shown.value).toISOString() : "";
    field.disabled = !field.value;
    field.form.requestSubmit();
  });
  field.addEventListener("moved", show);
  show();
  field.before(shown);
}

// A choice is a filter at once; text is one with Enter. What is not set stays out of the address.
for (const form of document.querySelectorAll("form[data-auto]")) {
  const pure = () => {
    for (const it of form.elements) {
      if (it.name && it.value === (it.dataset.usual ?? "")) it.disabled = true;
    }
  };
  form.addEventListener("submit", pure);
  form.addEventListener("change", (event) => {
    if (event.target.tagName === "SELECT" || event.target.type === "date") form.requestSubmit();
  });
  form.addEventListener("input", () => form.classList.add("typed")); // where a button says what next
}
window.addEventListener("pageshow", () => {
  for (const it of document.querySelectorAll("form[data-auto] [disabled]")) it.disabled = false;
});

const login = document.querySelector("[data-next]");
if (login) goOn(login.dataset.next);
