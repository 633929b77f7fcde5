// Shows schemas of the document: names, types, limits and descriptions, nested as the JSON is.

/** Makes an element with a class and children; texts become text, never markup. */
export function element(name, kind, ...children) {
  const made = document.createElement(name);
  if (kind) made.className = kind;
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

/** A text whose parts between backticks are code. */
export function prose(text, name = "p") {
  const made = element(name, "");
  (text ?? "").split("`").forEach((part, place) => {
    made.append(place % 2 ? element("code", "", part) : part);
  });
  return made;
}

/** The paragraphs of a text: lines that follow each other belong together. */
export function paragraphs(text) {
  return (text ?? "").split(/\n\s*\n/).map((part) => part.replace(/\s*\n\s*/g, " ").trim())
    .filter(Boolean);
}

/** What a reference leads to; anything else is itself. */
export function resolve(api, node) {
  let found = node;
  for (let step = 0; found?.$ref && step < 16; step += 1) {
    const path = found.$ref.split("/").slice(1);
    found = path.reduce((at, key) => at?.[key.replaceAll("~1", "/").replaceAll("~0", "~")], api);
  }
  return found ?? {};
}

/** The schemas of which a value fits one; that a text may be empty is not worth saying. */
function choicesOf(whole) {
  return (whole.oneOf ?? whole.anyOf ?? []).filter((one) => one.maxLength !== 0);
}

/** A schema's type in a few words. */
export function typeOf(api, schema) {
  if (!schema) return "anything";
  const name = schema.$ref?.split("/").pop();
  const whole = resolve(api, schema);
  const choices = choicesOf(whole);
  if (choices.length) return choices.map((one) => typeOf(api, one)).join(" or ");
  let kinds = [whole.type ?? (whole.enum ? "string" : "object")].flat();
  kinds = kinds.map((kind) => (kind === "array" ? `array of ${typeOf(api, whole.items)}` : kind));
  const text = name && kinds.includes("object") ? name : kinds.join(" or ");
  return whole.format ? `${text} (${whole.format})` : text;
}

/** The limits of a value, in words; of a list also those of what is in it. */
export function limits(api, schema, depth = 0) {
  const whole = resolve(api, schema);
  const said = [];
  if (whole.enum) said.push(`one of ${whole.enum.filter((one) => one !== null).join(", ")}`);
  for (const [key, words] of [
    ["minimum", "at least"], ["maximum", "at most"], ["minLength", "characters at least:"],
    ["maxLength", "characters at most:"], ["minItems", "items at least:"],
    ["maxItems", "items at most:"], ["pattern", "matches"],
  ]) {
    if (whole[key] !== undefined) said.push(`${words} ${whole[key]}`);
  }
  if (depth < 6) {
    said.push(...choicesOf(whole).map((one) => limits(api, one, depth + 1)));
    const each = whole.items ? limits(api, whole.items, depth + 1) : "";
    if (each) said.push(`each ${each}`);
  }
  return said.filter(Boolean).join("; ");
}

/** What is said of a field: by itself, or else by what it refers to. */
function aboutOf(api, field) {
  const said = (one) => one.description ?? resolve(api, one).description;
  return field.description ?? choicesOf(field).map(said).find(Boolean) ?? said(field);
}

/** A schema as nested lists. */
export function schemaList(api, schema, depth = 0) {
  const whole = resolve(api, schema);
  if (whole.type === "array" || [whole.type].flat().includes("array")) {
    return schemaList(api, whole.items, depth);
  }
  const parts = whole.allOf ?? [whole];
  const list = element("ul", "schema");
  for (const part of parts.map((one) => resolve(api, one))) {
    for (const [name, field] of Object.entries(part.properties ?? {})) {
      const row = element("li", "", element("code", "", name), " ",
        element("span", "type", typeOf(api, field)));
      if (part.required?.includes(name)) row.append(" ", element("span", "must", "required"));
      const about = [paragraphs(aboutOf(api, field)).join(" "), limits(api, field)];
      if (about.some(Boolean)) row.append(" ", prose(about.filter(Boolean).join(" · "), "span"));
      const inner = inside(api, field);
      if (inner && depth < 6) row.append(schemaList(api, inner, depth + 1));
      list.append(row);
    }
  }
  return list.childElementCount ? list : element("p", "type", typeOf(api, schema));
}

/** The schema whose fields are worth showing below a field; none for plain values. */
function inside(api, schema) {
  const whole = resolve(api, schema);
  if (whole.properties || whole.allOf) return whole;
  if ([whole.type].flat().includes("array")) return inside(api, whole.items);
  return choicesOf(whole).map((one) => inside(api, one)).find(Boolean);
}
