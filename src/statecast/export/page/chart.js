"use strict";

// The last values of a series, and its forecast with the bands of its intervals.

const LAST = 120; // rows that are drawn

const colour = (name) => {
	const probe = document.createElement("span");
	probe.style.color = `var(--${name})`;
	document.body.append(probe);
	const value = getComputedStyle(probe).color;
	probe.remove();
	return value;
};

class Chart {
	constructor(host, times, levels) {
		Object.assign(this, { host, times, levels: [...levels].sort((a, b) => b - a), moments: [], plot: null });
		new ResizeObserver(() => this.plot?.setSize({ width: this.#width(), height: 280 })).observe(host);
		matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.redraw());
	}

	redraw() {
		this.plot?.redraw(false, true);
	}

	#width() {
		return Math.max(240, Math.floor(this.host.clientWidth));
	}

	/**
	 * @param rows what was observed: [time, value].
	 * @param ahead what is forecast: { time, value, bounds: { level: [lower, upper] } }.
	 */
	draw(rows, ahead) {
		const past = rows.slice(-LAST);
		this.moments = [...past.map(([time]) => time), ...ahead.map((step) => step.time)];
		const blank = (count) => Array(count).fill(null);
		const joint = past.length && ahead.length ? [past.at(-1)[1]] : [];
		const lead = past.length - joint.length;
		const clean = (value) => (Number.isNaN(value) ? null : value);
		const line = (numbers) => [...blank(lead), ...joint.map(clean), ...numbers];
		const data = [this.moments.map((_, n) => n), [...past.map(([, value]) => clean(value)), ...blank(ahead.length)]];
		for (const level of this.levels) {
			data.push(line(ahead.map((step) => step.bounds[level][0])), line(ahead.map((step) => step.bounds[level][1])));
		}
		data.push(line(ahead.map((step) => step.value)));
		if (this.plot) this.plot.setData(data);
		else this.plot = new uPlot(this.#options(), data, this.host);
	}

	#options() {
		const font = '12px system-ui, -apple-system, "Segoe UI", Roboto, "Liberation Sans", sans-serif';
		const axis = { stroke: () => colour("soft"), font, grid: { stroke: () => colour("line"), width: 1 }, ticks: { show: false }, gap: 8 };
		// A time that would not fit beside the edge is left out.
		const label = (plot, n) => {
			const text = Number.isInteger(n) && this.moments[n] !== undefined ? this.times.format(this.moments[n]) : "";
			const place = plot.valToPos(n, "x") + plot.over.offsetLeft;
			const half = 3.5 * text.length;
			return place > half && place + half < plot.width ? text : "";
		};
		const edge = () => ({ stroke: "transparent", width: 0, points: { show: false } });
		const bands = this.levels.map((_, n) => ({ series: [3 + 2 * n, 2 + 2 * n], fill: () => colour(n < this.levels.length - 1 || this.levels.length === 1 ? "band-wide" : "band") }));
		return {
			width: this.#width(), height: 280, padding: [10, 12, 0, 0], legend: { show: false }, bands,
			scales: { x: { time: false } },
			cursor: { y: false, drag: { x: false, y: false } },
			axes: [
				{ ...axis, space: 120, size: 30, values: (plot, ticks) => ticks.map((n) => label(plot, n)) },
				{ ...axis, size: (_, texts) => 16 + 7 * Math.max(3, ...(texts ?? []).map((text) => text.length)) },
			],
			series: [
				{},
				{ stroke: () => colour("ink"), width: 1.5, points: { show: this.moments.length < 40, size: 4, fill: () => colour("ink") } },
				...this.levels.flatMap(() => [edge(), edge()]),
				{ stroke: () => colour("mark"), width: 2, points: { show: true, size: 5, fill: () => colour("mark") } },
			],
		};
	}
}
