// DOM construction: `h` makes HTML elements, `s` SVG elements. Every view uses them. Data is only ever set as text or
// attribute values, never parsed as HTML.

import { t } from "./texts.js";

const SVG_NAMESPACE = "http://www.w3.org/2000/svg";
const PROPERTIES = new Set(["value", "checked", "disabled", "selected", "hidden", "indeterminate", "open", "required"]);

function setAttributes(element, attributes) {
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (value === undefined || value === null || value === false) {
      if (PROPERTIES.has(name)) element[name] = false;
    } else if (name.startsWith("on")) {
      element.addEventListener(name.slice(2), value);
    } else if (name === "vars") {
      for (const [key, text] of Object.entries(value)) element.style.setProperty(key, String(text));
    } else if (PROPERTIES.has(name)) {
      element[name] = value;
    } else {
      element.setAttribute(name, value === true ? "" : String(value));
    }
  }
}

function appendAll(element, children) {
  for (const child of children.flat(Infinity)) {
    if (child === null || child === undefined || child === false) continue;
    element.append(child instanceof Node ? child : String(child));
  }
  return element;
}

/** Returns an HTML element. `value` is set after the children, so that a select has its options. */
export function h(tag, attributes, ...children) {
  const element = document.createElement(tag);
  const { value, ...rest } = attributes ?? {};
  setAttributes(element, rest);
  appendAll(element, children);
  if (value !== undefined && value !== null) {
    if (tag === "li" || tag === "option") element.setAttribute("value", value);
    else element.value = value;
  }
  return element;
}

/** Returns an SVG element. */
export function s(tag, attributes, ...children) {
  const element = document.createElementNS(SVG_NAMESPACE, tag);
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value !== undefined && value !== null) element.setAttribute(name, String(value));
  }
  return appendAll(element, children);
}

/** Replaces the children of an element. */
export function fill(element, ...children) {
  element.replaceChildren();
  return appendAll(element, children);
}

/** Text from data: its direction follows its first strong character. */
export function data(text, tag = "bdi", attributes = {}) {
  return h(tag, { dir: "auto", ...attributes }, text ?? "");
}

let idCounter = 0;

/** Returns an id that no other element has. */
export function uniqueId(prefix = "id") {
  idCounter += 1;
  return `${prefix}-${idCounter}`;
}

/** A label above a control, with space for the message of an invalid field. */
export function field(label, control, { hint, name } = {}) {
  const id = control.id || uniqueId("field");
  control.id = id;
  const messageId = `${id}-message`;
  const message = h("p", { class: "field-message", id: messageId });
  if (hint) control.setAttribute("aria-describedby", `${messageId} ${id}-hint`);
  else control.setAttribute("aria-describedby", messageId);
  return h(
    "div",
    { class: "field", "data-field": name },
    h("label", { for: id }, label),
    control,
    hint && h("p", { class: "hint", id: `${id}-hint` }, hint),
    message,
  );
}

/** Shows the `errors` of a problem beside the fields of a form; returns those that have no field there. */
export function showFieldErrors(form, errors = []) {
  const rest = [];
  for (const block of form.querySelectorAll("[data-field]")) {
    block.querySelector(".field-message").textContent = "";
    block.querySelector("input, select, textarea")?.removeAttribute("aria-invalid");
  }
  for (const error of errors) {
    const block = form.querySelector(`[data-field="${CSS.escape(error.field)}"]`);
    if (!block) {
      rest.push(error);
      continue;
    }
    block.querySelector(".field-message").textContent = error.message;
    block.querySelector("input, select, textarea")?.setAttribute("aria-invalid", "true");
  }
  return rest;
}

/** Returns a function that calls `action` once, `delay` milliseconds after its last call. */
export function debounce(action, delay) {
  let timer;
  return (...values) => {
    clearTimeout(timer);
    timer = setTimeout(() => action(...values), delay);
  };
}

/** Opens a modal dialog; it is removed when it closes. Returns the element. */
export function openDialog(title, ...children) {
  const id = uniqueId("dialog");
  const close = () => dialog.close();
  const dialog = h(
    "dialog",
    { "aria-labelledby": id },
    h(
      "div",
      { class: "dialog-head" },
      h("h2", { id, dir: "auto" }, title),
      h("button", { type: "button", class: "icon-button", "aria-label": t("action.close"), onclick: close }, "×"),
    ),
    h("div", { class: "dialog-body" }, children),
  );
  const opener = document.activeElement;
  dialog.addEventListener("close", () => {
    dialog.remove();
    if (opener?.isConnected) opener.focus();
  });
  dialog.addEventListener("click", (event) => {
    if (event.target === dialog) close();
  });
  document.body.append(dialog);
  dialog.showModal();
  dialog.querySelector(".dialog-body :is(input, select)")?.focus();
  return dialog;
}
