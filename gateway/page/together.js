// "Together" (`#/together`): groups of users, invitations, and the start of a deck for a group. `#/together/{id}` is the deck of a
// group; in mock mode `#/together/0?users=1,2` is one for any users. Loaded by the router.

import { data, field, fill, h } from "./dom.js";
import { ApiError, call, callerId, get, loadActor, session } from "./api.js";
import { recall, formatDate } from "./settings.js";
import { actionButton, copyLinkButton, load, toast } from "./status.js";
import { actionForm } from "./account.js";
import { renderDeck } from "./deck.js";
import { t } from "./texts.js";

const POLL_MILLISECONDS = 5000;
// The invitations by group, as a view that is drawn anew must not lose a code that was only shown once.
const invitations = new Map();

function showInvitation(group, place) {
  const invitation = invitations.get(group.id);
  if (!invitation) return;
  const link = new URL(`#/together?code=${encodeURIComponent(invitation.code)}`, location.href).href;
  const share = () => navigator.share({ title: group.name, url: link }).catch(() => {});
  fill(
    place,
    h(
      "p",
      { role: "status" },
      t("together.code"),
      " ",
      h("code", {}, invitation.code),
      " ",
      h("span", { class: "hint" }, t("together.expires", { date: formatDate(invitation.expires_at) })),
    ),
    h(
      "p",
      { class: "inline-form" },
      copyLinkButton(() => link, "button small"),
      navigator.share && h("button", { type: "button", class: "button small", onclick: share }, t("together.share")),
    ),
  );
}

function invite(group, place) {
  return actionButton(t("together.invite"), async () => {
    const path = `/groups/${group.id}/invitations`;
    invitations.set(group.id, await call("POST", path, { body: { max_uses: 5 } }));
    showInvitation(group, place);
  });
}

function groupBlock(group, reload) {
  const isOwner = group.owner_id === callerId();
  const place = h("div");
  if (isOwner) showInvitation(group, place);
  const remove = async () => {
    await call("DELETE", isOwner ? `/groups/${group.id}` : `/groups/${group.id}/members/me`);
    await reload();
  };
  const end = actionButton(t(isOwner ? "together.delete" : "together.leave"), remove, "button small danger");
  return h(
    "li",
    { class: "panel" },
    h("h2", { dir: "auto" }, group.name),
    h(
      "ul",
      { class: "chips" },
      group.members.map((member) => h("li", { class: "chip" }, data(member.username))),
    ),
    place,
    h(
      "div",
      { class: "inline-form" },
      h("a", { class: "button primary small", href: `#/together/${group.id}` }, t("together.start")),
      isOwner && invite(group, place),
      end,
    ),
  );
}

function createForm(reload) {
  const name = h("input", { name: "name", maxlength: 100, required: true });
  return actionForm([field(t("together.name"), name, { name: "name" })], t("together.create"), async (values) => {
    await call("POST", "/groups", { body: values });
    name.value = "";
    await reload();
  });
}

function joinForm(reload, invited) {
  const code = h("input", { name: "code", required: true, autocomplete: "off", spellcheck: "false", value: invited });
  return actionForm(
    [field(t("together.join_code"), code, { name: "code", hint: t("together.consent") })],
    t("together.join"),
    async (values) => {
      const group = await call("POST", "/groups/join", { body: { code: values.code.trim() } });
      code.value = "";
      if (invited) history.replaceState(null, "", "#/together");
      toast(t("together.joined", { name: group.name }));
      await reload();
    },
  );
}

/** In mock mode: a deck for users by id, without a group. */
function anyUsersForm() {
  const known = recall("actors", []).map((user) => user.id);
  const ids = h("input", {
    name: "users",
    required: true,
    inputmode: "numeric",
    value: [...new Set([session.user.id, ...known])].slice(0, 3).join(", "),
  });
  return actionForm(
    [field(t("together.ids"), ids, { name: "users", hint: t("account.mock") })],
    t("together.start"),
    async () => {
      const numbers = [
        ...new Set(
          ids.value
            .split(/[\s,]+/)
            .filter(Boolean)
            .map(Number),
        ),
      ];
      if (numbers.length < 2 || numbers.some((id) => !(id > 0))) {
        throw new ApiError("problem", { problem: { errors: [{ field: "users", message: t("together.two") }] } });
      }
      location.hash = `#/together/0?users=${numbers.join(",")}`;
    },
  );
}

/** Calls `update` when the visitor comes back to the window, and now and then while an invitation is shown: others may join. */
function watchForMembers(update, signal) {
  const look = () => document.visibilityState === "visible" && update();
  document.addEventListener("visibilitychange", look, { signal });
  addEventListener("focus", look, { signal });
  const timer = setInterval(() => invitations.size > 0 && look(), POLL_MILLISECONDS);
  signal.addEventListener("abort", () => clearInterval(timer));
}

function renderGroups(main, invited, signal) {
  const list = h("div", { "aria-live": "polite" });
  let shown = "";
  const reload = (known) =>
    load(
      list,
      signal,
      async () => {
        const groups = known ?? (await get("/groups", {}, signal)).groups;
        shown = JSON.stringify(groups);
        return groups.length
          ? h(
              "ul",
              { class: "plain" },
              groups.map((group) => groupBlock(group, reload)),
            )
          : h("p", { class: "hint" }, t("together.none"));
      },
      { keep: list.childElementCount > 0 },
    );
  const update = async () => {
    try {
      const { groups } = await get("/groups", {}, signal);
      if (JSON.stringify(groups) === shown) return;
      const focused = [...list.querySelectorAll("a, button")].indexOf(document.activeElement);
      await reload(groups);
      list.querySelectorAll("a, button")[focused]?.focus();
    } catch {
      // The groups that are shown stay until the next time.
    }
  };
  const join = h("section", {}, h("h2", {}, t("together.join")), joinForm(reload, invited));
  fill(
    main,
    h("h1", {}, t("nav.together")),
    h("p", { class: "lead" }, t("together.lead")),
    invited && h("div", { class: "panel" }, join),
    list,
    h(
      "div",
      { class: "two" },
      session.mode === "mock" && h("section", {}, h("h2", {}, t("together.any")), anyUsersForm()),
      h("section", {}, h("h2", {}, t("together.new")), createForm(reload)),
      !invited && join,
    ),
  );
  watchForMembers(update, signal);
  return reload();
}

/** Shows the groups, or the deck of one. */
export function render({ main, parameters: [id], query, signal }) {
  if (!id) return renderGroups(main, query.get("code") ?? "", signal);
  return load(main, signal, async () => {
    const ids = (query.get("users") ?? "").split(",").map(Number).filter(Boolean);
    if (!ids.length) {
      const group = await get(`/groups/${id}`, {}, signal);
      return renderDeck({
        title: group.name,
        body: { group_id: group.id },
        members: group.members.map((item) => ({ id: item.user_id, name: item.username })),
        signal,
      });
    }
    const users = await Promise.all(ids.map(loadActor));
    const found = users.filter(Boolean).map((user) => ({ id: user.id, name: user.username }));
    return renderDeck({
      title: t("nav.together"),
      body: { user_ids: found.map((user) => user.id) },
      members: found,
      signal,
    });
  });
}
