// The picture of one series: what came, what had been forecast for it one step before, its alarms, and what comes next
// with intervals. Columns of the past and of the future stand in one table of times.

import { chart, colour, line, times, values } from "./charts.js";

const HEIGHT = { wide: 340, narrow: 260 };

/** The levels of intervals that an object holds, the narrowest first. */
export function levelsOf(forecast) {
	const keys = Object.keys(forecast ?? {}).filter((key) => key.startsWith("statecast-lo-"));
	return keys.map((key) => key.slice("statecast-lo-".length)).sort((a, b) => a - b);
}

const pick = (column, target) =>
	column === null || column === undefined ? [] : Array.isArray(column) ? column : (column[target] ?? []);

/** The past of one target as columns of numbers, oldest first: time, value, forecast, bounds of the first level, score. */
export function pastOf(history, target, clock) {
	const level = Object.keys(history.lower ?? {}).sort((a, b) => a - b)[0];
	const column = (part) => {
		const list = pick(part, target);
		return history.times.map((_, n) => list[n] ?? null);
	};
	return {
		level: level ?? null,
		time: history.times.map((time) => clock.place(time)),
		value: column(history.values),
		forecast: column(history.forecast),
		lower: column(level === undefined ? null : history.lower[level]),
		upper: column(level === undefined ? null : history.upper[level]),
		score: column(history.scores),
	};
}

/** What comes next of one target: times, point, and [level, lower, upper] of each level, the narrowest first. */
export function futureOf(forecast, target, clock) {
	if (!forecast) return { time: [], point: [], bounds: [] };
	return {
		time: forecast.times.map((time) => clock.place(time)),
		point: pick(forecast.statecast, target),
		bounds: levelsOf(forecast).map((level) => [
			level,
			pick(forecast[`statecast-lo-${level}`], target),
			pick(forecast[`statecast-hi-${level}`], target),
		]),
	};
}

/** All as columns for uPlot; forecasts start at the last value, so that the line goes on where the past ends. */
export function columns(past, future) {
	const gap = (n) => Array(n).fill(null);
	const n = past.time.length;
	const last = past.value[n - 1] ?? null;
	const after = (list) => (n ? [...gap(n - 1), last, ...list] : list);
	const before = (list) => [...list, ...gap(future.time.length)];
	return [
		[...past.time, ...future.time],
		before(past.lower), before(past.upper), before(past.forecast), before(past.value),
		...future.bounds.flatMap(([, lower, upper]) => [after(lower), after(upper)]),
		after(future.point),
	];
}

/** Draws the picture; `marks` gives the alarms as {place, value, kind, since} at the time of drawing. */
export function picture(host, clock, past, future, marks, moved) {
	const edge = line(null, 0);
	const series = [
		{}, edge, { ...edge }, line("mark", 1.25, { dash: [4, 3] }), line("ink", 1.6, { points: { show: few, size: 5 } }),
		...future.bounds.flatMap(() => [{ ...edge }, { ...edge }]), line("mark", 2.2, { points: { show: short, size: 5 } }),
	];
	const bands = [
		{ series: [2, 1], fill: () => colour("band-past") },
		...future.bounds.map((_, n) => ({ series: [6 + 2 * n, 5 + 2 * n], fill: () => colour(n ? "band-wide" : "band") })),
	];
	const height = host.clientWidth < 560 ? HEIGHT.narrow : HEIGHT.wide;
	const scales = clock.dated ? { x: { time: true } } : { x: { time: false } };
	return chart(host, {
		height, series, bands, scales, tzDate: (place) => clock.date(place),
		cursor: { points: { size: 7 }, drag: { x: true, y: false }, y: false },
		axes: [times(clock), values()],
		hooks: { drawClear: [(plot) => stretches(plot, marks(), past)], draw: [(plot) => rings(plot, marks())], setCursor: [moved] },
	}, columns(past, future));
}

const few = (plot) => plot.data[4].filter((x) => x !== null).length <= 30;
const short = (plot) => plot.data.at(-1).filter((x) => x !== null).length <= 2;

/** Below the lines: since when a series has changed or was silent, and where the future begins. */
function stretches(plot, marks, past) {
	const { ctx, bbox } = plot;
	const x = (place) => plot.valToPos(place, "x", true);
	ctx.save();
	ctx.fillStyle = colour("alarm-wash");
	for (const { kind, since, place } of marks) {
		if (kind === "unusual" || since === null) continue;
		const left = Math.max(x(since), bbox.left);
		ctx.fillRect(left, bbox.top, Math.max(2, x(place) - left), bbox.height);
	}
	const now = past.time.at(-1);
	if (now !== undefined && x(now) >= bbox.left && x(now) <= bbox.left + bbox.width) {
		ctx.strokeStyle = colour("soft");
		ctx.lineWidth = devicePixelRatio;
		ctx.setLineDash([2 * devicePixelRatio, 3 * devicePixelRatio]);
		ctx.beginPath();
		ctx.moveTo(x(now), bbox.top);
		ctx.lineTo(x(now), bbox.top + bbox.height);
		ctx.stroke();
	}
	ctx.restore();
}

/** Above the lines: a ring around each unusual value. */
function rings(plot, marks) {
	const { ctx, bbox } = plot;
	ctx.save();
	ctx.beginPath();
	ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height);
	ctx.clip();
	ctx.strokeStyle = colour("alarm");
	ctx.lineWidth = 2 * devicePixelRatio;
	for (const { kind, value, place } of marks) {
		if (kind !== "unusual" || value === null) continue;
		ctx.beginPath();
		ctx.arc(plot.valToPos(place, "x", true), plot.valToPos(value, "y", true), 5 * devicePixelRatio, 0, 2 * Math.PI);
		ctx.stroke();
	}
	ctx.restore();
}
