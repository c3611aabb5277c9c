// Users for administrators and moderators: list, search, suspend until a day with a reason, which ends their sessions; for
// administrators also change roles. A tab of administration; a server without `/admin/users` gets a note instead.

import { data, debounce, field, fill, h, openDialog } from "./dom.js";
import { call, get, session } from "./api.js";
import { formatDate, today } from "./settings.js";
import { actionButton, load, toast } from "./status.js";
import { actionForm } from "./account.js";
import { table } from "./admin.js";
import { t } from "./texts.js";

const TYPING_MILLISECONDS = 250;
const PAGE_SIZE = 50;
const ROLES = ["user", "moderator", "admin"];

function change(user, body) {
  return call("PATCH", `/admin/users/${user.id}`, { body });
}

function openSuspend(user, reload) {
  const until = h("input", { type: "date", name: "suspended_until", min: today(1), value: today(7), required: true });
  const reason = h("input", { name: "reason", maxlength: 500, required: true });
  const dialog = openDialog(
    t("users.suspend_name", { name: user.username }),
    h("p", {}, t("users.suspend_lead")),
    actionForm(
      [
        field(t("users.until"), until, { name: "suspended_until" }),
        field(t("users.reason"), reason, { name: "reason" }),
      ],
      t("users.suspend"),
      async (values) => {
        await change(user, { suspended_until: `${values.suspended_until}T00:00:00Z`, reason: values.reason });
        dialog.close();
        toast(t("users.suspended_toast", { name: user.username }), {
          undo: async () => {
            await change(user, { suspended_until: null });
            await reload();
          },
        });
        await reload();
      },
    ),
  );
}

/** Changes a role; the server demands a recent login or the password. */
function openRole(user, reload) {
  const role = h(
    "select",
    { name: "role", value: user.role },
    ROLES.map((name) => h("option", { value: name }, t(`users.${name}`))),
  );
  const password = h("input", { type: "password", name: "current_password", autocomplete: "current-password" });
  const fields = [field(t("users.role"), role, { name: "role" })];
  if (session.mode === "jwt") {
    fields.push(field(t("users.password"), password, { name: "current_password", hint: t("users.password_hint") }));
  }
  const dialog = openDialog(
    t("users.role_name", { name: user.username }),
    h("p", {}, t("users.role_lead")),
    actionForm(fields, t("users.save_role"), async (values) => {
      await change(user, { role: values.role, current_password: values.current_password || undefined });
      dialog.close();
      toast(t("users.role_toast", { name: user.username, role: t(`users.${values.role}`) }));
      await reload();
    }),
  );
}

function roleCell(user, reload) {
  const isOwn = user.id === session.user.id;
  if (session.user.role !== "admin" || isOwn) return t(`users.${user.role}`);
  return h(
    "button",
    {
      type: "button",
      class: "link",
      "aria-label": `${t("users.role")}: ${t(`users.${user.role}`)}, ${user.username}`,
      onclick: () => openRole(user, reload),
    },
    t(`users.${user.role}`),
  );
}

function row(user, reload) {
  const end = actionButton(t("users.unsuspend"), async () => {
    await change(user, { suspended_until: null });
    await reload();
  });
  const suspend = user.id !== session.user.id && h(
    "button",
    { type: "button", class: "button small", onclick: () => openSuspend(user, reload) },
    t("users.suspend"),
  );
  return [
    user.id,
    data(user.username),
    data(user.email),
    roleCell(user, reload),
    formatDate(user.created_at),
    user.suspended_until
      ? h("span", { dir: "auto" }, `${formatDate(user.suspended_until)} · ${user.suspension_reason ?? ""}`)
      : "",
    user.suspended_until ? end : suspend,
  ];
}

/** Shows the users. */
export function render({ body, signal }) {
  const list = h("div", { "aria-live": "polite" });
  const query = h("input", { type: "search", maxlength: 100, autocomplete: "off" });
  const suspended = h("input", { type: "checkbox" });
  let page = 1;
  const reload = (keep = true) =>
    load(
      list,
      signal,
      async () => {
        let found;
        try {
          found = await get(
            "/admin/users",
            { q: query.value.trim(), suspended: suspended.checked ? "true" : undefined, page, limit: PAGE_SIZE },
            signal,
          );
        } catch (error) {
          if (error.kind === "missing") return h("p", { class: "state" }, t("users.not_here"));
          throw error;
        }
        if (!found.users.length) return h("p", { class: "hint" }, t("users.none"));
        const step = (to, label, disabled) =>
          h(
            "button",
            {
              type: "button",
              class: "button small",
              disabled,
              onclick: () => {
                page = to;
                reload();
              },
            },
            label,
          );
        return [
          table(
            t("admin.users"),
            ["id", t("account.name"), t("account.email"), t("users.role"), t("users.since"), t("users.suspended"), ""],
            found.users.map((user) => row(user, reload)),
            "users",
          ),
          found.total_pages > 1 &&
            h(
              "div",
              { class: "inline-form" },
              step(page - 1, "←", page <= 1),
              `${page} / ${found.total_pages}`,
              step(page + 1, "→", page >= found.total_pages),
            ),
        ];
      },
      { keep: keep && list.childElementCount > 0 },
    );
  const restart = () => {
    page = 1;
    reload();
  };
  query.addEventListener("input", debounce(restart, TYPING_MILLISECONDS));
  suspended.addEventListener("change", restart);
  fill(
    body,
    h(
      "div",
      { class: "inline-form" },
      field(t("users.find"), query),
      h("label", { class: "check" }, suspended, t("users.only_suspended")),
    ),
    list,
  );
  return reload(false);
}
