// What is known ahead, where a model wants it: a field for each column, whose values go with every question.

import { h } from "./dom.js";

/**
 * @param model whose columns these are.
 * @param asked called when other values are to be used.
 * @return the form, and `values`, which gives the lists by column: null where the model wants none, nothing where some are missing.
 */
export function knownAhead(model, asked) {
	const fields = model.known.map((name) => [name, h("input", { name, required: true, autocomplete: "off", placeholder: "one value, or one for each step" })]);
	const submit = (event) => {
		event.preventDefault();
		asked();
	};
	const element = h("form", { class: "known", onsubmit: submit },
		fields.map(([name, input]) => h("label", {}, h("span", {}, `${name} ahead`), input)), h("button", { class: "main" }, "Forecast"));
	const list = (text) => {
		const values = text.split(/[\s,;]+/).filter(Boolean).map((value) => (Number.isNaN(Number(value)) ? value : Number(value)));
		return values.length === 1 ? Array(model.horizon).fill(values[0]) : values;
	};
	const values = () => {
		if (!fields.length) return null;
		const known = Object.fromEntries(fields.map(([name, input]) => [name, list(input.value)]));
		return Object.values(known).every((column) => column.length) ? known : undefined;
	};
	return { element: fields.length ? element : null, values };
}
