// What the recurrent layers do over the last rows: a strip for each gate, time from left to right, a line for each unit.

import { colour } from "./charts.js";
import { h } from "./dom.js";
import { drawer } from "./drawer.js";
import { ask, seriesPath } from "./server.js";

const STEPS = 168;
const WORDS = {
	forget: "how much of its memory a unit keeps; full colour is all of it",
	input: "how much of what is new it takes in",
	output: "how much of its memory it shows",
	update: "how much of its memory it replaces; full colour is all of it",
	reset: "how much of its memory it looks at",
	candidate: "what is new; blue is positive, orange negative",
	h: "blue is positive, orange negative",
};

/** A section that asks for the gates once it is opened. */
export function gates(id, clock) {
	const load = async () => view(await ask(seriesPath(id, "/gates"), { limit: STEPS }), clock);
	return drawer("gates", "Inside the network", "what its recurrent layers did over the last rows", load);
}

function view({ times, layers, heard }, clock) {
	if (!layers.length || !times.length) return [h("p", { class: "nothing" }, "This network has no recurrent layer, or the series no rows.")];
	const note = heard ? null : h("p", { class: "soft" }, "Training kept its linear start, so no forecast listens to these layers.");
	const range = h("p", { class: "soft range" }, h("span", {}, clock.text(clock.place(times[0]))), h("span", {}, clock.text(clock.place(times.at(-1)))));
	return [note, ...layers.map(strip), range].filter(Boolean);
}

function strip({ name, values }) {
	const [layer, gate] = [name.slice(0, name.lastIndexOf(".")), name.slice(name.lastIndexOf(".") + 1)];
	const canvas = h("canvas", { role: "img", "aria-label": `${gate} of layer ${Number(layer) + 1}` });
	paint(canvas, values);
	const title = gate === "h" ? "output of the layer" : gate === "candidate" ? gate : `${gate} gate`;
	return h("figure", {}, h("figcaption", {}, h("b", {}, title), h("span", { class: "soft" }, `layer ${Number(layer) + 1}: ${WORDS[gate] ?? "each unit a line"}`)), canvas);
}

/** One pixel a unit and step; the style sheet stretches it. */
function paint(canvas, values) {
	canvas.width = values.length;
	canvas.height = values[0].length;
	const ctx = canvas.getContext("2d");
	const image = ctx.createImageData(canvas.width, canvas.height);
	const channels = (name) => colour(name).match(/[\d.]+/g).slice(0, 3).map(Number);
	const [high, low] = [channels("mark"), channels("alarm")];
	values.forEach((units, step) => units.forEach((value, unit) => {
		const at = 4 * (unit * canvas.width + step);
		image.data.set([...(value < 0 ? low : high), 255 * Math.min(1, Math.abs(value))], at);
	}));
	ctx.putImageData(image, 0, 0);
}
