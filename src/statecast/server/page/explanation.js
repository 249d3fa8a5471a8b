// What the forecast comes from: at each step the parts that lift it stand on its level, and those that lower it hang
// below. Under the picture one step in numbers, with a bar for each part from where the one before it ended.

import { chart, line, times as axis, values } from "./charts.js";
import { h, s } from "./dom.js";
import { drawer } from "./drawer.js";
import { decimalsOf, number } from "./format.js";
import { ahead } from "./server.js";
import { part } from "./table.js";

const COLOURS = ["#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#b8a200", "#7d8b98"]; // Okabe and Ito's

/** A section that asks for the parts once it is opened; `target` gives the column that is shown, `known` what is ahead. */
export function explanation(id, clock, target, known) {
	const host = h("div", { class: "plot", tabindex: "0", role: "img", "aria-label": "The parts of the forecast at each step" });
	const body = h("tbody");
	const caption = h("caption");
	let plot = null;
	let shares = null;
	const tell = () => {
		const step = Math.min(plot?.cursor.idx ?? 0, shares.places.length - 1);
		caption.replaceChildren(`Step ${step + 1}, `, h("b", {}, clock.text(shares.places[step])));
		body.replaceChildren(...rows(shares, step));
	};
	const load = async () => {
		shares = sharesOf(await ahead("explanation", id, known()), target(), clock);
		host.hidden = shares.places.length < 2;
		const data = [shares.places, shares.level, shares.point, shares.top, shares.bottom];
		if (plot) plot.setData(data);
		else if (!host.hidden) plot = draw(host, clock, data, () => shares, tell);
		tell();
		return [host, h("table", {}, caption, body)];
	};
	const section = drawer("explanation", "What the forecast comes from", "its level, and what lifts and lowers it", load);
	return { ...section, destroy: () => plot?.destroy() };
}

/** Of one target the level and the other parts, the largest first; those beyond the colours as one. */
function sharesOf({ times, statecast, parts }, target, clock) {
	const column = (list) => (Array.isArray(list) ? list : part(list, target));
	const sum = (list, of) => list.reduce((total, x) => total + of(x), 0);
	const size = ({ amounts }) => sum(amounts, Math.abs);
	const [level, ...others] = parts.map(({ name, amounts }) => ({ name, amounts: column(amounts) }));
	const used = others.filter(size).sort((a, b) => size(b) - size(a));
	const rest = used.length > COLOURS.length ? used.splice(COLOURS.length - 1) : [];
	if (rest.length) used.push({ name: "everything else", amounts: times.map((_, n) => sum(rest, (one) => one.amounts[n])) });
	const end = (side) => level.amounts.map((x, n) => x + sum(used, (one) => side(0, one.amounts[n])));
	return {
		places: times.map((time) => clock.place(time)), point: column(statecast), level: level.amounts,
		used, top: end(Math.max), bottom: end(Math.min),
	};
}

function draw(host, clock, data, shares, moved) {
	const half = ({ data: [places] }) => (0.6 * (places.at(-1) - places[0])) / (places.length - 1);
	return chart(host, {
		height: 220, series: [{}, line("soft", 1, { dash: [4, 3] }), line("ink", 1.8, { points: { show: true, size: 5 } }), line(null, 0), line(null, 0)],
		scales: { x: { time: clock.dated, range: (plot, least, most) => [least - half(plot), most + half(plot)] } }, tzDate: (place) => clock.date(place),
		cursor: { points: { show: false }, drag: { x: false }, y: false }, axes: [axis(clock), values()],
		hooks: { drawAxes: [(plot) => bars(plot, shares())], setCursor: [moved] },
	}, data);
}

function bars(plot, { places, level, used }) {
	const [x, y] = ["x", "y"].map((scale) => (value) => plot.valToPos(value, scale, true));
	const width = 0.7 * (x(places[1]) - x(places[0]));
	places.forEach((place, n) => {
		const ends = [level[n], level[n]]; // above and below
		used.forEach(({ amounts }, k) => {
			const side = amounts[n] < 0 ? 1 : 0;
			const begin = y(ends[side]);
			plot.ctx.fillStyle = COLOURS[k];
			plot.ctx.fillRect(x(place) - width / 2, begin, width, y((ends[side] += amounts[n])) - begin);
		});
	});
}

/** One step in numbers: the level, each part, and their sum. */
function rows({ level, used, point }, step) {
	let end = level[step];
	const ends = [end, ...used.map(({ amounts }) => (end += amounts[step]))];
	const least = Math.min(...ends);
	const scale = 100 / (Math.max(...ends) - least || 1);
	const bar = (a, b, fill) => s("svg", { viewBox: "0 0 100 1", preserveAspectRatio: "none", "aria-hidden": "true" },
		s("rect", { x: scale * (Math.min(a, b) - least), width: Math.max(0.6, scale * Math.abs(b - a)), height: 1, fill }));
	const row = (name, value, drawn, kind) => h("tr", { class: kind }, h("th", { scope: "row" }, name), h("td", {}, value), h("td", {}, drawn));
	const decimals = decimalsOf(ends.map((x) => Number(x.toPrecision(5))));
	const signed = (x) => `${x > 0 ? "+" : ""}${number(x, decimals)}`;
	return [
		row("level", number(level[step], decimals)),
		...used.map(({ name, amounts }, k) => row(name, signed(amounts[step]), bar(ends[k], ends[k + 1], COLOURS[k]))),
		row("forecast", number(point[step], decimals), null, "sum"),
	];
}
