// States of a part of a view: loading, empty, failed (each with a way to recover), and toasts with undo. Used by all views.

import { h, fill } from "./dom.js";
import { ApiError, isAborted } from "./api.js";
import { formatDate } from "./settings.js";
import { t } from "./texts.js";

const AWAY_RETRY_SECONDS = 10;
const TOAST_MILLISECONDS = 8000;
const REST_MILLISECONDS = 500;
const running = new WeakSet();

/** A placeholder while something loads. */
export function loading(rows = 1) {
  return h(
    "div",
    { class: "loading", role: "status" },
    h("span", { class: "hidden-text" }, t("state.loading")),
    Array.from({ length: rows }, () => h("div", { class: "skeleton", "aria-hidden": "true" })),
  );
}

/** A message that there is nothing, with what to do about it. */
export function empty(text, ...actions) {
  return h("div", { class: "state" }, h("p", {}, text), actions);
}

/** Returns the title and explanation of a failed request. */
export function explain(error) {
  if (!(error instanceof ApiError)) return { title: t("state.broken"), detail: String(error?.message ?? error) };
  const titles = {
    offline: "state.offline",
    limited: "state.limited",
    expired: "state.expired",
    away: "state.away",
    missing: "state.missing",
  };
  const details = { offline: "state.offline_detail", limited: "state.limited_detail", expired: "state.expired_detail" };
  const { suspended_until: end, reason } = error.problem ?? {};
  if (end) {
    const detail = [t("account.suspended_until", { date: formatDate(end) }), reason && t("account.reason", { reason })];
    return { title: t("account.suspended"), detail: detail.filter(Boolean).join(" ") };
  }
  const fields = error.errors.map((item) => `${item.field}: ${item.message}`).join("; ");
  const own = details[error.kind] && t(details[error.kind]);
  return {
    title: titles[error.kind] ? t(titles[error.kind]) : (error.problem?.title ?? t("state.refused")),
    detail: own ?? (fields || error.message),
  };
}

function countDown(button, seconds, retry) {
  let left = Math.ceil(seconds);
  const label = t("state.retry");
  const show = () => {
    button.textContent = `${label} (${left})`;
  };
  show();
  const timer = setInterval(() => {
    left -= 1;
    if (!button.isConnected) clearInterval(timer);
    else if (left <= 0) {
      clearInterval(timer);
      retry();
    } else show();
  }, 1000);
}

/** The state of a failed request: what failed and why, a retry button, and an automatic retry where waiting helps. */
export function failed(error, retry) {
  const { title, detail } = explain(error);
  const button = h("button", { type: "button", class: "button", onclick: retry }, t("state.retry"));
  const block = h(
    "div",
    { class: `state failed ${error.kind ?? ""}`, role: "alert" },
    h("p", { class: "state-title" }, title),
    h("p", { dir: "auto" }, detail),
    error.requestId && h("p", { class: "hint" }, t("state.request_id", { id: error.requestId })),
    retry && button,
  );
  if (retry && error.kind === "limited") countDown(button, error.retryAfter ?? 10, retry);
  if (retry && error.kind === "away") countDown(button, error.retryAfter ?? AWAY_RETRY_SECONDS, retry);
  if (retry && error.kind === "offline") {
    addEventListener("online", () => button.isConnected && retry(), { once: true });
  }
  return block;
}

/**
 * Fills `container` with what `produce(signal)` resolves to. Shows a placeholder first unless `keep`, and on failure a
 * state whose retry starts again. `onShown` is called when the content is there.
 */
export async function load(container, signal, produce, { rows = 1, keep = false, onShown } = {}) {
  const retry = () => load(container, signal, produce, { rows, onShown });
  if (!keep) fill(container, loading(rows));
  container.setAttribute("aria-busy", "true");
  try {
    const content = await produce(signal);
    if (signal.aborted) return;
    fill(container, content);
    onShown?.();
  } catch (error) {
    if (isAborted(error) || signal.aborted) return;
    if (!(error instanceof ApiError)) console.error(error);
    fill(container, failed(error, retry));
  } finally {
    container.removeAttribute("aria-busy");
  }
}

/**
 * Shows a short message; `undo` adds a button that takes the action back, `retry` one that repeats it and a message that stays,
 * `next`, `{label, run}`, one for what may follow. `isOffline` removes the message when the connection is back.
 */
export function toast(text, { undo, retry, next, isError = false, isOffline = false } = {}) {
  const item = h("div", { class: isError ? "toast error" : "toast" }, h("span", { dir: "auto" }, text));
  const opener = document.activeElement;
  const remove = () => {
    const hadFocus = item.contains(document.activeElement);
    item.remove();
    if (hadFocus && opener?.isConnected) opener.focus();
  };
  if (undo) {
    const run = async () => {
      remove();
      try {
        await undo();
        toast(t("toast.undone"));
      } catch (error) {
        toastError(error, { name: t("toast.undo"), repeat: run });
      }
    };
    const button = { type: "button", class: "link undo", "aria-keyshortcuts": "Control+Z Meta+Z", title: "Ctrl+Z" };
    item.append(h("button", { ...button, onclick: run }, t("toast.undo")));
  }
  const follow = retry ? { label: t("state.retry"), run: retry } : next;
  if (follow) {
    const run = () => {
      remove();
      follow.run();
    };
    item.append(h("button", { type: "button", class: "link", onclick: run }, follow.label));
  }
  item.append(
    h("button", { type: "button", class: "icon-button", "aria-label": t("action.close"), onclick: remove }, "×"),
  );
  const list = document.getElementById("toasts");
  while (list.children.length > 2) list.firstChild.remove();
  list.append(item);
  if (isOffline) addEventListener("online", remove, { once: true });
  if (retry) return;
  let timer = setTimeout(remove, TOAST_MILLISECONDS);
  const hold = () => clearTimeout(timer);
  const release = () => {
    timer = setTimeout(remove, TOAST_MILLISECONDS);
  };
  for (const name of ["pointerenter", "focusin"]) item.addEventListener(name, hold);
  for (const name of ["pointerleave", "focusout"]) item.addEventListener(name, release);
}

/** Shows a failed action; `repeat` does it again, which a lost connection needs, as `name` was not done. */
export function toastError(error, { name, repeat } = {}) {
  if (isAborted(error)) return;
  if (error.kind === "offline" && repeat) {
    toast(t("toast.not_done", { name }), { isError: true, retry: repeat });
    return;
  }
  const { title, detail } = explain(error);
  toast(`${title}: ${detail}`, { isError: true, isOffline: error.kind === "offline" });
}

function nameOf(control) {
  const text = control?.querySelector("span:not([aria-hidden])") ?? control;
  return control?.getAttribute("aria-label") ?? text?.textContent.trim() ?? "";
}

/** Takes back the last action with a toast that is still shown, by Ctrl+Z outside of a text field. */
export function undoOnKey(event) {
  if (event.key.toLowerCase() !== "z" || !(event.ctrlKey || event.metaKey) || event.shiftKey || event.altKey) return;
  if (event.target.closest?.("input:not([type=range], [type=checkbox]), textarea, [contenteditable]")) return;
  const button = [...document.querySelectorAll("#toasts .undo")].at(-1);
  if (!button) return;
  event.preventDefault();
  button.click();
}

/** Runs `action` unless the last one of `control` still runs. A disabled control would lose the focus, a busy one keeps it. */
export async function whileBusy(control, action) {
  if (control && running.has(control)) return undefined;
  if (control) running.add(control);
  control?.setAttribute("aria-busy", "true");
  try {
    return await action();
  } finally {
    if (control) running.delete(control);
    control?.removeAttribute("aria-busy");
  }
}

/** Runs an action of a button, which is busy meanwhile, and shows a failure as a toast. Returns true on success. */
export async function act(button, action) {
  const run = async () => {
    try {
      await action();
      return true;
    } catch (error) {
      toastError(error, { name: nameOf(button), repeat: button && (() => act(button, action)) });
      return false;
    }
  };
  return (await whileBusy(button, run)) ?? false;
}

/**
 * Calls `save(value)` with the last value of a slider once it rests, so that the steps on the way are not saved; `restore` is
 * called if that fails. Returns a function that tells whether a value is still to be saved.
 */
export function saveAtRest(slider, save, restore) {
  let timer = null;
  let isSaving = false;
  const wait = () => {
    clearTimeout(timer);
    timer = setTimeout(run, REST_MILLISECONDS);
  };
  const run = async () => {
    if (isSaving) return wait();
    clearTimeout(timer);
    timer = null;
    isSaving = true;
    const value = Number(slider.value);
    const isSaved = await act(slider, () => save(value));
    isSaving = false;
    if (!isSaved && timer === null) restore();
    return undefined;
  };
  slider.addEventListener("change", wait);
  slider.addEventListener("blur", () => timer !== null && run());
  return () => timer !== null;
}

/** Returns a button whose click runs `action` by `act`. */
export function actionButton(label, action, className = "button small") {
  const button = h("button", { type: "button", class: className, onclick: () => act(button, action) }, label);
  return button;
}

/** A button that copies the link that `read()` returns. */
export function copyLinkButton(read, className = "button") {
  const copy = async () => {
    await navigator.clipboard.writeText(read());
    toast(t("filter.copied"));
  };
  return actionButton(t("filter.share"), copy, className);
}

/** Reads a message to screen readers. */
export function announce(text) {
  document.getElementById("announcer").textContent = text;
}
