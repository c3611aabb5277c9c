// Experiments with their intervals drawn: for each variant the difference from the control with its confidence sequence. A tab
// of administration.

import { data, fill, h, s } from "./dom.js";
import { call, get } from "./api.js";
import { formatDate, formatNumber } from "./settings.js";
import { actionButton, load } from "./status.js";
import { table } from "./admin.js";
import { t } from "./texts.js";

const WIDTH = 300;
const ROW = 30;

function percent(value) {
  return `${formatNumber(value * 100, 2)} %`;
}

/** Draws intervals on one scale, with zero marked. `rows` are `{name, interval, verdict}`. */
function intervals(rows, label) {
  const drawn = rows.filter((row) => row.interval);
  if (!drawn.length) return h("p", { class: "hint" }, t("experiments.no_interval"));
  const low = Math.min(0, ...drawn.map((row) => row.interval.lower));
  const high = Math.max(0, ...drawn.map((row) => row.interval.upper));
  const x = (value) => 6 + ((value - low) / (high - low || 1)) * (WIDTH - 12);
  const line = ({ interval, verdict }) =>
    s(
      "svg",
      {
        class: `interval ${verdict ?? ""}`,
        viewBox: `0 0 ${WIDTH} ${ROW}`,
        "aria-hidden": "true",
        preserveAspectRatio: "none",
      },
      s("line", { class: "zero", x1: x(0), x2: x(0), y1: 0, y2: ROW }),
      s("line", { class: "span", x1: x(interval.lower), x2: x(interval.upper), y1: ROW / 2, y2: ROW / 2 }),
      s("line", { class: "end", x1: x(interval.lower), x2: x(interval.lower), y1: 9, y2: 21 }),
      s("line", { class: "end", x1: x(interval.upper), x2: x(interval.upper), y1: 9, y2: 21 }),
      s("line", { class: "point", x1: x(interval.estimate), x2: x(interval.estimate), y1: ROW / 2, y2: ROW / 2 }),
    );
  return h(
    "dl",
    { class: "intervals", "aria-label": label },
    drawn.map((row) =>
      h(
        "div",
        {},
        h("dt", { dir: "auto" }, row.name),
        h(
          "dd",
          {},
          line(row),
          h(
            "span",
            { class: "number" },
            `${percent(row.interval.estimate)} [${percent(row.interval.lower)}, ${percent(row.interval.upper)}]`,
          ),
        ),
      ),
    ),
  );
}

function reportBlock(report, reload) {
  const variants = report.results;
  const others = variants.filter((variant) => !variant.is_control);
  const stop =
    report.status === "running" &&
    actionButton(t("experiments.stop"), async () => {
      await call("PUT", "/admin/experiments", { body: { name: report.name, status: "stopped" } });
      await reload();
    });
  return h(
    "li",
    { class: "panel" },
    h("h2", {}, data(report.name), h("span", { class: "badge" }, t(`experiments.${report.status}`))),
    report.description && h("p", { dir: "auto" }, report.description),
    h(
      "p",
      { class: "hint" },
      t("experiments.users", {
        count: formatNumber(report.users),
        counted: formatNumber(report.users_counted),
        planned: formatNumber(report.planned_users),
      }),
      ` · α ${report.alpha} · ${formatDate(report.created_at)}`,
    ),
    report.sample_ratio_mismatch && h("p", { class: "state failed", role: "alert" }, t("experiments.mismatch")),
    h("h3", {}, t("experiments.means")),
    intervals(
      variants.map((item) => ({ name: item.name, interval: item.mean })),
      t("experiments.means"),
    ),
    h("h3", {}, t("experiments.differences")),
    intervals(
      others.map((item) => ({ name: item.name, interval: item.difference, verdict: item.verdict })),
      t("experiments.differences"),
    ),
    table(
      report.name,
      [
        t("experiments.variant"),
        t("experiments.verdict"),
        t("experiments.users_short"),
        t("experiments.outcomes"),
        t("experiments.impressions"),
      ],
      variants.map((item) => [
        data(item.name),
        item.is_control
          ? t("experiments.control")
          : h("span", { title: item.basis }, t(`experiments.${item.verdict ?? "undecided"}`)),
        `${formatNumber(item.users_counted)} / ${formatNumber(item.users)}`,
        formatNumber(item.outcomes),
        formatNumber(item.impressions),
      ]),
    ),
    others
      .filter((item) => item.basis)
      .map((item) => h("p", { class: "hint" }, data(item.name), ": ", data(item.basis))),
    stop,
  );
}

/** Shows all experiments. */
export function render({ body, signal }) {
  const list = h("div");
  fill(body, h("p", {}, t("experiments.lead")), list);
  const reload = () =>
    load(
      list,
      signal,
      async () => {
        const { data: experiments } = await get("/admin/experiments", { page_size: 20 }, signal);
        if (!experiments.length) return h("p", { class: "hint" }, t("experiments.none"));
        const reports = await Promise.all(experiments.map((item) => get(`/admin/experiments/${item.id}`, {}, signal)));
        return h(
          "ul",
          { class: "plain" },
          reports.map((report) => reportBlock(report, reload)),
        );
      },
      { keep: list.childElementCount > 0 },
    );
  return reload();
}
