// The first page: how the server is doing, what is unusual, and the table of all series.

import { item } from "./alarms.js";
import { axis, chart, colour, values } from "./charts.js";
import { stamp } from "./clock.js";
import { h, say } from "./dom.js";
import { welcome } from "./empty.js";
import { bytes, count, milliseconds, rate, skill } from "./format.js";
import { ask, Refusal } from "./server.js";
import { SeriesTable } from "./table.js";

const SPAN = 300; // seconds of the charts
const ALARMS = 50; // that the list holds
const CALM = 3000; // milliseconds between two looks at the rows in sight

export class Overview {
	#looked = 0;
	#alarms = [];

	constructor(context, open) {
		this.context = context;
		this.table = new SeriesTable(context, open);
		this.tiles = Object.fromEntries(TILES.map(([key, label]) => [key, tile(label)]));
		this.trace = traceOf(context.status);
		this.rates = h("div", { class: "plot", tabindex: "0", role: "img", "aria-label": "Rows a second over the last five minutes" });
		this.delays = h("div", { class: "plot", tabindex: "0", role: "img", "aria-label": "Milliseconds to acknowledge over the last five minutes" });
		this.list = h("ol", { class: "alarm-list", tabindex: "0", "aria-label": "Latest alarms" });
		this.quiet = h("p", { class: "nothing" }, "No alarms. An unusual value, a change or a series that falls silent is listed here.");
		this.welcome = welcome(context.status);
		this.full = h("div", { class: "stack" },
			h("div", { class: "pair" },
				h("section", { class: "card" }, this.#figure("Rows a second", "rate", this.rates), this.#figure("Answered within, ms", "delay", this.delays)),
				h("section", { class: "card alarms", "aria-labelledby": "alarms-title" }, h("h2", { id: "alarms-title" }, "Alarms"), this.list, this.quiet)),
			this.table.element);
		this.element = h("div", { class: "stack" },
			h("h1", { class: "sr-only" }, "Overview"), h("div", { class: "tiles" }, Object.values(this.tiles).map((one) => one.element)), this.welcome, this.full);
	}

	#figure(title, key, host) {
		const readout = (this[`${key}Readout`] = h("span", { class: "soft readout" }));
		return h("div", { class: "figure" }, h("h2", {}, title, readout), host);
	}

	/** Builds what needs a width; call it once the element is on the page. */
	async mount() {
		const sync = { key: "overview" };
		const draw = (host, height, series, readout) => chart(host, {
			height, series: [{}, ...series.map((one) => ({ points: { show: false }, ...one }))], cursor: { sync, y: false, points: { size: 6 }, drag: { x: false, y: false } },
			scales: {
				x: { range: (_, low, high) => [(high ?? 0) - SPAN, high ?? 0] },
				y: { range: (_, low, high) => [0, high > 0 ? high * 1.15 : 1] },
			},
			axes: [axis({ space: 60, size: 26, values: (_, places) => places.map((place) => stamp(place).slice(11, 16)), incrs: [60, 120, 300] }), values({ space: 26, size: 60 })],
			hooks: { setCursor: [(plot) => say(readout, this.#read(plot, series))] },
		}, this.#columns(series));
		this.rateSeries = [{ key: "rate", stroke: () => colour("mark"), fill: () => colour("wash"), width: 1.5, text: (x) => `${rate(x)}` }];
		this.delaySeries = [
			{ key: "p99", stroke: () => colour("mark"), width: 1.5, text: (x) => `99 % ${milliseconds(x)}` },
			{ key: "p50", stroke: () => colour("soft"), width: 1.2, dash: [4, 3], text: (x) => `half ${milliseconds(x)}` },
		];
		this.ratePlot = draw(this.rates, 118, this.rateSeries, this.rateReadout);
		this.delayPlot = draw(this.delays, 118, this.delaySeries, this.delayReadout);
		this.show(this.context.status);
		await Promise.all([this.table.reload(), this.#fetchAlarms()]);
	}

	#columns(series) {
		return [this.trace.time, ...series.map(({ key }) => this.trace[key].map((x) => (x === null || key === "rate" ? x : 1000 * x)))];
	}

	#read(plot, series) {
		const at = plot.cursor.idx ?? this.trace.time.length - 1;
		const texts = series.map(({ key, text }) => text(this.trace[key][at]));
		const time = plot.cursor.idx === null || plot.cursor.idx === undefined ? "" : ` at ${stamp(this.trace.time[at]).slice(11)}`;
		return this.trace.time.length ? texts.join(", ") + time : "";
	}

	/** A status came. */
	status(status) {
		append(this.trace, status);
		this.show(status);
		if (status.seq !== this.seq && Date.now() - this.#looked > CALM && this.element.isConnected && this.ratePlot) {
			this.#looked = Date.now();
			this.seq = status.seq;
			this.table.refresh();
		}
	}

	show(status) {
		for (const [key, , values] of TILES) this.tiles[key].set(...values(status));
		const empty = !status.series;
		this.welcome.hidden = !empty;
		this.full.hidden = empty;
		if (!this.ratePlot || empty) return;
		this.ratePlot.setData(this.#columns(this.rateSeries));
		this.delayPlot.setData(this.#columns(this.delaySeries));
		say(this.rateReadout, this.#read(this.ratePlot, this.rateSeries));
		say(this.delayReadout, this.#read(this.delayPlot, this.delaySeries));
	}

	/** An alarm came. */
	alarm(alarm) {
		this.#alarms = [alarm, ...this.#alarms.filter((other) => other.seq !== alarm.seq || other.id !== alarm.id || other.kind !== alarm.kind)].slice(0, ALARMS);
		this.#list();
	}

	async #fetchAlarms() {
		try {
			this.#alarms = (await ask("v1/alarms", { limit: ALARMS })).alarms;
		} catch (error) {
			if (!(error instanceof Refusal)) throw error;
			this.context.fail(error);
		}
		this.#list();
	}

	#list() {
		const { clock, status } = this.context;
		this.list.replaceChildren(...this.#alarms.map((alarm) => item(alarm, clock, status.model.targets[0], true)));
		this.list.hidden = !this.#alarms.length;
		this.quiet.hidden = this.#alarms.length > 0;
	}

	/** Asks for everything anew: after a lost connection, in another zone. */
	async again() {
		this.trace = traceOf(this.context.status);
		this.show(this.context.status);
		await Promise.all([this.table.refresh(), this.#fetchAlarms()]);
	}
}

const TILES = [
	["rate", "Rows a second", (s) => [rate(s.rate), "", `${count(s.observations)} in all`]],
	["latency", "Answered within", (s) => [milliseconds(s.latency?.p99), "ms", s.latency?.p50 == null ? "99 % of rows" : `99 % of rows; half ${milliseconds(s.latency.p50)} ms`]],
	["series", "Series", (s) => [count(s.series), "", sizes(s)]],
	["alarms", "Alarms", (s) => [count(s.alarms), "", s.alarms ? "in all" : "all quiet", s.alarms ? "alarm" : ""]],
	["skill", "Skill over naive", (s) => [skill(s.skill), "", s.skill == null ? "known after a few rows" : "live, all series, one step ahead", s.skill > 0 ? "good" : s.skill < 0 ? "bad" : ""]],
];

function sizes(status) {
	const total = Object.values(status.sizes ?? {}).reduce((sum, size) => sum + (size ?? 0), 0);
	return total ? `${bytes(total)} on disk` : "each with its own state";
}

function tile(label) {
	const value = h("b");
	const unit = h("small");
	const note = h("span", { class: "note" });
	const element = h("div", { class: "tile" }, h("span", { class: "label" }, label), h("div", { class: "figure-value" }, value, unit), note);
	const set = (text, unitText, noteText, kind = "") => {
		say(value, text);
		say(unit, text === "–" ? "" : unitText);
		say(note, noteText);
		value.className = kind;
	};
	return { element, set };
}

/** The last five minutes as the server remembers them, as columns. */
function traceOf(status) {
	const { step = 2, rate: rates = [], p50 = [], p99 = [] } = status.trace ?? {};
	const time = rates.map((_, n) => status.now - step * (rates.length - 1 - n));
	return { time, rate: [...rates], p50: [...p50], p99: [...p99] };
}

function append(trace, status) {
	if (trace.time.length && status.now <= trace.time.at(-1)) return;
	const row = { time: status.now, rate: status.rate ?? null, p50: status.latency?.p50 ?? null, p99: status.latency?.p99 ?? null };
	for (const [key, value] of Object.entries(row)) trace[key].push(value);
	while (trace.time[0] < status.now - SPAN) for (const column of Object.values(trace)) column.shift();
}
