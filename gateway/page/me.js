// "Me" (`#/me/{tab}`): lists, taste, history, import and data of the acting user. Loaded by the router; each tab is a module.

import { fill, h } from "./dom.js";
import { get, mine, session } from "./api.js";
import { bus, contentLanguage, formatDate } from "./settings.js";
import { empty, load, loading } from "./status.js";
import { bookmarkButton } from "./actions.js";
import { grid, withFacts } from "./tiles.js";
import { moreButton } from "./more.js";
import { t } from "./texts.js";

const TABS = {
  lists: async () => ({ render: renderLists }),
  taste: () => import("./taste.js"),
  history: () => import("./history.js"),
  import: () => import("./imports.js"),
  data: () => import("./data.js"),
  webhooks: () => import("./webhooks.js"),
  logins: () => import("./logins.js"),
};
const PAGE_SIZE = 60;

/** Navigation between the tabs of a view. */
export function tabs(base, names, current) {
  const nav = h(
    "nav",
    { class: "tabs", "aria-label": t("me.tabs") },
    names.map((name) =>
      h(
        "a",
        { href: `#/${base}/${name}`, "aria-current": name === current ? "page" : undefined },
        t(`${base}.${name}`),
      ),
    ),
  );
  requestAnimationFrame(() =>
    nav.querySelector("[aria-current]")?.scrollIntoView({ block: "nearest", inline: "center" }),
  );
  return nav;
}

/** A list of the user as a grid. `key` names it in the path and in the body. */
function list(key, signal, options, emptyText) {
  const body = h("div", { "aria-live": "polite" });
  const next = async (cursor) => {
    const page = await get(mine(`/${key}`), { limit: PAGE_SIZE, language: contentLanguage(), cursor }, signal);
    return { data: await withFacts(page[key], signal), next_cursor: page.next_cursor };
  };
  const show = (keep) =>
    load(
      body,
      signal,
      async () => {
        const page = await next();
        if (!page.data.length) return empty(emptyText);
        const cards = grid(page.data, options);
        return [cards, moreButton(cards, page.next_cursor, next, options)];
      },
      { keep },
    );
  show();
  return { body, show };
}

function renderLists({ body, signal }) {
  const watchlist = list(
    "bookmarks",
    signal,
    (movie) => ({ actions: [bookmarkButton(movie)] }),
    t("me.watchlist_empty"),
  );
  const ratings = list(
    "ratings",
    signal,
    (movie) => ({ note: `${t("rating.stars", { stars: movie.rating })} · ${formatDate(movie.rated_at)}` }),
    t("me.ratings_empty"),
  );
  const reactions = list(
    "reactions",
    signal,
    (movie) => ({ note: t(`action.${movie.reaction}`) }),
    t("me.reactions_empty"),
  );
  for (const [event, part] of [
    ["bookmark", watchlist],
    ["rating", ratings],
    ["reaction", reactions],
  ]) {
    const update = () => part.show(true);
    bus.addEventListener(event, update);
    signal.addEventListener("abort", () => bus.removeEventListener(event, update));
  }
  fill(
    body,
    h("section", { class: "section" }, h("h2", {}, t("me.watchlist")), watchlist.body),
    h("section", { class: "section" }, h("h2", {}, t("me.ratings")), ratings.body),
    h("section", { class: "section" }, h("h2", {}, t("me.reactions")), reactions.body),
  );
}

/** Shows a tab. */
export async function render({ main, parameters: [tab], query, signal }) {
  const name = TABS[tab] ? tab : "lists";
  const body = h("div", {}, loading());
  fill(main, h("h1", { dir: "auto" }, session.user.username), tabs("me", Object.keys(TABS), name), body);
  const module = await TABS[name]();
  if (!signal.aborted) await module.render({ body, query, signal });
}
