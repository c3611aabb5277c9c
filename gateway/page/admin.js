// Administration (`#/admin/{tab}`): jobs, experiments, models, users and the catalogue's state. For administrators; moderators
// see users only. Loaded by the router.

import { data, fill, h } from "./dom.js";
import { call, get, readEvents, session } from "./api.js";
import { formatDate, formatNumber } from "./settings.js";
import { actionButton, load, loading, toast } from "./status.js";
import { tabs } from "./me.js";
import { t } from "./texts.js";

const TABS = {
  jobs: async () => ({ render: renderJobs }),
  experiments: () => import("./experiments.js"),
  models: async () => ({ render: renderModels }),
  users: () => import("./users.js"),
  cache: () => import("./catalogue.js"),
};
const ENDED = new Set(["succeeded", "failed", "cancelled"]);
const TIME = { dateStyle: "medium", timeStyle: "short" };

/** A time in the language of the page. */
export function time(text) {
  return formatDate(text, TIME);
}

/** A table in a frame that scrolls sideways on narrow screens. */
export function table(caption, heads, rows, className = "") {
  // A style that shows rows as blocks takes the roles of a table away, so that they are written out.
  return h(
    "div",
    { class: "table-frame", tabindex: 0, role: "region", "aria-label": caption },
    h(
      "table",
      { class: `table ${className}`, role: "table" },
      h(
        "thead",
        { role: "rowgroup" },
        h(
          "tr",
          { role: "row" },
          heads.map((head) =>
            head ? h("th", { scope: "col", role: "columnheader" }, head) : h("td", { role: "cell" }),
          ),
        ),
      ),
      h(
        "tbody",
        { role: "rowgroup" },
        rows.map((cells) =>
          h(
            "tr",
            { role: "row" },
            cells.map((cell, index) => h("td", { role: "cell", "data-head": heads[index] || null }, cell)),
          ),
        ),
      ),
    ),
  );
}

function jobBlock(first, signal) {
  const bar = h("progress", { max: 1, value: 0, "aria-label": first.kind });
  const status = h("p", { role: "status" });
  const failures = h("div");
  const actions = h("div", { class: "inline-form" });
  const command = (name, job) =>
    actionButton(t(`job.${name}`), async () => {
      show(await call("POST", `/jobs/${job.job_id}/${name}`));
      follow(job.job_id);
    });
  const show = (job) => {
    bar.max = Math.max(job.total, 1);
    bar.value = job.status === "succeeded" ? bar.max : job.processed;
    status.textContent = `${t(`job.${job.status}`)} · ${formatNumber(job.processed)} / ${formatNumber(job.total)}${job.failed ? ` · ${t("job.failures", { count: formatNumber(job.failed) })}` : ""} · ${time(job.updated_at)}`;
    fill(
      failures,
      job.failures.length > 0 &&
        h(
          "details",
          {},
          h("summary", {}, t("job.failures", { count: job.failures.length })),
          h(
            "ul",
            { class: "plain" },
            job.failures.map((item) => h("li", {}, data(item.item), " ", data(item.reason))),
          ),
        ),
    );
    fill(
      actions,
      !ENDED.has(job.status) && command("cancel", job),
      (job.status === "failed" || job.failed > 0) && ENDED.has(job.status) && command("retry", job),
    );
  };
  const follow = (id) => readEvents(`/jobs/${id}`, { signal, onEvent: (event) => show(event.data) }).catch(() => {});
  show(first);
  if (!ENDED.has(first.status)) follow(first.job_id);
  return h("li", { class: "panel" }, h("h2", {}, first.kind), bar, status, failures, actions);
}

function syncButton(path, label, reload) {
  const start = async () => {
    await call("POST", path, { headers: { Prefer: "respond-async" } });
    toast(t("job.started"));
    await reload();
  };
  return actionButton(t(label), start, "button");
}

function renderJobs({ body, signal }) {
  const list = h("div");
  const reload = () =>
    load(
      list,
      signal,
      async () => {
        const { jobs } = await get("/jobs", { limit: 20 }, signal);
        return jobs.length
          ? h(
              "ul",
              { class: "plain" },
              jobs.map((job) => jobBlock(job, signal)),
            )
          : h("p", { class: "hint" }, t("job.none"));
      },
      { keep: list.childElementCount > 0 },
    );
  fill(
    body,
    h(
      "div",
      { class: "inline-form" },
      syncButton("/admin/sync?pages=1", "job.sync", reload),
      syncButton("/admin/sync/popular?pages=1", "job.popular", reload),
      syncButton("/admin/sync/trending?time_window=day", "job.trending", reload),
      h("button", { type: "button", class: "button", onclick: reload }, t("job.refresh")),
    ),
    list,
  );
  return reload();
}

function metricsTable({ manifest, version }) {
  const metrics = Object.entries(manifest.metrics ?? {});
  if (!metrics.length) return h("p", { class: "hint" }, t("models.no_metrics"));
  const names = [...new Set(metrics.flatMap(([, values]) => Object.keys(values)))].sort((a, b) =>
    a.localeCompare(b, "en", { numeric: true }),
  );
  const best = Object.fromEntries(
    names.map((name) => [name, Math.max(...metrics.map(([, values]) => values[name] ?? -Infinity))]),
  );
  return table(
    `${t("models.metrics")} ${version}`,
    [t("models.metrics"), ...names],
    metrics.map(([strategy, values]) => [
      strategy,
      ...names.map((name) =>
        values[name] === undefined
          ? ""
          : h(values[name] === best[name] ? "strong" : "span", {}, formatNumber(values[name], 4)),
      ),
    ]),
  );
}

function modelBlock(model, reload) {
  const { manifest } = model;
  const facts = [
    ["models.users", manifest.users],
    ["models.films", manifest.films],
    ["models.interactions", manifest.interactions],
  ]
    .filter(([, value]) => value !== undefined)
    .map(([key, value]) => t(key, { count: formatNumber(value) }));
  const promote = actionButton(t("models.promote"), async () => {
    await call("PUT", "/admin/models/live", { body: { version: model.version, kind: model.kind } });
    await reload();
  });
  return h(
    "li",
    { class: "panel" },
    h(
      "h2",
      {},
      t("models.version", { version: model.version }),
      ` · ${t(`models.${model.kind}`)}`,
      model.is_live && h("span", { class: "badge" }, t("models.live")),
    ),
    h("p", {}, [time(model.created_at), ...facts, `${formatNumber(model.bytes / 1048576, 1)} MiB`].join(" · ")),
    manifest.source && h("p", { class: "hint", dir: "auto" }, manifest.source),
    metricsTable(model),
    h(
      "details",
      {},
      h("summary", {}, t("models.parameters")),
      table(
        `${t("models.parameters")} ${model.version}`,
        [t("models.parameters"), ""],
        Object.entries(manifest.parameters ?? {}).map(([name, value]) => [name, formatNumber(value, 4)]),
      ),
    ),
    !model.is_live && promote,
  );
}

function renderModels({ body, signal }) {
  const reload = () =>
    load(
      body,
      signal,
      async () => {
        const { models } = await get("/admin/models", {}, signal);
        const shown = models.filter((model) => model.is_live);
        const rest = models.filter((model) => !model.is_live);
        if (!models.length) return h("p", { class: "hint" }, t("models.none"));
        return [
          h(
            "ul",
            { class: "plain" },
            shown.map((model) => modelBlock(model, reload)),
          ),
          rest.length > 0 &&
            h(
              "details",
              {},
              h("summary", {}, t("models.others", { count: rest.length })),
              h(
                "ul",
                { class: "plain" },
                rest.map((model) => modelBlock(model, reload)),
              ),
            ),
        ];
      },
      { keep: body.childElementCount > 0 },
    );
  return reload();
}

/** Shows a tab. */
export async function render({ main, parameters: [tab], query, signal }) {
  const names = session.user.role === "admin" ? Object.keys(TABS) : ["users"];
  const name = names.includes(tab) ? tab : names[0];
  const body = h("div", {}, loading());
  fill(main, h("h1", {}, t("nav.admin")), tabs("admin", names, name), body);
  const module = await TABS[name]();
  if (!signal.aborted) await module.render({ body, query, signal });
}
