// One series: its last value, how good its forecasts have been, the picture, the rows in figures, its alarms, its gates.

import { item } from "./alarms.js";
import { h, icon, ICONS, say } from "./dom.js";
import { explanation } from "./explanation.js";
import { ago, count, decimalsOf, error as meanError, number, score, skill } from "./format.js";
import { gates } from "./gates.js";
import { knownAhead } from "./known.js";
import { columns, futureOf, pastOf, picture } from "./picture.js";
import { ahead, ask, Refusal, seriesPath } from "./server.js";
import { part } from "./table.js";

const PAST = 500; // rows of the picture
const ROWS = 50; // of the table below it
const PAUSE = 700; // milliseconds between two looks while observations come

export class SeriesView {
	#pause = 0;
	#busy = false;
	#missed = false;
	#range = 150; // rows shown, or null for all

	/**
	 * @param context of the page.
	 * @param id of the series.
	 * @param move called with −1 or 1 for the series before or after.
	 */
	constructor(context, id, move) {
		Object.assign(this, { context, id, summary: null, history: null, forecast: null });
		const { model } = context.status;
		this.target = model.targets[0];
		this.name = h("h1", {}, String(id));
		this.last = h("p", { class: "soft last" });
		this.facts = h("dl", { class: "facts" });
		this.host = h("div", { class: "plot tall", tabindex: "0", role: "img" });
		this.readout = h("div", { class: "readout", "aria-live": "off" });
		this.spans = h("div", { class: "switch", role: "group", "aria-label": "Rows shown" });
		this.rows = h("tbody");
		this.head = h("thead");
		this.list = h("ol", { class: "alarm-list" });
		this.quiet = h("p", { class: "nothing" }, "No alarms among the rows shown.");
		this.known = knownAhead(model, () => this.#fetch());
		this.gates = gates(id, context.clock);
		this.parts = explanation(id, context.clock, () => this.target, this.known.values);
		this.message = h("p", { class: "card nothing", hidden: true });
		const step = (by, path, words) => h("button", { type: "button", class: "quiet", title: words, "aria-label": words, onclick: () => move(by) }, icon(path));
		this.body = h("div", { class: "stack" },
			h("section", { class: "card" }, this.facts),
			h("section", { class: "card", "aria-labelledby": "picture-title" },
				h("div", { class: "bar" }, h("h2", { id: "picture-title" }, "Past and forecast"), this.#targets(model.targets), this.spans), this.readout, this.host, this.#legend(model), this.known.element),
			h("div", { class: "pair" },
				h("section", { class: "card", "aria-labelledby": "rows-title" }, h("h2", { id: "rows-title" }, "Forecast before, and what came"),
					h("div", { class: "wide", tabindex: "0", role: "region", "aria-labelledby": "rows-title" }, h("table", {}, this.head, this.rows))),
				h("section", { class: "card alarms", "aria-labelledby": "series-alarms" }, h("h2", { id: "series-alarms" }, "Alarms"), this.list, this.quiet)),
			this.parts.element, this.gates.element);
		this.element = h("div", { class: "stack" },
			h("nav", { class: "crumbs", "aria-label": "Where you are" }, h("a", { href: "#/", "aria-keyshortcuts": "Escape" }, icon(ICONS.back), "All series"),
				h("span", { class: "steps" }, step(-1, ICONS.before, "Series before (←)"), step(1, ICONS.after, "Series after (→)"))),
			h("header", { class: "title" }, this.name, this.last), this.message, this.body);
	}

	#targets(names) {
		if (names.length < 2) return null;
		const choose = (name, button) => {
			this.target = name;
			for (const other of group.children) other.setAttribute("aria-pressed", other === button);
			this.#rebuild();
		};
		const group = h("div", { class: "switch", role: "group", "aria-label": "Column" },
			names.map((name) => h("button", { type: "button", "aria-pressed": name === this.target, onclick: (event) => choose(name, event.currentTarget) }, name)));
		return group;
	}

	#legend(model) {
		const key = (kind, words) => h("li", {}, h("span", { class: `key ${kind}`, "aria-hidden": "true" }), words);
		const levels = [...model.levels].sort((a, b) => a - b);
		return h("ul", { class: "legend" },
			key("ink", "what came"), key("dash", "forecast one step before"), key("mark", "forecast now"),
			levels.slice(0, 2).map((level, n) => key(n ? "band-wide" : "band", `${level} % interval`)), key("ring", "unusual"));
	}

	async mount() {
		document.title = `${this.id} · statecast`;
		await this.#fetch();
	}

	unmount() {
		clearTimeout(this.#pause);
		this.plot?.destroy();
		this.plot = null;
		this.parts.destroy();
	}

	status() {
		if (this.summary && this.received) this.#tellLast();
	}

	alarm(alarm) {
		if (String(alarm.id) === String(this.id)) this.observation();
	}

	/** A row of this series came: look again, but not more than once in a while. */
	observation() {
		clearTimeout(this.#pause);
		if (this.#busy) this.#missed = true;
		else this.#pause = setTimeout(() => this.#fetch(), Math.max(0, PAUSE - (Date.now() - (this.received ?? 0))));
	}

	again() {
		return this.#fetch();
	}

	/** In another zone, everything is written anew. */
	rezone() {
		this.#rebuild();
	}

	async #fetch() {
		this.#busy = true;
		this.#missed = false;
		try {
			[this.summary, this.history, this.forecast] = await Promise.all([
				ask(seriesPath(this.id)), ask(seriesPath(this.id, "/history"), { limit: PAST }), this.#ahead(),
			]);
			this.received = Date.now();
			this.message.hidden = true;
			this.body.hidden = false;
			this.element.isConnected && this.#show();
		} catch (error) {
			if (!(error instanceof Refusal)) throw error;
			if (error.status === 404) this.#unknown(error.message);
			else this.context.fail(error);
		} finally {
			this.#busy = false;
			if (this.#missed) this.observation();
		}
	}

	/** The forecast, or null where it needs what only the sender knows, such as covariates of the days ahead. */
	async #ahead() {
		try {
			const answer = await ahead("forecast", this.id, this.known.values());
			this.refusal = null;
			return answer;
		} catch (error) {
			if (!(error instanceof Refusal) || error.status === 0 || error.status === 401 || error.status === 404) throw error;
			this.refusal = error.message;
			return null;
		}
	}

	#unknown(words) {
		say(this.message, words);
		this.message.hidden = false;
		this.body.hidden = true;
	}

	#rebuild() {
		this.plot?.destroy();
		this.plot = null;
		if (this.history) this.#show();
	}

	#show() {
		const { clock } = this.context;
		this.past = pastOf(this.history, this.target, clock);
		this.future = futureOf(this.forecast, this.target, clock);
		this.decimals = decimalsOf(this.past.value);
		this.marks = (this.history.alarms ?? []).map((alarm) => ({
			kind: alarm.kind, place: clock.place(alarm.time), since: alarm.since == null ? null : clock.place(alarm.since),
			value: this.past.value[this.past.time.indexOf(clock.place(alarm.time))] ?? null,
		}));
		this.#tellLast();
		this.#tellFacts();
		this.#spansFor(this.past.time.length);
		this.#draw();
		this.#tellRows();
		this.#tellAlarms();
		this.parts.again();
	}

	#tellLast() {
		const { clock } = this.context;
		const age = typeof this.summary.age === "number" ? `, came ${ago(this.summary.age + (Date.now() - this.received) / 1000)}` : "";
		const value = number(part(this.summary.value, this.target), this.decimals);
		say(this.last, `${this.target} ${value} at ${clock.text(clock.place(this.summary.time))}${age}`);
	}

	#tellFacts() {
		const { error, count: rows, alarms } = this.summary;
		const value = (x) => part(x, this.target);
		const gain = value(this.summary.skill);
		const facts = [
			["Mean absolute error", meanError(value(error?.statecast)), "one step ahead, live"],
			["Naive error", meanError(value(error?.naive)), "of saying: as before"],
			...(error?.challenger === undefined ? [] : [["Challenger's error", meanError(value(error.challenger)), "of the model beside",
				value(error.challenger) < value(error.statecast) ? "good" : ""]]),
			["Skill over naive", skill(gain), "1 − error / naive error", gain > 0 ? "good" : gain < 0 ? "bad" : ""],
			["Last score", score(value(this.summary.score)), this.summary.unusual ? "unusual" : "standard deviations off", this.summary.unusual ? "alarm" : ""],
			["Rows", count(rows), "that this series has sent"],
			["Alarms", count(alarms), alarms ? "in all" : "all quiet", alarms ? "alarm" : ""],
		];
		this.facts.replaceChildren(...facts.map(([name, text, note, kind]) => h("div", {}, h("dt", {}, name), h("dd", { class: kind ?? "" }, text), h("dd", { class: "note" }, note))));
	}

	#spansFor(rows) {
		const sizes = [50, 150].filter((size) => size < rows);
		if (!sizes.includes(this.#range)) this.#range = null;
		if (this.spans.dataset.sizes === String(sizes)) return;
		this.spans.dataset.sizes = String(sizes);
		const choose = (size, button) => {
			this.#range = size;
			for (const other of this.spans.children) other.setAttribute("aria-pressed", other === button);
			this.#frame();
		};
		const buttons = [...sizes, null].map((size) => h("button", { type: "button", "aria-pressed": size === this.#range, onclick: (event) => choose(size, event.currentTarget) }, size === null ? "All" : `Last ${size}`));
		this.spans.replaceChildren(...(sizes.length ? buttons : []));
	}

	#draw() {
		if (this.plot && this.plot.series.length === 6 + 2 * this.future.bounds.length) {
			this.plot.setData(columns(this.past, this.future), false);
		} else {
			this.plot?.destroy();
			const levels = this.future.bounds;
			this.plot = picture(this.host, this.context.clock, this.past, { ...this.future, bounds: levels }, () => this.marks, () => this.#read());
		}
		this.#frame();
		this.#read();
		const words = `${this.id}: ${count(this.past.time.length)} rows up to ${this.context.clock.text(this.past.time.at(-1))}, and ${count(this.future.time.length)} steps ahead`;
		this.host.setAttribute("aria-label", words);
	}

	/** Shows as many of the last rows as were chosen, and all of the future. */
	#frame() {
		const times = this.plot.data[0];
		if (!times.length) return;
		const first = this.#range === null ? 0 : Math.max(0, this.past.time.length - this.#range);
		const pad = 0.01 * (times.at(-1) - times[first]);
		this.plot.setScale("x", { min: times[first] - pad, max: times.at(-1) + pad });
	}

	/** What stands under the cursor, in words and numbers; without one, what comes next. */
	#read() {
		if (!this.plot) return;
		const { clock } = this.context;
		const rows = this.past.time.length;
		const at = this.plot.cursor.idx ?? rows;
		const entry = (name, text, kind = "") => h("span", { class: kind }, `${name} `, h("b", {}, text));
		const n = (x) => number(x, x === null ? null : Math.min(10, this.decimals + 1));
		const range = (lower, upper) => (lower == null || upper == null ? "–" : `${n(lower)} to ${n(upper)}`);
		const parts = [entry("", clock.text(this.plot.data[0][at] ?? this.past.time.at(-1)))];
		if (at < rows) {
			parts.push(entry("came", number(this.past.value[at], this.decimals)), entry("forecast", n(this.past.forecast[at]), "mark"));
			if (this.past.level !== null) parts.push(entry(`${this.past.level} %`, range(this.past.lower[at], this.past.upper[at])));
			if (this.past.score[at] !== null) parts.push(entry("score", score(this.past.score[at])));
		} else if (this.future.time.length) {
			parts.push(entry("forecast", n(this.future.point[at - rows]), "mark"));
			for (const [level, lower, upper] of this.future.bounds.slice(0, 2)) parts.push(entry(`${level} %`, range(lower[at - rows], upper[at - rows])));
		} else if (this.refusal) {
			parts.push(h("span", {}, `No forecast: ${this.refusal}`));
		}
		this.readout.replaceChildren(...parts);
	}

	#tellRows() {
		const { clock } = this.context;
		const { time, value, forecast, lower, upper, score: scores, level } = this.past;
		const heads = ["Time", "Came", "Forecast", "Error", ...(level === null ? [] : [`In ${level} %`]), "Score"];
		this.head.replaceChildren(h("tr", {}, heads.map((name) => h("th", { scope: "col" }, name))));
		const places = Math.min(10, this.decimals + 1);
		const rows = [];
		for (let n = time.length - 1; n >= Math.max(0, time.length - ROWS); n--) {
			const known = value[n] !== null && forecast[n] !== null;
			const inside = known && lower[n] !== null && upper[n] !== null ? value[n] >= lower[n] && value[n] <= upper[n] : null;
			const unusual = this.marks.some((mark) => mark.kind === "unusual" && mark.place === time[n]);
			const cells = [number(value[n], this.decimals), number(forecast[n], places), known ? number(value[n] - forecast[n], places) : "–"];
			rows.push(h("tr", {}, h("th", { scope: "row" }, clock.text(time[n])), cells.map((text) => h("td", {}, text)),
				level === null ? null : h("td", { class: inside === false ? "bad" : "" }, inside === null ? "–" : inside ? "yes" : "no"),
				h("td", { class: unusual ? "alarm" : "" }, score(scores[n]))));
		}
		this.rows.replaceChildren(...rows);
	}

	#tellAlarms() {
		const alarms = [...(this.history.alarms ?? [])].reverse().map((alarm) => {
			const at = this.past.time.indexOf(this.context.clock.place(alarm.time));
			return { value: this.past.value[at], ...alarm };
		});
		this.list.replaceChildren(...alarms.map((alarm) => item(alarm, this.context.clock, this.target, false)));
		this.list.hidden = !alarms.length;
		this.quiet.hidden = alarms.length > 0;
	}
}

