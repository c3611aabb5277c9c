// Discover (`#/discover?…`): all filters of the API as a form that writes the address, and the movies that pass. The query of
// the address is that of `GET /movies`, so it can be shared. Loaded by the router.

import { data, debounce, field, fill, h, showFieldErrors } from "./dom.js";
import { get, getLocal } from "./api.js";
import { contentLanguage, displayName, region } from "./settings.js";
import { announce, copyLinkButton, empty, load } from "./status.js";
import { grid } from "./tiles.js";
import { moreButton } from "./more.js";
import { nameChooser } from "./search.js";
import { regionSelect } from "./film.js";
import { t } from "./texts.js";

const NAMES = [
  "genres",
  "without_genres",
  "keywords",
  "people",
  "original_language",
  "country",
  "year",
  "release_date_from",
  "release_date_to",
  "runtime_min",
  "runtime_max",
  "vote_average_min",
  "vote_count_min",
  "vote_count_max",
  "providers",
  "region",
  "sort_by",
  "order",
];
const LANGUAGES = (
  "ar cn cs da de el en es fa fi fr he hi hu id it ja ko nl no pl pt ro ru sv ta te th tr " + "uk vi zh"
).split(" ");
const COUNTRIES = (
  "AR AU AT BE BR CA CN CZ DE DK ES FI FR GB GR HK HU IN IE IL IR IT JP KR MX NL NO NZ PL " + "RU SE TH TR TW US ZA"
).split(" ");
const SORTS = ["popularity.desc", "release_date.desc", "release_date.asc", "title.asc", "title.desc"];
const TYPING_MILLISECONDS = 350;

/** Splits a value of the grammar, in which names are joined by `,` (and) or `|` (or) and may be quoted. */
function split(value) {
  return (value ?? "").match(/"[^"]*"|[^,|]+/g)?.map((name) => name.trim().replace(/^"(.*)"$/, "$1")) ?? [];
}

function join(names, separator) {
  return names.map((name) => (/[,|]/.test(name) ? `"${name}"` : name)).join(separator);
}

/** The form's state: the parameters of the address. `change(name, value)` rewrites the address. */
function address(query) {
  const state = Object.fromEntries(NAMES.map((name) => [name, query.get(name) ?? ""]));
  const write = () => {
    const parameters = new URLSearchParams(Object.entries(state).filter(([, value]) => value !== ""));
    const text = parameters.toString().replaceAll("%2C", ",").replaceAll("%7C", "|");
    history.replaceState(null, "", text ? `#/discover?${text}` : "#/discover");
  };
  return { state, write };
}

function genreChips({ state }, genres, changed) {
  const included = new Set(split(state.genres).map((name) => name.toLowerCase()));
  const excluded = new Set(split(state.without_genres).map((name) => name.toLowerCase()));
  const isIn = (set, genre) => set.has(genre.name.toLowerCase()) || set.has(String(genre.id));
  const stateOf = (genre) => (isIn(included, genre) ? "on" : isIn(excluded, genre) ? "off" : "");
  const any = h("input", { type: "checkbox", checked: state.genres.includes("|"), onchange: () => store() });
  const modes = new Map(genres.map((genre) => [genre, stateOf(genre)]));
  const store = () => {
    const names = (mode) => genres.filter((genre) => modes.get(genre) === mode).map((genre) => genre.name);
    state.genres = join(names("on"), any.checked ? "|" : ",");
    state.without_genres = join(names("off"), ",");
    changed();
  };
  const chip = (genre) => {
    const button = h("button", { type: "button" });
    const show = () => {
      const mode = modes.get(genre);
      button.className = `chip ${mode}`;
      button.setAttribute("aria-pressed", mode === "on" ? "true" : mode === "off" ? "mixed" : "false");
      const spoken = mode && t(mode === "on" ? "filter.with" : "filter.without", { name: "" }).trim();
      fill(
        button,
        mode === "on" && h("span", { "aria-hidden": "true" }, "✓ "),
        mode && h("span", { class: "hidden-text" }, `${spoken} `),
        data(genre.name),
        h("span", { class: "count" }, genre.movie_count),
      );
    };
    button.addEventListener("click", () => {
      modes.set(genre, { "": "on", on: "off", off: "" }[modes.get(genre)]);
      show();
      store();
    });
    show();
    return h("li", {}, button);
  };
  return h(
    "div",
    { class: "field", "data-field": "genres", role: "group", "aria-label": t("filter.genres") },
    h("span", { class: "legend" }, t("filter.genres")),
    h("p", { class: "hint" }, t("filter.genres_hint")),
    h("ul", { class: "chips" }, genres.map(chip)),
    h("label", { class: "check" }, any, t("filter.any")),
    h("p", { class: "field-message" }),
  );
}

/** Chosen people or keywords as chips, and a box that adds one. */
function nameField({ state }, name, changed) {
  const list = h("ul", { class: "chips" });
  const separator = () => (state[name].includes("|") ? "|" : ",");
  const labels = new Map();
  const show = () =>
    fill(
      list,
      split(state[name]).map((value) =>
        h(
          "li",
          {},
          h(
            "button",
            {
              type: "button",
              class: "chip on",
              "aria-label": `${t("action.remove")}: ${labels.get(value) ?? value}`,
              onclick: () => {
                state[name] = join(
                  split(state[name]).filter((other) => other !== value),
                  separator(),
                );
                show();
                changed();
              },
            },
            data(labels.get(value) ?? value),
            " ×",
          ),
        ),
      ),
    );
  const add = ({ id, name: text }) => {
    const value = /^\d+$/.test(text) || text.includes('"') ? String(id) : text;
    labels.set(value, text);
    state[name] = join([...new Set([...split(state[name]), value])], separator());
    show();
    changed();
  };
  const nameOfId = async (value) => {
    try {
      labels.set(value, (await getLocal(`/people/${value}`, { page_size: 1 })).name);
      show();
    } catch {
      // The id stays visible as it is.
    }
  };
  if (name === "people")
    split(state.people)
      .filter((value) => /^\d+$/.test(value))
      .forEach(nameOfId);
  show();
  return h(
    "div",
    { class: "field", "data-field": name },
    h("span", { class: "legend" }, t(`filter.${name}`)),
    list,
    nameChooser(name, t(`filter.${name}`), add),
    h("p", { class: "field-message" }),
  );
}

function inputField({ state }, name, changed, attributes) {
  // A name is complete only when the field is left; a number or date that is still typed may be out of range.
  const event = name === "providers" ? "onchange" : "oninput";
  const input = h("input", {
    name,
    value: state[name],
    ...attributes,
    [event]: () => {
      if (!input.checkValidity()) return;
      state[name] = input.value.trim();
      changed();
    },
  });
  return field(t(`filter.${name}`), input, {
    name,
    hint: name === "providers" ? t("filter.providers_hint") : undefined,
  });
}

function selectField({ state }, name, changed, options) {
  const known =
    options.some(([value]) => value === state[name]) || !state[name]
      ? options
      : [[state[name], state[name]], ...options];
  const select = h(
    "select",
    {
      value: state[name],
      onchange: () => {
        state[name] = select.value;
        changed();
      },
    },
    h("option", { value: "" }, t("filter.any_value")),
    known.map(([value, text]) => h("option", { value }, text)),
  );
  return field(t(`filter.${name}`), select, { name });
}

function named(type, codes) {
  return codes.map((code) => [code, displayName(type, code)]).sort((a, b) => a[1].localeCompare(b[1]));
}

function regionField({ state }, changed) {
  const select = regionSelect(
    (code) => {
      if (state.providers) state.region = code;
      changed();
    },
    state.region ? [state.region] : [],
  );
  if (state.region) select.value = state.region;
  return field(t("filter.region"), select, { name: "region" });
}

function sortField({ state }, changed) {
  const select = h(
    "select",
    {
      value: `${state.sort_by || "popularity"}.${state.order || "desc"}`,
      onchange: () => {
        [state.sort_by, state.order] = select.value.split(".");
        changed();
      },
    },
    SORTS.map((sort) => h("option", { value: sort }, t(`filter.${sort}`))),
  );
  return field(t("filter.sort"), select, { name: "sort_by" });
}

function filterForm(parts, genres, changed) {
  const number = { type: "number", inputmode: "numeric", min: 0 };
  const soon = debounce(changed, TYPING_MILLISECONDS);
  return h(
    "form",
    { class: "filters", "aria-label": t("filter.title"), onsubmit: (event) => event.preventDefault() },
    genreChips(parts, genres, changed),
    h(
      "div",
      { class: "filter-grid" },
      nameField(parts, "people", changed),
      nameField(parts, "keywords", changed),
      selectField(parts, "original_language", changed, named("language", LANGUAGES)),
      selectField(parts, "country", changed, named("region", COUNTRIES)),
      inputField(parts, "year", soon, { ...number, min: 1800, max: 2999 }),
      inputField(parts, "release_date_from", soon, { type: "date" }),
      inputField(parts, "release_date_to", soon, { type: "date" }),
      inputField(parts, "runtime_min", soon, number),
      inputField(parts, "runtime_max", soon, number),
      inputField(parts, "vote_average_min", soon, { ...number, max: 10, step: 0.1 }),
      inputField(parts, "vote_count_min", soon, number),
      inputField(parts, "vote_count_max", soon, number),
      inputField(parts, "providers", soon, { dir: "auto" }),
      regionField(parts, changed),
    ),
  );
}

function parametersOf(state) {
  const parameters = { ...state, include: "genres,duration,vote_average", page_size: 36 };
  if (parameters.providers && !parameters.region) parameters.region = region();
  if (!parameters.providers) delete parameters.region;
  // Both a display language and a filter by original language may be given; `language` alone with a region only displays.
  return { ...parameters, language: contentLanguage() };
}

/** Shows the form and the movies. */
export async function render({ main, query, signal }) {
  const parts = address(query);
  const results = h("div", { class: "results" });
  let running = new AbortController();
  const search = () => {
    running.abort();
    running = new AbortController();
    const either = AbortSignal.any([signal, running.signal]);
    return load(
      results,
      either,
      async () => {
        const parameters = parametersOf(parts.state);
        showFieldErrors(main);
        const body = await get("/movies", parameters, either).catch((error) => {
          showFieldErrors(main, error.errors);
          throw error;
        });
        count.textContent = t("search.count", { count: body.total_results });
        announce(count.textContent);
        if (!body.data.length)
          return empty(
            t("filter.nothing"),
            h("a", { class: "button", href: "#/discover", onclick: clear }, t("filter.clear")),
          );
        const options = () => ({ heading: "h2" });
        const list = grid(body.data, options);
        return [
          list,
          moreButton(list, body.next_cursor, (cursor) => get("/movies", { ...parameters, cursor }, signal), options),
        ];
      },
      { keep: results.childElementCount > 0, rows: 2 },
    );
  };
  const changed = () => {
    parts.write();
    search();
  };
  const clear = (event) => {
    event.preventDefault();
    history.replaceState(null, "", "#/discover");
    render({ main, query: new URLSearchParams(), signal });
  };
  const count = h("span", { class: "hint" });
  const form = h("div");
  fill(
    main,
    h("h1", {}, t("nav.discover")),
    h(
      "div",
      { class: "discover" },
      h(
        "details",
        { class: "filter-panel", open: innerWidth > 900 || ([...query.keys()].length === 0 && innerWidth > 600) },
        h("summary", {}, t("filter.title")),
        form,
        h("a", { class: "button small", href: "#/discover", onclick: clear }, t("filter.clear")),
      ),
      h(
        "div",
        {},
        h(
          "div",
          { class: "section-head results-head" },
          count,
          h(
            "div",
            { class: "inline-form" },
            sortField(parts, changed),
            copyLinkButton(() => location.href),
          ),
        ),
        results,
      ),
    ),
  );
  load(form, signal, async () => filterForm(parts, (await getLocal("/genres", {}, signal)).genres, changed));
  await search();
}
