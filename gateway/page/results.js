// Search results (`#/search?q=`) and the movies of a person (`#/person/{id}`). Loaded by the router.

import { data, fill, h } from "./dom.js";
import { getLocal } from "./api.js";
import { displayName, formatNumber } from "./settings.js";
import { announce, empty, load } from "./status.js";
import { grid, withFacts } from "./tiles.js";
import { marked } from "./search.js";
import { wordsSection } from "./words.js";
import { moreButton } from "./more.js";
import { t } from "./texts.js";

const FIELDS = { include: "genres,duration,vote_average", page_size: 24 };

function facetLinks(title, items) {
  if (!items.length) return null;
  return h(
    "div",
    { class: "facet" },
    h("h2", {}, title),
    h(
      "ul",
      { class: "chips" },
      items.map(({ name, count, href, isOn }) =>
        h(
          "li",
          {},
          h(
            "a",
            { class: isOn ? "chip on" : "chip", href, "aria-current": isOn ? "true" : undefined },
            isOn && "✓ ",
            data(name),
            h("span", { class: "count" }, formatNumber(count)),
          ),
        ),
      ),
    ),
  );
}

function facets(body, query) {
  const link = (name, value) => {
    const next = new URLSearchParams(query);
    const isOn = next.get(name) === String(value);
    if (isOn) next.delete(name);
    else next.set(name, value);
    return { href: `#/search?${next}`, isOn };
  };
  if (!body.facets) return null;
  const { genres, years, languages } = body.facets;
  return h(
    "aside",
    { class: "facets", "aria-label": t("search.narrow") },
    facetLinks(
      t("filter.genres"),
      genres.slice(0, 8).map((item) => ({ name: item.name, count: item.count, ...link("genres", item.id) })),
    ),
    facetLinks(
      t("filter.year"),
      years.slice(0, 8).map((item) => ({ name: String(item.year), count: item.count, ...link("year", item.year) })),
    ),
    facetLinks(
      t("filter.original_language"),
      languages
        .slice(0, 6)
        .map((item) => ({
          name: displayName("language", item.language),
          count: item.count,
          ...link("original_language", item.language),
        })),
    ),
  );
}

function note(movie) {
  const html = movie.highlight?.html ?? "";
  return html.includes("<em>") && movie.highlight.language ? h("span", {}, marked(html)) : null;
}

function cardOptions(movie) {
  return { heading: "h2", note: note(movie) };
}

/** Shows the results of a search. */
export function render({ main, query, signal }) {
  const q = query.get("q")?.trim() ?? "";
  const results = h("div", { class: "results" });
  const filters = Object.fromEntries(["genres", "year", "original_language"].map((name) => [name, query.get(name)]));
  fill(main, h("h1", {}, q ? t("search.results_for", { query: q }) : t("search.label")), results);
  const input = document.querySelector(".search .combobox-input");
  if (input && document.activeElement !== input) input.value = q;
  if (!q) return fill(results, empty(t("search.start")));
  if (query.get("words")) return fill(results, wordsSection(q, signal));
  return load(
    results,
    signal,
    async () => {
      const body = await getLocal("/search", { q, ...FIELDS, ...filters }, signal);
      if (!body.data.length) return wordsSection(q, signal, t("search.nothing", { query: q }));
      announce(t("search.count", { count: body.total_results }));
      const list = grid(body.data, cardOptions);
      const next = (cursor) => getLocal("/search", { q, ...FIELDS, ...filters, cursor, facets: false }, signal);
      return [
        h("p", { class: "hint" }, t("search.count", { count: body.total_results })),
        facets(body, query),
        list,
        moreButton(list, body.next_cursor, next, cardOptions),
        h(
          "p",
          { class: "after" },
          h("a", { class: "button", href: `#/search?${new URLSearchParams({ q, words: 1 })}` }, t("words.ask")),
        ),
      ];
    },
    { rows: 2 },
  );
}

/** Shows the movies of a person. */
export function renderPerson({ main, parameters: [id], signal }) {
  return load(
    main,
    signal,
    async () => {
      const person = await getLocal(`/people/${id}`, { page_size: 100 }, signal);
      const movies = await withFacts(person.filmography, signal);
      return [
        h("h1", { dir: "auto" }, person.name),
        h("p", { class: "hint" }, t("search.count", { count: person.total_results })),
        grid(movies, (movie) => ({ heading: "h2", note: movie.jobs.map((job) => t.job(job)).join(", ") })),
      ];
    },
    { rows: 2 },
  );
}
