// Signing up, in and out, and in mock mode the choice of the acting user. The shell shows its banner and dialog; views that
// need a user show `signInView`.

import { data, field, fill, h, openDialog, showFieldErrors } from "./dom.js";
import { ApiError, call, loadActor, session, signIn, signOut } from "./api.js";
import { announceChange, contentLanguage, recall, remember } from "./settings.js";
import { explain, toast, whileBusy } from "./status.js";
import { forgetOpinions } from "./actions.js";
import { loginButtons } from "./logins.js";
import { t } from "./texts.js";

/** Makes a user the acting one and tells the page. */
function become(user) {
  if (session.mode === "mock") {
    session.user = user;
    remember("actor", user.id);
    const known = recall("actors", []).filter((item) => item.id !== user.id);
    remember("actors", [{ id: user.id, username: user.username }, ...known].slice(0, 8));
  }
  forgetOpinions();
  announceChange("session");
}

/** A form whose submit runs `submit(values)` if no required field is empty; a failure is shown at its fields or above the button. */
export function actionForm(fields, label, submit) {
  const message = h("p", { class: "form-message", role: "alert" });
  const button = h("button", { class: "button primary" }, label);
  const form = h("form", { class: "form", novalidate: true }, fields, message, button);
  const send = async () => {
    message.textContent = "";
    const missing = [...form.elements].filter((control) => control.validity?.valueMissing);
    const nameOf = (control) => control.closest("[data-field]")?.dataset.field;
    showFieldErrors(form, missing.map((control) => ({ field: nameOf(control), message: t("state.required") })));
    if (missing.length) return missing[0].focus();
    try {
      await submit(Object.fromEntries(new FormData(form)));
    } catch (error) {
      const rest = showFieldErrors(form, error.errors ?? []);
      const { title, detail } = explain(error);
      if (!error.errors?.length || rest.length) {
        const isRefusal = error instanceof ApiError && error.status === 401;
        message.textContent = isRefusal ? t("account.wrong") : `${title}: ${detail}`;
      }
      form.querySelector("[aria-invalid]")?.focus();
    }
    return undefined;
  };
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    whileBusy(button, send);
  });
  return form;
}

function signInForm(onDone) {
  const name = h("input", {
    name: "username",
    autocomplete: "username",
    required: true,
    value: session.user?.username ?? "",
  });
  const password = h("input", { name: "password", type: "password", autocomplete: "current-password", required: true });
  return actionForm(
    [
      field(t("account.name_or_email"), name, { name: "username" }),
      field(t("account.password"), password, { name: "password" }),
    ],
    t("account.sign_in"),
    async (values) => {
      await signIn(values.username, values.password);
      onDone();
    },
  );
}

function signUpForm(onDone) {
  const isMock = session.mode === "mock";
  const name = h("input", { name: "username", autocomplete: "username", required: true });
  const email = h("input", { name: "email", type: "email", autocomplete: "email", required: true });
  const password = h("input", { name: "password", type: "password", autocomplete: "new-password", required: true });
  const fields = [
    field(t("account.name"), name, { name: "username" }),
    field(t("account.email"), email, { name: "email" }),
  ];
  if (!isMock) fields.push(field(t("account.password"), password, { name: "password" }));
  return actionForm(fields, t("account.sign_up"), async (values) => {
    const user = await call("POST", "/users", {
      body: { ...values, preferred_language: contentLanguage().slice(0, 2) },
    });
    if (isMock) become({ ...user, role: "admin" });
    else await signIn(values.username, values.password);
    onDone();
  });
}

/** In mock mode: the choice of the acting user by id, with shortcuts to earlier ones. */
function actorForm(onDone) {
  const id = h("input", {
    name: "id",
    type: "number",
    min: 1,
    required: true,
    inputmode: "numeric",
    value: session.user?.id ?? 1,
  });
  const form = actionForm([field(t("account.user_id"), id, { name: "id" })], t("account.act"), async (values) => {
    const user = await loadActor(values.id);
    if (!user)
      throw new ApiError("problem", { problem: { errors: [{ field: "id", message: t("account.no_such_user") }] } });
    become(user);
    onDone();
  });
  const known = recall("actors", []);
  const choose = (user) => {
    id.value = user.id;
    form.requestSubmit();
  };
  return [
    form,
    known.length > 1 &&
      h(
        "ul",
        { class: "chips" },
        known.map((user) =>
          h(
            "li",
            {},
            h(
              "button",
              { type: "button", class: "chip", onclick: () => choose(user) },
              data(user.username),
              ` ${user.id}`,
            ),
          ),
        ),
      ),
  ];
}

/** The view of a visitor who is not signed in: sign in, or sign up; in mock mode choose a user, or create one. */
export function signInView() {
  if (session.mode === "mock") {
    return h(
      "section",
      { class: "welcome" },
      h("h1", {}, t("account.choose")),
      h("p", { class: "lead" }, t("account.mock")),
      h(
        "div",
        { class: "two" },
        h(
          "section",
          {},
          actorForm(() => {}),
        ),
        h(
          "section",
          {},
          h("h2", {}, t("account.new_user")),
          signUpForm(() => {}),
        ),
      ),
    );
  }
  const done = () => {
    become(session.user);
    toast(t("account.welcome", { name: session.user.username }));
  };
  return h(
    "section",
    { class: "welcome" },
    h("h1", {}, t("account.title")),
    h("p", { class: "lead" }, t("account.lead")),
    h(
      "div",
      { class: "two" },
      h("section", {}, h("h2", {}, t("account.sign_in")), signInForm(done), loginButtons()),
      h("section", {}, h("h2", {}, t("account.sign_up")), signUpForm(done)),
    ),
  );
}

let asking = null;

/** Asks a visitor whose session expired to sign in again, over the view they are in; true if they did. */
export function askAgain() {
  asking ??= new Promise((resolve) => {
    let isDone = false;
    const dialog = openDialog(
      t("state.expired"),
      h("p", {}, t("account.again")),
      signInForm(() => {
        isDone = true;
        dialog.close();
      }),
    );
    dialog.addEventListener("close", () => {
      asking = null;
      if (isDone) announceChange("renewed");
      resolve(isDone);
    });
  });
  return asking;
}

/** Signs out and shows the sign-in view. */
export async function leave() {
  await signOut();
  forgetOpinions();
  announceChange("session");
}

function openActorDialog() {
  const close = () => dialog.close();
  const dialog = openDialog(
    t("account.choose"),
    h("p", {}, t("account.mock")),
    actorForm(close),
    h("h3", {}, t("account.new_user")),
    signUpForm(close),
  );
}

/** Fills the banner of mock mode; empties it otherwise. */
export function showBanner(element) {
  if (session.mode !== "mock") return fill(element);
  return fill(
    element,
    h(
      "div",
      { class: "banner", role: "region", "aria-label": t("account.mode") },
      h("strong", {}, t("account.mock")),
      " ",
      session.user
        ? h("span", {}, t("account.acting"), " ", data(session.user.username), ` (${session.user.id})`)
        : t("account.nobody"),
      " ",
      h("button", { type: "button", class: "link", onclick: openActorDialog }, t("account.change")),
    ),
  );
}
