// What every chart has in common: the page's colours, axes, its width, and a cursor that keys can move too.

import { number } from "./format.js";

const probe = document.createElement("span");

/** A colour of the style sheet as it is now, in the light or in the dark. */
export function colour(name) {
	if (!probe.isConnected) {
		probe.hidden = true;
		document.body.append(probe);
	}
	probe.style.color = `var(--${name})`;
	return getComputedStyle(probe).color;
}

const charts = new Set();

/** Draws all charts again, after the colours changed. */
export function recolour() {
	for (const chart of charts) chart.redraw(false, true);
}
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", recolour);

const font = '12px system-ui, -apple-system, "Segoe UI", Roboto, "Liberation Sans", sans-serif';

/** An axis without a frame, with a quiet grid across. */
export function axis(options = {}) {
	const line = { stroke: () => colour("line"), width: 1 };
	return { stroke: () => colour("soft"), font, grid: line, ticks: { show: false }, gap: 8, ...options };
}

/** An axis of a clock's times. */
export function times(clock) {
	return axis({ space: 80, size: 28, values: (_, places, __, ___, step) => clock.ticks(places, step) });
}

/** A line without points, of a colour of the style sheet; none is drawn without a name. */
export function line(name, width, more = {}) {
	return { stroke: name ? () => colour(name) : undefined, width, points: { show: false }, ...more };
}

const numbers = (_, ticks) => ticks.map((tick) => (tick === null ? null : number(tick)));

/** The axis of values: on the left, as wide as its longest number. */
export function values(options = {}) {
	const size = (chart, texts) => 14 + 7 * Math.max(3, ...(texts ?? []).map((text) => text?.length ?? 0));
	return axis({ values: numbers, size, space: 36, ...options });
}

/**
 * A chart that is as wide as its host, with keys: left and right move the cursor, Home and End go to the ends, Escape
 * takes it away.
 *
 * @param host the element to draw in.
 * @param options as uPlot takes them, without a width.
 * @param data columns, the first one the times.
 */
export function chart(host, options, data) {
	const width = () => Math.max(200, Math.floor(host.clientWidth));
	const plot = new uPlot({ width: width(), legend: { show: false }, padding: [10, 12, 0, 0], ...options }, data, host);
	const observer = new ResizeObserver(() => plot.setSize({ width: width(), height: options.height }));
	const keys = (event) => moveCursor(plot, event);
	observer.observe(host);
	host.addEventListener("keydown", keys);
	charts.add(plot);
	const destroy = plot.destroy;
	plot.destroy = () => {
		observer.disconnect();
		host.removeEventListener("keydown", keys);
		charts.delete(plot);
		destroy();
	};
	return plot;
}

function moveCursor(plot, event) {
	const [first, last] = plot.series[0].idxs;
	const at = plot.cursor.idx;
	const targets = { ArrowLeft: (at ?? last + 1) - 1, ArrowRight: (at ?? first - 1) + 1, Home: first, End: last };
	if (event.key === "Escape" && at !== null && at !== undefined) {
		plot.setCursor({ left: -10, top: -10 });
	} else if (event.key in targets) {
		const index = Math.min(last, Math.max(first, targets[event.key]));
		plot.setCursor({ left: plot.valToPos(plot.data[0][index], "x"), top: plot.over.clientHeight / 2 });
	} else {
		return;
	}
	event.preventDefault();
	event.stopPropagation();
}
