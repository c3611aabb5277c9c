// The taste profile as a picture that can be edited: a bar for each genre, keyword, person and language, left for dislike,
// right for like. A tab of "me".

import { data, fill, h, openDialog } from "./dom.js";
import { call, getLocal, mine } from "./api.js";
import { displayName, formatNumber, language } from "./settings.js";
import { act, load, saveAtRest, toast } from "./status.js";
import { nameChooser } from "./search.js";
import { t } from "./texts.js";

const KINDS = { genres: "genre", people: "person", keywords: "keyword", languages: "language" };
const VISIBLE_ROWS = 12;
const SMALLEST_SCALE = 10;
const TASTE_LIMIT = 60;
// An arrow key moves a bar by half a point, which is five of its steps.
const KEY_STEPS = { ArrowRight: 5, ArrowUp: 5, ArrowLeft: -5, ArrowDown: -5 };

function edit(kind, tag, score) {
  const target = tag.id ? { id: tag.id } : { name: tag.name };
  return call("PATCH", mine("/taste"), { body: { edits: [{ kind, ...target, score }] } });
}

function keyOf(kind, tag) {
  return `${kind} ${tag.id ?? tag.name}`;
}

/** Sets a score, or removes the edit if `score` is null, with undo. */
async function change(kind, tag, score, reload) {
  const before = tag.edited ? tag.score : null;
  await edit(kind, tag, score);
  toast(t(score === null ? "taste.reset_done" : "taste.set", { name: tag.label, score: formatNumber(score ?? 0, 1) }), {
    undo: async () => {
      await edit(kind, tag, before);
      await reload(keyOf(kind, tag));
    },
  });
}

async function changeAndReload(kind, tag, score, reload) {
  await change(kind, tag, score, reload);
  await reload(keyOf(kind, tag));
}

function row(kind, tag, scale, reload) {
  const slider = h("input", { type: "range", min: -scale, max: scale, step: 0.1, "aria-label": tag.label });
  const number = h("span", { class: "number" });
  const name = data(tag.label, "span", { class: "taste-name" });
  const element = h(
    "li",
    { class: "taste-row", "data-tag": keyOf(kind, tag) },
    name,
    h("span", { class: "taste-bar" }, slider),
    number,
  );
  const show = (score) => {
    slider.value = score;
    slider.setAttribute("aria-valuetext", formatNumber(score, 1));
    element.style.setProperty("--from", `${50 + (Math.min(score, 0) / scale) * 50}%`);
    element.style.setProperty("--to", `${50 + (Math.max(score, 0) / scale) * 50}%`);
    element.classList.toggle("negative", score < 0);
    number.textContent = (score > 0 ? "+" : "") + formatNumber(score, 1).replace(/^-0$/, "0");
  };
  slider.addEventListener("input", () => show(Number(slider.value)));
  slider.addEventListener("keydown", (event) => {
    const steps = KEY_STEPS[event.key];
    if (!steps || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    slider.stepUp(steps);
    for (const name of ["input", "change"]) slider.dispatchEvent(new Event(name));
  });
  // The row stays where it is, as its slider may still be in use.
  const save = async (score) => {
    await change(kind, tag, score, reload);
    Object.assign(tag, { score, edited: true });
    if (!isMoving()) show(score);
    showReset();
  };
  const isMoving = saveAtRest(slider, save, () => show(tag.score));
  const reset = h(
    "button",
    {
      type: "button",
      class: "link",
      "aria-label": `${t("action.reset")}: ${tag.label}`,
      onclick: () => act(reset, () => changeAndReload(kind, tag, null, reload)),
    },
  );
  const showReset = () => {
    reset.disabled = !tag.edited;
    reset.textContent = tag.edited ? t("action.reset") : "";
  };
  showReset();
  element.append(reset);
  show(tag.score);
  const rename = (label) => {
    tag.label = name.textContent = label;
    slider.setAttribute("aria-label", label);
    reset.setAttribute("aria-label", `${t("action.reset")}: ${label}`);
  };
  return { element, rename };
}

const localNames = new Map();

/** The name of a person in the language of the page; the profile has names in that of the catalogue only. */
function localName(id) {
  const key = `${language()} ${id}`;
  if (!localNames.has(key)) {
    const name = getLocal(`/people/${id}`, { page_size: 1 }).then((person) => person.name);
    name.catch(() => localNames.delete(key));
    localNames.set(key, name);
  }
  return localNames.get(key);
}

function translate(kind, rows, tags) {
  if (kind !== "person" || language() === "en") return;
  rows.forEach(({ rename }, index) => localName(tags[index].id).then(rename, () => {}));
}

async function labelled(kind, tags) {
  if (kind === "language") return tags.map((tag) => ({ ...tag, label: displayName("language", tag.name) }));
  if (kind !== "genre" || !tags.length) return tags.map((tag) => ({ ...tag, label: tag.name }));
  const { genres } = await getLocal("/genres");
  const names = new Map(genres.map((genre) => [genre.id, genre.name]));
  return tags.map((tag) => ({ ...tag, label: names.get(tag.id) ?? tag.name }));
}

function adder(kind, reload) {
  const add = (tag) => changeAndReload(kind, { ...tag, label: tag.name, edited: false }, 5, reload);
  if (kind === "person" || kind === "keyword")
    return nameChooser(kind === "person" ? "people" : "keywords", t("taste.add"), (tag) => act(null, () => add(tag)));
  if (kind !== "genre") return null;
  const select = h(
    "select",
    {
      "aria-label": t("taste.add"),
      onchange: () => {
        const option = select.selectedOptions[0];
        if (option.value) act(select, () => add({ id: Number(option.value), name: option.textContent }));
      },
    },
    h("option", { value: "" }, t("taste.add")),
  );
  getLocal("/genres").then(
    ({ genres }) => select.append(...genres.map((genre) => h("option", { value: genre.id }, genre.name))),
    () => {},
  );
  return select;
}

async function group(key, tags, reload) {
  const kind = KINDS[key];
  const named = await labelled(kind, tags);
  named.sort((a, b) => b.score - a.score);
  const scale = Math.max(SMALLEST_SCALE, ...named.map((tag) => Math.ceil(Math.abs(tag.score))));
  const rows = named.map((tag) => row(kind, tag, scale, reload));
  const elements = rows.map(({ element }) => element);
  const hidden = elements.slice(VISIBLE_ROWS);
  translate(kind, rows.slice(0, VISIBLE_ROWS), named);
  const translateRest = () => translate(kind, rows.slice(VISIBLE_ROWS), named.slice(VISIBLE_ROWS));
  return h(
    "section",
    { class: "taste-group" },
    h("h2", {}, t(`taste.${key}`)),
    rows.length > 0
      ? h("ul", { class: "taste" }, elements.slice(0, VISIBLE_ROWS))
      : h("p", { class: "hint" }, t("taste.none")),
    hidden.length > 0 &&
      h(
        "details",
        { ontoggle: translateRest },
        h("summary", {}, t("taste.more", { count: hidden.length })),
        h("ul", { class: "taste" }, hidden),
      ),
    adder(kind, reload),
  );
}

function explainMeaning() {
  openDialog(t("me.taste"), h("p", {}, t("taste.meaning")), h("p", {}, t("taste.edited")));
}

/** Shows the taste profile. */
export function render({ body, signal }) {
  const picture = h("div", { class: "taste-picture" });
  const draw = () =>
    load(
      picture,
      signal,
      async () => {
        const taste = await getLocal(mine("/taste"), { limit: TASTE_LIMIT, language: undefined }, signal);
        return Promise.all(Object.keys(KINDS).map((key) => group(key, taste[key], reload)));
      },
      { keep: picture.childElementCount > 0 },
    );
  const reload = async (key) => {
    await draw();
    const row = [...picture.querySelectorAll("[data-tag]")].find((element) => element.dataset.tag === key);
    row?.closest("details")?.setAttribute("open", "");
    row?.querySelector("input").focus();
  };
  fill(
    body,
    h(
      "p",
      {},
      t("taste.lead"),
      " ",
      h("button", { type: "button", class: "link", onclick: explainMeaning }, t("taste.what")),
    ),
    picture,
  );
  return reload();
}
