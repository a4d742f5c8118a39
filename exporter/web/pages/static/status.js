// Makes the status pages pleasant; without it they work by links and a form.
// The server renders everything: this fetches the same page again and swaps the parts that change.
"use strict";

const REFRESH_MS = 10_000;
const TYPING_MS = 200;

const form = document.getElementById("filter");
const pause = document.getElementById("pause");
const shown = document.getElementById("shown");
let asking = null;

// Shows what the server says at a URL. The browser's history gets a new entry if `push` is true, its
// present one is changed if that is false, and left alone if it is undefined.
async function show(url, push) {
  asking?.abort();
  const mine = (asking = new AbortController());
  try {
    const answer = await fetch(url, { signal: mine.signal, cache: "no-store" });
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    if (!answer.ok || !page.getElementById("asof")) throw new Error(`HTTP ${answer.status}`);
    if (mine !== asking) return;
    swap(page);
    if (push === true) history.pushState(null, "", url);
    if (push === false) history.replaceState(null, "", url);
    warn("");
  } catch (problem) {
    if (problem.name !== "AbortError") warn(`Not up to date: ${problem.message}. `);
  } finally {
    if (mine === asking) asking = null;
  }
}

function swap(page) {
  document.title = page.title;
  const focused = keyOf(document.activeElement);
  for (const part of document.querySelectorAll("[data-live]")) {
    const fresh = page.getElementById(part.id);
    if (fresh && fresh.outerHTML !== part.outerHTML) {
      part.className = fresh.className;
      part.replaceChildren(...fresh.childNodes);
    }
  }
  // Said aloud by screen readers when it changes, so it changes only then.
  const said = page.getElementById("shown");
  if (shown && said && shown.textContent !== said.textContent) shown.textContent = said.textContent;
  if (focused) restore(focused);
}

// An element of the same meaning after the swap: by id, a device's row by its address.
function keyOf(element) {
  if (!element?.closest("[data-live]")) return null;
  return element.id ? `#${CSS.escape(element.id)}` : `[href="${CSS.escape(element.getAttribute("href") ?? "")}"]`;
}

function restore(selector) {
  const again = document.querySelector(selector);
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
  const said = new URLSearchParams(new FormData(form));
  for (const [name, value] of [...said]) if (!value) said.delete(name);
  return said.size ? `/?${said}` : "/";
}

// What the address says, where a link has led or the way back: the form follows.
function fillForm() {
  if (!form) return;
  const said = new URLSearchParams(location.search);
  for (const field of form.elements) if (field.name) field.value = said.get(field.name) ?? "";
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
      // What was typed has not been asked for yet: the link does not know of it.
      clearTimeout(typing);
      typing = 0;
      const typed = new FormData(form).get("q");
      if (typed) to.searchParams.set("q", typed);
    }
    follow(to.href, true);
  });
  addEventListener("popstate", () => follow(location.href));
}

function isReading() {
  const selection = getSelection();
  return selection !== null && !selection.isCollapsed;
}

function isPaused() {
  return pause.getAttribute("aria-pressed") === "true";
}

function keepPaused(paused) {
  pause.setAttribute("aria-pressed", String(paused));
  try {
    sessionStorage.setItem("paused", paused ? "yes" : "");
  } catch {
    // Storage is forbidden: the choice lasts as long as the page.
  }
}

if (document.getElementById("asof")) {
  document.getElementById("updates").hidden = false;
  try {
    keepPaused(sessionStorage.getItem("paused") === "yes");
  } catch {
    keepPaused(false);
  }
  pause.addEventListener("click", () => {
    keepPaused(!isPaused());
    if (!isPaused()) show(location.href);
  });
  setInterval(() => {
    if (!isPaused() && !document.hidden && !isReading() && !asking) show(location.href);
  }, REFRESH_MS);
}
