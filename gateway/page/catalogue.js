// The state of the catalogue for administrators: its size, the latest sync, the requests to TMDB, the caches, and whether each
// service is reachable. A tab of administration.

import { h } from "./dom.js";
import { get, getReadiness } from "./api.js";
import { formatNumber } from "./settings.js";
import { load } from "./status.js";
import { table, time } from "./admin.js";
import { t } from "./texts.js";

const MEBIBYTE = 1048576;

function lastSync(job) {
  if (!job) return h("p", { class: "hint" }, t("cache.no_sync"));
  return h(
    "p",
    {},
    t("cache.last_sync", {
      kind: job.kind,
      status: t(`job.${job.status}`),
      succeeded: formatNumber(job.succeeded),
      total: formatNumber(job.total),
      time: time(job.updated_at),
    }),
  );
}

function hostRow(name, host) {
  return [name, t(`cache.${host.circuit}`), formatNumber(host.requests), formatNumber(host.failures)];
}

function cacheRow(name, cache) {
  const percent = formatNumber((cache.hits / cache.reads) * 100, 1);
  return [
    name,
    formatNumber(cache.entries),
    `${formatNumber(cache.bytes / MEBIBYTE, 1)} / ${formatNumber(cache.max_bytes / MEBIBYTE)} MiB`,
    cache.reads ? t("cache.hits", { percent, reads: formatNumber(cache.reads) }) : "–",
  ];
}

function tmdbSection(state) {
  const hosts = [hostRow(t("cache.api"), state.tmdb)];
  if (state.images) hosts.push(hostRow(t("cache.images"), state.images.host));
  const heads = [t("cache.host"), t("cache.circuit"), t("cache.requests"), t("cache.failures")];
  return h(
    "section",
    { class: "section" },
    h("h2", {}, t("cache.tmdb")),
    lastSync(state.last_sync),
    state.has_key ? table(t("cache.tmdb"), heads, hosts) : h("p", { class: "hint" }, t("cache.no_key")),
  );
}

function cacheSection(state) {
  const rows = [cacheRow(t("cache.memory"), state.movies)];
  if (state.images) rows.push(cacheRow(t("cache.disk"), state.images.cache));
  const heads = [t("cache.cache"), t("cache.entries"), t("cache.size"), t("cache.hit_ratio")];
  return h(
    "section",
    { class: "section" },
    h("h2", {}, t("cache.caches")),
    table(t("cache.caches"), heads, rows),
    !state.images && h("p", { class: "hint" }, t("cache.no_images")),
    h("p", { class: "hint" }, t("cache.process")),
  );
}

function dependencySection(ready) {
  const rows = (ready.dependencies ?? []).map((item) => [
    item.name,
    item.status,
    item.required ? t("cache.required") : t("cache.optional"),
  ]);
  return h(
    "section",
    { class: "section" },
    h("h2", {}, t("cache.dependencies")),
    table(t("cache.dependencies"), [t("cache.dependency"), t("cache.status"), ""], rows),
  );
}

/** Shows the state. */
export function render({ body, signal }) {
  return load(body, signal, async () => {
    const [movies, state, ready] = await Promise.all([
      get("/movies", { page_size: 1 }, signal),
      get("/admin/catalogue", {}, signal),
      getReadiness(signal),
    ]);
    return [
      h(
        "dl",
        { class: "counts" },
        h("div", {}, h("dd", {}, formatNumber(movies.total_results)), h("dt", {}, t("cache.movies"))),
      ),
      tmdbSection(state),
      cacheSection(state),
      dependencySection(ready),
    ];
  });
}
