// Filters while the user types and refreshes the pages; without it, links and the form do the same.
// The server renders everything: this script fetches the page again and replaces what has changed.
"use strict";

const REFRESH_MS = 10_000;
const TYPING_MS = 200;
// Pages of another program may have the same host.
const PAUSED = "axis-ntp-exporter paused";

const form = document.getElementById("filter");
const pause = document.getElementById("pause");
const shown = document.getElementById("shown");
let pending = null;

// Fetches a URL and shows it. Adds an entry to the browser's history if `push` is true, changes the
// current entry if it is false, and leaves the history alone if it is undefined.
async function show(url, push) {
  pending?.abort();
  const own = (pending = new AbortController());
  try {
    const response = await fetch(url, { signal: own.signal, cache: "no-store" });
    const page = new DOMParser().parseFromString(await response.text(), "text/html");
    if (!response.ok || !page.getElementById("asof")) throw new Error(`HTTP ${response.status}`);
    if (own !== pending) return;
    replaceParts(page);
    if (push === true) history.pushState(null, "", url);
    if (push === false) history.replaceState(null, "", url);
    warn("");
  } catch (problem) {
    if (problem.name !== "AbortError") warn(`Not up to date: ${problem.message}. `);
  } finally {
    if (own === pending) pending = null;
  }
}

function replaceParts(page) {
  document.title = page.title;
  const focused = keyOf(document.activeElement);
  for (const part of document.querySelectorAll("[data-live]")) {
    const fresh = page.getElementById(part.id);
    for (const { id } of part.querySelectorAll("details[open]")) fresh?.querySelector(`#${id}`)?.setAttribute("open", "");
    if (fresh && fresh.outerHTML !== part.outerHTML) {
      part.className = fresh.className;
      part.replaceChildren(...fresh.childNodes);
    }
  }
  // Screen readers read it out whenever it is set, so set it only when it differs.
  const fresh = page.getElementById("shown");
  if (shown && fresh && shown.textContent !== fresh.textContent) shown.textContent = fresh.textContent;
  if (focused) restoreFocus(focused);
}

// Finds the same element after the parts were replaced: by id, else by its link, of which a table
// may have several.
function keyOf(element) {
  if (!element?.closest("[data-live]")) return null;
  if (element.id) return { selector: `#${CSS.escape(element.id)}`, index: 0 };
  const selector = `[data-live] [href="${CSS.escape(element.getAttribute("href") ?? "")}"]`;
  return { selector, index: [...document.querySelectorAll(selector)].indexOf(element) };
}

function restoreFocus({ selector, index }) {
  const found = document.querySelectorAll(selector);
  const again = found[index] ?? found[0];
  if (again && again !== document.activeElement) again.focus({ preventScroll: true });
}

let warning = null;
function warn(text) {
  if (!warning) {
    warning = document.createElement("p");
    warning.id = "outdated";
    warning.setAttribute("role", "alert");
    document.querySelector("footer").prepend(warning);
  }
  if (warning.textContent !== text) warning.textContent = text;
}

function formUrl() {
  const params = new URLSearchParams(new FormData(form));
  for (const [name, value] of [...params]) if (!value) params.delete(name);
  const fleet = form.getAttribute("action");
  return params.size ? `${fleet}?${params}` : fleet;
}

// Sets the form to what the URL says, after a link or the back button has changed it.
function fillForm() {
  if (!form) return;
  const params = new URLSearchParams(location.search);
  for (const field of form.elements) if (field.type !== "hidden" && field.name) field.value = params.get(field.name) ?? "";
}

async function follow(url, push) {
  await show(url, push);
  fillForm();
}

if (form) {
  let typing = 0;
  const apply = () => {
    clearTimeout(typing);
    typing = 0;
    show(formUrl(), false);
  };
  form.addEventListener("input", () => {
    clearTimeout(typing);
    typing = setTimeout(apply, TYPING_MS);
  });
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    apply();
  });
  form.querySelector("button").hidden = true;
  document.addEventListener("click", (event) => {
    const link = event.target.closest("a[data-swap]");
    if (!link || event.button || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return;
    event.preventDefault();
    const to = new URL(link.href);
    if (typing) {
      // The typed text has not been sent yet, so the link does not contain it.
      clearTimeout(typing);
      typing = 0;
      const typed = new FormData(form).get("q");
      if (typed) to.searchParams.set("q", typed);
    }
    follow(to.href, true);
  });
  addEventListener("popstate", () => follow(location.href));
}

function hasSelection() {
  const selection = getSelection();
  return selection !== null && !selection.isCollapsed;
}

function isPaused() {
  return pause.getAttribute("aria-pressed") === "true";
}

function setPaused(paused) {
  pause.setAttribute("aria-pressed", String(paused));
  try {
    sessionStorage.setItem(PAUSED, paused ? "yes" : "");
  } catch {
    // Storage is not allowed: the choice lasts as long as the page.
  }
}

if (document.getElementById("asof")) {
  document.getElementById("updates").hidden = false;
  try {
    setPaused(sessionStorage.getItem(PAUSED) === "yes");
  } catch {
    setPaused(false);
  }
  pause.addEventListener("click", () => {
    setPaused(!isPaused());
    if (!isPaused()) show(location.href);
  });
  setInterval(() => {
    if (!isPaused() && !document.hidden && !hasSelection() && !pending) show(location.href);
  }, REFRESH_MS);
}
