// Movie tiles, cards and rails. Posters come from this server; a movie without one, or whose poster cannot be had, has a tile
// made from its facts: colours and pattern from genres and decade, title, year and runtime. Used by every view that shows
// movies.

import { data, h } from "./dom.js";
import { getLocal } from "./api.js";
import { t } from "./texts.js";

// Names of TMDB's genres in English and Korean, the most distinctive first: [hue, pattern, names].
const GENRES = [
  [28, "rays", "Western", "서부"],
  [350, "drips", "Horror", "공포"],
  [95, "grid", "Documentary", "다큐멘터리"],
  [300, "waves", "Music", "음악"],
  [190, "grid", "Science Fiction", "SF"],
  [45, "dots", "Animation", "애니메이션"],
  [70, "bars", "War", "전쟁"],
  [335, "waves", "Romance", "로맨스"],
  [265, "stars", "Fantasy", "판타지"],
  [220, "blinds", "Crime", "범죄"],
  [248, "blinds", "Mystery", "미스터리"],
  [35, "bars", "History", "역사"],
  [52, "dots", "Comedy", "코미디"],
  [150, "dots", "Family", "가족"],
  [165, "rays", "Adventure", "모험"],
  [10, "bars", "Action", "액션"],
  [205, "blinds", "Thriller", "스릴러"],
  [178, "grid", "TV Movie", "TV 영화"],
  [275, "plain", "Drama", "드라마"],
];
const RANK = new Map();
GENRES.forEach(([, , ...names], rank) => names.forEach((name) => RANK.set(name, rank)));

function look(movie) {
  const ranks = (movie.genres ?? []).map((genre) => RANK.get(genre.name ?? genre)).filter((rank) => rank !== undefined);
  ranks.sort((a, b) => a - b);
  const first = GENRES[ranks[0]] ?? [((movie.id ?? 0) * 47) % 360, "plain"];
  const second = GENRES[ranks[1]] ?? first;
  const year = yearOf(movie);
  const age = year ? Math.min(Math.max((new Date().getFullYear() - year) / 90, 0), 1) : 0.5;
  return {
    pattern: first[1],
    vars: {
      "--hue": first[0],
      "--hue-2": second === first ? (first[0] + 40) % 360 : second[0],
      "--chroma": `${Math.round(68 - 48 * age)}%`,
      "--turn": `${100 + ((movie.id ?? 0) % 8) * 20}deg`,
    },
  };
}

/** The year of release as a number; null if unknown. */
export function yearOf(movie) {
  const year = movie.year ?? Number((movie.release_date ?? "").slice(0, 4));
  return year || null;
}

/** A runtime in words. */
export function runtimeText(minutes) {
  if (!minutes) return "";
  const hours = Math.floor(minutes / 60);
  if (hours && minutes % 60 === 0) return t("movie.full_hours", { hours });
  return hours ? t("movie.hours", { hours, minutes: minutes % 60 }) : t("movie.minutes", { minutes });
}

/** The path of a poster on this server, by the name at the end of TMDB's URL; null without one. */
function localPoster(url, size) {
  const name = /\/([A-Za-z0-9]+\.(?:jpg|png|svg))$/.exec(url ?? "")?.[1];
  return name ? `/images/${size}/${name}` : null;
}

/** The size of a title on a tile, in hundredths of its width: as large as its longest word and its length allow. */
function titleSize(title) {
  const wide = /[\u1100-\u11ff\u3000-\u9fff\uac00-\ud7af]/.test(title) ? 1 : 0.55;
  const longest = Math.max(...title.split(/[\s-]+/).map((word) => word.length));
  const whole = title.length > 28 ? 10 : title.length > 14 ? 12.5 : 15;
  return Math.max(Math.min(whole, 76 / (longest * wide)), 6.5).toFixed(1);
}

/** The picture of a movie: its poster if this server has it, otherwise a designed tile. Decorative for screen readers. */
export function picture(movie, { large = false } = {}) {
  const { pattern, vars } = look(movie);
  const title = movie.title ?? t("movie.untitled");
  const year = yearOf(movie);
  const tile = h(
    "div",
    {
      class: `tile pattern-${pattern}${large ? " large" : ""}`,
      "aria-hidden": "true",
      vars: { ...vars, "--size": `${titleSize(title)}cqi` },
    },
    h("span", { class: "tile-year" }, year ?? ""),
    h("span", { class: "tile-title", dir: "auto" }, title),
    h(
      "span",
      { class: "tile-foot" },
      h(
        "span",
        { class: "tile-genre" },
        (movie.genres ?? [])
          .slice(0, 2)
          .map((genre) => genre.name ?? genre)
          .join(" · "),
      ),
      movie.duration ? h("span", {}, t("movie.minutes", { minutes: movie.duration })) : null,
    ),
  );
  const poster = localPoster(movie.poster_url, large ? "w500" : "w342");
  if (poster) {
    const image = h("img", { src: poster, alt: "", loading: "lazy", decoding: "async", width: 342, height: 513 });
    image.addEventListener("error", () => image.remove());
    tile.append(image);
  }
  return tile;
}

/** A card: the picture as a link, a caption, and the actions of the view. `note` is text or a node. */
export function card(movie, { note, actions, heading = "h3" } = {}) {
  const year = yearOf(movie);
  return h(
    "article",
    { class: "card", "data-movie": movie.id },
    h(
      "a",
      { class: "card-link", href: `#/film/${movie.id}` },
      picture(movie),
      h(
        heading,
        { class: "card-title" },
        data(movie.title ?? t("movie.untitled")),
        year && h("span", { class: "year" }, ` ${year}`),
      ),
    ),
    note && h("p", { class: "note", dir: "auto" }, note),
    actions && h("div", { class: "card-actions" }, actions),
  );
}

/** A grid of cards. */
export function grid(movies, options = () => ({})) {
  return h(
    "ul",
    { class: "grid" },
    movies.map((movie) => h("li", {}, card(movie, options(movie)))),
  );
}

/** A row of cards that scrolls sideways. */
export function rail(movies, options = () => ({})) {
  return h(
    "ul",
    { class: "rail" },
    movies.map((movie) => h("li", {}, card(movie, options(movie)))),
  );
}

const facts = new Map();
const MAX_IDS = 100;

/** Adds genres, runtime and title to entries that have only an id, with one request for a hundred movies. */
export async function withFacts(entries, signal) {
  const idOf = (entry) => entry.movie_id ?? entry.id;
  const lang = document.documentElement.lang;
  const keyOf = (id) => `${lang}:${id}`;
  const missing = [...new Set(entries.map(idOf))].filter((id) => !facts.has(keyOf(id)));
  for (let start = 0; start < missing.length; start += MAX_IDS) {
    const ids = missing.slice(start, start + MAX_IDS).join(",");
    const page = await getLocal("/movies", { ids, include: "genres,duration,vote_average" }, signal);
    for (const movie of page.data) facts.set(keyOf(movie.id), movie);
  }
  return entries.map((entry) => ({ ...entry, ...facts.get(keyOf(idOf(entry))), id: idOf(entry) }));
}
