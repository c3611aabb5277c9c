// Export of all data of the user, preferences, and erasure with a confirmation. A tab of "me".

import { field, fill, h, openDialog } from "./dom.js";
import { ApiError, call, get, getLocal, mine, request, session, signOut } from "./api.js";
import { announceChange, recall, remember, today } from "./settings.js";
import { actionButton, load, toast } from "./status.js";
import { actionForm } from "./account.js";
import { forgetOpinions } from "./actions.js";
import { t } from "./texts.js";

const FORMATS = { json: "json", letterboxd: "zip", trakt: "zip" };

async function download(format) {
  const response = await request("GET", mine("/export"), { query: { format } });
  const url = URL.createObjectURL(await response.blob());
  const link = h("a", { href: url, download: `marquee-${format}-${today()}.${FORMATS[format]}` });
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(url), 60000);
}

function exportSection() {
  return h(
    "section",
    { class: "section" },
    h("h2", {}, t("data.export")),
    h("p", {}, t("data.export_lead")),
    h(
      "div",
      { class: "inline-form" },
      Object.keys(FORMATS).map((format) => actionButton(t(`data.${format}`), () => download(format), "button")),
    ),
  );
}

async function erase() {
  await call("DELETE", mine());
  if (session.mode === "mock") {
    remember(
      "actors",
      recall("actors", []).filter((user) => user.id !== session.user.id),
    );
    remember("actor", 1);
    session.user = null;
  } else {
    await signOut().catch(() => {});
    session.user = null;
  }
  forgetOpinions();
  history.replaceState(null, "", "#/");
  announceChange("session");
  toast(t("data.erased"));
}

function openErase() {
  const name = session.user.username;
  const input = h("input", {
    name: "confirm",
    autocomplete: "off",
    oninput: () => {
      form.querySelector("button").disabled = input.value !== name;
    },
  });
  const form = actionForm(
    [field(t("data.confirm", { name }), input, { name: "confirm" })],
    t("data.erase"),
    async () => {
      if (input.value !== name)
        throw new ApiError("problem", {
          problem: { errors: [{ field: "confirm", message: t("data.confirm", { name }) }] },
        });
      await erase();
      dialog.close();
    },
  );
  form.querySelector("button").className = "button danger";
  form.querySelector("button").disabled = true;
  const dialog = openDialog(t("data.erase"), h("p", {}, t("data.erase_lead")), form);
}

/** The form; genres are sent by their English names, and shown by `localNames`, which has the names by id. */
function preferencesForm(preferences, genres, localNames) {
  const preferred = new Set(preferences.preferred_genres.map((name) => name.toLowerCase()));
  const boxes = genres.map((genre) =>
    h(
      "label",
      { class: "check" },
      h("input", {
        type: "checkbox",
        name: "genre",
        value: genre.name,
        checked: preferred.has(genre.name.toLowerCase()),
      }),
      localNames.get(genre.id) ?? genre.name,
    ),
  );
  const rating = h("input", {
    type: "number",
    name: "min_rating",
    min: 0,
    max: 10,
    step: 0.1,
    value: preferences.min_rating,
  });
  const form = actionForm(
    [
      h(
        "fieldset",
        { class: "field", "data-field": "preferred_genres" },
        h("legend", { class: "legend" }, t("data.genres")),
        h("div", { class: "checks" }, boxes),
        h("p", { class: "field-message" }),
      ),
      field(t("data.min_rating"), rating, { name: "min_rating" }),
    ],
    t("data.save"),
    async () => {
      const names = [...form.querySelectorAll("[name=genre]:checked")].map((box) => box.value);
      await call("POST", mine("/preferences"), {
        body: {
          preferred_genres: names,
          preferred_language: preferences.preferred_language,
          min_rating: Number(rating.value),
        },
      });
      toast(t("toast.saved"));
    },
  );
  return form;
}

/** Shows the tab. */
export function render({ body, signal }) {
  const preferences = h("div");
  fill(
    body,
    h("section", { class: "section" }, h("h2", {}, t("data.preferences")), preferences),
    exportSection(),
    h(
      "section",
      { class: "section" },
      h("h2", {}, t("data.erase")),
      h("p", {}, t("data.erase_lead")),
      h("button", { type: "button", class: "button danger", onclick: openErase }, t("data.erase")),
    ),
  );
  return load(preferences, signal, async () => {
    const [current, { genres }, local] = await Promise.all([
      get(mine("/preferences"), {}, signal),
      getLocal("/genres", { language: "en-US" }, signal),
      getLocal("/genres", {}, signal),
    ]);
    const names = new Map(local.genres.map((genre) => [genre.id, genre.name]));
    return preferencesForm(current, genres, names);
  });
}
