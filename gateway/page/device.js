// The login of a device (`#/device?code=…`): a television or a command line shows a code, and its user approves it here.

import { data, field, fill, h } from "./dom.js";
import { call } from "./api.js";
import { actionButton } from "./status.js";
import { actionForm } from "./account.js";
import { t } from "./texts.js";

const verify = (body) => call("POST", "/auth/device/verify", { body });

/** The question whether to log the program in, with the password that an older login needs. */
function decisionForm(body, code, device) {
  const password = h("input", { name: "current_password", type: "password", autocomplete: "current-password" });
  const end = (text) => fill(body, h("p", { class: "state", role: "status" }, text));
  const form = actionForm(
    [field(t("account.password"), password, { name: "current_password", hint: t("device.password") })],
    t("device.approve"),
    async (values) => {
      await verify({ user_code: code, approve: true, current_password: values.current_password || undefined });
      end(t("device.approved"));
    },
  );
  const refuse = async () => {
    await verify({ user_code: code, approve: false });
    end(t("device.refused"));
  };
  form.append(actionButton(t("device.refuse"), refuse, "button danger"));
  return [h("p", {}, t("device.asks"), " ", data(device.client_id, "strong")), h("p", {}, t("device.warning")), form];
}

/** Shows the view. */
export function render({ main, query }) {
  const body = h("div");
  const code = h("input", {
    name: "user_code",
    required: true,
    autocomplete: "off",
    autocapitalize: "characters",
    spellcheck: "false",
    maxlength: 20,
    value: query.get("code") ?? "",
  });
  const form = actionForm([field(t("device.code"), code, { name: "user_code" })], t("device.next"), async (values) => {
    const device = await verify({ user_code: values.user_code });
    fill(body, decisionForm(body, values.user_code, device));
    body.querySelector("button")?.focus();
  });
  fill(body, form);
  fill(main, h("h1", {}, t("device.title")), h("p", { class: "lead" }, t("device.lead")), body);
}
