"use strict";

// The page: rows go in by hand or as CSV, and the forecast follows each of them.

const find = (id) => document.getElementById(id);

const element = (name, attributes = {}, ...children) => {
	const node = Object.assign(document.createElement(name), attributes);
	node.append(...children);
	return node;
};

const shown = (value) => (Number.isFinite(value) ? String(Number(value.toPrecision(6))) : "–");

function theme() {
	const root = document.documentElement;
	const dark = getComputedStyle(root).colorScheme === "dark" || (!root.dataset.theme && matchMedia("(prefers-color-scheme: dark)").matches);
	root.dataset.theme = dark ? "light" : "dark";
}

class Page {
	constructor(network) {
		const { model } = network;
		Object.assign(this, { network, model, series: new Map(), forecast: null, busy: Promise.resolve(), request: 0 });
		this.chart = new Chart(find("chart"), network.times, model.levels);
		for (const [place, id] of model.states.ids.entries()) this.#add(String(id), place);
		if (!this.series.size) this.#add("new", -1);
		this.current = [...this.series.values()][0];
		this.#label();
		this.#fields();
		this.#listen();
	}

	#add(id, place) {
		this.series.set(id, new Series(this.network, id, place));
		find("series").append(element("option", { value: id, textContent: id }));
		return this.series.get(id);
	}

	// --- what stands on the page before any row

	#label() {
		const { columns, horizon, frequency, levels, intervals } = this.model;
		const steps = `${horizon} step${horizon > 1 ? "s" : ""}${columns.time === null ? "" : ` of ${frequency}`} ahead`;
		find("about").textContent = `${columns.target.join(", ")}, ${steps}`;
		document.title = `Forecast of ${columns.target.join(", ")}`;
		find("intervals").textContent = `Intervals: ${levels.length ? `${levels.map((level) => `${level} %`).join(", ")}; ` : ""}${intervals}.`;
		find("target-label").hidden = columns.target.length === 1;
		find("target").replaceChildren(...columns.target.map((name, n) => element("option", { value: n, textContent: name })));
		find("series-label").hidden = columns.id === null && this.series.size === 1;
		const names = [columns.id, columns.time, ...columns.target, ...[...columns.past, ...columns.known, ...columns.static].map((item) => item.name)];
		const list = names.filter((name) => name !== null);
		find("columns").textContent = `Columns: ${list.join(", ")}.${columns.known.length ? " Rows without a value at the end tell what is known ahead." : ""}`;
		if (this.model.leftOut) find("columns").textContent += ` ${this.model.leftOut} more series of the model's table are too many for this page; they begin anew.`;
		find("rows").placeholder = `${list.join(",")}\n…`;
	}

	#fields() {
		const { columns } = this.model;
		// By name, since a form's own look-up has names such as "length" for itself.
		this.entries = new Map();
		const field = (name, input) => {
			this.entries.set(name, Object.assign(input, { name }));
			return element("label", {}, name, input);
		};
		const text = (name) => field(name, element("input", { type: "text", inputMode: "decimal" }));
		const choice = (item) => field(item.name, element("select", {}, ...["", ...item.categories].map((name) => element("option", { value: name, textContent: name || "–" }))));
		const items = [...columns.past, ...columns.known, ...columns.static];
		const fields = [...columns.target.map(text), ...items.map((item) => (item.kind === "numeric" ? text(item.name) : choice(item)))];
		if (columns.time !== null) fields.unshift(field(columns.time, element("input", { type: "text", id: "time" })));
		find("fields").replaceChildren(...fields);
	}

	#listen() {
		find("row").addEventListener("submit", (event) => { event.preventDefault(); this.#do(() => this.#takeTyped()); });
		find("row").addEventListener("input", () => this.#do(() => this.#preview()));
		find("series").addEventListener("change", () => this.#do(() => this.choose(find("series").value)));
		find("target").addEventListener("change", () => this.#show());
		find("take").addEventListener("click", () => this.#do(() => this.takeText(find("rows").value)));
		find("file").addEventListener("change", () => this.#do(async () => {
			const [file] = find("file").files;
			find("file").value = "";
			if (file) await this.takeText(await file.text());
		}));
		find("undo").addEventListener("click", () => this.#do(async () => { this.current.undo(); await this.refresh(); this.#say("The last row is taken back."); }));
		find("save").addEventListener("click", () => this.#save());
		document.addEventListener("dragover", (event) => { event.preventDefault(); document.body.classList.add("dropping"); });
		document.addEventListener("dragleave", (event) => event.relatedTarget ?? document.body.classList.remove("dropping"));
		document.addEventListener("drop", (event) => {
			event.preventDefault();
			document.body.classList.remove("dropping");
			const [file] = event.dataTransfer.files;
			this.#do(async () => this.takeText(file ? await file.text() : event.dataTransfer.getData("text")));
		});
		find("theme").addEventListener("click", () => { theme(); this.chart.redraw(); });
	}

	/** One thing after another, and its error on the page. */
	#do(work) {
		this.busy = this.busy.then(work).catch((error) => this.#say(error.message, true));
		return this.busy;
	}

	#say(text, bad = false) {
		find("status").textContent = text;
		find("status").classList.toggle("bad", bad);
	}

	// --- rows

	/** Takes the rows of a CSV text, series by series; those without a target at a series' end tell what is known ahead. */
	async takeText(text) {
		const { columns, horizon } = this.model;
		const rows = tableRows(text, columns, this.network.times, this.current.id);
		const groups = Map.groupBy ? Map.groupBy(rows, (row) => row.id) : grouped(rows, (row) => row.id);
		let count = 0, done = 0;
		for (const [id, all] of groups) {
			const of = this.series.get(id) ?? this.#add(id, -1);
			if (columns.time !== null) all.sort((a, b) => (a.time < b.time ? -1 : a.time > b.time ? 1 : 0));
			let end = all.length;
			while (columns.known.length && end && all[end - 1].values.every(Number.isNaN)) end--;
			for (const row of all) if (columns.known.length && row.time !== null) of.future.set(row.time, row.covariates);
			for (const row of all.slice(0, end)) {
				await of.take(row);
				count++;
				if (++done % 500 === 0) this.#say(`${done} of ${rows.length} rows …`);
			}
			this.current = of;
		}
		find("series").value = this.current.id;
		find("series-label").hidden = columns.id === null && this.series.size === 1;
		await this.refresh();
		const ahead = rows.length - count;
		this.#say(`${count} row${count === 1 ? "" : "s"} taken${ahead ? `, ${ahead} known ahead` : ""}; ${horizon} step${horizon > 1 ? "s" : ""} forecast.`);
	}

	async choose(id) {
		this.current = this.series.get(id);
		await this.refresh();
		this.#say("");
	}

	/** What is typed, as a row. */
	#typed() {
		const { columns } = this.model;
		const text = (name) => this.entries.get(name).value;
		const items = [...columns.past, ...columns.known, ...columns.static];
		const filled = items.filter((item) => text(item.name) !== "" || !columns.static.includes(item));
		return {
			time: columns.time === null || text(columns.time).trim() === "" ? null : this.network.times.parse(text(columns.time)),
			values: columns.target.map((name) => number(text(name), name)),
			covariates: Object.fromEntries(filled.map((item) => [item.name, covariate(item, text(item.name), item.name)])),
		};
	}

	async #takeTyped() {
		const row = this.#typed();
		this.forecast = await this.current.take(row);
		for (const name of [...this.model.columns.target, ...this.model.columns.past.map((item) => item.name)]) this.entries.get(name).value = "";
		await this.refresh();
		this.#say(`Row ${this.network.times.format(this.current.last)} taken.`);
		this.entries.get(this.model.columns.target[0]).focus();
	}

	/** The forecast as it would be after the row that is being typed. */
	async #preview() {
		const request = ++this.request;
		const row = this.#typed();
		const { time, forecast } = await this.current.seen(row);
		if (request !== this.request) return;
		this.forecast = forecast;
		this.origin = time;
		this.tentative = row.values;
		this.#say("");
		this.#show();
	}

	/** The forecast from after the last row. */
	async refresh() {
		this.forecast = await this.current.forecast();
		this.origin = this.current.last;
		this.tentative = null;
		find("undo").disabled = !this.current.past.length;
		const { time } = this.model.columns;
		if (time !== null) this.entries.get(time).value = this.current.next === null ? "" : this.network.times.format(this.current.next);
		this.#show();
	}

	// --- what is forecast

	/** The steps ahead of one target. */
	steps(target) {
		if (this.forecast === null) return [];
		const { horizon, levels, columns } = this.model;
		return Array.from({ length: horizon }, (_, n) => {
			const at = (name) => this.forecast[name][n * columns.target.length + target];
			const bounds = Object.fromEntries(levels.map((level) => [level, [at(`lower_${level}`), at(`upper_${level}`)]]));
			return { time: this.network.times.advance(this.origin, n + 1), value: at("forecast"), bounds };
		});
	}

	#show() {
		const target = Number(find("target").value);
		const steps = this.steps(target);
		const rows = this.current.rows.map((row) => [row.time, row.values[target]]);
		if (this.tentative) rows.push([this.origin, this.tentative[target]]);
		this.chart.draw(rows, steps);
		const { levels } = this.model;
		const head = [this.model.columns.time ?? "step", "forecast", ...levels.flatMap((level) => [`${level} % from`, "to"])];
		const cells = (step) => [shown(step.value), ...levels.flatMap((level) => step.bounds[level].map(shown))];
		const body = steps.map((step) => element("tr", {}, element("td", { textContent: this.network.times.format(step.time) }),
			...cells(step).map((text, n) => element("td", { textContent: text, className: n ? "" : "point" }))));
		find("table").replaceChildren(element("thead", {}, element("tr", {}, ...head.map((name) => element("th", { textContent: name, scope: "col" })))), element("tbody", {}, ...body));
	}

	#save() {
		const { columns, levels } = this.model;
		const head = [columns.id ?? "unique_id", columns.time ?? "ds", "statecast", ...levels.flatMap((level) => [`statecast-lo-${level}`, `statecast-hi-${level}`])];
		const quoted = (text) => (/[",\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);
		const lines = [head.map(quoted).join(",")];
		for (const [d, name] of columns.target.entries()) {
			const id = columns.target.length === 1 ? this.current.id : columns.id === null ? name : `${this.current.id}/${name}`;
			for (const step of this.steps(d)) {
				const numbers = [step.value, ...levels.flatMap((level) => step.bounds[level])];
				lines.push([quoted(id), this.network.times.format(step.time), ...numbers].join(","));
			}
		}
		const link = element("a", { href: URL.createObjectURL(new Blob([lines.join("\n") + "\n"], { type: "text/csv" })), download: "forecast.csv" });
		link.click();
		URL.revokeObjectURL(link.href);
	}
}

function grouped(items, key) {
	const groups = new Map();
	for (const item of items) groups.set(key(item), [...(groups.get(key(item)) ?? []), item]);
	return groups;
}

async function main() {
	const page = new Page(await Network.load(globalThis.statecastRuntime, globalThis.statecastModel));
	find("work").hidden = false;
	await page.refresh();
	find("status").textContent = "";
	globalThis.statecastPage = page;
	document.documentElement.dataset.ready = "true";
}

main().catch((error) => {
	find("status").textContent = `The model could not be read: ${error.message}`;
	find("status").classList.add("bad");
});
