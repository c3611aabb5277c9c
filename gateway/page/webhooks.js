// Webhooks of media servers (Jellyfin, Plex, Emby, Kodi): list, create, renew, delete. A tab of "me".

import { data, field, fill, h } from "./dom.js";
import { call, get, mine } from "./api.js";
import { formatDate } from "./settings.js";
import { actionButton, load } from "./status.js";
import { actionForm } from "./account.js";
import { t } from "./texts.js";

const PROVIDERS = { jellyfin: "Jellyfin", plex: "Plex", emby: "Emby", kodi: "Kodi" };

function secretNote(hook) {
  const address = new URL(hook.path, location.origin).href;
  return h("div", { class: "state", role: "status" }, h("p", {}, t("hooks.once")), h("p", {}, h("code", {}, address)));
}

function hookRow(hook, note, proof, reload) {
  const rotate = actionButton(t("hooks.renew"), async () => {
    fill(note, secretNote(await call("POST", mine(`/webhooks/${hook.id}/rotate`), { body: proof() })));
    await reload();
  });
  const end = async () => {
    await call("DELETE", mine(`/webhooks/${hook.id}`));
    await reload();
  };
  const remove = actionButton(t("action.remove"), end, "button small danger");
  return h(
    "li",
    { class: "panel" },
    h(
      "p",
      {},
      data(hook.name, "strong"),
      ` · ${PROVIDERS[hook.provider] ?? hook.provider} · ${hook.prefix}… · ${formatDate(hook.created_at)}`,
    ),
    h(
      "p",
      { class: "hint" },
      hook.deliveries.length ? t("hooks.deliveries", { count: hook.deliveries.length }) : t("hooks.no_delivery"),
    ),
    h("div", { class: "inline-form" }, rotate, remove),
  );
}

/** Shows the tab. */
export function render({ body, signal }) {
  const list = h("div");
  const note = h("div");
  const password = h("input", { name: "current_password", type: "password", autocomplete: "current-password" });
  const proof = () => ({ current_password: password.value || undefined });
  const reload = () =>
    load(
      list,
      signal,
      async () => {
        const { webhooks } = await get(mine("/webhooks"), {}, signal);
        return webhooks.length
          ? h(
              "ul",
              { class: "plain" },
              webhooks.map((hook) => hookRow(hook, note, proof, reload)),
            )
          : h("p", { class: "hint" }, t("hooks.none"));
      },
      { keep: list.childElementCount > 0 },
    );
  const provider = h(
    "select",
    { name: "provider" },
    Object.entries(PROVIDERS).map(([value, text]) => h("option", { value }, text)),
  );
  const name = h("input", { name: "name", required: true, maxlength: 100 });
  const form = actionForm(
    [
      field(t("hooks.provider"), provider, { name: "provider" }),
      field(t("hooks.name"), name, { name: "name" }),
      field(t("account.password"), password, { name: "current_password", hint: t("device.password") }),
    ],
    t("hooks.create"),
    async (values) => {
      fill(note, secretNote(await call("POST", mine("/webhooks"), { body: { ...values, ...proof() } })));
      name.value = "";
      await reload();
    },
  );
  fill(body, h("p", {}, t("hooks.lead")), note, list, h("h2", {}, t("hooks.new")), form);
  return reload();
}
