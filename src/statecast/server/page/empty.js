// What a server without observations says: the command that sends the first, in the table's own columns.

import { h } from "./dom.js";

const EXAMPLES = { date: "2026-01-31", datetime: "2026-01-31 12:00:00", row: 1, integer: 1 };

/** An observation as the server takes it. */
function example(model) {
	const time = EXAMPLES[model.time_kind] ?? 1;
	const row = { [model.id]: model.id_kind === "integer" ? 1 : "first" };
	if (model.time && model.time_kind !== "row") row[model.time] = model.tz ? `${time}Z` : time;
	for (const target of model.targets) row[target] = 41.5;
	for (const name of [...model.past, ...model.static]) row[name] = 0;
	for (const name of model.known) row[name] = Array(model.horizon + 1).fill(0); // of this step and the next ones
	return row;
}

/** Quoted for a shell. */
function quoted(text) {
	return `'${text.replaceAll("'", "'\\''")}'`;
}

/** The command that sends a first observation to this server. */
export function command(status) {
	const address = new URL("v1/observations", document.baseURI.split("#")[0]).href;
	const lines = [`curl ${address}`, `-H 'content-type: application/json'`];
	if (status.tokens) lines.push('-H "authorization: Bearer $TOKEN"');
	lines.push(`-d ${quoted(JSON.stringify(example(status.model)))}`);
	return lines.join(" \\\n  ");
}

/** The page's invitation. */
export function welcome(status) {
	const text = command(status);
	const copy = h("button", { type: "button", onclick: async () => {
		await navigator.clipboard.writeText(text);
		copy.textContent = "Copied";
		setTimeout(() => (copy.textContent = "Copy"), 2000);
	} }, "Copy");
	const extra = [...status.model.past, ...status.model.known, ...status.model.static];
	return h("section", { class: "card welcome" },
		h("h2", {}, "No observations yet"),
		h("p", {}, "The model is loaded and waits. Send the first one:"),
		h("div", { class: "code" }, h("pre", { tabindex: "0" }, h("code", {}, text)), navigator.clipboard ? copy : null),
		extra.length ? h("p", { class: "soft" }, `Fill in the true ${extra.length > 1 ? "values" : "value"} of ${extra.join(", ")}.`) : null,
		h("p", { class: "soft" }, "A whole table goes in with ", h("code", {}, `statecast send ${new URL(".", document.baseURI.split("#")[0]).href} TABLE`), ". This page shows it as it comes."));
}
