// A form that sends a request of the reader's to this platform, and shows what comes back.

import { element, resolve } from "/docs/schema.js";

/** The form of one operation. */
export function tryForm(api, method, path, operation) {
  const form = element("form", "try");
  form.append(element("h3", "", "Try it"));
  const fields = (operation.parameters ?? []).map((one) => field(api, resolve(api, one)));
  fields.forEach(({ row }) => form.append(row));
  const content = Object.entries(resolve(api, operation.requestBody ?? {}).content ?? {})[0];
  const body = content ? element("textarea", "") : null;
  if (body) {
    body.spellcheck = false;
    body.value = JSON.stringify(content[1].example ?? {}, null, 2);
    form.append(element("label", "", `Body (${content[0]})`, body));
  }
  const send = element("button", "", "Send");
  const stop = element("button", "quiet", "Stop");
  stop.type = "button";
  stop.hidden = true;
  form.append(element("div", "buttons", send, stop));
  const shown = element("pre", "");
  shown.setAttribute("role", "status");
  shown.hidden = true;
  form.append(shown);

  let under = null;
  stop.addEventListener("click", () => under?.abort());
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    under?.abort();
    under = new AbortController();
    stop.hidden = false;
    shown.hidden = false;
    shown.textContent = "…";
    try {
      const asked = request(method, path, fields, body, content?.[0], under.signal);
      // What was carried out is done: the same key again would only show it again.
      if (await exchange(asked, shown)) fields.forEach(({ renew }) => renew());
    } catch (cause) {
      shown.append(`\n${cause.name === "AbortError" ? "stopped" : cause.message}`);
    }
    stop.hidden = true;
  });
  return form;
}

function field(api, parameter) {
  const input = element("input", "");
  const schema = resolve(api, parameter.schema ?? {});
  input.required = parameter.required === true;
  // A key that the reader has typed stays, so that repeating a request can be tried.
  let made = parameter.name === "Idempotency-Key" ? fresh() : "";
  input.value = made;
  const renew = () => {
    if (made === "" || input.value !== made) return;
    made = fresh();
    input.value = made;
  };
  input.placeholder = String(parameter.example ?? schema.examples?.[0] ?? schema.enum?.[0] ?? "");
  const text = `${parameter.name} (${parameter.in})`;
  return { parameter, input, renew, row: element("label", "", text, input) };
}

/** A new idempotency key. */
function fresh() {
  const bytes = crypto.getRandomValues(new Uint8Array(12));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

function request(method, path, fields, body, kind, signal) {
  const headers = new Headers();
  const query = new URLSearchParams();
  let url = path;
  for (const { parameter, input } of fields) {
    const value = input.value;
    if (parameter.in === "path") url = url.replace(`{${parameter.name}}`, encodeURIComponent(value));
    else if (value === "") continue;
    else if (parameter.in === "query") query.append(parameter.name, value);
    else if (parameter.in === "header") headers.set(parameter.name, value);
  }
  const token = document.getElementById("token").value.trim();
  if (token) headers.set("Authorization", `Bearer ${token}`);
  if (body) headers.set("Content-Type", kind);
  if (query.size) url += `?${query}`;
  return new Request(url, {
    method: method.toUpperCase(), headers, body: body ? body.value : undefined, signal,
    credentials: "omit", cache: "no-store",
  });
}

/** Sends a request and shows the answer; whether it was carried out. */
async function exchange(asked, shown) {
  const answer = await fetch(asked);
  shown.textContent = `${answer.status} ${answer.statusText}\n`;
  for (const [name, value] of answer.headers) shown.append(`${name}: ${value}\n`);
  shown.append("\n");
  const kind = answer.headers.get("content-type") ?? "";
  if (kind.startsWith("text/event-stream")) {
    const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
    for (let next = await reader.read(); !next.done; next = await reader.read()) {
      shown.append(next.value);
      shown.scrollTop = shown.scrollHeight;
    }
    return answer.ok;
  }
  const text = await answer.text();
  shown.append(kind.includes("json") && text ? JSON.stringify(JSON.parse(text), null, 2) : text);
  return answer.ok;
}
