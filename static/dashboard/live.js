// Every second, while somebody looks, each [data-live] fragment asks whether it changed (304: it did not) and is morphed
// into what it is now. Focus, selection, open details and playing sound survive. A fragment that lost its data-live,
// because its task ended, is not asked again.

const EVERY = 1000; // ms
const STALE_AFTER = 3500; // ms without an answer until the page says so

const tags = new Map(); // ETag by address
let lastAnswer = Date.now();
let paused = false;

const fragments = () => document.querySelectorAll("[data-live]");
const isLive = (context) => context.sourceElement.matches?.("[data-live]");

function tick() {
  if (document.hidden || paused) {
    lastAnswer = Date.now(); // nobody asked, so nobody is late
    return;
  }
  for (const fragment of fragments()) fragment.dispatchEvent(new Event("tick"));
  showState();
}

function showState() {
  const late = fragments().length > 0 && !paused && Date.now() - lastAnswer > STALE_AFTER;
  document.body.toggleAttribute("data-stale", late);
  const notice = document.querySelector("#stale");
  const seconds = Math.round((Date.now() - lastAnswer) / 1000);
  // Said once to a screen reader; the seconds beside it are for the eye only.
  notice.querySelector("[role=status]").textContent = late ? "Connection lost, reconnecting" : "";
  notice.querySelector("[aria-hidden]").textContent = late ? `last update ${seconds} s ago` : "";
  notice.hidden = !late;
}

function showToggle() {
  const toggle = document.querySelector("[data-live-toggle]");
  toggle.hidden = fragments().length === 0;
  toggle.setAttribute("aria-pressed", String(!paused));
}

export function startLive() {
  document.addEventListener("htmx:config:request", ({ detail: { ctx } }) => {
    const tag = isLive(ctx) && tags.get(ctx.request.action);
    if (tag) ctx.request.headers["If-None-Match"] = tag;
  });
  document.addEventListener("htmx:after:request", ({ detail: { ctx } }) => {
    if (!isLive(ctx) || ctx.response.status >= 500) return;
    lastAnswer = Date.now();
    showState();
    const tag = ctx.response.headers.get("ETag");
    if (ctx.response.status === 200 && tag) tags.set(ctx.sourceElement.getAttribute("hx-get"), tag);
  });
  document.addEventListener("htmx:after:swap", showToggle);
  document.addEventListener("visibilitychange", tick);
  document.querySelector("[data-live-toggle]").addEventListener("click", () => {
    paused = !paused;
    showToggle();
    tick();
  });
  showToggle();
  setInterval(tick, EVERY);
}
