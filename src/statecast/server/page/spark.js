// A line as small as a word: the last values of a series, its last one a dot.

import { s } from "./dom.js";

const WIDTH = 112;
const HEIGHT = 28;
const PAD = 3;

/** An empty sparkline; `draw` fills it. */
export function spark() {
	const line = s("path", { class: "spark-line" });
	const dot = s("circle", { class: "spark-dot", r: 2.2 });
	const size = { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, width: WIDTH, height: HEIGHT };
	return s("svg", { class: "spark", "aria-hidden": "true", ...size }, line, dot);
}

/** Puts values into a sparkline; a gap stays a gap, and a value between two gaps is a point. */
export function draw(element, values, alarm = false) {
	const [line, dot] = element.children;
	const held = values.filter((value) => typeof value === "number");
	const low = Math.min(...held);
	const span = Math.max(...held) - low;
	const x = (index) => PAD + ((WIDTH - 2 * PAD) * index) / Math.max(1, values.length - 1);
	const y = (value) => (span > 0 ? HEIGHT - PAD - ((HEIGHT - 2 * PAD) * (value - low)) / span : HEIGHT / 2);
	let path = "";
	values.forEach((value, index) => {
		if (typeof value !== "number") return;
		const joined = typeof values[index - 1] === "number";
		path += `${joined ? "L" : "M"}${x(index).toFixed(1)} ${y(value).toFixed(1)}`;
		if (!joined && typeof values[index + 1] !== "number") path += "h.01";
	});
	line.setAttribute("d", path || "M0 0");
	const last = values.length - 1;
	const ends = typeof values[last] === "number";
	dot.setAttribute("visibility", ends ? "visible" : "hidden");
	dot.classList.toggle("alarm", alarm);
	if (ends) {
		dot.setAttribute("cx", x(last).toFixed(1));
		dot.setAttribute("cy", y(values[last]).toFixed(1));
	}
}
