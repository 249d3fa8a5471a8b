// The table of all series. The server searches and sorts; the page asks for a hundred rows at a time around what is in
// sight, so a million series are as quick as ten.

import { h, icon, ICONS, say } from "./dom.js";
import { ago, count, decimalsOf, error as meanError, number, score, skill } from "./format.js";
import { RowWindow } from "./scroll.js";
import { ask, Refusal } from "./server.js";
import { draw, spark } from "./spark.js";

const CHUNK = 100;
const MOST_CHUNKS = 60; // that are remembered
const RECENT = 40; // values of a sparkline
const WAIT = 150; // milliseconds after the last key of a search, and after a jump of the scroll bar

const COLUMNS = [
	{ key: "id", name: "Series", sort: "id", hint: "Series, in the order of their names" },
	{ key: "recent", name: "Last values" },
	{ key: "value", name: "Last value", sort: "value", numeric: true },
	{ key: "time", name: "Time", sort: "time", numeric: true, hint: "Time of the last row" },
	{ key: "count", name: "Rows", sort: "count", numeric: true },
	{ key: "error", name: "Error", sort: "error", numeric: true, hint: "Mean absolute error of the last one-step forecasts" },
	{ key: "skill", name: "Skill", sort: "skill", numeric: true, hint: "1 − error / error of the naive forecast: above zero is better than naive" },
	{ key: "score", name: "Score", sort: "score", numeric: true, hint: "How far the last value lay from its forecast, in standard deviations" },
	{ key: "alarms", name: "Alarms", sort: "alarms", numeric: true },
];

/** A number of a summary, for one of several targets. */
export function part(value, target) {
	return value !== null && typeof value === "object" ? (value[target] ?? null) : (value ?? null);
}

export class SeriesTable {
	#chunks = new Map();
	#loading = new Map();
	#query = { contains: "", sort: "id", descending: false };
	#rows = [];
	#sight = [0, -1];
	#jump = 0;
	#typing = 0;
	#hovered = false;
	#version = 0;

	/**
	 * @param context of the page: status, clock, fail.
	 * @param open called with a series' id when it is chosen.
	 */
	constructor(context, open) {
		Object.assign(this, { context, open, total: null, active: -1 });
		this.target = context.status.model.targets[0];
		this.search = h("input", {
			type: "search", id: "search", placeholder: "Find a series", autocomplete: "off", spellcheck: "false",
			"aria-label": "Find series whose names contain this", "aria-keyshortcuts": "/",
			oninput: () => this.#searched(), onkeydown: (event) => this.#searchKey(event),
		});
		this.order = h("select", { "aria-label": "Sort by", class: "order", onchange: () => this.sortBy(this.order.value) },
			COLUMNS.filter((column) => column.sort).map((column) => h("option", { value: column.sort }, `Sort by ${column.name.toLowerCase()}`)));
		this.summary = h("p", { class: "soft", "aria-live": "polite" });
		this.body = h("div", { class: "rows", role: "presentation" });
		this.heads = COLUMNS.map((column) => this.#head(column));
		this.view = h("div", {
			class: "grid", role: "grid", tabindex: "0", id: "series", "aria-label": "Series", "aria-colcount": COLUMNS.length,
			onkeydown: (event) => this.#key(event), onfocus: () => this.#focused(),
			onpointerenter: () => (this.#hovered = true), onpointerleave: () => (this.#hovered = false),
		}, h("div", { class: "head", role: "row", "aria-rowindex": 1 }, this.heads), this.body);
		this.nothing = h("div", { class: "nothing", hidden: true });
		this.element = h("section", { class: "card table", "aria-labelledby": "series-title" },
			h("div", { class: "bar" }, h("h2", { id: "series-title" }, "Series"), this.summary,
				h("label", { class: "search", for: "search" }, icon(ICONS.search), this.search, h("kbd", { "aria-hidden": "true" }, "/")), this.order),
			this.view, this.nothing);
		this.window = new RowWindow(this.view, this.body, (first, last, place) => this.#draw(first, last, place));
		this.narrow = matchMedia("(max-width: 44rem)");
		this.narrow.addEventListener("change", () => this.#resize());
		this.#markOrder();
	}

	#head(column) {
		if (!column.sort) return h("div", { role: "columnheader", class: `cell ${column.key}` }, column.name);
		const button = h("button", { type: "button", title: column.hint, onclick: () => this.sortBy(column.sort) },
			column.name, h("span", { class: "arrow", "aria-hidden": "true" }));
		return h("div", { role: "columnheader", class: `cell ${column.key}${column.numeric ? " numeric" : ""}`, "data-sort": column.sort }, button);
	}

	#markOrder() {
		const { sort, descending } = this.#query;
		for (const head of this.heads.filter((element) => element.dataset.sort)) {
			const current = head.dataset.sort === sort;
			head.setAttribute("aria-sort", current ? (descending ? "descending" : "ascending") : "none");
			say(head.querySelector(".arrow"), current ? (descending ? "↓" : "↑") : "");
		}
		this.order.value = sort;
	}

	/** Sorts by a column; a second time the other way around. Numbers begin with the largest, names with the first. */
	sortBy(sort) {
		const again = this.#query.sort === sort;
		this.#query = { ...this.#query, sort, descending: again ? !this.#query.descending : sort !== "id" };
		this.#markOrder();
		return this.reload();
	}

	#searched() {
		clearTimeout(this.#typing);
		this.#typing = setTimeout(() => {
			this.#query = { ...this.#query, contains: this.search.value };
			this.reload();
		}, WAIT);
	}

	#searchKey(event) {
		if (event.key === "Escape") {
			if (this.search.value) {
				this.search.value = "";
				this.#searched();
			} else {
				this.search.blur();
			}
			event.stopPropagation();
		} else if (event.key === "ArrowDown" || event.key === "Enter") {
			event.preventDefault();
			if (event.key === "Enter" && this.total === 1) this.#choose(0);
			else this.view.focus();
		}
	}

	/** Forgets all rows and shows the first ones of the order and search that hold now. */
	async reload() {
		this.#version += 1;
		for (const request of this.#loading.values()) request.abort();
		this.#loading.clear();
		this.active = -1;
		this.view.scrollTop = 0;
		await this.#load(0, new Map());
		if (document.activeElement === this.view) this.#focused();
	}

	/** Asks again for the rows in sight. An order that changes by itself rests while the pointer is on the rows. */
	async refresh() {
		if (this.#hovered && this.#query.sort !== "id") return;
		const [first, last] = this.#sight.map((index) => Math.floor(Math.max(0, index) / CHUNK));
		for (const chunk of [...this.#chunks.keys()]) if (chunk < first || chunk > last) this.#chunks.delete(chunk);
		for (let chunk = first; chunk <= last; chunk++) await this.#load(chunk);
	}

	async #load(chunk, chunks = this.#chunks) {
		if (this.#loading.has(chunk)) return;
		const request = new AbortController();
		const version = this.#version;
		this.#loading.set(chunk, request);
		try {
			const parameters = { ...this.#query, offset: chunk * CHUNK, limit: CHUNK, recent: RECENT };
			const page = await ask("v1/series", parameters, request.signal);
			if (version !== this.#version) return;
			chunks.set(chunk, page.series);
			while (chunks.size > MOST_CHUNKS) chunks.delete(chunks.keys().next().value);
			this.#chunks = chunks;
			this.#counted(page.total);
		} catch (error) {
			if (error instanceof Refusal) this.context.fail(error);
			else if (error.name !== "AbortError") throw error;
		} finally {
			if (this.#loading.get(chunk) === request) this.#loading.delete(chunk);
		}
	}

	#counted(total) {
		this.total = total;
		const { contains } = this.#query;
		say(this.summary, contains ? `${count(total)} with “${contains}”` : count(total));
		this.view.setAttribute("aria-rowcount", total + 1);
		this.view.hidden = total === 0;
		this.nothing.hidden = total !== 0;
		if (!total) this.nothing.replaceChildren(h("p", {}, `No name has “${contains}” in it.`), h("button", { type: "button", onclick: () => this.clear() }, "Show all series"));
		this.#resize();
	}

	/** Ends the search. */
	clear() {
		this.search.value = "";
		this.#query = { ...this.#query, contains: "" };
		this.search.focus();
		return this.reload();
	}

	#resize() {
		const height = this.narrow.matches ? 60 : 44;
		this.view.style.setProperty("--rows", Math.min(this.total ?? 0, 14));
		this.window.resize(this.total ?? 0, height);
	}

	#summary(index) {
		return this.#chunks.get(Math.floor(index / CHUNK))?.[index % CHUNK] ?? null;
	}

	#draw(first, last, place) {
		this.#sight = [first, last];
		while (this.#rows.length < last - first + 1) this.#rows.push(this.#row());
		this.#rows.forEach((row, n) => {
			const index = first + n;
			const inside = index <= last;
			if (inside !== row.element.isConnected) inside ? this.body.append(row.element) : row.element.remove();
			if (inside) this.#fill(row, index, place + n * this.window.height);
		});
		if (this.#rows.slice(0, last - first + 1).some((row) => row.summary === null)) {
			clearTimeout(this.#jump);
			this.#jump = setTimeout(() => this.#fetchSight(), this.#loading.size ? WAIT : 20);
		}
	}

	#fetchSight() {
		const [first, last] = this.#sight.map((index) => Math.floor(index / CHUNK));
		for (const [chunk, request] of this.#loading) if (chunk < first || chunk > last) request.abort();
		for (let chunk = first; chunk <= last; chunk++) if (!this.#chunks.has(chunk)) this.#load(chunk);
	}

	#row() {
		const link = h("a", { tabindex: "-1" });
		const line = spark();
		const cells = COLUMNS.map((column) => {
			const content = column.key === "id" ? link : column.key === "recent" ? line : null;
			return h("div", { role: "gridcell", class: `cell ${column.key}${column.numeric ? " numeric" : ""}` }, content);
		});
		const row = { element: h("div", { class: "row", role: "row" }, cells), cells, link, line, summary: null, index: -1 };
		row.element.addEventListener("click", (event) => {
			if (event.target.closest("a") && (event.ctrlKey || event.metaKey || event.shiftKey)) return;
			event.preventDefault();
			this.#choose(row.index);
		});
		return row;
	}

	#fill(row, index, place) {
		row.element.style.transform = `translateY(${place}px)`;
		const summary = this.#summary(index);
		if (row.index !== index) {
			row.index = index;
			row.element.id = `row-${index}`;
			row.element.setAttribute("aria-rowindex", index + 2);
		}
		row.element.classList.toggle("active", index === this.active);
		row.element.setAttribute("aria-selected", index === this.active);
		if (summary === row.summary) return;
		const fresh = row.summary?.id === summary?.id && row.summary !== null && row.summary.count !== summary.count;
		row.summary = summary;
		row.element.classList.toggle("waiting", summary === null);
		row.element.classList.toggle("fresh", fresh);
		if (summary) this.#write(row, summary);
	}

	#write({ cells, link, line }, summary) {
		const { clock } = this.context;
		const value = (key) => part(summary[key], this.target);
		const recent = (Array.isArray(summary.recent) ? summary.recent : summary.recent?.[this.target]) ?? [];
		const texts = {
			value: number(value("value"), decimalsOf(recent)), time: clock.text(clock.place(summary.time)), count: count(summary.count),
			error: meanError(part(summary.error?.statecast, this.target)), skill: skill(value("skill")),
			score: score(value("score")), alarms: summary.alarms ? count(summary.alarms) : "–",
		};
		say(link, String(summary.id));
		link.href = `#/series/${encodeURIComponent(summary.id)}`;
		link.title = String(summary.id);
		draw(line, recent, Boolean(summary.unusual));
		COLUMNS.forEach((column, n) => column.key in texts && say(cells[n], texts[column.key]));
		const cell = (key) => cells[COLUMNS.findIndex((column) => column.key === key)];
		cell("time").title = typeof summary.age === "number" ? `Came ${ago(summary.age)}` : "";
		cell("skill").classList.toggle("good", value("skill") > 0);
		cell("skill").classList.toggle("bad", value("skill") < 0);
		cell("score").classList.toggle("alarm", Boolean(summary.unusual));
		cell("alarms").classList.toggle("alarm", summary.alarms > 0);
	}

	#focused() {
		if (this.active < 0 && this.total) this.#activate(Math.min(this.#sight[0] + (this.#sight[0] ? 4 : 0), this.total - 1));
	}

	#activate(index) {
		this.active = Math.max(0, Math.min(index, this.total - 1));
		this.view.setAttribute("aria-activedescendant", `row-${this.active}`);
		this.window.show(this.active);
		this.window.update();
	}

	#key(event) {
		if (event.target !== this.view || event.ctrlKey || event.metaKey || event.altKey) return;
		const page = this.window.page;
		const targets = {
			ArrowDown: this.active + 1, ArrowUp: this.active - 1, PageDown: this.active + page, PageUp: this.active - page,
			Home: 0, End: this.total - 1,
		};
		if (event.key in targets) this.#activate(targets[event.key]);
		else if (event.key === "Enter") this.#choose(this.active);
		else return;
		event.preventDefault();
	}

	#choose(index) {
		const summary = this.#summary(index);
		if (!summary) return;
		this.active = index;
		this.open(summary.id);
	}

	/** The series before (−1) or after (1) the chosen one in the table's order; null at its ends and where unknown. */
	async neighbour(step) {
		const index = this.active + step;
		if (this.active < 0 || index < 0 || index >= this.total) return null;
		if (!this.#summary(index)) await this.#load(Math.floor(index / CHUNK));
		const summary = this.#summary(index);
		if (summary) this.#activate(index);
		return summary?.id ?? null;
	}
}
