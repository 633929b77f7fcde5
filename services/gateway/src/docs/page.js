// Renders the API's own description: operations by tag, their parameters, bodies, answers and
// problems, and the catalogue of errors.

import { element, limits, paragraphs, prose, resolve, schemaList, typeOf } from "/docs/schema.js";
import { tryForm } from "/docs/try.js";

const METHODS = ["get", "post", "put", "patch", "delete"];
const main = document.getElementById("main");
const contents = document.getElementById("contents");

function table(heads, rows) {
  const head = element("tr", "", ...heads.map((text) => {
    const cell = element("th", "", text);
    cell.scope = "col";
    return cell;
  }));
  const body = element("tbody", "", ...rows.map((cells) =>
    element("tr", "", ...cells.map((cell) => element("td", "", cell)))));
  return element("div", "wide", element("table", "", element("thead", "", head), body));
}

function parameters(api, operation) {
  const all = (operation.parameters ?? []).map((one) => resolve(api, one));
  if (!all.length) return [];
  const rows = all.map((one) => [
    element("code", "", one.name),
    one.in + (one.required ? ", required" : ""),
    typeOf(api, one.schema),
    prose([paragraphs(one.description).join(" "), limits(api, one.schema ?? {})]
      .filter(Boolean).join(" · "), "span"),
  ]);
  return [element("h3", "", "Parameters"), table(["name", "where", "type", "meaning"], rows)];
}

function bodies(api, title, holder) {
  return Object.entries(resolve(api, holder ?? {}).content ?? {}).flatMap(([kind, content]) => {
    const shown = [element("h3", "", `${title} (${kind})`)];
    if (content.schema) shown.push(schemaList(api, content.schema));
    if (content.example !== undefined) {
      const example = typeof content.example === "string"
        ? content.example : JSON.stringify(content.example, null, 2);
      shown.push(element("pre", "", example));
    }
    return shown;
  });
}

function answers(api, operation) {
  const all = Object.entries(operation.responses ?? {});
  const rows = all.map(([status, response]) => {
    const whole = resolve(api, response);
    const headers = Object.keys(whole.headers ?? {}).join(", ");
    return [element("code", "", status), prose(whole.description, "span"), headers];
  });
  const good = all.filter(([status]) => status.startsWith("2"));
  return [
    element("h3", "", "Answers"), table(["status", "meaning", "headers"], rows),
    ...good.flatMap(([status, response]) => bodies(api, `Body of ${status}`, response)),
  ];
}

function operationView(api, method, path, operation) {
  const view = element("details", "operation");
  view.id = operation.operationId;
  view.append(element("summary", "", element("span", `method ${method}`, method.toUpperCase()),
    element("span", "path", path), element("span", "said", operation.summary ?? "")));
  // A closed operation costs nothing: it is filled in when it is opened.
  view.addEventListener("toggle", () => {
    if (!view.open || view.childElementCount > 1) return;
    const needsToken = (operation.security ?? []).length > 0;
    view.append(element("div", "inside",
      ...paragraphs(operation.description).map((text) => prose(text)),
      element("p", "said", needsToken ? "Needs an access token." : "Needs no token."),
      ...parameters(api, operation), ...bodies(api, "Body", operation.requestBody),
      ...answers(api, operation), tryForm(api, method, path, operation)));
  });
  return view;
}

function errorsView(catalogue) {
  const section = element("section", "", element("h2", "", "Errors"));
  section.id = "errors";
  const rows = catalogue.errors.map((one) => [element("code", "", one.code), String(one.status),
    prose(one.meaning, "span"), prose(one.remedy, "span"), one.retryable ? "yes" : "no"]);
  section.append(table(["code", "status", "what it means", "how to mend it", "repeat"], rows));
  return section;
}

function contentsOf(title, links) {
  const list = element("ul", "", ...links.map(([text, target]) => {
    const link = element("a", "", text);
    link.href = `#${target}`;
    return element("li", "", link);
  }));
  contents.append(element("h2", "", title), list);
}

function show(api, catalogue) {
  main.replaceChildren(element("section", "",
    ...paragraphs(api.info.description).map((text) => prose(text))));
  const all = Object.entries(api.paths).flatMap(([path, item]) =>
    METHODS.filter((method) => item[method]).map((method) => [method, path, item[method]]));
  const views = [];
  for (const tag of api.tags ?? []) {
    const mine = all.filter(([, , operation]) => operation.tags?.[0] === tag.name);
    if (!mine.length) continue;
    const section = element("section", "", element("h2", "", tag.name), prose(tag.description));
    for (const [method, path, operation] of mine) {
      const view = operationView(api, method, path, operation);
      const words = `${method} ${path} ${operation.operationId} ${operation.summary} ${tag.name}`;
      views.push([words.toLowerCase(), view, section]);
      section.append(view);
    }
    main.append(section);
    contentsOf(tag.name, mine.map(([, , one]) => [one.summary, one.operationId]));
  }
  main.append(errorsView(catalogue));
  contentsOf("reference", [["Errors", "errors"]]);
  return views;
}

function find(views, text) {
  const words = text.toLowerCase().split(/\s+/).filter(Boolean);
  const shown = new Set();
  for (const [about, view, section] of views) {
    view.hidden = !words.every((word) => about.includes(word));
    if (!view.hidden) shown.add(section);
  }
  for (const [, , section] of views) section.hidden = !shown.has(section);
}

/** Opens the operation that the address names. */
function openNamed() {
  const named = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (named?.tagName === "DETAILS") named.open = true;
  named?.scrollIntoView();
}

async function read(path) {
  const answer = await fetch(path);
  if (!answer.ok) throw new Error(`${path}: ${answer.status}`);
  return answer.json();
}

try {
  const [api, catalogue] = await Promise.all([
    read("/api/v1/openapi.json"), read("/api/v1/errors")]);
  const views = show(api, catalogue);
  const input = document.getElementById("find");
  input.addEventListener("input", () => find(views, input.value));
  document.getElementById("tools").addEventListener("submit", (event) => event.preventDefault());
  addEventListener("hashchange", openNamed);
  openNamed();
} catch (cause) {
  document.getElementById("state").textContent = `The description cannot be read: ${cause.message}`;
}
