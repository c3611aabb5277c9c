// The page of a movie (`#/film/{id}`): facts, credits, where to watch, similar movies, and all that a user can do with it.
// Loaded by the router.

import { data, field, fill, h } from "./dom.js";
import { get, getLocal, mine } from "./api.js";
import { bus, displayName, formatDate, formatNumber, region, remember, today } from "./settings.js";
import { act, actionButton, empty, load } from "./status.js";
import { addViewing, bookmarkButton, ratingControl, reactionButtons, removeViewing } from "./actions.js";
import { picture, rail, runtimeText, yearOf } from "./tiles.js";
import { keywordAddress } from "./search.js";
import { t } from "./texts.js";

const REGIONS = (
  "AR AT AU BE BR CA CH CL CO CZ DE DK ES FI FR GB GR HK HU ID IE IN IT JP KR MX MY NL NO " +
  "NZ PH PL PT RO SE SG TH TR TW US ZA"
).split(" ");
const MAX_CAST = 12;
const OFFER_TYPES = ["flatrate", "free", "ads", "rent", "buy"];

/** A select of regions; `change(code)` is called with the chosen one, which is remembered. */
export function regionSelect(change, extra = []) {
  const codes = [...new Set([region(), ...extra, ...REGIONS])];
  const named = codes.map((code) => [code, displayName("region", code)]).sort((a, b) => a[1].localeCompare(b[1]));
  return h(
    "select",
    {
      value: region(),
      onchange: (event) => {
        remember("region", event.currentTarget.value);
        change?.(event.currentTarget.value);
      },
    },
    named.map(([code, name]) => h("option", { value: code }, name)),
  );
}

function factList(movie) {
  const facts = [
    [t("movie.released"), formatDate(movie.release_date)],
    [t("movie.runtime"), runtimeText(movie.duration)],
    [t("movie.language"), movie.language && displayName("language", movie.language)],
    [t("movie.countries"), movie.countries.map((code) => displayName("region", code)).join(", ")],
    [
      t("movie.votes"),
      movie.vote_count
        ? t("movie.votes_value", {
            average: formatNumber(movie.vote_average, 1),
            count: formatNumber(movie.vote_count),
          })
        : "",
    ],
    [t("movie.original_title"), movie.original_title !== movie.title ? movie.original_title : ""],
  ];
  return h(
    "dl",
    { class: "facts" },
    facts
      .filter(([, value]) => value)
      .map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", { dir: "auto" }, value))),
  );
}

function chips(items, href) {
  return h(
    "ul",
    { class: "chips" },
    items.map((item) => h("li", {}, h("a", { class: "chip", href: href(item), dir: "auto" }, item.name ?? item))),
  );
}

function credits(movie) {
  const people = movie.credits ?? [];
  if (!people.length) return null;
  const crew = people.filter((person) => person.job !== "Actor");
  const cast = people.filter((person) => person.job === "Actor");
  const list = (items) =>
    h(
      "ul",
      { class: "people" },
      items.map((person) =>
        h(
          "li",
          {},
          h("a", { href: `#/person/${person.id}`, dir: "auto" }, person.name),
          person.job !== "Actor" && h("span", { class: "hint" }, t.job(person.job)),
        ),
      ),
    );
  return h(
    "section",
    {},
    h("h2", {}, t("movie.credits")),
    crew.length > 0 && list(crew),
    cast.length > 0 && [h("h3", {}, t("movie.cast")), list(cast.slice(0, MAX_CAST))],
  );
}

function offers(providers, code) {
  const here = providers.filter((item) => item.region === code);
  if (!here.length) {
    const elsewhere = [...new Set(providers.map((item) => item.region))].map((item) => displayName("region", item));
    return [
      h("p", {}, t("movie.nowhere")),
      elsewhere.length > 0 && h("p", { class: "hint" }, t("movie.elsewhere", { regions: elsewhere.join(", ") })),
    ];
  }
  const types = OFFER_TYPES.filter((type) => here.some((item) => item.type === type));
  return [
    h(
      "dl",
      { class: "offers" },
      types.map((type) =>
        h(
          "div",
          {},
          h("dt", {}, t(`movie.${type}`)),
          h(
            "dd",
            {},
            here
              .filter((item) => item.type === type)
              .map((item) => data(item.provider_name, "span", { class: "offer" })),
          ),
        ),
      ),
    ),
    here.some((item) => item.sample) && h("p", { class: "hint" }, t("movie.sample")),
    h("p", { class: "hint" }, t("movie.justwatch")),
  ];
}

function whereToWatch(movie) {
  const providers = movie.providers ?? [];
  const list = h("div", { "aria-live": "polite" }, offers(providers, region()));
  const select = regionSelect(
    (code) => fill(list, offers(providers, code)),
    providers.map((item) => item.region),
  );
  return h("section", { class: "watch" }, h("h2", {}, t("movie.where")), field(t("movie.region"), select), list);
}

function viewingRow(movie, viewing) {
  return h(
    "li",
    {},
    viewing.day ? formatDate(viewing.day) : t("seen.unknown_day"),
    viewing.rating ? ` · ${t("rating.stars", { stars: viewing.rating })}` : "",
    " ",
    actionButton(t("action.remove"), () => removeViewing(movie.id, viewing.id), "link"),
  );
}

function seen(movie, signal) {
  const list = h("div", { "aria-live": "polite" });
  const show = (keep) =>
    load(
      list,
      signal,
      async () => {
        const body = await get(mine("/viewings"), { movie_id: movie.id, limit: 100 }, signal);
        return body.viewings.length
          ? h(
              "ul",
              { class: "plain" },
              body.viewings.map((item) => viewingRow(movie, item)),
            )
          : h("p", { class: "hint" }, t("seen.never"));
      },
      { keep },
    );
  const day = h("input", { type: "date", max: today(), value: today() });
  const unknown = h("input", {
    type: "checkbox",
    onchange: () => {
      day.disabled = unknown.checked;
    },
  });
  const button = h("button", { class: "button" }, t("seen.add"));
  const form = h(
    "form",
    {
      class: "inline-form",
      onsubmit: (event) => {
        event.preventDefault();
        act(button, () => addViewing(movie, unknown.checked || !day.value ? null : day.value));
      },
    },
    field(t("seen.day"), day),
    h("label", { class: "check" }, unknown, t("seen.unknown")),
    button,
  );
  const update = (event) => {
    if (event.detail.id === movie.id) show(true);
  };
  bus.addEventListener("viewing", update);
  signal.addEventListener("abort", () => bus.removeEventListener("viewing", update));
  show();
  return h("section", {}, h("h2", {}, t("seen.title")), form, list);
}

function stats(movie) {
  if (!movie.stats) return null;
  const { like_count: likes, superlike_count: superlikes, bookmark_count: bookmarks, view_count: views } = movie.stats;
  const parts = [
    ["stats.likes", likes + superlikes],
    ["stats.bookmarks", bookmarks],
    ["stats.views", views],
  ].filter(([, count]) => count > 0);
  return parts.length
    ? h("p", { class: "hint" }, parts.map(([key, count]) => t(key, { count: formatNumber(count) })).join(" · "))
    : null;
}

function similar(movie) {
  if (!movie.similar?.length) return null;
  return h(
    "section",
    { class: "wide" },
    h("h2", {}, t("movie.similar")),
    rail(movie.similar, (item) => ({ note: item.reason })),
  );
}

function page(movie, signal) {
  const year = yearOf(movie);
  return h(
    "div",
    { class: "film" },
    h("div", { class: "film-picture" }, picture(movie, { large: true })),
    h(
      "div",
      { class: "film-head" },
      h("h1", { dir: "auto" }, movie.title),
      year && h("p", { class: "film-year" }, [year, runtimeText(movie.duration)].filter(Boolean).join(" · ")),
      chips(movie.genres, (name) => `#/discover?genres=${encodeURIComponent(name)}`),
      h("p", { class: "overview", dir: "auto" }, movie.overview || t("movie.no_overview")),
      movie.stale && h("p", { class: "hint" }, t("movie.stale")),
      stats(movie),
      h(
        "div",
        { class: "film-actions", role: "group", "aria-label": t("movie.opinion") },
        reactionButtons(movie),
        bookmarkButton(movie),
      ),
      h("div", { class: "rate" }, h("h2", {}, t("rating.title")), ratingControl(movie)),
    ),
    h(
      "div",
      { class: "film-body" },
      h(
        "section",
        {},
        h("h2", {}, t("movie.facts")),
        factList(movie),
        movie.keywords?.length > 0 && [
          h("h3", {}, t("search.keywords")),
          chips(movie.keywords, (item) => keywordAddress(item)),
        ],
      ),
      credits(movie),
      whereToWatch(movie),
      seen(movie, signal),
    ),
    similar(movie),
  );
}

/** Shows a movie. */
export function render({ main, parameters: [id], signal }) {
  return load(
    main,
    signal,
    async () => {
      try {
        return page(
          await getLocal(`/movies/${id}`, { include: "credits,keywords,providers,similar,stats" }, signal),
          signal,
        );
      } catch (error) {
        if (error.kind !== "missing") throw error;
        return [
          h("h1", {}, t("movie.missing")),
          empty(t("movie.missing_detail"), h("a", { class: "button", href: "#/discover" }, t("nav.discover"))),
        ];
      }
    },
    { rows: 3 },
  );
}
