// The import of a history: a file is dropped or chosen, progress is shown live, and movies that were not found are named on
// the spot. A tab of "me".

import { data, fill, h, uniqueId } from "./dom.js";
import { call, getAll, get, isAborted, mine, readEvents, request } from "./api.js";
import { announceChange, formatDate, formatNumber } from "./settings.js";
import { actionButton, failed, load, toastError } from "./status.js";
import { forgetOpinions } from "./actions.js";
import { movieChooser } from "./search.js";
import { t } from "./texts.js";

const POLL_MILLISECONDS = 1500;
const ENDED = new Set(["succeeded", "failed", "cancelled"]);
const MAX_UNMATCHED_PAGES = 3;

/** Calls `onProgress` with the import until it has ended; reconnects if the stream ends earlier. */
async function follow(jobId, signal, onProgress) {
  const path = mine(`/imports/${jobId}`);
  let job = null;
  while (!ENDED.has(job?.status)) {
    try {
      await readEvents(path, {
        signal,
        onEvent: (event) => {
          job = event.data;
          onProgress(job);
        },
      });
    } catch (error) {
      if (error.kind !== "offline" && error.kind !== "away") throw error;
    }
    if (ENDED.has(job?.status)) break;
    await new Promise((resolve) => setTimeout(resolve, POLL_MILLISECONDS));
    if (signal.aborted) throw new DOMException("aborted", "AbortError");
    job = await get(path, {}, signal);
    onProgress(job);
  }
  return job;
}

function counts(job) {
  const names = [
    ["succeeded", job.dry_run ? "import.would_change" : "import.changed"],
    ["unchanged", "import.unchanged"],
    ["unmatched", "import.unmatched"],
    ["failed", "import.failed"],
    ["skipped", "import.skipped"],
  ];
  return h(
    "dl",
    { class: "counts" },
    names
      .filter(([name]) => job[name] > 0)
      .map(([name, key]) => h("div", {}, h("dd", {}, formatNumber(job[name])), h("dt", {}, t(key)))),
  );
}

function details(job) {
  const reasons = [...(job.failures ?? [])].map((item) =>
    h(
      "li",
      {},
      data([item.file, item.line].filter(Boolean).join(":")),
      " ",
      data(item.title ?? ""),
      " ",
      data(item.reason),
    ),
  );
  const skipped = job.skipped_files.map((file) => h("li", {}, data(file.name), ` (${file.reason})`));
  return [
    h(
      "p",
      { class: "hint" },
      job.files.map((file) => `${file.name}: ${file.format}, ${formatNumber(file.rows)}`).join(" · "),
    ),
    reasons.length > 0 &&
      h("details", {}, h("summary", {}, t("import.failures")), h("ul", { class: "plain" }, reasons)),
    skipped.length > 0 &&
      h("details", {}, h("summary", {}, t("import.skipped_files")), h("ul", { class: "plain" }, skipped)),
  ];
}

/** A title that was not found: its candidates as buttons, and a search for another movie. */
function unmatchedRow(job, title, onNamed) {
  const name = `${title.title ?? title.imdb_id ?? "?"}${title.year ? ` (${title.year})` : ""}`;
  const element = h("li", { class: "unmatched" });
  const resolve = async (tmdbId, label) => {
    await call("PATCH", mine(`/imports/${job.job_id}/unmatched/${title.n}`), { body: { tmdb_id: tmdbId } });
    const link = h("a", { href: `#/film/${tmdbId}`, dir: "auto" }, label);
    fill(element, h("p", {}, "✓ ", data(name), " → ", link));
    link.focus();
    onNamed();
    forgetOpinions();
    announceChange("viewing", { id: tmdbId });
  };
  const candidates = (title.candidates ?? []).map((movie) =>
    actionButton([data(movie.title), movie.year && ` (${movie.year})`], () => resolve(movie.tmdb_id, movie.title)),
  );
  const canResolve = title.n && !job.dry_run;
  return fill(
    element,
    h(
      "p",
      {},
      data(name, "strong"),
      " ",
      h("span", { class: "hint" }, `${title.file}:${title.line} · ${t(`import.${title.reason}`)}`),
    ),
    canResolve &&
      h(
        "div",
        { class: "inline-form" },
        candidates,
        movieChooser(t("import.which"), (movie) => resolve(movie.id, movie.title).catch(toastError)),
      ),
  );
}

async function showUnmatched(block, job, signal) {
  if (!job.unmatched) return;
  await load(block, signal, async () => {
    const titles = await getAll(mine(`/imports/${job.job_id}/unmatched`), "unmatched_titles", {
      query: { limit: 100 },
      signal,
      maxPages: MAX_UNMATCHED_PAGES,
    });
    const open = titles.filter((title) => !title.movie_id);
    if (!open.length) return h("p", { class: "hint" }, t("import.all_named"));
    let left = open.length;
    const heading = h("h3", {});
    const showLeft = () => {
      heading.textContent = left ? t("import.unmatched_title", { count: left }) : t("import.all_named");
    };
    const onNamed = () => {
      left -= 1;
      showLeft();
    };
    showLeft();
    return [
      heading,
      h(
        "ul",
        { class: "plain" },
        open.map((title) => unmatchedRow(job, title, onNamed)),
      ),
    ];
  });
}

/** The block of an import: progress until it has ended, then counts and what is left to do. */
function importBlock(job, signal, repeat) {
  const id = uniqueId("progress");
  const bar = h("progress", { id, max: 1, value: 0 });
  const status = h("p", { role: "status" });
  const result = h("div");
  const unmatched = h("div");
  const block = h(
    "section",
    { class: "panel" },
    h(
      "label",
      { for: id },
      data(job.files.map((file) => file.name).join(", ") || t("me.import"), "strong"),
      ` · ${formatDate(job.created_at)}`,
    ),
    bar,
    status,
    result,
    unmatched,
  );
  const show = (now) => {
    bar.max = Math.max(now.total, 1);
    bar.value = ENDED.has(now.status) ? bar.max : now.processed;
    status.textContent = `${t(`job.${now.status}`)}${now.dry_run ? ` · ${t("import.dry")}` : ""} · ${formatNumber(now.processed)} / ${formatNumber(now.total)}`;
    fill(result, counts(now));
  };
  const finish = (end) => {
    fill(
      result,
      counts(end),
      details(end),
      end.dry_run &&
        end.status === "succeeded" &&
        repeat &&
        h("button", { type: "button", class: "button primary", onclick: repeat }, t("import.for_real")),
    );
    showUnmatched(unmatched, end, signal);
    forgetOpinions();
  };
  show(job);
  if (ENDED.has(job.status)) finish(job);
  else {
    follow(job.job_id, signal, show).then(finish, (error) => {
      if (!isAborted(error))
        fill(
          result,
          failed(error, () => block.replaceWith(importBlock(job, signal, repeat))),
        );
    });
  }
  return block;
}

function dropZone(onFiles) {
  const input = h("input", {
    type: "file",
    multiple: true,
    accept: ".zip,.csv,.json,.gz",
    class: "hidden-text",
    id: uniqueId("file"),
    onchange: () => input.files.length && onFiles([...input.files]),
  });
  const zone = h(
    "label",
    { class: "drop", for: input.id },
    h("strong", {}, t("import.drop")),
    h("span", { class: "hint" }, t("import.formats")),
    input,
  );
  zone.addEventListener("dragover", (event) => {
    event.preventDefault();
    zone.classList.add("over");
  });
  zone.addEventListener("dragleave", () => zone.classList.remove("over"));
  zone.addEventListener("drop", (event) => {
    event.preventDefault();
    zone.classList.remove("over");
    if (event.dataTransfer.files.length) onFiles([...event.dataTransfer.files]);
  });
  return zone;
}

/** Shows the import and earlier ones. */
export function render({ body, signal }) {
  const current = h("div");
  const dry = h("input", { type: "checkbox" });
  const send = async (files, isDry) => {
    const form = new FormData();
    for (const file of files) form.append("file", file, file.name);
    fill(current, h("p", { role: "status" }, t("import.sending")));
    try {
      const response = await request("POST", mine("/imports"), {
        form,
        query: { dry_run: isDry ? "true" : undefined },
        signal,
      });
      fill(
        current,
        importBlock(await response.json(), signal, () => send(files, false)),
      );
    } catch (error) {
      if (!isAborted(error))
        fill(
          current,
          failed(error, () => send(files, isDry)),
        );
    }
  };
  const earlier = h("div");
  fill(
    body,
    h("p", {}, t("import.lead")),
    dropZone((files) => send(files, dry.checked)),
    h("label", { class: "check" }, dry, t("import.dry_first")),
    current,
    h("h2", {}, t("import.earlier")),
    earlier,
  );
  return load(earlier, signal, async () => {
    const { imports } = await get(mine("/imports"), { limit: 5 }, signal);
    return imports.length
      ? imports.map((job) => importBlock(job, signal))
      : h("p", { class: "hint" }, t("import.none"));
  });
}
